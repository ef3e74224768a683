//! Every role, sealed for real, comes to grief in every way there is, and the words reach the user.

use crate::program::{self, As, Program, files};

const ROLES: [&str; 6] = ["net", "dial", "account", "key", "challenge", "store"];

/// What a drill is called, whether the program succeeds, and what it says (`ROLE` stands for the role).
const DRILLS: [(&str, bool, &str); 9] = [
    ("panic", false, "ROLE says: this is a bug: a drill: this role was asked to panic"),
    ("allocate", true, "ROLE says: a drill: 64 MiB allocated, 16384 pages touched"),
    ("log", true, "ROLE says: a drill: a line on standard error"),
    ("fail", false, "ROLE: a drill: this role was asked to fail"),
    ("forbidden", false, "the ROLE process made a system call that no honest library makes"),
    ("vanish", false, "the ROLE process ended without a word"),
    ("out-of-turn", false, "the ROLE process sent \"finished\" out of turn"),
    ("garbage", false, "the ROLE process sent bytes that are no message"),
    ("too-long", false, "the ROLE process sent a message of 4294967295 bytes"),
];

#[test]
fn words_reach_the_user_whatever_becomes_of_a_role() {
    for user in As::all() {
        let program = Program::new(user);
        for role in ROLES {
            for (drill, succeeds, words) in DRILLS {
                let ran = program.run(&["doctor", "--role", role, "--drill", drill]);
                let expected = words.replace("ROLE", role);
                assert!(ran.stderr.contains(&expected), "{user:?} {role} {drill}: {ran:?}");
                assert_eq!(ran.status, Some(i32::from(!succeeds)), "{user:?} {role} {drill}: {ran:?}");
                assert!(!ran.stderr.contains('\u{1b}'), "a role must not steer the terminal: {ran:?}");
                assert!(!ran.stderr.contains("stack backtrace"), "{ran:?}");
            }
        }
    }
}

#[test]
fn a_panic_is_one_line_even_if_backtraces_are_asked_for() {
    let program = Program::new(As::Caller);
    let ran = program.run_with(&["doctor", "--role", "key", "--drill", "panic"], &[("RUST_BACKTRACE", "full")]);
    assert_eq!(ran.stderr.lines().count(), 2, "{ran:?}");
}

#[test]
fn doctor_finds_every_role_sealed_and_at_work() {
    for user in As::all() {
        let program = Program::new(user);
        let temporary = std::path::PathBuf::from(program.make_directory("tmp"));
        let ran = program.run_with(&["doctor", "--json"], &[("TMPDIR", temporary.to_str().expect("text"))]);
        assert_eq!(ran.status, Some(0), "{user:?}: {ran:?}");
        assert_eq!(files(&temporary), [] as [std::path::PathBuf; 0], "{user:?}: what was tried out was left");
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(report["failed-tests"], 0, "{report}");
        let roles = report["roles"].as_array().expect("roles");
        assert_eq!(roles.len(), 8);
        for role in roles {
            let name = role["role"].as_str().expect("a name");
            let kernel = &role["kernel"];
            if name == "hook" {
                assert_eq!(kernel["seccomp"], "0", "what hook starts must be free: {role}");
                continue;
            }
            let layer = |wanted: &str| {
                let layers = role["layers"].as_array().expect("layers");
                let found = layers.iter().find(|layer| layer[0] == wanted).expect("the layer");
                found[1].as_str().expect("a word").to_owned()
            };
            assert_eq!(layer("seccomp"), "enforced", "{role}");
            assert_eq!(layer("no-new-privileges"), "enforced", "{role}");
            if name == "supervisor" {
                // It cannot look itself up any more.
                continue;
            }
            assert_eq!(kernel["seccomp"], "2", "{role}");
            assert_eq!(kernel["no-new-privs"], "1", "{role}");
            assert_eq!(kernel["capabilities"], "0000000000000000", "{role}");
            assert!(!kernel["uid"].as_str().expect("users").split(' ').any(|uid| uid == "0"), "{role}");
            if user == As::Caller && program::is_root() {
                assert!(kernel["root"].as_str().expect("a root").contains("(deleted)"), "{role}");
            }
            assert!(role["tests"].as_array().is_some_and(|tests| !tests.is_empty()), "{role}");
        }
    }
}

#[test]
fn a_layer_that_is_required_and_missing_stops_everything() {
    let program = Program::new(As::Caller);
    let config = program.file("config.toml", "[sandbox]\nrequire = [\"walls\"]\n");
    let ran = program.run(&["--config", &config, "check"]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.stderr.contains("line 2") && ran.stderr.contains("landlock"), "{ran:?}");
    let ran = program.run(&["--sandbox", "require", "doctor"]);
    // On a machine that has every layer this succeeds; on one that lacks some, it says which.
    match ran.status {
        Some(0) => {}
        Some(1) => assert!(ran.stderr.contains("require"), "{ran:?}"),
        other => panic!("{other:?}: {ran:?}"),
    }
}

#[test]
fn a_role_is_not_started_by_hand() {
    let program = Program::new(As::Caller);
    let ran = program.run(&["role", "key"]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.stderr.contains("not by hand"), "{ran:?}");
    let ran = program.run(&["role", "nobody"]);
    assert!(ran.stderr.contains("no such role"), "{ran:?}");
}
