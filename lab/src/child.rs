//! Other programs: started, waited for, and ended by their ids if they take too long.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::error::{At as _, Error, Result};

/// What became of a program.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It ended by itself.
    Itself(ExitStatus),
    /// It was ended, since its time was up.
    Late,
}

/// Runs a program with all of its output in a log. Its group is ended with it, whatever it has started.
pub(crate) fn logged(command: &mut Command, log: &Path, limit: Duration) -> Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    let file = File::create(log).at(log)?;
    let errors = file.try_clone().at(log)?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors).process_group(0);
    let mut child = command.spawn().map_err(|error| Error::new(format!("{name} cannot be started: {error}")))?;
    let ended = wait(&mut child, limit);
    end(&mut child);
    ended.map_err(|error| Error::new(format!("{name} cannot be waited for: {error}")))
}

/// The same, of a program that has to succeed. The error has the first line of its log that says that something is wrong.
pub(crate) fn succeeds(command: &mut Command, log: &Path, limit: Duration) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let why = match logged(command, log, limit)? {
        Ended::Itself(status) if status.success() => return Ok(()),
        Ended::Itself(status) => complaint(log).unwrap_or_else(|| ending(status)),
        Ended::Late => format!("did not end within {} s", limit.as_secs()),
    };
    Err(Error::new(format!("{name}: {why} (more in {})", log.display())))
}

/// The output of a program that has to succeed.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| Error::new(format!("{name} cannot be started: {error}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::new(format!("{name}: {}", said.lines().next().unwrap_or(&ending(output.status)))))
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Ended> {
    let until = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::Itself(status));
        }
        if Instant::now() >= until {
            return Ok(Ended::Late);
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

fn ending(status: ExitStatus) -> String {
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
        assert!(matches!(ended, Ended::Late) && started.elapsed() < Duration::from_secs(30));
        let group = tail(&log, 100).trim().parse().ok().and_then(Pid::from_raw).expect("a number");
        let until = Instant::now() + Duration::from_secs(10);
        while rustix::process::test_kill_process_group(group).is_ok() {
            assert!(Instant::now() < until, "something of it is still there");
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
