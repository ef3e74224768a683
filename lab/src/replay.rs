//! Replay: what a user's report tells of, tried in the cell that is nearest to the user's machine.
//!
//! Nothing in a report is believed. It says what to look for and where, and what is found is what counts.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::cells::{Cell, Cells, Machine};
use crate::error::{At as _, Error, Result};
use crate::library;
use crate::place::Place;
use crate::plan::std_arch;
use crate::run::{self, Wanted};

/// The case that plays a report.
pub(crate) const CASE: &str = "replay";

/// A file larger than this is no report.
const LARGEST: u64 = 4 << 20;

/// What matters of a report here: `acme-client sandbox report --json`.
#[derive(Debug, Deserialize)]
struct Report {
    version: u64,
    command: String,
    machine: On,
    records: Vec<Record>,
}

/// A machine.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct On {
    arch: String,
    kernel: String,
    libc: String,
}

#[derive(Debug, Deserialize)]
struct Record {
    machine: Option<On>,
}

/// The cell that is nearest to a machine, and how near that is.
#[derive(Debug)]
struct Nearest {
    machine: Machine,
    cell: Cell,
}

/// Plays a report. Whether everything in it was reproduced.
pub(crate) fn replay(
    place: &Place,
    cells: &Cells,
    path: &Path,
    say: &dyn Fn(&str),
    tell: &(dyn Fn(&str) + Sync),
) -> Result<bool> {
    let report = read(path)?;
    if report.records.is_empty() {
        return Err(Error::new(format!(
            "{}: nothing was refused on that machine, so there is nothing to replay",
            path.display()
        )));
    }
    // What was refused may have been so with an older kernel or library than those the report was written with.
    let on = report.records.iter().rev().find_map(|record| record.machine.clone()).unwrap_or(report.machine);
    let nearest = nearest(place, cells, &on)?;
    say(&format!("Reported from {}, Linux {}, {}.", printable(&on.arch), printable(&on.kernel), printable(&on.libc)));
    let wanted = Wanted { cases: vec![CASE], whole: true, jobs: 1, report: Some(path) };
    let machine = Machine { cells: vec![nearest.cell.clone()], ..nearest.machine };
    let results = run::run(place, cells, &[machine], &wanted, tell)?;
    let result = results.first().and_then(|result| Some((result, result.cells.first()?)));
    let (machine, cell) = result.ok_or_else(|| Error::new("the cell has no result"))?;
    say(&format!("Replayed in {}: Linux {}, {}.", cell.cell.name, machine.kernel, cell.c_library));
    let outcome = &cell.outcomes[CASE];
    if !outcome.ok {
        return Err(Error::new(format!("the replay in {} failed: {}", cell.cell.name, outcome.detail)));
    }
    let records = outcome.data["records"].as_array().cloned().unwrap_or_default();
    records.iter().for_each(|record| say(&told(record)));
    Ok(!records.is_empty() && records.iter().all(|record| record["reproduced"] == true))
}

/// Somebody else's text, on its way to a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(120).collect()
}

/// A record in a line.
fn told(record: &Value) -> String {
    let text = |value: &Value| printable(value.as_str().unwrap_or("?"));
    let what = format!("{}, {} ({})", text(&record["role"]), text(&record["call"]), text(&record["class"]));
    if record["reproduced"] != true {
        return format!("not reproduced here: {what}");
    }
    let place = |value: &Value| if value.is_string() { format!(", from {}", text(value)) } else { String::new() };
    let (reported, here) = (place(&record["symbol"]), place(&record["here"]["symbol"]));
    let elsewhere = if here == reported { String::new() } else { format!(" (reported{reported})") };
    format!("reproduced: {what}{here}{}", if reported.is_empty() { String::new() } else { elsewhere })
}

fn read(path: &Path) -> Result<Report> {
    let length = std::fs::metadata(path).at(path)?.len();
    if length > LARGEST {
        return Err(Error::new(format!("{} is no report: it is larger than {LARGEST} bytes", path.display())));
    }
    let text = std::fs::read_to_string(path).at(path)?;
    let report: Report = serde_json::from_str(&text).map_err(|error| {
        Error::new(format!("{} is not what `acme-client sandbox report --json` prints: {error}", path.display()))
    })?;
    if report.command != "sandbox report" || report.version != 1 {
        return Err(Error::new(format!("{} is not version 1 of a sandbox report", path.display())));
    }
    Ok(report)
}

