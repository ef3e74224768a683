//! A proof that a filter does what a policy says.
//!
//! A filter without loops that only compares words of the data with constants is a finite decision tree, and so is a
//! policy. Both see a call only through *atoms*: comparisons of the architecture or the number with a constant, and
//! equations `word & mask == value` on halves of arguments. Cut the space of calls at every constant that either side
//! uses, and within one cell neither can tell calls apart: one call of each cell shows all of them. So going through
//! the cells is a complete proof of equivalence, not a sample.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::arch::Arch;
use crate::bpf::{self, Half, Instruction, argument_at, high_half, low_half};
use crate::interpret::{self, Invalid};
use crate::policy::{Answer, Data, Policy, Verdict};
use crate::rule::{Decision, Width};

/// What was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// How many cells the space of calls was cut into.
    pub cells: usize,
    /// The most instructions run for a call.
    pub most_steps: usize,
    /// Calls that the kernel can allow without running the filter.
    pub always_allowed: usize,
}

/// Why there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refuted {
    /// The filter is none.
    Invalid(Invalid),
    /// For this call the filter says something else than the policy.
    Differs {
        /// The call.
        call: Data,
        /// What the policy says.
        policy: Verdict,
        /// What the filter says.
        filter: Verdict,
    },
    /// The policy allows this number whatever the arguments are, but the kernel cannot tell from the filter.
    NotKept(u32),
    /// The filter compares an argument by order at this place, which cannot be cut into cells.
    Undecided(usize),
}

impl fmt::Display for Refuted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::Differs { call, policy, filter } => {
                write!(f, "for {call:x?} the policy says {policy:?} and the filter {filter:?}")
            }
            Self::NotKept(nr) => write!(f, "the kernel has to run the filter for number {nr}, which is always allowed"),
            Self::Undecided(at) => write!(f, "instruction {at} compares an argument by order"),
        }
    }
}

impl core::error::Error for Refuted {}

/// Compares filter and policy in every cell.
///
/// # Errors
///
/// The first cell in which they differ, or why cells could not be made.
pub fn prove(policy: &Policy, arch: Arch, program: &[Instruction]) -> Result<Proof, Refuted> {
    interpret::check(program).map_err(Refuted::Invalid)?;
    let mut proof = Proof { cells: 0, most_steps: 0, always_allowed: 0 };
    let numbers = number_cells(arch, program.iter());
    for token in arch_cells(arch, program.iter()) {
        // If the filter ends before it has looked at anything but the architecture, all numbers are one cell.
        let numbers = if looks_further(program, token) { &numbers } else { &BTreeSet::from([0]) };
        for nr in numbers {
            prove_number(policy, arch, program, token, *nr, &mut proof)?;
        }
    }
    Ok(proof)
}

fn prove_number(
    policy: &Policy,
    arch: Arch,
    program: &[Instruction],
    token: u32,
    nr: u32,
    proof: &mut Proof,
) -> Result<(), Refuted> {
    let answer = answer(policy, arch, token, nr);
    let mut atoms = program_atoms(program, arch, token, nr)?;
    if let Answer::Checked(rule) = &answer {
        for condition in rule.arms.iter().flat_map(|arm| &arm.when) {
            for value in &condition.values {
                let word = |half| Word { argument: condition.argument, half };
                atoms.insert(Atom::new(word(Half::Low), low_half(condition.mask), low_half(*value)));
                if condition.width == Width::Full {
                    atoms.insert(Atom::new(word(Half::High), high_half(condition.mask), high_half(*value)));
                }
            }
        }
    }
    for args in argument_cells(&atoms) {
        let call = Data { nr, arch: token, instruction_pointer: 0x1234_5678_9abc_def0, args };
        let (policy, outcome) = (answer.decide(&args).on(arch), interpret::run_checked(program, arch, &call));
        let outcome = outcome.map_err(Refuted::Invalid)?;
        if policy != outcome.verdict {
            return Err(Refuted::Differs { call, policy, filter: outcome.verdict });
        }
        proof.cells += 1;
        proof.most_steps = proof.most_steps.max(outcome.steps);
    }
    match (answer, interpret::always_allowed(program, token, nr)) {
        (Answer::Always(Decision::Allow), false) => return Err(Refuted::NotKept(nr)),
        (_, kept) => proof.always_allowed += usize::from(kept),
    }
    Ok(())
}

