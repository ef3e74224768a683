//! What rules breakages out: properties of the filters, on every architecture, none of which is this one.

use portcullis::Promise;
use syscall_policy::{
    Arch, Class, Data, Decision, Instruction, Policy, Rule, Verdict, calls, compile, interpret, prove,
};

use crate::answers::{OWN, all_promises};

macro_rules! rules {
    ($($name:ident,)+) => {
        /// All of them. Each returns what it has to tell.
        pub(crate) const ALL: &[(&str, fn() -> String)] = &[$((stringify!($name), $name),)+];
    };
}

rules! {
    halves_of_arguments,
    open_and_openat_agree,
    twins_share_an_answer,
    every_power_everywhere,
    multiplexers_follow,
    audit_tokens,
    numbers_of_x32,
    coarse_filters_are_small,
    every_filter_is_proved,
    unknown_calls_are_answered,
    order_does_not_matter,
}

/// The promises of the roles of an ACME client: a supervisor, one that receives sockets, one that connects, one that
/// only computes, one that writes files, one that answers with files and one with a listener.
pub(crate) const SEALED: [(&str, &[Promise]); 7] = {
    use Promise::{Accept, Children, Connect, CreatePath, RecvFd, SendFd, Stdio};
    [
        ("stdio", &[Stdio]),
        ("stdio children", &[Stdio, Children]),
        ("stdio recvfd", &[Stdio, RecvFd]),
        ("stdio sendfd connect", &[Stdio, SendFd, Connect]),
        ("stdio createpath", &[Stdio, CreatePath]),
        ("stdio accept", &[Stdio, Accept]),
        ("stdio createpath accept", &[Stdio, CreatePath, Accept]),
    ]
};

fn policies() -> impl Iterator<Item = (&'static str, Policy)> {
    SEALED.into_iter().map(|(name, promises)| (name, crate::policy(promises).for_process(OWN)))
}

fn everything() -> Policy {
    crate::policy(&Promise::ALL).for_process(OWN)
}

fn run(filter: &[Instruction], arch: Arch, data: &Data) -> Verdict {
    interpret::run(filter, arch, data).expect("a filter").verdict
}

/// What the kernel reads as an `int` is compared as one: what a C library leaves above it makes no difference, wherever
/// in the data the halves are.
fn halves_of_arguments() -> String {
    const INTS: [(&str, usize, u64); 12] = [
        ("openat", 0, 0xffff_ff9c),
        ("openat", 2, 0),
        ("openat", 2, 0o100),
        ("fcntl", 1, 3),
        ("fcntl", 1, 8),
        ("ioctl", 1, 0x5401),
        ("prctl", 0, 38),
        ("prctl", 0, 4),
        ("futex", 1, 129),
        ("futex", 1, 6),
        ("madvise", 2, 4),
        ("socket", 0, 2),
    ];
    const NOISE: [u64; 4] = [0, 1 << 32, 0xffff_ffff << 32, 0xdead_beef << 32];
    let mut compared = 0;
    for arch in Arch::ALL.into_iter().filter(|arch| arch.is_64_bit()) {
        for (name, policy) in policies().chain([("all", everything())]) {
            let filter = compile(&policy, arch);
            for (call, argument, value) in INTS {
                let nr = arch.number(call).expect("every 64-bit architecture has it");
                let answer = |noise: u64| {
                    let mut args = [0; 6];
                    args[argument] = value | noise;
                    let data = Data { nr, arch: arch.token(), instruction_pointer: 0, args };
                    run(&filter, arch, &data)
                };
                for noise in NOISE {
                    assert_eq!(
                        answer(noise),
                        answer(0),
                        "{call} on {arch}, {name}: argument {argument} with {noise:#x}"
                    );
                    compared += 1;
                }
            }
        }
    }
    // Where the kernel reads a long, it does make one: `PR_SET_VMA` knows no such option.
    let vma = |arch: Arch, option| {
        everything().verdict(arch, arch.number("prctl").expect("a number"), &[0x5356_4d41, option, 0, 0, 0, 0])
    };
    for arch in [Arch::S390x, Arch::PowerPc64, Arch::Mips64, Arch::Aarch64] {
        assert_eq!(vma(arch, 0), Verdict::Allow, "{arch}");
        assert_ne!(vma(arch, 1 << 32), Verdict::Allow, "{arch}");
    }
    let big = Arch::ALL.into_iter().filter(|arch| arch.is_64_bit() && !arch.little_endian()).count();
    format!("{compared} comparisons, {big} big-endian architectures of 64 bits among them")
}

