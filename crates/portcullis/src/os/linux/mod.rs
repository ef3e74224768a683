//! Linux: one file per layer.

mod capabilities;
mod listener;
mod machine;
mod namespaces;
mod paths;
mod root;
mod settings;
mod syscalls;
pub(super) mod users;

use syscall_policy::Arch;

use super::posix::{check_directories, has_children, identity, is_root, limits, unavailable, wanted};
use crate::error::Error;
use crate::process::arm_kill;
use crate::promise::Promise;
use crate::report::{Layer, LayerReport, Outcome, Report};
use crate::sandbox::{HandOff, Sandbox};

pub(crate) use super::posix::identity::can_become;
pub use listener::Listener;
pub(crate) use machine::machine;
pub(crate) use syscalls::{ask_for_listener, calls_allowed};

/// What promises mean in system calls.
#[expect(clippy::unnecessary_wraps, reason = "other systems have nothing to say")]
pub(crate) fn policy(promises: &[Promise]) -> Option<syscall_policy::Policy> {
    Some(syscalls::policy(promises))
}

pub(crate) use super::layers::LINUX as LAYERS;
/// Files by directory.
pub(crate) const PATHS: Layer = Layer::Landlock;
/// System calls.
pub(crate) const CALLS: Layer = Layer::Seccomp;

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
        let mut layers = Vec::with_capacity(LAYERS.len());
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
        let capabilities = layer(Layer::Capabilities, &mut capabilities::bound);
        report(Layer::Identity, layer(Layer::Identity, &mut || identity::change(sandbox.identity)));
        report(
            Layer::Capabilities,
            match capabilities {
                Outcome::Enforced(bounded) => layer(Layer::Capabilities, &mut || capabilities::drop_all(&bounded)),
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

/// How many threads the process has, if `/proc` tells. One that was waited for may be there for another moment: whoever waits is
/// told before the kernel is done with it.
pub(crate) fn threads() -> Option<usize> {
    let count = || Some(std::fs::read_dir("/proc/self/task").ok()?.count());
    for _ in 0..50 {
        if count()? <= 1 {
            return Some(1);
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    count()
}
