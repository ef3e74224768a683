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
    // Limits may have been lowered after the descriptor was opened, so they are a guess only; so is the bound, which
    // keeps the loop short where there is no limit.
    const ENOUGH: RawFd = 65_536;
    let limit = sys::limit(sys::Limited::Descriptors).ok().and_then(|(_, most)| most);
    let last = limit.and_then(|limit| RawFd::try_from(limit).ok()).map_or(ENOUGH, |limit| limit.clamp(1024, ENOUGH));
    sys::close_each(first, last.max(first));
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
