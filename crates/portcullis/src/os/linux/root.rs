//! An empty root directory.
//!
//! A directory is made, entered by handle, and removed again. The kernel keeps it as long as it is somebody's root, but
//! nothing can be created in a directory that has been removed: it stays empty, whoever the process is.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::{is_root, unavailable};
use crate::report::Outcome;
use crate::sandbox::Sandbox;

/// Where directories can be made on most systems, those in memory first.
const PLACES: [&str; 5] = ["/run", "/dev/shm", "/tmp", "/var/tmp", "/"];

/// Root may enter it, also in containers that leave it no right to pass over modes.
const MODE: Mode = Mode::RUSR.union(Mode::XUSR);

/// A directory that is no longer in any other.
#[derive(Debug)]
pub(super) struct EmptyRoot(OwnedFd);

impl EmptyRoot {
    pub(super) fn new(sandbox: &Sandbox) -> Result<Self, Outcome> {
        if !sandbox.empty_root {
            return Err(Outcome::Skipped("no empty root directory was asked for".to_owned()));
        }
        if !is_root() {
            return Err(Outcome::Skipped("not started as root, which chroot(2) needs".to_owned()));
        }
        let mut last = Errno::NOENT;
        for place in PLACES {
            match nameless(Path::new(place)) {
                Ok(directory) => return Ok(Self(directory)),
                Err(error) => last = error,
            }
        }
        Err(unavailable("mkdir(2), to make an empty directory anywhere", last.into()))
    }

    /// Makes it the root directory.
    pub(super) fn enter(&self) -> Outcome {
        let entered = rustix::process::fchdir(&self.0).and_then(|()| rustix::process::chroot("."));
        match entered.and_then(|()| rustix::process::chdir("/")) {
            Ok(()) => Outcome::Enforced("an empty directory without a name".to_owned()),
            Err(error) => unavailable("chroot(2)", error.into()),
        }
    }
}

/// What would come of it, without doing it.
pub(super) fn offered() -> Outcome {
    if !is_root() {
        return Outcome::Skipped("runs as a user, and changing the root directory takes root".to_owned());
    }
    let needed = rustix::thread::CapabilitySet::SYS_CHROOT;
    match rustix::thread::capabilities(None) {
        Ok(sets) if sets.effective.contains(needed) => Outcome::Enforced("offered".to_owned()),
        Ok(_) => Outcome::Unavailable("root without the capability to change its root directory".to_owned()),
        Err(error) => unavailable("capget(2)", error.into()),
    }
}

/// Makes the root directory what it is, which takes the same right.
pub(super) fn try_root() -> Outcome {
    match rustix::process::chroot("/") {
        Ok(()) => Outcome::Enforced(String::new()),
        Err(error) => unavailable("chroot(2)", error.into()),
    }
}

fn nameless(place: &Path) -> rustix::io::Result<OwnedFd> {
    let path = fresh_name(place);
    rustix::fs::mkdir(&path, MODE)?;
    let opened = open(&path);
    let removed = rustix::fs::unlinkat(CWD, &path, AtFlags::REMOVEDIR);
    let directory = opened?;
    // A directory with a name could be filled.
    removed?;
    let stat = rustix::fs::fstat(&directory)?;
    let ours = stat.st_uid == rustix::process::geteuid().as_raw() && Mode::from_raw_mode(stat.st_mode) == MODE;
    // Somebody who may write there could have put another in its place.
    if ours { Ok(directory) } else { Err(Errno::EXIST) }
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// A name nobody has; that nobody guessed it is not needed, since `mkdir` takes none that exists.
fn fresh_name(place: &Path) -> PathBuf {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let pid = rustix::process::getpid().as_raw_nonzero();
    place.join(format!(".portcullis-{pid}-{}-{}", now.tv_sec, now.tv_nsec))
}
