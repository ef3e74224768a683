//! Calls that broke somebody, and the answers that break nobody: by table, on every architecture, under all promises.

use portcullis::Promise;
use syscall_policy::{Arch, Errno, Policy, Verdict};

use crate::cases::{CASES, RELEASES, Replay};

/// A call with the arguments that matter, and what its caller does without it.
#[derive(Debug)]
pub(crate) struct Call {
    /// Its name, with what matters of its arguments in brackets.
    pub(crate) label: &'static str,
    args: [u64; 6],
    pub(crate) answer: Answer,
}

/// What a sealed process may be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// The kernel makes the call, whatever else was promised.
    Goes,
    /// The kernel makes the call if its power was promised, and otherwise says one of these, with which its callers
    /// cope, for this reason.
    Copes(&'static [Errno], &'static str),
}

use Answer::*;
use Errno::{AccessDenied, Invalid, NoSuchCall, NoSuchFamily, NotPermitted};

const ENOSYS: &[Errno] = &[NoSuchCall];
const EPERM: &[Errno] = &[NotPermitted];
const EACCES: &[Errno] = &[AccessDenied];

const fn call(label: &'static str, args: [u64; 6], answer: Answer) -> Call {
    Call { label, args, answer }
}

/// A call whose arguments do not matter.
const fn any(label: &'static str, answer: Answer) -> Call {
    call(label, [0; 6], answer)
}

/// The process that policies here are for.
pub(crate) const OWN: u32 = 4711;

const ABSENT: &str = "an optional file that cannot be seen counts as absent";
const NUMBERS: &str = "a fact about the machine that cannot be had is not used";
const CHANNELS: &str = "channels are used with read and write, which go on";
const NAMES: &str = "names of files are changed by those who promised it";
const OWN_THREAD: &str = "the thread is not started, and whoever asked for it is told";

/// `AT_FDCWD`, as compilers that do not extend the sign pass it.
const HERE: u64 = 0xffff_ff9c;

