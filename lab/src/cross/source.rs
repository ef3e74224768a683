//! What a build is made from: the files of a checkout that can end up in a program, as they are in the working tree.
//!
//! They are copied to a place of the lab's own and built there. So it makes no difference where a checkout is, several of them
//! share what has been built, and what somebody edits during a build is not in half of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::child;
use crate::error::{At as _, Error, Result};

/// What is asked of git. Documents and scripts are not in a program.
const MATTERS: &[&str] = &["Cargo.toml", "Cargo.lock", "crates", "lab/Cargo.toml", "lab/Cargo.lock", "lab/agent"];

/// Without which the manifest of the lab is not one. The manager itself is not built for other machines.
const STAND_IN: (&str, &[u8]) = ("lab/src/main.rs", b"fn main() {}\n");

/// The content of the files, by their paths in the checkout.
#[derive(Debug)]
pub(crate) struct Source(BTreeMap<PathBuf, Vec<u8>>);

impl Source {
    /// Reads a checkout: what is tracked, and what is new and not ignored.
    pub(crate) fn read(checkout: &Path) -> Result<Self> {
        let mut git = Command::new("git");
        git.arg("-C").arg(checkout).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]);
        let listed = child::output(git.args(MATTERS))?;
        let listed = String::from_utf8_lossy(&listed);
        let mut files = BTreeMap::new();
        for name in listed.split('\0').filter(|name| !name.is_empty()) {
            match fs::read(checkout.join(name)) {
                Ok(content) => files.insert(PathBuf::from(name), content),
                // Deleted, and not committed so far.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(Error::file(Path::new(name), &error)),
            };
        }
        if !files.contains_key(Path::new("Cargo.toml")) {
            return Err(Error::new(format!("{} is not a checkout of acme-client", checkout.display())));
        }
        files.insert(STAND_IN.0.into(), STAND_IN.1.to_vec());
        Ok(Self(files))
    }

    /// A name for `recipe` and those of these files that it is about (the lab's own, or all others): another file, name, content or
    /// recipe is another key.
    pub(crate) fn key(&self, lab: bool, recipe: &[&str]) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        add(&recipe.len().to_be_bytes());
        recipe.iter().for_each(|part| add(part.as_bytes()));
        for (path, content) in self.0.iter().filter(|(path, _)| path.starts_with("lab") == lab) {
            add(path.as_os_str().as_encoded_bytes());
            add(content);
        }
        super::hex(&hash.finalize()[..8])
    }

    /// The version of the program.
    pub(crate) fn version(&self) -> Result<String> {
        let manifest = self.0.get(Path::new("Cargo.toml")).map(Vec::as_slice).unwrap_or_default();
        let manifest: toml::Table = toml::from_str(&String::from_utf8_lossy(manifest))
            .map_err(|error| Error::new(format!("Cargo.toml: {error}")))?;
        let version = manifest.get("workspace").and_then(|it| it.get("package")).and_then(|it| it.get("version"));
        let version = version.and_then(toml::Value::as_str).map(str::to_owned);
        version.ok_or_else(|| Error::new("Cargo.toml has no version"))
    }

    /// Makes a directory have these files and no others. Files that are as they should be keep their times, so that what was
    /// built from them stays.
    pub(crate) fn stage(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).at(directory)?;
        self.remove_others(directory, Path::new("")).at(directory)?;
        for (name, content) in &self.0 {
            let path = directory.join(name);
            if fs::read(&path).is_ok_and(|there| there == *content) {
                continue;
            }
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).at(parent)?;
            }
            fs::write(&path, content).at(&path)?;
        }
        Ok(())
    }

    fn remove_others(&self, directory: &Path, below: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(directory.join(below))? {
            let entry = entry?;
            let name = below.join(entry.file_name());
            if !entry.file_type()?.is_dir() {
                if entry.file_type()?.is_symlink() || !self.0.contains_key(&name) {
                    fs::remove_file(entry.path())?;
                }
            } else if self.0.keys().any(|path| path.starts_with(&name)) {
                self.remove_others(directory, &name)?;
            } else {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(files: &[(&str, &str)]) -> Source {
        Source(files.iter().map(|(name, content)| (PathBuf::from(name), content.as_bytes().to_vec())).collect())
    }

    #[test]
    fn every_difference_is_another_key() {
        let key = |files: &[(&str, &str)], recipe: &[&str]| source(files).key(false, recipe);
        let one = key(&[("a", "1"), ("b", "2")], &["x", "y"]);
        assert_eq!(one, key(&[("b", "2"), ("a", "1")], &["x", "y"]));
        assert_eq!(one.len(), 16);
        for other in [
            key(&[("a", "1"), ("b", "3")], &["x", "y"]),
            key(&[("a", "1"), ("c", "2")], &["x", "y"]),
            key(&[("a", "1")], &["x", "y"]),
            key(&[("a", "1b"), ("", "2")], &["x", "y"]),
            key(&[("a", "1"), ("b", "2")], &["x", "z"]),
            key(&[("a", "1"), ("b", "2")], &["xy"]),
            key(&[("a", "1"), ("b", "2")], &["x", "y", "a", "1"]),
        ] {
            assert_ne!(one, other);
        }
        // What is only the lab's makes no other programs, and the other way round.
        let both = source(&[("a", "1"), ("b", "2"), ("lab/agent/a", "3")]);
        assert_eq!(both.key(false, &["x", "y"]), one);
        assert_eq!(both.key(true, &["x"]), source(&[("lab/agent/a", "3")]).key(true, &["x"]));
    }

    #[test]
    fn a_staged_directory_has_these_files_and_no_others_and_keeps_times() {
        let temporary = tempfile::tempdir().unwrap();
        let at = temporary.path().join("src");
        source(&[("Cargo.toml", "one"), ("crates/a/src/lib.rs", "a"), ("crates/b/lib.rs", "b")]).stage(&at).unwrap();
        let time = fs::metadata(at.join("Cargo.toml")).unwrap().modified().unwrap();
        fs::write(at.join("crates/a/build.rs"), "left over").unwrap();
        std::os::unix::fs::symlink("/", at.join("crates/a/link")).unwrap();
        source(&[("Cargo.toml", "one"), ("crates/a/src/lib.rs", "changed")]).stage(&at).unwrap();
        assert_eq!(fs::metadata(at.join("Cargo.toml")).unwrap().modified().unwrap(), time);
        assert_eq!(fs::read(at.join("crates/a/src/lib.rs")).unwrap(), b"changed");
        for gone in ["crates/b", "crates/a/build.rs", "crates/a/link"] {
            assert!(fs::symlink_metadata(at.join(gone)).is_err(), "{gone}");
        }
    }

    #[test]
    fn what_is_new_and_not_committed_counts_and_what_is_ignored_does_not() {
        let temporary = tempfile::tempdir().unwrap();
        let at = temporary.path();
        let put = |name: &str, content: &str| {
            fs::create_dir_all(at.join(name).parent().unwrap()).unwrap();
            fs::write(at.join(name), content).unwrap();
        };
        put("Cargo.toml", "[workspace.package]\nversion = \"1.2.3\"\n");
        put(".gitignore", "target/\n");
        put("crates/a/lib.rs", "a");
        put("crates/target/x", "built");
        put("docs/page.md", "a page");
        child::output(Command::new("git").arg("-C").arg(at).args(["init", "-q"])).unwrap();
        let names = || Source::read(at).unwrap().0.into_keys().map(|it| it.display().to_string()).collect::<Vec<_>>();
        assert_eq!(names(), ["Cargo.toml", "crates/a/lib.rs", "lab/src/main.rs"]);
        child::output(Command::new("git").arg("-C").arg(at).args(["add", "crates"])).unwrap();
        fs::remove_file(at.join("crates/a/lib.rs")).unwrap();
        assert_eq!(names(), ["Cargo.toml", "lab/src/main.rs"]);
        assert_eq!(Source::read(at).unwrap().version().unwrap(), "1.2.3");
        fs::remove_file(at.join("Cargo.toml")).unwrap();
        assert!(Source::read(at).unwrap_err().to_string().contains("not a checkout"));
    }
}
