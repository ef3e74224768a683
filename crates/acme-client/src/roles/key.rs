//! key: makes and holds certificate keys.
//!
//! A key goes from here to its file and nowhere else. What leaves the process is a signing request, for names that the
//! configuration has, and the public key: to account and store directly, so that net cannot replace either.

use std::fs;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use acme::Identifier;
use portcullis::{PathAccess, Sandbox};
use privsep::{Channel, Never};
use rustix::fs::Mode;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::csr;
use crate::crypto::key::{KeyType, PrivateKey};
use crate::durable;
use crate::error::{file, reason};
use crate::messages::{Check, CsrMade, FromKey, JobId, KeyMade, RoleSetup, ToKey, fitting};
use crate::role::{Actor, Control, Links, Stop, Wake};
use crate::roles::Role;

/// What key is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeySetup {
    /// The directory that all keys are beneath.
    pub(crate) archive: PathBuf,
    /// The certificates of this run.
    pub(crate) jobs: Vec<KeyJob>,
}

/// A certificate of this run, as key sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyJob {
    /// The directory of the new generation.
    pub(crate) directory: PathBuf,
    /// The names it is for.
    pub(crate) names: Vec<Identifier>,
    /// The kind of key.
    pub(crate) kind: KeyType,
    /// The directory of an earlier generation whose key is kept.
    pub(crate) reuse: Option<PathBuf>,
}

/// The role.
#[derive(Debug)]
pub(crate) struct Key {
    net: Channel<FromKey, ToKey>,
    account: Channel<CsrMade, Never>,
    store: Channel<KeyMade, Never>,
    /// A certificate whose key cannot be had does not stop the others.
    slots: Vec<Result<Slot, String>>,
}

/// What is held for one certificate.
#[derive(Debug)]
struct Slot {
    /// For the words that people read.
    path: PathBuf,
    directory: OwnedFd,
    names: Vec<Identifier>,
    kind: KeyType,
    key: Option<PrivateKey>,
    /// Whether the key is in its file.
    stored: bool,
}

/// A key's file in its directory.
const FILE: &str = "privkey.pem";

impl Actor for Key {
    const ROLE: Role = Role::Key;

    fn acquire(setup: RoleSetup, links: &mut Links, sandbox: Sandbox) -> Result<(Self, Sandbox), Stop> {
        let RoleSetup::Key(KeySetup { archive, jobs }) = setup else {
            return Err(Stop::own("was set up as another role"));
        };
        let files = u64::try_from(jobs.len()).unwrap_or(u64::MAX).saturating_add(32);
        let slots = jobs.into_iter().map(Slot::acquire).collect();
        let key = Self {
            net: links.take(Role::Net)?,
            account: links.take(Role::Account)?,
            store: links.take(Role::Store)?,
            slots,
        };
        let archive = durable::directory(&archive).map_err(|error| Stop::Own(file("open", &archive, error)))?;
        Ok((key, sandbox.path(archive, PathAccess::Write).max_open_files(files).max_file_size(1 << 20)))
    }

    fn serve(mut self, control: &Control) -> Result<(), Stop> {
        loop {
            match control.wait(&[self.net.as_fd()], None)? {
                Wake::Order(order) => return Err(Control::unexpected(&order)),
                Wake::Nothing => {}
                Wake::Ready(_) => match self.net.receive(None)? {
                    ToKey::Ready(job) => {
                        let ready = self.slot(job).map(|_| FromKey::Ready);
                        self.net.send(&ready.unwrap_or_else(|text| FromKey::Refused(fitting(&text))))?;
                    }
                    ToKey::Csr(job) => self.make(job)?,
                },
            }
        }
    }

    fn canary(&mut self) -> Result<(), String> {
        let signed = PrivateKey::generate(KeyType::P256).and_then(|key| key.sign(b"a canary"));
        signed.map_err(|error| error.to_string())?;
        match self.slots.iter().flatten().next() {
            Some(slot) => durable::canary(slot.directory.as_fd()),
            None => Ok(()),
        }
    }

