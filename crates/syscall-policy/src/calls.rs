//! The table: every system call by name, its class, and why it is there.
//!
//! Calls that share a reason share a line. A reason argues power (what the call gives to somebody who controls the
//! process), never use (who was seen making it). With a name in no line, or in two, this crate does not compile.

use crate::class::{Class, Refusal};
use crate::errno::Errno;
use crate::names;

/// Calls of one class for one reason.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) class: Class,
    pub(crate) reason: &'static str,
    pub(crate) names: &'static [&'static str],
    /// The errno of these calls where it is not that of the class.
    pub(crate) errno: Option<Errno>,
}

/// What the table says about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// Its class.
    pub class: Class,
    /// What power it gives, in a line.
    pub reason: &'static str,
    /// What becomes of it when the class is not granted.
    pub refusal: Refusal,
}

/// Looks a call up. `None` for a name that no architecture has.
#[must_use]
pub fn call(name: &str) -> Option<Call> {
    let power = names::find(name)?.power();
    Some(Call { class: power.class, reason: power.reason(), refusal: power.refusal() })
}

/// All names in the table in the order of their bytes, with their class.
pub fn names() -> impl Iterator<Item = (&'static str, Class)> {
    names::all().map(|name| (name.text(), name.power().class))
}

const fn line(class: Class, reason: &'static str, names: &'static [&'static str]) -> Line {
    Line { class, reason, names, errno: None }
}

/// The same for calls that libraries do without when the kernel does not know them.
const fn newer(class: Class, reason: &'static str, names: &'static [&'static str]) -> Line {
    Line { class, reason, names, errno: Some(Errno::NoSuchCall) }
}

const fn refused(class: Class, errno: Errno, reason: &'static str, names: &'static [&'static str]) -> Line {
    Line { class, reason, names, errno: Some(errno) }
}

/// For the compiler only, which packs it: [`crate::names`].
#[rustfmt::skip]
pub(crate) const LINES: &[Line] = &[
    // Descriptors already held.
    line(Class::ReadHeld, "reads from a descriptor already held", &["read", "readv"]),
    line(Class::WriteHeld, "writes to a descriptor already held", &["write", "writev"]),
    line(Class::SeekHeld, "reads or writes a held file, or moves in it", &["pread64", "pwrite64", "preadv", "pwritev", "lseek", "_llseek", "llseek"]),
    newer(Class::SeekHeld, "reads or writes a held file with flags that concern this file only", &["preadv2", "pwritev2"]),
    line(Class::CloseHeld, "gives a descriptor up", &["close"]),
    newer(Class::CloseHeld, "gives descriptors up", &["close_range"]),
    line(Class::SyncHeld, "waits until a held file is on disk", &["fsync", "fdatasync"]),
    line(Class::StatHeld, "tells size, owner and kind of a held descriptor", &["fstat", "fstat64"]),
    line(Class::ControlHeld, "flags and duplicates of held descriptors; the command is checked", &["fcntl", "fcntl64"]),
    line(Class::Ioctl, "whatever a driver offers; the request is checked", &["ioctl"]),
    line(Class::ReplaceHeld, "puts a descriptor where another was, say that of the log", &["dup", "dup2", "dup3"]),
    line(Class::SizeHeld, "cuts or extends a file held for writing", &["ftruncate", "ftruncate64", "fallocate"]),
    line(Class::LockHeld, "keeps others from locking a held file", &["flock"]),
    line(Class::AttributesHeld, "mode and owner of a held file; set-id bits are refused", &["fchmod", "fchown", "fchown32"]),
    line(Class::ListHeld, "lists a directory already held", &["getdents", "getdents64", "readdir"]),
    newer(Class::SpliceHeld, "moves bytes between held descriptors, through kernel code with a history of flaws", &["sendfile", "sendfile64", "splice", "tee", "vmsplice", "copy_file_range"]),
    newer(Class::SpliceHeld, "advises on, or writes out, the cache of a held file", &["fadvise64", "fadvise64_64", "arm_fadvise64_64", "readahead", "sync_file_range", "sync_file_range2", "arm_sync_file_range", "cachestat"]),
    line(Class::Poll, "waits for descriptors already held, or for time", &["poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64"]),
    line(Class::Epoll, "waits for held descriptors through a kernel object of its own", &["epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_wait", "epoll_wait_old", "epoll_pwait"]),
    newer(Class::Epoll, "waits for held descriptors through a kernel object of its own", &["epoll_pwait2"]),
    line(Class::NewChannel, "makes descriptors that lead to the process itself", &["pipe", "pipe2", "socketpair", "eventfd", "eventfd2", "signalfd", "signalfd4"]),

    // Memory.
    line(Class::Memory, "own memory; executable is refused", &["brk", "mmap", "mmap2", "munmap", "mremap", "mprotect"]),
    line(Class::Memory, "advice on own memory; poisoning and merging pages is refused", &["madvise"]),
    newer(Class::MemoryExtra, "protection keys of own memory", &["pkey_alloc", "pkey_free", "pkey_mprotect"]),
    line(Class::MemoryExtra, "pins own memory or tells what of it is resident", &["mlock", "mlock2", "munlock", "mlockall", "munlockall", "mincore"]),
    line(Class::MemoryExtra, "writes mappings back, seals or rearranges them", &["msync", "mseal", "remap_file_pages", "map_shadow_stack"]),
    line(Class::MemoryExtra, "places own memory on nodes of the machine", &["mbind", "get_mempolicy", "set_mempolicy", "set_mempolicy_home_node"]),
    newer(Class::MemoryExtra, "orders memory accesses among threads", &["membarrier"]),
    line(Class::MemoryExtra, "page sizes, protection below a page", &["getpagesize", "subpage_prot", "memory_ordering"]),
    newer(Class::MemoryFiles, "files that live in memory only, and could be executed", &["memfd_create", "memfd_secret"]),

    // Time and randomness.
    line(Class::Time, "reads clocks", &["clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "gettimeofday", "time"]),
    line(Class::Sleep, "lets time pass", &["nanosleep", "clock_nanosleep", "clock_nanosleep_time64"]),
    line(Class::Timers, "signals to oneself later, and so also takes a deadline back", &["alarm", "getitimer", "setitimer", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime", "timer_settime64"]),
    line(Class::NewChannel, "timers as descriptors", &["timerfd", "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime", "timerfd_settime64"]),
    line(Class::Random, "random bytes", &["getrandom"]),

    // Signals and threads.
    line(Class::SignalHandlers, "own handlers, masks and signal stack", &["rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "sigaction", "sigprocmask", "sigreturn", "signal", "sgetmask", "ssetmask"]),
    line(Class::SignalHandlers, "what the kernel itself has a stopped process call", &["restart_syscall"]),
    line(Class::SignalWait, "waits for, or looks at, signals to oneself", &["rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "sigpending", "sigsuspend", "pause"]),
    line(Class::SignalOwn, "a signal; the target is checked", &["kill", "tkill", "tgkill"]),
    line(Class::SignalOther, "a signal whose target or details the filter cannot judge", &["rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"]),
    line(Class::Futex, "waits and wakes in own memory; priority inheritance and requeueing are refused", &["futex", "futex_time64"]),
    newer(Class::ThreadState, "newer forms of locks, with operations of their own", &["futex_waitv", "futex_wake", "futex_wait", "futex_requeue"]),
    refused(Class::ThreadState, Errno::NotPermitted, "a list of locks the kernel walks when the thread ends", &["set_robust_list", "get_robust_list"]),
    line(Class::ThreadState, "where the kernel notes preemption and the thread's end", &["rseq", "set_tid_address"]),
    line(Class::ThreadState, "thread-local storage and processor state of the thread", &["arch_prctl", "set_thread_area", "get_thread_area", "swapcontext"]),
    line(Class::ThreadState, "instrumentation of the thread, probes placed by the kernel", &["uretprobe", "uprobe", "s390_guarded_storage", "s390_runtime_instr"]),
    line(Class::Memory, "what Arm's C libraries need in every thread: its pointer, and caches after writing", &["set_tls", "get_tls", "cacheflush"]),
    newer(Class::SystemQuery, "facts about the processor and its caches", &["riscv_hwprobe", "riscv_flush_icache", "cachectl", "kern_features", "s390_sthyi"]),
    line(Class::Threads, "another thread; name spaces and processes are refused", &["clone"]),
    newer(Class::Threads, "the same with flags in memory, which no filter sees: never granted, libraries use clone", &["clone3"]),
    line(Class::Scheduling, "gives the processor up, or asks which one it is", &["sched_yield", "getcpu"]),
    line(Class::Scheduling, "processors, priorities and deadlines of processes", &["sched_getaffinity", "sched_setaffinity", "sched_get_affinity", "sched_set_affinity", "sched_getattr", "sched_setattr", "sched_getparam", "sched_setparam", "sched_getscheduler", "sched_setscheduler", "sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval", "sched_rr_get_interval_time64", "getpriority", "setpriority", "nice", "ioprio_get", "ioprio_set"]),
    line(Class::Exit, "ends the process", &["exit", "exit_group"]),

    // The process and the machine.
    line(Class::OwnId, "own process and thread number", &["getpid", "gettid"]),
    // These cannot fail by specification: an error would be taken for a user (4294967295) or trip an assertion.
    line(Class::OwnId, "own user and group, number of the parent", &["getuid", "getuid32", "geteuid", "geteuid32", "getgid", "getgid32", "getegid", "getegid32", "getppid"]),
    line(Class::IdentityQuery, "own users and groups, all of them", &["getresuid", "getresuid32", "getresgid", "getresgid32", "getgroups", "getgroups32", "capget"]),
    line(Class::IdentityQuery, "number of the session or a group of processes", &["getpgid", "getpgrp", "getsid"]),
    line(Class::IdentityQuery, "resources used so far", &["getrusage", "times"]),
    line(Class::SystemQuery, "name, load and version of the machine", &["uname", "olduname", "oldolduname", "sysinfo", "sysfs", "ustat", "getdomainname"]),
    line(Class::ProcessSettings, "own settings; the option is checked", &["prctl"]),
    line(Class::ResourceLimits, "limits of oneself and others", &["getrlimit", "ugetrlimit", "setrlimit", "prlimit64", "ulimit"]),
    line(Class::RestrictSelf, "restricts further, but lets a filter lie to the rest of the process", &["seccomp"]),
    line(Class::RestrictSelf, "restricts further; layers are few", &["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"]),

    // Descriptor passing.
    line(Class::ReceiveDescriptors, "receives descriptors from a peer", &["recvmsg"]),
    line(Class::ReceiveDescriptors, "receives descriptors from a peer, several messages at once", &["recvmmsg", "recvmmsg_time64"]),
    line(Class::SendDescriptors, "hands held descriptors to a peer, or sends to an address kept in memory", &["sendmsg", "sendmmsg"]),

    // Paths.
    line(Class::OpenPath, "opens a path; reading, writing and creating are told apart by the flags", &["open", "openat"]),
    line(Class::OpenUnseen, "opens a path with flags in memory", &["openat2"]),
    line(Class::CreatePath, "creates a file, or empties one, for writing", &["creat"]),
    line(Class::CreatePath, "makes directories and removes names", &["mkdir", "mkdirat", "rmdir", "unlink", "unlinkat"]),
    line(Class::CreatePath, "gives names to what exists, or takes them", &["rename", "renameat", "link", "linkat", "symlink", "symlinkat"]),
    newer(Class::CreatePath, "renames with flags", &["renameat2"]),
    line(Class::WritePath, "cuts a file by path", &["truncate", "truncate64"]),
    line(Class::StatPath, "attributes of what a path names", &["stat", "stat64", "lstat", "lstat64", "newfstatat", "fstatat64", "oldstat", "oldlstat", "access", "faccessat", "readlink", "readlinkat"]),
    newer(Class::StatPath, "attributes of what a path names", &["statx", "faccessat2", "file_getattr"]),
    line(Class::StatHeld, "tells size, owner and kind of a held descriptor, in the oldest form", &["oldfstat"]),
    line(Class::SystemQuery, "kind and room of a file system", &["statfs", "statfs64", "fstatfs", "fstatfs64"]),
    line(Class::WorkingDirectory, "where paths start", &["chdir", "fchdir", "getcwd", "umask"]),
    line(Class::PathAttributes, "mode, owner and times by path", &["chmod", "fchmodat", "chown", "chown32", "lchown", "lchown32", "fchownat", "utime", "utimes", "futimesat", "utimensat", "utimensat_time64"]),
    newer(Class::PathAttributes, "mode and flags by path", &["fchmodat2", "file_setattr"]),
    line(Class::ExtendedAttributes, "extended attributes, capabilities of files among them", &["setxattr", "lsetxattr", "fsetxattr", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr", "removexattr", "lremovexattr", "fremovexattr"]),
    newer(Class::ExtendedAttributes, "extended attributes beneath a directory", &["setxattrat", "getxattrat", "listxattrat", "removexattrat"]),
    line(Class::MakeNode, "device nodes", &["mknod", "mknodat"]),
    line(Class::WatchPath, "learns what others do with files", &["inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch", "fanotify_init", "fanotify_mark"]),

    // Sockets.
    line(Class::SocketCreate, "a socket; families other than the internet's are refused", &["socket"]),
    line(Class::SocketConnect, "connects to an address kept in memory", &["connect"]),
    line(Class::SocketIo, "sends and receives on a held socket, to an address if it is not connected", &["sendto", "recvfrom", "send", "recv"]),
    line(Class::SocketIo, "what options a held socket has", &["getsockopt"]),
    line(Class::SocketIo, "options of a held socket; level and option are checked", &["setsockopt"]),
    line(Class::SocketQuery, "the two ends of a held socket, and its end", &["getsockname", "getpeername", "shutdown"]),
    line(Class::Bind, "takes an address and waits there", &["bind", "listen"]),
    line(Class::Accept, "takes a connection from a held listening socket", &["accept", "accept4"]),
    line(Class::SocketMultiplexer, "every socket call; its number is checked", &["socketcall"]),

    // Other processes, gently.
    line(Class::WaitChildren, "waits for own children", &["wait4", "waitid", "waitpid"]),
    line(Class::Fork, "a copy of the process", &["fork", "vfork"]),
    line(Class::Sessions, "leaves or makes sessions and groups of processes", &["setsid", "setpgid", "vhangup"]),
    line(Class::SignalOther, "a handle for a process of one's choice", &["pidfd_open"]),
    line(Class::ChangeIdentity, "other users, groups and capabilities", &["setuid", "setuid32", "setgid", "setgid32", "setreuid", "setreuid32", "setregid", "setregid32", "setresuid", "setresuid32", "setresgid", "setresgid32", "setgroups", "setgroups32", "setfsuid", "setfsuid32", "setfsgid", "setfsgid32", "capset"]),
    line(Class::ChangeIdentity, "another root directory", &["chroot"]),
    line(Class::SharedIpc, "shared memory, semaphores and queues of System V", &["shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semctl", "semtimedop", "semtimedop_time64", "msgget", "msgsnd", "msgrcv", "msgctl", "ipc"]),
    line(Class::SharedIpc, "message queues by name", &["mq_open", "mq_unlink", "mq_timedsend", "mq_timedsend_time64", "mq_timedreceive", "mq_timedreceive_time64", "mq_notify", "mq_getsetattr"]),
    line(Class::AsyncIo, "reads and writes by submission, past most checks of single calls", &["io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents", "io_pgetevents_time64"]),

    // The whole machine.
    line(Class::Administration, "the system's clock", &["clock_settime", "clock_settime64", "settimeofday", "stime", "adjtimex", "clock_adjtime", "clock_adjtime64"]),
    line(Class::Administration, "emulation of other systems, which can make all memory executable", &["personality"]),
    line(Class::Administration, "names of the machine", &["sethostname", "setdomainname"]),
    line(Class::Administration, "writes out every file system", &["sync", "syncfs"]),
    line(Class::Administration, "quotas, accounting, the kernel's log, security modules", &["quotactl", "quotactl_fd", "acct", "syslog", "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules", "nfsservctl", "_sysctl"]),
    line(Class::Administration, "what is mounted, without changing it", &["statmount", "listmount", "name_to_handle_at", "lookup_dcookie"]),
    line(Class::Administration, "machine-specific services", &["sysmips", "rtas", "spu_create", "spu_run", "pciconfig_read", "pciconfig_write", "pciconfig_iobase", "s390_pci_mmio_read", "s390_pci_mmio_write", "sys_debug_setcontext", "switch_endian", "utrap_install", "perfctr"]),
    line(Class::Obsolete, "in no kernel in use", &["afs_syscall", "bdflush", "break", "create_module", "ftime", "get_kernel_syms", "getpmsg", "gtty", "idle", "lock", "mpx", "multiplexer", "prof", "profil", "putpmsg", "query_module", "security", "stty", "tuxcall", "vserver"]),
    line(Class::Obsolete, "names another call by number, which the kernel then filters by that number", &["syscall"]),
    line(Class::Obsolete, "traps and processor modes of old Arm systems", &["breakpoint", "usr26", "usr32"]),

    // What ends the process.
    line(Class::Exec, "another program with all that this one holds", &["execve", "execveat", "execv", "uselib"]),
    line(Class::OtherProcesses, "reads and steers other processes", &["ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp", "migrate_pages", "move_pages"]),
    line(Class::OtherProcesses, "takes a descriptor out of another process", &["pidfd_getfd"]),
    line(Class::KernelPrograms, "programs and counters inside the kernel", &["bpf", "perf_event_open"]),
    line(Class::IoUring, "makes calls that no filter sees", &["io_uring_setup", "io_uring_enter", "io_uring_register"]),
    line(Class::KernelCode, "replaces the kernel, adds to it, or stops it", &["kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff"]),
    line(Class::Keyrings, "keys of users and sessions, kernel code with a history of flaws", &["add_key", "request_key", "keyctl"]),
    line(Class::UserFaults, "halts the kernel in the middle of a copy", &["userfaultfd"]),
    line(Class::Namespaces, "other views of the system", &["unshare", "setns"]),
    line(Class::Mounts, "changes what paths mean", &["mount", "umount", "umount2", "pivot_root", "mount_setattr", "move_mount", "open_tree", "open_tree_attr", "fsopen", "fsconfig", "fsmount", "fspick"]),
    line(Class::OpenByHandle, "opens files past every directory", &["open_by_handle_at"]),
    line(Class::RawHardware, "ports and segments of the processor", &["ioperm", "iopl", "modify_ldt", "vm86", "vm86old"]),
];
