//! User and groups.

#[cfg(target_os = "linux")]
use super::super::linux::users as calls;
use super::{is_root, unavailable};
use crate::report::Outcome;
use crate::sandbox::Identity;

pub(in crate::os) fn change(identity: Option<Identity>) -> Outcome {
    let uid = rustix::process::geteuid().as_raw();
    match identity {
        None if is_root() => Outcome::Skipped("no other user was given: stays root, without its powers".to_owned()),
        None => Outcome::Skipped(format!("keeps user {uid}")),
        Some(_) if !is_root() => Outcome::Skipped(format!("not started as root: keeps user {uid}")),
        Some(identity) => become_user(identity),
    }
}

pub(in crate::os) fn change_offered() -> Outcome {
    if is_root() {
        return match calls::powers() {
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
    calls::powers()?;
    if calls::exist(uid, gid) { Ok(()) } else { Err("its user namespace has no such user") }
}

fn become_user(Identity { uid, gid }: Identity) -> Outcome {
    if let Err(why) = can_become(Identity { uid, gid }) {
        return Outcome::Unavailable(format!("cannot change to user {uid} and group {gid}: {why}"));
    }
    // Groups first: afterwards there is no right to.
    if let Err(error) = calls::no_groups(gid) {
        return unavailable("setgroups(2), to give up the other groups", error);
    }
    if let Err(error) = calls::set_group(gid) {
        return unavailable(&format!("the change to group {gid}"), error);
    }
    if let Err(error) = calls::set_user(uid) {
        return unavailable(&format!("the change to user {uid}"), error);
    }
    verify(uid, gid)
}

/// Success of the calls is one thing; that there is no way back is another.
fn verify(uid: u32, gid: u32) -> Outcome {
    use rustix::process::{getegid, geteuid, getgid, getgroups, getuid};
    let ids =
        [getuid().as_raw(), geteuid().as_raw()] == [uid; 2] && [getgid().as_raw(), getegid().as_raw()] == [gid; 2];
    // Some systems count the effective group among the others.
    let groups = getgroups().is_ok_and(|groups| groups.iter().all(|group| group.as_raw() == gid));
    if !ids || !groups {
        return Outcome::Partial(format!("user and group should be {uid} and {gid} with no other groups, and are not"));
    }
    if uid != 0 && calls::regain_root().is_ok() {
        return Outcome::Partial("the user was changed, but can be changed back to root".to_owned());
    }
    if uid == 0 {
        return Outcome::Partial(format!("group {gid}, but the user is root"));
    }
    Outcome::Enforced(format!("user {uid}, group {gid}, no other groups"))
}

/// setgid(2) and setuid(2) change the real, the effective and the saved one if the process is root (POSIX).
#[cfg(not(target_os = "linux"))]
mod calls {
    use std::io;

    use crate::sys;

    /// Nothing more than root: there are no user namespaces here.
    #[expect(clippy::unnecessary_wraps, reason = "root can have less on Linux")]
    pub(super) const fn powers() -> Result<(), &'static str> {
        Ok(())
    }

    pub(super) const fn exist(_: u32, _: u32) -> bool {
        true
    }

    pub(super) fn no_groups(gid: u32) -> io::Result<()> {
        sys::only_group(gid)
    }

    pub(super) fn set_group(gid: u32) -> io::Result<()> {
        sys::set_gid(gid)
    }

    pub(super) fn set_user(uid: u32) -> io::Result<()> {
        sys::set_uid(uid)
    }

    pub(super) fn regain_root() -> io::Result<()> {
        sys::set_uid(0)
    }
}
