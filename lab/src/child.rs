//! Other programs: started, waited for, and ended by their ids if they take too long.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::error::{At as _, Error, Result};

/// How long a program may take whose output is wanted at once.
const SOON: Duration = Duration::from_secs(300);

/// What became of a program.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It ended by itself.
    Itself(ExitStatus),
    /// It was ended, since its time was up. In which way.
    Late(String),
}

/// How long a program may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// From its start to its end.
    pub(crate) whole: Duration,
    /// Without any output.
    pub(crate) silent: Option<Duration>,
}

impl From<Duration> for Limit {
    fn from(whole: Duration) -> Self {
        Self { whole, silent: None }
    }
}

/// A command that ends when this program does, in whatever way: an interrupt at the terminal, say, of which a group of its own
/// does not hear (setpriv(1), `PR_SET_PDEATHSIG`).
pub(crate) fn bound(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Runs a program with all of its output in a log. Its group is ended with it, whatever it has started.
pub(crate) fn logged(command: &mut Command, log: &Path, limit: impl Into<Limit>) -> Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    let file = File::create(log).at(log)?;
    let errors = file.try_clone().at(log)?;
    let output = file.try_clone().at(log)?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
    let mut child = command.spawn().map_err(|error| Error::new(format!("{name} cannot be started: {error}")))?;
    let said = || file.metadata().map(|file| file.len()).unwrap_or_default();
    let ended = wait(&mut child, limit.into(), said);
    end(&mut child);
    ended.map_err(|error| Error::new(format!("{name} cannot be waited for: {error}")))
}

/// The same, of a program that has to succeed. The error has the first line of its log that says that something is wrong.
pub(crate) fn succeeds(command: &mut Command, log: &Path, limit: Duration) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let why = match logged(command, log, limit)? {
        Ended::Itself(status) if status.success() => return Ok(()),
        Ended::Itself(status) => complaint(log).unwrap_or_else(|| ending(status)),
        Ended::Late(how) => how,
    };
    Err(Error::new(format!("{name}: {why} (more in {})", log.display())))
}

/// The output of a program that has to succeed, and soon.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let file = || tempfile::tempfile().map_err(|error| Error::new(format!("{name} has nowhere to write: {error}")));
    let (mut output, mut errors) = (file()?, file()?);
    let streams = output.try_clone().and_then(|output| Ok((output, errors.try_clone()?)));
    let streams = streams.map_err(|error| Error::new(format!("{name} has nowhere to write: {error}")))?;
    command.stdin(Stdio::null()).stdout(streams.0).stderr(streams.1).process_group(0);
    let mut child = command.spawn().map_err(|error| Error::new(format!("{name} cannot be started: {error}")))?;
    let ended = wait(&mut child, SOON.into(), || 0);
    end(&mut child);
    let text = |file: &mut File| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map(|_| bytes)
    };
    let output = text(&mut output).map_err(|error| Error::new(format!("what {name} said cannot be read: {error}")))?;
    let why = match ended {
        Ok(Ended::Itself(status)) if status.success() => return Ok(output),
        Ok(Ended::Itself(status)) => {
            let said = String::from_utf8_lossy(&text(&mut errors).unwrap_or_default()).into_owned();
            said.lines().next().map_or_else(|| ending(status), str::to_owned)
        }
        Ok(Ended::Late(how)) => how,
        Err(error) => format!("cannot be waited for: {error}"),
    };
    Err(Error::new(format!("{name}: {why}")))
}

/// Waits for a program, which has said so much.
fn wait(child: &mut Child, limit: Limit, said: impl Fn() -> u64) -> std::io::Result<Ended> {
    let started = Instant::now();
    let (mut length, mut heard) = (0, started);
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::Itself(status));
        }
        let now = Instant::now();
        if now - started >= limit.whole {
            return Ok(Ended::Late(format!("did not end within {} s", limit.whole.as_secs())));
        }
        let longer = said();
        if longer != length {
            (length, heard) = (longer, now);
        }
        if let Some(silent) = limit.silent.filter(|silent| now - heard >= *silent) {
            return Ok(Ended::Late(format!("said nothing for {} s", silent.as_secs())));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
    let _ = child.wait();
}

/// How a program ended, in words.
pub(crate) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
    }
}

/// The first line of a log that complains.
fn complaint(log: &Path) -> Option<String> {
    let text = tail(log, 256 * 1024);
    let starts = ["error", "Error", "ERROR", "E: ", "fatal", "dpkg-deb: error"];
    let found = text.lines().find(|line| starts.iter().any(|start| line.trim_start().starts_with(start)));
    found.or_else(|| text.lines().rfind(|line| !line.trim().is_empty())).map(|line| line.trim().to_owned())
}

/// The last bytes of a file, as text.
pub(crate) fn tail(path: &Path, most: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let length = file.metadata().map(|file| file.len()).unwrap_or_default();
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(most)));
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("log");
        let started = Instant::now();
        // The shell waits for a child that would outlive it.
        let ended = logged(&mut shell("echo $$; sleep 60; true"), &log, Duration::from_millis(200)).expect("started");
        assert!(matches!(ended, Ended::Late(_)) && started.elapsed() < Duration::from_secs(30));
        let group = tail(&log, 100).trim().parse().ok().and_then(Pid::from_raw).expect("a number");
        let until = Instant::now() + Duration::from_secs(10);
        while rustix::process::test_kill_process_group(group).is_ok() {
            assert!(Instant::now() < until, "something of it is still there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn who_says_nothing_any_more_is_ended_and_who_goes_on_talking_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("log");
        let limit = Limit { whole: Duration::from_secs(60), silent: Some(Duration::from_secs(2)) };
        let started = Instant::now();
        let ended = logged(&mut shell("echo once; sleep 60"), &log, limit).expect("started");
        assert!(matches!(ended, Ended::Late(how) if how == "said nothing for 2 s"));
        assert!(started.elapsed() < Duration::from_secs(30));
        let ended =
            logged(&mut shell("for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done"), &log, limit).expect("started");
        assert!(matches!(ended, Ended::Itself(status) if status.success()));
    }

    #[test]
    fn what_is_bound_ends_with_whoever_started_it() {
        // Between this program and the one that is bound is a shell, which ends; its child would not.
        let inner = bound("sleep");
        let words: Vec<String> = std::iter::once(inner.get_program())
            .chain(inner.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let started = Instant::now();
        let pid = output(&mut shell(&format!("{} 60 >/dev/null 2>&1 & sleep 0.3; echo $!; exit 0", words.join(" "))))
            .expect("run");
        let pid = String::from_utf8_lossy(&pid).trim().parse().ok().and_then(Pid::from_raw).expect("a number");
        while rustix::process::test_kill_process(pid).is_ok() {
            assert!(started.elapsed() < Duration::from_secs(30), "it is still there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn errors_have_the_words_of_the_program() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("log");
        let limit = Duration::from_secs(30);
        let error = succeeds(&mut shell("echo fine; echo 'error: no such crate'; exit 3"), &log, limit).unwrap_err();
        assert!(error.to_string().starts_with("sh: error: no such crate (more in "), "{error}");
        let error = succeeds(&mut shell("exit 3"), &log, limit).unwrap_err();
        assert!(error.to_string().contains("ended with status 3"), "{error}");
        assert!(succeeds(&mut Command::new("/no/such"), &log, limit).is_err());
        assert!(succeeds(&mut shell("true"), &log, limit).is_ok());
    }
}
