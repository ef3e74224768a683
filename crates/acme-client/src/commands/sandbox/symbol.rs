//! The function at a place in a file, by the file's own symbols (ELF).

use std::fs;
use std::path::Path;

use elf::ElfBytes;
use elf::abi::{PT_LOAD, STT_FUNC};
use elf::endian::AnyEndian;
use elf::parse::ParsingTable;
use elf::string_table::StringTable;
use elf::symbol::Symbol;

use crate::run::records::Place;

/// Larger files are not libraries that make system calls.
const LARGE: u64 = 256 * 1024 * 1024;

/// The name, with the distance from its start: `openat64+0x4d`. `None` if the file is gone, or has no symbols there.
pub(crate) fn at(place: &Place) -> Option<String> {
    let path = Path::new(&place.file);
    if !path.is_absolute() || fs::metadata(path).ok()?.len() > LARGE {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let file = ElfBytes::<AnyEndian>::minimal_parse(&bytes).ok()?;
    let address = file.segments()?.iter().filter(|segment| segment.p_type == PT_LOAD).find_map(|segment| {
        let within = place.offset.checked_sub(segment.p_offset)?;
        (within < segment.p_filesz).then(|| segment.p_vaddr.checked_add(within))?
    })?;
    // A stripped file still has the symbols that others link to.
    let tables = [file.symbol_table().ok().flatten(), file.dynamic_symbol_table().ok().flatten()];
    tables.into_iter().flatten().find_map(|(symbols, names)| nearest(&symbols, &names, address))
}

fn nearest(symbols: &ParsingTable<'_, AnyEndian, Symbol>, names: &StringTable<'_>, address: u64) -> Option<String> {
    let covers = |symbol: &Symbol| {
        symbol.st_symtype() == STT_FUNC
            && symbol.st_value <= address
            && address - symbol.st_value < symbol.st_size.max(1)
    };
    let symbol = symbols.iter().filter(covers).max_by_key(|symbol| symbol.st_value)?;
    let name = names.get(usize::try_from(symbol.st_name).ok()?).ok()?;
    Some(format!("{}+{:#x}", privsep::printable(name), address - symbol.st_value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of a function of this very program is found again.
    #[test]
    fn a_function_is_found_by_its_place() {
        let program = std::env::current_exe().expect("this program");
        let bytes = fs::read(&program).expect("its file");
        let file = ElfBytes::<AnyEndian>::minimal_parse(&bytes).expect("ELF");
        let (symbols, names) = file.symbol_table().expect("a table").expect("symbols");
        let main = symbols
            .iter()
            .find(|symbol| names.get(symbol.st_name as usize).is_ok_and(|name| name == "main"))
            .expect("main");
        let segment = file.segments().expect("segments").iter().find(|segment| {
            segment.p_type == PT_LOAD && (segment.p_vaddr..segment.p_vaddr + segment.p_filesz).contains(&main.st_value)
        });
        let segment = segment.expect("the segment with the code");
        let place = Place {
            file: program.display().to_string(),
            offset: main.st_value - segment.p_vaddr + segment.p_offset + 2,
        };
        assert_eq!(at(&place).as_deref(), Some("main+0x2"));
        assert_eq!(at(&Place { offset: u64::MAX, ..place }), None);
        assert_eq!(at(&Place { file: "/etc/hostname".to_owned(), offset: 0 }), None);
    }
}
