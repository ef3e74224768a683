//! Numbers that mean something else than they seem to: other ways into the same kernel, and calls behind calls.

#[path = "support/roles.rs"]
mod roles;

use std::collections::BTreeSet;

use syscall_policy::{Answer, Arch, Class, Decision, Errno, Policy, Verdict, calls, compile, interpret};

/// A policy that grants all there is.
fn everything() -> Policy {
    Policy::new(Class::ALL.iter().copied()).for_process(4711)
}

/// What a filter says; the policy must say the same.
fn verdict(policy: &Policy, arch: Arch, nr: u32, args: [u64; 6]) -> Verdict {
    let data = syscall_policy::Data { nr, arch: arch.token(), instruction_pointer: 0, args };
    let verdict = interpret::run(&compile(policy, arch), arch, &data).expect("a filter").verdict;
    assert_eq!(verdict, policy.verdict(arch, nr, &args), "the filter and the policy on {nr:#x} on {arch}");
    verdict
}

/// The calls that an architecture has of these.
fn have(arch: Arch, names: &[&'static str]) -> BTreeSet<&'static str> {
    names.iter().copied().filter(|name| arch.number(name).is_some()).collect()
}

/// x32 is x86_64 with bit 30 set in the number; its own calls are 512 to 547, which kernels before Linux 5.4 also took
/// without the bit.
#[test]
fn no_number_of_x32_is_let_through_whatever_is_granted() {
    let policy = everything();
    for (name, number) in Arch::X86_64.table().iter() {
        assert_eq!(verdict(&policy, Arch::X86_64, 0x4000_0000 | number, [0; 6]), Verdict::Errno(38), "{name} of x32");
    }
    for number in 512..=547 {
        assert_eq!(Arch::X86_64.name_of(number), None, "{number} is a call of x32 only");
        for number in [number, 0x4000_0000 | number] {
            assert_eq!(verdict(&policy, Arch::X86_64, number, [0; 6]), Verdict::Errno(38), "{number:#x}");
        }
    }
}

/// `cacheflush` after code was written, `set_tls` in each new thread, `get_tls` where the thread pointer has no register:
/// C libraries and the runtimes of compilers make them, and cannot do without. The others are of systems long gone.
#[test]
fn arms_private_calls_are_granted_with_memory_and_the_dead_ones_do_not_exist() {
    for (name, policy) in roles::all().iter().filter(|(_, policy)| policy.grants(Class::Memory)) {
        for number in [0x000f_0002, 0x000f_0005, 0x000f_0006] {
            assert_eq!(verdict(policy, Arch::Arm, number, [0; 6]), Verdict::Allow, "{number:#x} for {name}");
        }
        for number in [0x000f_0000, 0x000f_0007, 0x000f_fff0] {
            assert_eq!(verdict(policy, Arch::Arm, number, [0; 6]), Verdict::Errno(38), "{number:#x} for {name}");
        }
    }
    for (name, number) in [("breakpoint", 0x000f_0001), ("usr26", 0x000f_0003), ("usr32", 0x000f_0004)] {
        assert_eq!(Arch::Arm.name_of(number), Some(name));
        let stdio = Policy::new([Class::Memory, Class::ReadHeld]);
        assert_eq!(verdict(&stdio, Arch::Arm, number, [0; 6]), Verdict::Errno(38), "{name}");
    }
}

/// `socketcall` and `ipc` take a number and a pointer to what no filter sees. Where they are, they give no power that is
/// not granted with the plain call, and never one that is in the arguments.
#[test]
fn multiplexers_of_sockets_and_ipc_give_what_is_granted_and_never_a_socket() {
    use Arch::{I386, Mips, MipsEl, PowerPc, PowerPc64, PowerPc64Le, S390x, Sparc, Sparc64};
    let with = [I386, S390x, PowerPc64Le, PowerPc64, PowerPc, Mips, MipsEl, Sparc, Sparc64];
    for arch in Arch::ALL {
        let expected: &[&str] = if with.contains(&arch) { &["ipc", "socketcall"] } else { &[] };
        assert_eq!(have(arch, &["ipc", "socketcall"]), expected.iter().copied().collect(), "on {arch}");
    }
    let refused = |arch| Verdict::Errno(Errno::NoSuchCall.number(arch));
    for arch in with {
        let (socketcall, ipc) = (arch.number("socketcall").expect("it has"), arch.number("ipc").expect("it has"));
        let receiver = Policy::new([Class::ReceiveDescriptors]);
        for number in 0..=21_u64 {
            let received = matches!(number, 17 | 19);
            let expected = if received { Verdict::Allow } else { refused(arch) };
            let args = [number, 0xdead_beef, 0, 0, 0, 0];
            assert_eq!(verdict(&receiver, arch, socketcall, args), expected, "socketcall {number} on {arch}");
            // socket, bind, listen and socketpair: what they make is out of sight.
            if matches!(number, 1 | 2 | 4 | 8) {
                assert_eq!(verdict(&everything(), arch, socketcall, args), refused(arch), "{number} on {arch}");
            }
        }
        for call in 0..=24 {
            let args = [call, 0, 0, 0, 0, 0];
            assert_eq!(verdict(&receiver, arch, ipc, args), Verdict::Errno(13), "ipc {call} on {arch}");
        }
    }
}

/// The `syscall` of MIPS o32 makes the call whose number is its first argument, and POWER's `multiplexer` was to.
/// Current kernels filter the former by the number it names; those that do not must not let it through.
#[test]
fn calls_that_make_another_call_are_not_there_for_a_sealed_process() {
    for (name, archs) in [
        ("syscall", &[Arch::Mips, Arch::MipsEl][..]),
        ("multiplexer", &[Arch::PowerPc, Arch::PowerPc64, Arch::PowerPc64Le]),
    ] {
        for arch in Arch::ALL {
            assert_eq!(arch.number(name).is_some(), archs.contains(&arch), "{name} on {arch}");
        }
        assert_eq!(calls::call(name).map(|call| call.class), Some(Class::Obsolete), "{name}");
        for arch in archs {
            let number = arch.number(name).expect("it has");
            for (role, policy) in roles::all().iter().filter(|(_, policy)| !policy.grants(Class::Obsolete)) {
                let args = [u64::from(arch.number("execve").expect("it has")), 0, 0, 0, 0, 0];
                let refused = Verdict::Errno(Errno::NoSuchCall.number(*arch));
                assert_eq!(verdict(policy, *arch, number, args), refused, "{name} on {arch} for {role}");
            }
        }
    }
}

/// `svc 0` of s390x has the number in a register; the kernel shows filters that number. What is left of 0 is no call.
#[test]
fn number_0_of_s390x_is_no_call() {
    assert_eq!(Arch::S390x.name_of(0), None);
    assert_eq!(verdict(&everything(), Arch::S390x, 0, [0; 6]), Verdict::Errno(38));
}

/// On 32-bit machines each call that takes a time has two forms, and C libraries choose by how they were compiled.
#[test]
fn calls_with_64_bit_time_get_the_answer_of_their_twins() {
    let mut twins = BTreeSet::new();
    let mut policies: Vec<Policy> = Class::ALL.iter().map(|class| Policy::new([*class]).for_process(1)).collect();
    policies.extend([everything(), Policy::new([]), Policy::new([]).coarse()]);
    for arch in Arch::ALL {
        for (name, _) in arch.table().iter().filter(|(name, number)| is_time64(arch, name, *number)) {
            let twin = name.strip_suffix("_time64").or_else(|| name.strip_suffix("64")).expect("it is named so");
            let class = |name| calls::call(name).map(|call| call.class);
            assert_eq!(class(name), class(twin), "{name} and {twin}");
            for policy in &policies {
                assert_eq!(policy.answer(arch, name), policy.answer(arch, twin), "{name} and {twin} on {arch}");
            }
            twins.insert(name);
        }
    }
    assert_eq!(twins.len(), 20, "{twins:?}");
}

/// The kernel's common numbers for them, from 403 on, above each architecture's base (`asm-generic/unistd.h`).
fn is_time64(arch: Arch, name: &str, number: u32) -> bool {
    let base = if matches!(arch, Arch::Mips | Arch::MipsEl) { 4000 } else { 0 };
    !arch.is_64_bit() && (403..=423).contains(&(number - base)) && name != "sys_debug_setcontext"
}

/// A signal that a sealed process handles ends with one of these, and a call that a stop interrupted goes on with
/// another: the kernel has the process make them, so that refusing them ends it in ways that nobody understands.
#[test]
fn what_the_kernel_has_a_process_call_goes_with_signal_handlers() {
    let policy = Policy::new([Class::SignalHandlers]);
    for arch in Arch::ALL {
        let calls = have(arch, &["rt_sigreturn", "sigreturn", "restart_syscall"]);
        assert!(calls.is_superset(&["rt_sigreturn", "restart_syscall"].into()), "{arch} has {calls:?} only");
        for name in calls {
            assert_eq!(policy.answer(arch, name), Answer::Always(Decision::Allow), "{name} on {arch}");
        }
    }
}
