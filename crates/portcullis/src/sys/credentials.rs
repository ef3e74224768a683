//! Users and groups, by the C library: these hold for all threads.

use std::io;
use std::ptr;

use super::check;

/// Gives up all groups but this one, which the system may count among them.
pub(crate) fn only_group(gid: u32) -> io::Result<()> {
    // SAFETY: no groups are read where there are none.
    if check(unsafe { libc::setgroups(0, ptr::null()) }).is_ok() {
        return Ok(());
    }
    // SAFETY: one group is read from the address of one, which lives through the call.
    check(unsafe { libc::setgroups(1, &raw const gid) }).map(drop)
}

/// Changes the group; as root the real, effective and saved one.
pub(crate) fn set_gid(gid: u32) -> io::Result<()> {
    // SAFETY: setgid takes no pointers.
    check(unsafe { libc::setgid(gid) }).map(drop)
}

/// Changes the user; as root the real, effective and saved one.
pub(crate) fn set_uid(uid: u32) -> io::Result<()> {
    // SAFETY: setuid takes no pointers.
    check(unsafe { libc::setuid(uid) }).map(drop)
}
