//! A supervisor of filters (`seccomp_unotify(2)`): for answers that depend on what a filter cannot see.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;

use crate::enter::{address, address_mut, call};
use crate::filter::{Answer, Rule, Test};

/// Where a process that is to be supervised leaves word.
#[derive(Debug)]
pub(crate) struct Mailbox(UnixStream);

/// What is asked of a supervisor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Supervised {
    /// To answer filters of more instructions than that with this error.
    LongestFilter(u16, i32),
    /// To answer `EINVAL` to Landlock rules with other rights to files, or any to something else.
    LandlockRights(u64),
}

impl Supervised {
    /// The calls that it is asked about.
    pub(crate) fn rules(self) -> Vec<Rule> {
        let rule = |call, test| Rule::new(call, test, Answer::Supervised);
        match self {
            // SECCOMP_SET_MODE_FILTER, PR_SET_SECCOMP.
            Self::LongestFilter(..) => {
                let rules = [rule("seccomp", Test::Is(vec![1])), rule("prctl", Test::Is(vec![22]))];
                rules.into_iter().flatten().collect()
            }
            Self::LandlockRights(_) => rule("landlock_create_ruleset", Test::Always).into_iter().collect(),
        }
    }

    /// The error for a call, if it is to have one. What cannot be read is let through.
    fn error(self, notification: &Notification) -> Option<i32> {
        match self {
            // The first field of a sock_fprog.
            Self::LongestFilter(longest, errno) => {
                let length = u16::from_ne_bytes(read(notification, notification.args[2]).ok()?);
                (length > longest).then_some(errno)
            }
            // The fields of a landlock_ruleset_attr: files, network, scope. A question for the version has none.
            Self::LandlockRights(rights) => {
                let [attributes, size, ..] = notification.args;
                let field = |at: u64| {
                    if at + 8 > size {
                        return Some(0);
                    }
                    Some(u64::from_ne_bytes(read(notification, attributes + at).ok()?))
                };
                let unknown = field(0)? & !rights | field(8)? | field(16)?;
                (unknown != 0).then_some(libc::EINVAL)
            }
        }
    }
}

/// Bytes of the memory of whoever made the call.
fn read<const N: usize>(notification: &Notification, address: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open(format!("/proc/{}/mem", notification.pid))?.read_exact_at(&mut bytes, address)?;
    Ok(bytes)
}

impl Mailbox {
    /// Starts a supervisor, which ends when the last process it supervises does.
    pub(crate) fn start(supervised: Supervised) -> Self {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        std::thread::spawn(move || {
            let Ok(listener) = take_over(ours) else { return };
            while let Ok(true) = answer_one(&listener, supervised) {}
        });
        Self(theirs)
    }

    pub(crate) fn end(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Takes the listener out of the process that has put the filter in force.
fn take_over(mut socket: UnixStream) -> io::Result<OwnedFd> {
    let mut words = [0; 2 * size_of::<usize>()];
    socket.read_exact(&mut words)?;
    let (pid, number) = words.split_at(size_of::<usize>());
    let [pid, number] = [pid, number].map(|word| usize::from_ne_bytes(word.try_into().expect("a word")));
    let process = call("pidfd_open", [pid, 0, 0, 0, 0, 0])?;
    let listener = call("pidfd_getfd", [process, number, 0, 0, 0, 0]);
    call("close", [process, 0, 0, 0, 0, 0])?;
    let listener = adopt(listener?);
    socket.write_all(b"!")?;
    Ok(listener)
}

#[expect(unsafe_code, reason = "the kernel made the descriptor for us")]
fn adopt(descriptor: usize) -> OwnedFd {
    // SAFETY: the call that returned the descriptor has just made it; nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(descriptor).expect("a descriptor")) }
}

/// `struct seccomp_notif`.
#[repr(C)]
#[derive(Default)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    nr: i32,
    arch: u32,
    instruction_pointer: u64,
    args: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Reply {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// Whether there may be more of them.
fn answer_one(listener: &OwnedFd, supervised: Supervised) -> io::Result<bool> {
    /// `SECCOMP_IOCTL_NOTIF_RECV` and `_SEND`. The bits for the direction differ among architectures, but not for both ways.
    const RECEIVE: usize = 0xc050_2100;
    const SEND: usize = 0xc018_2101;
    /// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`.
    const CONTINUE: u32 = 1;
    let descriptor = usize::try_from(listener.as_raw_fd()).expect("a descriptor");
    let mut wait = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    poll(&mut wait)?;
    if wait.revents & libc::POLLIN == 0 {
        return Ok(false);
    }
    let mut notification = Notification::default();
    call("ioctl", [descriptor, RECEIVE, address_mut(&mut notification), 0, 0, 0])?;
    let (error, flags) = supervised.error(&notification).map_or((0, CONTINUE), |error| (-error, 0));
    let reply = Reply { id: notification.id, value: 0, error, flags };
    match call("ioctl", [descriptor, SEND, address(&reply), 0, 0, 0]) {
        // It was killed meanwhile.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(true),
        other => other.map(|_| true),
    }
}

#[expect(unsafe_code, reason = "poll has no safe wrapper in the standard library")]
fn poll(wait: &mut libc::pollfd) -> io::Result<()> {
    // SAFETY: the pointer is to one pollfd, which is exclusively borrowed.
    let ready = unsafe { libc::poll(wait, 1, -1) };
    if ready < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
