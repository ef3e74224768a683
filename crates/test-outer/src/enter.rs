//! What a process does to itself between `fork` and `exec`: step by step, by system calls alone.

#![expect(unsafe_code, reason = "between fork and exec there is nothing but system calls")]

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;

use syscall_policy::Instruction;

use crate::filter::native;
use crate::supervisor::Mailbox;

/// One of them. Whatever takes memory was made before the fork.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Leaves these namespaces (`CLONE_NEW*`).
    Unshare(i32),
    /// Goes on in a child, whose end is waited for, and is one's own.
    Fork,
    /// From here on what is mounted is nobody else's business.
    Private,
    /// Mounts a file system of that kind.
    Mount { kind: CString, target: CString, flags: usize },
    /// Makes a directory a mount of its own.
    Bind(CString),
    /// Write-protects a mount. There may be none.
    ReadOnly(CString),
    /// Takes a mount away.
    Unmount(CString),
    /// Writes to a file.
    Write { path: CString, text: Vec<u8> },
    /// Brings up the loopback interface.
    LoopbackUp,
    /// Keeps these capabilities.
    Capabilities(u64),
    /// Becomes this user.
    User(u32),
    /// Puts a filter in force.
    Filter(Vec<Instruction>),
    /// Puts a filter in force that asks a supervisor.
    Supervise(Vec<Instruction>, Arc<Mailbox>),
}

/// Has the command go through these steps before its program starts.
pub(crate) fn before_exec(command: &mut Command, steps: Vec<Step>) {
    let all = move || steps.iter().try_for_each(Step::take);
    // SAFETY: what runs in the child makes system calls on memory that was made before the fork; it takes no locks, and
    // allocates nothing but for the few bytes of a filter, which the C libraries in use allow after fork.
    unsafe { command.pre_exec(all) };
}

impl Step {
    fn take(&self) -> io::Result<()> {
        let taken = self.try_take();
        if taken.is_err() {
            // Of what went wrong only the error number reaches the caller.
            let line: &[u8] = match self {
                Self::Unshare(_) => b"outer: namespaces cannot be left\n",
                Self::Fork => b"outer: no child\n",
                Self::Private | Self::Mount { .. } | Self::Bind(_) => b"outer: cannot mount\n",
                Self::ReadOnly(_) | Self::Unmount(_) => b"outer: cannot change a mount\n",
                Self::Write { .. } => b"outer: the user namespace cannot be set up\n",
                Self::LoopbackUp => b"outer: no loopback\n",
                Self::Capabilities(_) => b"outer: capabilities cannot be given up\n",
                Self::User(_) => b"outer: cannot change the user\n",
                Self::Filter(_) | Self::Supervise(..) => b"outer: no filter\n",
            };
            let _ = call("write", [2, address(line), line.len(), 0, 0, 0]);
        }
        taken
    }

    fn try_take(&self) -> io::Result<()> {
        const MS: fn(libc::c_ulong) -> usize = |flags| usize::try_from(flags).unwrap_or(0);
        match self {
            Self::Unshare(flags) => call("unshare", [small(*flags), 0, 0, 0, 0, 0]).map(drop),
            Self::Fork => fork(),
            Self::Private => mount(0, c"/", 0, MS(libc::MS_REC | libc::MS_PRIVATE)),
            Self::Mount { kind, target, flags } => {
                mount(address(kind.as_bytes_with_nul()), target, address(kind.as_bytes_with_nul()), *flags)
            }
            Self::Bind(path) => mount(address(path.as_bytes_with_nul()), path, 0, MS(libc::MS_BIND)),
            Self::ReadOnly(path) => {
                match mount(0, path, 0, MS(libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY)) {
                    // No mount is there.
                    Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
                    other => other,
                }
            }
            Self::Unmount(path) => {
                call("umount2", [address(path.as_bytes_with_nul()), small(libc::MNT_DETACH), 0, 0, 0, 0]).map(drop)
            }
            Self::Write { path, text } => write_file(path, text),
            Self::LoopbackUp => loopback_up(),
            Self::Capabilities(keep) => keep_capabilities(*keep),
            Self::User(uid) => become_user(*uid),
            Self::Filter(program) => set_filter(program, 0).map(drop),
            Self::Supervise(program, mailbox) => {
                let listener = set_filter(program, NEW_LISTENER)?;
                report(mailbox, listener)
            }
        }
    }
}

/// Makes a system call by name. The arguments are numbers, or addresses of memory that the call keeps to and that is
/// alive while it lasts: every caller is in this crate, and passes what it has borrowed.
pub(crate) fn call(name: &str, arguments: [usize; 6]) -> io::Result<usize> {
    let number = native().number(name).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSYS))?;
    let number = libc::c_long::from(i32::try_from(number).unwrap_or(-1));
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: see above; none of the calls that this crate makes changes memory but what its arguments name.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Where something is, for a call that reads it.
pub(crate) fn address<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).expose_provenance()
}

