//! Capsicum and procctl(2).

use std::ffi::{c_int, c_uint};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use super::check;
use crate::os::words::capsicum::Right;

/// What tells one file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    pub(crate) device: libc::dev_t,
    pub(crate) inode: libc::ino_t,
}

/// The directory a descriptor leads to, if it leads to one.
pub(crate) fn directory(raw: RawFd) -> io::Result<Option<FileId>> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat writes one stat, for which there is room, and touches nothing else, whatever the descriptor is.
    check(unsafe { libc::fstat(raw, stat.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it is filled in.
    let stat = unsafe { stat.assume_init() };
    let is_directory = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
    Ok(is_directory.then_some(FileId { device: stat.st_dev, inode: stat.st_ino }))
}

/// Takes all rights but these from a descriptor.
pub(crate) fn limit_rights(raw: RawFd, rights: &[Right]) -> io::Result<()> {
    let mut set = MaybeUninit::<libc::cap_rights_t>::uninit();
    // SAFETY: __cap_rights_init writes one cap_rights_t, for which there is room, and reads rights until one that is 0,
    // which is the first.
    unsafe { libc::__cap_rights_init(libc::CAP_RIGHTS_VERSION, set.as_mut_ptr(), 0_u64) };
    for right in rights {
        // SAFETY: the set was made by __cap_rights_init; rights are read until one that is 0, which is the second.
        unsafe { libc::__cap_rights_set(set.as_mut_ptr(), bits(*right), 0_u64) };
    }
    // SAFETY: the set is filled in and lives through the call, which only reads it. Rights are taken, so that later
    // calls fail; nothing else changes.
    check(unsafe { libc::cap_rights_limit(raw, set.as_ptr()) }).map(drop)
}

const fn bits(right: Right) -> u64 {
    match right {
        Right::Read => libc::CAP_READ,
        Right::Write => libc::CAP_WRITE,
        Right::Seek => libc::CAP_SEEK,
        Right::Map => libc::CAP_MMAP,
        Right::Lookup => libc::CAP_LOOKUP,
        Right::Stat => libc::CAP_FSTAT,
        Right::StatSystem => libc::CAP_FSTATFS,
        Right::Control => libc::CAP_FCNTL,
        Right::Events => libc::CAP_EVENT,
        Right::Lock => libc::CAP_FLOCK,
        Right::Create => libc::CAP_CREATE,
        Right::Truncate => libc::CAP_FTRUNCATE,
        Right::Sync => libc::CAP_FSYNC,
        Right::Mode => libc::CAP_FCHMOD,
        Right::Times => libc::CAP_FUTIMES,
        Right::MakeDirectory => libc::CAP_MKDIRAT,
        Right::Unlink => libc::CAP_UNLINKAT,
        Right::RenameFrom => libc::CAP_RENAMEAT_SOURCE,
        Right::RenameTo => libc::CAP_RENAMEAT_TARGET,
        Right::LinkFrom => libc::CAP_LINKAT_SOURCE,
        Right::LinkTo => libc::CAP_LINKAT_TARGET,
        Right::Symlink => libc::CAP_SYMLINKAT,
    }
}

/// Enters capability mode, which there is no way out of.
pub(crate) fn enter_capability_mode() -> io::Result<()> {
    // SAFETY: cap_enter takes no arguments; it makes later calls fail.
    check(unsafe { libc::cap_enter() }).map(drop)
}

/// Whether the process is in capability mode; an error where the kernel has none.
pub(crate) fn capability_mode() -> io::Result<bool> {
    let mut mode: c_uint = 0;
    // SAFETY: cap_getmode writes one unsigned int, which `mode` is.
    check(unsafe { libc::cap_getmode(&raw mut mode) })?;
    Ok(mode != 0)
}

/// Programs that the process starts gain no rights (FreeBSD 14).
pub(crate) fn set_no_new_privileges() -> io::Result<()> {
    own(libc::PROC_NO_NEW_PRIVS_CTL, libc::PROC_NO_NEW_PRIVS_ENABLE)
}

/// Whether the kernel knows it.
pub(crate) fn no_new_privileges() -> io::Result<()> {
    own(libc::PROC_NO_NEW_PRIVS_STATUS, 0)
}

/// No debugger, no core dump.
pub(crate) fn set_not_traceable() -> io::Result<()> {
    own(libc::PROC_TRACE_CTL, libc::PROC_TRACE_CTL_DISABLE)
}

/// procctl(2) on the process itself, for commands that read or write one int.
///
/// rustix has a wrapper for tracing, which in 1.1 passes the value where the kernel wants its address.
fn own(command: c_int, mut value: c_int) -> io::Result<()> {
    // SAFETY: the commands used here read or write one int at the address given, which lives through the call. They change
    // what others may do to the process, not its memory.
    check(unsafe { libc::procctl(libc::P_PID, 0, command, (&raw mut value).cast()) }).map(drop)
}