#[rustfmt::skip]
pub(crate) const CALLS: &[Call] = &[
    any("read", Goes),
    any("write", Goes),
    any("readv", Goes),
    any("writev", Goes),
    any("close_range", Copes(ENOSYS, "C libraries close one by one")),
    any("fstat", Goes),
    any("fstat64", Goes),
    any("brk", Goes),
    call("mmap", [0, 4096, 3, 0x22, u64::MAX, 0], Goes),
    call("mmap2", [0, 4096, 3, 0x22, u64::MAX, 0], Goes),
    call("mmap(MAP_DROPPABLE)", [0, 4096, 3, 0x28, u64::MAX, 0], Goes),
    call("mmap(NORESERVE|STACK)", [0, 4096, 0, 0x2_4022, u64::MAX, 0], Goes),
    call("mmap(EXEC)", [0, 4096, 7, 0x22, u64::MAX, 0], Copes(EACCES, "an allocator that insists is found out by the rehearsal; s390x hides it from filters, and leaves it to MDWE")),
    any("mremap", Goes),
    call("mprotect(NONE)", [0, 4096, 0, 0, 0, 0], Goes),
    call("mprotect(READ|WRITE)", [0, 4096, 3, 0, 0, 0], Goes),
    call("madvise(DONTNEED)", [0, 4096, 4, 0, 0, 0], Goes),
    call("madvise(FREE)", [0, 4096, 8, 0, 0, 0], Goes),
    call("madvise(GUARD_INSTALL)", [0, 4096, 102, 0, 0, 0], Goes),
    call("futex(WAIT)", [0, 128, 0, 0, 0, 0], Goes),
    call("futex(WAKE)", [0, 129, 1, 0, 0, 0], Goes),
    call("futex(WAIT_BITSET)", [0, 128 | 256 | 9, 0, 0, 0, 0xffff_ffff], Goes),
    call("futex_time64(WAIT)", [0, 128, 0, 0, 0, 0], Goes),
    call("futex_time64(WAIT_BITSET)", [0, 128 | 256 | 9, 0, 0, 0, 0xffff_ffff], Goes),
    any("poll", Goes),
    any("ppoll", Goes),
    any("ppoll_time64", Goes),
    any("pselect6", Goes),
    any("pselect6_time64", Goes),
    any("clock_gettime", Goes),
    any("clock_gettime64", Goes),
    any("gettimeofday", Goes),
    any("time", Goes),
    any("nanosleep", Goes),
    any("clock_nanosleep", Goes),
    any("clock_nanosleep_time64", Goes),
    any("getrandom", Goes),
    any("rt_sigprocmask", Goes),
    any("rt_sigreturn", Goes),
    any("sigreturn", Goes),
    any("restart_syscall", Goes),
    any("getpid", Goes),
    any("gettid", Goes),
    any("getuid", Goes),
    any("getuid32", Goes),
    call("kill(own)", [OWN as u64, 6, 0, 0, 0, 0], Goes),
    call("tgkill(own)", [OWN as u64, OWN as u64, 6, 0, 0, 0], Goes),
    any("exit", Goes),
    any("exit_group", Goes),
    call("ioctl(TCGETS)", [0, 0x5401, 0, 0, 0, 0], Goes),
    call("ioctl(TCGETS2)", [0, 0x802c_542a, 0, 0, 0, 0], Goes),
    call("ioctl(TIOCGWINSZ)", [0, 0x5413, 0, 0, 0, 0], Goes),
    call("prctl(SET_VMA)", [0x5356_4d41, 0, 0, 0, 0, 0], Goes),
    call("prctl(CAPBSET_READ)", [23, 0, 0, 0, 0, 0], Goes),
    call("prctl(SET_SECCOMP)", [22, 2, 0, 0, 0, 0], Copes(&[Invalid], "as from a kernel without filters")),
    any("seccomp", Copes(ENOSYS, "as from a kernel without it")),
    any("landlock_create_ruleset", Copes(ENOSYS, "a library that restricts itself finds a kernel without Landlock")),
    any("clone3", Copes(ENOSYS, "C libraries start threads by clone then, and take any other error as final")),
    call("clone(thread)", [0x003d_0f00; 6], Copes(EPERM, OWN_THREAD)),
    call("clone(process)", [17; 6], Copes(EPERM, "the process is not started, and whoever asked for it is told")),
    any("rseq", Copes(ENOSYS, "glibc does without; it insists in new threads only, and there are none")),
    any("membarrier", Copes(ENOSYS, "whoever orders accesses among threads does without, having none")),
    any("arch_prctl", Copes(ENOSYS, "as from a kernel without shadow stacks")),
    any("sched_yield", Copes(EPERM, "nobody looks at the result, and spinning ends all the same")),
    any("sched_getaffinity", Copes(EPERM, "malloc and std count one processor")),
    any("statx", Copes(ENOSYS, "C libraries and Rust's std ask by fstat or newfstatat then")),
    any("newfstatat(AT_EMPTY_PATH)", Copes(EACCES, "streams take the usual size of buffers, std's hints are hints")),
    any("fstatat64", Copes(EACCES, ABSENT)),
    any("stat", Copes(EACCES, ABSENT)),
    any("lstat", Copes(EACCES, ABSENT)),
    any("lstat64", Copes(EACCES, ABSENT)),
    any("access", Copes(EACCES, ABSENT)),
    any("faccessat", Copes(EACCES, ABSENT)),
    any("faccessat2", Copes(ENOSYS, "C libraries ask by faccessat then, and take EPERM as final")),
    any("readlink", Copes(EACCES, ABSENT)),
    any("readlinkat", Copes(EACCES, ABSENT)),
    any("getcwd", Copes(EACCES, ABSENT)),
    call("open(RDONLY)", [0; 6], Copes(EACCES, ABSENT)),
    call("openat(RDONLY)", [HERE, 0, 0, 0, 0, 0], Copes(EACCES, ABSENT)),
    any("openat", Copes(EACCES, ABSENT)),
    any("openat2", Copes(ENOSYS, "whoever uses it opens by openat then")),
    any("fchmodat2", Copes(ENOSYS, "C libraries do without")),
    any("chmod", Copes(EACCES, NAMES)),
    any("fchmodat", Copes(EACCES, NAMES)),
    any("chown", Copes(EACCES, NAMES)),
    any("fchownat", Copes(EACCES, NAMES)),
    any("rename", Copes(EACCES, NAMES)),
    any("renameat", Copes(EACCES, NAMES)),
    any("renameat2", Copes(ENOSYS, "whoever uses it renames by renameat then")),
    any("umask", Copes(EACCES, "the mask stays as the program set it before")),
    any("getdents64", Copes(EPERM, "a directory is listed by those who promised it")),
    any("lseek", Copes(EPERM, "std takes it that the file cannot be moved in, as with a pipe")),
    any("_llseek", Copes(EPERM, "std takes it that the file cannot be moved in, as with a pipe")),
    any("pwritev2", Copes(ENOSYS, "C libraries use pwritev or pwrite then")),
    any("fstatfs", Copes(EPERM, NUMBERS)),
    any("fstatfs64", Copes(EPERM, NUMBERS)),
    any("uname", Copes(EPERM, NUMBERS)),
    any("sysinfo", Copes(EPERM, NUMBERS)),
    any("riscv_hwprobe", Copes(ENOSYS, "as from an older kernel: the plain instructions are used")),
    any("getresuid", Copes(EPERM, NUMBERS)),
    any("getresuid32", Copes(EPERM, NUMBERS)),
    call("socket(AF_UNIX)", [1, 1, 0, 0, 0, 0], Copes(&[AccessDenied, NoSuchFamily], "daemons for names and logs count as absent")),
    call("socket(AF_ALG)", [38, 5, 0, 0, 0, 0], Copes(&[AccessDenied, NoSuchFamily], "cryptography of the kernel counts as absent")),
    call("socketcall(SOCKET)", [1, 0, 0, 0, 0, 0], Copes(ENOSYS, "C libraries have a call of its own for it")),
    call("socketcall(SHUTDOWN)", [13, 0, 0, 0, 0, 0], Copes(ENOSYS, "C libraries have a call of its own for it")),
    any("connect", Copes(EACCES, "daemons for names and logs count as absent")),
    any("shutdown", Copes(EPERM, CHANNELS)),
    any("setsockopt", Copes(EPERM, CHANNELS)),
    any("sendto", Copes(EPERM, CHANNELS)),
    any("recvfrom", Copes(EPERM, CHANNELS)),
    any("epoll_wait", Copes(EPERM, "waiting is done by poll")),
    any("epoll_pwait", Copes(EPERM, "waiting is done by poll")),
    any("shmget", Copes(EACCES, "OpenSSL takes its seed from getrandom then")),
    any("shmat", Copes(EACCES, "OpenSSL takes its seed from getrandom then")),
    any("shmdt", Copes(EACCES, "OpenSSL takes its seed from getrandom then")),
    any("ipc", Copes(EACCES, "OpenSSL takes its seed from getrandom then")),
];

