//! The table of calls is total, and says one thing about each.

use std::collections::BTreeSet;
use std::io::Write as _;

use syscall_policy::{Answer, Arch, Class, Decision, Errno, Policy, Refusal, Verdict, calls};

/// The other way round, that every call of every architecture has exactly one class, is checked when the crate is
/// compiled.
#[test]
fn every_name_in_the_table_is_a_call_of_some_architecture() {
    let known: BTreeSet<_> = Arch::ALL.iter().flat_map(|arch| arch.table().iter()).map(|(name, _)| name).collect();
    let unknown: Vec<_> = calls::names().filter(|(name, _)| !known.contains(name)).collect();
    assert!(unknown.is_empty(), "no architecture has {unknown:?}");
    assert_eq!(calls::names().count(), known.len());
    say(&format!("{} calls of {} architectures in {} classes", known.len(), Arch::ALL.len(), Class::ALL.len()));
}

#[test]
fn every_class_is_used_and_has_a_name_of_its_own() {
    let used: BTreeSet<_> = calls::names().map(|(_, class)| class).collect();
    let idle: Vec<_> = Class::ALL.iter().filter(|class| !used.contains(class)).collect();
    // Powers by way of arguments: reading a file by path is a matter of the flags of `open`, answering notifications one of
    // the requests of `ioctl`.
    assert_eq!(idle, [&Class::Notifications, &Class::ReadPath]);
    let names: BTreeSet<_> = Class::ALL.iter().map(|class| class.name()).collect();
    assert_eq!(names.len(), Class::ALL.len());
}

