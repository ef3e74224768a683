//! The C library asked for what made it call the kernel in ways that filters did not foresee.

#![cfg_attr(target_pointer_width = "32", expect(clippy::useless_conversion, reason = "elsewhere a long is longer"))]
#![expect(unsafe_code, reason = "the C library is what is tried out, and Rust's libraries go past it")]

use std::ffi::{CStr, c_int};
use std::os::fd::{IntoRawFd as _, OwnedFd};
use std::ptr;

/// Writes a line to one end of a pipe and reads it from the other, through streams.
pub(crate) fn line_through_streams(reader: OwnedFd, writer: OwnedFd, line: &CStr) -> bool {
    // SAFETY: the descriptor is open, given up by its owner, and the mode is a string constant.
    let out = unsafe { libc::fdopen(writer.into_raw_fd(), c"w".as_ptr()) };
    assert!(!out.is_null(), "a stream to write to");
    // SAFETY: `out` is a stream, checked above, and the text a C string.
    let put = unsafe { libc::fputs(line.as_ptr(), out) };
    // SAFETY: `out` is a stream and is not used after this.
    let closed = unsafe { libc::fclose(out) };
    assert!(put >= 0 && closed == 0, "{}", std::io::Error::last_os_error());
    // SAFETY: as above.
    let stream = unsafe { libc::fdopen(reader.into_raw_fd(), c"r".as_ptr()) };
    assert!(!stream.is_null(), "a stream to read from");
    let mut buffer = [0; 64];
    // SAFETY: the buffer has 64 bytes, of which fgets writes no more than it is told, a NUL included.
    let got = unsafe { libc::fgets(buffer.as_mut_ptr(), 64, stream) };
    assert!(!got.is_null(), "{}", std::io::Error::last_os_error());
    // SAFETY: fgets has succeeded, so the buffer holds a C string.
    let same = unsafe { CStr::from_ptr(buffer.as_ptr()) } == line;
    // SAFETY: `stream` is not used after this.
    unsafe { libc::fclose(stream) };
    same
}

/// Waits with select, for nothing.
pub(crate) fn select(microseconds: i32) -> c_int {
    let mut time = libc::timeval { tv_sec: 0, tv_usec: microseconds.into() };
    // SAFETY: no sets are given; the time lives through the call, which may write to it.
    unsafe { libc::select(0, ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), &raw mut time) }
}

/// Waits with pselect, for nothing.
pub(crate) fn pselect(nanoseconds: i32) -> c_int {
    let time = libc::timespec { tv_sec: 0, tv_nsec: nanoseconds.into() };
    // SAFETY: no sets and no mask are given; the time lives through the call, which reads it.
    unsafe { libc::pselect(0, ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), &raw const time, ptr::null()) }
}

/// Waits with poll, for nothing.
pub(crate) fn poll(milliseconds: c_int) -> c_int {
    // SAFETY: no descriptors are given, so the pointer is not followed.
    unsafe { libc::poll(ptr::null_mut(), 0, milliseconds) }
}

/// Sleeps with nanosleep.
pub(crate) fn nanosleep(nanoseconds: i32) -> c_int {
    let time = libc::timespec { tv_sec: 0, tv_nsec: nanoseconds.into() };
    // SAFETY: the time lives through the call, which reads it; what is left is not asked for.
    unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) }
}

/// The time in seconds by time(2).
pub(crate) fn time() -> i128 {
    // SAFETY: without a pointer the time is only returned.
    unsafe { libc::time(ptr::null_mut()) }.into()
}

/// Puts the mask for new files away and back, as programs do to learn it.
pub(crate) fn umask_twice() {
    // SAFETY: umask takes a number and cannot fail by specification.
    let old = unsafe { libc::umask(0o077) };
    // SAFETY: as above.
    unsafe { libc::umask(old) };
}

/// Whether a stream of the process is a terminal.
pub(crate) fn isatty(fd: c_int) -> bool {
    // SAFETY: isatty asks about a descriptor, open or not.
    unsafe { libc::isatty(fd) == 1 }
}

/// Looks a user up, by whatever modules the machine is set up with. Whether there is one.
pub(crate) fn has_user(uid: u32) -> bool {
    // SAFETY: this process has one thread, so nobody else uses the memory that the result is in.
    !unsafe { libc::getpwuid(uid) }.is_null()
}

