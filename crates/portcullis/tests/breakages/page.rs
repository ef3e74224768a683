//! `docs/breakages.md`, made from the cases.

use std::fmt::Write as _;
use std::path::PathBuf;

use syscall_policy::Errno;

use crate::answers::{Answer, CALLS};
use crate::cases::{CASES, Case, RELEASES, Replay};

const HEAD: &str = "# Breakages

Filters for system calls are known for breaking: a C library, an architecture, an allocator or a kernel does something
new, and a program that was fine dies. These are cases told in public, and what shows that they are harmless here.

Made from `crates/portcullis/tests/breakages/cases.rs` by `cargo test -p portcullis --test breakages -- write`; the same
test without `write` replays the cases and fails if this page is another.

- *by table*: the call, made in the way that broke somebody, is allowed or gets an answer that its callers cope with
  ([below](#calls)): on each of 17 architectures, under every set of promises, whatever machine the test runs on.
- *live*: a sealed process on the machine of the test does what made the call, as root and as an ordinary user, and goes
  on. The word is the scene's name in `crates/portcullis/tests/breakages/live.rs`.
- *rule*: a property of all filters rules it out; `crates/portcullis/tests/breakages/rules.rs`.
- *program*: a run of the whole program that ends with a certificate.

";

/// The whole page.
fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| # | what changed | what broke, and when | source | what shows that it is harmless |\n|---|---|---|---|---|\n");
    for case in CASES {
        let Case { number, kind, what, source, replays } = case;
        let replays: Vec<String> = replays.iter().map(words).collect();
        writeln!(page, "| {number} | {} | {what} | {source} | {} |", kind.words(), replays.join("; ")).expect("text");
    }
    page.push_str("\n## Releases\n\nWhat releases began to do, from the cases above; each by table.\n\n| release | calls |\n|---|---|\n");
    for release in RELEASES {
        writeln!(page, "| {} | {} |", release.name, code(release.calls)).expect("text");
    }
    page.push_str("\n## Calls\n\nThe answers that a sealed process may get. Where an error stands, the call is made if its power was promised.\n\n");
    page.push_str("| call | answer | because |\n|---|---|---|\n");
    for call in CALLS {
        let (answer, why) = match call.answer {
            Answer::Goes => ("made".to_owned(), ""),
            Answer::Copes(errnos, why) => {
                (code(&errnos.iter().map(|errno| Errno::name(*errno)).collect::<Vec<_>>()), why)
            }
        };
        writeln!(page, "| `{}` | {answer} | {why} |", call.label.replace('|', "\\|")).expect("text");
    }
    page
}

fn words(replay: &Replay) -> String {
    match replay {
        Replay::Calls(labels) => format!("by table: {}", code(labels)),
        Replay::Live(name) => format!("live: `{name}`"),
        Replay::Rule(name) => format!("rule: `{name}`"),
        Replay::Program(file) => format!("program: `{file}`"),
        Replay::Not(reason) => format!("not replayed: {reason}"),
    }
}

fn code(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{}`", name.replace('|', "\\|"))).collect::<Vec<_>>().join(", ")
}

/// The cases for a terminal.
pub(crate) fn table() -> String {
    let line = |case: &Case| {
        let replays: Vec<String> = case.replays.iter().map(words).collect();
        format!(
            "{:>3}  {:<15}  {} [{}]\n     {}",
            case.number,
            case.kind.words(),
            case.what,
            case.source,
            replays.join("; ")
        )
    };
    CASES.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/breakages.md")
}

/// Writes the page.
pub(crate) fn write() {
    std::fs::write(path(), page()).expect("docs/breakages.md can be written");
}

/// That the page in the repository is this one.
pub(crate) fn is_up_to_date() -> String {
    let there = std::fs::read_to_string(path()).expect("docs/breakages.md");
    assert!(there == page(), "docs/breakages.md is stale: cargo test -p portcullis --test breakages -- write");
    String::new()
}
