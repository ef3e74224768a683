//! One filter, instruction by instruction: a change of the compiler shows here.

use syscall_policy::{Arch, Class, Policy, compile, disassemble};

#[test]
fn a_small_filter_reads_as_pinned() {
    let policy = Policy::new([Class::ReadHeld, Class::Memory, Class::ProcessSettings, Class::SignalOwn]);
    let filter = compile(&policy.for_process(4711).coarse(), Arch::Aarch64);
    let listing = disassemble(&filter, Arch::Aarch64);
    let pinned = include_str!("listing.txt");
    assert!(listing == pinned, "the listing is now:\n{listing}");
}
