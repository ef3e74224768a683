//! Capabilities.
//!
//! The calls change the calling thread only: there is one thread, which [`prepare`](crate::Sandbox::prepare) made sure of.

use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use super::unavailable;
use crate::report::Outcome;

/// Takes the capabilities that programs could gain out of the bounding set, while there is still the right to, and locks
/// the ways in which they would come back. The text says what was done.
pub(super) fn bound() -> Outcome {
    let mut left = 0;
    for capability in (0..64).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) => left += usize::from(rustix::thread::remove_capability_from_bounding_set(capability).is_err()),
            Ok(false) => {}
            // The kernel knows the first so many, and no others.
            Err(_) => break,
        }
    }
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    let locked = rustix::thread::set_capabilities_secure_bits(bits).is_ok();
    Outcome::Enforced(match (left, locked) {
        (0, true) => "none, none to gain, and locked".to_owned(),
        (0, false) => "none, and none to gain".to_owned(),
        // What is left there no program can gain as long as there is no-new-privileges.
        _ => "none".to_owned(),
    })
}

/// Empties all sets. After the change of user, which needs some of them.
pub(super) fn drop_all(bounded: &str) -> Outcome {
    // Older kernels have no ambient set (Linux 4.3), and nothing then to clear.
    let _ = rustix::thread::clear_ambient_capability_set();
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    let set = rustix::thread::set_capabilities(None, none);
    match (rustix::thread::capabilities(None), set) {
        (Ok(now), _) if now == none => Outcome::Enforced(bounded.to_owned()),
        (Ok(_), Err(error)) => unavailable("capset(2)", error.into()),
        (Ok(now), Ok(())) => Outcome::Partial(format!("these are left: {:?}", now.permitted | now.inheritable)),
        // The kernel took the empty sets, and an outer sandbox forbids looking at them.
        (Err(_), Ok(())) => Outcome::Enforced(bounded.to_owned()),
        (Err(_), Err(error)) => unavailable("capset(2), and capget(2) as well", error.into()),
    }
}

pub(super) fn offered() -> Outcome {
    match rustix::thread::capabilities(None) {
        Ok(sets) if sets.permitted.is_empty() => Outcome::Enforced("offered: none are held".to_owned()),
        Ok(sets) => Outcome::Enforced(format!("offered: {} can be given up", sets.permitted.bits().count_ones())),
        Err(error) => unavailable("capget(2)", error.into()),
    }
}
