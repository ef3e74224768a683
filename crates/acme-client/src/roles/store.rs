//! store: checks certificates and puts them in place.
//!
//! It reads certificate chains, which come from outside, and can write beneath `archive`, `live`, `journal` and
//! `registrations`; it cannot read a single file. What a certificate must look like it knows from the configuration
//! and from key, not from net.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use acme::{Origins, Url};
use portcullis::{PathAccess, Sandbox};
use privsep::{Channel, Never};
use rustix::fs::Mode;
use serde::{Deserialize, Serialize};

use crate::ca::Ca;
use crate::config::Definition;
use crate::crypto::chain::{self, Wanted};
use crate::durable;
use crate::error::{file, reason};
use crate::messages::{Check, FromRole, FromStore, JobId, KeyMade, RoleSetup, ToRole, ToStore, fitting};
use crate::role::{Actor, Control, Links, Stop, Wake};
use crate::roles::Role;
use crate::state::ca_name;
use crate::state::record::{Record, Registration};

/// What store is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoreSetup {
    /// The state directory.
    pub(crate) root: PathBuf,
    /// The CA, which what is remembered must be about.
    pub(crate) ca: Ca,
    /// The certificates of this run.
    pub(crate) jobs: Vec<StoreJob>,
}

/// A certificate of this run, as store sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoreJob {
    /// What it was asked for with.
    pub(crate) definition: Definition,
    /// The generation to be put in place. `None` if the run is about revoking the certificate in use.
    pub(crate) generation: Option<u32>,
    /// From when the certificate in use is valid.
    pub(crate) not_older_than: Option<u64>,
    /// What is known of earlier attempts.
    pub(crate) record: Record,
}

/// The role.
#[derive(Debug)]
pub(crate) struct Store {
    net: Option<Channel<FromStore, ToStore>>,
    keys: Option<Channel<Never, KeyMade>>,
    root: PathBuf,
    /// The name of the CA's files.
    ca: String,
    origins: Origins,
    live: OwnedFd,
    journal: OwnedFd,
    registrations: OwnedFd,
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    job: StoreJob,
    /// The directory of the new generation.
    directory: Option<OwnedFd>,
    /// The public key that the certificate must have.
    public: Option<Vec<u8>>,
}

/// Files that everybody may read.
const PUBLIC: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::ROTH);

impl Actor for Store {
    const ROLE: Role = Role::Store;

    fn acquire(setup: RoleSetup, links: &mut Links, sandbox: Sandbox) -> Result<(Self, Sandbox), Stop> {
        let RoleSetup::Store(StoreSetup { root, ca, jobs }) = setup else {
            return Err(Stop::own("was set up as another role"));
        };
        let open = |part: &str| {
            let path = root.join(part);
            durable::directory(&path).map_err(|error| Stop::Own(file("open", &path, error)))
        };
        let files = u64::try_from(jobs.len() + links.extra.len()).unwrap_or(u64::MAX).saturating_add(32);
        let sandbox = ["archive", "live", "journal", "registrations"]
            .into_iter()
            .try_fold(sandbox, |sandbox, part| Ok::<_, Stop>(sandbox.path(open(part)?, PathAccess::Write)))?;
        let store = Self {
            net: links.take_if(Role::Net),
            keys: links.take_if(Role::Key),
            live: open("live")?,
            journal: open("journal")?,
            registrations: open("registrations")?,
            slots: jobs
                .into_iter()
                .map(|job| Slot::acquire(job, &root))
                .collect::<Result<_, _>>()
                .map_err(Stop::Own)?,
            root,
            ca: ca_name(&ca.directory),
            origins: ca.origins(),
        };
        Ok((store, sandbox.max_open_files(files).max_file_size(4 << 20)))
    }

    fn serve(mut self, control: &Control) -> Result<(), Stop> {
        loop {
            let net = self.net.iter().map(|net| net.as_fd());
            let channels: Vec<_> = net.chain(self.keys.iter().map(|keys| keys.as_fd())).collect();
            match control.wait(&channels, None)? {
                Wake::Order(ToRole::Note(job, text)) => {
                    // The failure is what the user is told; that it cannot be written down as well, for want of room
                    // most likely, would be a second error for one cause.
                    if let Err(text) = self.note(job, text) {
                        control.detail(&text)?;
                    }
                }
                Wake::Order(order) => return Err(Control::unexpected(&order)),
                Wake::Nothing => {}
                Wake::Ready(_) => {
                    self.take_keys()?;
                    self.answer_net(control)?;
                }
            }
        }
    }

