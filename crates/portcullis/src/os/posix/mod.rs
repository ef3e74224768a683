//! What systems have in common: users and groups, limits, the root directory, and how outcomes are worded.

pub(super) mod identity;
pub(super) mod limits;
#[cfg(not(target_os = "linux"))]
pub(super) mod root;

use std::io;
use std::os::fd::AsFd;

use crate::errno;
use crate::error::Error;
use crate::promise::Promise;
use crate::report::{Layer, Outcome};
#[cfg(not(target_os = "linux"))]
use crate::report::{LayerReport, Report};
use crate::sandbox::Sandbox;

/// Whether a layer is to be applied; if not, what to report of it.
pub(super) fn wanted(sandbox: &Sandbox, layer: Layer) -> Result<(), Outcome> {
    if sandbox.is_switched_off(layer) {
        return Err(Outcome::Skipped("switched off by option".to_owned()));
    }
    if let Some(lowered) = sandbox.why_left_out(layer) {
        return Err(Outcome::Unavailable(format!("left out, as a rehearsal showed: {}", lowered.why)));
    }
    Ok(())
}

/// Applies a layer if it is wanted, and says so before.
#[cfg(not(target_os = "linux"))]
pub(super) fn apply(
    sandbox: &Sandbox,
    at: &mut dyn FnMut(Layer),
    layer: Layer,
    apply: impl FnOnce() -> Outcome,
) -> LayerReport {
    let outcome = match wanted(sandbox, layer) {
        Ok(()) => {
            at(layer);
            apply()
        }
        Err(outcome) => outcome,
    };
    LayerReport::new(layer, outcome)
}

/// A report of layers in whatever order they were applied.
#[cfg(not(target_os = "linux"))]
pub(super) fn reported(sandbox: &Sandbox, mut layers: Vec<LayerReport>) -> Report {
    layers.sort_by_key(|report| report.layer);
    let mut report = Report::new(&sandbox.name);
    report.layers = layers;
    report.lowered.clone_from(&sandbox.lowered);
    report
}

/// What this system offers, of layers that cannot be tried without taking effect where they are not common to all systems.
#[cfg(any(target_os = "macos", target_os = "openbsd"))]
pub(crate) fn machine(layers: &[Layer]) -> Vec<LayerReport> {
    layers
        .iter()
        .map(|layer| {
            let outcome = match layer {
                Layer::Identity => identity::change_offered(),
                Layer::Root => root::offered(),
                Layer::Limits => limits::offered(),
                _ => Outcome::Enforced("offered".to_owned()),
            };
            LayerReport::new(*layer, outcome)
        })
        .collect()
}

/// The outcome of a layer that could not be had: the operation, what may be the matter, and the error.
pub(super) fn unavailable(operation: &str, error: io::Error) -> Outcome {
    let cause = errno::described(&error);
    let why = match error.raw_os_error() {
        Some(libc::ENOSYS) => "the kernel does not have it, or an outer sandbox hides it",
        Some(libc::EPERM | libc::EACCES) => "not permitted here, perhaps by an outer sandbox",
        Some(libc::EINVAL) => "the kernel does not know it",
        Some(libc::EOPNOTSUPP) if cfg!(target_os = "linux") => {
            "the kernel has it, but it was not switched on at boot (lsm=)"
        }
        Some(libc::E2BIG) => "too many sandboxes inside each other",
        _ => return Outcome::Unavailable(format!("{operation}: {cause}")),
    };
    Outcome::Unavailable(format!("{operation}: {why} ({cause})"))
}

/// That the handles given for paths are directories.
pub(super) fn check_directories(sandbox: &Sandbox) -> Result<(), Error> {
    for (index, (directory, _)) in sandbox.paths.iter().enumerate() {
        let kind =
            rustix::fs::fstat(directory.as_fd()).map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir());
        let cause = match kind {
            Ok(true) => continue,
            Ok(false) => io::Error::from_raw_os_error(libc::ENOTDIR),
            Err(error) => error.into(),
        };
        return Err(Error::Path { name: sandbox.name.clone(), layer: Layer::PATHS, index, cause });
    }
    Ok(())
}

/// Whether the process runs as root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether anything may be started or signalled.
pub(super) fn has_children(sandbox: &Sandbox) -> bool {
    sandbox.keeps(Promise::Children)
}
