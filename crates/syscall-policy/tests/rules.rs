//! What the rules on arguments say, case by case.

use syscall_policy::{Answer, Arch, Class, Condition, Decision, Policy, Rule, Verdict};

const EPERM: Verdict = Verdict::Errno(1);
const EACCES: Verdict = Verdict::Errno(13);
const EINVAL: Verdict = Verdict::Errno(22);
const ENOTTY: Verdict = Verdict::Errno(25);
const ENOSYS: Verdict = Verdict::Errno(38);
const EAFNOSUPPORT: Verdict = Verdict::Errno(97);
const ALLOW: Verdict = Verdict::Allow;

fn verdict(classes: &[Class], arch: Arch, name: &str, args: &[u64]) -> Verdict {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let policy = Policy::new(classes.iter().copied()).for_process(42);
    policy.verdict(arch, arch.number(name).unwrap(), &all)
}

#[test]
fn memory_is_never_executable() {
    for arch in [Arch::X86_64, Arch::Aarch64, Arch::Riscv64] {
        for (protection, expected) in [(0, ALLOW), (3, ALLOW), (4, EACCES), (5, EACCES), (7, EACCES)] {
            for name in ["mmap", "mprotect"] {
                assert_eq!(verdict(&[Class::Memory], arch, name, &[0, 4096, protection]), expected);
            }
        }
    }
    assert_eq!(verdict(&[Class::Memory], Arch::I386, "mmap2", &[0, 4096, 7]), EACCES);
    assert_eq!(verdict(&[Class::Memory], Arch::I386, "mmap", &[0]), ENOSYS);
    assert_eq!(verdict(&[Class::Memory], Arch::S390x, "mmap", &[0x1000]), ALLOW);
    assert_eq!(verdict(&[Class::Memory], Arch::S390x, "mprotect", &[0, 4096, 7]), EACCES);
}

#[test]
fn advice_that_concerns_others_is_unknown() {
    for (advice, expected) in [(4, ALLOW), (8, ALLOW), (102, ALLOW), (9, EINVAL), (12, EINVAL), (100, EINVAL)] {
        assert_eq!(verdict(&[Class::Memory], Arch::X86_64, "madvise", &[0, 0, advice]), expected, "{advice}");
    }
}

#[test]
fn the_kernels_width_is_compared() {
    // An int: what is above the low half is noise.
    let noisy = 0xdead_beef_0000_0003;
    assert_eq!(verdict(&[Class::ControlHeld], Arch::X86_64, "fcntl", &[0, noisy]), ALLOW);
    // A long: it is not.
    let vma = 0x5356_4d41;
    assert_eq!(verdict(&[Class::ProcessSettings], Arch::X86_64, "prctl", &[vma, 0]), ALLOW);
    assert_eq!(verdict(&[Class::ProcessSettings], Arch::X86_64, "prctl", &[vma, 1 << 32]), EINVAL);
    assert_eq!(verdict(&[Class::ProcessSettings], Arch::X86_64, "prctl", &[vma, 1]), EINVAL);
}

#[test]
fn no_connection_is_opened_by_sending() {
    const FAST_OPEN: u64 = 0x2000_0000;
    const NO_SIGNAL: u64 = 0x4000;
    for arch in [Arch::X86_64, Arch::Aarch64, Arch::Arm] {
        let send = [
            (Class::SocketIo, "sendto", [0, 0, 0, FAST_OPEN]),
            (Class::SendDescriptors, "sendmmsg", [0, 0, 0, FAST_OPEN]),
            (Class::SendDescriptors, "sendmsg", [0, 0, FAST_OPEN, 0]),
        ];
        for (class, name, args) in send {
            assert_eq!(verdict(&[class], arch, name, &args), EPERM, "{name} on {arch}");
            let honest = args.map(|flags| if flags == 0 { 0 } else { NO_SIGNAL });
            assert_eq!(verdict(&[class], arch, name, &honest), ALLOW, "{name} on {arch}");
            assert_eq!(verdict(&[class], arch, name, &args.map(|flags| flags | NO_SIGNAL)), EPERM, "{name} on {arch}");
        }
    }
}