#[test]
fn variants_are_in_the_class_of_their_power() {
    for variants in [
        &["mmap", "mmap2"][..],
        &["clock_gettime", "clock_gettime64", "gettimeofday", "time"],
        &["poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64"],
        &["futex", "futex_time64"],
        &["nanosleep", "clock_nanosleep", "clock_nanosleep_time64"],
        &["fcntl", "fcntl64"],
        &["open", "openat"],
        &["stat", "stat64", "newfstatat", "fstatat64", "statx", "access", "faccessat", "faccessat2"],
        &["unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "link", "linkat"],
        &["accept", "accept4"],
        &["recvmsg", "recvmmsg", "recvmmsg_time64"],
        &["wait4", "waitid", "waitpid"],
        &["execve", "execveat"],
        &["getuid", "getuid32", "geteuid", "geteuid32", "getgid", "getegid32"],
    ] {
        let classes: BTreeSet<_> = variants.iter().map(|name| calls::call(name).unwrap().class).collect();
        assert_eq!(classes.len(), 1, "{variants:?} are in {classes:?}");
    }
}

/// What C libraries, allocators, preloaded libraries and compilers' runtimes are known to have tried from inside
/// sandboxes, and what ended programs that were fine. Whatever is granted, none of it may end a process.
#[test]
fn calls_that_broke_other_sandboxes_never_kill() {
    let nothing = Policy::new([]);
    for name in [
        "umask",
        "fstat",
        "mmap2",
        "clock_gettime",
        "socketcall",
        "mremap",
        "exit",
        "pselect6",
        "lstat",
        "shutdown",
        "futex",
        "mprotect",
        "shmget",
        "shmat",
        "shmdt",
        "ipc",
        "clock_nanosleep",
        "clock_gettime64",
        "futex_time64",
        "ppoll_time64",
        "statx",
        "fstatat64",
        "newfstatat",
        "gettid",
        "writev",
        "readv",
        "uname",
        "riscv_hwprobe",
        "prctl",
        "rseq",
        "clone3",
        "faccessat2",
        "openat2",
        "open",
        "openat",
        "chown",
        "renameat2",
        "faccessat",
        "epoll_pwait",
        "poll",
        "setsockopt",
        "connect",
        "readlink",
        "getuid",
        "ioctl",
        "membarrier",
        "rt_sigprocmask",
        "rt_sigreturn",
        "arch_prctl",
        "landlock_create_ruleset",
        "close_range",
        "fchmodat2",
        "sendto",
        "sched_yield",
        "madvise",
        "getdents64",
        "getresuid",
        "restart_syscall",
        "lseek",
        "kill",
        "tgkill",
        "getpid",
        "fstatfs64",
        "sched_getaffinity",
        "getrandom",
        "brk",
        "copy_file_range",
        "preadv2",
        "set_robust_list",
        "sysinfo",
        "memfd_create",
        "sigaltstack",
        "getcwd",
        "socket",
        "clone",
        "fork",
        "vfork",
        "getrlimit",
        "prlimit64",
        "mseal",
    ] {
        let call = calls::call(name).unwrap_or_else(|| panic!("{name} is in no line"));
        assert!(matches!(call.refusal, Refusal::Soft(_)), "{name}");
        for arch in Arch::ALL {
            let Some(number) = arch.number(name) else {
                continue;
            };
            assert!(matches!(nothing.verdict(arch, number, &[0; 6]), Verdict::Errno(_)), "{name} on {arch}");
        }
    }
}

/// Libraries fall back on an older call when these say ENOSYS, and take any other error as the answer.
#[test]
fn newer_forms_of_calls_say_that_they_do_not_exist() {
    let nothing = Policy::new([]);
    for name in [
        "clone3",
        "openat2",
        "statx",
        "faccessat2",
        "fchmodat2",
        "close_range",
        "copy_file_range",
        "preadv2",
        "pwritev2",
        "renameat2",
        "rseq",
        "membarrier",
        "memfd_create",
        "epoll_pwait2",
        "sendfile",
        "futex_waitv",
    ] {
        let errno = Decision::Refuse(Errno::NoSuchCall);
        assert_eq!(nothing.answer(Arch::X86_64, name), Answer::Always(errno), "{name}");
    }
}

#[test]
fn hard_calls_kill_unless_granted() {
    let nothing = Policy::new([]);
    for name in [
        "execve",
        "execveat",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "pidfd_getfd",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "kexec_load",
        "init_module",
        "finit_module",
        "mount",
        "umount2",
        "pivot_root",
        "unshare",
        "setns",
        "keyctl",
        "add_key",
        "io_uring_setup",
        "io_uring_enter",
        "open_by_handle_at",
        "move_mount",
        "kcmp",
    ] {
        assert_eq!(nothing.answer(Arch::Aarch64, name), Answer::Always(Decision::Kill), "{name}");
    }
    let exec = Policy::new([Class::Exec]);
    assert_eq!(exec.answer(Arch::Aarch64, "execve"), Answer::Always(Decision::Allow));
}

#[test]
fn numbers_no_kernel_has_and_other_entries() {
    let all = Policy::new(Class::ALL.iter().copied());
    let read = Arch::X86_64.number("read").unwrap();
    for unknown in [0x4000_0000 | read, 0x4000_0000 + 520, 340, 999, u32::MAX] {
        assert_eq!(all.verdict(Arch::X86_64, unknown, &[0; 6]), Verdict::Errno(38), "{unknown:#x}");
    }
    let call = syscall_policy::Data { nr: 3, arch: Arch::I386.token(), instruction_pointer: 0, args: [0; 6] };
    assert_eq!(all.verdict_on(Arch::X86_64, &call), Verdict::Kill);
    assert_eq!(all.verdict_on(Arch::I386, &call), Verdict::Allow);
}

#[test]
fn errors_have_the_numbers_of_their_architecture() {
    let nothing = Policy::new([]);
    assert_eq!(nothing.verdict(Arch::Mips, 4999, &[0; 6]), Verdict::Errno(89));
    assert_eq!(nothing.verdict(Arch::Sparc64, 4999, &[0; 6]), Verdict::Errno(90));
}

/// Figures are shown whether or not the test fails.
fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").expect("standard output takes what is written");
}