/// Which of the two a C library calls is its own business, and what directory it starts from as well.
fn open_and_openat_agree() -> String {
    let flags: Vec<u64> = (0..24).map(|bit| 1 << bit).chain([0, 0o101, 0o1101, 0o2_000_000, 0o2_200_000]).collect();
    let mut pairs = 0;
    for promises in all_promises() {
        let policy = crate::policy(&promises).for_process(OWN);
        for arch in Arch::ALL {
            let (Some(open), Some(openat)) = (arch.number("open"), arch.number("openat")) else { continue };
            for flags in &flags {
                let old = policy.verdict(arch, open, &[0, *flags, 0o600, 0, 0, 0]);
                for here in [0xffff_ff9c, u64::MAX - 99, 7] {
                    let new = policy.verdict(arch, openat, &[here, 0, *flags, 0o600, 0, 0]);
                    assert_eq!(old, new, "open and openat({here:#x}) with {flags:#o} on {arch}: {promises:?}");
                    pairs += 1;
                }
            }
        }
    }
    format!("{pairs} pairs of answers")
}

/// Two forms of one call: what one is granted, the other is too, so that it does not matter which is used.
const TWINS: [(&str, &str); 38] = [
    ("read", "readv"),
    ("write", "writev"),
    ("fstat", "fstat64"),
    ("stat", "newfstatat"),
    ("stat", "statx"),
    ("stat64", "fstatat64"),
    ("lstat", "newfstatat"),
    ("access", "faccessat"),
    ("faccessat", "faccessat2"),
    ("readlink", "readlinkat"),
    ("chmod", "fchmodat"),
    ("fchmodat", "fchmodat2"),
    ("chown", "fchownat"),
    ("chown", "chown32"),
    ("rename", "renameat"),
    ("renameat", "renameat2"),
    ("unlink", "unlinkat"),
    ("rmdir", "unlinkat"),
    ("mkdir", "mkdirat"),
    ("link", "linkat"),
    ("symlink", "symlinkat"),
    ("poll", "ppoll"),
    ("ppoll", "ppoll_time64"),
    ("select", "pselect6"),
    ("pselect6", "pselect6_time64"),
    ("epoll_wait", "epoll_pwait"),
    ("epoll_wait", "epoll_pwait2"),
    ("nanosleep", "clock_nanosleep"),
    ("clock_nanosleep", "clock_nanosleep_time64"),
    ("gettimeofday", "clock_gettime"),
    ("clock_gettime", "clock_gettime64"),
    ("futex", "futex_time64"),
    ("brk", "mremap"),
    ("accept", "accept4"),
    ("recvmsg", "recvmmsg"),
    ("statfs", "statfs64"),
    ("fstatfs", "fstatfs64"),
    ("getdents", "getdents64"),
];

fn twins_share_an_answer() -> String {
    let mut pairs = 0;
    for promises in all_promises() {
        let policy = crate::policy(&promises).for_process(OWN);
        for arch in Arch::ALL {
            for (one, other) in TWINS {
                let (Some(left), Some(right)) = (arch.number(one), arch.number(other)) else { continue };
                let allowed = |number| policy.verdict(arch, number, &[0; 6]) == Verdict::Allow;
                assert_eq!(allowed(left), allowed(right), "{one} and {other} on {arch}: {promises:?}");
                pairs += 1;
            }
        }
    }
    format!("{pairs} pairs of answers")
}

