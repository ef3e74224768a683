//! The state directory: what is where, and how it is kept whole.
//!
//! ```text
//! accounts/CA/key.pem                    the account key (role account)
//! registrations/CA.json                  the account's URL (role store)
//! archive/NAME/GENERATION/privkey.pem    a certificate's key (role key)
//!                        /{cert,chain,fullchain}.pem, settings.json   (role store)
//! live/NAME -> ../archive/NAME/GENERATION, replaced by one rename (role store)
//! journal/NAME.json                      an order in progress, the last failure (role store)
//! lock/NAME                              locked (flock) while somebody works on the certificate
//! ```
//!
//! Everything here is done by the supervisor before it is sealed; what is done after that, the roles do.

pub(crate) mod record;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use acme::Url;
use portcullis::Identity;
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::config::Definition;
use crate::crypto::chain::{self, Facts};
use crate::error::{Error, Result};
use crate::roles::Role;
use record::{Record, Registration};

/// Generations that are kept: the one in use and those before it.
const KEPT: usize = 5;

/// A state directory.
#[derive(Debug)]
pub(crate) struct State {
    /// Its path.
    pub(crate) root: PathBuf,
    /// The first of the roles' users and groups, if the program was started by root.
    base: Option<u32>,
    /// Whether there are such users to give files to: in some containers root has nobody but itself.
    owners: bool,
}

/// A certificate in use.
#[derive(Debug)]
pub(crate) struct Live {
    /// Its generation.
    pub(crate) generation: u32,
    /// What it says.
    pub(crate) facts: Facts,
    /// What it was asked for with.
    pub(crate) settings: Option<Definition>,
}

/// A generation to be made.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Its number.
    pub(crate) generation: u32,
    /// The order of a run that did not come to its end.
    pub(crate) resume: Option<Url>,
    /// What is known of earlier attempts.
    pub(crate) record: Record,
}

impl State {
    /// The state directory at `root`, whose parts belong to roles if the program was started by root.
    pub(crate) fn new(root: &Path, uid_base: u32) -> Self {
        let base = rustix::process::geteuid().is_root().then_some(uid_base);
        let state = Self { root: root.to_owned(), base, owners: true };
        let ends = [Role::Supervisor, Role::Store].map(|role| state.identity(role));
        let owners =
            ends.iter().flatten().all(|(uid, gid)| portcullis::can_become(Identity { uid: *uid, gid: *gid }).is_ok());
        Self { owners, ..state }
    }

    /// The user and group of a role, if it has some of its own.
    pub(crate) fn identity(&self, role: Role) -> Option<(u32, u32)> {
        let number = self.base?.checked_add(role.spec().user?)?;
        Some((number, number))
    }

    /// Who owns what a role makes, if that is somebody else than who runs the program.
    pub(crate) fn owner(&self, role: Role) -> Option<(u32, u32)> {
        self.identity(role).filter(|_| self.owners)
    }

    /// The directory of a certificate's generation.
    pub(crate) fn generation(&self, name: &str, generation: u32) -> PathBuf {
        self.root.join("archive").join(name).join(generation.to_string())
    }

    /// Makes the directories, each with the owner who works in it.
    pub(crate) fn prepare(&self, directory: &Url) -> Result<()> {
        let store = self.owner(Role::Store);
        make(&self.root, 0o755, None)?;
        make(&self.root.join("accounts"), 0o755, None)?;
        make(&self.root.join("accounts").join(ca_name(directory)), 0o700, self.owner(Role::Account))?;
        make(&self.root.join("archive"), 0o755, None)?;
        make(&self.root.join("lock"), 0o700, None)?;
        for part in ["registrations", "live", "journal"] {
            make(&self.root.join(part), 0o755, store)?;
        }
        Ok(())
    }

