//! What the program says about its own sandbox, without sealing anything.

use crate::program::{As, Program};

#[test]
fn policies_are_shown_for_any_architecture() {
    let program = Program::new(As::Caller);
    let ran = program.run(&["sandbox", "policy"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    for word in ["ARCH", "supervisor", "challenge", "x86_64", "sparc64", "hook is not sealed"] {
        assert!(ran.stdout.contains(word), "no {word} in {ran:?}");
    }
    assert!(ran.stdout.lines().all(|line| line.len() <= 80), "{ran:?}");

    let ran = program.run(&["sandbox", "policy", "--role", "account", "--arch", "s390x", "--calls"]);
    let line = |name: &str| {
        let found = ran.stdout.lines().find(|line| line.trim_start().starts_with(&format!("{name} ")));
        found.unwrap_or_else(|| panic!("no {name} in {ran:?}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("read"), "read read-held allow reads from a descriptor already held");
    assert!(line("mprotect").starts_with("mprotect memory by-argument"), "{ran:?}");
    assert!(line("socket").starts_with("socket socket-create EACCES"), "{ran:?}");
    assert!(line("ptrace").starts_with("ptrace other-processes kill"), "{ran:?}");
    assert!(ran.stdout.contains("allow if argument 2 & 0x4 is 0x0; else EACCES"), "{ran:?}");

    let ran = program.run(&["sandbox", "policy", "--role", "net", "--arch", "arm", "--filter"]);
    assert!(ran.stdout.contains("if == arm go 2 else") && ran.stdout.contains("return allow"), "{ran:?}");
}

#[test]
fn policies_are_shown_as_json() {
    let program = Program::new(As::Caller);
    let ran = program.run(&["--json", "sandbox", "policy", "--role", "store", "--arch", "x86_64", "--calls"]);
    let shown: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((&shown["version"], &shown["command"]), (&1.into(), &"sandbox policy".into()), "{shown}");
    let policy = &shown["policies"][0];
    let calls = policy["calls"].as_array().expect("calls");
    let answered = |wanted: &str| calls.iter().filter(|call| call["answer"] == wanted).count();
    assert_eq!(policy["always"], answered("allow"), "{policy}");
    // `clone` is refused to all, and how depends on its arguments.
    assert_eq!(policy["by-argument"], answered("by-argument") - 1, "{policy}");
    assert!(calls.iter().all(|call| call["reason"].as_str().is_some_and(|reason| !reason.is_empty())), "{policy}");
}

#[test]
fn policies_need_no_configuration_and_say_what_they_do_not_know() {
    let program = Program::new(As::Caller);
    let broken = program.file("config.toml", "this is none");
    assert_eq!(program.run(&["--config", &broken, "sandbox", "policy"]).status, Some(0));
    for (line, words) in [
        (["--role", "hook"], "the roles that are sealed are: supervisor, net"),
        (["--arch", "vax"], "the architectures are: x86_64"),
    ] {
        let ran = program.run(&[&["sandbox", "policy"][..], &line].concat());
        assert!(ran.status == Some(2) && ran.stderr.contains(words), "{ran:?}");
    }
}
