//! What must hold in every cell of the lab: on each architecture, with each C library, on each kernel.
//!
//! Each case is asked for by name, and tells in a line of JSON behind the word `LAB` what came of it. Everything else that is
//! printed is for people. Without a name all cases are run that need nothing but this program and the one under test:
//!
//!     cargo test -p acme-client --test cell
//!
//! In a cell nothing is built, and nothing but the C library is installed. The environment says where things are:
//! `ACME_TEST_PROGRAM` the program under test, `ACME_TEST_ATTACKS` the same with the feature `attacks`, `ACME_TEST_SEALED`
//! and `ACME_TEST_BREAKAGES` the tests of those names of `portcullis`, and `ACME_TEST_DECLARES` what the cell is said to be
//! able to do, in JSON.
#![expect(clippy::print_stdout, reason = "what it prints is its result")]

#[path = "cell/attacks.rs"]
mod attacks;
#[path = "cell/broken.rs"]
mod broken;
#[path = "cell/demo.rs"]
mod demo;
#[path = "cell/doctor.rs"]
mod doctor;
#[path = "cell/errors.rs"]
mod errors;
#[path = "cell/life.rs"]
mod life;
#[path = "cell/panic.rs"]
mod panic;
#[expect(dead_code, reason = "of what the program promises, other tests ask for more")]
#[path = "common/policies.rs"]
mod policies;
#[path = "cell/probe.rs"]
mod probe;
#[path = "whole/program.rs"]
mod program;
#[path = "cell/raw.rs"]
mod raw;
#[path = "cell/replay.rs"]
mod replay;
#[expect(dead_code, unused_imports, reason = "this is the frame of other tests as well")]
#[path = "whole/scene.rs"]
mod scene;
#[path = "cell/scenes.rs"]
mod scenes;
#[path = "cell/share.rs"]
mod share;
#[path = "cell/used.rs"]
mod used;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value, json};

/// What a case tells if all is well: a few words for people, and whatever the lab is to collect from all cells.
pub(crate) struct Told {
    /// For people.
    pub(crate) detail: String,
    /// To be collected.
    pub(crate) data: Value,
    /// Whether there was nothing to try, for want of what the cell says that it lacks.
    pub(crate) untested: bool,
}

impl Told {
    /// Words alone.
    pub(crate) fn words(detail: impl Into<String>) -> Self {
        Self::of(detail, Value::Null)
    }

    /// Words, and what is to be collected.
    pub(crate) fn of(detail: impl Into<String>, data: Value) -> Self {
        Self { detail: detail.into(), data, untested: false }
    }

    /// Nothing was tried. Why.
    pub(crate) fn untested(why: impl Into<String>) -> Self {
        Self { untested: true, ..Self::words(why) }
    }
}

/// Keeps something for the lab to collect, whatever becomes of the case.
pub(crate) fn keep(what: &str, value: Value) {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned(), value);
}

static KEPT: LazyLock<Mutex<Map<String, Value>>> = LazyLock::new(Mutex::default);

/// What was kept, and what a case told besides.
fn kept(mut data: Value) -> Value {
    let kept = std::mem::take(&mut *KEPT.lock().unwrap_or_else(PoisonError::into_inner));
    match &mut data {
        Value::Object(fields) => fields.extend(kept),
        Value::Null if !kept.is_empty() => data = kept.into(),
        _ => {}
    }
    data
}

/// Something that must hold. It fails by an error, or by a panic as assertions do.
struct Case {
    name: &'static str,
    /// What the environment has to name for it, besides the program under test.
    needs: Option<&'static str>,
    run: fn() -> Result<Told, String>,
}

const CASES: &[Case] = &[
    Case { name: "demo", needs: None, run: demo::run },
    Case { name: "life", needs: None, run: life::run },
    Case { name: "errors", needs: None, run: errors::run },
    Case { name: "panic", needs: None, run: panic::run },
    Case { name: "doctor", needs: None, run: doctor::run },
    Case { name: "probe", needs: None, run: probe::run },
    Case { name: "attacks", needs: Some("ACME_TEST_ATTACKS"), run: attacks::run },
    Case { name: "sealed", needs: Some("ACME_TEST_SEALED"), run: scenes::sealed },
    Case { name: "breakages", needs: Some("ACME_TEST_BREAKAGES"), run: scenes::breakages },
    Case { name: "used", needs: None, run: used::run },
    Case { name: "broken", needs: Some("ACME_TEST_ATTACKS"), run: broken::run },
    Case { name: "replay", needs: Some("ACME_TEST_ATTACKS"), run: replay::run },
];

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let in_a_cell = std::env::var_os("ACME_TEST_PROGRAM").is_some();
    if let Some(unknown) = names.iter().find(|name| !CASES.iter().any(|case| case.name == **name)) {
        println!("there is no case {unknown}");
        // Cargo hands the same names to the tests of all programs.
        return if in_a_cell { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let named = |needs: &str| std::env::var_os(needs).is_some();
    let has_all = |case: &Case| match case.needs {
        Some("ACME_TEST_ATTACKS") => attacks().is_ok(),
        Some(needs) => named(needs),
        None => true,
    };
    let asked =
        |case: &&Case| if names.is_empty() { has_all(case) } else { names.iter().any(|name| name == case.name) };
    let mut failed = false;
    for case in CASES.iter().filter(asked) {
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(case.run)).unwrap_or_else(|panic| Err(words(panic.as_ref())));
        let seconds = started.elapsed().as_secs_f64();
        let line = match &result {
            Ok(told) => {
                let data = kept(told.data.clone());
                let (detail, untested) = (&told.detail, told.untested);
                json!({
                    "case": case.name, "ok": true, "untested": untested, "seconds": seconds, "detail": detail, "data": data,
                })
            }
            Err(why) => {
                let data = kept(Value::Null);
                json!({ "case": case.name, "ok": false, "seconds": seconds, "detail": why, "data": data })
            }
        };
        println!("LAB {line}");
        failed |= result.is_err();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The program with the feature `attacks`: the one that the environment names, or that these tests were built with.
pub(crate) fn attacks() -> Result<PathBuf, String> {
    match std::env::var_os("ACME_TEST_ATTACKS") {
        Some(path) => Ok(path.into()),
        None if cfg!(feature = "attacks") => Ok(program::built()),
        None => Err("ACME_TEST_ATTACKS names no program, and this one has not the feature".to_owned()),
    }
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("panicked without words").to_owned()
}
