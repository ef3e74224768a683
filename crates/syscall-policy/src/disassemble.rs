//! Filters as text, for people.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;

use crate::arch::Arch;
use crate::bpf::{self, Half, Instruction};
use crate::errno::Errno;
use crate::policy::Verdict;

/// What the accumulator holds.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    Number,
    Arch,
    Other,
}

/// Writes a filter down, one instruction a line: place, what it does, and what its numbers mean.
#[must_use]
pub fn disassemble(program: &[Instruction], arch: Arch) -> String {
    let mut text = String::new();
    for (at, (instruction, held)) in program.iter().zip(held_before(program)).enumerate() {
        let line = match instruction.code {
            bpf::LOAD => format!("load {}", loaded(arch, instruction.k)),
            bpf::AND => format!("and {:#x}", instruction.k),
            bpf::JUMP => format!("go {}", target(at, instruction.k)),
            bpf::RETURN => format!("return {}", returned(arch, instruction.k)),
            code => compared(arch, at, instruction, code, held),
        };
        // A string takes all that is written.
        let _ = writeln!(text, "{at:4}  {line}");
    }
    text
}

/// What the accumulator holds before each instruction. Jumps go forward only, so one pass sees all ways to a place;
/// where several meet, they hold the same in filters that make sense.
fn held_before(program: &[Instruction]) -> Vec<Held> {
    let mut before = vec![Held::Other; program.len()];
    for (at, instruction) in program.iter().enumerate() {
        let (after, skips) = match (instruction.code, instruction.k) {
            (bpf::LOAD, bpf::NUMBER) => (Held::Number, [0, 0]),
            (bpf::LOAD, bpf::ARCH) => (Held::Arch, [0, 0]),
            (bpf::LOAD | bpf::AND, _) => (Held::Other, [0, 0]),
            (bpf::JUMP, skip) => (before[at], [skip; 2]),
            (bpf::RETURN, _) => continue,
            _ => (before[at], [instruction.jt.into(), instruction.jf.into()]),
        };
        for skip in skips {
            if let Some(next) = before.get_mut(target(at, skip)) {
                *next = after;
            }
        }
    }
    before
}

fn compared(arch: Arch, at: usize, instruction: &Instruction, code: u16, held: Held) -> String {
    let operator = match code {
        bpf::EQUAL => "==",
        bpf::GREATER => ">",
        bpf::AT_LEAST => ">=",
        bpf::ANY_BIT => "&",
        _ => {
            return format!("?{code:#x} {} {} {:#x}", instruction.jt, instruction.jf, instruction.k);
        }
    };
    let (holds, fails) = (target(at, instruction.jt.into()), target(at, instruction.jf.into()));
    format!("if {operator} {} go {holds} else {fails}", operand(arch, instruction.k, held))
}

fn operand(arch: Arch, k: u32, held: Held) -> String {
    let token = || Arch::ALL.iter().find(|known| known.token() == k);
    match held {
        Held::Number => arch.name_of(k).map_or_else(|| k.to_string(), |name| format!("{k} ({name})")),
        Held::Arch => token().map_or_else(|| format!("{k:#x}"), ToString::to_string),
        Held::Other => format!("{k:#x}"),
    }
}

fn loaded(arch: Arch, offset: u32) -> String {
    match (offset, bpf::argument_at(arch, offset)) {
        (bpf::NUMBER, _) => "number".into(),
        (bpf::ARCH, _) => "architecture".into(),
        (_, Some((argument, Half::Low))) => format!("argument {argument}, low"),
        (_, Some((argument, Half::High))) => format!("argument {argument}, high"),
        _ => format!("word {offset}"),
    }
}

fn returned(arch: Arch, value: u32) -> String {
    match bpf::decode(value) {
        Some(Verdict::Allow) => "allow".into(),
        Some(Verdict::Kill) => "kill".into(),
        Some(Verdict::Notify) => "notify".into(),
        Some(Verdict::Trap) => "trap".into(),
        Some(Verdict::Errno(number)) => {
            Errno::from_number(arch, number).map_or_else(|| format!("errno {number}"), |errno| errno.to_string())
        }
        None => format!("{value:#x}"),
    }
}

fn target(at: usize, skip: u32) -> usize {
    (at + 1).saturating_add(usize::try_from(skip).unwrap_or(usize::MAX))
}
