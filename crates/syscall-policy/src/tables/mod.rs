//! Call numbers, one file per number space. Numbers only: what a call is good for does not depend on them.
//!
//! The files are lists of names, which would be as many pointers in the program, and pointers are what a dynamic linker
//! has to write to at each start: a copy of all tables in every process. They are therefore packed when this crate is
//! compiled, into one text and numbers.

macro_rules! packed {
    ($module:ident) => {{
        const CALLS: &[(&str, u32)] = $module::TABLE;
        const BYTES: [u8; bytes(CALLS)] = text(CALLS);
        const NAMES: &str = match core::str::from_utf8(&BYTES) {
            Ok(names) => names,
            Err(_) => panic!("names of calls are ASCII"),
        };
        static PACKED: [Packed; CALLS.len()] = pack(CALLS);
        Table { names: NAMES, calls: &PACKED }
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
    names: &'static str,
    calls: &'static [Packed],
}

/// Where a name is in the text of all names, and its number.
#[derive(Clone, Copy, Debug)]
struct Packed {
    start: u16,
    end: u16,
    number: u32,
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
        self.calls.get(at).map(|call| self.unpack(call))
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = (&'static str, u32)> + Clone {
        self.calls.iter().map(move |call| self.unpack(call))
    }

    /// The name of a number.
    #[must_use]
    pub fn name_of(self, number: u32) -> Option<&'static str> {
        let at = self.calls.binary_search_by_key(&number, |call| call.number).ok()?;
        self.get(at).map(|(name, _)| name)
    }

    fn unpack(self, call: &Packed) -> (&'static str, u32) {
        (&self.names[usize::from(call.start)..usize::from(call.end)], call.number)
    }
}

const fn bytes(calls: &[(&str, u32)]) -> usize {
    let (mut bytes, mut at) = (0, 0);
    while at < calls.len() {
        bytes += calls[at].0.len();
        at += 1;
    }
    bytes
}

const fn text<const BYTES: usize>(calls: &[(&str, u32)]) -> [u8; BYTES] {
    let mut text = [0; BYTES];
    let (mut written, mut at) = (0, 0);
    while at < calls.len() {
        let name = calls[at].0.as_bytes();
        let mut byte = 0;
        while byte < name.len() {
            text[written] = name[byte];
            written += 1;
            byte += 1;
        }
        at += 1;
    }
    text
}

#[expect(clippy::cast_possible_truncation, reason = "checked, when this crate is compiled")]
const fn pack<const CALLS: usize>(calls: &[(&str, u32)]) -> [Packed; CALLS] {
    assert!(bytes(calls) <= u16::MAX as usize, "the names of an architecture's calls fit in 64 KiB");
    let mut packed = [Packed { start: 0, end: 0, number: 0 }; CALLS];
    let (mut start, mut at) = (0, 0);
    while at < calls.len() {
        let end = start + calls[at].0.len();
        packed[at] = Packed { start: start as u16, end: end as u16, number: calls[at].1 };
        start = end;
        at += 1;
    }
    packed
}
