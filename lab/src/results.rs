//! `lab/RESULTS.md`: what a run of everything showed, for whoever wants to know without running it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::cells::Cells;
use crate::outcome::Outcome;
use crate::run::{CellResult, MachineResult};
use crate::table;

/// The page.
pub(crate) fn page(cells: &Cells, results: &[MachineResult], cases: &[&str], seconds: f64, when: &str) -> String {
    let all = || results.iter().flat_map(|result| &result.cells);
    let counts = table::counts(results);
    let arches: BTreeSet<&str> = all().map(|cell| cell.cell.arch.as_str()).collect();
    let emulated = results.iter().filter(|result| result.machine.boot.is_some()).count();
    let mut text = format!(
        "# Results of the lab\n\n\
         Written by `cargo xtask lab --write` on {when}: {} cells on {} kernels ({emulated} of them emulated, and the lab's own), \
         {} architectures, {} cases in each cell; **{counts}**, in {seconds:.0} s. What a cell and a case are is in \
         [README.md](README.md).\n\n",
        all().count(),
        results.len(),
        arches.len(),
        cases.len(),
    );
    kernels(&mut text, results);
    libraries(&mut text, cells, results);
    every_case(&mut text, results, cases);
    unused(&mut text, results);
    broken(&mut text, results);
    text
}

fn kernels(text: &mut String, results: &[MachineResult]) {
    text.push_str("## Kernels\n\n| machine | kernel | package | Landlock | booted in s | cells | all in s |\n|---|---|---|---|---|---|---|\n");
    for result in results {
        let landlock = match result.machine.declared.map(|declared| declared.landlock) {
            None => "as it is".to_owned(),
            Some(0) => "none".to_owned(),
            Some(version) => version.to_string(),
        };
        let up = result.up.filter(|_| result.machine.boot.is_some()).map(|up| format!("{up:.1}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {landlock} | {up} | {} | {:.0} |",
            result.machine.name,
            result.kernel,
            result.package,
            result.cells.len(),
            result.seconds
        );
    }
}

fn libraries(text: &mut String, cells: &Cells, results: &[MachineResult]) {
    text.push_str(
        "\n## C libraries\n\n| library | architecture | version | program built for | cells |\n|---|---|---|---|---|\n",
    );
    let mut found: BTreeMap<(String, &str), (&CellResult, usize)> = BTreeMap::new();
    for cell in results.iter().flat_map(|result| &result.cells) {
        let key = (cell.cell.c_library.to_string(), cell.cell.arch.as_str());
        found.entry(key).or_insert((cell, 0)).1 += 1;
    }
    for ((library, arch), (cell, count)) in found {
        let programs = cells.programs.get(arch);
        let target = programs.and_then(|programs| cell.cell.c_library.target(programs)).unwrap_or_default();
        let _ = writeln!(text, "| {library} | {arch} | {} | `{target}` | {count} |", cell.c_library);
    }
}

fn every_case(text: &mut String, results: &[MachineResult], cases: &[&str]) {
    text.push_str("\n## Every case in every cell\n\nSeconds, by the machine's own clock. A dash: there is nothing to try, for want of what the cell is said to lack.\n\n| cell |");
    cases.iter().for_each(|case| {
        let _ = write!(text, " {case} |");
    });
    text.push_str("\n|---|");
    cases.iter().for_each(|_| text.push_str("---|"));
    text.push('\n');
    for cell in results.iter().flat_map(|result| &result.cells) {
        let _ = write!(text, "| {} |", cell.cell.name);
        for case in cases {
            let _ = match cell.outcomes.get(*case) {
                Some(outcome) if outcome.ok && outcome.untested => write!(text, " – |"),
                Some(outcome) if outcome.ok => write!(text, " {:.1} |", outcome.seconds),
                _ => write!(text, " **failed** |"),
            };
        }
        text.push('\n');
    }
    for line in results.iter().flat_map(table::failures) {
        let _ = write!(text, "\n* {}", line.words);
    }
}

/// What a case told of every cell in which it went well.
fn data<'a>(results: &'a [MachineResult], case: &'a str) -> impl Iterator<Item = (&'a CellResult, &'a Value)> {
    let cells = results.iter().flat_map(|result| &result.cells);
    let tried = |outcome: &&Outcome| outcome.ok && !outcome.untested;
    cells.filter_map(move |cell| Some((cell, &cell.outcomes.get(case).filter(tried)?.data)))
}

/// Names by role, as cases tell them.
fn by_role(data: &Value) -> impl Iterator<Item = (&str, BTreeSet<&str>)> {
    let roles = data.as_object().into_iter().flatten();
    roles.map(|(role, names)| {
        (role.as_str(), names.as_array().into_iter().flatten().filter_map(Value::as_str).collect())
    })
}

fn unused(text: &mut String, results: &[MachineResult]) {
    let (mut granted, mut used) = (BTreeMap::<&str, BTreeSet<&str>>::new(), BTreeMap::<&str, BTreeSet<&str>>::new());
    let mut count = 0;
    for (_, data) in data(results, "used") {
        count += 1;
        by_role(&data["granted"]).for_each(|(role, names)| granted.entry(role).or_default().extend(names));
        by_role(&data["used"]).for_each(|(role, names)| used.entry(role).or_default().extend(names));
    }
    let _ = write!(
        text,
        "\n\n## Granted and never used\n\n\
         Calls that a role may make and that none of {count} cells saw it make after its seal, while certificates were issued, \
         renewed and revoked. Why they are granted all the same is in [drift.md](../docs/drift.md).\n\n\
         | role | granted | used somewhere | never used |\n|---|---|---|---|\n"
    );
    for (role, granted) in granted {
        let used = used.remove(role).unwrap_or_default();
        let never: Vec<String> = granted.difference(&used).map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            text,
            "| {role} | {} | {} | {} |",
            granted.len(),
            granted.intersection(&used).count(),
            never.join(", ")
        );
    }
}

fn broken(text: &mut String, results: &[MachineResult]) {
    #[derive(Default)]
    struct Class {
        cells: usize,
        recorded: usize,
        went_on: usize,
        not: Vec<String>,
    }
    let mut classes: BTreeMap<&str, Class> = BTreeMap::new();
    let mut count = 0;
    for (cell, data) in data(results, "broken") {
        count += 1;
        for run in data["broken"].as_array().into_iter().flatten() {
            let class = classes.entry(run["class"].as_str().unwrap_or("?")).or_default();
            class.cells += 1;
            class.went_on += usize::from(run["status"] == 0);
            if run["records"].as_u64() > Some(0) {
                class.recorded += 1;
            } else {
                class.not.push(cell.cell.name.clone());
            }
        }
    }
    let _ = write!(
        text,
        "\n## Policies that are broken on purpose\n\n\
         In each of {count} cells classes of calls are taken away from a role, in turn, and a certificate is issued. It has to be \
         recorded that calls of that class were refused, and the run has to end in order: with the certificate, since a layer that is in \
         the way is left out, or with an error that says what was refused.\n\n\
         | class taken away | cells | recorded in | certificate issued in | never called there, so not recorded, in |\n\
         |---|---|---|---|---|\n"
    );
    for (name, class) in classes {
        let mut not = class.not;
        let more = not.len().saturating_sub(4);
        not.truncate(4);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {}{more} |",
            class.cells,
            class.recorded,
            class.went_on,
            not.join(", ")
        );
    }
}
