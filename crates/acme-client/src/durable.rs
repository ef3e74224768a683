//! Files that are whole or not there, whatever happens in between.
//!
//! A file is written under another name, brought to the disk, and renamed. What was there before stays until then, and
//! a run that is killed, or a disk that is full, leaves nothing half written under a name that anybody reads.

use std::io;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// Opens a directory to work in.
pub(crate) fn directory(path: &std::path::Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Writes the file `name` in `directory`, with this mode from the first instant.
pub(crate) fn write(directory: BorrowedFd<'_>, name: &str, mode: Mode, content: &[u8]) -> io::Result<()> {
    let new = format!("{name}.new");
    let file = create(directory, &new, mode)?;
    let written = write_all(&file, content).and_then(|()| Ok(rustix::fs::fsync(&file)?));
    let renamed = written.and_then(|()| Ok(rustix::fs::renameat(directory, new.as_str(), directory, name)?));
    if renamed.is_err() {
        // Leave nothing behind; if this fails as well the next run clears it away.
        let _ = rustix::fs::unlinkat(directory, new.as_str(), AtFlags::empty());
    }
    renamed
}

/// Brings what has been created, renamed and removed in a directory to the disk.
pub(crate) fn sync(directory: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::fs::fsync(directory)?)
}

/// Sees that files can be made, written, renamed and removed here. The file has no name, so that nothing is left behind
/// whenever this ends, and several can do it at the same time.
pub(crate) fn try_out(directory: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let made = match rustix::fs::openat(directory, ".", flags, Mode::RUSR | Mode::WUSR) {
        // Some file systems have no files without a name: there it has one for a moment.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => named(directory)?,
        made => made?,
    };
    write_all(&made, b"{}")?;
    // Standard error is a pipe, which has nothing to be brought to a disk. The disk itself would take its time.
    if let Err(error @ (Errno::PERM | Errno::NOSYS)) = rustix::fs::fsync(rustix::stdio::stderr()) {
        return Err(error.into());
    }
    // Names that nobody has: that they are not there is found out by calls that are permitted.
    let absent = [".canary-of-nobody", ".canary-of-nobody.new"];
    match rustix::fs::renameat(directory, absent[1], directory, absent[0]) {
        Ok(()) | Err(Errno::NOENT) => remove(directory, absent[0]),
        Err(error) => Err(error.into()),
    }
}

/// The same in a copy of the process, whose words go into records: without paths, which have names in them.
pub(crate) fn canary(directory: BorrowedFd<'_>) -> Result<(), String> {
    try_out(directory).map_err(|error| format!("cannot write in its directory: {}", crate::error::reason(&error)))
}

fn named(directory: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let name = format!(".canary-{}", std::process::id());
    let file = create(directory, &name, Mode::RUSR | Mode::WUSR)?;
    remove(directory, &name)?;
    Ok(file)
}

/// Removes a file. One that is not there is as good.
pub(crate) fn remove(directory: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Creates a file that was not there. What a killed run has left under this name is removed first.
pub(crate) fn create(directory: BorrowedFd<'_>, name: &str, mode: Mode) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, mode) {
        Err(Errno::EXIST) => {
            remove(directory, name)?;
            Ok(rustix::fs::openat(directory, name, flags, mode)?)
        }
        other => Ok(other?),
    }
}

/// Writes all of it.
pub(crate) fn write_all(file: &OwnedFd, mut content: &[u8]) -> io::Result<()> {
    while !content.is_empty() {
        match rustix::io::write(file, content) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => content = content.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
