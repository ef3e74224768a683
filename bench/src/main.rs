//! Measures acme-client beside other ACME clients: in one run, in turn, against one Pebble.
//!
//! `docs/benchmarks.md` says how it is run, what it measures and what came of it.

mod clients;
mod filters;
mod many;
mod measure;
mod report;
mod servers;
mod world;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

use clients::{Client, OURS, PEERS, Task, builds};
use many::Stock;
use report::Runs;
use world::World;

type Result<T> = core::result::Result<T, Box<dyn std::error::Error>>;

/// Measures acme-client beside other ACME clients, in one run.
#[derive(Debug, Parser)]
#[command(after_help = "bench filters: its filters for system calls beside those of libseccomp, which needs no root")]
struct Options {
    /// The client to be measured
    #[arg(long, default_value = "target/release/acme-client", value_name = "PROGRAM")]
    client: PathBuf,
    /// Another build of the client, to be compared with it (may be given several times)
    #[arg(long, value_name = "PROGRAM")]
    also: Vec<PathBuf>,
    /// The CA
    #[arg(long, default_value = "pebble", value_name = "PROGRAM")]
    pebble: PathBuf,
    /// How often each is timed
    #[arg(long, default_value_t = 15, value_name = "TIMES")]
    rounds: usize,
    /// Leave the other clients out
    #[arg(long)]
    alone: bool,
    /// Certificates that are not due; none: leave that part out
    #[arg(long, default_value_t = 1000, value_name = "COUNT")]
    stock: usize,
    /// Certificates to be had in one run; none: leave that part out
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    many: usize,
    /// Measure nothing: start the CA and the servers, say where they are, and wait for the end of standard input
    #[arg(long)]
    hold: bool,
    /// The process is in a mount namespace of its own already
    #[arg(long, hide = true)]
    apart: bool,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let done = match arguments.next() {
        Some(word) if word == measure::TIMED => measure::time(arguments),
        Some(word) if word == filters::WORD => filters::run(arguments),
        _ => run(&Options::parse()).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        // Nobody reads it if standard error is closed.
        let _ = writeln!(std::io::stderr(), "bench: {error}");
        ExitCode::FAILURE
    })
}

fn run(options: &Options) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err("root is needed: for a mount namespace, and to see the memory of other users' processes".into());
    }
    if !options.apart {
        return Err(step_aside()?.into());
    }
    let builds: Vec<&Path> = [&options.client].into_iter().chain(&options.also).map(PathBuf::as_path).collect();
    let world = World::start(&options.pebble, &builds)?;
    if options.hold {
        say(&world.directions()?)?;
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
        return Ok(());
    }
    say(&format!("{}\n", machine()))?;
    one_certificate(options, &world)?;
    if options.many > 0 {
        many(options, &world)?;
    }
    if options.stock > 0 {
        not_due(options, &world)?;
    }
    Ok(())
}

/// Starts the program again where it may put another bundle of roots in place of the machine's, for itself and what it
/// starts. Returns only if that fails.
fn step_aside() -> std::io::Result<std::io::Error> {
    let program = std::env::current_exe()?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private"]).arg(program).arg("--apart").args(arguments);
    Ok(unshare.exec())
}

