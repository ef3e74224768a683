//! Descriptors that a process starts with.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd as _;
use std::os::fd::{OwnedFd, RawFd};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::sys;

/// Closes every descriptor from `first` on: what was inherited by mistake.
///
/// To be called first thing in a process, before anything is opened: descriptors that something in the process owns
/// (an [`OwnedFd`], a library's socket) must not be among them.
///
/// One by one, from the list that `/proc` has, or else by asking for each in bulk. `close_range` (Linux 5.9) would be one
/// call, but there are outer sandboxes that end whoever makes a call that they do not know, and this comes before anything
/// can be tried out.
pub fn close_from(first: RawFd) {
    let first = first.max(0);
    #[cfg(target_os = "linux")]
    if let Some(open) = listed(first) {
        return sys::close_all(&open);
    }
    sys::close_each(first, last_descriptor().max(first));
}

/// Has every descriptor from `first` on closed in programs that this process starts, whoever has opened it here.
///
/// The new program then finds the lower ones alone, and need not close anything itself. That matters because a program
/// cannot tell what it inherited by mistake from what a library has opened in it before `main`: a library whose
/// descriptor is closed goes on to use the number, which by then is somebody else's. One by one, as
/// [`close_from`] does it.
pub fn close_on_exec_from(first: RawFd) {
    let first = first.max(0);
    #[cfg(target_os = "linux")]
    if let Some(open) = listed(first) {
        return sys::close_all_on_exec(&open);
    }
    sys::close_each_on_exec(first, last_descriptor().max(first));
}

/// Asks for what is no descriptor to be closed: to see, in a [rehearsal](crate::Sandbox::rehearse), that closing is permitted.
///
/// # Errors
///
/// Always: `EBADF`, unless the call is refused.
pub fn close_nothing() -> rustix::io::Result<()> {
    sys::close_nothing()
}

/// The last descriptor that may be open. Limits may have been lowered after it was opened, so they are a guess only; so is
/// the bound, which keeps loops short where there is no limit.
fn last_descriptor() -> RawFd {
    const ENOUGH: RawFd = 65_536;
    let limit = sys::limit(sys::Limited::Descriptors).ok().and_then(|(_, most)| most);
    limit.and_then(|limit| RawFd::try_from(limit).ok()).map_or(ENOUGH, |limit| limit.clamp(1024, ENOUGH))
}

/// What `/proc/self/fd` lists from `first` on. `None` if it cannot be read, or is something else.
#[cfg(target_os = "linux")]
fn listed(first: RawFd) -> Option<Vec<RawFd>> {
    use rustix::fs::{Mode, OFlags};
    /// `PROC_SUPER_MAGIC` of `linux/magic.h`.
    const PROC: i128 = 0x9fa0;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open("/proc/self/fd", flags, Mode::empty()).ok()?;
    // As wide as the architecture and the C library have it: whatever it is fits here.
    if i128::from(rustix::fs::fstatfs(&directory).ok()?.f_type) != PROC {
        return None;
    }
    let own = directory.as_raw_fd();
    let mut open = Vec::new();
    for entry in rustix::fs::Dir::new(directory).ok()? {
        let number: Option<RawFd> = entry.ok()?.file_name().to_str().ok().and_then(|name| name.parse().ok());
        open.extend(number.filter(|number| *number >= first && *number != own));
    }
    Some(open)
}

/// Raises the number of descriptors that may be open at a time to the most that the process may have. The usual limit is
/// often 1024 for the sake of `select(2)`.
///
/// # Errors
///
/// If an outer sandbox forbids looking at the limit, or changing it.
pub fn raise_limit() -> io::Result<()> {
    let (_, most) = sys::limit(sys::Limited::Descriptors)?;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?)
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
