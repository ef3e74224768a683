//! acme-client: certificates from ACME authorities, by small processes that are sealed before they read anything that
//! comes from outside.
//!
//! `roles.rs` is the architecture on one page. A process is either the supervisor, which carries out a command
//! (`commands`), or one of the roles it starts (`role`).
#![forbid(unsafe_code)]

#[cfg(feature = "attacks")]
mod attack;
mod ca;
mod canary;
mod cli;
mod commands;
mod config;
mod crypto;
mod durable;
mod error;
mod messages;
mod role;
mod roles;
mod run;
mod state;
mod trust;
mod ui;

use std::io::Write as _;

use clap::Parser as _;

fn main() {
    let status = live();
    // The supervisor has told people things; whoever is not there any more to read them has been heard of before.
    let _ = std::io::stdout().flush();
    portcullis::leave(status)
}

/// All that a process does.
fn live() -> u8 {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == cli::ROLE) {
        let name = arguments.next().unwrap_or_default();
        return role::main(&name.to_string_lossy());
    }
    portcullis::last_words();
    commands::main(cli::Cli::parse())
}
