//! An empty root directory: the one that the system keeps for this.

use rustix::fs::{FileType, Mode};

use super::{is_root, unavailable};
use crate::report::Outcome;
use crate::sandbox::Sandbox;

/// OpenBSD, FreeBSD and macOS come with it (hier(7)): root's, empty, and not to be written.
const EMPTY: &str = "/var/empty";

/// Changes the root directory, if that was asked for.
pub(in crate::os) fn enter(sandbox: &Sandbox) -> Outcome {
    if !sandbox.empty_root {
        return Outcome::Skipped("no empty root directory was asked for".to_owned());
    }
    if !is_root() {
        return Outcome::Skipped("not started as root, which chroot(2) needs".to_owned());
    }
    if let Err(outcome) = good() {
        return outcome;
    }
    match rustix::process::chroot(EMPTY).and_then(|()| rustix::process::chdir("/")) {
        Ok(()) => Outcome::Enforced(EMPTY.to_owned()),
        Err(error) => unavailable("chroot(2)", error.into()),
    }
}

/// What would come of it, without doing it.
pub(in crate::os) fn offered() -> Outcome {
    if !is_root() {
        return Outcome::Skipped("runs as a user, and changing the root directory takes root".to_owned());
    }
    match good() {
        Ok(()) => Outcome::Enforced("offered".to_owned()),
        Err(outcome) => outcome,
    }
}

/// That nobody but root can put anything there, and that nobody has.
fn good() -> Result<(), Outcome> {
    let stat = rustix::fs::lstat(EMPTY).map_err(|error| unavailable(EMPTY, error.into()))?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    let bad = |what: &str| Outcome::Unavailable(format!("{EMPTY} {what}"));
    if !FileType::from_raw_mode(stat.st_mode).is_dir() {
        return Err(bad("is not a directory"));
    }
    if stat.st_uid != 0 || mode.intersects(Mode::WGRP | Mode::WOTH) {
        return Err(bad("can be written by others than root"));
    }
    match std::fs::read_dir(EMPTY).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(bad("is not empty")),
        Err(error) => Err(unavailable(EMPTY, error)),
    }
}
