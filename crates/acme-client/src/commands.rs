//! The commands, one file each.

mod account;
#[cfg(feature = "attacks")]
mod attack;
mod check;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod due;
mod issue;
mod obtain;
mod renew;
mod revoke;
mod sandbox;
mod status;

use crate::cli::{Account, Cli, Command, Global, Sandbox, Sandboxing};
use crate::config::{Config, Overlay};
use crate::error::{Error, Result};
use crate::ui::{self, Ui};

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// There was nothing to do.
    Unchanged,
    /// Some of it could not be done, and that has been said.
    Failed,
}

/// Carries out a command. The exit status: 0 done, 1 failed, 2 called in a way that makes no sense.
pub(crate) fn main(cli: Cli) -> u8 {
    let unchanged = cli.global.exit_unchanged;
    match carry_out(cli) {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::Unchanged) => unchanged,
        Ok(Outcome::Failed) => 1,
        Err(error) => {
            ui::error(&error.to_string());
            match error {
                Error::Usage(_) => 2,
                Error::Failed(_) => 1,
            }
        }
    }
}

fn carry_out(cli: Cli) -> Result<Outcome> {
    let ui = Ui::new(cli.global.verbose, cli.global.json);
    #[cfg(feature = "demo")]
    if matches!(cli.command, Command::Demo) {
        return demo::run(&ui);
    }
    if let Command::Sandbox(Sandbox::Policy(options)) = &cli.command {
        return sandbox::policy::run(options, &ui);
    }
    let config = Config::load(overlay(cli.global))?;
    match cli.command {
        Command::Issue(options) => issue::run(&config, options, ui),
        Command::Renew(options) => renew::run(&config, &options, ui),
        Command::Status => status::run(&config, &ui),
        Command::Revoke(options) => revoke::run(&config, &options, ui),
        Command::Account(Account::Show) => account::show(&config, &ui),
        Command::Check => check::run(&config, &ui),
        Command::Sandbox(Sandbox::Report) => sandbox::report::run(&config, &ui),
        Command::Doctor(options) => doctor::run(&config, &options, &ui),
        // What needs no configuration is done by now.
        Command::Sandbox(Sandbox::Policy(_)) => Ok(Outcome::Done),
        #[cfg(feature = "attacks")]
        Command::Attack(options) => attack::run(&config, &options, &ui),
        #[cfg(feature = "demo")]
        Command::Demo => Ok(Outcome::Done),
    }
}

fn overlay(global: Global) -> Overlay {
    Overlay {
        config: global.config,
        state: global.state,
        directory: global.directory,
        ca_file: global.ca_file,
        sandbox_off: global.sandbox == Sandboxing::Off,
        sandbox_require: global.sandbox == Sandboxing::Require,
        #[cfg(feature = "attacks")]
        withheld: global.withhold,
    }
}

/// The time, seconds since 1970.
pub(crate) fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
