//! What promises are in the words of each system. All of it is data, so that it is tested on every system, and not only on
//! the one it is for.

#[cfg(any(test, target_os = "freebsd"))]
pub(crate) mod capsicum;
#[cfg(any(test, target_os = "openbsd"))]
pub(crate) mod pledge;
#[cfg(any(test, target_os = "macos"))]
pub(crate) mod seatbelt;
