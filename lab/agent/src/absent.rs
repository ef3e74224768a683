//! Kernels that lack something which no parameter of theirs switches off.

use std::io;

/// `SECCOMP_RET_ALLOW` and `SECCOMP_RET_ERRNO` (seccomp(2)).
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// From now on, for this process and all that it starts, system calls that have to do with filters answer as those of a kernel
/// without `CONFIG_SECCOMP_FILTER` do: `seccomp` is not there (`ENOSYS`), and `prctl` does not know of it (`EINVAL`).
pub(crate) fn seccomp() -> io::Result<()> {
    let number = |call: libc::c_long| u32::try_from(call).unwrap_or(u32::MAX);
    let load = |offset: u32| instruction(0x20, 0, 0, offset);
    let equals = |value: u32, jt: u8, jf: u8| instruction(0x15, jt, jf, value);
    let answer = |verdict: u32| instruction(0x06, 0, 0, verdict);
    // struct seccomp_data: nr at 0, the arguments from 16 on. The low half of an argument comes first or second.
    let low = if cfg!(target_endian = "big") { 20 } else { 16 };
    let program = [
        load(0),
        equals(number(libc::SYS_seccomp), 5, 0),
        equals(number(libc::SYS_prctl), 0, 3),
        load(low),
        equals(number(libc::PR_SET_SECCOMP.into()), 3, 0),
        equals(number(libc::PR_GET_SECCOMP.into()), 2, 0),
        answer(ALLOW),
        answer(ERRNO | number(libc::ENOSYS.into())),
        answer(ERRNO | number(libc::EINVAL.into())),
    ];
    rustix::thread::set_no_new_privs(true)?;
    set_filter(&program)
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

#[expect(unsafe_code, reason = "no library has a safe way to do this")]
fn set_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program and its instructions live through the call, which only reads them.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
