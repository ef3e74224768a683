//! Which calls are checked by argument, and how: only those whose power is in an argument that the filter can see.
//!
//! A checked call is one that the kernel cannot keep in its bitmap of calls that are always allowed (Linux 5.11), so a
//! rule has to be worth its forty nanoseconds.

use alloc::vec;
use alloc::vec::Vec;

use crate::arch::{Arch, Family};
use crate::class::Class;
use crate::errno::Errno;
use crate::policy::Policy;
use crate::rule::{Condition, Decision, Rule};

const EPERM: Decision = Decision::Refuse(Errno::NotPermitted);
const EACCES: Decision = Decision::Refuse(Errno::AccessDenied);
const EINVAL: Decision = Decision::Refuse(Errno::Invalid);
const ENOTTY: Decision = Decision::Refuse(Errno::NotATerminal);
const ENOSYS: Decision = Decision::Refuse(Errno::NoSuchCall);
const EAFNOSUPPORT: Decision = Decision::Refuse(Errno::NoSuchFamily);

/// The rule of a call whose class is granted. `None`: allowed whatever the arguments are.
pub(crate) fn granted(policy: &Policy, arch: Arch, name: &str) -> Option<Rule> {
    Some(match name {
        "mmap" if arch.mmap_by_pointer() => {
            // Where `mmap2` exists nobody needs the other. On s390x it is the only one: memory that must not be
            // executable is left to PR_SET_MDWE there.
            return arch.number("mmap2").map(|_| Rule::otherwise(ENOSYS));
        }
        "mmap" | "mmap2" | "mprotect" | "pkey_mprotect" if policy.executable_memory() => return None,
        "mmap" | "mmap2" | "mprotect" | "pkey_mprotect" => not_executable(),
        "madvise" => advice(),
        "futex" | "futex_time64" => futex(),
        "clock_nanosleep" | "clock_nanosleep_time64" => sleep(),
        "clone" => threads(arch),
        "clone3" => Rule::otherwise(ENOSYS),
        "prctl" => process_settings(),
        "fcntl" | "fcntl64" => descriptor_control(),
        "ioctl" => device_requests(policy, arch),
        "kill" => kill(policy),
        "tkill" | "tgkill" => own_process(policy, 0),
        "open" => open(policy, arch, 1),
        "openat" => open(policy, arch, 2),
        "creat" | "fchmod" => Rule::otherwise(EPERM).allow([no_set_id(1)]),
        "socket" => internet_socket(),
        "setsockopt" => socket_options(arch),
        "send" | "sendto" | "sendmmsg" => no_fast_open(3),
        "sendmsg" => no_fast_open(2),
        "socketcall" => socket_numbers(policy),
        _ => return None,
    })
}

/// The rule of a call whose class is not granted, where arguments make the difference between refusing and ending.
pub(crate) fn withheld(arch: Arch, name: &str) -> Option<Rule> {
    (name == "clone").then(|| Rule::otherwise(Decision::Kill).arm(EPERM, [no_name_space(arch)]))
}

/// Calls of granted classes that nobody depends on: settings, advice, and questions to terminals.
pub(crate) fn is_dispensable(name: &str) -> bool {
    matches!(name, "prctl" | "madvise" | "ioctl")
}

/// `PROT_EXEC` (4 everywhere) is refused as the kernel's own `PR_SET_MDWE` does.
fn not_executable() -> Rule {
    Rule::otherwise(EACCES).allow([Condition::clear(2, 4)])
}

/// Advice that concerns nobody else: `linux/mman.h` by way of `asm-generic/mman-common.h`. Left out: `MADV_REMOVE`,
/// merging, poisoning and taking offline. EINVAL is what a kernel says that does not know the advice.
fn advice() -> Rule {
    Rule::otherwise(EINVAL).allow([Condition::is(2, &[0, 1, 2, 3, 4, 8, 10, 11, 14, 15, 16, 17, 18, 19, 102, 103])])
}

