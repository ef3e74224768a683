//! Calls made beside calls granted: what each role asks of the kernel in all the tests of the whole program, and what its
//! promises would let it ask.
//!
//! `.ci/drift` has those tests traced, then runs this. `docs/drift.md` holds what is printed; with `ACME_TEST_WRITE_DOCS=1`
//! it is written there instead of compared.

#![expect(clippy::print_stdout, reason = "what was found is what one wants to see")]

#[path = "common/document.rs"]
mod document;
#[path = "common/policies.rs"]
mod policies;
#[path = "drift/reasons.rs"]
mod reasons;
#[path = "drift/traces.rs"]
mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use syscall_policy::{Arch, Verdict};

use policies::Role;
use reasons::{TRIED, UNUSED};
use traces::Process;

#[test]
#[ignore = "needs traces of the other tests: .ci/drift makes them"]
fn nothing_is_asked_for_that_is_not_granted_and_nothing_granted_without_a_reason() {
    let directory = std::env::var_os("ACME_TEST_TRACES").expect("ACME_TEST_TRACES names the traces: run .ci/drift");
    let arch = Arch::native().expect("an architecture with a table");
    let processes = traces::read(&PathBuf::from(directory));
    let roles = policies::roles();
    let asked: BTreeMap<&str, Asked<'_>> =
        roles.iter().map(|role| (&*role.name, asked(role, arch, &processes))).collect();
    for (role, asked) in &asked {
        let seen = asked.processes;
        assert!(seen >= 50, "only {seen} sealed processes of {role} were traced: were the tests run?");
    }
    let unused: Vec<(&str, &str)> = roles
        .iter()
        .flat_map(|role| role.policy.allowed(arch).into_iter().map(|call| (&*role.name, call)))
        .filter(|(role, call)| !asked[role].granted.contains(call))
        .collect();
    println!("{}", made(&roles, arch, &asked));
    let table = granted(&unused, &roles, arch);
    println!("{table}");

    let refused: Vec<&str> = asked.values().flat_map(|asked| asked.refused.iter().map(String::as_str)).collect();
    assert!(refused.is_empty(), "sealed roles asked for what they are not granted:\n{}", refused.join("\n"));
    let known = |call| UNUSED.iter().any(|reason| reason.calls.contains(&call));
    let unknown: Vec<String> =
        unused.iter().filter(|(_, call)| !known(*call)).map(|(role, call)| format!("{role}: {call}")).collect();
    assert!(unknown.is_empty(), "granted, never asked for, and no reason given (reasons.rs): {}", unknown.join(", "));
    let stale = |call: &&&str| !unused.iter().any(|(_, unused)| *unused == **call);
    let named = UNUSED.iter().filter(|reason| !reason.by_chance).flat_map(|reason| reason.calls);
    let stale: Vec<&&str> = named.filter(stale).collect();
    assert!(stale.is_empty(), "every role that is granted these makes them, so they need no reason: {stale:?}");
    document::holds("drift.md", &table);
}

/// The same on traces made up for it, so that what reads them is tested everywhere.
#[test]
fn a_call_outside_of_the_promises_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let started =
        |role: &str| format!("execve(\"/proc/self/exe\", [\"acme-client: {role}\", \"role\", \"{role}\"], 0x7ff) = 0");
    let start = |pid: u32, lines: &[&str]| {
        let text = format!("{}\n+++ exited with 0 +++\n", lines.join("\n"));
        std::fs::write(directory.path().join(format!("made.up-1.{pid}")), text).expect("written");
    };
    start(40, &["execve(\"/usr/bin/acme-client\", [\"acme-client\", \"renew\"], 0x7ff) = 0", "vfork() = 0x2a"]);
    start(
        42,
        &[
            &started("account"),
            "openat(0xffffff9c, 0x7ffc0, 0x80000, 0) = 0x3",
            "clone(0, 0x7ffc0, 0x1200011, 0, 0) = 0x2b",
            "seccomp(0x1, 0x8, 0x7ffc0) = -1 EINVAL (Invalid argument)",
            "seccomp(0x1, 0, 0x7ffc0) = 0",
            "read(0x3, 0x7ffc0, 0x4) = -1 EAGAIN (Resource temporarily unavailable)",
            "tgkill(0x2a, 0x2a, 0x6) = 0",
            "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---",
            "restart_syscall(<... resuming interrupted ppoll ...>) = 0x1",
            "mprotect(0x7ffc0, 0x1000, 0x7) = -1 EACCES (Permission denied)",
            "exit_group(0) = ?",
        ],
    );
    // A copy of it, sealed for itself: what it may signal is itself.
    start(43, &["seccomp(0x1, 0, 0x7ffc0) = 0", "tgkill(0x2a, 0x2a, 0x6) = -1 EPERM (Operation not permitted)"]);

    let processes = traces::read(directory.path());
    let roles = policies::roles();
    let account = roles.iter().find(|role| role.name == "account").expect("a role");
    let asked = asked(account, Arch::X86_64, &processes);
    assert_eq!((asked.processes, asked.calls), (2, 6), "{processes:?}");
    assert_eq!(asked.granted, ["exit_group", "read", "restart_syscall", "tgkill"].into(), "{processes:?}");
    let refused: Vec<&str> = asked.refused.iter().map(String::as_str).collect();
    let [one, other] = refused.as_slice() else { panic!("{refused:?}") };
    assert!(one.starts_with("  account in made.up-1: mprotect(0x7ffc0, 0x1000, 0x7)"), "{one}");
    assert!(other.starts_with("  account in made.up-1: tgkill(0x2a,"), "{other}");
}

