//! User, groups and capabilities.
//!
//! The calls change the calling thread only, where a C library would change all: there is one thread, which
//! [`prepare`](crate::Sandbox::prepare) made sure of.

use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};
use rustix::thread::{Gid, Uid};

use super::{is_root, unavailable};
use crate::report::Outcome;
use crate::sandbox::Identity;

pub(super) fn change(identity: Option<Identity>) -> Outcome {
    let uid = rustix::process::geteuid().as_raw();
    match identity {
        None if is_root() => Outcome::Skipped("no other user was given: stays root, without its powers".to_owned()),
        None => Outcome::Skipped(format!("keeps user {uid}")),
        Some(_) if !is_root() => Outcome::Skipped(format!("not started as root: keeps user {uid}")),
        Some(identity) => become_user(identity),
    }
}

pub(super) fn change_offered() -> Outcome {
    if is_root() {
        return match powers() {
            Ok(()) => Outcome::Enforced("offered: runs as root, and can change to another user".to_owned()),
            Err(why) => Outcome::Unavailable(format!("runs as root, but {why}")),
        };
    }
    Outcome::Skipped(format!("runs as user {}, which cannot change to another", rustix::process::geteuid().as_raw()))
}

/// Whether a process that runs as root can give files and itself to that user and group.
pub(crate) fn can_become(Identity { uid, gid }: Identity) -> Result<(), &'static str> {
    if !is_root() {
        return Err("it does not run as root");
    }
    powers()?;
    let mapped = |map: &str, id: u32| std::fs::read_to_string(map).map_or(true, |map| maps(&map, id));
    if mapped("/proc/self/uid_map", uid) && mapped("/proc/self/gid_map", gid) {
        return Ok(());
    }
    Err("its user namespace has no such user")
}

/// What root needs for that, and may have been left without in a container.
fn powers() -> Result<(), &'static str> {
    let needed = CapabilitySet::CHOWN | CapabilitySet::SETUID | CapabilitySet::SETGID;
    if rustix::thread::capabilities(None).is_ok_and(|sets| !sets.effective.contains(needed)) {
        return Err("it was left without the capabilities to change users");
    }
    if std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|word| word.trim() == "deny") {
        return Err("it is the root of a user namespace, where groups cannot be given up");
    }
    Ok(())
}

/// Whether a map of a user namespace (user_namespaces(7)) has a number in it: lines of first inside, first outside, how
/// many.
fn maps(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) => id >= first && id - first < count,
            _ => false,
        }
    })
}

fn become_user(Identity { uid, gid }: Identity) -> Outcome {
    if let Err(why) = can_become(Identity { uid, gid }) {
        return Outcome::Unavailable(format!("cannot change to user {uid} and group {gid}: {why}"));
    }
    // Groups first: afterwards there is no right to.
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    if let Err(error) = rustix::thread::set_thread_groups(&[]) {
        return unavailable("the other groups cannot be given up", error.into());
    }
    if let Err(error) = rustix::thread::set_thread_res_gid(group, group, group) {
        return unavailable(&format!("cannot change to group {gid}"), error.into());
    }
    if let Err(error) = rustix::thread::set_thread_res_uid(user, user, user) {
        return unavailable(&format!("cannot change to user {uid}"), error.into());
    }
    verify(uid, gid)
}

/// Success of the calls is one thing; that there is no way back is another.
fn verify(uid: u32, gid: u32) -> Outcome {
    use rustix::process::{getegid, geteuid, getgid, getgroups, getuid};
    let ids =
        [getuid().as_raw(), geteuid().as_raw()] == [uid; 2] && [getgid().as_raw(), getegid().as_raw()] == [gid; 2];
    let groups = getgroups().is_ok_and(|groups| groups.is_empty());
    if !ids || !groups {
        return Outcome::Partial(format!("user and group should be {uid} and {gid} with no other groups, and are not"));
    }
    if uid != 0 && rustix::thread::set_thread_uid(Uid::ROOT).is_ok() {
        return Outcome::Partial("the user was changed, but can be changed back to root".to_owned());
    }
    if uid == 0 {
        return Outcome::Partial(format!("group {gid}, but the user is root"));
    }
    Outcome::Enforced(format!("user {uid}, group {gid}, no other groups"))
}

/// Takes the capabilities that programs could gain out of the bounding set, while there is still the right to, and locks
/// the ways in which they would come back. The text says what was done.
pub(super) fn bound_capabilities() -> Outcome {
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
pub(super) fn drop_capabilities(bounded: &str) -> Outcome {
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
        (Ok(_), Err(error)) => unavailable("capabilities cannot be given up", error.into()),
        (Ok(now), Ok(())) => Outcome::Partial(format!("these are left: {:?}", now.permitted | now.inheritable)),
        // The kernel took the empty sets, and an outer sandbox forbids looking at them.
        (Err(_), Ok(())) => Outcome::Enforced(bounded.to_owned()),
        (Err(_), Err(error)) => unavailable("capabilities can be neither seen nor given up", error.into()),
    }
}

pub(super) fn capabilities_offered() -> Outcome {
    match rustix::thread::capabilities(None) {
        Ok(sets) if sets.permitted.is_empty() => Outcome::Enforced("offered: none are held".to_owned()),
        Ok(sets) => Outcome::Enforced(format!("offered: {} can be given up", sets.permitted.bits().count_ones())),
        Err(error) => unavailable("capabilities cannot be read", error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_maps() {
        let whole = "         0          0 4294967295\n";
        let alone = "         0       1000          1\n";
        let ranges = "0 1000 1\n1 100000 65536\n";
        for (map, id, there) in [
            (whole, 60_900, true),
            (alone, 0, true),
            (alone, 1, false),
            (ranges, 65_536, true),
            (ranges, 65_537, false),
            ("", 0, false),
        ] {
            assert_eq!(maps(map, id), there, "{id} in {map:?}");
        }
    }
}
