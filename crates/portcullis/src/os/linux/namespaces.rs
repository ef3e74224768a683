//! Namespaces that are left for new ones with nothing in them (`namespaces(7)`).
//!
//! By unshare(2) with the right that root has, never by a user namespace: those are switched off on some systems, and
//! logged as an attack on others. What other layers close already they close once more, below the calls and paths that those
//! look at.
//!
//! Not among them: PID namespaces, which only children enter, so that each process would take a second one to start it;
//! time and cgroup namespaces, which hide nothing from whoever can open no file.

use std::io;

use super::unavailable;
use crate::errno;
use crate::promise::Promise;
use crate::report::Outcome;
use crate::sandbox::{Namespace, Sandbox};
use crate::sys;

pub(super) fn leave(sandbox: &Sandbox) -> Outcome {
    if let Some(outcome) = without_right() {
        return outcome;
    }
    let sockets = sandbox.keeps(Promise::Connect);
    let wanted: Vec<Namespace> =
        sandbox.namespaces.iter().copied().filter(|namespace| *namespace != Namespace::Network || !sockets).collect();
    if wanted.is_empty() {
        return Outcome::Skipped("none was asked for".to_owned());
    }
    // One call copies what they have in common once.
    if leave_these(&wanted).is_ok() {
        return Outcome::Enforced(format!("{}: none but its own", names(&wanted)));
    }
    let mut left = Vec::new();
    let mut failed = None;
    for namespace in wanted {
        match leave_these(&[namespace]) {
            Ok(()) => left.push(namespace),
            Err(error) => failed = Some((namespace, error)),
        }
    }
    match failed {
        None => Outcome::Enforced(format!("{}: none but its own", names(&left))),
        Some((_, error)) if left.is_empty() => unavailable("unshare(2)", error),
        Some((namespace, error)) => {
            Outcome::Partial(format!("{}; not {}: {}", names(&left), namespace.name(), errno::described(&error)))
        }
    }
}

pub(super) fn offered() -> Outcome {
    without_right().unwrap_or_else(|| Outcome::Enforced("offered".to_owned()))
}

/// In a process that is thrown away.
pub(super) fn try_one() -> Outcome {
    match leave_these(&[Namespace::HostName]) {
        Ok(()) => Outcome::Enforced(String::new()),
        Err(error) => unavailable("unshare(2)", error),
    }
}

/// Why there is nothing to be had, for users as for root in most containers.
fn without_right() -> Option<Outcome> {
    let needed = rustix::thread::CapabilitySet::SYS_ADMIN;
    match rustix::thread::capabilities(None) {
        Ok(sets) if sets.effective.contains(needed) => None,
        Ok(_) => Some(Outcome::Skipped("takes CAP_SYS_ADMIN, which this process does not have".to_owned())),
        Err(error) => Some(unavailable("capget(2)", error.into())),
    }
}

fn leave_these(namespaces: &[Namespace]) -> io::Result<()> {
    sys::unshare(namespaces.iter().fold(0, |flags, namespace| flags | flag(*namespace)))
}

/// `CLONE_NEW*` of `linux/sched.h`.
const fn flag(namespace: Namespace) -> i32 {
    match namespace {
        Namespace::Ipc => libc::CLONE_NEWIPC,
        Namespace::HostName => libc::CLONE_NEWUTS,
        Namespace::Mounts => libc::CLONE_NEWNS,
        Namespace::Network => libc::CLONE_NEWNET,
    }
}

fn names(namespaces: &[Namespace]) -> String {
    namespaces.iter().map(|namespace| namespace.name()).collect::<Vec<_>>().join(", ")
}
