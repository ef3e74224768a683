//! pledge(2) and unveil(2).

use std::ffi::{CStr, CString};
use std::io;
use std::ptr;

use super::check;

/// Limits the process to what these words stand for. What it starts is not limited further, since it starts nothing.
pub(crate) fn pledge(promises: &str) -> io::Result<()> {
    let promises = CString::new(promises)?;
    // SAFETY: the first pointer is to a string that ends with a zero byte and lives through the call; a null pointer
    // leaves the promises for programs it starts as they are. The kernel only reads.
    check(unsafe { libc::pledge(promises.as_ptr(), ptr::null()) }).map(drop)
}

/// Makes a path visible with these rights, and whatever was not made visible invisible; `None` ends it.
pub(crate) fn unveil(path: Option<(&CStr, &CStr)>) -> io::Result<()> {
    let (path, rights) = path.map_or((ptr::null(), ptr::null()), |(path, rights)| (path.as_ptr(), rights.as_ptr()));
    // SAFETY: the pointers are to strings that end with a zero byte and outlive the call, or both null, which is how
    // the list is closed (unveil(2)). The kernel only reads.
    check(unsafe { libc::unveil(path, rights) }).map(drop)
}
