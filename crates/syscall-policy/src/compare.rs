//! Two filters beside each other: where their verdicts differ, in every cell of the space of calls.
//!
//! The cells are those of the [proof](crate::prove()), cut at the constants of both filters.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::arch::Arch;
use crate::bpf::{Instruction, low_half};
use crate::interpret;
use crate::policy::{Data, Verdict};
use crate::proof::{Refuted, arch_cells, argument_cells, number_cells, program_atoms};

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Comparison {
    /// How many cells the space of calls was cut into.
    pub cells: usize,
    /// A call of each cell for which the verdicts differ.
    pub differences: Vec<Difference>,
}

/// A call about which two filters do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The call.
    pub call: Data,
    /// What the first filter says.
    pub left: Verdict,
    /// What the second one says.
    pub right: Verdict,
}

/// Compares what two filters, whoever made them, say to all calls on a machine of the architecture.
///
/// # Errors
///
/// As [`cells`].
pub fn compare(arch: Arch, left: &[Instruction], right: &[Instruction]) -> Result<Comparison, Refuted> {
    let calls = cells(arch, &[left, right])?;
    let mut comparison = Comparison { cells: calls.len(), differences: Vec::new() };
    for call in calls {
        let says = |program| interpret::run_checked(program, arch, &call).map_err(Refuted::Invalid);
        let (left, right) = (says(left)?.verdict, says(right)?.verdict);
        if left != right {
            comparison.differences.push(Difference { call, left, right });
        }
    }
    Ok(comparison)
}

/// One call of each cell: all entries, all numbers, all arguments, as far as these filters can tell them apart. Where
/// registers have 32 bits, so have arguments.
///
/// # Errors
///
/// If one of them is no filter, or compares arguments by order, so that there are no cells.
pub fn cells(arch: Arch, programs: &[&[Instruction]]) -> Result<Vec<Data>, Refuted> {
    for program in programs {
        interpret::check(program).map_err(Refuted::Invalid)?;
    }
    let all = || programs.iter().flat_map(|program| program.iter());
    let numbers = number_cells(arch, all());
    let mut calls = Vec::new();
    for token in arch_cells(arch, all()) {
        for nr in &numbers {
            let mut atoms = BTreeSet::new();
            for program in programs {
                atoms.extend(program_atoms(program, arch, token, *nr)?);
            }
            calls.extend(argument_cells(&atoms).into_iter().map(|args| {
                let args = if arch.is_64_bit() { args } else { args.map(|value| u64::from(low_half(value))) };
                Data { nr: *nr, arch: token, instruction_pointer: 0, args }
            }));
        }
    }
    Ok(calls)
}
