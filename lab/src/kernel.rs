//! Kernels of Debian: fetched, unpacked, and never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cells::Boot;
use crate::debian::{self, Suite};
use crate::error::{At as _, Error, Result};
use crate::place::{Kept, Place};

/// A kernel that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// Its image.
    pub(crate) image: PathBuf,
    /// The version of its package.
    pub(crate) version: String,
}

/// Has the kernel of a machine.
pub(crate) fn have(place: &Place, boot: &Boot) -> Result<Kernel> {
    let directory = place.cached("kernels")?.join(format!("{}-{}-{}", boot.debian, boot.suite, boot.package));
    let there = || {
        let (image, version) = (directory.join("image"), fs::read_to_string(directory.join("version")));
        version.ok().filter(|_| image.exists()).map(|version| Kernel { image, version })
    };
    if let Some(kernel) = there() {
        return Ok(kernel);
    }
    let _lock = place.lock(Kept::Packages)?;
    // Whoever had the lock may have fetched it.
    if let Some(kernel) = there() {
        return Ok(kernel);
    }
    let suite = Suite::new(place, &boot.suite, &boot.debian);
    let mut name = boot.package.clone();
    if !names_a_version(&name) {
        let depends = suite.depends(&name)?;
        let image = depends.into_iter().find(|name| name.starts_with("linux-image-") && names_a_version(name));
        name = image
            .ok_or_else(|| Error::new(format!("{name} of {} {} stands for no kernel", boot.suite, boot.debian)))?;
    }
    let scratch = tempfile::tempdir_in(&place.cache).at(&place.cache)?;
    // From Linux 7 on the image itself is in a package that the other depends on.
    for package in [name.clone(), name.replace("linux-image", "linux-binary")] {
        let Ok(file) = suite.package(&package) else {
            if package == name {
                suite.package(&package)?;
            }
            break;
        };
        debian::unpack(&file, scratch.path(), &["*vmlinu*"])?;
        if let Some(found) = found(&scratch.path().join("boot")).or_else(|| found(scratch.path())) {
            let bytes = fs::read(&found).at(&found)?;
            let bytes = payload(bytes, scratch.path())?;
            // Whole or not there.
            let finished = tempfile::tempdir_in(place.cached("kernels")?).at(&place.cache)?;
            let (image, version) = (finished.path().join("image"), finished.path().join("version"));
            fs::write(&image, bytes).at(&image)?;
            fs::write(&version, format!("{name} {}", debian::version(&file))).at(&version)?;
            if directory.exists() {
                fs::remove_dir_all(&directory).at(&directory)?;
            }
            fs::rename(finished.keep(), &directory).at(&directory)?;
            return there().ok_or_else(|| Error::new(format!("{} is gone again", directory.display())));
        }
    }
    Err(Error::new(format!("there is no image in {name} of {} {}", boot.suite, boot.debian)))
}

/// Whether this is the package of one kernel, and not one that follows the newest.
fn names_a_version(package: &str) -> bool {
    // `686-pae` is a kind of processor.
    let rest = package.strip_prefix("linux-image-").and_then(|rest| rest.split_once('.'));
    rest.is_some_and(|(first, _)| !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The image beneath a directory.
fn found(directory: &Path) -> Option<PathBuf> {
    for entry in fs::read_dir(directory).ok()?.flatten() {
        let (path, kind) = (entry.path(), entry.file_type().ok()?);
        if kind.is_dir() {
            if let Some(path) = found(&path) {
                return Some(path);
            }
        } else if kind.is_file() && entry.file_name().to_string_lossy().starts_with("vmlinu") {
            return Some(path);
        }
    }
    None
}

/// The kernel inside an image that only firmware can unpack (Linux's `drivers/firmware/efi/libstub/zboot-header.S`): bytes 4 to 7
/// say so, then there are the offset and the length of what is in it, and at 24 how it is packed.
fn payload(image: Vec<u8>, scratch: &Path) -> Result<Vec<u8>> {
    if image.get(..2) != Some(b"MZ") || image.get(4..8) != Some(b"zimg") {
        return Ok(image);
    }
    let number = |at: usize| -> Option<usize> {
        let bytes = image.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let broken = || Error::new("the kernel's image is cut off");
    let (offset, length) = number(8).zip(number(12)).ok_or_else(broken)?;
    let kind: Vec<u8> = image.iter().skip(24).take_while(|byte| byte.is_ascii_alphanumeric()).copied().collect();
    let program = match kind.as_slice() {
        b"gzip" => "gzip",
        b"zstd" | b"zstd22" => "zstd",
        b"xz" | b"xzkern" => "xz",
        _ => {
            return Err(Error::new(format!(
                "the kernel is packed by {}, unknown here",
                String::from_utf8_lossy(&kind)
            )));
        }
    };
    let packed = image.get(offset..offset + length).ok_or_else(broken)?;
    let path = scratch.join("packed");
    fs::write(&path, packed).at(&path)?;
    // The length of what is packed may stand behind it, which these programs complain of when all is done.
    let output = Command::new(program).arg("-dcq").stdin(fs::File::open(&path).at(&path)?).output();
    let output = output.map_err(|error| Error::new(format!("{program} cannot be started: {error}")))?;
    if output.stdout.len() < length {
        return Err(Error::new(format!("{program}: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_follow_the_newest_are_known() {
        assert!(names_a_version("linux-image-6.18.5+deb13-cloud-amd64"));
        assert!(!names_a_version("linux-image-cloud-amd64") && !names_a_version("linux-image-686-pae"));
    }

    #[test]
    fn images_are_unwrapped_and_broken_ones_refused() {
        let scratch = tempfile::tempdir().expect("a directory");
        let plain = b"\x7fELF and so on".to_vec();
        assert_eq!(payload(plain.clone(), scratch.path()).expect("as it is"), plain);
        let mut image = b"MZ\0\0zimg".to_vec();
        image.extend([32_u32.to_le_bytes(), 5_u32.to_le_bytes()].concat());
        image.extend([0; 8]);
        image.extend(b"lzma\0\0\0\0");
        assert!(payload(image.clone(), scratch.path()).expect_err("unknown").to_string().contains("packed by lzma"));
        image.splice(24..28, *b"gzip");
        assert!(payload(image, scratch.path()).expect_err("cut off").to_string().contains("cut off"));
    }
}
