//! Root directories with nothing but a C library in them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::cells::Library;
use crate::debian::{self, Suite};
use crate::error::{At as _, Error, Result};
use crate::place::{Kept, Place};

/// A root directory.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Which library it has.
    pub(crate) version: String,
}

/// Has the root directory for a C library.
pub(crate) fn have(place: &Place, library: &Library, arch: &str) -> Result<Root> {
    let Some(name) = library.suite() else { return bare(place) };
    let all = place.cached("libraries")?;
    let path = all.join(format!("{name}-{arch}-{}", library.family()));
    let version = path.join("etc/version");
    let there = || fs::read_to_string(&version).ok().map(|version| Root { path: path.clone(), version });
    if let Some(root) = there() {
        return Ok(root);
    }
    let _lock = place.lock(Kept::Packages)?;
    // Whoever had the lock may have fetched it.
    if let Some(root) = there() {
        return Ok(root);
    }
    let suite = Suite::new(place, name, arch);
    let scratch = tempfile::tempdir_in(&all).at(&all)?;
    skeleton(scratch.path())?;
    let packages: &[&str] = if library.family() == "musl" { &["musl"] } else { &["libc6", "libgcc-s1"] };
    let mut said = String::new();
    for package in packages {
        let file = suite.package(package)?;
        debian::unpack(&file, scratch.path(), &[])?;
        if said.is_empty() {
            said = format!("{} {}", library.family(), debian::version(&file));
        }
    }
    let stamp = scratch.path().join("etc/version");
    fs::write(&stamp, &said).at(&stamp)?;
    if path.exists() {
        fs::remove_dir_all(&path).at(&path)?;
    }
    fs::rename(scratch.keep(), &path).at(&path)?;
    Ok(Root { path, version: said })
}

/// The root directory of a static program.
fn bare(place: &Place) -> Result<Root> {
    let path = place.cached("libraries")?.join("none");
    skeleton(&path)?;
    Ok(Root { path, version: "musl in the program".to_owned() })
}

/// What a C library and a program expect of a system at least.
fn skeleton(root: &Path) -> Result<()> {
    // Packages of suites after bookworm have everything beneath /usr, those before it do not: both find their places.
    for directory in ["etc", "tmp", "proc", "dev", "t", "usr/lib", "usr/lib64", "usr/lib32"] {
        let path = root.join(directory);
        fs::create_dir_all(&path).at(&path)?;
    }
    for name in ["lib", "lib64", "lib32"] {
        let path = root.join(name);
        if !path.is_symlink() {
            symlink(format!("usr/{name}"), &path).at(&path)?;
        }
    }
    for (name, content) in [
        ("etc/hosts", "127.0.0.1 localhost\n"),
        ("etc/nsswitch.conf", "hosts: files dns\n"),
        ("etc/resolv.conf", "nameserver 127.0.0.1\n"),
    ] {
        let path = root.join(name);
        fs::write(&path, content).at(&path)?;
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(root, mode).at(root)
}

/// For what cannot be had: says which library of which suite it is.
pub(crate) fn missing(library: &Library, arch: &str, error: &Error) -> Error {
    Error::new(format!("{library} for {arch}: {error}"))
}
