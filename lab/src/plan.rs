//! What is run in a cell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Value, json};

use crate::cells::{Cell, Declared};
use crate::child::Limit;

/// The cases, in the order they are run in. Each is one of `crates/acme-client/tests/cell.rs`.
pub(crate) const CASES: [&str; 11] =
    ["demo", "life", "errors", "panic", "doctor", "probe", "attacks", "sealed", "breakages", "used", "broken"];

/// Seconds after which a case is ended. An emulated machine is twenty to forty times slower than the one it is on.
const LIMIT: u64 = 120;

/// Seconds that a machine may take to start, and to get on from one case to the next.
const SLOW: u64 = 120;

/// What an agent is to do.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    time: u64,
    cells: Vec<Entry>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    name: String,
    root: PathBuf,
    programs: PathBuf,
    without_seccomp: bool,
    environment: BTreeMap<&'static str, String>,
    cases: Vec<Case>,
}

#[derive(Debug, Serialize)]
struct Case {
    name: String,
    command: Vec<String>,
    limit: u64,
}

impl Plan {
    /// An empty plan.
    pub(crate) fn new() -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_secs()).unwrap_or_default();
        Self { time, cells: Vec::new() }
    }

    /// Adds a cell, with its root directory and programs as the agent finds them.
    pub(crate) fn add(
        &mut self,
        cell: &Cell,
        declared: Option<Declared>,
        root: &Path,
        programs: &Path,
        cases: &[&str],
        whole: bool,
    ) {
        let case = |name: &&str| Case {
            name: (*name).to_owned(),
            command: vec!["/t/cell".to_owned(), (*name).to_owned()],
            limit: LIMIT,
        };
        let mut environment = BTreeMap::from([
            ("HOME", "/tmp".to_owned()),
            ("PATH", "/t".to_owned()),
            ("TMPDIR", "/tmp".to_owned()),
            ("ACME_TEST_PROGRAM", "/t/acme-client".to_owned()),
            ("ACME_TEST_ATTACKS", "/t/acme-client-attacks".to_owned()),
            ("ACME_TEST_SEALED", "/t/sealed".to_owned()),
            ("ACME_TEST_BREAKAGES", "/t/breakages".to_owned()),
        ]);
        if let Some(declared) = declared {
            environment.insert("ACME_TEST_DECLARES", declares(cell, declared).to_string());
        }
        if !whole && cell.share.1 > 1 {
            environment.insert("ACME_TEST_SHARE", format!("{}/{}", cell.share.0, cell.share.1));
        }
        if cases.contains(&"replay") {
            environment.insert("ACME_TEST_REPORT", "/t/report.json".to_owned());
        }
        self.cells.push(Entry {
            name: cell.name.clone(),
            root: root.to_owned(),
            programs: programs.to_owned(),
            without_seccomp: declared.is_some_and(|declared| !declared.seccomp),
            environment,
            cases: cases.iter().map(case).collect(),
        });
    }

    /// As the agent reads it.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// When a machine that follows it is not to be expected to end any more: it says something at the end of each case, which
    /// it ends itself if it takes too long.
    pub(crate) fn limit(&self) -> Limit {
        let cases = self.cells.iter().flat_map(|cell| &cell.cases).map(|case| case.limit).sum::<u64>();
        Limit { whole: Duration::from_secs(SLOW + cases), silent: Some(Duration::from_secs(SLOW + LIMIT)) }
    }
}

/// What a cell is said to be able to do, as its cases are told.
fn declares(cell: &Cell, declared: Declared) -> Value {
    json!({
        "seccomp": declared.seccomp,
        "user-notification": declared.user_notification,
        "landlock": (declared.landlock > 0).then_some(declared.landlock),
        "mdwe": declared.mdwe,
        "arch": std_arch(&cell.arch),
        "libc": cell.c_library.family(),
    })
}

/// What the standard library calls an architecture (`std::env::consts::ARCH`).
pub(crate) fn std_arch(arch: &str) -> &str {
    match arch {
        "i686" => "x86",
        "armv7" => "arm",
        "ppc64le" => "powerpc64",
        "mips64el" => "mips64",
        other => other,
    }
}
