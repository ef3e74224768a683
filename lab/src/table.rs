//! Results, for people.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use crate::outcome::Outcome;
use crate::run::{CellResult, MachineResult};

/// How many cases there are of each kind, and machines that did not end as they must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: usize,
    failed: usize,
    untested: usize,
    machines: usize,
}

impl Counts {
    /// Whether nothing failed.
    pub(crate) fn all_well(self) -> bool {
        self.failed == 0 && self.machines == 0
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.untested > 0 {
            write!(f, ", {} with nothing to try", self.untested)?;
        }
        if self.machines > 0 {
            write!(f, ", {} machines did not end as they must", self.machines)?;
        }
        Ok(())
    }
}

/// Something that failed.
#[derive(Debug)]
pub(crate) struct Failure<'a> {
    /// Where and why, in a line.
    pub(crate) words: String,
    /// The last that was said there.
    pub(crate) log: &'a [String],
}

/// Every cell in a line, with the seconds of each case; what failed below, each in a line with its reason.
pub(crate) fn text(results: &[MachineResult], cases: &[&str]) -> String {
    let mut text = String::new();
    let width = results.iter().flat_map(|result| &result.cells).map(|cell| cell.cell.name.len()).max().unwrap_or(4);
    let head: Vec<String> = cases.iter().map(|case| format!("{case:>9}")).collect();
    let _ = writeln!(text, "{:<width$} {}", "cell", head.join(" "));
    for cell in results.iter().flat_map(|result| &result.cells) {
        let columns = cases.iter().map(|case| match cell.outcomes.get(*case) {
            Some(outcome) if outcome.ok && outcome.untested => format!("{:>9}", "-"),
            Some(outcome) if outcome.ok => format!("{:>9.2}", outcome.seconds),
            _ => format!("{:>9}", "FAILED"),
        });
        let _ = writeln!(text, "{:<width$} {}", cell.cell.name, columns.collect::<Vec<_>>().join(" "));
    }
    for failure in results.iter().flat_map(failures) {
        let _ = writeln!(text, "{}", failure.words);
        for line in failure.log {
            let _ = writeln!(text, "    {line}");
        }
    }
    let _ = writeln!(text, "{}", counts(results));
    text
}

/// What failed on a machine. Cases of a cell that failed for the same reason are one.
pub(crate) fn failures(result: &MachineResult) -> Vec<Failure<'_>> {
    let mut failures = Vec::new();
    if let Some(wrong) = &result.wrong {
        failures.push(Failure { words: format!("{}: {wrong}", result.machine.name), log: &[] });
    }
    for cell in &result.cells {
        let mut reasons: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
        for outcome in cell.failures() {
            reasons.entry(outcome.detail.lines().next().unwrap_or_default()).or_default().push(outcome);
        }
        for (reason, outcomes) in reasons {
            let cases: Vec<&str> = outcomes.iter().map(|outcome| outcome.case.as_str()).collect();
            let cases =
                if cases.len() > 1 && cases.len() == cell.outcomes.len() { "all".to_owned() } else { cases.join(", ") };
            let log =
                outcomes.iter().map(|outcome| outcome.log.as_slice()).max_by_key(|log| log.len()).unwrap_or_default();
            failures.push(Failure { words: format!("{} {cases}: {reason}", cell.cell.name), log });
        }
    }
    failures
}

/// What came of everything, in numbers.
pub(crate) fn counts(results: &[MachineResult]) -> Counts {
    let mut counts =
        Counts { machines: results.iter().filter(|result| result.wrong.is_some()).count(), ..Counts::default() };
    for outcome in results.iter().flat_map(|result| &result.cells).flat_map(|cell: &CellResult| cell.outcomes.values())
    {
        match (outcome.ok, outcome.untested) {
            (true, false) => counts.passed += 1,
            (true, true) => counts.untested += 1,
            (false, _) => counts.failed += 1,
        }
    }
    counts
}
