//! Packages of any suite and architecture of Debian, from the mirror that this machine is set up with.
//!
//! Each suite and architecture has an apt of its own, with its own lists: this machine's is not touched, and nothing is ever
//! installed. What was fetched once is not fetched again until somebody asks for newer packages (`--refresh`).

use std::fs;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child::{self, ending};
use crate::error::{At as _, Error, Result};
use crate::place::Place;

/// How long the mirror may take for a list or a package.
const PATIENCE: Duration = Duration::from_secs(300);

/// A suite, for an architecture.
#[derive(Debug)]
pub(crate) struct Suite<'a> {
    place: &'a Place,
    name: &'a str,
    arch: &'a str,
}

impl<'a> Suite<'a> {
    /// The suite of that name, for Debian's name of an architecture.
    pub(crate) fn new(place: &'a Place, name: &'a str, arch: &'a str) -> Self {
        Self { place, name, arch }
    }

    /// The file of a package, fetched if it is not there.
    pub(crate) fn package(&self, package: &str) -> Result<PathBuf> {
        let kept = self.place.cached(&format!("debs/{}-{}", self.name, self.arch))?;
        if let Some(file) = file_of(&kept, package) {
            return Ok(file);
        }
        self.list()?;
        // What comes half-way never has its name.
        let fresh = tempfile::tempdir_in(&kept).at(&kept)?;
        let log = self.place.log(&format!("fetch-{}-{}-{package}", self.name, self.arch))?;
        let mut apt = self.apt("apt-get")?;
        apt.current_dir(fresh.path()).args(["download", package]);
        child::succeeds(&mut apt, &log, PATIENCE)
            .map_err(|error| Error::new(format!("{package} of {} {} cannot be had: {error}", self.name, self.arch)))?;
        let fetched = file_of(fresh.path(), package);
        let fetched = fetched.ok_or_else(|| Error::new(format!("apt-get fetched {package} and left no file")))?;
        let file = kept.join(fetched.file_name().unwrap_or_default());
        fs::rename(&fetched, &file).at(&file)?;
        Ok(file)
    }