#[test]
fn process_settings_that_matter_are_unknown() {
    for (option, expected) in
        [(15, ALLOW), (16, ALLOW), (3, ALLOW), (38, ALLOW), (4, EINVAL), (22, EINVAL), (8, EINVAL)]
    {
        assert_eq!(verdict(&[Class::ProcessSettings], Arch::X86_64, "prctl", &[option]), expected, "{option}");
    }
}

#[test]
fn requests_to_devices_are_few() {
    for (request, expected) in [(0x5401, ALLOW), (0x802c_542a, ALLOW), (0x5412, ENOTTY), (0x541c, ENOTTY)] {
        assert_eq!(verdict(&[Class::Ioctl], Arch::X86_64, "ioctl", &[0, request]), expected, "{request:#x}");
    }
    assert_eq!(verdict(&[], Arch::X86_64, "ioctl", &[0, 0x5401]), ENOTTY);
    assert_eq!(verdict(&[Class::Ioctl], Arch::PowerPc64Le, "ioctl", &[0, 0x402c_7413]), ALLOW);
    assert_eq!(verdict(&[Class::Ioctl], Arch::PowerPc64Le, "ioctl", &[0, 0x5401]), ENOTTY);
}

#[test]
fn signals_go_to_oneself() {
    for (name, args, expected) in [
        ("tgkill", &[42, 42, 6][..], ALLOW),
        ("tgkill", &[1, 42, 6], EPERM),
        ("tkill", &[42, 6], ALLOW),
        ("kill", &[42, 6], ALLOW),
        ("kill", &[43, 6], EPERM),
        ("kill", &[u64::MAX, 9], EPERM),
    ] {
        assert_eq!(verdict(&[Class::SignalOwn], Arch::X86_64, name, args), expected, "{name} {args:?}");
    }
    let parent = &[Class::SignalOwn, Class::SignalOther];
    assert_eq!(verdict(parent, Arch::X86_64, "kill", &[43, 9]), ALLOW);
    for everybody in [0, u64::MAX, 0xffff_ffff, 0xffff_fff0] {
        assert_eq!(verdict(parent, Arch::X86_64, "kill", &[everybody, 9]), EPERM);
    }
    let nobody = Policy::new([Class::SignalOwn]);
    assert_eq!(nobody.verdict(Arch::X86_64, 234, &[42, 42, 6, 0, 0, 0]), EPERM);
}

#[test]
fn threads_are_not_processes() {
    const THREAD: u64 = 0x003d_0f00;
    const NEW_USER: u64 = 0x1000_0000;
    for (classes, flags, expected) in [
        (&[][..], THREAD, EPERM),
        (&[], 17, EPERM),
        (&[], NEW_USER | 17, Verdict::Kill),
        (&[Class::Threads], THREAD, ALLOW),
        (&[Class::Threads], 17, EPERM),
        (&[Class::Threads], THREAD | NEW_USER, Verdict::Kill),
    ] {
        assert_eq!(verdict(classes, Arch::X86_64, "clone", &[flags]), expected, "{flags:#x}");
        assert_eq!(verdict(classes, Arch::S390x, "clone", &[0, flags]), expected, "{flags:#x}");
        assert_eq!(verdict(classes, Arch::X86_64, "clone3", &[flags]), ENOSYS);
    }
}

#[test]
fn sockets_are_of_the_internet() {
    for (args, expected) in [
        ([2, 1, 0], ALLOW),
        ([10, 0o2_000_001, 6], ALLOW),
        ([2, 2, 17], ALLOW),
        ([2, 3, 1], EACCES),
        ([2, 1, 262], EACCES),
        ([10, 2, 58], EACCES),
        ([1, 1, 0], EAFNOSUPPORT),
        ([16, 3, 0], EAFNOSUPPORT),
        ([38, 5, 0], EAFNOSUPPORT),
    ] {
        assert_eq!(verdict(&[Class::SocketCreate], Arch::X86_64, "socket", &args), expected, "{args:?}");
    }
    assert_eq!(verdict(&[], Arch::X86_64, "socket", &[2, 1, 0]), EACCES);
    assert_eq!(verdict(&[], Arch::I386, "socketcall", &[1]), ENOSYS);
    assert_eq!(verdict(&[Class::SocketCreate], Arch::I386, "socketcall", &[1]), ENOSYS);
    assert_eq!(verdict(&[Class::SocketIo], Arch::I386, "socketcall", &[12]), ALLOW);
    assert_eq!(verdict(&[Class::SocketIo], Arch::I386, "socketcall", &[17]), ENOSYS);
}

