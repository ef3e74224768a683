//! A disk of a size of our choosing (tmpfs(5)). Only root can have one.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::statvfs;

/// A file system of its own, gone with this value.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
}

/// What there is little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// Room for so many blocks of 4096 bytes.
    Blocks(u64),
    /// Room for so many files and directories.
    Files(u64),
}

impl Disk {
    /// Mounts it over a directory, which keeps its owner.
    pub(crate) fn mount(path: &Path, owner: u32) -> Self {
        let options = format!("mode=755,uid={owner},gid={owner},size=64m,nr_inodes=10000");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs", path.to_str().expect("text")]);
        Self { path: path.to_owned() }
    }

    /// From now on there is room for no more than that.
    pub(crate) fn leave(&self, scarce: Scarce) {
        let used = statvfs(&self.path).expect("a file system");
        let (blocks, files) = (used.f_blocks - used.f_bfree, used.f_files - used.f_ffree);
        // Neither can be set to nothing at all, which would mean no limit.
        match scarce {
            Scarce::Blocks(free) => self.remount(&format!("size={}", (blocks + free).max(1) * used.f_frsize)),
            Scarce::Files(free) => self.remount(&format!("nr_inodes={}", files + free)),
        }
    }

    /// There is room again, and it can be written to.
    pub(crate) fn restore(&self) {
        self.remount("rw,size=64m,nr_inodes=10000");
    }

    /// Nothing can be written any more.
    pub(crate) fn write_protect(&self) {
        self.remount("ro");
    }

    fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}"), self.path.to_str().expect("text")]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

fn mount(arguments: &[&str]) {
    let output = Command::new("mount").args(arguments).output().expect("mount");
    assert!(output.status.success(), "mount {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
}