/// Whether the filter looks at anything but the architecture for calls of this one.
fn looks_further(program: &[Instruction], token: u32) -> bool {
    let (mut accumulator, mut at) = (0, 0);
    while let Some(instruction) = program.get(at) {
        at += 1;
        match (instruction.code, instruction.k) {
            (bpf::LOAD, bpf::ARCH) => accumulator = token,
            (bpf::LOAD, _) => return true,
            (bpf::AND, mask) => accumulator &= mask,
            (bpf::RETURN, _) => return false,
            _ => match interpret::skip(instruction, accumulator) {
                Some(skipped) => at += skipped,
                None => return true,
            },
        }
    }
    true
}

/// What the policy says about a number, arguments aside.
fn answer(policy: &Policy, arch: Arch, token: u32, nr: u32) -> Answer {
    if token != arch.token() {
        return Answer::Always(Decision::Kill);
    }
    arch.name_of(nr).map_or_else(|| policy.unknown(), |name| policy.answer(arch, name))
}

/// One token of each cell: every architecture there is, and what lies around the constants of the filter.
pub(crate) fn arch_cells<'a>(arch: Arch, program: impl Iterator<Item = &'a Instruction>) -> BTreeSet<u32> {
    let known = Arch::ALL.iter().map(|known| known.token());
    cuts(known.chain([arch.token()]).chain(program.map(|instruction| instruction.k)).filter(|token| {
        // Constants of argument rules are no tokens; keeping those that could be costs little.
        *token >= 0x4000_0000 || Arch::ALL.iter().any(|known| known.token() == *token)
    }))
}

/// One number of each cell: all that are in the table, and all constants of the filter.
pub(crate) fn number_cells<'a>(arch: Arch, program: impl Iterator<Item = &'a Instruction>) -> BTreeSet<u32> {
    let known = arch.table().iter().map(|(_, number)| number);
    let x32 = [0x4000_0000, 0x4000_0000 + 512];
    cuts(known.chain(program.map(|instruction| instruction.k)).chain(x32))
}

/// The first value of each cell when values are cut before and after each constant.
fn cuts(constants: impl Iterator<Item = u32>) -> BTreeSet<u32> {
    let mut cells = BTreeSet::from([0, u32::MAX]);
    for constant in constants {
        cells.insert(constant);
        cells.extend(constant.checked_add(1));
    }
    cells
}

/// A half of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    argument: u8,
    half: Half,
}

/// `word & mask == value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Atom {
    word: Word,
    mask: u32,
    value: u32,
}

impl Atom {
    const fn new(word: Word, mask: u32, value: u32) -> Self {
        Self { word, mask, value }
    }
}

/// The atoms that the filter looks at for a number: all ways through it are walked, whatever arguments say.
pub(crate) fn program_atoms(
    program: &[Instruction],
    arch: Arch,
    token: u32,
    nr: u32,
) -> Result<BTreeSet<Atom>, Refuted> {
    let mut atoms = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut ways = vec![(0, Accumulator::Known(0))];
    while let Some((at, accumulator)) = ways.pop() {
        if !seen.insert((at, accumulator)) {
            continue;
        }
        let Some(instruction) = program.get(at) else {
            return Err(Refuted::Invalid(Invalid::End));
        };
        match (instruction.code, accumulator) {
            (bpf::RETURN, _) => {}
            (bpf::LOAD, _) => ways.push((at + 1, Accumulator::load(arch, token, nr, at, instruction.k)?)),
            (bpf::AND, held) => ways.push((at + 1, held.and(instruction.k))),
            (bpf::JUMP, held) => ways.push((at + 1 + interpret::skip(instruction, 0).unwrap_or(0), held)),
            (_, Accumulator::Known(value)) => {
                let skipped = interpret::skip(instruction, value).ok_or(Invalid::Instruction(at));
                ways.push((at + 1 + skipped.map_err(Refuted::Invalid)?, accumulator));
            }
            (code, Accumulator::Word(word, mask)) => {
                atoms.insert(match code {
                    bpf::EQUAL => Atom::new(word, mask, instruction.k),
                    bpf::ANY_BIT => Atom::new(word, mask & instruction.k, 0),
                    _ => return Err(Refuted::Undecided(at)),
                });
                ways.push((at + 1 + usize::from(instruction.jt), accumulator));
                ways.push((at + 1 + usize::from(instruction.jf), accumulator));
            }
        }
    }
    Ok(atoms)
}

