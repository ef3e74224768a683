//! Every sealed role is taken over, and gets nothing that it should not have.
//!
//! `cargo test -p acme-client --features attacks --test attacks -- --nocapture` shows the table.
#![expect(clippy::print_stdout, reason = "the table is what this test is for")]

#[expect(dead_code, reason = "this is the program's frame for other tests as well")]
#[path = "whole/program.rs"]
mod program;

use program::{As, Program, Ran, is_root};

const ROLES: [&str; 7] = ["supervisor", "net", "dial", "account", "key", "challenge", "store"];

/// How many attempts were made in a role, and how many succeeded.
fn counted(ran: &Ran, role: &str) -> (usize, usize) {
    let line = ran.stdout.lines().find(|line| line.starts_with(role) && line.contains(" attempts, "));
    let line = line.unwrap_or_else(|| panic!("{role} was not attacked: {ran:?}"));
    let number = |word: &str| {
        let before = line.split(word).next().unwrap_or_default().trim();
        before.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    };
    (number("attempts,"), number("succeeded,"))
}

#[test]
fn whoever_takes_over_a_role_gets_nothing_that_it_should_not_have() {
    for user in As::all() {
        let program = Program::new(user);
        let ran = program.run(&["attack"]);
        println!("As {user:?}:\n{}\n{}", ran.stdout, ran.stderr);
        assert_eq!(ran.status, Some(0), "{user:?}: something was got, or refused otherwise than it must be");
        for role in ROLES {
            let (made, succeeded) = counted(&ran, role);
            assert!(made >= 80, "{role} was attacked in {made} ways only");
            assert_eq!(succeeded, 0, "{role}");
        }
    }
}

/// Attempts that fail wherever they are made would prove nothing.
#[test]
fn where_nothing_is_sealed_the_same_attempts_succeed() {
    // Not as root, whom nothing would stop.
    let program = Program::new(if is_root() { As::Nobody } else { As::Caller });
    let ran = program.run(&["--sandbox", "off", "attack", "--role", "net"]);
    let (made, succeeded) = counted(&ran, "net");
    println!("{succeeded} of {made} attempts succeed where nothing is sealed");
    assert!(succeeded >= 60, "{succeeded} of {made} attempts succeed without the sandbox: {ran:?}");
}