/// What a promise stands for can be done on every architecture, by whatever calls it has.
fn every_power_everywhere() -> String {
    const WAYS: [(Promise, &[&str]); 15] = {
        use Promise::{Accept, Connect, CreatePath, ReadPath, RecvFd, SendFd, Stdio};
        [
            (Stdio, &["mmap", "mmap2"]),
            (Stdio, &["poll", "ppoll", "ppoll_time64"]),
            (Stdio, &["select", "_newselect", "pselect6", "pselect6_time64"]),
            (Stdio, &["clock_gettime", "clock_gettime64"]),
            (Stdio, &["nanosleep", "clock_nanosleep", "clock_nanosleep_time64"]),
            (Stdio, &["futex", "futex_time64"]),
            (Stdio, &["rt_sigreturn"]),
            (CreatePath, &["rename", "renameat", "renameat2"]),
            (CreatePath, &["unlinkat"]),
            (ReadPath, &["newfstatat", "fstatat64", "statx", "stat"]),
            (ReadPath, &["faccessat"]),
            (Connect, &["connect"]),
            (Accept, &["accept", "accept4"]),
            (SendFd, &["sendmsg"]),
            (RecvFd, &["recvmsg"]),
        ]
    };
    for arch in Arch::ALL {
        for (promise, ways) in WAYS {
            let policy = crate::policy(&[promise]);
            let mut there = ways.iter().filter_map(|way| arch.number(way));
            assert!(
                there.any(|number| policy.verdict(arch, number, &[0; 6]) == Verdict::Allow),
                "{promise} on {arch} is granted none of {ways:?}"
            );
        }
        let children = crate::policy(&[Promise::Children]);
        let wait = arch.number("wait4").or_else(|| arch.number("waitid")).expect("a way to wait");
        assert_eq!(children.verdict(arch, wait, &[0; 6]), Verdict::Allow, "{arch}");
    }
    format!("{} powers on {} architectures", WAYS.len() + 1, Arch::ALL.len())
}

/// Socket calls by number, as old C libraries make them: whoever may make the call may make it so. Creating sockets and
/// listening is left out, for which there are calls of their own wherever there is the multiplexer.
fn multiplexers_follow() -> String {
    // linux/net.h.
    const NUMBERED: [(&str, u64); 13] = [
        ("connect", 3),
        ("getsockname", 6),
        ("getpeername", 7),
        ("sendto", 11),
        ("recvfrom", 12),
        ("shutdown", 13),
        ("setsockopt", 14),
        ("getsockopt", 15),
        ("sendmsg", 16),
        ("recvmsg", 17),
        ("accept4", 18),
        ("recvmmsg", 19),
        ("sendmmsg", 20),
    ];
    let mut arches = Vec::new();
    for arch in Arch::ALL {
        let Some(multiplexer) = arch.number("socketcall") else { continue };
        arches.push(arch.name());
        assert!(arch.number("socket").is_some(), "{arch} has no call of its own that creates sockets");
        for (name, policy) in policies() {
            for (call, by_number) in NUMBERED {
                let Some(own) = arch.number(call) else { continue };
                let direct = policy.verdict(arch, own, &[0; 6]) == Verdict::Allow;
                let by_number = policy.verdict(arch, multiplexer, &[by_number, 0, 0, 0, 0, 0]) == Verdict::Allow;
                assert_eq!(direct, by_number, "{call} on {arch}, {name}");
            }
        }
    }
    format!("on {}", arches.join(", "))
}

/// The token of every table is the ELF machine number with word size and byte order (`linux/audit.h`), and what comes
/// by another entry is not taken for a call of the table.
fn audit_tokens() -> String {
    let native = Arch::native().map_or("none", Arch::name);
    for arch in Arch::ALL {
        let token = arch.token();
        assert_eq!(token & 0x8000_0000 != 0, arch.is_64_bit(), "{arch}");
        assert_eq!(token & 0x4000_0000 != 0, arch.little_endian(), "{arch}");
        assert!((2..=258).contains(&(token & 0x3fff_ffff)), "{arch}: no ELF machine");
        let filter = compile(&everything(), arch);
        let data = |arch: u32| Data { nr: 0, arch, instruction_pointer: 0, args: [0; 6] };
        assert_ne!(run(&filter, arch, &data(token)), Verdict::Kill, "{arch}");
        for other in Arch::ALL.into_iter().map(Arch::token).filter(|other| *other != token) {
            assert_eq!(run(&filter, arch, &data(other)), Verdict::Kill, "{other:#x} on {arch}");
        }
    }
    format!("{} tokens; this machine is {native}", Arch::ALL.len())
}