/// Access modes and flags of Linux on x86_64.
mod flags {
    pub(crate) const READ: u64 = 0;
    pub(crate) const WRITE: u64 = 1;
    pub(crate) const BOTH: u64 = 2;
    pub(crate) const CREATE: u64 = 0o100;
    pub(crate) const TRUNCATE: u64 = 0o1000;
    pub(crate) const DIRECTORY: u64 = 0o200_000;
    pub(crate) const PATH: u64 = 0o10_000_000;
    pub(crate) const TEMPORARY: u64 = 0o20_200_000;
    pub(crate) const CLOSE: u64 = 0o2_000_000;
}

#[test]
fn opening_is_told_apart_by_flags() {
    use flags::*;
    let (r, w, c) = (Class::ReadPath, Class::WritePath, Class::CreatePath);
    for (classes, flags, expected) in [
        (&[][..], READ, EACCES),
        (&[r], READ | CLOSE, ALLOW),
        (&[r], READ | DIRECTORY, ALLOW),
        (&[r], READ | TRUNCATE, EACCES),
        (&[r], READ | CREATE, EACCES),
        (&[r], WRITE, EACCES),
        (&[r], BOTH, EACCES),
        (&[r], 3, EACCES),
        (&[w], READ, EACCES),
        (&[w], WRITE | TRUNCATE | CLOSE, ALLOW),
        (&[w], WRITE | CREATE, EACCES),
        (&[w], BOTH, EACCES),
        (&[w], READ | DIRECTORY | CLOSE, ALLOW),
        (&[w], PATH | CLOSE, ALLOW),
        (&[w], BOTH | TEMPORARY, EACCES),
        (&[c], WRITE | CREATE | TRUNCATE | CLOSE, ALLOW),
        (&[c], READ, EACCES),
        (&[c], BOTH | CREATE, EACCES),
        (&[c], READ | CREATE | DIRECTORY, EACCES),
        (&[c], WRITE | TEMPORARY, ALLOW),
        (&[c], 3 | CREATE, EACCES),
        (&[r, w], BOTH | TRUNCATE, ALLOW),
        (&[r, w], BOTH | CREATE, EACCES),
        (&[r, c], BOTH | CREATE, ALLOW),
        (&[r, c], BOTH | TEMPORARY, ALLOW),
    ] {
        assert_eq!(verdict(classes, Arch::X86_64, "openat", &[0, 0, flags, 0o600]), expected, "{classes:?} {flags:#o}");
        assert_eq!(verdict(classes, Arch::X86_64, "open", &[0, flags, 0o600]), expected, "{classes:?} {flags:#o}");
    }
    // Set-id bits, unless nothing is created and the mode is noise.
    assert_eq!(verdict(&[c], Arch::X86_64, "openat", &[0, 0, WRITE | CREATE, 0o4755]), EACCES);
    assert_eq!(verdict(&[c], Arch::X86_64, "openat", &[0, 0, WRITE, 0o4755]), ALLOW);
    assert_eq!(verdict(&[c], Arch::X86_64, "creat", &[0, 0o4755]), EPERM);
    assert_eq!(verdict(&[Class::AttributesHeld], Arch::X86_64, "fchmod", &[0, 0o2755]), EPERM);
    // Flags in memory: only for who may do all of it anyway.
    assert_eq!(verdict(&[r, c], Arch::X86_64, "openat2", &[]), ENOSYS);
    assert_eq!(verdict(&[r, w, c], Arch::X86_64, "openat2", &[]), ALLOW);
    // O_DIRECTORY is another bit on Arm.
    assert_eq!(verdict(&[w], Arch::Aarch64, "openat", &[0, 0, 0o40_000]), ALLOW);
    assert_eq!(verdict(&[w], Arch::Aarch64, "openat", &[0, 0, 0o200_000]), EACCES);
}

