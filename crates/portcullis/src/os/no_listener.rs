//! Where the kernel notifies nobody of refused calls.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
