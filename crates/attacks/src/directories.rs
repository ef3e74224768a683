//! Ways out of the directories that a role works in, by the handles it holds.

use std::path::{Path, PathBuf};

use libc::{
    EACCES, EBADF, EFBIG, ELOOP, ENOENT, EPERM, EXDEV, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_WRONLY,
};

use crate::call::{
    PAGE, at, at_mut, c_path, call, directories, either, got, got_descriptor, int, map_memory, open_at, open_beneath,
    path_call, read, two_paths,
};
use crate::{Attempt, Got, Target};

/// Refused by the filter or Landlock, or by the users that files have.
const OUT: &[i32] = &[EACCES, ENOENT, EPERM, EXDEV];

/// What the filter cannot tell apart, and Landlock has no rights for.
const LOOKS: &str =
    "attributes can be looked at wherever the parents of a held directory lead; nothing can be read or written";

fn has_paths(target: &Target) -> bool {
    target.has_paths()
}

/// The same file, from any directory by way of its parents: a directory held from before the change of root leads out.
fn up(path: &Path) -> PathBuf {
    let mut up: PathBuf = std::iter::repeat_n("..", 24).collect();
    up.push(path.strip_prefix("/").unwrap_or(path));
    up
}

/// Tries it from every directory held: the first success counts, or else the last refusal.
fn from_each(mut how: impl FnMut(usize) -> Got) -> Got {
    let mut last = Got::NotHere("no directory is held".to_owned());
    for directory in directories() {
        last = how(directory);
        if matches!(last, Got::Won(_)) {
            return last;
        }
    }
    last
}

/// Tries it with a file of one's own in each directory held where one can be made.
fn with_file(mut how: impl FnMut(usize, usize) -> Got) -> Got {
    let name = Path::new("attack-own");
    let mut last = Got::NotHere("no file can be made in the directories held".to_owned());
    for directory in directories() {
        if let Some(Ok(file)) = open_at(directory, name, O_WRONLY | O_CREAT | O_EXCL, 0o600) {
            last = how(directory, file);
            let _ = call("close", &[file]);
            let _ = path_call("unlinkat", directory, name, &[0]);
            if matches!(last, Got::Won(_)) {
                return last;
            }
        }
    }
    last
}

/// Tries it with a symbolic link in each directory held where one can be made.
fn with_link(to: &Path, mut how: impl FnMut(usize, &Path) -> Got) -> Got {
    let (to, name) = (c_path(to), Path::new("attack-link"));
    let mut last = Got::NotHere("no link can be made in the directories held".to_owned());
    for directory in directories() {
        if let Some(Ok(_)) = call("symlinkat", &[at(to.as_c_str()), directory, at(c_path(name).as_c_str())]) {
            last = how(directory, name);
            let _ = path_call("unlinkat", directory, name, &[0]);
            if matches!(last, Got::Won(_)) {
                return last;
            }
        }
    }
    last
}

