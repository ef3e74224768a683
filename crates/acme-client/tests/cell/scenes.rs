//! `sealed` and `breakages`: the scenes of `portcullis`, each a process of its own, as far as the machine matters for them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::{Told, keep};

/// What a sealed process can do and what it cannot, as the kernel sees it.
pub(crate) fn sealed() -> Result<Told, String> {
    play("ACME_TEST_SEALED", &[])
}

/// What has broken others, made to happen. What holds by computation is not computed again on every machine.
pub(crate) fn breakages() -> Result<Told, String> {
    if super::doctor::declared().is_some_and(|declared| !declared.seccomp) {
        return Ok(Told::untested("without filters of system calls there is nothing to break"));
    }
    play("ACME_TEST_BREAKAGES", &["live"])
}

fn play(variable: &str, arguments: &[&str]) -> Result<Told, String> {
    let program = std::env::var_os(variable).map(PathBuf::from);
    let program = program.ok_or_else(|| format!("{variable} does not name the program"))?;
    let output = Command::new(&program).args(arguments).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or_default();
    let Some((passed, failed)) = counted(last) else {
        return Err(format!("it ended with {}, and its last words are {last:?}: {errors}", output.status));
    };
    keep("passed", passed.into());
    let untested = untested(&text);
    let count = untested.len();
    keep("not-tested", json!(untested));
    if failed == 0 && passed > 0 && output.status.success() {
        let rest = if count == 0 { String::new() } else { format!(", {count} things cannot be tested here") };
        return Ok(Told::words(format!("{passed} scenes{rest}")));
    }
    Err(format!("{failed} of {} scenes failed: {}", passed + failed, failures(&text)))
}

/// The last line.
fn counted(line: &str) -> Option<(u64, u64)> {
    let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

/// What could not be tested on this machine, and in how many scenes.
fn untested(text: &str) -> BTreeMap<&str, usize> {
    let mut found = BTreeMap::new();
    for note in text.lines().filter_map(|line| line.split_once("not tested: ").map(|(_, note)| note)) {
        *found.entry(note).or_default() += 1;
    }
    found
}

/// The scenes that failed, and what they said.
fn failures(text: &str) -> String {
    let mut found = Vec::new();
    let mut failed = false;
    for line in text.lines() {
        if line.starts_with("scene ") || line.contains(" ... ") {
            failed = line.ends_with("FAILED");
        }
        if failed && !line.trim().is_empty() {
            found.push(line.trim());
        }
    }
    // The last line of all is the count.
    found.join(" / ").chars().take(3000).collect()
}
