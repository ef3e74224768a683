//! The few errors that a refused call can answer with.

use core::fmt;

use crate::arch::{Arch, Family};

/// An error, by meaning; its number is the architecture's (`asm/errno.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Errno {
    /// `EPERM`: not permitted.
    NotPermitted,
    /// `EACCES`: access to this is denied.
    AccessDenied,
    /// `EINVAL`: the kernel does not know this argument.
    Invalid,
    /// `ENOTTY`: the descriptor does not take this request.
    NotATerminal,
    /// `ENOSYS`: the kernel does not know this call, and C libraries fall back on another.
    NoSuchCall,
    /// `EAFNOSUPPORT`: the address family is not there.
    NoSuchFamily,
}

impl Errno {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NotPermitted,
        Self::AccessDenied,
        Self::Invalid,
        Self::NotATerminal,
        Self::NoSuchCall,
        Self::NoSuchFamily,
    ];

    /// Its number on an architecture.
    #[must_use]
    pub const fn number(self, arch: Arch) -> u16 {
        match (self, arch.family()) {
            (Self::NotPermitted, _) => 1,
            (Self::AccessDenied, _) => 13,
            (Self::Invalid, _) => 22,
            (Self::NotATerminal, _) => 25,
            (Self::NoSuchCall, Family::Mips) => 89,
            (Self::NoSuchCall, Family::Sparc) => 90,
            (Self::NoSuchCall, _) => 38,
            (Self::NoSuchFamily, Family::Mips) => 124,
            (Self::NoSuchFamily, Family::Sparc) => 47,
            (Self::NoSuchFamily, _) => 97,
        }
    }

    /// The error of that number on an architecture, if it is one of these.
    #[must_use]
    pub fn from_number(arch: Arch, number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|errno| errno.number(arch) == number)
    }

    /// Its name in C.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotPermitted => "EPERM",
            Self::AccessDenied => "EACCES",
            Self::Invalid => "EINVAL",
            Self::NotATerminal => "ENOTTY",
            Self::NoSuchCall => "ENOSYS",
            Self::NoSuchFamily => "EAFNOSUPPORT",
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
