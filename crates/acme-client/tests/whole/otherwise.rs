//! C libraries that behave otherwise, and libraries that make calls of their own, in every process from start to end.
//!
//! They are in `preload/`, built here with the system's C compiler and handed to every role, as the launcher does with
//! what the dynamic linker needs. Each says at its end how many calls it made after the seal and how many were refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::program::{As, Program, Ran, shared_directory};
use crate::scene::Scene;

/// What a compiler is told, so that its libraries are of the program's kind: that of a 64-bit machine runs 32-bit programs.
pub(crate) const MACHINE: &[&str] = if cfg!(target_arch = "x86") { &["-m32"] } else { &[] };

/// Where words have 32 bits, calls split what is longer over two of them, each architecture in its own way: more than the
/// first of them is written for.
const LIBRARIES: &[&str] = if cfg!(target_pointer_width = "64") { &["otherwise", "intruder"] } else { &["intruder"] };

const ROLES: [&str; 6] = ["net", "dial", "account", "key", "challenge", "store"];

#[test]
fn a_c_library_that_makes_other_calls_costs_no_certificate() {
    if !LIBRARIES.contains(&"otherwise") {
        return not_tested("a C library that makes other calls, which is written for 64 bits");
    }
    costs_no_certificate("otherwise");
}

#[test]
fn a_library_that_makes_refused_calls_all_the_time_costs_no_certificate() {
    costs_no_certificate("intruder");
}

#[test]
fn every_role_does_its_work_beside_such_libraries() {
    for library in LIBRARIES {
        for user in As::all() {
            let ran = Program::new(user).run_with(&["doctor", "--json"], &[("LD_PRELOAD", preload(library))]);
            assert_eq!(ran.status, Some(0), "{library} {user:?}: {ran:?}");
            let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
            assert_eq!(report["failed-tests"], 0, "{library} {user:?}: {report}");
        }
    }
}

/// What such a library is refused is no reason to come to grief in another way than without it.
#[test]
fn last_words_are_heard_beside_such_libraries() {
    for library in LIBRARIES {
        let program = Program::new(As::Caller);
        let ran =
            program.run_with(&["doctor", "--role", "store", "--drill", "panic"], &[("LD_PRELOAD", preload(library))]);
        assert_eq!(ran.status, Some(1), "{library}: {ran:?}");
        assert!(ran.stderr.contains("store says: this is a bug: a drill"), "{library}: {ran:?}");
        assert!(ran.stderr.contains("gave up (SIGABRT)"), "{library}: {ran:?}");
    }
}

fn costs_no_certificate(library: &str) {
    if cfg!(target_feature = "crt-static") {
        return not_tested("nothing can be preloaded into a static program");
    }
    for user in As::all() {
        let scene = Scene::new(user);
        let listen = scene.address.to_string();
        let environment = [("LD_PRELOAD", preload(library))];
        let issue = ["issue", "a.example", "--listen", &listen, "--hook", "/bin/true"];
        let ran = scene.program.run_with(&scene.line(&issue), &environment);
        assert_eq!(ran.status, Some(0), "{user:?}: {ran:?}");
        assert!(ran.stdout.starts_with("a.example: renewed"), "{user:?}: {ran:?}");
        scene.assert_whole("a.example");
        assert!(scene.ca.violations().is_empty(), "{:?}", scene.ca.violations());
        for role in ROLES {
            was_refused_some(&format!("acme-client: {role} says: {library}: "), &ran);
        }
        was_refused_some(&format!("{library}: "), &ran);
        is_recorded(&scene.program);

        let ran = scene.program.run_with(&scene.line(&["renew", "--force"]), &environment);
        assert_eq!(ran.status, Some(0), "{user:?}, the second time: {ran:?}");
        assert_eq!(scene.ca.issued().len(), 2);
    }
}

/// That a process says to the end that it made calls while it was sealed, and was refused some: otherwise nothing would
/// have been tested.
fn was_refused_some(beginning: &str, ran: &Ran) {
    let line = ran.stderr.lines().find_map(|line| line.strip_prefix(beginning));
    let line = line.unwrap_or_else(|| panic!("nobody says {beginning:?}: {ran:?}"));
    let refused = line.split(", ").nth(1).and_then(|part| part.strip_suffix(" refused"));
    let refused: u32 = refused.and_then(|count| count.parse().ok()).expect("a count");
    assert!(refused >= 20, "{beginning}{line}");
}

/// That what was refused can be looked up: who made which call of what class, and the answer. Records are bounded, so not
/// every call of every role is there.
fn is_recorded(program: &Program) {
    let report = program.run(&["sandbox", "report", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).expect("JSON");
    let records = report["records"].as_array().expect("records");
    if records.is_empty() && program.run(&["doctor"]).stdout.contains("refused calls are not told of") {
        return not_tested("records of refused calls, of which this kernel does not tell");
    }
    let text = |record: &serde_json::Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    for record in records {
        let (role, class, answer) = (text(record, "role"), text(record, "class"), text(record, "answer"));
        assert!(ROLES.contains(&role.as_str()), "{record}");
        assert!(!class.is_empty() && record["count"].as_u64() > Some(0), "{record}");
        assert!(["EPERM", "EACCES", "ENOSYS", "EINVAL", "ENOTTY", "EAFNOSUPPORT"].contains(&&*answer), "{record}");
    }
    let calls: BTreeSet<String> = records.iter().map(|record| text(record, "call")).collect();
    // Some of each of them, whichever comes before the bound.
    assert!(calls.len() >= 10, "{calls:?}");
}

#[expect(clippy::print_stderr, reason = "what is not tested is said")]
fn not_tested(why: &str) {
    eprintln!("not tested: {why}");
}

/// The library of that name, where everybody can load it.
fn preload(name: &str) -> &'static str {
    static BUILT: OnceLock<Vec<(&str, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| LIBRARIES.iter().map(|name| (*name, build(name))).collect());
    let (_, path) = built.iter().find(|(known, _)| *known == name).expect("a library of that name");
    path.to_str().expect("text")
}

fn build(name: &str) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/whole/preload");
    let library = shared_directory().join(format!("{name}.so"));
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(&compiler);
    command.args(MACHINE);
    command.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-builtin", "-fPIC", "-shared", "-o"]);
    command.arg(&library);
    for source in [&format!("{name}.c"), "allocator.c", "tally.c"] {
        command.arg(sources.join(source));
    }
    let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", compiler.display()));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    library
}
