//! Descriptors that a process starts with.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use crate::sys;

/// Closes every descriptor from `first` on: what was inherited by mistake.
///
/// To be called first thing in a process, before anything is opened: descriptors that something in the process owns
/// (an [`OwnedFd`], a library's socket) must not be among them. By `close_range` where there is one (Linux 5.9), else
/// one by one.
pub fn close_from(first: RawFd) {
    let first = first.max(0);
    #[cfg(target_os = "linux")]
    if sys::close_range(first.unsigned_abs()).is_ok() {
        return;
    }
    sys::close_each(first, last_descriptor().max(first));
}

/// Has every descriptor from `first` on closed in programs that this process starts, whoever has opened it here.
///
/// The new program then finds the lower ones alone, and need not close anything itself. That matters because a program
/// cannot tell what it inherited by mistake from what a library has opened in it before `main`: a library whose
/// descriptor is closed goes on to use the number, which by then is somebody else's. By `close_range` where it does that
/// (Linux 5.11), else one by one.
pub fn close_on_exec_from(first: RawFd) {
    let first = first.max(0);
    #[cfg(target_os = "linux")]
    if sys::close_range_on_exec(first.unsigned_abs()).is_ok() {
        return;
    }
    sys::close_each_on_exec(first, last_descriptor().max(first));
}

/// The last descriptor that may be open. Limits may have been lowered after it was opened, so they are a guess only; so is
/// the bound, which keeps loops short where there is no limit.
fn last_descriptor() -> RawFd {
    const ENOUGH: RawFd = 65_536;
    let limit = sys::limit(sys::Limited::Descriptors).ok().and_then(|(_, most)| most);
    limit.and_then(|limit| RawFd::try_from(limit).ok()).map_or(ENOUGH, |limit| limit.clamp(1024, ENOUGH))
}

/// Takes over a descriptor that the process was started with, by its number.
///
/// Nothing else in the process may own it, and it is to be taken once only: it is closed when the result is dropped.
///
/// # Errors
///
/// `EBADF` if there is no such descriptor.
pub fn inherited(raw: RawFd) -> io::Result<OwnedFd> {
    sys::adopt(raw)
}
