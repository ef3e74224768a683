//! What no honest library does: the process must end. One process each.

use crate::call::{HERE, at, at_mut, call, got, int};
use crate::{Attempt, Got, Target};

fn somebody(target: &Target) -> usize {
    int(target.siblings.first().copied().unwrap_or(target.supervisor))
}

/// `clone` for a new process in other name spaces. A copy that should not be there ends at once.
fn clone_into(flags: i32) -> Got {
    let flags = int(flags | libc::SIGCHLD);
    let arguments = if cfg!(target_arch = "s390x") { [0, flags, 0, 0, 0] } else { [flags, 0, 0, 0, 0] };
    let called = call("clone", &arguments);
    if called == Some(Ok(0)) {
        let _ = call("exit_group", &[0]);
    }
    got(called)
}

/// Memory of another process.
fn other_memory(name: &str, target: &Target) -> Got {
    let mut buffer = [0_u8; 16];
    let (local, remote) = ([at_mut(&mut buffer), buffer.len()], [0x1000_usize, 16]);
    got(call(name, &[somebody(target), at(&local), 1, at(&remote), 1, 0]))
}

#[rustfmt::skip]
pub(crate) const ALL: &[Attempt] = &[
    // The argument vector is missing where it should be an address that is mapped: without the seal nothing is run.
    Attempt::ended("run-shell", "a shell", |_| got(call("execve", &[at(c"/bin/sh"), 8, 0]))),
    Attempt::ended("run-own-program", "its own program, free of the seal", |_| got(call("execve", &[at(c"/proc/self/exe"), 8, 0]))),
    Attempt::ended("run-set-id-program", "a program that runs as root", |_| got(call("execve", &[at(c"/bin/su"), 8, 0]))),
    Attempt::ended("run-descriptor", "a program in memory, by its descriptor", |_| got(call("execveat", &[0, at(c""), 8, 0, int(libc::AT_EMPTY_PATH)]))),
    Attempt::ended("run-beneath", "a program beneath a directory", |_| got(call("execveat", &[HERE, at(c"bin/sh"), 8, 0, 0]))),
    Attempt::ended("load-library", "a library, by the oldest call", |_| got(call("uselib", &[at(c"/lib/attack.so")]))),
    Attempt::ended("trace-supervisor", "to steer the supervisor", |t| got(call("ptrace", &[16, int(t.supervisor), 0, 0]))),
    Attempt::ended("trace-role", "to steer another role", |t| got(call("ptrace", &[16, somebody(t), 0, 0]))),
    Attempt::ended("seize-role", "to steer another role, by the newer request", |t| got(call("ptrace", &[0x4206, somebody(t), 0, 0]))),
    Attempt::ended("be-traced", "to be steered by its parent", |_| got(call("ptrace", &[0, 0, 0, 0]))),
    Attempt::ended("read-memory", "the account key in another role's memory", |t| other_memory("process_vm_readv", t)),
    Attempt::ended("write-memory", "code in another role", |t| other_memory("process_vm_writev", t)),
    Attempt::ended("advise-memory", "another role's memory to be thrown out", |_| got(call("process_madvise", &[0, 0, 0, 0, 0]))),
    Attempt::ended("release-memory", "another role's memory to be given back", |_| got(call("process_mrelease", &[0, 0]))),
    Attempt::ended("move-memory", "another role's memory elsewhere", |t| got(call("move_pages", &[somebody(t), 0, 0, 0, 0, 0]))),
    Attempt::ended("migrate-memory", "another role's memory elsewhere", |t| got(call("migrate_pages", &[somebody(t), 0, 0, 0]))),
    Attempt::ended("take-descriptor", "a descriptor out of another role", |_| got(call("pidfd_getfd", &[0, 0, 0]))),
    Attempt::ended("compare-descriptors", "which descriptors roles have in common", |t| got(call("kcmp", &[int(t.supervisor), somebody(t), 0, 0, 0]))),
    Attempt::ended("kernel-program", "its own code in the kernel", |_| got(call("bpf", &[5, 0, 0]))),
    Attempt::ended("kernel-map", "memory shared with the kernel", |_| got(call("bpf", &[0, 0, 0]))),
    Attempt::ended("counters", "to watch others by the processor's counters", |_| got(call("perf_event_open", &[0, 0, 0, 0, 0]))),
    Attempt::ended("ring", "calls that no filter sees", |_| got(call("io_uring_setup", &[1, 0]))),
    Attempt::ended("ring-enter", "calls that no filter sees", |_| got(call("io_uring_enter", &[0, 0, 0, 0, 0, 0]))),
    Attempt::ended("ring-register", "calls that no filter sees", |_| got(call("io_uring_register", &[0, 0, 0, 0]))),
    Attempt::ended("page-faults", "the kernel halted in the middle of a copy", |_| got(call("userfaultfd", &[int(-1)]))),
    Attempt::ended("key-ring", "keys of the session", |_| got(call("keyctl", &[int(-1), 0, 0, 0, 0]))),
    Attempt::ended("add-key", "kernel memory in the form of keys", |_| got(call("add_key", &[0, 0, 0, 0, 0]))),
    Attempt::ended("request-key", "a program run by the kernel", |_| got(call("request_key", &[0, 0, 0, 0]))),
    Attempt::ended("module", "its own code in the kernel", |_| got(call("init_module", &[0, 0, 0]))),
    Attempt::ended("module-from-file", "its own code in the kernel", |_| got(call("finit_module", &[int(-1), 0, 0]))),
    Attempt::ended("remove-module", "a part of the kernel to be gone", |_| got(call("delete_module", &[0, 0]))),
    Attempt::ended("kernel", "another kernel", |_| got(call("kexec_load", &[0, 17, 0, 0]))),
    Attempt::ended("kernel-from-file", "another kernel", |_| got(call("kexec_file_load", &[int(-1), int(-1), 0, 0, 0]))),
    Attempt::ended("reboot", "the machine to stop", |_| got(call("reboot", &[0, 0, 0, 0]))),
    Attempt::ended("swap", "memory on a disk of its own", |_| got(call("swapon", &[0, 0]))),
    Attempt::ended("no-swap", "less memory for others", |_| got(call("swapoff", &[0]))),
    Attempt::ended("mount", "other files under known names", |_| got(call("mount", &[0, 0, 0, 0, 0]))),
    Attempt::ended("unmount", "files that are beneath a mount", |_| got(call("umount2", &[0, 0]))),
    Attempt::ended("pivot-root", "another root directory", |_| got(call("pivot_root", &[0, 0]))),
    Attempt::ended("move-mount", "other files under known names", |_| got(call("move_mount", &[int(-1), 0, int(-1), 0, 0]))),
    Attempt::ended("open-tree", "a tree of files, past its root directory", |_| got(call("open_tree", &[HERE, 0, 0]))),
    Attempt::ended("file-system", "a file system of its own", |_| got(call("fsopen", &[0, 0]))),
    Attempt::ended("file-system-settings", "a file system of its own", |_| got(call("fsconfig", &[int(-1), 0, 0, 0, 0]))),
    Attempt::ended("file-system-mount", "a file system of its own", |_| got(call("fsmount", &[int(-1), 0, 0]))),
    Attempt::ended("file-system-again", "a file system with other settings", |_| got(call("fspick", &[HERE, 0, 0]))),
    Attempt::ended("mount-settings", "a mount that can be written to", |_| got(call("mount_setattr", &[HERE, 0, 0, 0, 0]))),
    Attempt::ended("user-name-space", "to be root in a name space", |_| got(call("unshare", &[int(libc::CLONE_NEWUSER)]))),
    Attempt::ended("mount-name-space", "mounts of its own", |_| got(call("unshare", &[int(libc::CLONE_NEWNS)]))),
    Attempt::ended("network-name-space", "a network of its own", |_| got(call("unshare", &[int(libc::CLONE_NEWNET)]))),
    Attempt::ended("pid-name-space", "processes of its own", |_| got(call("unshare", &[int(libc::CLONE_NEWPID)]))),
    Attempt::ended("name-name-space", "a name of its own", |_| got(call("unshare", &[int(libc::CLONE_NEWUTS)]))),
    Attempt::ended("ipc-name-space", "queues of its own", |_| got(call("unshare", &[int(libc::CLONE_NEWIPC)]))),
    Attempt::ended("cgroup-name-space", "control groups of its own", |_| got(call("unshare", &[int(libc::CLONE_NEWCGROUP)]))),
    Attempt::ended("time-name-space", "a time of its own", |_| got(call("unshare", &[0x80]))),
    Attempt::ended("shared-descriptors", "descriptors of its own", |_| got(call("unshare", &[int(libc::CLONE_FILES)]))),
    Attempt::ended("enter-name-space", "another's view of the system", |_| got(call("setns", &[int(-1), 0]))),
    Attempt::ended("clone-user-name-space", "a process that is root in a name space", |_| clone_into(libc::CLONE_NEWUSER)),
    Attempt::ended("clone-mount-name-space", "a process with mounts of its own", |_| clone_into(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)),
    Attempt::ended("clone-network-name-space", "a process with a network of its own", |_| clone_into(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)),
    Attempt::ended("clone-pid-name-space", "processes of its own", |_| clone_into(libc::CLONE_NEWPID)),
    Attempt::ended("file-by-handle", "a file past every directory", |_| got(call("open_by_handle_at", &[HERE, 0, 0]))),
    Attempt::ended("ports", "the machine's ports", |_| got(call("ioperm", &[0x80, 1, 1]))),
    Attempt::ended("all-ports", "the machine's ports", |_| got(call("iopl", &[3]))),
    Attempt::ended("segments", "segments of the processor, kernel code with a history of flaws", |_| got(call("modify_ldt", &[0, 0, 0]))),
    Attempt::ended("foreign-gate", "calls by the numbers of another architecture", |_| foreign_gate()),
];

#[cfg(target_arch = "x86_64")]
fn foreign_gate() -> Got {
    Got::Won(format!("getpid by the 32-bit gate gave {}", crate::call::foreign_gate()))
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign_gate() -> Got {
    Got::NotHere("this architecture has one gate".to_owned())
}
