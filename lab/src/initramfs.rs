//! The file system that a machine is started with (Linux's `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! Not compressed: unpacking it under emulation would take longer than copying it does.

use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::error::{At as _, Error, Result};

/// An archive that is being written.
#[derive(Debug)]
pub(crate) struct Archive<W> {
    into: W,
    inode: u32,
}

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const DEVICE: u32 = 0o020_000;

impl<W: Write> Archive<W> {
    /// Begins one, with the console that process 1 speaks by.
    pub(crate) fn begin(into: W) -> Result<Self> {
        let mut archive = Self { into, inode: 0 };
        archive.directory("dev")?;
        archive.entry("dev/console", DEVICE | 0o600, &[], (5, 1))?;
        Ok(archive)
    }

    /// An empty directory. Those it is in have to be there already.
    pub(crate) fn directory(&mut self, name: &str) -> Result<()> {
        self.entry(name, DIRECTORY | 0o755, &[], (0, 0))
    }

    /// A file with this content.
    pub(crate) fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.entry(name, FILE | mode, content, (0, 0))
    }

    /// A directory with everything in it.
    pub(crate) fn tree(&mut self, name: &str, directory: &Path) -> Result<()> {
        self.directory(name)?;
        let mut entries = fs::read_dir(directory).at(directory)?.collect::<io::Result<Vec<_>>>().at(directory)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            let metadata = fs::symlink_metadata(&path).at(&path)?;
            if metadata.is_dir() {
                self.tree(&name, &path)?;
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).at(&path)?;
                self.entry(&name, LINK | 0o777, target.as_os_str().as_bytes(), (0, 0))?;
            } else {
                self.file(&name, metadata.permissions().mode() & 0o777, &fs::read(&path).at(&path)?)?;
            }
        }
        Ok(())
    }

    /// Ends it.
    pub(crate) fn end(mut self) -> Result<W> {
        self.entry("TRAILER!!!", 0, &[], (0, 0))?;
        self.into.flush().map_err(failed)?;
        Ok(self.into)
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8], device: (u32, u32)) -> Result<()> {
        self.inode += 1;
        let large = |_| Error::new(format!("{name} is too large for an archive"));
        let (size, length) =
            (u32::try_from(content.len()).map_err(large)?, u32::try_from(name.len() + 1).map_err(large)?);
        let links = if mode & 0o170_000 == DIRECTORY { 2 } else { 1 };
        let mut head = b"070701".to_vec();
        for field in [self.inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, length, 0] {
            head.extend(format!("{field:08X}").bytes());
        }
        head.extend(name.bytes());
        head.push(0);
        self.write(&head)?;
        self.write(content)
    }

    /// Everything begins at a multiple of four.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.into.write_all(bytes).map_err(failed)?;
        let padding = bytes.len().next_multiple_of(4) - bytes.len();
        self.into.write_all(&[0; 3][..padding]).map_err(failed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "this is what map_err hands over")]
fn failed(error: io::Error) -> Error {
    Error::new(format!("the file system of a machine cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Whatever reads such archives elsewhere reads ours.
    #[test]
    fn it_is_what_cpio_takes_for_an_archive() {
        let tree = tempfile::tempdir().expect("a directory");
        fs::create_dir(tree.path().join("sub")).expect("made");
        fs::write(tree.path().join("sub/five"), "12345").expect("written");
        std::os::unix::fs::symlink("sub/five", tree.path().join("link")).expect("linked");
        let mut archive = Archive::begin(Vec::new()).expect("begun");
        archive.tree("t", tree.path()).expect("written");
        let bytes = archive.end().expect("ended");
        assert_eq!(bytes.len() % 4, 0);
        let listed = Command::new("cpio").args(["-tv", "--quiet"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut listed) = listed else { return };
        listed.stdin.take().expect("a pipe").write_all(&bytes).expect("written");
        let text = String::from_utf8(listed.wait_with_output().expect("output").stdout).expect("text");
        for line in ["dev/console", "t/sub/five", "t/link -> sub/five"] {
            assert!(text.lines().any(|listed| listed.ends_with(line)), "{line} is missing: {text}");
        }
    }
}
