//! Results, for people.

use std::fmt::Write as _;

use crate::run::MachineResult;

/// Every cell in a line, with the seconds of each case; what failed below, each in a line with its reason.
pub(crate) fn text(results: &[MachineResult], cases: &[&str]) -> String {
    let mut text = String::new();
    let width = results.iter().flat_map(|result| &result.cells).map(|cell| cell.cell.name.len()).max().unwrap_or(4);
    let head: Vec<String> = cases.iter().map(|case| format!("{case:>9}")).collect();
    let _ = writeln!(text, "{:<width$} {}", "cell", head.join(" "));
    for cell in results.iter().flat_map(|result| &result.cells) {
        let columns = cases.iter().map(|case| match cell.outcomes.get(*case) {
            Some(outcome) if outcome.ok => format!("{:>9.2}", outcome.seconds),
            _ => format!("{:>9}", "FAILED"),
        });
        let _ = writeln!(text, "{:<width$} {}", cell.cell.name, columns.collect::<Vec<_>>().join(" "));
    }
    for outcome in results.iter().flat_map(|result| &result.cells).flat_map(|cell| cell.failures()) {
        let reason = outcome.detail.lines().next().unwrap_or_default();
        let _ = writeln!(text, "{} {}: {reason}", outcome.cell, outcome.case);
        for line in &outcome.log {
            let _ = writeln!(text, "    {line}");
        }
    }
    let (passed, failed) = counts(results);
    let _ = writeln!(text, "{passed} passed, {failed} failed");
    text
}

/// Cases that passed, and that failed.
pub(crate) fn counts(results: &[MachineResult]) -> (usize, usize) {
    let outcomes = || results.iter().flat_map(|result| &result.cells).flat_map(|cell| cell.outcomes.values());
    (outcomes().filter(|outcome| outcome.ok).count(), outcomes().filter(|outcome| !outcome.ok).count())
}