    /// The packages that one depends on.
    pub(crate) fn depends(&self, package: &str) -> Result<Vec<String>> {
        self.list()?;
        let said = child::output(self.apt("apt-cache")?.args(["show", "--no-all-versions", package]))?;
        let text = String::from_utf8_lossy(&said).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("Depends:")).unwrap_or_default();
        Ok(line.split(',').filter_map(|word| word.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// Forgets what was fetched.
    pub(crate) fn forget(place: &Place) -> Result<()> {
        for name in ["debs", "apt", "kernels", "libraries", "qemu"] {
            let path = place.cache.join(name);
            if path.exists() {
                fs::remove_dir_all(&path).at(&path)?;
            }
        }
        Ok(())
    }

    fn state(&self) -> Result<PathBuf> {
        self.place.cached(&format!("apt/{}-{}", self.name, self.arch))
    }

    /// Fetches the list of packages, if there is none.
    fn list(&self) -> Result<()> {
        let state = self.state()?;
        let complete = state.join("complete");
        if complete.exists() {
            return Ok(());
        }
        let mirror = mirror(self.name)?;
        for directory in ["lists/partial", "cache/archives/partial"] {
            let path = state.join(directory);
            fs::create_dir_all(&path).at(&path)?;
        }
        let sources = state.join("sources.list");
        let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
        fs::write(&sources, format!("deb [signed-by={keys}] {mirror} {} main\n", self.name)).at(&sources)?;
        let log = self.place.log(&format!("list-{}-{}", self.name, self.arch))?;
        let mut result = Ok(());
        // A mirror that is being brought up to date has files that do not fit each other, for a while.
        for pause in [0, 3, 10] {
            std::thread::sleep(Duration::from_secs(pause));
            let mut apt = self.apt("apt-get")?;
            apt.args(["-oAPT::Update::Error-Mode=any", "update"]);
            result = child::succeeds(&mut apt, &log, PATIENCE);
            if result.is_ok() {
                return fs::write(&complete, "").at(&complete);
            }
        }
        result.map_err(|error| Error::new(format!("no list of packages of {} {}: {error}", self.name, self.arch)))
    }

    fn apt(&self, program: &str) -> Result<Command> {
        let state = self.state()?;
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").arg("-q");
        let at = |name: &str| state.join(name).display().to_string();
        for option in [
            format!("APT::Architecture={}", self.arch),
            format!("APT::Architectures={}", self.arch),
            format!("Dir::State::Lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            format!("Dir::Etc::SourceList={}", at("sources.list")),
            "Dir::Etc::SourceParts=/nonexistent".to_owned(),
            "Dir::Etc::PreferencesParts=/nonexistent".to_owned(),
            "Dir::State::status=/dev/null".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Acquire::Retries=3".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.arg(format!("-o{option}"));
        }
        Ok(command)
    }
}

/// The file of a package in a directory.
fn file_of(directory: &Path, package: &str) -> Option<PathBuf> {
    let start = format!("{package}_");
    let mut files: Vec<PathBuf> = fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.into_iter().rfind(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(&start) && name.ends_with(".deb")
    })
}

/// The version in the name of a package's file, in which a colon is written as apt does.
pub(crate) fn version(file: &Path) -> String {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split('_').nth(1).unwrap_or("unknown").replace("%3a", ":")
}

/// Unpacks a package, or those of its files whose names fit one of these patterns, if there are any.
pub(crate) fn unpack(package: &Path, into: &Path, only: &[&str]) -> Result<()> {
    fs::create_dir_all(into).at(into)?;
    let mut archive = Command::new("dpkg-deb");
    archive.arg("--fsys-tarfile").arg(package).stdout(std::process::Stdio::piped());
    let mut errors = tempfile::tempfile().at(into)?;
    archive.stderr(errors.try_clone().at(into)?);
    let mut archive = archive.spawn().map_err(|error| Error::new(format!("dpkg-deb cannot be started: {error}")))?;
    let mut tar = Command::new("tar");
    // Newer suites have /lib as a link to /usr/lib, and older packages bring /lib.
    tar.env("LC_ALL", "C").args(["--extract", "--keep-directory-symlink", "--no-same-owner", "--directory"]).arg(into);
    if !only.is_empty() {
        tar.arg("--wildcards").args(only);
    }
    tar.args(["--exclude=./usr/share/doc/*", "--exclude=*/gconv/*", "--exclude=./usr/share/locale/*"]);
    if let Some(stream) = archive.stdout.take() {
        tar.stdin(stream);
    }
    let output = tar.output().map_err(|error| Error::new(format!("tar cannot be started: {error}")))?;
    let unpacked = archive.wait().is_ok_and(|status| status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // A pattern that nothing fits is no mistake here: whoever asked sees what is there.
    let mut complaints = said.lines().filter(|line| {
        let missing = line.ends_with(": Not found in archive") && !only.is_empty();
        !missing && !line.contains("Exiting with failure status due to previous errors")
    });
    let complaint = complaints.next().map(str::to_owned);
    let complaint = complaint.or_else(|| (only.is_empty() && !output.status.success()).then(|| ending(output.status)));
    let mut unreadable = String::new();
    errors.rewind().and_then(|()| errors.read_to_string(&mut unreadable)).at(into)?;
    let unreadable = unreadable.lines().next().unwrap_or("dpkg-deb could not read it").to_owned();
    match (!unpacked).then_some(unreadable).or(complaint) {
        Some(complaint) => Err(Error::new(format!("{} cannot be unpacked: {complaint}", package.display()))),
        None => Ok(()),
    }
}

/// The mirror that this machine has its packages from (sources.list(5), in either form).
fn mirror(suite: &str) -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    let found = texts.collect::<Vec<_>>().iter().find_map(|text| mirror_in(text));
    let mirror =
        found.ok_or_else(|| Error::new("this machine has no mirror of Debian: /etc/apt/sources.list names none"))?;
    // The mirrors of security updates stand beside the others.
    if suite.ends_with("-security") {
        return Ok(format!("{}-security", mirror.trim_end_matches('/')));
    }
    Ok(mirror)
}

fn mirror_in(sources: &str) -> Option<String> {
    let words = sources
        .lines()
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
        .flat_map(str::split_whitespace);
    let mut places = words.filter(|word| word.contains("://"));
    places
        .find(|place| place.trim_end_matches('/').ends_with("/debian"))
        .map(|place| place.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn mirrors_are_found_in_both_forms() {
        let new = "Types: deb\nURIs: http://mirror.test/debian/\nSuites: bookworm\n";
        let old = "# deb http://no.test/debian x\ndeb [signed-by=/k] http://mirror.test/debian-security x main\n\
                   deb http://mirror.test/debian bookworm main\n";
        for text in [new, old] {
            assert_eq!(mirror_in(text).as_deref(), Some("http://mirror.test/debian"));
        }
        assert_eq!(mirror_in("deb cdrom:[Debian]/ bookworm main\n"), None);
    }

    #[test]
    fn a_package_that_is_cut_off_is_not_taken_for_one_without_such_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let (tree, package) = (directory.path().join("tree"), directory.path().join("a.deb"));
        fs::create_dir_all(tree.join("DEBIAN")).expect("made");
        fs::create_dir_all(tree.join("boot")).expect("made");
        fs::write(
            tree.join("DEBIAN/control"),
            "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: n\nDescription: d\n",
        )
        .expect("written");
        // What cannot be packed well, so that there is something to cut off.
        let mut bytes = Vec::new();
        for n in 0..4000_u32 {
            bytes.extend(Sha256::digest(n.to_be_bytes()));
        }
        fs::write(tree.join("boot/vmlinuz"), &bytes).expect("written");
        child::output(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&package))
            .expect("built");
        let into = directory.path().join("into");
        assert_eq!(unpack(&package, &into, &["*vmlinu*", "*none*"]), Ok(()));
        assert_eq!(fs::read(into.join("boot/vmlinuz")).expect("unpacked"), bytes);
        let whole = fs::read(&package).expect("read");
        fs::write(&package, &whole[..whole.len() / 2]).expect("cut");
        assert!(unpack(&package, &into, &["*vmlinu*"]).is_err());
    }

    #[test]
    fn versions_are_read_from_names() {
        assert_eq!(version(Path::new("/x/libc6_2.36-9+deb12u10_amd64.deb")), "2.36-9+deb12u10");
        assert_eq!(version(Path::new("qemu-system-mips_1%3a10.0.2_amd64.deb")), "1:10.0.2");
    }

    #[test]
    fn the_newest_file_of_a_package_is_found_and_no_other_package() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["musl_1.2.3-1_amd64.deb", "musl_1.2.5-1_amd64.deb", "musl-tools_1.2.5-1_amd64.deb", "musl_9.part"]
        {
            fs::write(directory.path().join(name), "").expect("written");
        }
        let file = file_of(directory.path(), "musl").expect("a file");
        assert!(file.ends_with("musl_1.2.5-1_amd64.deb"), "{}", file.display());
        assert_eq!(file_of(directory.path(), "libc6"), None);
    }
}
