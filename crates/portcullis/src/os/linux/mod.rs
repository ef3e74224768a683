//! Linux: one file per layer.

mod identity;
mod limits;
mod listener;
mod machine;
mod namespaces;
mod paths;
mod root;
mod settings;
mod syscalls;

use std::io;

use syscall_policy::Arch;

use crate::error::Error;
use crate::process::arm_kill;
use crate::promise::Promise;
use crate::report::{Layer, LayerReport, Outcome, Report};
use crate::sandbox::{HandOff, Sandbox};

pub(crate) use identity::can_become;
pub use listener::Listener;
pub(crate) use machine::machine;
pub(crate) use syscalls::{ask_for_listener, calls_allowed};

/// What promises mean in system calls.
#[expect(clippy::unnecessary_wraps, reason = "other systems have nothing to say")]
pub(crate) fn policy(promises: &[Promise]) -> Option<syscall_policy::Policy> {
    Some(syscalls::policy(promises))
}

/// What [`Sandbox::prepare`] made.
#[derive(Debug)]
pub(crate) struct Plan {
    root: Result<root::EmptyRoot, Outcome>,
    paths: Result<paths::Rules, Outcome>,
    filter: Result<syscalls::Filter, Outcome>,
}

impl Plan {
    /// Makes it. `at` is told which layer is about to be asked for.
    pub(crate) fn new(sandbox: &Sandbox, at: &mut dyn FnMut(Layer)) -> Result<Self, Error> {
        at(Layer::Landlock);
        let paths = match wanted(sandbox, Layer::Landlock) {
            Ok(()) => paths::Rules::new(sandbox)?,
            Err(outcome) => Err(outcome),
        };
        at(Layer::Root);
        let root = wanted(sandbox, Layer::Root).and_then(|()| root::EmptyRoot::new(sandbox));
        let filter = wanted(sandbox, Layer::Seccomp).and_then(|()| syscalls::Filter::new(sandbox));
        Ok(Self { root, paths, filter })
    }

    /// Applies the layers: what needs rights first, system calls last, since the filter takes what the others need.
    pub(crate) fn apply(self, sandbox: &Sandbox, at: &mut dyn FnMut(Layer), hand_off: Option<HandOff<'_>>) -> Report {
        arm_kill(sandbox.no_kill_timer);
        let mut layers = Vec::with_capacity(Layer::ALL.len());
        let mut report = |layer, outcome| layers.push(LayerReport::new(layer, outcome));
        let mut layer = |layer, apply: &mut dyn FnMut() -> Outcome| match wanted(sandbox, layer) {
            Ok(()) => {
                at(layer);
                apply()
            }
            Err(outcome) => outcome,
        };

        report(
            Layer::Root,
            match self.root {
                Ok(root) => layer(Layer::Root, &mut || root.enter()),
                Err(outcome) => outcome,
            },
        );
        // After the change of root, so that the root directory is one of the new mounts.
        report(Layer::Namespaces, layer(Layer::Namespaces, &mut || namespaces::leave(sandbox)));
        let capabilities = layer(Layer::Capabilities, &mut identity::bound_capabilities);
        report(Layer::Identity, layer(Layer::Identity, &mut || identity::change(sandbox.identity)));
        report(
            Layer::Capabilities,
            match capabilities {
                Outcome::Enforced(bounded) => layer(Layer::Capabilities, &mut || identity::drop_capabilities(&bounded)),
                outcome => outcome,
            },
        );
        report(Layer::Limits, layer(Layer::Limits, &mut || limits::set(sandbox)));
        report(Layer::NoNewPrivileges, layer(Layer::NoNewPrivileges, &mut settings::no_new_privileges));
        report(Layer::NotDumpable, layer(Layer::NotDumpable, &mut settings::not_dumpable));
        report(Layer::Mdwe, layer(Layer::Mdwe, &mut settings::never_executable));
        report(
            Layer::Landlock,
            match self.paths {
                Ok(rules) => {
                    let mut rules = Some(rules);
                    let enforce = &mut || rules.take().map_or_else(paths::offered, paths::Rules::enforce);
                    layer(Layer::Landlock, enforce)
                }
                Err(outcome) => outcome,
            },
        );
        let (seccomp, calls_allowed) = match self.filter {
            Ok(filter) => {
                at(Layer::Seccomp);
                filter.install(sandbox, hand_off)
            }
            Err(outcome) => (outcome, 0),
        };
        report(Layer::Seccomp, seccomp);

        layers.sort_by_key(|report| report.layer);
        let mut report = Report::new(&sandbox.name);
        report.layers = layers;
        report.lowered.clone_from(&sandbox.lowered);
        report.calls_allowed = calls_allowed;
        report
    }
}

/// The name of the call of that number on this architecture.
pub(crate) fn call_name(number: u32) -> Option<&'static str> {
    Arch::native()?.name_of(number)
}

/// How many threads the process has, if `/proc` tells.
pub(crate) fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

fn wanted(sandbox: &Sandbox, layer: Layer) -> Result<(), Outcome> {
    if sandbox.is_switched_off(layer) {
        return Err(Outcome::Skipped("switched off by option".to_owned()));
    }
    if let Some(lowered) = sandbox.why_left_out(layer) {
        return Err(Outcome::Unavailable(format!("left out, as a rehearsal showed: {}", lowered.why)));
    }
    Ok(())
}

/// The outcome of a layer that could not be had, with what was tried and what may be the matter.
fn unavailable(what: &str, error: io::Error) -> Outcome {
    let why = match error.raw_os_error() {
        Some(libc::ENOSYS) => "the kernel does not have it, or an outer sandbox hides it",
        Some(libc::EPERM | libc::EACCES) => "not permitted here, perhaps by an outer sandbox",
        Some(libc::EINVAL) => "the kernel does not know it",
        Some(libc::EOPNOTSUPP) => "the kernel has it, but it was not switched on at boot (lsm=)",
        Some(libc::E2BIG) => "too many sandboxes inside each other",
        _ => return Outcome::Unavailable(format!("{what}: {error}")),
    };
    Outcome::Unavailable(format!("{what}: {why} ({error})"))
}

/// Whether the process runs as root.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether anything may be started or signalled.
fn has_children(sandbox: &Sandbox) -> bool {
    sandbox.keeps(Promise::Children)
}
