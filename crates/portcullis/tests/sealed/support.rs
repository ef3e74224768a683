//! What scenes have in common.

#![expect(unsafe_code, reason = "calls that no library makes have to be made to see them refused")]

use std::fmt::Debug;
use std::io::Write as _;

use portcullis::{Promise, Report, Sandbox};
use syscall_policy::{Arch, Instruction};

/// A file that everybody can read, on every machine.
pub(crate) const PUBLIC: &str = "/proc/version";

/// Writes a line that is shown with the result.
pub(crate) fn note(text: impl std::fmt::Display) {
    for line in text.to_string().lines() {
        writeln!(std::io::stdout(), "note: {line}").expect("standard output takes what is written");
    }
}

/// Seals the process with these promises, and has it all.
pub(crate) fn seal(promises: &[Promise]) -> Report {
    sealed(with(promises))
}

/// A sandbox with these promises.
pub(crate) fn with(promises: &[Promise]) -> Sandbox {
    promises.iter().fold(Sandbox::new("scene"), |sandbox, promise| sandbox.promise(*promise))
}

/// Seals the process.
pub(crate) fn sealed(sandbox: Sandbox) -> Report {
    sandbox.prepare().expect("the sandbox can be prepared").seal().expect("the process can be sealed")
}

/// Makes a call by name: its result, or the error number. A call the architecture does not have is `None`.
pub(crate) fn call(name: &str, arguments: [usize; 6]) -> Option<Result<libc::c_long, i32>> {
    let number = Arch::native()?.number(name)?;
    Some(call_number(number, arguments))
}

/// Makes a call by number.
pub(crate) fn call_number(number: u32, arguments: [usize; 6]) -> Result<libc::c_long, i32> {
    let [a, b, c, d, e, f] = arguments;
    let number = libc::c_long::from(i32::try_from(number).expect("numbers of calls fit"));
    // SAFETY: scenes pass zeros, small numbers or pointers to memory of theirs that outlives the call; whatever the kernel
    // makes of it, it is refused, or changes only what the scene says.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 {
        return Err(std::io::Error::last_os_error().raw_os_error().expect("an error of the kernel"));
    }
    Ok(result)
}

/// That a call is refused with this error.
#[track_caller]
pub(crate) fn refused(name: &str, arguments: [usize; 6], errno: i32) {
    if let Some(result) = call(name, arguments) {
        assert_eq!(result, Err(errno), "{name}{arguments:?}");
    }
}

/// That an operation fails with this error.
#[track_caller]
pub(crate) fn fails<T: Debug>(result: std::io::Result<T>, errno: i32) {
    match result {
        Ok(value) => panic!("should have failed with errno {errno}, and gave {value:?}"),
        Err(error) => assert_eq!(error.raw_os_error(), Some(errno), "{error}"),
    }
}

/// That an operation on sockets fails with this error, or as `socketcall` does where C libraries make it that way.
#[track_caller]
pub(crate) fn fails_as_multiplexed<T: Debug>(result: std::io::Result<T>, errno: i32) {
    let answered = result.as_ref().err().and_then(std::io::Error::raw_os_error);
    let by_multiplexer = Arch::native().is_some_and(|arch| arch.number("socketcall").is_some());
    let expected = if by_multiplexer && answered == Some(libc::ENOSYS) { libc::ENOSYS } else { errno };
    fails(result, expected);
}

/// Puts a filter with a listener in place as an outer sandbox does, and keeps the listener.
pub(crate) fn outer_listener(program: &[Instruction]) -> Result<libc::c_long, i32> {
    let mut filter: Vec<libc::sock_filter> =
        program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    let len = u16::try_from(filter.len()).expect("a short filter");
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    rustix::thread::set_no_new_privs(true).expect("no_new_privs");
    // SECCOMP_SET_MODE_FILTER and SECCOMP_FILTER_FLAG_NEW_LISTENER.
    call("seccomp", [1, 8, std::ptr::from_ref(&program).expose_provenance(), 0, 0, 0]).unwrap_or(Err(libc::ENOSYS))
}

/// Puts a filter in place as an outer sandbox does. If this kernel has none that is said.
pub(crate) fn outer_filter(program: &[Instruction]) -> bool {
    if rustix::thread::secure_computing_mode().is_err() {
        note("not tested: what is inside of an outer filter, which cannot be had here");
        return false;
    }
    let mut filter: Vec<libc::sock_filter> =
        program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    let len = u16::try_from(filter.len()).expect("a short filter");
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    rustix::thread::set_no_new_privs(true).expect("no_new_privs");
    // SAFETY: the program and its instructions live through the call, which only reads them.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, 2, &raw const program) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    true
}

/// Enters the kernel by the 32-bit gate of x86, for getpid.
#[cfg(target_arch = "x86_64")]
pub(crate) fn foreign_gate() {
    // SAFETY: getpid takes no arguments and touches no memory; the gate keeps all registers but the result's, and clears
    // r8 to r11, which are declared.
    unsafe {
        core::arch::asm!("int 0x80", inlateout("eax") 20 => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
}

/// Blocks a signal, by the call itself.
pub(crate) fn block(signal: i32) {
    // The kernel has its signals in words, of which MIPS has twice as many.
    const SIGNALS: usize = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 128 } else { 64 };
    const WORD: usize = usize::BITS as usize;
    let mut set = [0_usize; SIGNALS / WORD];
    let bit = usize::try_from(signal - 1).expect("a signal");
    set[bit / WORD] = 1 << (bit % WORD);
    let size = size_of_val(&set);
    let how = usize::try_from(libc::SIG_BLOCK).expect("a small number");
    let result = call("rt_sigprocmask", [how, std::ptr::from_ref(&set).expose_provenance(), 0, size, 0, 0]);
    assert_eq!(result, Some(Ok(0)));
}
