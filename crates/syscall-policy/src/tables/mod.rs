//! Call numbers, one file per number space. Numbers only: what a call is good for does not depend on them.
//!
//! The files are lists of names; when this crate is compiled, each name becomes its place in the table of calls
//! ([`crate::names`]). With a name that has no class, the crate does not compile.

use crate::names::{self, Name};

macro_rules! packed {
    ($module:ident) => {{
        static PACKED: [Packed; $module::TABLE.len()] = pack($module::TABLE);
        Table { calls: &PACKED }
    }};
}

mod aarch64;
mod arm;
mod i386;
mod loongarch64;
mod mips;
mod mips64;
mod powerpc;
mod powerpc64;
mod riscv32;
mod riscv64;
mod s390x;
mod sparc;
mod sparc64;
mod x86_64;

pub(crate) const AARCH64: Table = packed!(aarch64);
pub(crate) const ARM: Table = packed!(arm);
pub(crate) const I386: Table = packed!(i386);
pub(crate) const LOONGARCH64: Table = packed!(loongarch64);
pub(crate) const MIPS: Table = packed!(mips);
pub(crate) const MIPS64: Table = packed!(mips64);
pub(crate) const POWERPC: Table = packed!(powerpc);
pub(crate) const POWERPC64: Table = packed!(powerpc64);
pub(crate) const RISCV32: Table = packed!(riscv32);
pub(crate) const RISCV64: Table = packed!(riscv64);
pub(crate) const S390X: Table = packed!(s390x);
pub(crate) const SPARC: Table = packed!(sparc);
pub(crate) const SPARC64: Table = packed!(sparc64);
pub(crate) const X86_64: Table = packed!(x86_64);

/// The calls of an architecture: names and numbers, in the order of the numbers.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    calls: &'static [Packed],
}

#[derive(Clone, Copy, Debug)]
struct Packed {
    number: u32,
    name: Name,
}

impl Table {
    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.calls.len()
    }

    /// Whether there is none, which is so of no architecture.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.calls.is_empty()
    }

    /// The call at that place of the order.
    #[must_use]
    pub fn get(self, at: usize) -> Option<(&'static str, u32)> {
        self.calls.get(at).map(|call| (call.name.text(), call.number))
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = (&'static str, u32)> + Clone {
        self.known().map(|(name, number)| (name.text(), number))
    }

    /// The name of a number.
    #[must_use]
    pub fn name_of(self, number: u32) -> Option<&'static str> {
        self.call_of(number).map(Name::text)
    }

    /// The number of a name.
    pub(crate) fn number_of(self, name: &str) -> Option<u32> {
        let name = names::find(name)?;
        self.calls.iter().find(|call| call.name == name).map(|call| call.number)
    }

    /// All of them, by their place in the table of calls.
    pub(crate) fn known(self) -> impl Iterator<Item = (Name, u32)> + Clone {
        self.calls.iter().map(|call| (call.name, call.number))
    }

    /// The call of a number, by its place in the table of calls.
    pub(crate) fn call_of(self, number: u32) -> Option<Name> {
        let at = self.calls.binary_search_by_key(&number, |call| call.number).ok()?;
        self.calls.get(at).map(|call| call.name)
    }
}

const fn pack<const CALLS: usize>(calls: &[(&str, u32)]) -> [Packed; CALLS] {
    let mut packed = [Packed { number: 0, name: names::FIRST }; CALLS];
    let mut at = 0;
    while at < calls.len() {
        packed[at] = Packed { number: calls[at].1, name: names::known(calls[at].0) };
        at += 1;
    }
    packed
}