/// The first numbers of a version.
fn numbers(text: &str) -> Option<(u64, u64)> {
    let start = text.find(|char: char| char.is_ascii_digit())?;
    let mut parts = text[start..].split(|char: char| !char.is_ascii_digit());
    let mut next = || parts.next().and_then(|part| part.parse().ok());
    Some((next()?, next().unwrap_or(0)))
}

/// How far two versions are apart: nothing is further than another first number, whatever the second.
fn distance(a: Option<(u64, u64)>, b: Option<(u64, u64)>) -> u64 {
    match (a, b) {
        (Some(a), Some(b)) => a.0.abs_diff(b.0).saturating_mul(1000).saturating_add(a.1.abs_diff(b.1)),
        _ => u64::from(u16::MAX),
    }
}

/// The cell of the same architecture whose C library and then whose kernel is nearest.
fn nearest(place: &Place, cells: &Cells, on: &On) -> Result<Nearest> {
    let all = cells.machines.iter().flat_map(|machine| machine.cells.iter().map(move |cell| (machine, cell)));
    // Without filters of system calls nothing is refused by them.
    let all = all.filter(|(machine, _)| machine.declared.is_none_or(|declared| declared.seccomp));
    let of_arch: Vec<(&Machine, &Cell)> = all.filter(|(_, cell)| std_arch(&cell.arch) == on.arch).collect();
    if of_arch.is_empty() {
        let arch: String = on.arch.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        return Err(Error::new(format!("no cell of the lab is like that machine: there is none for {arch}")));
    }
    let own = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rank = |(machine, cell): &(&Machine, &Cell)| {
        let family = !on.libc.starts_with(cell.c_library.family());
        let version = library_version(place, cells, cell);
        let kernel = if machine.boot.is_some() { machine.name.rsplit('-').find_map(numbers) } else { numbers(&own) };
        (family, distance(numbers(&on.libc), version), distance(numbers(&on.kernel), kernel), machine.boot.is_some())
    };
    let found = of_arch.into_iter().min_by_key(rank);
    let (machine, cell) = found.ok_or_else(|| Error::new("there are no cells"))?;
    Ok(Nearest { machine: machine.clone(), cell: cell.clone() })
}

/// The version of a cell's C library, which is fetched for that.
fn library_version(place: &Place, cells: &Cells, cell: &Cell) -> Option<(u64, u64)> {
    cell.c_library.suite()?;
    let programs = cells.programs.get(&cell.arch)?;
    let root = library::have(place, &cell.c_library, &programs.debian).ok()?;
    numbers(&root.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    #[test]
    fn versions_are_near_or_far() {
        assert_eq!(numbers("glibc 2.36-9+deb12u10"), Some((2, 36)));
        assert_eq!(numbers("6.18.44-x"), Some((6, 18)));
        assert_eq!(numbers("musl"), None);
        assert!(distance(Some((6, 18)), Some((6, 1))) < distance(Some((6, 18)), Some((7, 0))));
        assert!(distance(None, Some((1, 2))) > distance(Some((1, 1)), Some((1, 2))));
        assert_eq!(numbers("glibc 99999999999999999999.1"), None);
        assert_eq!(distance(numbers("18446744073709551615.0"), Some((0, 1))), u64::MAX);
    }

    #[test]
    fn what_is_no_report_is_refused_in_one_line() {
        for text in ["", "{}", "[1]", r#"{"version":2,"command":"sandbox report","machine":{},"records":[]}"#] {
            let file = file(text);
            let error = read(file.path()).expect_err("no report").to_string();
            assert!(error.contains(file.path().to_str().expect("text")) && !error.contains('\n'), "{error}");
        }
        let machine = r#"{"arch":"x86_64","kernel":"6.1","libc":"glibc 2.36"}"#;
        let good = format!(r#"{{"version":1,"command":"sandbox report","machine":{machine},"records":[]}}"#);
        assert!(read(file(&good).path()).is_ok());
        assert!(read(file(&good.replace("sandbox report", "status")).path()).is_err());
    }

    #[test]
    fn records_are_told_without_what_a_terminal_obeys() {
        let record =
            serde_json::json!({ "role": "net\u{1b}[2J", "call": "openat", "class": "open-path", "reproduced": false });
        assert_eq!(told(&record), "not reproduced here: net[2J, openat (open-path)");
        let record = serde_json::json!({
            "role": "net", "call": "getuid", "class": "identity", "symbol": "f+0x1", "reproduced": true,
            "here": { "symbol": "g+0x2" },
        });
        assert_eq!(told(&record), "reproduced: net, getuid (identity), from g+0x2 (reported, from f+0x1)");
    }
}