#[rustfmt::skip]
pub(crate) const ALL: &[Attempt] = &[
    Attempt::refused("parent-read-account-key", "the account key, by way of ..", OUT, |t| from_each(|d| read(d, &up(&t.account_key)))).only(has_paths),
    Attempt::refused("parent-read-outside", "any file, by way of ..", OUT, |t| from_each(|d| read(d, &up(&t.outside.join("readable"))))).only(has_paths),
    Attempt::refused("parent-write-outside", "to write any file, by way of ..", OUT, |t| from_each(|d| open_beneath(d, up(&t.outside.join("writable")), O_WRONLY))).only(has_paths).by_landlock(),
    Attempt::refused("parent-create-outside", "to create any file, by way of ..", OUT, |t| from_each(|d| open_beneath(d, up(&t.outside.join("attack-up")), O_WRONLY | O_CREAT | O_EXCL))).only(has_paths).by_landlock(),
    Attempt::refused("parent-directory-outside", "a directory anywhere, by way of ..", OUT, |t| from_each(|d| got(path_call("mkdirat", d, &up(&t.outside.join("attack-up-dir")), &[0o700])))).only(has_paths).by_landlock(),
    Attempt::refused("parent-remove-outside", "a file to be gone, by way of ..", OUT, |t| from_each(|d| got(path_call("unlinkat", d, &up(&t.outside.join("removable")), &[0])))).only(has_paths).by_landlock(),
    Attempt::refused("parent-list-outside", "names of files, by way of ..", OUT, |t| from_each(|d| open_beneath(d, up(&t.outside), O_RDONLY | O_DIRECTORY))).only(has_paths).by_landlock(),
    Attempt::refused("parent-list-root", "names of files in the root directory", OUT, |_| from_each(|d| open_beneath(d, up(Path::new("/")), O_RDONLY | O_DIRECTORY))).only(has_paths).by_landlock(),
    Attempt::refused("parent-look-outside", "whether a file is there, by way of ..", OUT, |t| from_each(|d| got(path_call("faccessat", d, &up(&t.outside.join("readable")), &[0])))).only(has_paths).unclaimed(|_| Some(LOOKS)),
    Attempt::refused("parent-handle-outside", "a bare handle on a file, by way of ..", OUT, |t| from_each(|d| open_beneath(d, up(&t.outside.join("readable")), libc::O_PATH))).only(has_paths).unclaimed(|_| Some(LOOKS)),
    Attempt::refused("parent-write-passwd", "a user of its own, by way of ..", OUT, |_| from_each(|d| open_beneath(d, up(Path::new("/etc/passwd")), O_WRONLY))).only(has_paths),
    Attempt::refused("parent-memory-of-role", "another role's memory, by way of ..", OUT, |t| from_each(|d| open_beneath(d, up(Path::new(&format!("/proc/{}/mem", t.siblings.first().copied().unwrap_or(1)))), O_WRONLY))).only(has_paths),
    Attempt::refused("parent-own-memory", "its own code, by way of ..", OUT, |_| from_each(|d| open_beneath(d, up(Path::new("/proc/self/mem")), O_WRONLY))).only(has_paths),
    Attempt::refused("link-absolute", "to write any file, by a link with an absolute path", &[EACCES, ENOENT, ELOOP], |t| with_link(&t.outside.join("writable"), |d, name| open_beneath(d, name, O_WRONLY))).only(has_paths),
    Attempt::refused("link-with-parents", "to write any file, by a link with ..", &[EACCES, ENOENT, ELOOP], |t| with_link(&up(&t.outside.join("writable")), |d, name| open_beneath(d, name, O_WRONLY))).only(has_paths).by_landlock(),
    Attempt::refused("link-to-new-file", "to create any file, by a link", &[EACCES, ENOENT, ELOOP], |t| with_link(&up(&t.outside.join("attack-linked")), |d, name| open_beneath(d, name, O_WRONLY | O_CREAT))).only(has_paths).by_landlock(),
    Attempt::refused("link-to-directory", "to create files anywhere, beneath a link", &[EACCES, ENOENT, ELOOP], |t| with_link(&up(&t.outside), |d, name| open_beneath(d, name.join("attack-beneath"), O_WRONLY | O_CREAT | O_EXCL))).only(has_paths).by_landlock(),
    Attempt::refused("link-read", "to read any file, by a link", &[EACCES, ENOENT, ELOOP], |t| with_link(&up(&t.account_key), read)).only(has_paths),
    Attempt::refused("link-to-descriptor", "to open what it holds once more", &[EACCES, ENOENT, ELOOP], |_| with_link(Path::new("/proc/self/fd/2"), |d, name| open_beneath(d, name, O_RDWR))).only(has_paths),
    Attempt::refused("hard-link-in", "a foreign file under a name of its own", OUT, |t| from_each(|d| got(two_paths("linkat", (d, &up(&t.outside.join("writable"))), (d, Path::new("attack-hard")), &[0])))).only(has_paths).by_landlock(),
    Attempt::refused("hard-link-of-account-key", "the account key under a name of its own", OUT, |t| from_each(|d| got(two_paths("linkat", (d, &up(&t.account_key)), (d, Path::new("attack-key")), &[0])))).only(has_paths),
    Attempt::refused("hard-link-of-handle", "a foreign file by its bare handle", OUT, |t| from_each(|d| match open_at(d, &up(&t.outside.join("writable")), libc::O_PATH, 0) {
        Some(Ok(handle)) => {
            let linked = two_paths("linkat", (handle, Path::new("")), (d, Path::new("attack-handle")), &[int(libc::AT_EMPTY_PATH)]);
            let _ = call("close", &[handle]);
            got(linked)
        }
        other => got(other),
    })).only(has_paths),
    Attempt::refused("hard-link-out", "its file outside", OUT, |t| with_file(|d, _| got(two_paths("linkat", (d, Path::new("attack-own")), (d, &up(&t.outside.join("attack-out"))), &[0])))).only(has_paths).by_landlock(),
    Attempt::refused("move-out", "its file outside", OUT, |t| with_file(|d, _| {
        let to = up(&t.outside.join("attack-moved"));
        let moved = two_paths("renameat", (d, Path::new("attack-own")), (d, &to), &[]);
        got(moved.or_else(|| two_paths("renameat2", (d, Path::new("attack-own")), (d, &to), &[0])))
    })).only(has_paths).by_landlock(),
    Attempt::refused("move-in", "a foreign file in its directory", OUT, |t| from_each(|d| {
        let from = up(&t.outside.join("removable"));
        let moved = two_paths("renameat", (d, &from), (d, Path::new("attack-in")), &[]);
        got(moved.or_else(|| two_paths("renameat2", (d, &from), (d, Path::new("attack-in")), &[0])))
    })).only(has_paths).by_landlock(),
    Attempt::refused("exchange", "its file in the place of a foreign one", OUT, |t| with_file(|d, _| got(two_paths("renameat2", (d, Path::new("attack-own")), (d, &up(&t.outside.join("writable"))), &[2])))).only(has_paths).by_landlock(),
    Attempt::refused("own-set-id-file", "a file that runs as its owner", &[EACCES, EPERM], |_| from_each(|d| {
        let made = open_at(d, Path::new("attack-set-id"), O_WRONLY | O_CREAT | O_EXCL, 0o6755);
        if matches!(made, Some(Ok(_))) {
            let _ = path_call("unlinkat", d, Path::new("attack-set-id"), &[0]);
        }
        got_descriptor(made, "it was created")
    })).only(has_paths),
    Attempt::refused("set-id-later", "a file that runs as its owner, by fchmod", &[EPERM], |_| with_file(|_, file| got(call("fchmod", &[file, 0o4755])))).only(has_paths),
    Attempt::refused("set-id-behind-high-bits", "a file that runs as its owner, past a filter that compares too much", &[EPERM], |_| with_file(|_, file| got(call("fchmod", &[file, (1 << (usize::BITS - 1)) | 0o2755])))).only(has_paths),
    Attempt::refused("set-id-by-path", "a file that runs as its owner, by path", &[EACCES, libc::ENOSYS], |_| with_file(|d, _| got(path_call("fchmodat", d, Path::new("attack-own"), &[0o4755])))).only(has_paths),
    Attempt::refused("give-away", "a file that belongs to root", &[EPERM], |_| with_file(|_, file| got(either(&["fchown32", "fchown"], &[file, 0, 0])))).only(has_paths),
    Attempt::refused("capability-of-file", "a file that runs with capabilities", &[EACCES], |_| with_file(|_, file| {
        let (name, value) = (c"security.capability", [1_u8; 20]);
        got(call("fsetxattr", &[file, at(name), at(&value), value.len(), 0]))
    })).only(has_paths),
    Attempt::refused("own-pipe", "a pipe in its directory, for others to open", &[EPERM], |_| from_each(|d| got(path_call("mknodat", d, Path::new("attack-pipe"), &[0o010_600, 0])))).only(has_paths),
    Attempt::refused("own-device", "a device in its directory", &[EPERM], |_| from_each(|d| got(path_call("mknodat", d, Path::new("attack-device"), &[0o020_600, 0x101])))).only(has_paths),
    Attempt::refused("read-own-file", "to read what it has written", &[EACCES], |_| with_file(|d, _| read(d, Path::new("attack-own")))).only(has_paths),
    Attempt::refused("read-and-write-own-file", "to read what it has written, by opening it for both", &[EACCES], |_| with_file(|d, _| open_beneath(d, "attack-own", O_RDWR))).only(has_paths),
    Attempt::refused("read-through-descriptor", "to read by a descriptor that was opened for writing", &[EBADF], |_| with_file(|_, file| {
        let mut buffer = [0_u8; 16];
        got(call("read", &[file, at_mut(&mut buffer), buffer.len()]))
    })).only(has_paths),
    Attempt::refused("map-own-file", "to read by mapping", &[EACCES], |_| with_file(|_, file| got(map_memory(&[0, PAGE, 1, 1, file, 0])))).only(has_paths),
    Attempt::refused("device-mode", "access mode 3, a leftover for device drivers", &[EACCES], |_| with_file(|d, _| open_beneath(d, "attack-own", 3))).only(has_paths),
    Attempt::refused("huge-file", "the disk to be full, by one large file", &[EFBIG], |_| with_file(|_, file| {
        let far: i32 = 1 << 30;
        got(call("ftruncate", &[file, int(far)]))
    })).only(has_paths),
    Attempt::refused("huge-file-at-once", "the disk to be full, by room set aside", &[EFBIG, libc::EOPNOTSUPP], |_| with_file(|_, file| got(call("fallocate", &[file, 0, 0, 1 << 30])))).only(|t| t.has_paths() && cfg!(target_pointer_width = "64")),
    Attempt::refused("read-own-keys", "a certificate's key, from the directory that is its own", &[EACCES, ENOENT], |t| from_each(|d| read(d, &up(&t.other_key)))).only(|t| t.is(&["key", "store"])),
    Attempt::refused("remove-certificate-key", "a certificate's key to be gone", &[EACCES, EPERM], removable).only(|t| t.is(&["key", "store"])).unclaimed(|t| {
        if t.is(&["key"]) {
            return Some("files beneath archive are key's to create, and so to remove; none to read");
        }
        (!t.root).then_some("without root, store and key are one user: files beneath archive can be removed")
    }),
    Attempt::refused("chroot-and-climb", "another root directory, to climb out of", &[EPERM], |_| from_each(|d| {
        let made = path_call("mkdirat", d, Path::new("attack-root"), &[0o700]);
        let changed = got(call("chroot", &[at(c"attack-root")]));
        if matches!(made, Some(Ok(_))) {
            let _ = path_call("unlinkat", d, Path::new("attack-root"), &[int(libc::AT_REMOVEDIR)]);
        }
        changed
    })).only(has_paths),
    Attempt::refused("enter-held-directory", "paths to start in a directory held from before the change of root", &[EACCES], |_| from_each(|d| got(call("fchdir", &[d])))).only(has_paths),
    Attempt::refused("any-directory", "a directory held by mistake", &[EBADF], |_| match directories().as_slice() {
        [] => Got::Refused(EBADF),
        held => Got::Won(format!("descriptors {held:?} are directories")),
    }).only(|t| t.is(&["net", "dial", "account"])),
];

/// Whether another certificate's key could be renamed, and so removed: to itself, so that nothing is lost.
fn removable(target: &Target) -> Got {
    let key = up(&target.other_key);
    let away = up(&target.other_key.with_extension("attack"));
    from_each(|d| {
        let rename = |from: &Path, to: &Path| {
            two_paths("renameat", (d, from), (d, to), &[]).or_else(|| two_paths("renameat2", (d, from), (d, to), &[0]))
        };
        let renamed = rename(&key, &away);
        if matches!(renamed, Some(Ok(_))) {
            let _ = rename(&away, &key);
        }
        got(renamed)
    })
}
