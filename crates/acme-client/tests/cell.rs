//! What must hold in every cell of the lab: on each architecture, with each C library, on each kernel.
//!
//! Each case is asked for by name, and tells in a line of JSON behind the word `LAB` what came of it. Everything else that is
//! printed is for people. Without a name all cases are run that need nothing but this program and the one under test:
//!
//!     cargo test -p acme-client --test cell
//!
//! In a cell nothing is built, and nothing but the C library is installed. The environment says where things are:
//! `ACME_TEST_PROGRAM` the program under test, `ACME_TEST_ATTACKS` the same with the feature `attacks`, and
//! `ACME_TEST_DECLARES` what the cell is said to be able to do, in JSON.
#![expect(clippy::print_stdout, reason = "what it prints is its result")]

#[path = "cell/demo.rs"]
mod demo;
#[expect(dead_code, reason = "of what the program promises, other tests ask for more")]
#[path = "common/policies.rs"]
mod policies;
#[path = "cell/probe.rs"]
mod probe;
#[path = "whole/program.rs"]
mod program;
#[path = "cell/raw.rs"]
mod raw;
#[expect(dead_code, unused_imports, reason = "this is the scene of other tests as well")]
#[path = "whole/scene.rs"]
mod scene;
#[path = "cell/used.rs"]
mod used;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

/// What a case tells if all is well: a few words for people, and whatever the lab is to collect from all cells.
pub(crate) struct Told {
    /// For people.
    pub(crate) detail: String,
    /// To be collected.
    pub(crate) data: Value,
}

impl Told {
    /// Words alone.
    pub(crate) fn words(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), data: Value::Null }
    }
}

/// Something that must hold. It fails by an error, or by a panic as assertions do.
struct Case {
    name: &'static str,
    /// Whether it takes the program that has the feature `attacks`.
    attacks: bool,
    run: fn() -> Result<Told, String>,
}

const CASES: &[Case] = &[
    Case { name: "demo", attacks: false, run: demo::run },
    Case { name: "probe", attacks: false, run: probe::run },
    Case { name: "used", attacks: false, run: used::run },
];

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = names.iter().find(|name| !CASES.iter().any(|case| case.name == **name)) {
        println!("there is no case {unknown}");
        return ExitCode::FAILURE;
    }
    let has_attacks = std::env::var_os("ACME_TEST_ATTACKS").is_some();
    let asked = |case: &&Case| {
        if names.is_empty() { has_attacks || !case.attacks } else { names.iter().any(|name| name == case.name) }
    };
    let mut failed = false;
    for case in CASES.iter().filter(asked) {
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(case.run)).unwrap_or_else(|panic| Err(words(panic.as_ref())));
        let seconds = started.elapsed().as_secs_f64();
        let line = match &result {
            Ok(told) => {
                json!({ "case": case.name, "ok": true, "seconds": seconds, "detail": told.detail, "data": told.data })
            }
            Err(why) => json!({ "case": case.name, "ok": false, "seconds": seconds, "detail": why }),
        };
        println!("LAB {line}");
        failed |= result.is_err();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("panicked without words").to_owned()
}