    fn canary(&mut self) -> Result<(), String> {
        let own = self.slots.iter().find_map(|slot| slot.directory.as_ref());
        let directory = own.map_or_else(|| self.journal.as_fd(), AsFd::as_fd);
        durable::canary(directory)
    }

    #[cfg(feature = "attacks")]
    fn links(&self) -> crate::attack::Held<'_> {
        self.net.iter().map(|net| (Role::Net, net.as_fd())).collect()
    }

    fn self_test(&mut self) -> Vec<Check> {
        let written = durable::write(self.journal.as_fd(), "self-test", PUBLIC, b"{}")
            .and_then(|()| durable::remove(self.journal.as_fd(), "self-test"));
        let outside = rustix::fs::open("/etc/passwd", rustix::fs::OFlags::RDONLY, Mode::empty());
        vec![
            Check {
                what: "writes, renames and removes in its directories".into(),
                ok: written.is_ok(),
                detail: written.err().map_or_else(|| self.root.display().to_string(), |error| reason(&error)),
            },
            Check {
                what: "cannot open a file outside".into(),
                ok: outside.is_err(),
                detail: outside.err().map_or_else(|| "it could".to_owned(), |error| reason(&error.into())),
            },
        ]
    }
}

impl Slot {
    fn acquire(job: StoreJob, root: &std::path::Path) -> Result<Self, String> {
        let directory = match job.generation {
            Some(generation) => {
                let path = root.join("archive").join(&job.definition.name).join(generation.to_string());
                Some(durable::directory(&path).map_err(|error| file("open", &path, error))?)
            }
            None => None,
        };
        Ok(Self { job, directory, public: None })
    }
}

impl Store {
    fn take_keys(&mut self) -> Result<(), Stop> {
        let Some(keys) = &self.keys else { return Ok(()) };
        while keys.is_ready()? {
            let KeyMade(job, public) = keys.receive(None)?;
            slot(&mut self.slots, job).map_err(Stop::Own)?.public = Some(public);
        }
        Ok(())
    }

    fn answer_net(&mut self, control: &Control) -> Result<(), Stop> {
        let Some(net) = self.net.as_ref() else { return Ok(()) };
        if !net.is_ready()? {
            return Ok(());
        }
        let request = net.receive(None)?;
        let done = match request {
            ToStore::Account(url) => self.register(url),
            ToStore::Journal(job, order) => self.journal(job, &order),
            ToStore::Revoked => self.revoked(),
            ToStore::Install(job, chain) => match self.install(job, &chain) {
                Ok(until) => {
                    control.tell(&FromRole::Committed(job, until))?;
                    Ok(())
                }
                Err(text) => Err(text),
            },
        };
        let answer = done.map_or_else(|text| FromStore::Refused(fitting(&text)), |()| FromStore::Done);
        if let Some(net) = &self.net {
            net.send(&answer)?;
        }
        Ok(())
    }

    /// What is remembered is where the next run begins: no URL of somebody else's.
    fn allow_url(&self, url: &Url) -> Result<(), String> {
        if self.origins.allows(url) { Ok(()) } else { Err(format!("{url} is not at the configured CA")) }
    }

    fn register(&self, account: Url) -> Result<(), String> {
        self.allow_url(&account)?;
        let json =
            serde_json::to_vec_pretty(&Registration { version: 1, account }).map_err(|error| error.to_string())?;
        let name = format!("{}.json", self.ca);
        let directory = self.registrations.as_fd();
        durable::write(directory, &name, PUBLIC, &json)
            .and_then(|()| durable::sync(directory))
            .map_err(|error| file("write", &self.root.join("registrations").join(name), error))
    }

    fn journal(&mut self, job: JobId, order: &Url) -> Result<(), String> {
        self.allow_url(order)?;
        let slot = slot(&mut self.slots, job)?;
        slot.job.record.order = Some(order.as_str().to_owned());
        self.write_record(job)
    }