/// Where something is, for a call that writes to it.
pub(crate) fn address_mut<T: ?Sized>(value: &mut T) -> usize {
    std::ptr::from_mut(value).expose_provenance()
}

fn small(flags: i32) -> usize {
    usize::try_from(flags).unwrap_or(0)
}

fn mount(source: usize, target: &std::ffi::CStr, kind: usize, flags: usize) -> io::Result<()> {
    call("mount", [source, address(target.to_bytes_with_nul()), kind, flags, 0, 0]).map(drop)
}

fn write_file(path: &CString, text: &[u8]) -> io::Result<()> {
    let here = usize::MAX - 99; // AT_FDCWD
    let flags = small(libc::O_WRONLY | libc::O_CLOEXEC);
    let file = call("openat", [here, address(path.as_bytes_with_nul()), flags, 0, 0, 0])?;
    let written = call("write", [file, address(text), text.len(), 0, 0, 0]);
    call("close", [file, 0, 0, 0, 0, 0])?;
    written.map(drop)
}

fn loopback_up() -> io::Result<()> {
    /// The part of `struct ifreq` that is of interest, and the rest of its size (`netdevice(7)`).
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: i16,
        rest: [u8; 22],
    }
    const UP: i16 = 1;
    let mut name = [0; 16];
    name[..2].copy_from_slice(b"lo");
    let request = Request { name, flags: UP, rest: [0; 22] };
    let socket = call("socket", [small(libc::AF_INET), small(libc::SOCK_DGRAM), 0, 0, 0, 0])?;
    /// `SIOCSIFFLAGS`.
    const SET_FLAGS: usize = 0x8914;
    let done = call("ioctl", [socket, SET_FLAGS, address(&request), 0, 0, 0]);
    call("close", [socket, 0, 0, 0, 0, 0])?;
    done.map(drop)
}

fn keep_capabilities(keep: u64) -> io::Result<()> {
    for capability in (0..64).filter(|bit| keep >> bit & 1 == 0) {
        // What the kernel does not know it does not have either.
        let _ = call("prctl", [small(libc::PR_CAPBSET_DROP), capability, 0, 0, 0, 0]);
    }
    /// `_LINUX_CAPABILITY_VERSION_3`, for the calling process.
    const HEADER: [u32; 2] = [0x2008_0522, 0];
    let halves = [0, 32].map(|shift| u32::try_from(keep >> shift & 0xffff_ffff).unwrap_or(0));
    // Effective, permitted, inheritable, for either half.
    let sets = [halves[0], halves[0], 0, halves[1], halves[1], 0];
    call("capset", [address(&HEADER), address(&sets), 0, 0, 0, 0]).map(drop)
}

fn become_user(uid: u32) -> io::Result<()> {
    let id = usize::try_from(uid).unwrap_or(usize::MAX);
    // 32-bit architectures have calls of that name with shorter numbers.
    let either = |long: &str, short: &str, arguments| {
        call(if native().number(long).is_some() { long } else { short }, arguments).map(drop)
    };
    either("setgroups32", "setgroups", [0; 6])?;
    either("setresgid32", "setresgid", [id, id, id, 0, 0, 0])?;
    either("setresuid32", "setresuid", [id, id, id, 0, 0, 0])
}

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: usize = 8;

fn set_filter(program: &[Instruction], flags: usize) -> io::Result<usize> {
    /// `SECCOMP_SET_MODE_FILTER`.
    const SET_FILTER: usize = 1;
    let mut filter: Vec<libc::sock_filter> =
        program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    let len = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // With capabilities it is not needed; without it is, and most outer sandboxes have it set.
    call("prctl", [small(libc::PR_SET_NO_NEW_PRIVS), 1, 0, 0, 0, 0])?;
    call("seccomp", [SET_FILTER, flags, address(&program), 0, 0, 0])
}

/// Tells the supervisor where its end of the filter is, and waits until it has taken it.
fn report(mailbox: &Mailbox, listener: usize) -> io::Result<()> {
    let socket = small(mailbox.end().as_raw_fd());
    let me = call("getpid", [0; 6])?;
    let words = [me, listener];
    call("write", [socket, address(&words), size_of_val(&words), 0, 0, 0])?;
    let mut taken = [0_u8; 1];
    let got = call("read", [socket, address_mut(&mut taken), 1, 0, 0, 0])?;
    if got == 1 { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EPIPE)) }
}

/// Goes on in a child. The parent has nothing to do but to end as the child does.
fn fork() -> io::Result<()> {
    // SAFETY: this process is a child of fork already, with one thread, and goes on with system calls only.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    if child == 0 {
        return Ok(());
    }
    // Whoever started the command waits until nobody has the other end of a pipe any more.
    for descriptor in 3..1024 {
        let _ = call("close", [descriptor, 0, 0, 0, 0, 0]);
    }
    let mut status = 0;
    // SAFETY: waitpid writes an int, which `status` is.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {}
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(code) }
}
