//! The architectures: what the kernel calls them, and where they differ in ways that a filter can see.

use core::fmt;

use crate::tables::{self, Table};

/// A Linux system call interface, as `seccomp_data.arch` names it.
///
/// One per number table and byte order. A process can often enter the kernel by more than one (64-bit x86 code can use
/// the 32-bit entry); a policy is always for one of them and refuses the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    I386,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm, EABI.
    Arm,
    /// 64-bit RISC-V.
    Riscv64,
    /// 32-bit RISC-V.
    Riscv32,
    /// 64-bit IBM Z.
    S390x,
    /// 64-bit POWER, little endian.
    PowerPc64Le,
    /// 64-bit POWER, big endian.
    PowerPc64,
    /// 32-bit POWER, big endian.
    PowerPc,
    /// 32-bit MIPS (o32), big endian.
    Mips,
    /// 32-bit MIPS (o32), little endian.
    MipsEl,
    /// 64-bit MIPS (n64), big endian.
    Mips64,
    /// 64-bit MIPS (n64), little endian.
    Mips64El,
    /// 64-bit LoongArch.
    LoongArch64,
    /// 32-bit SPARC.
    Sparc,
    /// 64-bit SPARC.
    Sparc64,
}

/// What `linux/audit.h` makes of an ELF machine number: these bits on top of it.
const BITS_64: u32 = 0x8000_0000;
const LITTLE: u32 = 0x4000_0000;

