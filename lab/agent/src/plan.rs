//! What an agent is to do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// All of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Plan {
    /// Seconds since 1970. Some machines have no clock.
    pub(crate) time: u64,
    /// One after the other.
    pub(crate) cells: Vec<Cell>,
}

/// A C library with programs for it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Cell {
    /// Its name, for the lines about it.
    pub(crate) name: String,
    /// The root directory.
    pub(crate) root: PathBuf,
    /// The directory of programs, which is at `/t` in the root.
    pub(crate) programs: PathBuf,
    /// Whether the kernel is to be one without filters of system calls.
    pub(crate) without_seccomp: bool,
    /// What is in the environment, and nothing else.
    pub(crate) environment: BTreeMap<String, String>,
    /// What is run.
    pub(crate) cases: Vec<Case>,
}

/// A run of a program.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Case {
    /// Its name.
    pub(crate) name: String,
    /// The program, as a path in the root, and its arguments.
    pub(crate) command: Vec<String>,
    /// Seconds after which it is ended.
    pub(crate) limit: u64,
}

impl Plan {
    /// Reads it.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
