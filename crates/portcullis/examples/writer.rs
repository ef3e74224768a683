//! A writer in one directory: files are written and put in place beneath it, and nowhere else.
//!
//! The program starts itself again as the writer, which works relative to a handle, so that no path leads out:
//! `cargo run -p portcullis --example writer`.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::Command;

use portcullis::{Layer, PathAccess, Promise, Sandbox};
use rustix::fs::{Mode, OFlags};

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(path) = std::env::args_os().nth(1) {
        return writer(OwnedFd::from(File::open(path)?));
    }
    let path = std::env::temp_dir().join(format!("portcullis-writer-{}", std::process::id()));
    std::fs::create_dir(&path)?;
    let status = Command::new(std::env::current_exe()?).arg(&path).status()?;
    let written = std::fs::read_to_string(path.join("current"));
    std::fs::remove_dir_all(&path)?;
    assert!(status.success(), "the writer ended with {status}");
    assert_eq!(written?, "all or nothing\n");
    Ok(())
}

fn writer(directory: OwnedFd) -> Result<(), Box<dyn Error>> {
    // The sandbox takes one handle, the process keeps another.
    let report = Sandbox::new("writer")
        .promise(Promise::Stdio)
        .promise(Promise::CreatePath)
        .path(directory.try_clone()?, PathAccess::Write)
        .prepare()?
        .seal()?;
    writeln!(std::io::stderr(), "{report}")?;

    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(&directory, "new", flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(b"all or nothing\n")?;
    file.sync_all()?;
    rustix::fs::renameat(&directory, "new", &directory, "current")?;

    // Elsewhere nothing can be made, where the layer for paths holds.
    let elsewhere = rustix::fs::openat(&directory, "../portcullis-elsewhere", flags, Mode::RUSR);
    assert!(elsewhere.is_err() || !report.held(Layer::PATHS));
    Ok(())
}