fn one_certificate(options: &Options, world: &World) -> Result<()> {
    let mut contestants: Vec<(Client, Runs)> = Vec::new();
    let mut missing = Vec::new();
    let peers = PEERS.into_iter().filter(|_| !options.alone);
    for client in OURS.into_iter().chain(builds(world)).chain(peers) {
        match client.version(world) {
            Some(version) => {
                let runs = Runs { name: client.id.clone().into_owned(), version, ..Runs::default() };
                contestants.push((client, runs));
            }
            None => missing.push(client.id),
        }
    }
    for round in 0..options.rounds {
        // Who goes first changes, so that nobody always runs after the same one.
        let all = contestants.len();
        for at in round..round + all {
            let Some((client, runs)) = contestants.get_mut(at % all) else { continue };
            if round < client.patience {
                runs.timings.push(measure::timed(&client.task(world, &format!("t{round}"))?)?);
            }
        }
    }
    for round in 0..options.rounds.clamp(1, 5) {
        for (client, runs) in &mut contestants {
            if round < client.patience {
                runs.memory.push(measure::sampled(&client.task(world, &format!("m{round}"))?)?);
            }
        }
    }
    for (client, runs) in &mut contestants {
        runs.trace = measure::traced(&client.task(world, "s")?)?;
    }
    let runs: Vec<Runs> = contestants.into_iter().map(|(_, runs)| runs).collect();
    say(&format!("\n## A new account and one P-256 certificate\n\n{}", report::table(&runs)))?;
    if !missing.is_empty() {
        say(&format!("\nNot installed, so not measured: {}.\n", missing.join(", ")))?;
    }
    if let [ours, off, ..] = runs.as_slice() {
        let wall = (report::ratio(ours, off, |timing| timing.wall) - 1.0) * 100.0;
        let cpu = report::median(ours.timings.iter().zip(&off.timings).map(|(ours, off)| (ours.cpu - off.cpu) * 1e3));
        say(&format!(
            "\nThe sandbox costs {wall:+.1} % of the wall time and {cpu:+.1} ms of CPU (medians of the rounds).\n"
        ))?;
        let looks = report::median(ours.memory.iter().map(|memory| count(memory.looks)));
        say(&format!(
            "\n## Memory of each of our processes when all together have most ({looks} looks at a run)\n\n{}",
            report::roles(ours)
        ))?;
    }
    Ok(())
}

fn many(options: &Options, world: &World) -> Result<()> {
    let count = options.many;
    type Make = fn(&World, usize, &str) -> Result<Task>;
    let mut contestants: Vec<(&str, Make, usize)> = vec![("ours, one run", many::ours, 5)];
    if !options.alone && is_installed("uacme") {
        contestants.push(("uacme, a loop", many::uacme, 1));
    }
    let mut all = Vec::new();
    for (name, make, rounds) in contestants {
        let mut runs = Runs { name: name.to_owned(), ..Runs::default() };
        for round in 0..rounds.min(options.rounds) {
            runs.timings.push(measure::timed(&make(world, count, &format!("t{round}"))?)?);
        }
        runs.memory.push(measure::sampled(&make(world, count, "m")?)?);
        all.push(runs);
    }
    say(&format!("\n## {count} certificates\n\n{}", report::table(&all)))
}

fn not_due(options: &Options, world: &World) -> Result<()> {
    let stock = Stock::make(world, options.stock)?;
    let mut contestants: Vec<(&str, &Task, usize)> =
        vec![("ours, `renew`", &stock.ours, 15), ("ours, `renew`, configured", &stock.configured, 15)];
    if !options.alone {
        let peers = [("lacme", "lacme, `newOrder`", &stock.lacme, 5), ("uacme", "uacme, a loop", &stock.uacme, 1)];
        for (program, name, task, rounds) in peers {
            if is_installed(program) {
                contestants.push((name, task, rounds));
            }
        }
    }
    let mut all: Vec<Runs> =
        contestants.iter().map(|(name, ..)| Runs { name: (*name).to_owned(), ..Runs::default() }).collect();
    for round in 0..options.rounds {
        for ((_, task, rounds), runs) in contestants.iter().zip(&mut all) {
            if round < *rounds {
                runs.timings.push(measure::timed(task)?);
            }
        }
    }
    for ((_, task, _), runs) in contestants.iter().zip(&mut all) {
        runs.memory.push(measure::sampled(task)?);
    }
    say(&format!("\n## {} certificates that are not due\n\n{}", options.stock, report::table(&all)))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Where all this was measured.
fn machine() -> String {
    let uname = rustix::system::uname();
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let os = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let os = os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("an unknown system");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{}, {}, kernel {}, {} × {}, {} CPUs, load before {}.",
        time::OffsetDateTime::now_utc().date(),
        os.trim_matches('"'),
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy(),
        model.map_or("unknown", |(_, model)| model),
        std::thread::available_parallelism().map_or(1, core::num::NonZero::get),
        load.split(' ').next().unwrap_or("unknown"),
    )
}

/// A small number for arithmetic.
fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Tables go to standard output as they are ready.
fn say(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
