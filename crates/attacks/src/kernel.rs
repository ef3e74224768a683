//! Interfaces to the kernel that no role needs, and the machine as a whole.

use libc::{EACCES, EINVAL, ENOSYS, ENOTTY, EPERM};

use crate::call::{at, at_mut, call, either, got, got_descriptor, int, number_called};
use crate::{Attempt, Got, Target};

/// A device request.
fn request(number: usize) -> Got {
    got(call("ioctl", &[0, number, at(c"x")]))
}

const HIGH: usize = if usize::BITS == 64 { 1 << (usize::BITS - 1) } else { 0 };

#[rustfmt::skip]
pub(crate) const ALL: &[Attempt] = &[
    // Restrictions and how to be rid of them.
    Attempt::refused("another-filter", "a filter that lies to the rest of the process", &[ENOSYS], |_| {
        // SECCOMP_SET_MODE_FILTER, without a filter.
        got(call("seccomp", &[1, 0, 0]))
    }),
    Attempt::refused("filter-with-listener", "to answer the calls of the process itself", &[ENOSYS], |_| got(call("seccomp", &[1, 8, 0]))),
    Attempt::refused("strict-mode", "the process to end at its next call", &[ENOSYS], |_| got(call("seccomp", &[0, 1, 0]))),
    Attempt::refused("more-rules", "layers of rules to be used up", &[ENOSYS], |_| got(call("landlock_create_ruleset", &[0, 0, 1]))),
    Attempt::refused("enforce-rules", "layers of rules to be used up", &[ENOSYS], |_| got(call("landlock_restrict_self", &[0, 0]))),
    Attempt::refused("deadline-alarm", "to live longer, without the alarm", &[EPERM], |_| got(call("alarm", &[3600]))),
    Attempt::refused("deadline-interval", "to live longer, by an interval timer", &[EPERM], |_| {
        let never = [0_usize; 4];
        got(call("setitimer", &[0, at(&never), 0]))
    }),
    Attempt::refused("deadline-setting", "to live longer, without the timer that kills", &[EPERM], |_| {
        let never = [0_usize; 8];
        got(either(&["timer_settime", "timer_settime64"], &[0, 0, at(&never), 0]))
    }),
    Attempt::refused("deadline-removal", "to live longer, without the timer that kills", &[EPERM], |_| got(call("timer_delete", &[0]))),
    Attempt::refused("another-timer", "signals to itself", &[EPERM], |_| {
        let mut timer = 0_i32;
        got(call("timer_create", &[1, 0, at_mut(&mut timer)]))
    }),

    Attempt::refused("descriptor-by-listener", "a descriptor put into a role, where its refused calls are answered", &[ENOTTY], |_| request(0x4018_2103)),
    Attempt::refused("listener-settings", "another way in which refused calls are answered", &[ENOTTY], |_| request(0x4008_2104)),
    Attempt::refused("answer-by-listener", "to let through what others are refused", &[ENOTTY], |_| request(0xc018_2101)).only(|t| !t.is(&["supervisor"])),
    Attempt::refused("hear-by-listener", "what others are refused", &[ENOTTY], |_| request(0xc050_2100)).only(|t| !t.is(&["supervisor"])),

    // Terminals and devices.
    Attempt::refused("terminal-input", "a command typed for the user", &[ENOTTY], |_| request(0x5412)),
    Attempt::refused("terminal-input-behind-high-bits", "the same, past a filter that compares too much", &[ENOTTY], |_| request(HIGH | 0x5412)),
    Attempt::refused("terminal-input-behind-half", "the same, with bits that the kernel does not read", &[ENOTTY], |_| request((HIGH >> 20) | 0x5412)),
    Attempt::refused("terminal-selection", "a command pasted for the user", &[ENOTTY], |_| request(0x541c)),
    Attempt::refused("terminal-control", "the user's terminal", &[ENOTTY], |_| request(0x540e)),
    Attempt::refused("terminal-console", "what the console says", &[ENOTTY], |_| request(0x541d)),
    Attempt::refused("terminal-settings", "the terminal to echo nothing", &[ENOTTY], |_| request(0x5402)),
    Attempt::refused("interfaces", "addresses of the machine", &[ENOTTY], |_| request(0x8912)),
    Attempt::refused("file-flags", "a file that cannot be changed", &[ENOTTY], |_| request(0x4008_6602)),
    Attempt::refused("clone-file", "a file's content in another file", &[ENOTTY], |_| request(0x4004_9409)),
    Attempt::refused("signal-on-data", "signals for others", &[ENOTTY], |_| request(0x5452)),

    // Descriptors and channels to itself.
    Attempt::refused("duplicate", "a descriptor once more", &[EPERM], |_| got_descriptor(call("dup", &[2]), "a copy")),
    Attempt::refused("replace-log", "another place for its last words", &[EPERM], |_| got(either(&["dup3"], &[0, 2, 0]))),
    Attempt::refused("replace-log-by-older-call", "another place for its last words", &[EPERM], |_| got(call("dup2", &[2, 2]))),
    Attempt::refused("duplicate-for-programs", "a descriptor that programs inherit", &[EINVAL], |_| got_descriptor(either(&["fcntl", "fcntl64"], &[2, int(libc::F_DUPFD), 0]), "a copy")),
    Attempt::refused("pipe", "a pipe of its own", &[EPERM], |_| {
        let mut ends = [0_i32; 2];
        got(call("pipe2", &[at_mut(&mut ends), 0]))
    }),
    Attempt::refused("event", "a kernel object of its own", &[EPERM], |_| got_descriptor(call("eventfd2", &[0, 0]), "an object")),
    Attempt::refused("interest-list", "kernel code with a history of flaws", &[EPERM], |_| got_descriptor(call("epoll_create1", &[0]), "an object")),
    Attempt::refused("signal-descriptor", "a kernel object of its own", &[EPERM], |_| {
        let none = 0_u64;
        got_descriptor(call("signalfd4", &[int(-1), at(&none), 8, 0]), "an object")
    }),
    Attempt::refused("timer-descriptor", "a kernel object of its own", &[EPERM], |_| got_descriptor(call("timerfd_create", &[1, 0]), "an object")),
    Attempt::refused("splice", "kernel code with a history of flaws", &[ENOSYS], |_| got(call("splice", &[0, 0, 1, 0, 0, 0]))),
    Attempt::refused("vmsplice", "kernel code with a history of flaws", &[ENOSYS], |_| got(call("vmsplice", &[1, 0, 0, 0]))),
    Attempt::refused("tee", "kernel code with a history of flaws", &[ENOSYS], |_| got(call("tee", &[0, 1, 0, 0]))),
    Attempt::refused("send-file", "a file's content, without reading it", &[ENOSYS], |_| got(either(&["sendfile64", "sendfile"], &[1, 0, 0, 0]))),
    Attempt::refused("copy-file", "a file's content, without reading it", &[ENOSYS], |_| got(call("copy_file_range", &[0, 0, 1, 0, 0, 0]))),
    Attempt::refused("submit", "reads and writes past most checks", &[ENOSYS], |_| {
        let mut context = 0_usize;
        got(call("io_setup", &[1, at_mut(&mut context)]))
    }),
    Attempt::refused("lock-requeue", "kernel code with a history of flaws", &[ENOSYS], |_| {
        let words = [0_u32; 2];
        got(either(&["futex", "futex_time64"], &[at(&words[0]), 3, 0, 0, at(&words[1]), 0]))
    }),
    Attempt::refused("lock-inheriting", "kernel code with a history of flaws", &[ENOSYS], |_| {
        let word = 0_u32;
        got(either(&["futex", "futex_time64"], &[at(&word), 6, 0, 0, 0, 0]))
    }),

    // Things that programs share by name or number.
    Attempt::refused("semaphores", "semaphores shared by number", &[EACCES], |_| got(call("semget", &[0, 1, 0o1600]))),
    Attempt::refused("message-queue", "a queue shared by number", &[EACCES], |_| got(call("msgget", &[0, 0o1600]))),
    Attempt::refused("message-queue-by-name", "a queue shared by name", &[EACCES], |_| got_descriptor(call("mq_open", &[at(c"acme-client-attack"), 0o100 | 2, 0o600, 0]), "a queue")),

    // The whole machine. What root could do is made so that it changes nothing.
    Attempt::refused("host-name", "another name for the machine", &[EPERM], |_| got(call("sethostname", &[0, usize::MAX >> 1]))),
    Attempt::refused("domain-name", "another name for the machine", &[EPERM], |_| got(call("setdomainname", &[0, usize::MAX >> 1]))),
    Attempt::refused("clock", "another time, for certificates to be valid", &[EPERM], |_| got(either(&["clock_settime", "clock_settime64"], &[0, 0]))),
    Attempt::refused("clock-by-older-call", "another time, for certificates to be valid", &[EPERM], |_| got(call("settimeofday", &[1, 0]))),
    Attempt::refused("clock-speed", "time to pass faster", &[EPERM], |_| got(call("adjtimex", &[0]))),
    Attempt::refused("clock-speed-by-clock", "time to pass faster", &[EPERM], |_| got(either(&["clock_adjtime", "clock_adjtime64"], &[0, 0]))),
    Attempt::refused("accounting", "a record of all programs", &[EPERM], |_| got(call("acct", &[1]))),
    Attempt::refused("quota", "others to have no room on the disk", &[EPERM], |_| got(call("quotactl", &[0x0080_0000, 1, 0, 1]))),
    Attempt::refused("kernel-log", "addresses in the kernel's log", &[EPERM], |_| got(call("syslog", &[10, 0, 0]))),
    Attempt::refused("write-out", "the disk to be slow", &[EPERM], |_| got(call("sync", &[]))),
    Attempt::refused("machine", "name and version of the kernel, to choose what to try", &[EPERM], |_| {
        let mut name = [0_u8; 512];
        got(call("uname", &[at_mut(&mut name)]))
    }),
    Attempt::refused("load", "how much memory the machine has", &[EPERM], |_| {
        let mut info = [0_usize; 64];
        got(call("sysinfo", &[at_mut(&mut info)]))
    }),
    Attempt::refused("mounts", "what is mounted where", &[EPERM], |_| got(call("listmount", &[0, 0, 0, 0]))),
    Attempt::refused("security-modules", "which security modules there are", &[EPERM], |_| got(call("lsm_list_modules", &[0, 0, 0]))),
    Attempt::refused("thread-pointer", "another place for what belongs to the thread", &[ENOSYS], |_| got(call("arch_prctl", &[0x1003, 0]))),

    // Numbers that a filter might not know.
    Attempt::refused("unknown-number", "a call that is yet to come", &[ENOSYS], |_| got(Some(number_called(3000, &[])))),
    Attempt::refused("negative-number", "a call past all tables", &[ENOSYS], |_| got(Some(number_called(0x3fff_fff0, &[])))),
    Attempt::refused("x32-open", "a file, by the numbers of x32", &[ENOSYS], |t| x32(257, t)).only(|_| cfg!(target_arch = "x86_64")),
    Attempt::refused("x32-run", "a shell, by the numbers of x32", &[ENOSYS], |t| x32(520, t)).only(|_| cfg!(target_arch = "x86_64")),
    Attempt::refused("x32-trace", "another role, by the numbers of x32", &[ENOSYS], |t| x32(521, t)).only(|_| cfg!(target_arch = "x86_64")),
    Attempt::refused("x32-socket", "a socket, by the numbers of x32", &[ENOSYS], |t| x32(41, t)).only(|_| cfg!(target_arch = "x86_64")),
    Attempt::refused("number-behind-high-bits", "a socket, by a number with more bits", &[EACCES, EPERM, ENOSYS, libc::EAFNOSUPPORT], |_| got(Some(number_called(1_usize.checked_shl(40).unwrap_or(0) | 41, &[1, 1, 0])))).only(|_| cfg!(target_arch = "x86_64")),
];

/// A call by its number on x32, with arguments that are none.
fn x32(number: usize, _: &Target) -> Got {
    got(Some(number_called(0x4000_0000 | number, &[0; 6])))
}