    /// Names of the certificates in use.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let path = self.root.join("live");
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file("read", &path, error)),
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The certificate in use under that name. `None` if there is none, or none that is whole.
    pub(crate) fn live(&self, name: &str) -> Result<Option<Live>> {
        let Some(generation) = self.live_generation(name) else { return Ok(None) };
        let directory = self.generation(name, generation);
        let path = directory.join("cert.pem");
        let pem = match fs::read(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", &path, error)),
        };
        if !directory.join("privkey.pem").exists() {
            return Ok(None);
        }
        let facts = chain::facts(&pem).map_err(|text| Error::failed(format!("{}: {text}", path.display())))?;
        let settings = fs::read(directory.join("settings.json")).ok();
        let settings = settings.and_then(|json| serde_json::from_slice(&json).ok());
        Ok(Some(Live { generation, facts, settings }))
    }

    fn live_generation(&self, name: &str) -> Option<u32> {
        let target = fs::read_link(self.root.join("live").join(name)).ok()?;
        target.file_name()?.to_str()?.parse().ok()
    }

    /// What is known of attempts that have not succeeded.
    pub(crate) fn record(&self, name: &str) -> Record {
        read_json(&self.root.join("journal").join(format!("{name}.json"))).unwrap_or_default()
    }

    /// What is known of the account at that CA.
    pub(crate) fn registration(&self, directory: &Url) -> Option<Registration> {
        read_json(&self.root.join("registrations").join(format!("{}.json", ca_name(directory))))
    }

    /// Takes the certificate's lock, which lasts until the last holder of the descriptor ends.
    ///
    /// A run that was killed lets go of it when its processes have noticed, so it is waited for, until `until`. `None`
    /// if somebody still has it then.
    pub(crate) fn lock(&self, name: &str, until: Instant) -> Result<Option<OwnedFd>> {
        let path = self.root.join("lock").join(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| Error::file("open the lock", &path, error))?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(file)),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(Error::file("lock", &path, error)),
            }
        }
    }

    /// How long a run waits for locks, all of them together.
    pub(crate) fn patience() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    /// Prepares the next generation: clears away what a killed run left, unless its order can be gone on with.
    ///
    /// The caller holds the certificate's lock.
    pub(crate) fn begin(&self, definition: &Definition, directory: &Url) -> Result<Pending> {
        let name = &definition.name;
        let home = self.root.join("archive").join(name);
        make(&home, 0o755, None)?;
        let live = self.live_generation(name).unwrap_or(0);
        let mut record = self.record(name);
        // If its key was lost in between, store will not have the certificate, and another order is made.
        let resume = record.resumable(definition, directory, live);
        let generations = generations(&home)?;
        let kept = resume.as_ref().map(|(generation, _)| *generation);
        for generation in generations.iter().filter(|generation| **generation > live && Some(**generation) != kept) {
            clear(&self.generation(name, *generation))?;
        }
        let old: Vec<u32> = generations.into_iter().filter(|generation| *generation <= live).collect();
        for generation in old.iter().rev().skip(KEPT) {
            clear(&self.generation(name, *generation))?;
        }
        let generation = kept.unwrap_or_else(|| live.max(old.last().copied().unwrap_or(0)) + 1);
        record.start(definition, directory, generation, resume.as_ref().map(|(_, order)| order));
        self.make_generation(name, generation)?;
        Ok(Pending { generation, resume: resume.map(|(_, order)| order), record })
    }

    /// The directory of a new generation. Key and store both work in it: it belongs to key and to store's group, and
    /// is sticky, so that store cannot remove or replace what key has put there.
    fn make_generation(&self, name: &str, generation: u32) -> Result<()> {
        let path = self.generation(name, generation);
        let owner = self.owner(Role::Key).zip(self.owner(Role::Store)).map(|(key, store)| (key.0, store.1));
        make(&path, if owner.is_some() { 0o1775 } else { 0o755 }, owner)?;
        for part in ["privkey.pem.new", "cert.pem.new", "chain.pem.new", "fullchain.pem.new", "settings.json.new"] {
            remove(&path.join(part))?;
        }
        Ok(())
    }
}

/// A name for a CA that can be the name of a file: its directory's host and path.
pub(crate) fn ca_name(directory: &Url) -> String {
    let text = directory.as_str().trim_start_matches("https://");
    text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).take(120).collect()
}

/// Makes a directory, or sees that the one that is there has the right owner and mode.
fn make(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|error| Error::file("create the directory", path, error))?;
    let Some((uid, gid)) = owner else { return Ok(()) };
    let failed = |error: io::Error| Error::file("set owner and mode of", path, error);
    // Not through a symbolic link: what it leads to is not ours to give away.
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)
}

fn generations(home: &Path) -> Result<Vec<u32>> {
    let entries = fs::read_dir(home).map_err(|error| Error::file("read", home, error))?;
    let mut numbers: Vec<u32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn clear(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", directory, error)),
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", path, error)),
        _ => Ok(()),
    }
}

/// A file of ours that cannot be read is as good as none: it holds what makes things faster, not what is needed.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
