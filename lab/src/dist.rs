//! What is released: a static program for every architecture, its size and its SHA-256; and whether the same sources make the same
//! bytes in another place.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::cross::{self, ARCHES, Arch, Site, Source, Target};
use crate::error::{At as _, Error, Result};
use crate::place::{Kept, Place};

/// The list of sums, as `sha256sum --check` reads it.
const SUMS: &str = "SHA256SUMS";

/// What is asked for.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Dist {
    /// Only for this architecture, by its name or its target (may be given several times)
    #[arg(long = "target", value_name = "NAME")]
    targets: Vec<String>,
    /// Build all again, from nothing and in another place, and compare
    #[arg(long)]
    twice: bool,
}

/// Makes the programs, in `dist` of the checkout, and tells of each. Whether all is well: what goes wrong with one does not keep
/// the others from being made.
pub(crate) fn run(place: &Place, asked: &Dist, say: &dyn Fn(&str)) -> Result<bool> {
    let arches = chosen(&asked.targets)?;
    let _lock = place.lock(Kept::Builds)?;
    let source = Source::read(&place.source)?;
    let version = source.version()?;
    let directory = place.source.join("dist");
    fs::create_dir_all(&directory).at(&directory)?;
    let again = if asked.twice { Some(Again::new(place)?) } else { None };
    let mut well = true;
    say(&format!("{:<36} {:>9}  SHA-256", "", "bytes"));
    for arch in arches {
        let name = format!("acme-client-{version}-{}-linux", arch.name);
        let path = directory.join(&name);
        let made = Target::parse(arch.musl).and_then(|target| {
            let made = make(place, &target, &source, &path).inspect_err(|_| {
                // One that is left from an earlier run would be taken for this one.
                let _ = fs::remove_file(&path);
            })?;
            say(&format!("{name:<36} {made}"));
            match &again {
                Some(again) => again.compare(place, &target, &source, &path),
                None => Ok(()),
            }
        });
        match made {
            Ok(()) if again.is_some() => say(&format!("{:<36} the same bytes when built again elsewhere", "")),
            Ok(()) => {}
            Err(error) => {
                well = false;
                say(&format!("{name:<36} {error}"));
            }
        }
    }
    sums(&directory, &version)?;
    Ok(well)
}

/// The architectures of names, or all.
fn chosen(names: &[String]) -> Result<Vec<&'static Arch>> {
    if names.is_empty() {
        return Ok(ARCHES.iter().collect());
    }
    let chosen = names.iter().map(|name| {
        let known = ARCHES.iter().find(|arch| arch.name == name || arch.musl == name);
        known.ok_or_else(|| {
            let all: Vec<_> = ARCHES.iter().map(|arch| arch.name).collect();
            Error::new(format!("nothing is released for {name}, only for {}", all.join(", ")))
        })
    });
    chosen.collect()
}

/// Builds a program, puts it in its place whole, and gives its size and sum.
fn make(place: &Place, target: &Target, source: &Source, to: &Path) -> Result<String> {
    let program = cross::release(place, &Site::usual(place, target), target, source)?;
    // Added, not `with_extension`: a version has dots, so that would be one name for all architectures.
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let size = fs::copy(program, &unfinished).at(&unfinished)?;
    fs::rename(&unfinished, to).at(to)?;
    Ok(format!("{size:>9}  {}", sum(to)?))
}

/// Another place to build in, with nothing in it, which is gone in the end.
#[derive(Debug)]
struct Again(tempfile::TempDir);

impl Again {
    fn new(place: &Place) -> Result<Self> {
        // Beside the usual one, since it is as large; deeper, so that a path that gets into a program has another length, too.
        tempfile::Builder::new().prefix("built-again-").tempdir_in(&place.cache).at(&place.cache).map(Self)
    }

    fn compare(&self, place: &Place, target: &Target, source: &Source, first: &Path) -> Result<()> {
        let at = |name: &str| self.0.path().join("somewhere/else").join(name);
        let site = Site { source: at("sources"), objects: at("objects"), zig: at("zig") };
        let second = cross::release(place, &site, target, source)?;
        let difference = difference(&fs::read(first).at(first)?, &fs::read(&second).at(&second)?);
        if difference.is_some() {
            // A person will want to look at it.
            let kept = place.cached("differs")?.join(&target.name);
            fs::copy(&second, &kept).at(&kept)?;
        }
        // What was built for this machine is of use to the next target, the rest is not.
        let _ = fs::remove_dir_all(site.objects.join(&target.triple));
        difference.map_or(Ok(()), |difference| Err(Error::new(difference)))
    }
}

/// How two programs differ, if they do.
fn difference(first: &[u8], second: &[u8]) -> Option<String> {
    if first == second {
        return None;
    }
    let at = first.iter().zip(second).position(|(one, other)| one != other);
    let at = at.map_or_else(|| "after the end of one".to_owned(), |at| format!("first at byte {at}"));
    Some(format!("differs when built again: {} and {} bytes, {at}", first.len(), second.len()))
}

fn sum(path: &Path) -> Result<String> {
    Ok(cross::hex(&Sha256::digest(fs::read(path).at(path)?)))
}

/// Writes the sums of all programs of this version that are there, whichever run made them.
fn sums(directory: &Path, version: &str) -> Result<()> {
    let (beginning, mut names) = (format!("acme-client-{version}-"), Vec::new());
    for entry in fs::read_dir(directory).at(directory)? {
        let name = entry.at(directory)?.file_name().to_string_lossy().into_owned();
        if name.starts_with(&beginning) && name.ends_with("-linux") {
            names.push(name);
        }
    }
    names.sort();
    let lines = names.iter().map(|name| Ok(format!("{}  {name}\n", sum(&directory.join(name))?)));
    let lines: String = lines.collect::<Result<_>>()?;
    fs::write(directory.join(SUMS), lines).at(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_released_for_all_nine_architectures() {
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            chosen(&names).map(|arches| arches.iter().map(|arch| arch.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).expect("all").len(), 9);
        assert_eq!(names(&["s390x", "i686-unknown-linux-musl"]), Ok(vec!["s390x", "i686"]));
        let error = names(&["s390x-unknown-linux-gnu"]).expect_err("refused").to_string();
        assert!(error.starts_with("nothing is released for s390x-unknown-linux-gnu, only for x86_64,"), "{error}");
    }

    #[test]
    fn sums_are_of_this_version_alone_and_in_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let put = |name: &str, content: &str| fs::write(directory.path().join(name), content).expect("written");
        put("acme-client-0.2.0-x86_64-linux", "");
        put("acme-client-0.2.0-i686-linux", "abc");
        put("acme-client-0.2.0-i686-linux.unfinished", "ab");
        put("acme-client-0.1.0-i686-linux", "old");
        sums(directory.path(), "0.2.0").expect("summed");
        // The example of FIPS 180, and no bytes at all.
        assert_eq!(
            fs::read_to_string(directory.path().join(SUMS)).expect("sums"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  acme-client-0.2.0-i686-linux\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  acme-client-0.2.0-x86_64-linux\n"
        );
    }

    #[test]
    fn differences_are_told_with_their_place() {
        assert_eq!(difference(b"same", b"same"), None);
        let words = difference(b"abcd", b"abXd").expect("a difference");
        assert_eq!(words, "differs when built again: 4 and 4 bytes, first at byte 2");
        assert!(difference(b"ab", b"abc").expect("a difference").ends_with("2 and 3 bytes, after the end of one"));
    }
}
