//! Classic BPF as seccomp takes it: instructions, and the words of `struct seccomp_data` they read.
//!
//! Source: `linux/bpf_common.h`, `linux/seccomp.h`, and `seccomp_check_filter` in the kernel's `seccomp.c`.

use crate::arch::Arch;
use crate::policy::{Data, Verdict};

/// One instruction: `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip if a comparison holds.
    pub jt: u8,
    /// How many to skip if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// `BPF_LD | BPF_W | BPF_ABS`: load a word of the data.
pub(crate) const LOAD: u16 = 0x20;
/// `BPF_JMP | BPF_JA`: skip `k`.
pub(crate) const JUMP: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(crate) const EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGT | BPF_K`.
pub(crate) const GREATER: u16 = 0x25;
/// `BPF_JMP | BPF_JGE | BPF_K`.
pub(crate) const AT_LEAST: u16 = 0x35;
/// `BPF_JMP | BPF_JSET | BPF_K`.
pub(crate) const ANY_BIT: u16 = 0x45;
/// `BPF_ALU | BPF_AND | BPF_K`.
pub(crate) const AND: u16 = 0x54;
/// `BPF_RET | BPF_K`.
pub(crate) const RETURN: u16 = 0x06;

/// Offset of the number in the data.
pub(crate) const NUMBER: u32 = 0;
/// Offset of the architecture.
pub(crate) const ARCH: u32 = 4;
/// Offset of the arguments, 64 bits each.
const ARGS: u32 = 16;
/// Size of the data.
pub(crate) const SIZE: u32 = 64;

/// The most instructions a filter may have (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// A half of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Half {
    Low,
    High,
}

/// Where a half of an argument is.
pub(crate) const fn argument_offset(arch: Arch, argument: u8, half: Half) -> u32 {
    let second = matches!(half, Half::High) == arch.little_endian();
    ARGS + 8 * argument as u32 + if second { 4 } else { 0 }
}

/// The argument and half at an offset.
pub(crate) fn argument_at(arch: Arch, offset: u32) -> Option<(u8, Half)> {
    (0..6)
        .flat_map(|argument| [(argument, Half::Low), (argument, Half::High)])
        .find(|(argument, half)| argument_offset(arch, *argument, *half) == offset)
}

/// The word of the data at an offset, as a machine of that byte order has it in memory.
pub(crate) fn word(data: &Data, arch: Arch, offset: u32) -> u32 {
    let halves = |value: u64| {
        let (low, high) = (low_half(value), high_half(value));
        if arch.little_endian() { [low, high] } else { [high, low] }
    };
    let at = usize::from(!offset.is_multiple_of(8));
    match offset {
        NUMBER => data.nr,
        ARCH => data.arch,
        8 | 12 => halves(data.instruction_pointer)[at],
        _ => (0..6).find(|i| ARGS + 8 * i == offset - offset % 8).map_or(0, |i| halves(data.args[i as usize])[at]),
    }
}

/// The lower 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the other half is asked for separately")]
pub(crate) const fn low_half(value: u64) -> u32 {
    value as u32
}

/// The upper 32 bits.
pub(crate) const fn high_half(value: u64) -> u32 {
    low_half(value >> 32)
}

/// `SECCOMP_RET_*` for a verdict.
pub(crate) const fn encode(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Allow => 0x7fff_0000,
        Verdict::Errno(number) => 0x0005_0000 | number as u32,
        // Linux 5.0.
        Verdict::Notify => 0x7fc0_0000,
        Verdict::Trap => 0x0003_0000,
        // Before Linux 4.14 this is SECCOMP_RET_KILL_THREAD, which is the same for a process of one thread.
        Verdict::Kill => 0x8000_0000,
    }
}

/// The verdict of a `SECCOMP_RET_*` value, if it is one that policies use.
pub(crate) fn decode(value: u32) -> Option<Verdict> {
    match (value & 0xffff_0000, u16::try_from(value & 0xffff)) {
        (0x7fff_0000, Ok(0)) => Some(Verdict::Allow),
        (0x0005_0000, Ok(number)) => Some(Verdict::Errno(number)),
        (0x7fc0_0000, Ok(0)) => Some(Verdict::Notify),
        (0x0003_0000, Ok(0)) => Some(Verdict::Trap),
        (0x8000_0000, Ok(0)) => Some(Verdict::Kill),
        _ => None,
    }
}
