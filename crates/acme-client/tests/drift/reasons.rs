//! What is refused on purpose, and why there are grants that nobody uses.

/// A call that is made to see that it is refused.
#[derive(Debug)]
pub(crate) struct Tried {
    /// `None`: any role.
    role: Option<&'static str>,
    call: &'static str,
    #[expect(dead_code, reason = "for whoever reads the list")]
    why: &'static str,
}

impl Tried {
    /// Whether it is this one. All are made in `doctor` and its drills.
    pub(crate) fn fits(&self, role: &str, call: &str, scene: &str) -> bool {
        self.call == call && self.role.is_none_or(|of| of == role) && scene.starts_with("drills.")
    }
}

/// All of them.
pub(crate) const TRIED: [Tried; 5] = [
    Tried { role: None, call: "setns", why: "the drill of a forbidden call" },
    Tried { role: Some("net"), call: "open", why: "net opens no file" },
    Tried { role: Some("net"), call: "socket", why: "net makes no connection" },
    Tried { role: Some("key"), call: "openat", why: "key reads no key back" },
    Tried { role: Some("store"), call: "open", why: "store reads no file" },
];

/// Why calls are granted that a role was not seen to make.
#[derive(Debug)]
pub(crate) struct Reason {
    pub(crate) calls: &'static [&'static str],
    /// Whether a role makes them depends on the moment, or on how the program is built.
    pub(crate) by_chance: bool,
    pub(crate) why: &'static str,
}

/// All of them. A line has what shares a reason.
#[rustfmt::skip]
pub(crate) const UNUSED: &[Reason] = &[
    reason(&["fstat"], "C libraries look at what they write to before they first do"),
    reason(&["ioctl"], "C libraries ask whether they write to a terminal; the request is checked"),
    by_chance(&["fcntl"], "std looks at every descriptor it closes if it is built for debugging; the command is checked"),
    reason(&["readv", "writev"], "C libraries and std use these for what is in several pieces"),
    reason(&["poll", "select", "pselect6"], "the same power as `ppoll`, which the roles use; which one a function of the C library makes differs by library and architecture"),
    reason(&["nanosleep", "clock_nanosleep"], "no power more than `poll` with a timeout; the clock is checked"),
    by_chance(&["brk", "mmap", "mprotect", "mremap", "madvise"], "which of these an allocator takes depends on sizes, library and moment; executable memory is refused"),
    by_chance(&["futex"], "locks of std and of the C library make a call only when they are contended"),
    by_chance(&["rt_sigreturn", "restart_syscall"], "the kernel has them made: after the handler of a signal, and after a stop"),
    reason(&["rt_sigaction"], "`abort` of C libraries takes the handler of SIGABRT away"),
    reason(&["tkill"], "`abort` of musl; the target is checked"),
    reason(&["kill"], "the supervisor ends a role that does not end by itself; others may signal themselves only"),
    reason(&["sigaltstack"], "where handlers of signals have their stack: std sets it up for each thread and takes it away at its end"),
    reason(&["exit"], "the end of a thread, also of the only one"),
    reason(&["fsync", "fdatasync"], "part of writing to what is held, by the promise that all have"),
    reason(&["gettimeofday", "time", "clock_gettime", "clock_getres"], "answered without a call where the kernel offers its clocks as code (vdso(7)), which depends on the machine"),
    reason(&["getuid", "geteuid", "getgid", "getegid", "getppid"], "cannot fail by specification: an error would be taken for a user"),
    reason(&["prctl"], "allocators name their memory; the option is checked"),
    reason(&["close_range"], "the power of `close`"),
    reason(&["waitid"], "the power of `wait4`; std makes it for a child of which it has a handle"),
    reason(&["rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_send_signal"], "the power of `kill` over any process of the same user, which the supervisor has; std prefers handles where it has them"),
    reason(&["recvmmsg"], "the power of `recvmsg`"),
    reason(&["sendmmsg"], "the power of `sendmsg`"),
    reason(&["accept"], "the power of `accept4`"),
    reason(&["getsockname", "getpeername", "shutdown"], "the ends of a socket that is held; std asks for them"),
    reason(&["open", "creat", "rename", "mkdir", "rmdir", "link", "unlink", "symlink"], "older forms of those with a directory in front, which C libraries still make; beneath the same directories"),
    reason(&["renameat2"], "the power of `renameat`"),
    reason(&["mkdirat", "linkat", "symlinkat"], "one power: names in the directories of the role. Who may rename can also remove"),
    reason(&["lseek", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2"], "part of writing a file"),
    reason(&["ftruncate", "fallocate", "flock", "fchmod", "fchown"], "part of writing a file; set-id bits are never set"),
];

const fn reason(calls: &'static [&'static str], why: &'static str) -> Reason {
    Reason { calls, by_chance: false, why }
}

const fn by_chance(calls: &'static [&'static str], why: &'static str) -> Reason {
    Reason { calls, by_chance: true, why }
}