/// What a role was seen to ask for after its seal.
#[derive(Debug, Default)]
struct Asked<'a> {
    processes: usize,
    calls: usize,
    /// Calls that its filter allows, for the arguments they were made with.
    granted: BTreeSet<&'a str>,
    /// Calls that are made to see them refused.
    tried: BTreeSet<&'a str>,
    /// Other calls that its filter refuses, as lines for people.
    refused: BTreeSet<String>,
}

fn asked<'a>(role: &Role, arch: Arch, processes: &'a [Process]) -> Asked<'a> {
    let mut asked = Asked::default();
    for process in processes.iter().filter(|process| process.role == role.name) {
        let policy = role.policy.clone().for_process(process.pid);
        asked.processes += 1;
        asked.calls += process.calls.len();
        for call in &process.calls {
            let number = arch.number(&call.name).unwrap_or_else(|| panic!("no call of {arch}: {}", call.line));
            if policy.verdict(arch, number, &call.args) == Verdict::Allow {
                asked.granted.insert(&call.name);
            } else if TRIED.iter().any(|tried| tried.fits(&role.name, &call.name, &process.scene)) {
                asked.tried.insert(&call.name);
            } else {
                asked.refused.insert(format!("  {} in {}: {}", role.name, process.scene, call.line));
            }
        }
    }
    asked
}

/// How much was seen.
fn made(roles: &[Role], arch: Arch, asked: &BTreeMap<&str, Asked<'_>>) -> String {
    let mut text =
        format!("{:<11} {:>9} {:>9} {:>8} {:>8} {:>7}\n", "role", "processes", "calls", "granted", "used", "tried");
    for role in roles {
        let Asked { processes, calls, granted, tried, .. } = &asked[&*role.name];
        let (may, used, tried) = (role.policy.allowed(arch).len(), granted.len(), tried.len());
        writeln!(text, "{:<11} {processes:>9} {calls:>9} {may:>8} {used:>8} {tried:>7}", role.name).expect("text");
    }
    text
}

/// What is granted and was not asked for, and why it is granted.
fn granted(unused: &[(&str, &str)], roles: &[Role], arch: Arch) -> String {
    let mut text = "| calls | granted, and not made by | reason |\n|---|---|---|\n".to_owned();
    for reason in UNUSED {
        let mut by_roles: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for call in reason.calls.iter().filter(|call| arch.number(call).is_some()) {
            let having = roles.iter().filter(|role| role.policy.allowed(arch).contains(call));
            let (without, with): (Vec<&Role>, Vec<&Role>) =
                having.partition(|role| unused.contains(&(&*role.name, call)));
            let names: Vec<&str> = without.iter().map(|role| &*role.name).collect();
            let who = match (reason.by_chance, with.is_empty(), without.is_empty()) {
                (true, _, _) => "depends on moment and build".to_owned(),
                (false, _, true) => continue,
                (false, true, false) if names.len() == roles.len() => "all".to_owned(),
                (false, true, false) => format!("all that may: {}", names.join(", ")),
                (false, false, false) => names.join(", "),
            };
            by_roles.entry(who).or_default().push(call);
        }
        for (who, calls) in by_roles {
            let calls: Vec<String> = calls.iter().map(|call| format!("`{call}`")).collect();
            writeln!(text, "| {} | {who} | {} |", calls.join(", "), reason.why).expect("text");
        }
    }
    text
}