impl Call {
    /// The call's name.
    pub(crate) fn name(&self) -> &'static str {
        self.label.split('(').next().unwrap_or(self.label)
    }

    /// Its arguments as they are on an architecture. `None`: nobody makes it so there.
    fn args(&self, arch: Arch) -> Option<[u64; 6]> {
        let request = |request: u64| Some([0, request, 0, 0, 0, 0]);
        match (self.label, arch) {
            // Everybody uses mmap2 there; the old form hides its arguments.
            ("mmap" | "mmap(MAP_DROPPABLE)" | "mmap(NORESERVE|STACK)" | "mmap(EXEC)", Arch::I386) => None,
            // asm/ioctls.h and asm/termbits.h.
            ("ioctl(TCGETS)", _) if is_mips(arch) => request(0x540d),
            ("ioctl(TCGETS)", _) if is_power(arch) => request(0x402c_7413),
            ("ioctl(TCGETS)", _) if is_sparc(arch) => request(0x4024_5408),
            ("ioctl(TCGETS2)", _) if is_mips(arch) => request(0x4030_542a),
            ("ioctl(TCGETS2)", _) if is_power(arch) => None,
            ("ioctl(TCGETS2)", _) if is_sparc(arch) => request(0x402c_540c),
            ("ioctl(TIOCGWINSZ)", _) if is_mips(arch) || is_power(arch) || is_sparc(arch) => request(0x4008_7468),
            _ => Some(self.args),
        }
    }
}

