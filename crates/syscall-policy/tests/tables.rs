//! The committed number tables are those of the source, and make sense.

#[path = "support/tables.rs"]
mod tables;

use std::collections::BTreeSet;
use std::path::Path;

use syscall_policy::Arch;

#[test]
fn committed_tables_equal_a_fresh_run() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tables");
    for table in tables::all() {
        let committed = std::fs::read_to_string(directory.join(table.file).with_extension("rs")).unwrap();
        assert!(
            committed == table.render(),
            "{} is stale: run `cargo run -p syscall-policy --example regenerate`",
            table.file
        );
    }
}

#[test]
fn tables_are_sorted_and_unambiguous() {
    for arch in Arch::ALL {
        let table: Vec<_> = arch.table().iter().collect();
        assert!(table.len() > 300, "{arch} has too few calls to be whole");
        assert!(table.is_sorted_by(|left, right| left.1 < right.1), "{arch}");
        let names: BTreeSet<_> = table.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), table.len(), "{arch} names a call twice");
    }
}

/// Spot checks against the kernel's own lists, so that a mix-up of whole tables would show.
#[test]
fn well_known_numbers() {
    for (arch, name, number) in [
        (Arch::X86_64, "read", Some(0)),
        (Arch::X86_64, "mmap", Some(9)),
        (Arch::X86_64, "openat2", Some(437)),
        (Arch::X86_64, "mmap2", None),
        (Arch::Aarch64, "read", Some(63)),
        (Arch::Aarch64, "open", None),
        (Arch::Aarch64, "newfstatat", Some(79)),
        (Arch::Aarch64, "futex_time64", None),
        (Arch::LoongArch64, "clock_gettime64", None),
        (Arch::Arm, "clock_gettime64", Some(403)),
        (Arch::Aarch64, "ppoll", Some(73)),
        (Arch::I386, "socketcall", Some(102)),
        (Arch::Arm, "set_tls", Some(0x000f_0005)),
        (Arch::Riscv64, "read", Some(63)),
        (Arch::S390x, "mmap", Some(90)),
        (Arch::PowerPc64Le, "seccomp", Some(358)),
        (Arch::Mips, "read", Some(4003)),
        (Arch::Mips64El, "read", Some(5000)),
        (Arch::LoongArch64, "statx", Some(291)),
        (Arch::Sparc64, "mmap", Some(71)),
    ] {
        assert_eq!(arch.number(name), number, "{name} on {arch}");
    }
}

#[test]
fn tokens_are_those_of_audit_h() {
    for (arch, token) in [
        (Arch::X86_64, 0xc000_003e),
        (Arch::I386, 0x4000_0003),
        (Arch::Aarch64, 0xc000_00b7),
        (Arch::Arm, 0x4000_0028),
        (Arch::Riscv64, 0xc000_00f3),
        (Arch::S390x, 0x8000_0016),
        (Arch::PowerPc64Le, 0xc000_0015),
        (Arch::PowerPc64, 0x8000_0015),
        (Arch::PowerPc, 0x14),
        (Arch::Mips, 8),
        (Arch::Mips64El, 0xc000_0008),
        (Arch::LoongArch64, 0xc000_0102),
        (Arch::Sparc64, 0x8000_002b),
    ] {
        assert_eq!(arch.token(), token, "{arch}");
    }
    let tokens: BTreeSet<_> = Arch::ALL.iter().map(|arch| arch.token()).collect();
    assert_eq!(tokens.len(), Arch::ALL.len());
}