/// `CLOCK_REALTIME`, `CLOCK_MONOTONIC`, `CLOCK_BOOTTIME` and `CLOCK_TAI` (`linux/time.h`). The others wake the machine, or
/// watch another process, and lead to code that has had flaws (CVE-2018-13053).
fn sleep() -> Rule {
    Rule::otherwise(EINVAL).allow([Condition::is(0, &[0, 1, 7, 11])])
}

/// Waiting and waking, plain or by bit set, private or not, by either clock (`linux/futex.h`).
fn futex() -> Rule {
    const PRIVATE_OR_REALTIME: u32 = 128 | 256;
    Rule::otherwise(ENOSYS).allow([Condition::low(1, !PRIVATE_OR_REALTIME, &[0, 1, 9, 10])])
}

/// `CLONE_NEW*` as far as `clone` takes them (`linux/sched.h`).
const NEW_NAME_SPACES: u32 = 0x0002_0000 | 0x7e00_0000;

fn no_name_space(arch: Arch) -> Condition {
    Condition::clear(arch.clone_flags_argument(), NEW_NAME_SPACES)
}

fn threads(arch: Arch) -> Rule {
    /// `CLONE_VM`, `CLONE_SIGHAND` and `CLONE_THREAD`: the same process.
    const SAME_PROCESS: u32 = 0x0000_0100 | 0x0000_0800 | 0x0001_0000;
    let flags = arch.clone_flags_argument();
    Rule::otherwise(Decision::Kill)
        .allow([Condition::low(flags, SAME_PROCESS | NEW_NAME_SPACES, &[SAME_PROCESS])])
        .arm(EPERM, [no_name_space(arch)])
}

/// Options of `linux/prctl.h` that look, name, or can only restrict.
fn process_settings() -> Rule {
    const GET: [u32; 11] = [2, 3, 7, 21, 23, 27, 30, 39, 42, 66, 16];
    const SET_NAME: u32 = 15;
    const SET_NO_NEW_PRIVS: u32 = 38;
    const SET_VMA: u32 = 0x5356_4d41;
    let mut plain = GET.to_vec();
    plain.extend([SET_NAME, SET_NO_NEW_PRIVS]);
    Rule::otherwise(EINVAL)
        .allow([Condition::is(0, &plain)])
        // Names of anonymous memory, as allocators give them; the kernel reads the sub-option as a long.
        .allow([Condition::is(0, &[SET_VMA]), Condition::full(1, u64::MAX, &[0])])
}

/// `F_GETFD`, `F_SETFD`, `F_GETFL`, `F_SETFL` and `F_DUPFD_CLOEXEC`. Without `F_SETOWN` nobody is signalled.
fn descriptor_control() -> Rule {
    Rule::otherwise(EINVAL).allow([Condition::is(1, &[1, 2, 3, 4, 1030])])
}

/// What terminals and sockets are asked by C libraries (`asm/ioctls.h`): `TCGETS`, `TIOCGWINSZ`, `FIONREAD`,
/// `FIONBIO`, and `TCGETS2` where there. Left out above all: `TIOCSTI`.
fn device_requests(policy: &Policy, arch: Arch) -> Rule {
    /// `SECCOMP_IOCTL_NOTIF_RECV` and `SECCOMP_IOCTL_NOTIF_SEND` (`linux/seccomp.h`), the same numbers everywhere.
    const NOTIFICATIONS: [u32; 2] = [0xc050_2100, 0xc018_2101];
    let known: &[u32] = match arch.family() {
        Family::Generic | Family::Arm => &[0x5401, 0x5413, 0x541b, 0x5421, 0x802c_542a],
        Family::Mips => &[0x540d, 0x4008_7468, 0x467f, 0x667e, 0x4030_542a],
        Family::PowerPc => &[0x402c_7413, 0x4008_7468, 0x4004_667f, 0x8004_667e],
        Family::Sparc => &[0x4024_5408, 0x4008_7468, 0x4004_667f, 0x8004_667e, 0x402c_540c],
    };
    let more = if policy.grants(Class::Notifications) { NOTIFICATIONS.as_slice() } else { &[] };
    Rule::otherwise(ENOTTY).allow([Condition::is(1, &[known, more].concat())])
}

