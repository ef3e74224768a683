//! Files by path: what a process reads, writes and finds outside of its own directories.

use std::path::{Path, PathBuf};

use libc::{EACCES, ENOENT, ENOSYS, EPERM, O_CREAT, O_DIRECTORY, O_EXCL, O_PATH, O_RDONLY, O_RDWR, O_WRONLY};

use crate::call::{
    HERE, at, at_mut, c_path, call, got, got_descriptor, int, open, open_at, path_call, read, two_paths,
};
use crate::{Attempt, Got, Target};

/// Refused by the filter or by Landlock; or the root directory is empty.
const GONE: &[i32] = &[EACCES, ENOENT];

/// What a user other than root cannot do about attributes of files.
fn looks(target: &Target) -> Option<&'static str> {
    (target.has_paths() && !target.root)
        .then_some("attributes can be looked at wherever paths lead, for want of a root directory of its own")
}

fn sibling(target: &Target, file: &str) -> PathBuf {
    let sibling = target.siblings.first().copied().unwrap_or(target.supervisor);
    PathBuf::from(format!("/proc/{sibling}/{file}"))
}

fn supervisor(target: &Target, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{file}", target.supervisor))
}

#[rustfmt::skip]
pub(crate) const ALL: &[Attempt] = &[
    Attempt::refused("read-account-key", "the account key", GONE, |t| read(HERE, &t.account_key)),
    Attempt::refused("read-certificate-key", "the key of a certificate", GONE, |t| read(HERE, &t.other_key)),
    Attempt::refused("read-account-key-of-root", "the account key, by way of another process's root", GONE, |t| {
        let path = t.account_key.strip_prefix("/").unwrap_or(&t.account_key);
        read(HERE, &supervisor(t, "root").join(path))
    }),
    Attempt::refused("read-account-key-from-root", "the account key, by way of /proc/self/root", GONE, |t| {
        let path = t.account_key.strip_prefix("/").unwrap_or(&t.account_key);
        read(HERE, &Path::new("/proc/self/root").join(path))
    }),
    Attempt::refused("read-shadow", "the machine's passwords", GONE, |_| read(HERE, Path::new("/etc/shadow"))),
    Attempt::refused("read-passwd", "a file that everybody may read", GONE, |_| read(HERE, Path::new("/etc/passwd"))),
    Attempt::refused("read-outside", "a file that everybody may read", GONE, |t| read(HERE, &t.outside.join("readable"))),
    Attempt::refused("read-own-program", "the program's file, to find its way", GONE, |_| read(HERE, Path::new("/proc/self/exe"))),
    Attempt::refused("read-own-maps", "addresses of libraries", GONE, |_| read(HERE, Path::new("/proc/self/maps"))),
    Attempt::refused("read-kernel-addresses", "addresses in the kernel", GONE, |_| read(HERE, Path::new("/proc/kallsyms"))),
    Attempt::refused("read-memory-of-supervisor", "the supervisor's memory", GONE, |t| read(HERE, &supervisor(t, "mem"))),
    Attempt::refused("write-memory-of-supervisor", "code in the supervisor", GONE, |t| open(supervisor(t, "mem"), O_RDWR)),
    Attempt::refused("read-memory-of-role", "the account key in another role's memory", GONE, |t| read(HERE, &sibling(t, "mem"))),
    Attempt::refused("write-memory-of-role", "code in another role", GONE, |t| open(sibling(t, "mem"), O_WRONLY)),
    Attempt::refused("write-own-memory", "its own code, past the protection of pages", GONE, |_| open("/proc/self/mem", O_RDWR)),
    Attempt::refused("read-environment-of-supervisor", "secrets in its environment", GONE, |t| read(HERE, &supervisor(t, "environ"))),
    Attempt::refused("read-environment-of-role", "secrets in its environment", GONE, |t| read(HERE, &sibling(t, "environ"))),
    Attempt::refused("list-descriptors-of-role", "another role's open files", GONE, |t| open(sibling(t, "fd"), O_RDONLY | O_DIRECTORY)),
    Attempt::refused("open-descriptor-of-role", "another role's open file", GONE, |t| open(sibling(t, "fd/3"), O_RDWR)),
    Attempt::refused("open-descriptor-of-supervisor", "the supervisor's open file", GONE, |t| open(supervisor(t, "fd/3"), O_RDWR)),
    Attempt::refused("read-syscalls-of-role", "what another role is doing", GONE, |t| read(HERE, &sibling(t, "syscall"))),
    Attempt::refused("list-processes", "who else is there", GONE, |_| open("/proc", O_RDONLY | O_DIRECTORY)),
    Attempt::refused("list-root", "what there is", &[EACCES, ENOENT, EPERM], |t| {
        // An empty directory is nothing to be afraid of, and belongs to root.
        match open("/", O_RDONLY | O_DIRECTORY) {
            Got::Won(_) if t.root => Got::Refused(ENOENT),
            other => other,
        }
    }),
    Attempt::refused("read-physical-memory", "all memory", GONE, |_| open("/dev/mem", O_RDWR)),
    Attempt::refused("open-terminal", "what the user types", GONE, |_| open("/dev/tty", O_RDWR)),
    Attempt::refused("read-disk", "the disk, past the file system", GONE, |_| open("/dev/vda", O_RDONLY)),
    Attempt::refused("open-kvm", "kernel code of virtual machines", GONE, |_| open("/dev/kvm", O_RDWR)),
    Attempt::refused("open-fuse", "a file system of its own", GONE, |_| open("/dev/fuse", O_RDWR)),
    Attempt::refused("open-tun", "a network of its own", GONE, |_| open("/dev/net/tun", O_RDWR)),
    Attempt::refused("open-pseudo-terminal", "a terminal of its own", GONE, |_| open("/dev/ptmx", O_RDWR)),
    Attempt::refused("write-passwd", "a user of its own", GONE, |_| open("/etc/passwd", O_WRONLY)),
    Attempt::refused("write-cron", "a command run by root", GONE, |_| open("/etc/cron.d/acme-client-attack", O_WRONLY | O_CREAT | O_EXCL)),
    Attempt::refused("write-preload", "a library in every program", GONE, |_| open("/etc/ld.so.preload", O_WRONLY)),
    Attempt::refused("write-core-pattern", "a program run by the kernel", GONE, |_| open("/proc/sys/kernel/core_pattern", O_WRONLY)),
    Attempt::refused("write-kernel-setting", "another setting of the kernel", GONE, |_| open("/proc/sys/kernel/randomize_va_space", O_WRONLY)),
    Attempt::refused("trigger-sysrq", "the machine to stop", GONE, |_| open("/proc/sysrq-trigger", O_WRONLY)),
    Attempt::refused("write-own-oom-score", "to outlive others when memory runs out", GONE, |_| open("/proc/self/oom_score_adj", O_WRONLY)),
    Attempt::refused("write-outside", "a file that everybody may write", GONE, |t| open(t.outside.join("writable"), O_WRONLY)),
    Attempt::refused("create-outside", "a file where everybody may create one", GONE, |t| created(&t.outside)),
    Attempt::refused("create-in-tmp", "a file where everybody may create one", GONE, |_| created(Path::new("/tmp"))),
    Attempt::refused("create-nameless-outside", "a file without a name", GONE, |t| open(&t.outside, libc::O_TMPFILE | O_WRONLY)),
    Attempt::refused("creat-outside", "a file, by the oldest call", GONE, |t| {
        let path = t.outside.join("attack-creat");
        let path = c_path(&path);
        got_descriptor(call("creat", &[at(path.as_c_str()), 0o600]), "it was created")
    }),
    Attempt::refused("open-by-oldest-call", "a file, by the oldest call", GONE, |t| {
        let path = c_path(&t.outside.join("readable"));
        got_descriptor(call("open", &[at(path.as_c_str()), 0, 0]), "it was opened")
    }),
    Attempt::refused("open-unseen", "a file, by flags that no filter sees", &[ENOSYS], |t| {
        let path = c_path(&t.outside.join("readable"));
        let how = [0_u64; 3];
        got_descriptor(call("openat2", &[HERE, at(path.as_c_str()), at(&how), size_of_val(&how)]), "it was opened")
    }),
    Attempt::refused("truncate-outside", "a file to be empty", GONE, |t| {
        let path = c_path(&t.outside.join("writable"));
        got(crate::call::either(&["truncate", "truncate64"], &[at(path.as_c_str()), 0]))
    }),
    Attempt::refused("empty-by-reading", "a file to be empty, by opening it for reading", GONE, |t| open(t.outside.join("writable"), O_RDONLY | libc::O_TRUNC)),
    Attempt::refused("remove-outside", "a file to be gone", GONE, |t| got(path_call("unlinkat", HERE, &t.outside.join("removable"), &[0]))),
    Attempt::refused("remove-directory-outside", "a directory to be gone", GONE, |t| got(path_call("unlinkat", HERE, &t.outside.join("empty"), &[int(libc::AT_REMOVEDIR)]))),
    Attempt::refused("make-directory-outside", "a directory", GONE, |t| got(path_call("mkdirat", HERE, &t.outside.join("attack-dir"), &[0o700]))),
    // Where there is but the newer call, it is refused as newer calls are.
    Attempt::refused("rename-outside", "a file to be another", &[EACCES, ENOENT, ENOSYS], |t| {
        let (from, to) = (t.outside.join("removable"), t.outside.join("attack-renamed"));
        let renamed = two_paths("renameat", (HERE, &from), (HERE, &to), &[]);
        got(renamed.or_else(|| two_paths("renameat2", (HERE, &from), (HERE, &to), &[0])))
    }),
    Attempt::refused("link-account-key", "the account key under a name of its own", GONE, |t| got(two_paths("linkat", (HERE, &t.account_key), (HERE, &t.outside.join("attack-key")), &[0]))),
    Attempt::refused("symlink-outside", "to lead others astray", GONE, |t| {
        let (to, name) = (c_path(Path::new("/etc/shadow")), c_path(&t.outside.join("attack-link")));
        got(call("symlinkat", &[at(to.as_c_str()), HERE, at(name.as_c_str())]))
    }),
    Attempt::refused("change-mode-outside", "a file for everybody", GONE, |t| got(path_call("fchmodat", HERE, &t.outside.join("writable"), &[0o666]))),
    Attempt::refused("change-mode-with-flags", "a file for everybody, by a newer call", &[ENOSYS], |t| got(path_call("fchmodat2", HERE, &t.outside.join("writable"), &[0o666, 0]))),
    Attempt::refused("change-owner-outside", "a file of its own", GONE, |t| got(path_call("fchownat", HERE, &t.outside.join("writable"), &[int(-1), int(-1), 0]))),
    Attempt::refused("change-time-outside", "to hide that a file was changed", GONE, |t| got(path_call("utimensat", HERE, &t.outside.join("writable"), &[0, 0]))),
    Attempt::refused("attribute-outside", "capabilities of a file", &[EACCES], |t| {
        let (path, name) = (c_path(&t.outside.join("writable")), c"user.attack");
        got(call("setxattr", &[at(path.as_c_str()), at(name), at(name), 4, 0]))
    }),
    Attempt::refused("make-pipe-outside", "a pipe that others open", &[EPERM], |t| got(path_call("mknodat", HERE, &t.outside.join("attack-pipe"), &[0o010_600, 0]))),
    Attempt::refused("make-device", "the disk under a name of its own", &[EPERM], |t| got(path_call("mknodat", HERE, &t.outside.join("attack-device"), &[0o060_600, 0x800]))),
    Attempt::refused("look-at-account-key", "size and owner of the account key", &[EACCES, ENOENT], |t| {
        let mut stat = [0_u64; 64];
        got(crate::call::either(&["newfstatat", "fstatat64"], &[HERE, at(c_path(&t.account_key).as_c_str()), at_mut(&mut stat), 0]))
    }).unclaimed(looks),
    Attempt::refused("look-at-outside", "whether a file is there", &[EACCES, ENOENT], |t| got(path_call("faccessat", HERE, &t.outside.join("readable"), &[0]))).unclaimed(looks),
    Attempt::refused("where-program-is", "where the program of another role is", &[EACCES, ENOENT], |t| {
        let (path, mut buffer) = (c_path(&supervisor(t, "exe")), [0_u8; 64]);
        got(call("readlinkat", &[HERE, at(path.as_c_str()), at_mut(&mut buffer), buffer.len()]))
    }),
    Attempt::refused("bare-handle", "a handle on a file, to make more of it", GONE, |t| open(t.outside.join("readable"), O_PATH)).unclaimed(looks),
    Attempt::refused("handle-opened-again", "a file by its bare handle", GONE, |t| match open_at(HERE, &t.outside.join("readable"), O_PATH, 0) {
        Some(Ok(handle)) => {
            let opened = read(HERE, Path::new(&format!("/proc/self/fd/{handle}")));
            let _ = call("close", &[handle]);
            opened
        }
        other => got(other),
    }),
    Attempt::refused("executable-handle", "a shell's file, to run it", GONE, |_| open("/bin/sh", O_RDONLY)),
    Attempt::refused("write-webroot", "a page in the web server's directory", GONE, |t| created(&t.webroot)).only(|t| !t.is(&["challenge"])),
    Attempt::refused("write-challenges", "a proof of its own", GONE, |t| created(&t.webroot.join(".well-known/acme-challenge"))).only(|t| !t.is(&["challenge"])),
    Attempt::refused("write-page-beside-challenges", "a page in the web server's directory", GONE, |t| created(&t.webroot)).only(|t| t.is(&["challenge"])),
    Attempt::refused("write-state", "something in the state directory", GONE, |t| created(&t.state)),
    Attempt::refused("write-accounts", "an account key of its own", GONE, |t| open(&t.account_key, O_WRONLY)),
    Attempt::refused("write-journal", "another order in the journal", GONE, |t| created(&t.state.join("journal"))).only(|t| !t.is(&["store"])),
    Attempt::refused("write-registrations", "another account", GONE, |t| created(&t.state.join("registrations"))).only(|t| !t.is(&["store"])),
    Attempt::refused("replace-certificate-in-use", "another certificate in use", GONE, |t| {
        let (to, name) = (c_path(Path::new("/nowhere")), c_path(&t.state.join("live/attack")));
        got(call("symlinkat", &[at(to.as_c_str()), HERE, at(name.as_c_str())]))
    }).only(|t| !t.is(&["store"])),
    Attempt::refused("write-certificate-key", "another key for a certificate", GONE, |t| open(&t.other_key, O_WRONLY)).only(|t| !t.is(&["key", "store"])),
    Attempt::refused("take-lock", "to keep other runs waiting", GONE, |t| created(&t.state.join("lock"))),
    Attempt::refused("change-directory", "paths to start elsewhere", &[EACCES], |_| got(call("chdir", &[at(c"/")]))),
    Attempt::refused("where-am-i", "the name of its directory", &[EACCES], |_| {
        let mut buffer = [0_u8; 256];
        got(call("getcwd", &[at_mut(&mut buffer), buffer.len()]))
    }),
    Attempt::refused("watch-files", "what others do with files", &[EPERM], |_| got_descriptor(call("inotify_init1", &[0]), "a watch")),
    Attempt::refused("watch-file-system", "what others do with all files", &[EPERM], |_| got_descriptor(call("fanotify_init", &[0, 0]), "a watch")),
    Attempt::refused("handle-by-name", "a file past every directory", &[EPERM], |t| {
        let (path, mut handle, mut mount) = (c_path(&t.account_key), [0_u64; 18], 0_u64);
        got(call("name_to_handle_at", &[HERE, at(path.as_c_str()), at_mut(&mut handle), at_mut(&mut mount), 0]))
    }),
];

/// Creates a file, and removes it.
fn created(directory: &Path) -> Got {
    let path = directory.join("attack-created");
    let got = open(&path, O_WRONLY | O_CREAT | O_EXCL);
    if matches!(got, Got::Won(_)) {
        let _ = path_call("unlinkat", HERE, &path, &[0]);
    }
    got
}