/// What the accumulator holds on a way through the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Accumulator {
    Known(u32),
    /// A half of an argument under a mask.
    Word(Word, u32),
}

impl Accumulator {
    fn load(arch: Arch, token: u32, nr: u32, at: usize, offset: u32) -> Result<Self, Refuted> {
        match (offset, argument_at(arch, offset)) {
            (bpf::NUMBER, _) => Ok(Self::Known(nr)),
            (bpf::ARCH, _) => Ok(Self::Known(token)),
            (_, Some((argument, half))) => Ok(Self::Word(Word { argument, half }, u32::MAX)),
            // The place a call comes from: no policy speaks of it.
            _ => Err(Refuted::Undecided(at)),
        }
    }

    const fn and(self, mask: u32) -> Self {
        match self {
            Self::Known(value) => Self::Known(value & mask),
            Self::Word(word, before) => Self::Word(word, before & mask),
        }
    }
}

/// Arguments of which no two are told apart by fewer than all atoms, one for each combination of atoms that can be.
pub(crate) fn argument_cells(atoms: &BTreeSet<Atom>) -> Vec<[u64; 6]> {
    let words: BTreeSet<Word> = atoms.iter().map(|atom| atom.word).collect();
    let mut cells = vec![NOISE];
    for word in words {
        let values = word_cells(&atoms.iter().filter(|atom| atom.word == word).copied().collect::<Vec<_>>());
        cells = cells.iter().flat_map(|args| values.iter().map(|value| with_word(args, word, *value))).collect();
    }
    cells
}

/// Arguments that nobody looks at are not zero, so that a filter that does look is found out.
const NOISE: [u64; 6] = [0xa5a5_5a5a_5a5a_a5a5; 6];

fn with_word(args: &[u64; 6], word: Word, value: u32) -> [u64; 6] {
    let mut args = *args;
    let argument = &mut args[usize::from(word.argument)];
    *argument = match word.half {
        Half::Low => (*argument & !0xffff_ffff) | u64::from(value),
        Half::High => (*argument & 0xffff_ffff) | (u64::from(value) << 32),
    };
    args
}

/// One value of each cell of a word.
///
/// Bits that are in the same masks form a block. An atom is a conjunction of equations on whole blocks, so a block is
/// known by which of the atoms' values it has, or that it has none of them; words are all combinations of that.
fn word_cells(atoms: &[Atom]) -> Vec<u32> {
    let seen = atoms.iter().fold(0, |seen, atom| seen | atom.mask);
    let mut values = vec![low_half(NOISE[0]) & !seen];
    for block in blocks(atoms) {
        let mut options: BTreeSet<u32> =
            atoms.iter().filter(|atom| atom.mask & block != 0).map(|atom| atom.value & block).collect();
        options.extend(another(block, &options));
        values = values.iter().flat_map(|value| options.iter().map(move |option| value | option)).collect();
    }
    values
}

/// Sets of bits that no mask tells apart. Bits in no mask are left out: nobody sees them.
fn blocks(atoms: &[Atom]) -> Vec<u32> {
    let mut blocks = vec![u32::MAX];
    for atom in atoms {
        blocks = blocks.iter().flat_map(|block| [block & atom.mask, block & !atom.mask]).filter(|b| *b != 0).collect();
    }
    blocks.retain(|block| atoms.iter().any(|atom| atom.mask & block != 0));
    blocks
}

/// A value of the block's bits that is none of these, if there is one.
fn another(block: u32, taken: &BTreeSet<u32>) -> Option<u32> {
    // Counting through the values of the block's bits: adding with the other bits set carries over them.
    let mut value = 0_u32;
    loop {
        if !taken.contains(&value) {
            return Some(value);
        }
        value = (value | !block).wrapping_add(1) & block;
        if value == 0 {
            return None;
        }
    }
}
