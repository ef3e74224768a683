//! FreeBSD: Capsicum, and procctl(2) for the rest. Type-checked, and never run so far.
//!
//! In capability mode there are no paths, addresses or other processes, only what is held: a directory that is held leads
//! to what is beneath it, with the rights its descriptor has. So a process that promised to connect, or to signal
//! children, cannot enter it; then the rights of its directories are limited, and the report says what is missing.

use super::posix::{apply, check_directories, identity, limits, reported, root, unavailable};
use super::words::capsicum as rights;
use crate::errno;
use crate::error::Error;
use crate::promise::Promise;
use crate::report::{Layer, LayerReport, Outcome, Report};
use crate::sandbox::{HandOff, PathAccess, Sandbox};
use crate::sys::{self, FileId, Limited};

pub(crate) use super::layers::FREEBSD as LAYERS;
/// Files by directory.
pub(crate) const PATHS: Layer = Layer::Capsicum;
/// Names of all kinds.
pub(crate) const CALLS: Layer = Layer::Capsicum;

/// What [`Sandbox::prepare`] made.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Directories that were given. Descriptors are limited one by one, and the process holds others of the same ones.
    directories: Vec<(FileId, PathAccess)>,
}

impl Plan {
    pub(crate) fn new(sandbox: &Sandbox, _: &mut dyn FnMut(Layer)) -> Result<Self, Error> {
        check_directories(sandbox)?;
        let mut directories = Vec::with_capacity(sandbox.paths.len());
        for (index, (directory, access)) in sandbox.paths.iter().enumerate() {
            let bad = |cause| Error::Path { name: sandbox.name.clone(), layer: Layer::Capsicum, index, cause };
            let id = rustix::fs::fstat(directory).map_err(|error| bad(error.into()))?;
            directories.push((FileId { device: id.st_dev, inode: id.st_ino }, *access));
        }
        Ok(Self { directories })
    }

    /// Applies the layers: capability mode last, since the others need paths.
    pub(crate) fn apply(self, sandbox: &Sandbox, at: &mut dyn FnMut(Layer), _: Option<HandOff<'_>>) -> Report {
        let layers = vec![
            apply(sandbox, at, Layer::Root, || root::enter(sandbox)),
            apply(sandbox, at, Layer::Identity, || identity::change(sandbox.identity)),
            apply(sandbox, at, Layer::Limits, || limits::set(sandbox)),
            apply(sandbox, at, Layer::NoNewPrivileges, no_new_privileges),
            apply(sandbox, at, Layer::NotDumpable, not_dumpable),
            apply(sandbox, at, Layer::Capsicum, || capsicum(&sandbox.promises, &self.directories)),
        ];
        reported(sandbox, layers)
    }
}

fn no_new_privileges() -> Outcome {
    match sys::set_no_new_privileges() {
        Ok(()) => Outcome::Enforced("programs it starts gain no rights".to_owned()),
        Err(error) => unavailable("procctl(PROC_NO_NEW_PRIVS_CTL), FreeBSD 14", error),
    }
}

fn not_dumpable() -> Outcome {
    match sys::set_not_traceable() {
        Ok(()) => Outcome::Enforced("no core dumps, no debugger".to_owned()),
        Err(error) => unavailable("procctl(PROC_TRACE_CTL)", error),
    }
}

fn capsicum(promises: &[Promise], given: &[(FileId, PathAccess)]) -> Outcome {
    let limited = match limit_directories(given) {
        Ok(limited) => limited,
        Err(outcome) => return outcome,
    };
    if let Some(promise) = promises.iter().find(|promise| !rights::keeps(**promise)) {
        let why = format!("capability mode would take what the promise {promise} is for");
        return match limited {
            0 => Outcome::Unavailable(why),
            _ => Outcome::Partial(format!("rights of {limited} directories are limited; {why}")),
        };
    }
    if let Err(error) = sys::enter_capability_mode() {
        return unavailable("cap_enter(2)", error);
    }
    if given.iter().any(|(_, access)| *access == PathAccess::Write) {
        return Outcome::Partial("capability mode; files in directories to write can be read as well".to_owned());
    }
    Outcome::Enforced(format!("capability mode, rights of {limited} directories limited"))
}

/// Limits the rights of all directories that are held. Says how many there are.
fn limit_directories(given: &[(FileId, PathAccess)]) -> Result<usize, Outcome> {
    const HIGHEST: u64 = 65_536;
    let most = sys::limit(Limited::Descriptors).ok().and_then(|(_, most)| most).unwrap_or(HIGHEST).clamp(1, HIGHEST);
    let mut limited = 0;
    // The bound keeps the search short where there is no limit.
    for descriptor in sys::open_descriptors(0, i32::try_from(most - 1).unwrap_or(i32::MAX)) {
        let Ok(Some(id)) = sys::directory(descriptor) else { continue };
        let rights = given
            .iter()
            .find(|(known, _)| *known == id)
            .map_or(rights::NOT_GIVEN, |(_, access)| rights::given(*access));
        if let Err(error) = sys::limit_rights(descriptor, rights) {
            let cause = errno::described(&error);
            return Err(Outcome::Unavailable(format!("cap_rights_limit(2) on descriptor {descriptor}: {cause}")));
        }
        limited += 1;
    }
    Ok(limited)
}

/// What this system offers. Capability mode cannot be tried without entering it; whether the process is in it can.
pub(crate) fn machine(layers: &[Layer]) -> Vec<LayerReport> {
    let offered = || Outcome::Enforced("offered".to_owned());
    layers
        .iter()
        .map(|layer| {
            let outcome = match layer {
                Layer::NoNewPrivileges => match sys::no_new_privileges() {
                    Ok(()) => offered(),
                    Err(error) => unavailable("procctl(PROC_NO_NEW_PRIVS_STATUS), FreeBSD 14", error),
                },
                Layer::Identity => identity::change_offered(),
                Layer::Root => root::offered(),
                Layer::Limits => limits::offered(),
                Layer::Capsicum => match sys::capability_mode() {
                    Ok(_) => offered(),
                    Err(error) => unavailable("cap_getmode(2)", error),
                },
                _ => offered(),
            };
            LayerReport::new(*layer, outcome)
        })
        .collect()
}