fn is_mips(arch: Arch) -> bool {
    matches!(arch, Arch::Mips | Arch::MipsEl | Arch::Mips64 | Arch::Mips64El)
}

fn is_power(arch: Arch) -> bool {
    matches!(arch, Arch::PowerPc | Arch::PowerPc64 | Arch::PowerPc64Le)
}

fn is_sparc(arch: Arch) -> bool {
    matches!(arch, Arch::Sparc | Arch::Sparc64)
}

/// The call of that label.
pub(crate) fn labelled(label: &str) -> &'static Call {
    CALLS.iter().find(|call| call.label == label).unwrap_or_else(|| panic!("no answer is known for {label}"))
}

/// Every set of promises that a process can be sealed with and still work, by which the program's roles are covered
/// whatever they promise.
pub(crate) fn all_promises() -> impl Iterator<Item = Vec<Promise>> {
    let others: Vec<Promise> = Promise::ALL.into_iter().filter(|promise| *promise != Promise::Stdio).collect();
    (0..1_usize << others.len()).map(move |set| {
        let chosen = others.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1);
        core::iter::once(Promise::Stdio).chain(chosen.map(|(_, promise)| *promise)).collect()
    })
}

/// Each call that a case or a release names, everywhere. Returns how many answers were looked at.
pub(crate) fn every_answer_is_borne() -> String {
    let named = CASES.iter().flat_map(|case| case.replays).filter_map(|replay| match replay {
        Replay::Calls(labels) => Some(*labels),
        _ => None,
    });
    let mut labels: Vec<&str> = named.chain(RELEASES.iter().map(|release| release.calls)).flatten().copied().collect();
    labels.sort_unstable();
    labels.dedup();
    let mut looked = 0;
    for promises in all_promises() {
        let policy = crate::policy(&promises).for_process(OWN);
        for label in &labels {
            for arch in Arch::ALL {
                looked += usize::from(is_borne(labelled(label), arch, &policy, &promises));
            }
        }
    }
    format!("{} calls, {looked} answers", labels.len())
}

/// That an answer is one that the caller copes with. `false`: the architecture does not have the call.
fn is_borne(call: &Call, arch: Arch, policy: &Policy, promises: &[Promise]) -> bool {
    let (Some(number), Some(args)) = (arch.number(call.name()), call.args(arch)) else { return false };
    let verdict = policy.verdict(arch, number, &args);
    let borne = match (verdict, call.answer) {
        (Verdict::Allow, _) => true,
        (Verdict::Errno(errno), Copes(known, _)) => known.iter().any(|known| known.number(arch) == errno),
        _ => false,
    };
    assert!(borne, "{} on {arch}, with {promises:?}, is answered {verdict:?}, and not {:?}", call.label, call.answer);
    // The coarse filter may answer what libraries do without as a kernel does that does not have it.
    let coarse = policy.clone().coarse().verdict(arch, number, &args);
    let absent = Verdict::Errno(NoSuchCall.number(arch));
    assert!(
        coarse == verdict || coarse == absent,
        "{} on {arch}, with {promises:?}, is answered {coarse:?} by the coarse filter, and {verdict:?} by the other",
        call.label
    );
    true
}
