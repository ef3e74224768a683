//! macOS: a Seatbelt profile, and no debugger. Type-checked, and never run so far.
//!
//! Apple calls sandbox_init(3) deprecated and documents neither the language of profiles nor a successor; browsers rely on
//! it all the same.

use std::io;

use super::posix::{apply, check_directories, identity, limits, reported, root, unavailable};
use super::words::seatbelt;
use crate::errno;
use crate::error::Error;
use crate::report::{Layer, Outcome, Report};
use crate::sandbox::{HandOff, PathAccess, Sandbox};
use crate::sys;

pub(crate) use super::layers::MACOS as LAYERS;
/// Files by directory.
pub(crate) const PATHS: Layer = Layer::Seatbelt;
/// What calls can reach.
pub(crate) const CALLS: Layer = Layer::Seatbelt;

/// What [`Sandbox::prepare`] made.
#[derive(Debug)]
pub(crate) struct Plan {
    profile: io::Result<String>,
}

impl Plan {
    pub(crate) fn new(sandbox: &Sandbox, _: &mut dyn FnMut(Layer)) -> Result<Self, Error> {
        check_directories(sandbox)?;
        let profile = directories(sandbox)
            .map(|directories| seatbelt::profile(&sandbox.promises, sandbox.ports.as_deref(), &directories));
        Ok(Self { profile })
    }

    /// Applies the layers: the profile last, since it allows none of the others. Paths in it are taken to be those of the
    /// file system as a whole, whatever the root directory of the process; that has not been tried.
    pub(crate) fn apply(self, sandbox: &Sandbox, at: &mut dyn FnMut(Layer), _: Option<HandOff<'_>>) -> Report {
        let layers = vec![
            apply(sandbox, at, Layer::Root, || root::enter(sandbox)),
            apply(sandbox, at, Layer::Identity, || identity::change(sandbox.identity)),
            apply(sandbox, at, Layer::Limits, || limits::set(sandbox)),
            apply(sandbox, at, Layer::NotDumpable, not_traceable),
            apply(sandbox, at, Layer::Seatbelt, || confine(&self.profile)),
        ];
        reported(sandbox, layers)
    }
}

/// The directories given, by path: a profile knows no handles.
fn directories(sandbox: &Sandbox) -> io::Result<Vec<(String, PathAccess)>> {
    sandbox
        .paths
        .iter()
        .map(|(directory, access)| {
            let path = rustix::fs::getpath(directory)?;
            let path = path.into_string().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            Ok((path, *access))
        })
        .collect()
}

fn not_traceable() -> Outcome {
    match sys::deny_attach() {
        Ok(()) => Outcome::Enforced("no debugger attaches".to_owned()),
        Err(error) => unavailable("ptrace(PT_DENY_ATTACH)", error),
    }
}

fn confine(profile: &io::Result<String>) -> Outcome {
    match profile {
        Err(error) => Outcome::Unavailable(format!("the path of a directory: {}", errno::described(error))),
        Ok(profile) => match sys::sandbox(profile) {
            Ok(()) => Outcome::Enforced(format!("a profile of {} rules", profile.lines().count().saturating_sub(2))),
            Err(error) => Outcome::Unavailable(format!("sandbox_init(3): {}", errno::described(&error))),
        },
    }
}

// A profile cannot be tried without taking effect, so that it is said to be offered.
pub(crate) use super::posix::machine;
