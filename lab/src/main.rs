//! The lab: the whole program over architectures, C libraries and kernels, on one machine, by one command; and releases, which are
//! made by the same builds.

mod cells;
mod child;
mod cross;
mod debian;
mod dist;
mod elf;
mod error;
mod initramfs;
mod kernel;
mod library;
mod others;
mod outcome;
mod place;
mod plan;
mod qemu;
mod replay;
mod results;
mod run;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::{Args, Parser, Subcommand};

use crate::cells::{Cells, Machine};
use crate::error::{At as _, Error, Result};
use crate::place::{Kept, Place};
use crate::run::Wanted;

/// Tasks that take more than cargo.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the program over architectures, C libraries and kernels (lab/cells.toml)
    Lab(Lab),
    /// Build the programs that are released, static ones for every architecture, into dist/
    Dist(dist::Dist),
    /// Build what the cells of these targets run, without running anything
    Build {
        /// A target, with the oldest version of glibc behind a dot, or +dynamic behind musl
        #[arg(required = true)]
        target: Vec<String>,
    },
    /// Check and link what is for systems other than Linux, which is never run
    Others,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
struct Lab {
    #[command(subcommand)]
    task: Option<LabTask>,
    /// Run the handful of cells that every change has to pass
    #[arg(long)]
    smoke: bool,
    /// Run this cell, or all cells of this machine (may be given several times)
    #[arg(long, value_name = "NAME")]
    cell: Vec<String>,
    /// Run this case only (may be given several times)
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(plan::CASES))]
    case: Vec<String>,
    /// Machines at a time [default: one more than there are processors, since cases wait now and then]
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<usize>,
    /// Have each cell do everything, also what the cells of an architecture do in turn
    #[arg(long)]
    whole: bool,
    /// Fetch packages anew
    #[arg(long)]
    refresh: bool,
    /// Show what there is, and run nothing
    #[arg(long)]
    list: bool,
    /// Write lab/RESULTS.md. It is about everything, so nothing can be left out
    #[arg(long, conflicts_with_all = ["smoke", "cell", "case", "list"])]
    write: bool,
}

#[derive(Debug, Subcommand)]
enum LabTask {
    /// Try what a user's report tells of in the cell that is nearest to the user's machine; status 3: not reproduced
    Replay {
        /// What `acme-client sandbox report --json` printed there
        #[arg(value_name = "REPORT.json")]
        report: PathBuf,
    },
}

/// The status of a replay in which not everything was reproduced. Any other failure has status 1, and a wrong command line 2.
const NOT_REPRODUCED: u8 = 3;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let well = |well| if well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let result = Place::find().and_then(|place| match cli.task {
        Task::Lab(Lab { task: Some(LabTask::Replay { report }), .. }) => replay(&place, &report),
        Task::Lab(lab) => self::lab(&place, &lab).map(well),
        Task::Dist(dist) => dist::run(&place, &dist, &say).map(well),
        Task::Build { target } => build(&place, &target).map(well),
        Task::Others => others::run(&place, &say).map(well),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("lab: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "results are for whoever called")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "this is a program for a terminal")]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// Builds for targets, one after the other. One that fails does not keep the others from being built.
fn build(place: &Place, targets: &[String]) -> Result<bool> {
    let mut well = true;
    for target in targets {
        match cross::built(place, target, &complain) {
            Ok(built) => say(&format!("{target}: {}", built.directory.display())),
            Err(error) => {
                well = false;
                complain(&error.to_string());
            }
        }
    }
    Ok(well)
}

/// Plays a report.
fn replay(place: &Place, report: &Path) -> Result<ExitCode> {
    let cells = Cells::read(&place.source.join("lab/cells.toml"))?;
    let _used = place.used()?;
    let reproduced = replay::replay(place, &cells, report, &|line| say(line), &|line| complain(line))?;
    Ok(if reproduced { ExitCode::SUCCESS } else { ExitCode::from(NOT_REPRODUCED) })
}

/// Runs cells, and says what came of them. Whether all is well.
fn lab(place: &Place, options: &Lab) -> Result<bool> {
    let cells = Cells::read(&place.source.join("lab/cells.toml"))?;
    let machines = wanted(&cells, options)?;
    if options.list {
        machines.iter().flat_map(|machine| &machine.cells).for_each(|cell| say(&cell.name));
        return Ok(true);
    }
    if options.refresh {
        let _alone = place.alone()?;
        let _lock = place.lock(Kept::Packages)?;
        debian::Suite::forget(place)?;
    }
    let cases: Vec<&str> = plan::CASES
        .into_iter()
        .filter(|case| options.case.is_empty() || options.case.iter().any(|wanted| wanted == case))
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = options.jobs.unwrap_or(cores + 1);
    let started = Instant::now();
    let _used = place.used()?;
    let results = run::run(
        place,
        &cells,
        &machines,
        &Wanted { cases: cases.clone(), whole: options.whole, jobs, report: None },
        &|line| complain(line),
    )?;
    say(&table::text(&results, &cases));
    let seconds = started.elapsed().as_secs_f64();
    say(&format!("It took {seconds:.0} s."));
    if options.write {
        let when = child::output(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
        let path = place.source.join("lab/RESULTS.md");
        let page = results::page(&cells, &results, &cases, seconds, String::from_utf8_lossy(&when).trim());
        std::fs::write(&path, page).at(&path)?;
    }
    Ok(table::counts(&results).all_well())
}

/// The machines with the cells that are wanted.
fn wanted(cells: &Cells, options: &Lab) -> Result<Vec<Machine>> {
    for name in &options.cell {
        let known = cells
            .machines
            .iter()
            .any(|machine| machine.name == *name || machine.cells.iter().any(|cell| cell.name == *name));
        if !known {
            return Err(Error::new(format!("there is no cell or machine called {name}; --list shows them")));
        }
    }
    let machines = cells.machines.iter().filter_map(|machine| {
        machine.with(|cell| {
            let named =
                options.cell.is_empty() || options.cell.iter().any(|name| *name == cell.name || *name == machine.name);
            named && (cell.smoke || !options.smoke)
        })
    });
    let machines: Vec<Machine> = machines.collect();
    if machines.is_empty() {
        return Err(Error::new("none of these cells is one that --smoke runs"));
    }
    Ok(machines)
}
