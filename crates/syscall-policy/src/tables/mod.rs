//! Call numbers, one file per number space. Numbers only: what a call is good for does not depend on them.

pub(crate) mod aarch64;
pub(crate) mod arm;
pub(crate) mod i386;
pub(crate) mod loongarch64;
pub(crate) mod mips;
pub(crate) mod mips64;
pub(crate) mod powerpc;
pub(crate) mod powerpc64;
pub(crate) mod riscv32;
pub(crate) mod riscv64;
pub(crate) mod s390x;
pub(crate) mod sparc;
pub(crate) mod sparc64;
pub(crate) mod x86_64;
