//! Answering for the kernel: the supervisor's end of seccomp user notification (seccomp_unotify(2), Linux 5.0).
//!
//! The answer is always the error that the filter would have given by itself. Nothing is ever continued, no descriptor is
//! added, and no memory of the other process is looked at, so what it changes meanwhile does not matter.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use syscall_policy::{Arch, Class, Policy, Verdict, calls};

use crate::promise::Promise;
use crate::refused::Refused;
use crate::sandbox::HandOff;
use crate::sys;

/// Where calls that a sealed process is refused are answered, and told of.
///
/// It can be read (poll(2)) when a call waits for its answer; the process stands still until then. Once it is dropped, such
/// calls are answered with `ENOSYS` by the kernel.
#[derive(Debug)]
pub struct Listener {
    descriptor: OwnedFd,
    arch: Arch,
    policy: Policy,
}

impl Listener {
    /// The listener that the process `pid` handed over when it was sealed with these promises.
    ///
    /// # Errors
    ///
    /// There is no table of calls for this architecture.
    pub fn new(descriptor: OwnedFd, promises: &[Promise], pid: u32) -> io::Result<Self> {
        let arch = Arch::native().ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self { descriptor, arch, policy: super::syscalls::policy(promises).for_process(pid) })
    }

    /// The same for a process that these classes were [withheld](crate::Sandbox::withhold) from.
    #[must_use]
    pub fn withholding(self, classes: &[Class]) -> Self {
        Self { policy: super::syscalls::narrowed(self.policy, classes), ..self }
    }

    /// Answers the next call, without waiting for one. `None`: nobody waits for an answer, or not any more.
    ///
    /// # Errors
    ///
    /// The listener is of no use any more: the process is gone, or the kernel does not answer.
    pub fn answer(&self) -> io::Result<Option<Refused>> {
        let mut entry = [PollFd::from_borrowed_fd(self.descriptor.as_fd(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match rustix::event::poll(&mut entry, Some(&now)) {
            Err(Errno::INTR) => return Ok(None),
            looked => looked?,
        };
        match entry[0].revents() {
            found if found.contains(PollFlags::IN) => {}
            found if found.is_empty() => return Ok(None),
            // Nobody is left that this filter holds for.
            _ => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        let asked = match sys::receive_notification(&self.descriptor) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => return Ok(None),
            asked => asked?,
        };
        let number = asked.number.cast_unsigned();
        let errno = match self.policy.verdict(self.arch, number, &asked.arguments) {
            Verdict::Errno(errno) => errno,
            // A call that this policy does not refuse is asked about by no filter of ours.
            Verdict::Allow | Verdict::Kill | Verdict::Notify | Verdict::Trap => {
                syscall_policy::Errno::NotPermitted.number(self.arch)
            }
        };
        match sys::answer_notification(&self.descriptor, asked.id, errno.into()) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return Err(error),
            _ => {}
        }
        let call = self.arch.name_of(number);
        let shape = |(at, value): (usize, &u64)| shape(call.unwrap_or_default(), at, *value);
        Ok(Some(Refused {
            pid: asked.pid,
            number,
            call: call.map(str::to_owned),
            class: call.and_then(calls::call).map(|call| call.class.name().to_owned()),
            arguments: asked.arguments.iter().enumerate().map(shape).collect(),
            answer: name_of(self.arch, errno),
            address: asked.instruction_pointer,
        }))
    }
}

/// Sends a listener away, in one message if the socket takes it. Takes no memory, and makes no call but those of sending,
/// writing and waiting.
pub(super) fn hand_off(listener: &OwnedFd, HandOff { over, message }: &HandOff<'_>) -> Result<(), Errno> {
    /// unix(7), `ETOOMANYREFS`: descriptors of the same user that are on their way arrive in a moment.
    const TRIES: usize = 200;
    let handles = [listener.as_fd()];
    for _ in 0..TRIES {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        beside.push(SendAncillaryMessage::ScmRights(&handles));
        match rustix::net::sendmsg(over, &[IoSlice::new(message)], &mut beside, SendFlags::NOSIGNAL) {
            // The descriptor went with the first byte; the rest is bytes.
            Ok(sent) => return write_all(*over, message.get(sent..).unwrap_or_default()),
            Err(Errno::INTR | Errno::AGAIN | Errno::TOOMANYREFS) => wait(*over)?,
            Err(error) => return Err(error),
        }
    }
    Err(Errno::AGAIN)
}

fn write_all(over: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(over, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR | Errno::AGAIN) => wait(over)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Until it can be written to, or a moment.
fn wait(over: BorrowedFd<'_>) -> Result<(), Errno> {
    let moment = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
    match rustix::event::poll(&mut [PollFd::from_borrowed_fd(over, PollFlags::OUT)], Some(&moment)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Arguments that are flags or commands, which tell what a call was for and nothing that is secret.
const TELLING: [(&str, usize); 14] = [
    ("open", 1),
    ("openat", 2),
    ("mmap", 2),
    ("mmap", 3),
    ("mmap2", 2),
    ("mmap2", 3),
    ("mprotect", 2),
    ("ioctl", 1),
    ("prctl", 0),
    ("clone", 0),
    ("socket", 1),
    ("fcntl", 1),
    ("futex", 1),
    ("faccessat2", 3),
];

fn name_of(arch: Arch, errno: u16) -> String {
    let known = syscall_policy::Errno::from_number(arch, errno);
    known.map_or_else(|| errno.to_string(), |errno| errno.to_string())
}

fn shape(call: &str, at: usize, value: u64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "the kernel reads these arguments as 32 bits")]
    let (low, small) = (value as u32, (value as u32).cast_signed());
    let is_small = (-4096..=0xffff).contains(&small) && (value >> 32 == 0 || value >> 31 == 0x1_ffff_ffff);
    match value {
        _ if is_small => small.to_string(),
        _ if TELLING.contains(&(call, at)) => format!("{low:#x}"),
        _ => format!("{} bits", 64 - value.leading_zeros()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_by_shape() {
        assert_eq!(shape("openat", 0, (-100_i64).cast_unsigned()), "-100");
        assert_eq!(shape("openat", 0, 0xffff_ff9c), "-100");
        assert_eq!(shape("openat", 1, 0x7fff_1234_5678), "47 bits");
        assert_eq!(shape("openat", 2, 0x8_0000), "0x80000");
        assert_eq!(shape("write", 2, 0x8_0000), "20 bits");
        assert_eq!(shape("", 0, u64::MAX - 0x2000), "64 bits");
    }
}
