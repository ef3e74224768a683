//! The head of an ELF file: what machine a program is for, and whether it needs anybody to load it.

use std::path::Path;

use crate::error::{At as _, Error, Result};

/// A program's machine, as in `e_machine` (elf(5) and the lists of its registry).
pub(crate) type Machine = u16;

/// What is read of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// For which machine it is.
    pub(crate) machine: Machine,
    /// Words of 64 bits.
    pub(crate) wide: bool,
    /// The most significant byte first.
    pub(crate) big: bool,
    /// It names a loader (`PT_INTERP`), so it needs a C library of the machine it runs on.
    pub(crate) loaded: bool,
}

impl Head {
    /// Reads the head of a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).at(path)?;
        Self::parse(&bytes).ok_or_else(|| Error::new(format!("{} is not a program", path.display())))
    }

    /// Reads a head. `None` for what is not whole, or not a program.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        const EXECUTABLE: u64 = 2;
        const SHARED: u64 = 3;
        const INTERPRETER: u64 = 3;
        if bytes.get(..4)? != b"\x7fELF" {
            return None;
        }
        let wide = match bytes.get(4)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let big = match bytes.get(5)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let number = |at: usize, length: usize| -> Option<u64> {
            let field = bytes.get(at..at.checked_add(length)?)?;
            let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
            Some(if big { field.iter().fold(0, join) } else { field.iter().rev().fold(0, join) })
        };
        // A program that can be anywhere in memory is a shared object that starts by itself.
        if ![EXECUTABLE, SHARED].contains(&number(16, 2)?) {
            return None;
        }
        let machine = u16::try_from(number(18, 2)?).ok()?;
        let (table, size, count) = if wide {
            (number(32, 8)?, number(54, 2)?, number(56, 2)?)
        } else {
            (number(28, 4)?, number(42, 2)?, number(44, 2)?)
        };
        let mut loaded = false;
        for index in 0..count {
            let at = usize::try_from(table.checked_add(size.checked_mul(index)?)?).ok()?;
            loaded |= number(at, 4)? == INTERPRETER;
        }
        Some(Self { machine, wide, big, loaded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one entry in its table.
    fn file(wide: bool, big: bool, machine: u16, entry: u32) -> Vec<u8> {
        let mut bytes = vec![0; if wide { 64 } else { 52 }];
        bytes[..4].copy_from_slice(b"\x7fELF");
        bytes[4] = if wide { 2 } else { 1 };
        bytes[5] = if big { 2 } else { 1 };
        let table = bytes.len();
        let mut put = |at: usize, length: usize, value: usize| {
            let all = value.to_be_bytes();
            let mut field = all[all.len() - length..].to_vec();
            if !big {
                field.reverse();
            }
            bytes[at..at + length].copy_from_slice(&field);
        };
        put(16, 2, 3);
        put(18, 2, machine.into());
        let (at, length, size, count) = if wide { (32, 8, 54, 56) } else { (28, 4, 42, 44) };
        put(at, length, table);
        put(size, 2, 32);
        put(count, 2, 1);
        let entry = if big { entry.to_be_bytes() } else { entry.to_le_bytes() };
        bytes.extend(entry);
        bytes.resize(table + 32, 0);
        bytes
    }

    #[test]
    fn every_word_size_and_order_of_bytes_is_read() {
        for (wide, big, machine) in [(true, false, 62), (false, false, 3), (true, true, 22), (false, true, 8)] {
            let head = Head::parse(&file(wide, big, machine, 1)).unwrap();
            assert_eq!(head, Head { machine, wide, big, loaded: false });
            assert!(Head::parse(&file(wide, big, machine, 3)).unwrap().loaded);
        }
    }

    #[test]
    fn what_is_cut_short_is_not_a_program() {
        let whole = file(true, true, 22, 3);
        for length in 0..whole.len() - 28 {
            assert_eq!(Head::parse(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(Head::parse(b"#!/bin/sh\n"), None);
    }

    #[test]
    fn the_tests_themselves_are_a_program_with_a_loader() {
        let head = Head::read(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(head.wide, cfg!(target_pointer_width = "64"));
        assert_eq!(head.loaded, cfg!(target_env = "gnu") && !cfg!(target_feature = "crt-static"));
    }
}