fn kill(policy: &Policy) -> Rule {
    if !policy.grants(Class::SignalOther) {
        return own_process(policy, 0);
    }
    // Single processes only: 0 and negative numbers mean groups, and -1 means everybody.
    Rule::otherwise(EPERM).arm(EPERM, [Condition::is(0, &[0])]).allow([Condition::clear(0, 0x8000_0000)])
}

fn own_process(policy: &Policy, argument: u8) -> Rule {
    let rule = Rule::otherwise(EPERM);
    match policy.own_process() {
        Some(pid) => rule.allow([Condition::is(argument, &[pid])]),
        None => rule,
    }
}

/// Mode bits that let a file run as its owner or group are not given.
fn no_set_id(argument: u8) -> Condition {
    Condition::clear(argument, 0o6000)
}

/// Flags of `asm/fcntl.h`.
struct OpenFlags {
    create: u32,
    truncate: u32,
    directory: u32,
    path: u32,
    temporary: u32,
}

impl OpenFlags {
    const fn of(arch: Arch) -> Self {
        let directory = if matches!(arch.family(), Family::Arm | Family::PowerPc) { 0o40_000 } else { 0o200_000 };
        match arch.family() {
            Family::Sparc => {
                Self { create: 0x200, truncate: 0x400, directory, path: 0x0100_0000, temporary: 0x0200_0000 }
            }
            Family::Mips => {
                Self { create: 0x100, truncate: 0x200, directory, path: 0o10_000_000, temporary: 0o20_000_000 }
            }
            _ => Self { create: 0o100, truncate: 0o1000, directory, path: 0o10_000_000, temporary: 0o20_000_000 },
        }
    }
}

const ACCESS_MODE: u32 = 3;
const READ_ONLY: u32 = 0;
const WRITE_ONLY: u32 = 1;
const READ_WRITE: u32 = 2;

/// Opening by path, by what is granted of reading, writing and creating. The access mode 3, a leftover for device
/// drivers, is never allowed.
fn open(policy: &Policy, arch: Arch, flags: u8) -> Rule {
    let known = OpenFlags::of(arch);
    let read = policy.grants(Class::ReadPath);
    let create = policy.grants(Class::CreatePath);
    let write = create || policy.grants(Class::WritePath);
    let making = known.create | known.temporary;

    // A bare handle, for the `*at` calls: with O_PATH the kernel ignores whatever else is asked for.
    let mut rule = Rule::otherwise(EACCES).allow([Condition::low(flags, known.path, &[known.path])]);
    let modes: Vec<u32> = match (read, write) {
        (true, true) => vec![READ_ONLY, WRITE_ONLY, READ_WRITE],
        (false, true) => vec![WRITE_ONLY],
        (true, false) => vec![READ_ONLY],
        (false, false) => return rule,
    };
    // O_TRUNC empties a file even when it is opened for reading.
    let changing = if write { making } else { making | known.truncate };
    rule = rule.allow([Condition::low(flags, ACCESS_MODE | changing, &modes)]);
    if create {
        rule = rule.allow([Condition::low(flags, ACCESS_MODE, &modes), no_set_id(flags + 1)]);
    }
    if !read {
        // Directories may be opened, to have them on disk and to work beneath them; they hold nobody's secrets.
        let mask = ACCESS_MODE | making | known.directory;
        rule = rule.allow([Condition::low(flags, mask, &[known.directory])]);
    }
    rule
}

