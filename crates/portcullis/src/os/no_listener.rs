//! Where system calls have no numbers that anybody looks at: none is listed, and nobody is notified of refused ones.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use syscall_policy::{Class, Policy};

use crate::promise::Promise;
use crate::refused::Refused;

/// Where calls that a sealed process is refused are answered: on Linux only.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// There is none here.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn new(_: OwnedFd, _: &[Promise], _: u32) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Nothing is filtered, so nothing can be withheld.
    #[must_use]
    pub const fn withholding(self, _: &[Class]) -> Self {
        self
    }

    /// Nothing to answer.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn answer(&self) -> io::Result<Option<Refused>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// System calls are not filtered, so none can be listed.
pub(crate) fn calls_allowed(_: &[Promise]) -> Vec<&'static str> {
    Vec::new()
}

/// There is none.
pub(crate) fn ask_for_listener() {}

/// Calls have no names here.
pub(crate) fn call_name(_: u32) -> Option<&'static str> {
    None
}

/// Promises stand for nothing that this system could be told.
pub(crate) fn policy(_: &[Promise]) -> Option<Policy> {
    None
}

/// Not known, and of no matter: the back ends there are hold for all threads.
pub(crate) fn threads() -> Option<usize> {
    None
}
