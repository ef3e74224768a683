//! OpenBSD: unveil(2) for paths, pledge(2) for calls. Type-checked, and never run so far.
//!
//! Both hold for the whole process, so threads are of no matter. pledge(2) cannot stop what was granted wider than asked
//! for; the report says where that is so.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use super::posix::{apply, check_directories, identity, limits, reported, root, unavailable};
use super::words::pledge as words;
use crate::errno;
use crate::error::Error;
use crate::promise::Promise;
use crate::report::{Layer, Outcome, Report};
use crate::sandbox::{HandOff, PathAccess, Sandbox};
use crate::sys;

pub(crate) use super::layers::OPENBSD as LAYERS;
/// Files by directory.
pub(crate) const PATHS: Layer = Layer::Unveil;
/// System calls.
pub(crate) const CALLS: Layer = Layer::Pledge;

/// What [`Sandbox::prepare`] made.
#[derive(Debug)]
pub(crate) struct Plan {
    directories: io::Result<Vec<(OwnedFd, PathAccess)>>,
}

impl Plan {
    pub(crate) fn new(sandbox: &Sandbox, _: &mut dyn FnMut(Layer)) -> Result<Self, Error> {
        check_directories(sandbox)?;
        let copies = sandbox.paths.iter().map(|(directory, access)| Ok((directory.try_clone()?, *access)));
        Ok(Self { directories: copies.collect() })
    }

    /// Applies the layers. Paths are unveiled while there is the right to enter the directories, and after the change of
    /// the root directory, which looks up a path itself.
    pub(crate) fn apply(self, sandbox: &Sandbox, at: &mut dyn FnMut(Layer), _: Option<HandOff<'_>>) -> Report {
        let layers = vec![
            apply(sandbox, at, Layer::Root, || root::enter(sandbox)),
            apply(sandbox, at, Layer::Unveil, || unveil(&self.directories)),
            apply(sandbox, at, Layer::Identity, || identity::change(sandbox.identity)),
            apply(sandbox, at, Layer::Limits, || limits::set(sandbox)),
            apply(sandbox, at, Layer::Pledge, || pledge(&sandbox.promises)),
        ];
        reported(sandbox, layers)
    }
}

/// Hides all paths but those beneath the directories, for good.
///
/// unveil(2) takes paths and not handles, but the working directory is a path that a handle can be made into; what it then
/// keeps is the directory, not the name.
fn unveil(directories: &io::Result<Vec<(OwnedFd, PathAccess)>>) -> Outcome {
    let directories = match directories {
        Ok(directories) => directories,
        Err(error) => return Outcome::Unavailable(format!("dup(2) of a directory: {}", errno::described(error))),
    };
    let hidden = || -> io::Result<()> {
        let working = rustix::fs::open(".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok();
        // Without this, a process that gives no directory would go on to see them all.
        sys::unveil(Some((c"/", c"")))?;
        for (directory, access) in directories {
            rustix::process::fchdir(directory)?;
            let letters = match words::unveil(*access) {
                "r" => c"r",
                _ => c"rwc",
            };
            sys::unveil(Some((c".", letters)))?;
        }
        if let Some(working) = working {
            rustix::process::fchdir(working)?;
        }
        sys::unveil(None)
    };
    let wider = directories.iter().any(|(_, access)| *access == PathAccess::Write);
    match hidden() {
        Ok(()) if wider => Outcome::Partial("files in directories to write can be read as well".to_owned()),
        Ok(()) if directories.is_empty() => Outcome::Enforced("no path at all".to_owned()),
        Ok(()) => Outcome::Enforced(format!("directories given: {}", directories.len())),
        Err(error) => unavailable("unveil(2)", error),
    }
}

fn pledge(promises: &[Promise]) -> Outcome {
    let text = words::pledge(promises);
    if let Err(error) = sys::pledge(&text) {
        return unavailable("pledge(2)", error);
    }
    let wider = words::wider(promises);
    if wider.is_empty() { Outcome::Enforced(text) } else { Outcome::Partial(format!("{text}: {}", wider.join(", "))) }
}

// Neither call can be tried without taking effect, and both are in every release since 6.4, so they are said to be offered.
pub(crate) use super::posix::machine;
