//! A run that is cut short at exactly one system call of one process, by strace(1).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::common::processes;
use crate::common::program::As;
use crate::common::scene::Scene;
use crate::common::web::wait_until;

/// In which way it is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The one process is killed as it is about to make the call. The others find out, and end as they do.
    One,
    /// All processes are killed at one time, just after the one has made the call, as when the power fails.
    All,
}

/// The calls of one role, picked out by the files and directories that they are about.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) role: &'static str,
    pub(crate) names: &'static [&'static str],
    pub(crate) paths: Vec<PathBuf>,
}

/// Runs the program and cuts it short at the `count`th call of that name. Returns whether there was one.
pub(crate) fn cut_short(scene: &Scene, arguments: &[&str], calls: &Calls, call: &str, count: u32, cut: Cut) -> bool {
    let log = scene.program.path("strace.log");
    let _ = fs::remove_file(&log);
    let (signal, sign) = match cut {
        Cut::One => ("SIGKILL", "+++ killed by SIGKILL +++"),
        Cut::All => ("SIGSTOP", "--- stopped by SIGSTOP ---"),
    };
    let program = scene.command(arguments);
    let mut command = Command::new("strace");
    // The tracer is no parent, so the process that is started is the program.
    command.args(["-D", "-f", "-q", "-o"]).arg(&log);
    if scene.user == As::Nobody {
        // strace itself stays root, for who cannot see what the descriptors of a process are cannot tell them apart.
        command.args(["-u", "nobody"]);
    }
    for path in &calls.paths {
        command.arg("-P").arg(path);
    }
    command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:signal={signal}:when={count}")]);
    command.arg(program.get_program()).args(program.get_args());
    let mut run = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("strace");
    let pid = run.id();
    let seen = || fs::read_to_string(&log).unwrap_or_default();
    match cut {
        Cut::One => {
            run.wait().expect("ended");
            // What it has seen of the others it has written down by then.
            let end = |line: &str| {
                line.split_once(' ').is_some_and(|(of, what)| of == pid.to_string() && what.trim().starts_with("+++"))
            };
            wait_until("strace has seen the end of the program", || seen().lines().any(end));
        }
        Cut::All => {
            let over = || has_ended(pid) || seen().contains(sign);
            wait_until("the run has come to the call, or to its end", over);
            processes::kill_all(pid);
            run.wait().expect("ended");
        }
    }
    seen().contains(sign)
}

fn has_ended(pid: u32) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    status.is_ok_and(|status| status.contains("State:\tZ"))
}

/// Kills the supervisor and nobody else.
pub(crate) fn kill_one(pid: u32) {
    processes::send(i32::try_from(pid).expect("a number"), Signal::KILL);
}