    fn note(&mut self, job: JobId, text: String) -> Result<(), String> {
        let record = &mut slot(&mut self.slots, job)?.job.record;
        record.failures = record.failures.saturating_add(1);
        record.last_error = Some(text);
        record.last_failure = Some(now());
        self.write_record(job)
    }

    fn revoked(&mut self) -> Result<(), String> {
        let job = &mut slot(&mut self.slots, 0)?.job;
        if job.generation.is_some() {
            return Err("this run is not about revoking a certificate".to_owned());
        }
        job.record.revoked = Some(now());
        self.write_record(0)
    }

    /// The record as it is to be, or none if there is nothing to remember.
    fn write_record(&mut self, job: JobId) -> Result<(), String> {
        let slot = slot(&mut self.slots, job)?;
        let name = format!("{}.json", slot.job.definition.name);
        let directory = self.journal.as_fd();
        let written = if slot.job.record.is_worth_keeping() {
            let json = serde_json::to_vec_pretty(&slot.job.record).map_err(|error| error.to_string())?;
            durable::write(directory, &name, PUBLIC, &json)
        } else {
            durable::remove(directory, &name)
        };
        written
            .and_then(|()| durable::sync(directory))
            .map_err(|error| file("write", &self.root.join("journal").join(name), error))
    }

    /// Checks the chain, writes it beside its key, and makes the new generation the one in use: by one rename, after
    /// everything is on the disk.
    fn install(&mut self, job: JobId, pem: &[u8]) -> Result<u64, String> {
        let slot = slot(&mut self.slots, job)?;
        let name = slot.job.definition.name.clone();
        let (Some(generation), Some(directory)) = (slot.job.generation, &slot.directory) else {
            return Err(format!("no new certificate {name} is part of this run"));
        };
        let public = slot.public.as_deref().ok_or("no key was made for this certificate in this run")?;
        let wanted =
            Wanted { public, names: &slot.job.definition.names, not_older_than: slot.job.not_older_than, now: now() };
        let checked = match chain::check(pem, &wanted) {
            Ok(checked) => checked,
            Err(text) => {
                // The order is of no use any more: the next run makes another.
                slot.job.record.order = None;
                let kept = if slot.job.not_older_than.is_some() {
                    "the certificate in use is kept"
                } else {
                    "nothing was put in place"
                };
                let _ = self.write_record(job);
                return Err(format!("the certificate that the CA sent is not what was asked for: {text}; {kept}"));
            }
        };
        let settings = serde_json::to_vec_pretty(&slot.job.definition).map_err(|error| error.to_string())?;
        let full = format!("{}{}", checked.leaf, checked.issuers);
        let path = self.root.join("archive").join(&name).join(generation.to_string());
        for (part, content) in [
            ("cert.pem", checked.leaf.as_bytes()),
            ("chain.pem", checked.issuers.as_bytes()),
            ("fullchain.pem", full.as_bytes()),
            ("settings.json", &settings),
        ] {
            // A certificate issued by a root has no chain, and an empty file would only be taken for damage.
            if content.is_empty() {
                continue;
            }
            durable::write(directory.as_fd(), part, PUBLIC, content)
                .map_err(|error| file("write", &path.join(part), error))?;
        }
        durable::sync(directory.as_fd()).map_err(|error| file("write", &path, error))?;
        self.point(&name, generation).map_err(|error| file("replace", &self.root.join("live").join(&name), error))?;

        // From here on the certificate is in use, whatever becomes of the rest.
        if let Ok(slot) = self::slot(&mut self.slots, job) {
            slot.job.record = Record::default();
        }
        let _ = self.write_record(job);
        Ok(checked.facts.not_after)
    }

    /// `live/NAME` points to the generation from now on.
    fn point(&self, name: &str, generation: u32) -> std::io::Result<()> {
        let live = self.live.as_fd();
        let new = format!(".{name}.new");
        durable::remove(live, &new)?;
        rustix::fs::symlinkat(format!("../archive/{name}/{generation}"), live, new.as_str())?;
        rustix::fs::renameat(live, new.as_str(), live, name)?;
        durable::sync(live)
    }
}

fn slot(slots: &mut [Slot], job: JobId) -> Result<&mut Slot, String> {
    let found = usize::try_from(job).ok().and_then(|at| slots.get_mut(at));
    found.ok_or_else(|| format!("there is no certificate {job} in this run"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
