//! Throw-away children: something is tried in a copy of the process, and what becomes of it is looked at.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use crate::sys;

/// The most that a child may say.
const MOST: usize = 16 * 1024;

/// What became of a child.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How it ended. `None` if it took too long and was killed.
    pub(crate) status: Option<ExitStatus>,
    /// What it wrote to its standard error, or to the descriptor it was given.
    pub(crate) said: Vec<u8>,
}

/// Runs `work` in a copy of this process, whose standard error is read here. The copy ends when `work` does, and never
/// returns from this function; it is killed when it takes longer than `patience`.
///
/// For processes of one thread: the copy has no other.
///
/// # Errors
///
/// No process or pipe is to be had.
pub(crate) fn try_out(patience: Duration, work: impl FnOnce(&OwnedFd)) -> io::Result<Ended> {
    let (read, write) = io::pipe()?;
    let (read, write) = (OwnedFd::from(read), OwnedFd::from(write));
    match sys::fork()? {
        None => {
            // Unwinding must not carry a panic of the copy into what the original was doing.
            let _never_back = EndOfCopy;
            drop(read);
            end_with_parent();
            let _ = rustix::stdio::dup2_stderr(&write);
            work(&write);
            sys::exit_now(0)
        }
        Some(child) => {
            drop(write);
            watch(child, &read, patience)
        }
    }
}

/// Has the kernel end the copy when the original ends, so that it holds nothing (locks, above all) for longer. The kernel
/// forgets it when the user changes, so it is said again then. Elsewhere than on Linux the copy ends when its work does.
pub(crate) fn end_with_parent() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

/// Ends the copy whichever way it leaves.
struct EndOfCopy;

impl Drop for EndOfCopy {
    fn drop(&mut self) {
        std::process::abort();
    }
}

fn watch(child: Pid, read: &OwnedFd, patience: Duration) -> io::Result<Ended> {
    let until = Instant::now() + patience;
    let mut said = Vec::new();
    let in_time = loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match rustix::event::poll(&mut [PollFd::from_borrowed_fd(read.as_fd(), PollFlags::IN)], Some(&timeout)) {
            Ok(0) => break false,
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => break false,
        }
        let mut buffer = [0; 1024];
        match rustix::io::read(read, &mut buffer) {
            Ok(0) => break true,
            Ok(got) if said.len() < MOST => said.extend_from_slice(&buffer[..got]),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => break false,
        }
    };
    if !in_time {
        // Not permitted if the copy has a user of its own by now, which happens without root's rights only in ways that
        // leave them here.
        let _ = rustix::process::kill_process(child, Signal::KILL);
    }
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                use std::os::unix::process::ExitStatusExt as _;
                let status = in_time.then(|| ExitStatus::from_raw(status.as_raw()));
                return Ok(Ended { status, said });
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