/// Looks a host up. Whether there is one.
pub(crate) fn has_host(name: &CStr) -> bool {
    let mut found: *mut libc::addrinfo = ptr::null_mut();
    // SAFETY: the name is a C string, there is no service and no hint, and the result goes to a pointer of ours.
    let result = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), ptr::null(), &raw mut found) };
    if result == 0 {
        // SAFETY: the list is one that getaddrinfo has made.
        unsafe { libc::freeaddrinfo(found) };
    }
    result == 0
}

/// Writes a line to the system's log.
pub(crate) fn syslog(line: &CStr) {
    // SAFETY: the format takes one string, which is given.
    unsafe { libc::syslog(libc::LOG_DEBUG, c"%s".as_ptr(), line.as_ptr()) };
}

/// The local hour, by whatever time zone can be found.
pub(crate) fn local_hour() -> c_int {
    // SAFETY: without a pointer the time is only returned.
    let time = unsafe { libc::time(ptr::null_mut()) };
    // SAFETY: all-zero is a value of this plain C struct.
    let mut fields: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values of ours, which live through the call.
    let made = unsafe { libc::localtime_r(&raw const time, &raw mut fields) };
    assert!(!made.is_null(), "{}", std::io::Error::last_os_error());
    fields.tm_hour
}

/// The size of a held file, by fstat.
pub(crate) fn size(fd: c_int) -> std::io::Result<libc::off_t> {
    // SAFETY: all-zero is a value of this plain C struct.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the struct lives through the call, which writes it.
    let result = unsafe { libc::fstat(fd, &raw mut status) };
    if result == 0 { Ok(status.st_size) } else { Err(std::io::Error::last_os_error()) }
}

/// Whether a path can be read with the effective user's rights.
pub(crate) fn is_readable(path: &CStr) -> bool {
    // SAFETY: the path is a C string.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::R_OK, libc::AT_EACCESS) == 0 }
}

/// Gives free memory back to the system, where the C library has a call for it.
pub(crate) fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number and touches only what is free.
    unsafe {
        libc::malloc_trim(0)
    };
}

extern "C" fn handle(_: c_int) {}

extern "C" fn signal_oneself() {
    // SAFETY: the signal has a handler that does nothing.
    unsafe { libc::raise(libc::SIGUSR1) };
}

/// Has the process send itself a signal when it exits, which is handled.
pub(crate) fn signal_at_exit() {
    let handler: extern "C" fn(c_int) = handle;
    // SAFETY: the handler does nothing, so it may run at any moment.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    // SAFETY: the function raises a signal and nothing else, which is allowed during exit.
    let result = unsafe { libc::atexit(signal_oneself) };
    assert_eq!(result, 0, "one more function at exit");
}

/// An outer filter in which both ways to ask for a filter are answered with an error number of one's choice: `seccomp`, and
/// `prctl` with `PR_SET_SECCOMP`.
pub(crate) fn answer_filters_with(arch: syscall_policy::Arch, errno: u32) -> Vec<syscall_policy::Instruction> {
    const PR_SET_SECCOMP: u32 = 22;
    let instruction = |code, jt, jf, k| syscall_policy::Instruction { code, jt, jf, k };
    let number = |name| arch.number(name).expect("every architecture has it");
    let option = if arch.little_endian() { 16 } else { 20 };
    vec![
        instruction(0x20, 0, 0, 0),
        instruction(0x15, 3, 0, number("seccomp")),
        instruction(0x15, 0, 3, number("prctl")),
        instruction(0x20, 0, 0, option),
        instruction(0x15, 0, 1, PR_SET_SECCOMP),
        instruction(0x06, 0, 0, 0x0005_0000 | errno),
        instruction(0x06, 0, 0, 0x7fff_0000),
    ]
}

/// An outer filter in which one call is answered with an error number of one's choice.
pub(crate) fn answer_with(call: u32, errno: u32) -> [syscall_policy::Instruction; 4] {
    const RETURN_ERRNO: u32 = 0x0005_0000;
    const RETURN_ALLOW: u32 = 0x7fff_0000;
    let instruction = |code, jf, k| syscall_policy::Instruction { code, jt: 0, jf, k };
    [
        instruction(0x20, 0, 0),
        instruction(0x15, 1, call),
        instruction(0x06, 0, RETURN_ERRNO | errno),
        instruction(0x06, 0, RETURN_ALLOW),
    ]
}