    #[cfg(feature = "attacks")]
    fn links(&self) -> crate::attack::Held<'_> {
        vec![(Role::Net, self.net.as_fd()), (Role::Account, self.account.as_fd()), (Role::Store, self.store.as_fd())]
    }

    fn self_test(&mut self) -> Vec<Check> {
        let made = PrivateKey::generate(KeyType::P256);
        let mut checks = vec![Check {
            what: "makes a key and signs with it".into(),
            ok: made.as_ref().is_ok_and(|key| key.sign(b"a self-test").is_ok()),
            detail: KeyType::P256.to_string(),
        }];
        for slot in self.slots.iter_mut().flatten() {
            let made = slot.make();
            checks.push(Check {
                what: "writes a key into its directory".into(),
                ok: made.is_ok(),
                detail: made.err().unwrap_or_else(|| slot.path.display().to_string()),
            });
            let read = rustix::fs::openat(&slot.directory, FILE, rustix::fs::OFlags::RDONLY, Mode::empty());
            checks.push(Check {
                what: "cannot read a key back from a file".into(),
                ok: read.is_err(),
                detail: read.err().map_or_else(|| "it could be read".to_owned(), |error| reason(&error.into())),
            });
        }
        checks
    }
}

impl Key {
    fn slot(&mut self, job: JobId) -> Result<&mut Slot, String> {
        let slot = usize::try_from(job).ok().and_then(|at| self.slots.get_mut(at));
        slot.ok_or_else(|| format!("there is no certificate {job} in this run"))?.as_mut().map_err(|text| text.clone())
    }

    fn make(&mut self, job: JobId) -> Result<(), Stop> {
        match self.slot(job).and_then(Slot::make) {
            Ok((csr, public)) => {
                // Before net has it: whoever is asked to do something with it knows already that it is ours.
                self.account.send(&CsrMade(job, csr.clone()))?;
                self.store.send(&KeyMade(job, public))?;
                self.net.send(&FromKey::Csr(csr))?;
            }
            Err(text) => self.net.send(&FromKey::Refused(fitting(&text)))?,
        }
        Ok(())
    }
}

impl Slot {
    fn acquire(job: KeyJob) -> Result<Self, String> {
        let path = job.directory.join(FILE);
        let directory = durable::directory(&job.directory).map_err(|error| file("open", &job.directory, error))?;
        // A key that is there already is of a run that was killed after it had asked for a certificate with it.
        let stored = load(&path)?;
        let kept = match (&stored, &job.reuse) {
            (None, Some(earlier)) => load(&earlier.join(FILE))?.filter(|key| key.kind() == job.kind),
            _ => None,
        };
        let in_file = stored.is_some();
        Ok(Self { path, directory, names: job.names, kind: job.kind, key: stored.or(kept), stored: in_file })
    }

    /// The signing request and the public key, once the key is safely in its file.
    fn make(&mut self) -> Result<(Vec<u8>, Vec<u8>), String> {
        let key = match self.key.take() {
            Some(key) => key,
            None => PrivateKey::generate(self.kind).map_err(|error| error.to_string())?,
        };
        if !self.stored {
            let pem = key.to_pem().map_err(|error| error.to_string())?;
            let directory = self.directory.as_fd();
            durable::write(directory, FILE, Mode::RUSR | Mode::WUSR, pem.as_bytes())
                .and_then(|()| durable::sync(directory))
                .map_err(|error| file("write the key", &self.path, error))?;
            self.stored = true;
        }
        let made = csr::request(&key, &self.names)?;
        let public = key.public_der().map_err(|error| error.to_string())?;
        self.key = Some(key);
        Ok((made, public))
    }
}

/// Reads a key. `None` if there is no such file.
fn load(path: &Path) -> Result<Option<PrivateKey>, String> {
    let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let mut pem = Zeroizing::new(Vec::new());
    match fs::OpenOptions::new().read(true).custom_flags(nofollow).open(path) {
        Ok(opened) => {
            opened.take(64 << 10).read_to_end(&mut pem).map_err(|error| file("read the key", path, error))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file("read the key", path, error)),
    }
    let key = PrivateKey::from_pem(&pem);
    key.map(Some)
        .map_err(|error| format!("{}: {error}. It is left as it is; move it away to have a new key", path.display()))
}
