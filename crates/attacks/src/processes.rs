//! Other processes, users and rights.

use libc::{EACCES, ECHILD, EINVAL, ENOSYS, EPERM};

use crate::call::{at, at_mut, call, either, got, got_descriptor, int};
use crate::{Attempt, Got, Target};

fn one_of(target: &Target) -> usize {
    int(target.siblings.first().copied().unwrap_or(target.supervisor))
}

fn parent(target: &Target) -> usize {
    // The supervisor's own parent is of no user that it could signal; it tries the first process.
    if target.is(&["supervisor"]) { 1 } else { int(target.supervisor) }
}

fn is_supervisor(target: &Target) -> bool {
    target.is(&["supervisor"])
}

fn is_none(target: &Target) -> bool {
    !is_supervisor(target)
}

/// The supervisor ends roles that do not end by themselves, and without root everything of a user's is one user's.
fn ends_children(target: &Target) -> Option<&'static str> {
    (is_supervisor(target) && !target.root)
        .then_some("the supervisor may signal single processes of its user: that is how it ends roles")
}

/// prctl(2) with this option.
fn setting(option: usize, arguments: [usize; 2]) -> Got {
    got(call("prctl", &[option, arguments[0], arguments[1], 0, 0]))
}

#[rustfmt::skip]
pub(crate) const ALL: &[Attempt] = &[
    // Signals: number 0 asks whether one may.
    Attempt::refused("signal-parent", "to end the supervisor", &[EPERM], |t| got(call("kill", &[parent(t), 0]))).unclaimed(ends_children),
    Attempt::refused("signal-role", "to end another role", &[EPERM], |t| got(call("kill", &[one_of(t), 0]))).unclaimed(ends_children),
    Attempt::refused("signal-first-process", "to end the machine's first process", &[EPERM], |_| got(call("kill", &[1, 0]))).unclaimed(ends_children),
    Attempt::refused("signal-own-group", "to end its group", &[EPERM], |_| got(call("kill", &[0, 0]))),
    Attempt::refused("signal-other-group", "to end the supervisor's group", &[EPERM], |t| got(call("kill", &[int(-t.supervisor), 0]))),
    Attempt::refused("signal-everybody", "to end everybody", &[EPERM], |_| got(call("kill", &[int(-1), 0]))),
    Attempt::refused("signal-behind-high-bits", "to end everybody, past a filter that compares too much", &[EPERM], |_| got(call("kill", &[int(-1) & 0xffff_ffff, 0]))),
    Attempt::refused("signal-thread", "to end the supervisor, by thread", &[EPERM], |t| got(call("tgkill", &[parent(t), parent(t), 0]))),
    Attempt::refused("signal-thread-by-older-call", "to end the supervisor, by thread", &[EPERM], |t| got(call("tkill", &[parent(t), 0]))),
    Attempt::refused("signal-with-details", "to deceive the supervisor", &[EPERM], |t| {
        let details = [0_u32; 32];
        got(call("rt_sigqueueinfo", &[parent(t), 0, at(&details)]))
    }).unclaimed(ends_children),
    Attempt::refused("signal-thread-with-details", "to deceive the supervisor", &[EPERM], |t| {
        let details = [0_u32; 32];
        got(call("rt_tgsigqueueinfo", &[parent(t), parent(t), 0, at(&details)]))
    }).unclaimed(ends_children),
    Attempt::refused("handle-of-process", "a handle on the supervisor", &[EPERM], |t| got_descriptor(call("pidfd_open", &[parent(t), 0]), "there is a handle")).only(is_none),
    Attempt::refused("signal-by-handle", "to end somebody by handle", &[EPERM], |_| got(call("pidfd_send_signal", &[0, 0, 0, 0]))).only(is_none),
    Attempt::refused("signal-by-handle-of-group", "to end a group by handle", &[EPERM, EINVAL], |t| match call("pidfd_open", &[one_of(t), 0]) {
        Some(Ok(handle)) => {
            let sent = call("pidfd_send_signal", &[handle, 0, 0, 4]);
            let _ = call("close", &[handle]);
            got(sent)
        }
        other => got(other),
    }).only(is_supervisor).unclaimed(ends_children),
    Attempt::refused("signals-of-terminal", "signals of a descriptor to somebody else", &[EINVAL], |t| got(either(&["fcntl", "fcntl64"], &[0, int(libc::F_SETOWN), parent(t)]))),
    Attempt::refused("lease", "to hold others up when they open a file", &[EINVAL], |_| got(either(&["fcntl", "fcntl64"], &[0, int(libc::F_SETLEASE), 0]))),
    Attempt::refused("pipe-size", "kernel memory, by a large pipe", &[EINVAL], |_| got(either(&["fcntl", "fcntl64"], &[1, int(libc::F_SETPIPE_SZ), 1 << 20]))),

    // Processes and threads.
    Attempt::refused("fork", "a second process that survives the first", &[EPERM], |_| ended_at_once(call("fork", &[]))),
    Attempt::refused("fork-by-clone", "a second process that survives the first", &[EPERM], |_| ended_at_once(either(&["clone"], &clone_arguments(int(libc::SIGCHLD))))),
    Attempt::refused("fork-unseen", "a second process, by flags that no filter sees", &[ENOSYS], |_| {
        let arguments = [0_u64, 0, 0, 0, 17, 0, 0, 0];
        ended_at_once(call("clone3", &[at(&arguments), size_of_val(&arguments)]))
    }),
    // Without signal handlers in common, which the kernel refuses where the filter does not.
    Attempt::refused("thread", "a second thread, to race the first", &[EPERM], |_| got(call("clone", &clone_arguments(int(libc::CLONE_THREAD))))),
    Attempt::refused("session", "a session of its own", &[EPERM], |_| got(call("setsid", &[]))),
    Attempt::refused("process-group", "another group", &[EPERM], |_| got(call("setpgid", &[0, 0]))),
    Attempt::refused("wait-for-others", "how others end", &[EPERM], |_| {
        let mut status = 0_i32;
        got(either(&["wait4", "waitpid"], &[int(-1), at_mut(&mut status), 1, 0]))
    }).only(is_none),
    Attempt::refused("priority-of-role", "others to be slow", &[EPERM], |t| got(call("setpriority", &[0, one_of(t), 19]))),
    Attempt::refused("own-priority", "to be faster than others", &[EPERM], |_| got(call("setpriority", &[0, 0, 0]))),
    Attempt::refused("processors-of-role", "others to share a processor with it, to watch its caches", &[EPERM], |t| {
        let all = [usize::MAX; 16];
        got(call("sched_setaffinity", &[one_of(t), size_of_val(&all), at(&all)]))
    }),
    Attempt::refused("own-processors", "a processor of its own choice", &[EPERM], |_| {
        let all = [usize::MAX; 16];
        got(call("sched_setaffinity", &[0, size_of_val(&all), at(&all)]))
    }),
    Attempt::refused("real-time", "the processor for itself", &[EPERM], |_| {
        let priority = 1_i32;
        got(call("sched_setscheduler", &[0, 1, at(&priority)]))
    }),
    Attempt::refused("disk-priority", "the disk for itself", &[EPERM], |_| got(call("ioprio_set", &[1, 0, 0]))),
    Attempt::refused("limits-of-role", "other limits for another role", &[EPERM], |t| {
        let mut limits = [0_u64; 2];
        got(call("prlimit64", &[one_of(t), 7, 0, at_mut(&mut limits)]))
    }),
    Attempt::refused("own-limits", "its own limits back", &[EPERM], |_| {
        let limits = [u64::MAX; 2];
        got(call("prlimit64", &[0, 6, at(&limits), 0]))
    }),
    Attempt::refused("own-limits-by-older-call", "its own limits back", &[EPERM], |_| {
        let limits = [usize::MAX; 2];
        got(call("setrlimit", &[6, at(&limits)]))
    }),

    // Users and rights.
    Attempt::refused("become-root", "to be root", &[EPERM], |_| got(either(&["setuid32", "setuid"], &[0]))),
    Attempt::refused("become-root-again", "to be root, by the saved user", &[EPERM], |_| got(either(&["setresuid32", "setresuid"], &[0, 0, 0]))),
    Attempt::refused("become-root-by-half", "to be root, by the real user", &[EPERM], |_| got(either(&["setreuid32", "setreuid"], &[int(-1), 0]))),
    Attempt::refused("files-as-root", "to open files as root", &[EPERM], |_| got(either(&["setfsuid32", "setfsuid"], &[0]))),
    Attempt::refused("group-root", "root's group", &[EPERM], |_| got(either(&["setgid32", "setgid"], &[0]))),
    Attempt::refused("group-root-again", "root's group, by the saved one", &[EPERM], |_| got(either(&["setresgid32", "setresgid"], &[0, 0, 0]))),
    Attempt::refused("more-groups", "more groups", &[EPERM], |_| {
        let groups = [0_u32, 42];
        got(either(&["setgroups32", "setgroups"], &[2, at(&groups)]))
    }),
    Attempt::refused("all-capabilities", "all capabilities", &[EPERM], |_| {
        let (header, sets) = ([0x2008_0522_u32, 0], [u32::MAX; 6]);
        got(call("capset", &[at(&header), at(&sets)]))
    }),
    Attempt::refused("root-directory", "another root directory", &[EPERM], |_| got(call("chroot", &[at(c"/")]))),

    // Settings of the process.
    Attempt::refused("dumpable-again", "its memory to be open to debuggers", &[EINVAL], |_| setting(4, [1, 0])),
    Attempt::refused("dumpable-behind-high-bits", "the same, past a filter that compares too much", &[EINVAL], |_| setting(4 | high(), [1, 0])),
    Attempt::refused("debugger", "somebody to debug it", &[EINVAL], |t| setting(0x5961_6d61, [one_of(t), 0])),
    Attempt::refused("keep-capabilities", "capabilities across a change of user", &[EINVAL], |_| setting(8, [1, 0])),
    Attempt::refused("ambient-capability", "a capability for programs it starts", &[EINVAL], |_| setting(47, [2, 0])),
    Attempt::refused("secure-bits", "the locks on capabilities open", &[EINVAL], |_| setting(28, [0, 0])),
    Attempt::refused("bounding-set", "to change what programs can gain", &[EINVAL], |_| setting(24, [0, 0])),
    Attempt::refused("new-privileges-again", "programs to gain rights again", &[EINVAL], |_| setting(38, [0, 0])),
    Attempt::refused("filter-by-setting", "a filter that lies to the rest of the process", &[EINVAL, EACCES], |_| setting(22, [2, 0])),
    Attempt::refused("own-memory-map", "other boundaries of its memory", &[EINVAL], |_| setting(35, [1, 0])),
    Attempt::refused("signal-of-parent", "a signal when its parent ends", &[EINVAL], |_| setting(1, [9, 0])),
    Attempt::refused("orphans", "the orphans of others", &[EINVAL], |_| setting(36, [1, 0])),
    Attempt::refused("dispatch-calls", "to steer its own system calls", &[EINVAL], |_| setting(59, [0, 0])),
    Attempt::refused("executable-memory-again", "executable memory to be possible again", &[EINVAL, EPERM], |_| setting(65, [0, 0])),
    Attempt::refused("share-core", "to share a core with another role, to watch its caches", &[EINVAL], |t| setting(62, [1, one_of(t)])),
    Attempt::refused("speculation", "speculation without protection", &[EINVAL], |_| setting(53, [0, 2])),
    Attempt::refused("clock-slack", "other timers", &[EINVAL], |_| setting(29, [1, 0])),
    Attempt::refused("io-flusher", "memory set aside for the disk", &[EINVAL], |_| setting(57, [1, 0])),
    Attempt::refused("unwaited-child", "the status of a child that is not its own", &[EPERM, ECHILD], |_| {
        let mut info = [0_u32; 32];
        got(call("waitid", &[1, 1, at_mut(&mut info), 4 | 1, 0]))
    }),
];

/// The highest bit of a register, which the kernel does not look at where it reads an int.
fn high() -> usize {
    if usize::BITS == 64 { 1 << (usize::BITS - 1) } else { 0 }
}

/// The arguments of `clone`, whose flags s390 has after the stack.
fn clone_arguments(flags: usize) -> [usize; 5] {
    if cfg!(target_arch = "s390x") { [0, flags, 0, 0, 0] } else { [flags, 0, 0, 0, 0] }
}

/// If there is a copy of this process, the copy ends at once.
fn ended_at_once(called: crate::call::Called) -> Got {
    if called == Some(Ok(0)) {
        let _ = call("exit_group", &[0]);
    }
    got(called)
}
