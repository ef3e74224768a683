//! Settings of the process: one prctl(2) each.

use rustix::process::DumpableBehavior;

use super::unavailable;
use crate::report::Outcome;
use crate::sys;

pub(super) fn no_new_privileges() -> Outcome {
    match rustix::thread::set_no_new_privs(true) {
        Ok(()) => Outcome::Enforced("programs it starts gain no rights".to_owned()),
        // An outer sandbox may hide the option after having set it itself.
        Err(_) if rustix::thread::no_new_privs() == Ok(true) => Outcome::Enforced("was set already".to_owned()),
        Err(error) => unavailable("prctl(PR_SET_NO_NEW_PRIVS)", error.into()),
    }
}

pub(super) fn no_new_privileges_offered() -> Outcome {
    match rustix::thread::no_new_privs() {
        Ok(true) => Outcome::Enforced("offered, and set already".to_owned()),
        Ok(false) => Outcome::Enforced("offered".to_owned()),
        Err(error) => unavailable("prctl(PR_GET_NO_NEW_PRIVS)", error.into()),
    }
}

/// To be done after a change of user, which the kernel takes as a reason to set it anew.
pub(super) fn not_dumpable() -> Outcome {
    let held = || rustix::process::dumpable_behavior() == Ok(DumpableBehavior::NotDumpable);
    match rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        Ok(()) => Outcome::Enforced("no core dumps, no debugger of the same user".to_owned()),
        Err(_) if held() => Outcome::Enforced("was set already".to_owned()),
        Err(error) => unavailable("prctl(PR_SET_DUMPABLE)", error.into()),
    }
}

pub(super) fn not_dumpable_offered() -> Outcome {
    match rustix::process::dumpable_behavior() {
        Ok(_) => Outcome::Enforced("offered".to_owned()),
        Err(error) => unavailable("prctl(PR_GET_DUMPABLE)", error.into()),
    }
}

pub(super) fn never_executable() -> Outcome {
    match sys::set_mdwe() {
        Ok(()) => Outcome::Enforced("memory never becomes executable".to_owned()),
        Err(_) if sys::mdwe().is_ok_and(|bits| bits & 1 == 1) => Outcome::Enforced("was set already".to_owned()),
        Err(error) => unavailable("prctl(PR_SET_MDWE), Linux 6.3", error),
    }
}

pub(super) fn never_executable_offered() -> Outcome {
    match sys::mdwe() {
        Ok(_) => Outcome::Enforced("offered".to_owned()),
        Err(error) => unavailable("prctl(PR_GET_MDWE), Linux 6.3", error),
    }
}
