//! Users and groups, as Linux has them.
//!
//! The calls change the calling thread only, where a C library would change all: there is one thread, which
//! [`prepare`](crate::Sandbox::prepare) made sure of.

use std::io;

use rustix::thread::{CapabilitySet, Gid, Uid};

pub(in crate::os) fn no_groups(_: u32) -> io::Result<()> {
    Ok(rustix::thread::set_thread_groups(&[])?)
}

pub(in crate::os) fn set_group(gid: u32) -> io::Result<()> {
    let group = Gid::from_raw(gid);
    Ok(rustix::thread::set_thread_res_gid(group, group, group)?)
}

pub(in crate::os) fn set_user(uid: u32) -> io::Result<()> {
    let user = Uid::from_raw(uid);
    Ok(rustix::thread::set_thread_res_uid(user, user, user)?)
}

pub(in crate::os) fn regain_root() -> io::Result<()> {
    Ok(rustix::thread::set_thread_uid(Uid::ROOT)?)
}

/// What root needs to change users, and may have been left without in a container.
pub(in crate::os) fn powers() -> Result<(), &'static str> {
    let needed = CapabilitySet::CHOWN | CapabilitySet::SETUID | CapabilitySet::SETGID;
    if rustix::thread::capabilities(None).is_ok_and(|sets| !sets.effective.contains(needed)) {
        return Err("it was left without the capabilities to change users");
    }
    if std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|word| word.trim() == "deny") {
        return Err("it is the root of a user namespace, where groups cannot be given up");
    }
    Ok(())
}

/// Whether there are such a user and group in the user namespace.
pub(in crate::os) fn exist(uid: u32, gid: u32) -> bool {
    let mapped = |map: &str, id: u32| std::fs::read_to_string(map).map_or(true, |map| maps(&map, id));
    mapped("/proc/self/uid_map", uid) && mapped("/proc/self/gid_map", gid)
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
