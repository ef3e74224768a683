//! The calls that no safe wrapper exists for. All unsafe code of the program is in this file and the
//! modules beneath it.
//!
//! Linux call numbers come from the tables of `syscall-policy`, so that nothing here depends on what the C library's
//! headers knew when they were made.

#![expect(unsafe_code, reason = "this is the one place for it: each block says why it is sound")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes over a descriptor that was inherited, if it is open.
///
/// The caller vouches that nothing else in this process owns it.
pub(crate) fn adopt(raw: RawFd) -> io::Result<OwnedFd> {
    if raw < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: F_GETFD takes no argument and only reads a flag of the descriptor, whether or not it is open.
    check(unsafe { libc::fcntl(raw, libc::F_GETFD) })?;
    // SAFETY: the descriptor is open, as F_GETFD just said, and not negative. That it has no other owner is the
    // caller's word, documented at the public function.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Closes one descriptor that nobody owns; an error means that it was not open.
fn close(raw: RawFd) {
    // SAFETY: close has no memory effects. That no owner is left for the descriptor is the caller's word, documented
    // at the public function.
    unsafe { libc::close(raw) };
}

/// Closes these descriptors, of which none may have an owner.
#[cfg(target_os = "linux")]
pub(crate) fn close_all(descriptors: &[RawFd]) {
    descriptors.iter().for_each(|descriptor| close(*descriptor));
}

/// close(2) of what is none.
pub(crate) fn close_nothing() -> rustix::io::Result<()> {
    // SAFETY: there is no descriptor of that number, so nobody can own it.
    match unsafe { libc::close(-1) } {
        0 => Ok(()),
        _ => Err(rustix::io::Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(rustix::io::Errno::BADF)),
    }
}

/// Closes all descriptors from `first` to `last`, of which none may have an owner.
pub(crate) fn close_each(first: RawFd, last: RawFd) {
    for open in open_descriptors(first, last) {
        close(open);
    }
}

/// Has all descriptors from `first` to `last` closed when another program is started.
pub(crate) fn close_each_on_exec(first: RawFd, last: RawFd) {
    close_all_on_exec(&open_descriptors(first, last));
}

/// Has these descriptors closed when another program is started.
pub(crate) fn close_all_on_exec(descriptors: &[RawFd]) {
    for descriptor in descriptors {
        // SAFETY: F_SETFD takes a number and sets a flag of the descriptor, whoever owns it.
        unsafe { libc::fcntl(*descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// The open descriptors from `first` to `last`, asked for in bulk: no `/proc` is needed.
pub(crate) fn open_descriptors(first: RawFd, last: RawFd) -> Vec<RawFd> {
    let mut entries: Vec<libc::pollfd> = (first..=last).map(|fd| libc::pollfd { fd, events: 0, revents: 0 }).collect();
    let mut open = Vec::new();
    for batch in entries.chunks_mut(1024) {
        note_open(batch, &mut open);
    }
    open
}

/// poll refuses more descriptors at a time than RLIMIT_NOFILE, which may not be readable: then fewer are tried.
fn note_open(entries: &mut [libc::pollfd], open: &mut Vec<RawFd>) {
    let Ok(count) = libc::nfds_t::try_from(entries.len()) else { return };
    // SAFETY: the pointer and count describe `entries`, which is exclusively borrowed through the call; poll writes
    // nothing but `revents` of these. A timeout of 0 makes it return at once.
    let result = unsafe { libc::poll(entries.as_mut_ptr(), count, 0) };
    if result >= 0 {
        open.extend(entries.iter().filter(|entry| entry.revents & libc::POLLNVAL == 0).map(|entry| entry.fd));
    } else if entries.len() > 1 {
        let (lower, upper) = entries.split_at_mut(entries.len() / 2);
        note_open(lower, open);
        note_open(upper, open);
    }
}

/// A resource of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limited {
    Core,
    Descriptors,
    Processes,
    FileSize,
}

/// The current and the largest value of a limit; `None` is no limit.
///
/// The wrapper of rustix takes for granted that this cannot fail, and in a sandbox it can.
pub(crate) fn limit(of: Limited) -> io::Result<(Option<u64>, Option<u64>)> {
    let resource = match of {
        Limited::Core => libc::RLIMIT_CORE,
        Limited::Descriptors => libc::RLIMIT_NOFILE,
        #[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
        Limited::Processes => libc::RLIMIT_NPROC,
        #[cfg(any(target_os = "illumos", target_os = "solaris"))]
        Limited::Processes => return Err(io::ErrorKind::Unsupported.into()),
        Limited::FileSize => libc::RLIMIT_FSIZE,
    };
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes one rlimit, which `limits` is, and does nothing else.
    check(unsafe { libc::getrlimit(resource, &raw mut limits) })?;
    // Signed on FreeBSD, 32 bits on some machines: whatever it is fits here.
    let known = |value: libc::rlim_t| {
        (value != libc::RLIM_INFINITY).then(|| u64::try_from(i128::from(value)).unwrap_or(u64::MAX))
    };
    Ok((known(limits.rlim_cur), known(limits.rlim_max)))
}

/// Has the kernel send SIGALRM in so many seconds.
pub(crate) fn alarm(seconds: u32) {
    // SAFETY: alarm only sets a timer of the process. What SIGALRM does is the process's business; by default it ends.
    unsafe { libc::alarm(seconds) };
}

/// Makes a copy of the process: `None` in the copy, its number in the original.
pub(crate) fn fork() -> io::Result<Option<rustix::process::Pid>> {
    // SAFETY: fork itself has no preconditions. What runs in the copy is the caller's: it has one thread, as everything in
    // this crate has, so no lock is held by somebody who is not there, and it leaves by `exit_now` or a signal.
    let result = unsafe { libc::fork() };
    check(result).map(rustix::process::Pid::from_raw)
}

/// Ends the process at once, without what a C library or Rust would do at the end.
pub(crate) fn exit_now(status: u8) -> ! {
    // SAFETY: _exit does not return and touches no memory of the process.
    unsafe { libc::_exit(status.into()) }
}

/// The C library and its version, of those that tell.
pub(crate) fn c_library() -> String {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: gnu_get_libc_version takes nothing and may be called at any time.
        let version = unsafe { libc::gnu_get_libc_version() };
        // SAFETY: what it returns is a static string that ends with a NUL.
        let version = unsafe { std::ffi::CStr::from_ptr(version) };
        format!("glibc {}", version.to_string_lossy())
    }
    #[cfg(all(target_os = "linux", not(target_env = "gnu")))]
    {
        // musl has no way to ask for its version.
        if cfg!(target_env = "musl") { "musl".to_owned() } else { "unknown".to_owned() }
    }
    #[cfg(not(target_os = "linux"))]
    {
        "the system's".to_owned()
    }
}

/// Makes writing past RLIMIT_FSIZE an error instead of a signal.
pub(crate) fn ignore_file_size_signal() {
    // SAFETY: SIG_IGN runs no code of ours, and SIGXFSZ is a valid signal, so nothing can be called in a wrong state.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// The result of a call in C's manner: -1 means that errno says why.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// What a socket carries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Stream,
    Datagrams,
}

#[cfg(not(target_os = "linux"))]
mod sockets;
#[cfg(not(target_os = "linux"))]
pub(crate) use sockets::*;

#[cfg(any(target_os = "openbsd", target_os = "freebsd", target_os = "macos"))]
mod credentials;
#[cfg(any(target_os = "openbsd", target_os = "freebsd", target_os = "macos"))]
pub(crate) use credentials::*;

#[cfg(target_os = "openbsd")]
mod openbsd;
#[cfg(target_os = "openbsd")]
pub(crate) use openbsd::*;

#[cfg(target_os = "freebsd")]
mod freebsd;
#[cfg(target_os = "freebsd")]
pub(crate) use freebsd::*;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub(crate) use macos::*;

#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{c_int, c_long, c_uint, c_ulong, c_void};
    use std::io;
    use std::net::IpAddr;
    use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
    use std::ptr;

    use super::Kind;
    use syscall_policy::{Arch, Instruction};

    /// The number of a call, or ENOSYS.
    #[cfg_attr(target_pointer_width = "32", expect(clippy::useless_conversion, reason = "elsewhere a long is longer"))]
    fn number(name: &str) -> io::Result<c_long> {
        let number = Arch::native().and_then(|arch| arch.number(name));
        number.and_then(|number| i32::try_from(number).ok()).map(c_long::from).ok_or_else(|| os_error(libc::ENOSYS))
    }

    fn os_error(errno: c_int) -> io::Error {
        io::Error::from_raw_os_error(errno)
    }

    fn check(result: c_long) -> io::Result<c_long> {
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }

    /// A socket by socket(2) itself, not by whatever the C library makes of it. Where there is no such call, or its number is
    /// not known, the C library knows another way.
    #[cfg_attr(target_pointer_width = "32", expect(clippy::useless_conversion, reason = "elsewhere a long is longer"))]
    pub(crate) fn socket(family_of: IpAddr, kind: Kind, waits: bool) -> io::Result<OwnedFd> {
        let family = if family_of.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let kind = match kind {
            Kind::Stream => libc::SOCK_STREAM,
            Kind::Datagrams => libc::SOCK_DGRAM,
        };
        let kind = kind | libc::SOCK_CLOEXEC | if waits { 0 } else { libc::SOCK_NONBLOCK };
        let by_number = number("socket").and_then(|number| {
            // SAFETY: the call takes three numbers and makes a descriptor; it reads and writes no memory.
            check(unsafe { libc::syscall(number, family, kind, 0 as c_int) })
        });
        let made = match by_number {
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                // SAFETY: as above.
                super::check(unsafe { libc::socket(family, kind, 0) })?
            }
            made => i32::try_from(made?).map_err(|_| os_error(libc::EBADF))?,
        };
        // SAFETY: the descriptor is new, and nobody else knows of it.
        Ok(unsafe { OwnedFd::from_raw_fd(made) })
    }

    /// Sets `TCP_NODELAY` by setsockopt(2) itself, as [`socket`] does.
    pub(crate) fn set_no_delay(socket: impl AsFd) -> io::Result<()> {
        let socket = socket.as_fd().as_raw_fd();
        let on: c_int = 1;
        let (level, option, size) = (libc::IPPROTO_TCP, libc::TCP_NODELAY, size_of::<c_int>());
        let by_number = number("setsockopt").and_then(|number| {
            // SAFETY: this option is an int, which the kernel reads from `on`; it lives through the call.
            check(unsafe { libc::syscall(number, socket, level, option, ptr::from_ref(&on), size) })
        });
        match by_number {
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                let size = libc::socklen_t::try_from(size).map_err(|_| os_error(libc::EINVAL))?;
                // SAFETY: as above.
                super::check(unsafe { libc::setsockopt(socket, level, option, ptr::from_ref(&on).cast(), size) })
                    .map(drop)
            }
            set => set.map(drop),
        }
    }

    /// `SECCOMP_FILTER_FLAG_NEW_LISTENER` of `linux/seccomp.h`.
    const NEW_LISTENER: c_uint = 1 << 3;

    /// A filter in the form the kernel takes. Made beforehand: putting it in place takes no memory.
    #[derive(Debug)]
    pub(crate) struct Program(Vec<libc::sock_filter>);

    impl Program {
        pub(crate) fn new(instructions: &[Instruction]) -> Self {
            let filter = |i: &Instruction| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
            Self(instructions.iter().map(filter).collect())
        }

        /// Calls `with` with what the kernel reads, which lives through the call.
        fn lend<T>(&self, with: impl FnOnce(&libc::sock_fprog) -> io::Result<T>) -> io::Result<T> {
            let len = u16::try_from(self.0.len()).map_err(|_| os_error(libc::EINVAL))?;
            // The kernel only reads the instructions; that the pointer is not const is for want of care in the C struct.
            with(&libc::sock_fprog { len, filter: self.0.as_ptr().cast_mut() })
        }
    }

    /// Puts a filter in place for the calling thread: by prctl(2), or else by seccomp(2). The older of the two comes first,
    /// since there are outer sandboxes that let it through and end whoever makes a call that they do not know.
    pub(crate) fn set_filter(program: &Program) -> io::Result<()> {
        let by_option = program.lend(|program| {
            let mode = c_ulong::from(libc::SECCOMP_MODE_FILTER);
            // SAFETY: with this option and mode the third argument is a sock_fprog, which `program` is; it and the
            // instructions it points to live through the call, and the kernel only reads them. The filter takes
            // calls away; whatever then fails, fails with an error or ends the process.
            super::check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, ptr::from_ref(program)) })
        });
        match by_option {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL | libc::EPERM)) => {
                set_filter_by_call(program).map_err(|_| error)
            }
            result => result.map(drop),
        }
    }

    /// The same by seccomp(2) alone: for a process whose first filter permits that.
    pub(crate) fn set_filter_by_call(program: &Program) -> io::Result<()> {
        program.lend(|program| seccomp(libc::SECCOMP_SET_MODE_FILTER, 0, ptr::from_ref(program).cast()).map(drop))
    }

    /// Puts a filter in place for the calling thread, and returns the descriptor by which calls that it notifies of are
    /// answered (Linux 5.0; `EBUSY` if there is one in the tree of filters already).
    #[cfg_attr(target_pointer_width = "32", expect(clippy::useless_conversion, reason = "elsewhere a long is longer"))]
    pub(crate) fn set_filter_with_listener(program: &Program) -> io::Result<OwnedFd> {
        let listener = program
            .lend(|program| seccomp(libc::SECCOMP_SET_MODE_FILTER, NEW_LISTENER, ptr::from_ref(program).cast()))?;
        let listener = i32::try_from(listener).map_err(|_| os_error(libc::EBADF))?;
        // SAFETY: with this flag the result is a new descriptor, which nobody else knows of.
        Ok(unsafe { OwnedFd::from_raw_fd(listener) })
    }

    /// `struct seccomp_notif` of `linux/seccomp.h`, with its `struct seccomp_data`. Its size is part of the request's
    /// number, so it cannot grow unnoticed.
    #[repr(C)]
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Notification {
        pub(crate) id: u64,
        pub(crate) pid: u32,
        pub(crate) flags: u32,
        pub(crate) number: i32,
        pub(crate) arch: u32,
        pub(crate) instruction_pointer: u64,
        pub(crate) arguments: [u64; 6],
    }

    /// Takes the next notification from a listener (`SECCOMP_IOCTL_NOTIF_RECV`). `ENOENT`: whoever it was about is gone.
    pub(crate) fn receive_notification(listener: impl AsFd) -> io::Result<Notification> {
        const RECEIVE: u32 = 0xc050_2100;
        let mut notification =
            Notification { id: 0, pid: 0, flags: 0, number: 0, arch: 0, instruction_pointer: 0, arguments: [0; 6] };
        request(listener, RECEIVE, ptr::from_mut(&mut notification).cast())?;
        Ok(notification)
    }

    /// Answers a notification with an error (`SECCOMP_IOCTL_NOTIF_SEND`).
    pub(crate) fn answer_notification(listener: impl AsFd, id: u64, errno: c_int) -> io::Result<()> {
        /// `struct seccomp_notif_resp`.
        #[repr(C)]
        struct Response {
            id: u64,
            value: i64,
            error: i32,
            flags: u32,
        }
        const SEND: u32 = 0xc018_2101;
        let mut response = Response { id, value: 0, error: -errno, flags: 0 };
        request(listener, SEND, ptr::from_mut(&mut response).cast())
    }

    /// ioctl(2) on a listener, by number so that the C library's type of the request does not matter.
    fn request(listener: impl AsFd, request: u32, argument: *mut c_void) -> io::Result<()> {
        let number = number("ioctl")?;
        let request = c_ulong::from(request);
        // SAFETY: both requests used here read or write one struct of the size that is in their number, which is what
        // `argument` points to; it lives through the call.
        check(unsafe { libc::syscall(number, listener.as_fd().as_raw_fd(), request, argument) }).map(drop)
    }

    /// Has the process end at its first trapped call with a line on `stderr` that has the call's number and the address it
    /// came from: `TRAPPED number address`, both in hexadecimal.
    pub(crate) fn name_trapped_call() -> io::Result<()> {
        let handler: extern "C" fn(c_int, *const TrappedCall, *const c_void) = tell_trapped_call;
        // SAFETY: all-zero is a value of this plain C struct.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: the handler has the form that SA_SIGINFO asks for and calls nothing but write and _exit, which may be
        // called at any time; the struct lives through the call.
        super::check(unsafe { libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) }).map(drop)
    }

    /// The part of `siginfo_t` that SIGSYS has (sigaction(2)); the pointer's alignment makes the gap that 64-bit systems
    /// have.
    #[repr(C)]
    struct TrappedCall {
        head: [c_int; 3],
        address: *const c_void,
        number: c_int,
        arch: c_uint,
    }

    extern "C" fn tell_trapped_call(_: c_int, info: *const TrappedCall, _: *const c_void) {
        // SAFETY: the kernel calls this with a siginfo of SIGSYS, which starts as TrappedCall does and is at least as large.
        let info = unsafe { &*info };
        const FORM: [u8; TRAPPED_LINE as usize] = *b"TRAPPED xxxxxxxx xxxxxxxxxxxxxxxx\n";
        let mut line = FORM;
        hexadecimal(&mut line[8..16], u64::from(info.number.cast_unsigned()));
        hexadecimal(&mut line[17..33], info.address.addr() as u64);
        // SAFETY: write reads the line's bytes, which live through the call.
        let _ = unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
        super::exit_now(TRAPPED)
    }

    /// The length of that line.
    pub(crate) const TRAPPED_LINE: u32 = 34;

    /// The status that a process ends with at a trapped call.
    pub(crate) const TRAPPED: u8 = 159;

    fn hexadecimal(place: &mut [u8], mut value: u64) {
        for digit in place.iter_mut().rev() {
            *digit = b"0123456789abcdef"[(value & 15) as usize];
            value >>= 4;
        }
    }

    /// Asks for a filter with a listener and gives none: `EFAULT`, by the same operation and flag.
    pub(crate) fn ask_for_listener() -> io::Result<()> {
        seccomp(libc::SECCOMP_SET_MODE_FILTER, NEW_LISTENER, ptr::null()).map(drop)
    }

    /// Whether the kernel knows an action that filters return (Linux 4.14).
    pub(crate) fn knows_action(action: u32) -> io::Result<()> {
        seccomp(libc::SECCOMP_GET_ACTION_AVAIL, 0, ptr::from_ref(&action).cast()).map(drop)
    }

    /// seccomp(2).
    fn seccomp(operation: c_uint, flags: c_uint, argument: *const c_void) -> io::Result<c_long> {
        // SAFETY: both operations used here read from `argument` what its type at the call is: a sock_fprog for
        // SECCOMP_SET_MODE_FILTER, a u32 for SECCOMP_GET_ACTION_AVAIL; it lives through the call.
        check(unsafe { libc::syscall(number("seccomp")?, operation, flags, argument) })
    }

    /// Whether filters are built in, where [`knows_action`] cannot tell: a kernel that has them looks at the filter's
    /// address first, and there is none.
    pub(crate) fn has_filters() -> io::Result<()> {
        let mode = c_ulong::from(libc::SECCOMP_MODE_FILTER);
        // SAFETY: the kernel does not follow a null pointer here but answers EFAULT, so no filter is ever set.
        let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, ptr::null::<c_void>()) };
        match super::check(result) {
            Err(error) if error.raw_os_error() != Some(libc::EFAULT) => Err(error),
            _ => Ok(()),
        }
    }

    /// The kernel's Landlock version.
    pub(crate) fn landlock_abi() -> io::Result<u32> {
        /// `LANDLOCK_CREATE_RULESET_VERSION` of `linux/landlock.h`.
        const VERSION: c_uint = 1;
        let number = number("landlock_create_ruleset")?;
        // SAFETY: with this flag the call takes a null pointer and size 0, reads and writes no memory, and makes no
        // descriptor.
        let version = check(unsafe { libc::syscall(number, ptr::null::<c_void>(), 0 as libc::size_t, VERSION) })?;
        u32::try_from(version).map_err(|_| os_error(libc::EINVAL))
    }

    /// Which ways to make memory executable are closed already: bits of `PR_SET_MDWE`.
    pub(crate) fn mdwe() -> io::Result<c_int> {
        /// `PR_GET_MDWE` of `linux/prctl.h`.
        const GET: c_int = 66;
        let zero: c_ulong = 0;
        // SAFETY: this option takes no pointers and only reads a flag of the process.
        super::check(unsafe { libc::prctl(GET, zero, zero, zero, zero) })
    }

    /// Leaves namespaces: flags `CLONE_NEW*` that need no user namespace.
    pub(crate) fn unshare(flags: c_int) -> io::Result<()> {
        // SAFETY: with flags for namespaces the call changes what names and numbers mean to the process, not its memory, and
        // no descriptor. (CLONE_FILES, which would be another matter, is not among them.)
        super::check(unsafe { libc::unshare(flags) }).map(drop)
    }

    /// Refuses to make memory executable that was not from the start.
    pub(crate) fn set_mdwe() -> io::Result<()> {
        /// `PR_SET_MDWE` and `PR_MDWE_REFUSE_EXEC_GAIN` of `linux/prctl.h`.
        const SET: c_int = 65;
        let (refuse, zero): (c_ulong, c_ulong) = (1, 0);
        // SAFETY: this option takes no pointers; it changes what later mmap and mprotect calls may ask for, not what
        // is mapped.
        super::check(unsafe { libc::prctl(SET, refuse, zero, zero, zero) }).map(drop)
    }

    /// `struct itimerspec` as the calls below read it: with the word size of the machine.
    #[repr(C)]
    struct TimerSetting {
        interval: [c_long; 2],
        first: [c_long; 2],
    }

    /// Has the kernel send SIGKILL in so many seconds. The timer is forgotten when the process runs another program.
    pub(crate) fn kill_timer(seconds: u32) -> io::Result<()> {
        // SAFETY: all-zero is a value of this plain C struct.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGKILL;
        let mut timer: c_int = 0;
        let create = number("timer_create")?;
        // SAFETY: the kernel reads a sigevent and writes the timer's number, an int; both live through the call.
        check(unsafe {
            libc::syscall(create, libc::CLOCK_MONOTONIC, ptr::from_ref(&event), ptr::from_mut(&mut timer))
        })?;
        let seconds = c_long::from(i32::try_from(seconds).unwrap_or(i32::MAX));
        let setting = TimerSetting { interval: [0, 0], first: [seconds, 0] };
        let none = ptr::null::<c_void>();
        let set = number("timer_settime")?;
        // SAFETY: the kernel reads a TimerSetting, whose layout is that of its (old) itimerspec, and writes nothing,
        // since the pointer for the previous setting is null.
        check(unsafe { libc::syscall(set, timer, 0 as c_int, ptr::from_ref(&setting), none) }).map(drop)
    }
}
