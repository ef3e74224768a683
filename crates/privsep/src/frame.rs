//! Bytes on a channel: a length of four bytes, little end first, then that many bytes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::error::Fault;

/// The kernel passes at most this many descriptors with one message (`SCM_MAX_FD`, unix(7)).
pub(crate) const MAX_DESCRIPTORS: usize = 253;

/// Bytes of the length in front of each message.
const HEADER: usize = 4;

/// A peer that is gone is an error, not a signal. Where there is no such flag, Rust programs have the signal ignored.
#[cfg(not(target_vendor = "apple"))]
const SEND: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::empty();

/// Descriptors that arrive are closed on exec from the start, where the system can do so.
#[cfg(not(any(target_vendor = "apple", target_os = "illumos", target_os = "solaris")))]
const RECEIVE: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(any(target_vendor = "apple", target_os = "illumos", target_os = "solaris"))]
const RECEIVE: RecvFlags = RecvFlags::empty();

/// When to stop waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    fn is_over(self) -> bool {
        self.remaining().is_some_and(|left| left.is_zero())
    }

    fn remaining(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }
}

/// Waits until one of `descriptors` can be read (or has been closed by the other end).
///
/// Returns which can, or an empty list when the time is up.
pub(crate) fn poll_readable(descriptors: &[BorrowedFd<'_>], deadline: Deadline) -> io::Result<Vec<usize>> {
    let mut polled: Vec<PollFd<'_>> =
        descriptors.iter().map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN)).collect();
    poll(&mut polled, deadline)?;
    Ok(polled.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty()).map(|(at, _)| at).collect())
}

/// `poll` that survives interruptions. `false` when the time is up.
fn poll(polled: &mut [PollFd<'_>], deadline: Deadline) -> io::Result<bool> {
    loop {
        let timeout = deadline
            .remaining()
            .map(|left| Timespec::try_from(left).unwrap_or_else(|_| Timespec { tv_sec: i32::MAX.into(), tv_nsec: 0 }));
        match rustix::event::poll(polled, timeout.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn wait_for(descriptor: BorrowedFd<'_>, flags: PollFlags, deadline: Deadline) -> Result<(), Fault> {
    match poll(&mut [PollFd::from_borrowed_fd(descriptor, flags)], deadline) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::Timeout),
        Err(error) => Err(Fault::Io(error)),
    }
}

/// Writes one message.
pub(crate) fn write(to: BorrowedFd<'_>, payload: &[u8], deadline: Deadline) -> Result<(), Fault> {
    write_all(to, &framed(payload)?, deadline)
}

/// Writes one message with descriptors beside it.
pub(crate) fn write_with(
    to: BorrowedFd<'_>,
    payload: &[u8],
    descriptors: &[BorrowedFd<'_>],
    deadline: Deadline,
) -> Result<(), Fault> {
    if descriptors.is_empty() {
        return write(to, payload, deadline);
    }
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(Fault::Descriptors { got: descriptors.len(), expected: MAX_DESCRIPTORS });
    }
    let frame = framed(payload)?;
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    loop {
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Fault::Descriptors { got: descriptors.len(), expected: MAX_DESCRIPTORS });
        }
        let sent = rustix::net::sendmsg(to, &[io::IoSlice::new(&frame)], &mut ancillary, SEND);
        match sent {
            // The descriptors went with the first byte; the rest is bytes.
            Ok(sent) => return write_all(to, frame.get(sent..).unwrap_or_default(), deadline),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(to, PollFlags::OUT, deadline)?,
            // unix(7): too many descriptors of this user are on their way, whosever they are. They arrive in a moment.
            Err(Errno::TOOMANYREFS) if !deadline.is_over() => {
                poll(&mut [], Deadline::after(Some(Duration::from_millis(5)))).map_err(Fault::Io)?;
            }
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(Fault::Vanished),
            Err(error) => return Err(Fault::Io(error.into())),
        }
    }
}

/// A message with its length before it.
pub(crate) fn framed(payload: &[u8]) -> Result<Vec<u8>, Fault> {
    let length = u32::try_from(payload.len())
        .map_err(|_| Fault::TooLong { announced: payload.len(), allowed: u32::MAX as usize })?;
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(payload);
    Ok(frame)
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8], deadline: Deadline) -> Result<(), Fault> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(to, PollFlags::OUT, deadline)?,
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(Fault::Vanished),
            Err(error) => return Err(Fault::Io(error.into())),
        }
    }
    Ok(())
}

/// Reads one message of at most `limit` bytes.
pub(crate) fn read(from: BorrowedFd<'_>, limit: usize, deadline: Deadline) -> Result<Vec<u8>, Fault> {
    let mut header = [0; HEADER];
    read_exact(from, &mut header, deadline)?;
    read_payload(from, header, limit, deadline)
}

/// Reads one message and the descriptors that came with it.
pub(crate) fn read_with(
    from: BorrowedFd<'_>,
    limit: usize,
    deadline: Deadline,
) -> Result<(Vec<u8>, Vec<OwnedFd>), Fault> {
    let mut header = [0; HEADER];
    let (got, descriptors) = receive(from, &mut header, deadline)?;
    read_exact(from, header.get_mut(got..).unwrap_or_default(), deadline)?;
    Ok((read_payload(from, header, limit, deadline)?, descriptors))
}

/// `recvmsg`: some bytes and the descriptors beside them.
fn receive(from: BorrowedFd<'_>, into: &mut [u8], deadline: Deadline) -> Result<(usize, Vec<OwnedFd>), Fault> {
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    loop {
        wait_for(from, PollFlags::IN, deadline)?;
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(from, &mut [io::IoSliceMut::new(into)], &mut ancillary, RECEIVE);
        match received {
            Ok(message) if message.bytes == 0 => return Err(Fault::Vanished),
            Ok(message) => {
                let descriptors: Vec<OwnedFd> = ancillary
                    .drain()
                    .filter_map(|item| match item {
                        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                        _ => None,
                    })
                    .flatten()
                    .collect();
                if RECEIVE.is_empty() {
                    for descriptor in &descriptors {
                        rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)
                            .map_err(|error| Fault::Io(error.into()))?;
                    }
                }
                if message.flags.contains(ReturnFlags::CTRUNC) {
                    return Err(Fault::Descriptors { got: descriptors.len() + 1, expected: descriptors.len() });
                }
                return Ok((message.bytes, descriptors));
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::CONNRESET) => return Err(Fault::Vanished),
            Err(error) => return Err(Fault::Io(error.into())),
        }
    }
}

fn read_payload(
    from: BorrowedFd<'_>,
    header: [u8; HEADER],
    limit: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Fault> {
    let announced = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Fault::TooLong { announced, allowed: limit });
    }
    let mut payload = vec![0; announced];
    read_exact(from, &mut payload, deadline)?;
    Ok(payload)
}

fn read_exact(from: BorrowedFd<'_>, mut into: &mut [u8], deadline: Deadline) -> Result<(), Fault> {
    while !into.is_empty() {
        match rustix::io::read(from.as_fd(), &mut *into) {
            Ok(0) => return Err(Fault::Vanished),
            Ok(got) => into = into.get_mut(got..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(from, PollFlags::IN, deadline)?,
            Err(Errno::CONNRESET) => return Err(Fault::Vanished),
            Err(error) => return Err(Fault::Io(error.into())),
        }
    }
    Ok(())
}