#[test]
fn socket_options_reach_no_packet_filter() {
    use Arch::{I386, Mips, PowerPc, Sparc, X86_64};
    for (arch, level, option, expected) in [
        // TCP_NODELAY, TCP_KEEPCNT; not TCP_ULP.
        (X86_64, 6, 1, ALLOW),
        (X86_64, 6, 6, ALLOW),
        (X86_64, 6, 31, EPERM),
        // SO_RCVTIMEO, which is another one on each; not SO_SNDBUFFORCE, not SO_ATTACH_FILTER.
        (X86_64, 1, 20, ALLOW),
        (PowerPc, 1, 18, ALLOW),
        (Mips, 0xffff, 0x1006, ALLOW),
        (Sparc, 0xffff, 0x2000, ALLOW),
        (X86_64, 1, 32, EPERM),
        (X86_64, 1, 26, EPERM),
        // IPT_SO_SET_REPLACE of SOL_IP, PACKET_RX_RING of SOL_PACKET.
        (X86_64, 0, 64, EPERM),
        (X86_64, 263, 5, EPERM),
        // The kernel reads 32 bits of each.
        (X86_64, 1 << 32 | 6, 1 << 32 | 1, ALLOW),
    ] {
        let found = verdict(&[Class::SocketIo], arch, "setsockopt", &[3, level, option]);
        assert_eq!(found, expected, "{arch}: level {level}, option {option}");
    }
    // By the multiplexer, level and option would be in memory.
    assert_eq!(verdict(&[Class::SocketIo], I386, "socketcall", &[14]), ENOSYS);
    assert_eq!(verdict(&[Class::SocketIo], I386, "socketcall", &[15]), ALLOW);
}

#[test]
fn a_held_descriptor_can_be_looked_at_everywhere() {
    let looked_at = |arch: Arch| {
        ["fstat", "fstat64", "statx"]
            .iter()
            .any(|name| arch.number(name).is_some() && verdict(&[Class::StatHeld], arch, name, &[]) == ALLOW)
    };
    assert!(Arch::ALL.into_iter().all(looked_at));
    // Where there is a call for that alone, none that takes a path comes with it.
    assert_eq!(verdict(&[Class::StatHeld], Arch::X86_64, "statx", &[]), ENOSYS);
    assert_eq!(verdict(&[Class::StatHeld], Arch::LoongArch64, "statx", &[]), ALLOW);
}

#[test]
fn policies_can_be_read() {
    let policy = Policy::new([Class::Memory]);
    let Answer::Checked(rule) = policy.answer(Arch::X86_64, "mprotect") else { panic!("mprotect is not checked") };
    assert_eq!(rule.to_string(), "allow if argument 2 & 0x4 is 0x0; else EACCES");
    let Answer::Checked(rule) = policy.answer(Arch::X86_64, "clone") else { panic!("clone is not checked") };
    assert_eq!(rule.to_string(), "EPERM if argument 0 & 0x7e020000 is 0x0; else kill");
    let rule = Rule::otherwise(Decision::Kill).allow([Condition::is(0, &[1, 2]), Condition::full(1, u64::MAX, &[3])]);
    assert_eq!(rule.to_string(), "allow if argument 0 is 0x1 or 0x2 and argument 1 is 0x3; else kill");
}

#[test]
fn locks_wait_and_wake_only() {
    for (operation, expected) in [(0, ALLOW), (129, ALLOW), (128 | 256 | 9, ALLOW), (6, ENOSYS), (128 | 4, ENOSYS)] {
        assert_eq!(verdict(&[Class::Futex], Arch::X86_64, "futex", &[0, operation]), expected, "{operation}");
    }
}