impl Arch {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::X86_64,
        Self::I386,
        Self::Aarch64,
        Self::Arm,
        Self::Riscv64,
        Self::Riscv32,
        Self::S390x,
        Self::PowerPc64Le,
        Self::PowerPc64,
        Self::PowerPc,
        Self::Mips,
        Self::MipsEl,
        Self::Mips64,
        Self::Mips64El,
        Self::LoongArch64,
        Self::Sparc,
        Self::Sparc64,
    ];

    /// The architecture this crate was compiled for, if there is a table for it.
    #[must_use]
    pub const fn native() -> Option<Self> {
        let little = cfg!(target_endian = "little");
        Some(if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
            Self::X86_64
        } else if cfg!(target_arch = "x86") {
            Self::I386
        } else if cfg!(all(target_arch = "aarch64", target_pointer_width = "64", target_endian = "little")) {
            Self::Aarch64
        } else if cfg!(all(target_arch = "arm", target_endian = "little")) {
            Self::Arm
        } else if cfg!(target_arch = "riscv64") {
            Self::Riscv64
        } else if cfg!(target_arch = "riscv32") {
            Self::Riscv32
        } else if cfg!(target_arch = "s390x") {
            Self::S390x
        } else if cfg!(target_arch = "powerpc64") {
            if little { Self::PowerPc64Le } else { Self::PowerPc64 }
        } else if cfg!(target_arch = "powerpc") {
            Self::PowerPc
        } else if cfg!(target_arch = "mips") {
            if little { Self::MipsEl } else { Self::Mips }
        } else if cfg!(all(target_arch = "mips64", target_pointer_width = "64")) {
            if little { Self::Mips64El } else { Self::Mips64 }
        } else if cfg!(target_arch = "loongarch64") {
            Self::LoongArch64
        } else if cfg!(target_arch = "sparc") {
            Self::Sparc
        } else if cfg!(target_arch = "sparc64") {
            Self::Sparc64
        } else {
            return None;
        })
    }

    /// The `AUDIT_ARCH_*` value of `linux/audit.h`: the ELF machine number with the word size and byte order.
    #[must_use]
    pub const fn token(self) -> u32 {
        match self {
            Self::X86_64 => 62 | BITS_64 | LITTLE,
            Self::I386 => 3 | LITTLE,
            Self::Aarch64 => 183 | BITS_64 | LITTLE,
            Self::Arm => 40 | LITTLE,
            Self::Riscv64 => 243 | BITS_64 | LITTLE,
            Self::Riscv32 => 243 | LITTLE,
            Self::S390x => 22 | BITS_64,
            Self::PowerPc64Le => 21 | BITS_64 | LITTLE,
            Self::PowerPc64 => 21 | BITS_64,
            Self::PowerPc => 20,
            Self::Mips => 8,
            Self::MipsEl => 8 | LITTLE,
            Self::Mips64 => 8 | BITS_64,
            Self::Mips64El => 8 | BITS_64 | LITTLE,
            Self::LoongArch64 => 258 | BITS_64 | LITTLE,
            Self::Sparc => 2,
            Self::Sparc64 => 43 | BITS_64,
        }
    }

    /// Whether the low half of a 64-bit argument comes first in memory.
    #[must_use]
    pub const fn little_endian(self) -> bool {
        self.token() & LITTLE != 0
    }

    /// Whether registers, and so arguments, have 64 bits.
    #[must_use]
    pub const fn is_64_bit(self) -> bool {
        self.token() & BITS_64 != 0
    }

    /// Its calls: name and number, in the order of the numbers.
    #[must_use]
    pub const fn table(self) -> Table {
        match self {
            Self::X86_64 => tables::X86_64,
            Self::I386 => tables::I386,
            Self::Aarch64 => tables::AARCH64,
            Self::Arm => tables::ARM,
            Self::Riscv64 => tables::RISCV64,
            Self::Riscv32 => tables::RISCV32,
            Self::S390x => tables::S390X,
            Self::PowerPc64Le | Self::PowerPc64 => tables::POWERPC64,
            Self::PowerPc => tables::POWERPC,
            Self::Mips | Self::MipsEl => tables::MIPS,
            Self::Mips64 | Self::Mips64El => tables::MIPS64,
            Self::LoongArch64 => tables::LOONGARCH64,
            Self::Sparc => tables::SPARC,
            Self::Sparc64 => tables::SPARC64,
        }
    }

    /// The number of a call, if the architecture has it.
    #[must_use]
    pub fn number(self, name: &str) -> Option<u32> {
        self.table().number_of(name)
    }

    /// The name of a number, if it is in the table.
    #[must_use]
    pub fn name_of(self, number: u32) -> Option<&'static str> {
        self.table().name_of(number)
    }

    /// Its name, as compilers write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::I386 => "i386",
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
            Self::Riscv64 => "riscv64",
            Self::Riscv32 => "riscv32",
            Self::S390x => "s390x",
            Self::PowerPc64Le => "powerpc64le",
            Self::PowerPc64 => "powerpc64",
            Self::PowerPc => "powerpc",
            Self::Mips => "mips",
            Self::MipsEl => "mipsel",
            Self::Mips64 => "mips64",
            Self::Mips64El => "mips64el",
            Self::LoongArch64 => "loongarch64",
            Self::Sparc => "sparc",
            Self::Sparc64 => "sparc64",
        }
    }

    /// The architecture of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// Whether `mmap` takes one pointer to its six arguments, where no filter can see them
    /// (`sys_old_mmap`: i386, where `mmap2` is the call in use, and s390x, where it is the only one).
    pub(crate) const fn mmap_by_pointer(self) -> bool {
        matches!(self, Self::I386 | Self::S390x)
    }

    /// Whether C libraries have nothing but `statx` to look at a held descriptor: these came after it was there, and
    /// without the older calls.
    pub(crate) const fn only_statx(self) -> bool {
        matches!(self, Self::Riscv32 | Self::LoongArch64)
    }

    /// Which argument of `clone` holds the flags (s390 has them after the stack: `CONFIG_CLONE_BACKWARDS2`).
    pub(crate) const fn clone_flags_argument(self) -> u8 {
        if matches!(self, Self::S390x) { 1 } else { 0 }
    }

    /// The family whose constants it uses where these differ.
    pub(crate) const fn family(self) -> Family {
        match self {
            Self::Mips | Self::MipsEl | Self::Mips64 | Self::Mips64El => Family::Mips,
            Self::PowerPc | Self::PowerPc64 | Self::PowerPc64Le => Family::PowerPc,
            Self::Sparc | Self::Sparc64 => Family::Sparc,
            Self::Arm | Self::Aarch64 => Family::Arm,
            _ => Family::Generic,
        }
    }
}

/// Architectures that share the values of their constants (`asm/ioctls.h`, `asm/fcntl.h`, `asm/errno.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Generic,
    Arm,
    PowerPc,
    Mips,
    Sparc,
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
