//! What the probe and the tracer ask of the kernel themselves: system calls by number, copies of the process, filters.

#![expect(unsafe_code, reason = "nobody else makes system calls by number")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::AtomicU32;

use syscall_policy::{Arch, Instruction};

/// The architecture that all of this is about.
pub(crate) fn native() -> Arch {
    Arch::native().expect("a table of system calls for this architecture")
}

/// Makes a call by its number, whatever that is.
///
/// The caller sees to it that a filter keeps the kernel from making it, or that its arguments are fit for it.
pub(crate) fn call(number: u32, [a, b, c, d, e, f]: [usize; 6]) -> Result<usize, i32> {
    let number = libc::c_long::from(number.cast_signed());
    // SAFETY: see above: either the kernel does nothing, or a caller in this file or beside it has passed what the call takes.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// The same by name.
pub(crate) fn call_named(name: &str, arguments: [usize; 6]) -> io::Result<usize> {
    let number = native().number(name).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSYS))?;
    call(number, arguments).map_err(io::Error::from_raw_os_error)
}

/// Where something is, for a call that reads it, or writes to it if it is made of what may change.
pub(crate) fn address<T: ?Sized>(value: *const T) -> usize {
    value.expose_provenance()
}

/// Makes a copy of the process: `None` in the copy.
pub(crate) fn fork() -> io::Result<Option<rustix::process::Pid>> {
    // SAFETY: the copy is made by the only thread that goes on in it, and it ends by `end`.
    let result = unsafe { libc::fork() };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(rustix::process::Pid::from_raw(result)) }
}

/// Ends a copy, without what a program does at its end.
pub(crate) fn end(status: u8) -> ! {
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(status.into()) }
}

/// Has the process ended in so many seconds.
pub(crate) fn end_in(seconds: u32) {
    // SAFETY: sets a timer of the process; SIGALRM ends it.
    unsafe { libc::alarm(seconds) };
}

/// Memory that copies of the process share with it, all zero.
pub(crate) fn shared(words: usize) -> &'static [AtomicU32] {
    let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at a place that the kernel chooses, of no file.
    let memory =
        unsafe { libc::mmap(std::ptr::null_mut(), words * 4, libc::PROT_READ | libc::PROT_WRITE, kind, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED, "no memory: {}", io::Error::last_os_error());
    // SAFETY: the mapping has that size, is zero, is aligned to a page, and is never unmapped.
    unsafe { std::slice::from_raw_parts(memory.cast(), words) }
}

/// Puts a filter in force, by system calls alone.
pub(crate) fn install(program: &[Instruction]) -> io::Result<()> {
    /// `SECCOMP_SET_MODE_FILTER`.
    const SET_FILTER: usize = 1;
    const NO_NEW_PRIVILEGES: usize = 38;
    // In memory an instruction is what the kernel takes (`struct sock_filter`), but Rust does not promise that.
    let filter: Vec<libc::sock_filter> =
        program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    let len = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // Root does without it.
    call_named("prctl", [NO_NEW_PRIVILEGES, 1, 0, 0, 0, 0])?;
    call_named("seccomp", [SET_FILTER, 0, address(&raw const program), 0, 0, 0]).map(drop)
}

/// `PTRACE_TRACEME`.
const TRACE_ME: usize = 0;

/// Has the command traced by the thread that starts it, and this filter in force.
pub(crate) fn traced(command: &mut Command, filter: Vec<Instruction>) {
    let before = move || {
        install(&filter)?;
        call_named("ptrace", [TRACE_ME, 0, 0, 0, 0, 0]).map(drop)
    };
    // SAFETY: what runs in the child makes system calls on memory of its own; it takes no locks, and allocates nothing but for
    // the few bytes of a filter, which the C libraries in use allow after fork.
    unsafe { command.pre_exec(before) };
}
