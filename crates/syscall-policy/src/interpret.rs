//! Running filters without a kernel: its checks, its verdicts, and its question whether an answer can be kept.

use core::fmt;

use crate::arch::Arch;
use crate::bpf::{self, Instruction, MAX_INSTRUCTIONS};
use crate::policy::{Data, Verdict};

/// Why a filter is no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// It has no instruction, or too many: this many.
    Length(usize),
    /// The instruction at this place is none that this crate's filters have.
    Instruction(usize),
    /// The jump at this place leads out of the filter.
    Jump(usize),
    /// The load at this place is not of a word of the data.
    Load(usize),
    /// The last instruction does not return.
    End,
    /// The value returned at this place is no verdict.
    Verdict(usize),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "a filter has 1 to {MAX_INSTRUCTIONS} instructions, not {length}"),
            Self::Instruction(at) => write!(f, "instruction {at} is of no known kind"),
            Self::Jump(at) => write!(f, "the jump at {at} leads out of the filter"),
            Self::Load(at) => write!(f, "the load at {at} is not of a word of the data"),
            Self::End => f.write_str("the last instruction does not return"),
            Self::Verdict(at) => write!(f, "what {at} returns is no verdict"),
        }
    }
}

impl core::error::Error for Invalid {}

/// What a filter said, and at what cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// How many instructions were run.
    pub steps: usize,
}

/// Checks a filter as the kernel does before it takes one (`bpf_check_classic`, `seccomp_check_filter`), and more
/// narrowly: only the kinds of instructions and verdicts that this crate uses.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check(program: &[Instruction]) -> Result<(), Invalid> {
    if program.is_empty() || program.len() > MAX_INSTRUCTIONS {
        return Err(Invalid::Length(program.len()));
    }
    for (at, instruction) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        let inside = |skip: u32| usize::try_from(skip).is_ok_and(|skip| skip < left);
        match instruction.code {
            bpf::LOAD if !instruction.k.is_multiple_of(4) || instruction.k >= bpf::SIZE => {
                return Err(Invalid::Load(at));
            }
            bpf::JUMP if !inside(instruction.k) => return Err(Invalid::Jump(at)),
            bpf::EQUAL | bpf::GREATER | bpf::AT_LEAST | bpf::ANY_BIT
                if !inside(instruction.jt.into()) || !inside(instruction.jf.into()) =>
            {
                return Err(Invalid::Jump(at));
            }
            bpf::RETURN if bpf::decode(instruction.k).is_none() => {
                return Err(Invalid::Verdict(at));
            }
            bpf::LOAD | bpf::JUMP | bpf::AND | bpf::RETURN => {}
            bpf::EQUAL | bpf::GREATER | bpf::AT_LEAST | bpf::ANY_BIT => {}
            _ => return Err(Invalid::Instruction(at)),
        }
    }
    match program.last() {
        Some(last) if last.code == bpf::RETURN => Ok(()),
        _ => Err(Invalid::End),
    }
}

/// Runs a filter on a call, on a machine of the architecture's byte order.
///
/// # Errors
///
/// If the filter would not pass [`check`].
pub fn run(program: &[Instruction], arch: Arch, data: &Data) -> Result<Outcome, Invalid> {
    check(program)?;
    run_checked(program, arch, data)
}

/// The same for a filter already checked.
pub(crate) fn run_checked(program: &[Instruction], arch: Arch, data: &Data) -> Result<Outcome, Invalid> {
    let mut accumulator = 0;
    let mut at = 0;
    let mut steps = 0;
    while let Some(instruction) = program.get(at) {
        steps += 1;
        at += 1;
        match instruction.code {
            bpf::LOAD => accumulator = bpf::word(data, arch, instruction.k),
            bpf::AND => accumulator &= instruction.k,
            bpf::RETURN => {
                let verdict = bpf::decode(instruction.k).ok_or(Invalid::Verdict(at - 1))?;
                return Ok(Outcome { verdict, steps });
            }
            _ => at += skip(instruction, accumulator).ok_or(Invalid::Instruction(at - 1))?,
        }
    }
    Err(Invalid::End)
}

/// Whether the kernel can tell from architecture and number alone that a call is allowed, and so keep the answer and
/// not run the filter for it: `seccomp_is_const_allow` of Linux 5.11 and later, which gives up at the first
/// instruction that needs more.
#[must_use]
pub fn always_allowed(program: &[Instruction], arch: u32, nr: u32) -> bool {
    let mut accumulator = 0;
    let mut at = 0;
    while let Some(instruction) = program.get(at) {
        at += 1;
        match (instruction.code, instruction.k) {
            (bpf::LOAD, bpf::NUMBER) => accumulator = nr,
            (bpf::LOAD, bpf::ARCH) => accumulator = arch,
            (bpf::LOAD, _) => return false,
            (bpf::RETURN, value) => return value == bpf::encode(Verdict::Allow),
            (bpf::AND, mask) => accumulator &= mask,
            _ => match skip(instruction, accumulator) {
                // Nobody has checked where it leads.
                Some(skipped) => at = at.saturating_add(skipped),
                None => return false,
            },
        }
    }
    false
}

/// How many instructions a jump skips; `None` if it is no jump.
pub(crate) fn skip(instruction: &Instruction, accumulator: u32) -> Option<usize> {
    let k = instruction.k;
    let holds = match instruction.code {
        bpf::JUMP => return usize::try_from(k).ok(),
        bpf::EQUAL => accumulator == k,
        bpf::GREATER => accumulator > k,
        bpf::AT_LEAST => accumulator >= k,
        bpf::ANY_BIT => accumulator & k != 0,
        _ => return None,
    };
    Some(usize::from(if holds { instruction.jt } else { instruction.jf }))
}
