//! What roles are refused is answered, recorded and reported, and a run goes on.

use std::path::PathBuf;
use std::process::Command;

use crate::otherwise::MACHINE;
use crate::program::{As, Program};
use crate::scene::Scene;

/// A C library whose allocator now and then looks for a file and asks for a barrier, as some do.
const CURIOUS: &str = r#"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>
#include <stddef.h>
extern void *__libc_malloc(size_t);
static unsigned calls;
void *malloc(size_t size) {
    if (++calls % 8 == 0) {
        syscall(SYS_openat, -100, "/proc/sys/vm/overcommit_memory", 0x80000, 0);
        syscall(SYS_membarrier, 0, 0, 0);
    }
    return __libc_malloc(size);
}
"#;

/// The library, where this is a system with glibc and a compiler. Whoever has another one is told.
#[expect(clippy::print_stderr, reason = "what is not tested is said")]
fn curious(program: &Program) -> Option<PathBuf> {
    let source = program.file("curious.c", CURIOUS);
    let library = program.path("curious.so");
    let built = Command::new("cc").args(MACHINE).args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).output();
    let built = built.is_ok_and(|output| output.status.success());
    if !built || cfg!(not(target_env = "gnu")) {
        eprintln!("not tested: records of refused calls, which take a C compiler and glibc to be provoked");
        return None;
    }
    Some(library)
}

#[test]
fn calls_that_are_refused_are_recorded_and_the_run_goes_on() {
    for user in As::all() {
        let scene = Scene::new(user);
        let program = &scene.program;
        let Some(library) = curious(program) else { return };
        let preload = [("LD_PRELOAD", library.to_str().expect("text"))];
        let ran = scene.issue_with(&["www.example", "-v"], &preload);
        assert_eq!(ran.status, Some(0), "{user:?}: {ran:?}");
        let line = "sandbox: net was refused openat (open-path) with EACCES";
        if !ran.stderr.contains(line) {
            // Where the kernel does not notify the run went on all the same.
            assert!(program.run(&["doctor"]).stdout.contains("refused calls are not told of"), "{user:?}: {ran:?}");
            continue;
        }
        let report = program.run(&["sandbox", "report", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&report.stdout).expect("JSON");
        let records = report["records"].as_array().expect("records");
        for role in ["net", "dial", "account", "key", "challenge", "store"] {
            let of_role = |call: &str| {
                records
                    .iter()
                    .find(|record| record["role"] == role && record["call"] == call)
                    .cloned()
                    .unwrap_or_default()
            };
            let (open, barrier) = (of_role("openat"), of_role("membarrier"));
            if role == "key" || role == "challenge" || role == "store" {
                // Opening for reading is refused there, too, though by a rule and not for want of the class.
                assert!(open.is_null() || open["answer"] == "EACCES", "{open}");
            } else {
                assert_eq!(
                    (&open["class"], &open["answer"]),
                    (&"open-path".into(), &"EACCES".into()),
                    "{role}: {open}"
                );
            }
            assert_eq!(barrier["answer"], "ENOSYS", "{role}: {barrier}");
            assert!(barrier["count"].as_u64() > Some(0), "{barrier}");
            let symbol = barrier["symbol"].as_str().is_some_and(|symbol| symbol.starts_with("syscall+"));
            // On 32-bit x86 the kernel lends C libraries the instruction.
            let lent = cfg!(target_arch = "x86") && barrier["from"]["file"] == "[vdso]";
            assert!(symbol || lent, "{barrier}");
        }
        // Bounded, and nothing of what pointers led to.
        assert!(records.len() <= 100, "{}", records.len());
        assert!(!report.to_string().contains("overcommit_memory"), "{report}");
        let text = program.run(&["sandbox", "report"]).stdout;
        assert!(text.contains("membarrier (memory-extra) with ENOSYS"), "{text}");
        assert!(text.contains("None of this stopped a run"), "{text}");
        // A run that fails says what was refused in it: not everything that looks like the CA's doing is.
        assert!(!ran.stderr.contains("That may be why"), "{ran:?}");
        scene.faults(test_ca::Fault::Certificate(test_ca::BadCertificate::ForeignKey));
        let ran = scene.issue_with(&["other.example"], &preload);
        assert_eq!(ran.status, Some(1), "{user:?}: {ran:?}");
        assert!(ran.stderr.contains("That may be why"), "{ran:?}");
        // Which file, but not whose.
        for record in records {
            assert!(!record["from"]["file"].as_str().unwrap_or_default().contains('/'), "{record}");
            assert_eq!(record["command"], "issue", "{record}");
            assert!(record.get("withheld").is_none(), "{record}");
        }
    }
}

#[test]
fn a_run_that_is_refused_nothing_leaves_no_records() {
    for user in As::all() {
        let scene = Scene::new(user);
        let ran = scene.issue(&["www.example", "-v"]);
        assert_eq!(ran.status, Some(0), "{user:?}: {ran:?}");
        assert!(!ran.stderr.contains("sandbox: "), "{user:?}: {ran:?}");
        let text = scene.program.run(&["sandbox", "report"]).stdout;
        assert!(text.contains("Nothing was refused in any run"), "{text}");
    }
}

#[test]
fn a_role_that_its_filter_ends_is_recorded_where_records_are_kept() {
    let program = Program::new(As::Caller);
    let ran = program.run(&["doctor", "--role", "net", "--drill", "forbidden"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("its sandbox ended it (SIGSYS)"), "{ran:?}");
    // doctor works in a directory of its own, which it removes: nothing of it is in the state directory.
    assert!(program.run(&["sandbox", "report"]).stdout.contains("Nothing was refused"), "{ran:?}");
}

#[test]
fn doctor_names_refused_calls_without_a_listener() {
    let program = Program::new(As::Caller);
    let Some(library) = curious(&program) else { return };
    let preload = [("LD_PRELOAD", library.to_str().expect("text"))];
    let ran = program.run_with(&["doctor", "--trace", "--json"], &preload);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    for role in report["roles"].as_array().expect("roles") {
        let refused = &role["refused"];
        match role["role"].as_str() {
            Some("net" | "dial" | "account") => {
                assert_eq!(refused, &serde_json::json!(["openat", "membarrier"]), "{role}");
            }
            Some("hook" | "supervisor") => assert!(refused.is_null(), "{role}"),
            _ => assert!(refused.to_string().contains("membarrier"), "{role}"),
        }
    }
    let plain = program.run(&["doctor", "--trace"]);
    assert_eq!(plain.stdout.matches("calls that it is refused at its work: none").count(), 6, "{plain:?}");
}