/// Streams and datagrams over IPv4 and IPv6, by TCP and UDP only: `IPPROTO_MPTCP`, for one, is not what Landlock's TCP
/// rules are about on every kernel.
fn internet_socket() -> Rule {
    const FAMILIES: [u32; 2] = [2, 10];
    /// `SOCK_TYPE_MASK`; `SOCK_STREAM` and `SOCK_DGRAM` are 1 and 2, on MIPS the other way round.
    const KIND: u32 = 0xf;
    Rule::otherwise(EAFNOSUPPORT)
        .allow([Condition::is(0, &FAMILIES), Condition::low(1, KIND, &[1, 2]), Condition::is(2, &[0, 6, 17])])
        .arm(EACCES, [Condition::is(0, &FAMILIES)])
}

/// Options that say how a held socket waits, buffers and keeps its connection (`asm/socket.h`, `linux/tcp.h`). What the
/// others lead to is code of packet filters, other protocols and modules, where most flaws of this call were
/// (CVE-2016-4997, CVE-2016-8655, CVE-2017-7308).
fn socket_options(arch: Arch) -> Rule {
    /// `SO_REUSEADDR`, `SO_KEEPALIVE`, `SO_LINGER`, `SO_SNDBUF`, `SO_RCVBUF`, and both forms of `SO_RCVTIMEO` and `SO_SNDTIMEO`.
    const GENERIC: [u32; 9] = [2, 9, 13, 7, 8, 20, 21, 66, 67];
    const POWERPC: [u32; 9] = [2, 9, 13, 7, 8, 18, 19, 66, 67];
    const MIPS: [u32; 9] = [0x4, 0x8, 0x80, 0x1001, 0x1002, 0x1006, 0x1005, 66, 67];
    const SPARC: [u32; 9] = [0x4, 0x8, 0x80, 0x1001, 0x1002, 0x2000, 0x4000, 0x44, 0x45];
    let (level, options) = match arch.family() {
        Family::Generic | Family::Arm => (1, GENERIC),
        Family::PowerPc => (1, POWERPC),
        Family::Mips => (0xffff, MIPS),
        Family::Sparc => (0xffff, SPARC),
    };
    /// `TCP_NODELAY`, `TCP_CORK`, `TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`, `TCP_USER_TIMEOUT`.
    const TCP: [u32; 6] = [1, 3, 4, 5, 6, 18];
    Rule::otherwise(EPERM)
        .allow([Condition::is(1, &[level]), Condition::is(2, &options)])
        .allow([Condition::is(1, &[6]), Condition::is(2, &TCP)])
}

/// `MSG_FASTOPEN` (`linux/socket.h`) opens a connection by sending, which the kernel does not take for connecting when it
/// applies Landlock's rules for ports. By way of `socketcall` the flag is out of sight.
fn no_fast_open(flags: u8) -> Rule {
    Rule::otherwise(EPERM).allow([Condition::clear(flags, 0x2000_0000)])
}

/// Numbers of `linux/net.h` by the class of the call they stand for, of those whose power does not lie in arguments.
const SOCKET_NUMBERS: [(Class, &[u32]); 6] = [
    (Class::SocketConnect, &[3]),
    (Class::Accept, &[5, 18]),
    (Class::SocketQuery, &[6, 7, 13]),
    (Class::SocketIo, &[9, 10, 11, 12, 15]),
    (Class::SendDescriptors, &[16, 20]),
    (Class::ReceiveDescriptors, &[17, 19]),
];

fn numbers_of(wanted: impl Fn(Class) -> bool) -> Vec<u32> {
    let of_class = SOCKET_NUMBERS.iter().filter(|(class, _)| wanted(*class));
    of_class.flat_map(|(_, numbers)| numbers.iter().copied()).collect()
}

/// What is granted of `socketcall`. Sockets are never created this way,
/// nor options set, since their family and level are out of the filter's sight.
fn socket_numbers(policy: &Policy) -> Rule {
    Rule::otherwise(ENOSYS).allow([Condition::is(0, &numbers_of(|class| policy.grants(class)))])
}

/// All of `socketcall` but what some classes have of it.
pub(crate) fn socket_numbers_without(taken: impl Fn(Class) -> bool) -> Rule {
    Rule::otherwise(Decision::Allow).arm(ENOSYS, [Condition::is(0, &numbers_of(taken))])
}
