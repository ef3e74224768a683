//! A case: started, listened to, ended if it takes too long, and told of.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};
use serde_json::{Value, json};

use crate::plan::{Case, Cell};

/// What is kept of what a case prints besides its result.
const LINES: usize = 40;
/// And of each of these lines.
const WIDTH: usize = 600;

/// Writes a line for the lab. Its length is with it, since consoles lose things, and a case that is not heard of must not be
/// taken for another.
pub(crate) fn say(what: &Value) {
    let text = what.to_string();
    let line = format!("\nLAB {} {text}\n", text.len());
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            // Nobody is there any more.
            Err(_) => return,
        }
    }
}

/// A case that could not be run.
pub(crate) fn failed(cell: &Cell, case: &Case, wrong: &str) {
    say(&json!({ "cell": cell.name, "case": case.name, "ok": false, "seconds": 0.0, "detail": wrong }));
}

/// Runs a case of a cell.
pub(crate) fn case(cell: &Cell, case: &Case, root: &Path) {
    let started = Instant::now();
    let (result, log) = match start(cell, case, root) {
        Ok(child) => listen(child, Duration::from_secs(case.limit)),
        Err(error) => (Err(format!("cannot be started: {error}")), Vec::new()),
    };
    let seconds = started.elapsed().as_secs_f64();
    let mut line = json!({ "cell": cell.name, "case": case.name, "seconds": seconds });
    match result {
        Ok(result) => {
            for field in ["ok", "untested", "detail", "data"] {
                if let Some(value) = result.get(field) {
                    line[field] = value.clone();
                }
            }
        }
        Err(wrong) => {
            line["ok"] = false.into();
            line["detail"] = wrong.into();
        }
    }
    if line["ok"] != true {
        line["log"] = log.into();
    }
    say(&line);
}

fn start(cell: &Cell, case: &Case, root: &Path) -> std::io::Result<Child> {
    let own = std::env::current_exe()?;
    let mut command = Command::new(own);
    command.arg(if cell.without_seccomp { "enter-without-seccomp" } else { "enter" });
    command.arg(root).args(&case.command).env_clear().envs(&cell.environment);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that it can be ended with all that it started.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn()
}

/// What a program said in its line of result, and the last of what it said besides.
fn listen(mut child: Child, limit: Duration) -> (Result<Value, String>, Vec<String>) {
    let until = Instant::now() + limit;
    let (sender, lines) = mpsc::channel::<String>();
    let streams: [Option<Box<dyn std::io::Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let (mut told, mut log) = (None, Vec::new());
    let mut late = false;
    let mut over: Option<Instant> = None;
    loop {
        let wait = over.map_or(until, |over| over).saturating_duration_since(Instant::now());
        match lines.recv_timeout(wait.min(Duration::from_millis(100))) {
            Ok(line) => match line.strip_prefix("LAB ").and_then(|json| serde_json::from_str(json).ok()) {
                Some(result) => told = Some(result),
                None => keep(&mut log, &line),
            },
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if over.is_none() && child.try_wait().is_ok_and(|ended| ended.is_some()) {
            // What it left behind may hold its streams: a moment for that, and not for ever.
            over = Some(Instant::now() + Duration::from_millis(500));
        }
        if over.is_none() && Instant::now() >= until {
            late = true;
            end(&child);
        }
        if over.is_some_and(|over| Instant::now() >= over) {
            break;
        }
    }
    end(&child);
    let status = child.wait();
    reap();
    let result = match (late, status, told) {
        (true, ..) => Err(format!("did not end within {} s, and was ended", limit.as_secs())),
        (false, Err(error), _) => Err(format!("cannot be waited for: {error}")),
        (false, Ok(status), Some(told)) => agreed(status, told),
        (false, Ok(status), None) => Err(format!("told no result, and {}", ending(status))),
    };
    (result, log)
}

/// A result that says that all is well counts only if the program ended so, too.
fn agreed(status: ExitStatus, told: Value) -> Result<Value, String> {
    if told["ok"] == true && !status.success() {
        return Err(format!("said that all is well, and {}", ending(status)));
    }
    Ok(told)
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
    }
}

fn keep(log: &mut Vec<String>, line: &str) {
    if log.len() >= LINES {
        // The first lines say what was started, the last ones what came of it.
        log.remove(LINES / 4);
    }
    log.push(line.chars().take(WIDTH).collect());
}

/// Ends a case with all that is in its group.
fn end(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

/// Takes leave of processes whose parents are gone: as process 1 this is everybody's parent in the end.
fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}
