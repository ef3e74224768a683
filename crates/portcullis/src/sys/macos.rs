//! Seatbelt and ptrace(2).

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::ptr;

use super::check;

// `sandbox.h`, which the libc crate leaves out. The functions are in libSystem, which every program is linked with.
// SAFETY: the signatures are those of the header.
unsafe extern "C" {
    /// Puts a profile in force: with no flags, the text of one. On failure the last argument is set to a text.
    fn sandbox_init(profile: *const c_char, flags: u64, error: *mut *mut c_char) -> c_int;
    /// Frees that text.
    fn sandbox_free_error(error: *mut c_char);
}

/// Puts a profile in force for the process.
pub(crate) fn sandbox(profile: &str) -> io::Result<()> {
    let profile = CString::new(profile)?;
    let mut error: *mut c_char = ptr::null_mut();
    // SAFETY: the profile is a string that ends with a zero byte and lives through the call, which reads it and writes one
    // pointer to `error`.
    let result = unsafe { sandbox_init(profile.as_ptr(), 0, &raw mut error) };
    if result == 0 {
        return Ok(());
    }
    if error.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: on failure the pointer is to a string that ends with a zero byte, ours until it is freed below.
    let text = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
    // SAFETY: it came from sandbox_init, is freed once, and nothing refers to it any more: the text is a copy.
    unsafe { sandbox_free_error(error) };
    Err(io::Error::other(text))
}

/// No debugger can attach. If one has already, the process ends with status 45 (ptrace(2)).
pub(crate) fn deny_attach() -> io::Result<()> {
    // SAFETY: this request takes neither process, address nor data, and changes one flag of the process.
    check(unsafe { libc::ptrace(libc::PT_DENY_ATTACH, 0, ptr::null_mut(), 0) }).map(drop)
}