/// x32 is x86_64 with one more bit in the number. Its calls are answered as if the kernel were built without it; the
/// plain number, which its vDSO falls back to, is the call.
fn numbers_of_x32() -> String {
    let arch = Arch::X86_64;
    let enosys = Verdict::Errno(38);
    for (name, policy) in policies() {
        let clock = arch.number("clock_gettime").expect("a number");
        assert_eq!(policy.verdict(arch, clock, &[0; 6]), Verdict::Allow, "{name}");
        for (call, number) in arch.table().iter() {
            assert_eq!(policy.verdict(arch, number | 0x4000_0000, &[0; 6]), enosys, "{call}, {name}");
        }
    }
    "every number".to_owned()
}

/// The filter for kernels that refuse the full one.
fn coarse_filters_are_small() -> String {
    let mut told = Vec::new();
    for (name, policy) in policies() {
        let size = |policy: &Policy| compile(policy, Arch::Arm).len();
        let (full, coarse) = (size(&policy), size(&policy.coarse()));
        // How many such a kernel takes depends on the constants in them; what there is must not grow unnoticed.
        assert!(coarse < full && coarse <= 300, "{name}: {coarse} instructions, of {full}");
        told.push(format!("{name} {full} and {coarse}"));
    }
    format!("instructions on 32-bit Arm, full and coarse: {}", told.join("; "))
}

/// No library and no optimisation stands between what is written and what is loaded: the program is compared with the
/// policy, completely.
fn every_filter_is_proved() -> String {
    let (mut cells, mut filters) = (0, 0);
    for (name, policy) in policies() {
        for arch in Arch::ALL {
            for policy in [policy.clone(), policy.clone().coarse()] {
                match prove(&policy, arch, &compile(&policy, arch)) {
                    Ok(proof) => cells += proof.cells,
                    Err(refuted) => panic!("{name} on {arch}: {refuted}"),
                }
                filters += 1;
            }
        }
    }
    format!("{filters} filters, {cells} cells")
}

/// A rule for a call that an architecture does not have is no error, and a call in no table is one no kernel has.
fn unknown_calls_are_answered() -> String {
    for arch in Arch::ALL {
        let plain = everything();
        let ruled = plain.clone().with_rule("none_such", Rule::otherwise(Decision::Kill));
        assert_eq!(compile(&plain, arch), compile(&ruled, arch), "{arch}");
        let newest = arch.table().iter().map(|(_, number)| number).max().expect("a table of some length");
        for unknown in [newest + 1, newest + 1000, 0x3fff_ffff, u32::MAX] {
            let verdict = plain.verdict(arch, unknown, &[0; 6]);
            assert!(matches!(verdict, Verdict::Errno(38 | 89 | 90)), "{unknown} on {arch}: {verdict:?}");
        }
        // Old tables have no newer calls, and are compiled all the same.
        assert!(calls::names().any(|(name, _)| arch.number(name).is_none()), "{arch} has every call of every other");
    }
    format!("{} architectures", Arch::ALL.len())
}

/// One answer per call: it does not matter in which order what was promised, how often, or what else.
fn order_does_not_matter() -> String {
    let backwards: Vec<Promise> = Promise::ALL.into_iter().rev().collect();
    let twice = [Promise::ALL, Promise::ALL].concat();
    for arch in Arch::ALL {
        let filter = compile(&crate::policy(&Promise::ALL), arch);
        assert_eq!(filter, compile(&crate::policy(&backwards), arch), "{arch}");
        assert_eq!(filter, compile(&crate::policy(&twice), arch), "{arch}");
        // What is granted stays granted when more is.
        let (little, much) = (crate::policy(&[Promise::Stdio]), crate::policy(&Promise::ALL));
        for (name, number) in arch.table().iter() {
            let allowed = |policy: &Policy| policy.verdict(arch, number, &[0; 6]) == Verdict::Allow;
            assert!(!allowed(&little) || allowed(&much), "{name} on {arch} is lost by promising more");
        }
    }
    assert!(everything().grants(Class::OpenPath));
    format!("{} architectures", Arch::ALL.len())
}
