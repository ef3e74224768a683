//! Breakages of other programs' filters, replayed.
//!
//! Each case of `breakages/cases.rs` broke somebody, in public. Here every one of them is answered by table on every
//! architecture, made live by a sealed process on this machine, or ruled out by a property of the filters.
//! `docs/breakages.md` is made from the cases and compared with what is there:
//!
//!     cargo test -p portcullis --test breakages            # all of it
//!     cargo test -p portcullis --test breakages -- live    # what depends on the machine
//!     cargo test -p portcullis --test breakages -- write   # writes docs/breakages.md anew

#[path = "breakages/answers.rs"]
mod answers;
#[path = "breakages/cases.rs"]
mod cases;
#[path = "breakages/libc_calls.rs"]
mod libc_calls;
#[path = "breakages/live.rs"]
mod live;
#[path = "breakages/page.rs"]
mod page;
#[path = "breakages/rules.rs"]
mod rules;
#[path = "sealed/support.rs"]
#[expect(dead_code, reason = "the scenes of sealed.rs use more of it")]
mod support;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::panic::catch_unwind;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use cases::{CASES, FREE, LAST, Replay};
use live::{Ends, Scene};

/// What promises mean in system calls.
fn policy(promises: &[portcullis::Promise]) -> syscall_policy::Policy {
    portcullis::policy(promises).expect("these tests are about Linux")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["scene", name] => {
            let scene = live::ALL.iter().find(|scene| scene.name == name).expect("a scene of that name");
            (scene.play)();
            return ExitCode::SUCCESS;
        }
        ["stop", process] => {
            live::stop_and_continue(process);
            return ExitCode::SUCCESS;
        }
        ["write"] => {
            page::write();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    // What holds on all architectures by computation need not be computed on every machine.
    let live = arguments.iter().any(|argument| argument == "live");
    let filter = arguments.iter().find(|argument| !argument.starts_with('-') && *argument != "live");
    let filter = filter.map(String::as_str);
    let wanted = |name: &str| filter.is_none_or(|text| name.contains(text));
    let (mut passed, mut failed) = (0, 0);
    let mut tell = |what: &str, result: Result<String, String>| match result {
        Ok(notes) => {
            passed += 1;
            say(&format!("{what} ... ok{}{notes}", if notes.is_empty() { "" } else { ": " }));
        }
        Err(why) => {
            failed += 1;
            say(&format!("{what} ... FAILED\n{why}"));
        }
    };
    let rules = [
        ("every_number_is_replayed_or_said_not_to_be", every_number_is_replayed as fn() -> String),
        ("every_answer_is_borne", answers::every_answer_is_borne),
        ("the_page_is_that_of_the_cases", page::is_up_to_date),
    ];
    for (name, rule) in rules.iter().chain(rules::ALL).filter(|(name, _)| wanted(name) && !live) {
        // What a panic says is on standard error already.
        tell(name, catch_unwind(rule).map_err(|_| "  see above".to_owned()));
    }
    for (user, uid) in users() {
        let mine = live::ALL.iter().enumerate().filter(|(at, _)| is_mine(*at)).map(|(_, scene)| scene);
        for scene in mine.filter(|scene| wanted(scene.name)) {
            tell(&format!("scene {} {user}", scene.name), play(scene, uid));
        }
    }
    if arguments.iter().any(|argument| argument == "--nocapture") {
        say(&page::table());
    }
    say(&format!("{passed} passed, {failed} failed"));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether a scene is one of those that are asked for: of each `N` the one that is number `K`, if the environment has `K/N` for
/// `ACME_TEST_SHARE`. So many machines that are slow play them all together.
fn is_mine(at: usize) -> bool {
    let text = std::env::var("ACME_TEST_SHARE").unwrap_or_default();
    let share = text.split_once('/').and_then(|(turn, of)| Some((turn.parse().ok()?, of.parse().ok()?)));
    share.is_none_or(|(turn, of): (usize, usize)| of == 0 || at % of == turn)
}

fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").expect("standard output takes what is written");
}

fn users() -> Vec<(&'static str, Option<u32>)> {
    if rustix::process::geteuid().is_root() {
        return vec![("root", None), ("user", Some(65_534))];
    }
    say("not tested: what root can do, since these tests do not run as root");
    vec![("", None)]
}

/// Plays a scene in a process of its own.
fn play(scene: &Scene, uid: Option<u32>) -> Result<String, String> {
    // By way of /proc: the program may be in a directory that others cannot enter.
    let mut command = Command::new("/proc/self/exe");
    command.args(["scene", scene.name]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("RUST_BACKTRACE", "1").env("LANG", "C");
    if let Some(id) = uid {
        command.uid(id).gid(id);
    }
    let output = command.output().map_err(|error| format!("  cannot be started: {error}"))?;
    let good = match scene.ends {
        Ends::Well => output.status.success(),
        Ends::By(signal) => output.status.signal() == Some(signal),
        Ends::With(status) => output.status.code() == Some(status),
    };
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !good {
        return Err(format!("  ended with {:?}\n  stdout: {stdout}\n  stderr: {stderr}", output.status));
    }
    Ok(stdout.lines().filter_map(|line| line.strip_prefix("note: ")).collect::<Vec<_>>().join("; "))
}

/// No case is left out, none is without a replay, and no replay is one that does not exist.
fn every_number_is_replayed() -> String {
    let numbers: Vec<u8> = CASES.iter().map(|case| case.number).collect();
    let all: BTreeSet<u8> = numbers.iter().chain(&FREE).copied().collect();
    assert_eq!(all, (1..=LAST).collect(), "a number is missing, or is there twice");
    assert_eq!(numbers.len() + FREE.len(), usize::from(LAST), "a number is there twice");
    assert!(numbers.is_sorted(), "cases are in the order of their numbers");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut scenes, mut rules): (BTreeSet<&str>, BTreeSet<&str>) = Default::default();
    let mut not = 0;
    for case in CASES {
        assert!(!case.replays.is_empty(), "{} is neither replayed nor said not to be", case.number);
        for replay in case.replays {
            match replay {
                Replay::Calls(labels) => {
                    for label in *labels {
                        let _ = answers::labelled(label);
                    }
                }
                Replay::Live(name) => drop(scenes.insert(name)),
                Replay::Rule(name) => drop(rules.insert(name)),
                Replay::Program(file) => assert!(root.join(file).is_file(), "{}: {file} is not there", case.number),
                Replay::Not(reason) => {
                    assert!(!reason.is_empty(), "{}: not replayed, and why not?", case.number);
                    not += 1;
                }
            }
        }
    }
    assert_eq!(
        scenes,
        live::ALL.iter().map(|scene| scene.name).collect(),
        "scenes that cases name, and those there are"
    );
    assert_eq!(rules, rules::ALL.iter().map(|rule| rule.0).collect(), "rules that cases name, and those there are");
    format!("{} cases, {} of them not replayed", CASES.len(), not)
}
