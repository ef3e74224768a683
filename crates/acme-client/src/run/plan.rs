//! What a run is to do, and what each role is told for it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use acme::{RevocationReason, Url};
use portcullis::Sandbox;

use crate::ca::Ca;
use crate::config::{Config, Definition, INHERITED, Method};
use crate::error::{Error, Result};
use crate::messages::RoleSetup;
use crate::role::restricted;
use crate::roles::Role;
use crate::roles::account::{AccountSetup, Orderable, Purpose};
use crate::roles::challenge::{ChallengeJob, ChallengeSetup};
use crate::roles::dial::DialSetup;
use crate::roles::hook::HookSetup;
use crate::roles::key::{KeyJob, KeySetup};
use crate::roles::net::{NetJob, NetSetup, Work};
use crate::roles::store::{StoreJob, StoreSetup};
use crate::run::crew::Start;
use crate::state::record::Record;
use crate::state::{Live, Pending, State, ca_name};

/// A certificate to be had in this run.
#[derive(Debug)]
pub(crate) struct Job {
    /// What is asked for.
    pub(crate) definition: Definition,
    /// The one in use.
    pub(crate) live: Option<Live>,
    /// The generation to be made.
    pub(crate) pending: Pending,
    /// Its lock.
    pub(crate) lock: OwnedFd,
}

/// What all runs need to know.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// The configuration.
    pub(crate) config: &'a Config,
    /// The state directory.
    pub(crate) state: &'a State,
    /// The CA.
    pub(crate) ca: Ca,
}

impl<'a> Scene<'a> {
    /// The configured one, unless a layer is required that this machine does not have: that is for before anything is
    /// asked or made.
    pub(crate) fn new(config: &'a Config, state: &'a State) -> Result<Self> {
        restricted(Sandbox::new(Role::Supervisor.name()), Role::Supervisor, None, &config.sandbox)
            .check_required()
            .map_err(|error| Error::failed(format!("{error}; nothing was done")))?;
        Ok(Self { config, state, ca: Ca::configured(config)? })
    }

    /// What the roles are told so that certificates are had.
    pub(crate) fn issue(&self, jobs: &[Job], hooks: &[Vec<String>]) -> Result<Vec<Start>> {
        let known = self.known();
        let orderable = jobs.iter().map(|job| Orderable {
            names: job.definition.names.clone(),
            profile: job.definition.profile.clone(),
            replaces: None,
        });
        let net = jobs.iter().map(|job| NetJob {
            names: job.definition.names.clone(),
            resume: job.pending.resume.clone(),
            profile: job.definition.profile.clone(),
        });
        let locks = jobs.iter().map(|job| job.lock.try_clone()).collect::<std::io::Result<_>>();
        let mut starts = vec![
            self.net(known.clone(), Work::Issue(net.collect())),
            self.dial(),
            self.account(known, Purpose::Issue(orderable.collect()), true),
            self.key(jobs),
            self.challenge(jobs)?,
            self.store(jobs.iter().map(store_job).collect(), locks.map_err(|error| no_descriptors(&error))?),
        ];
        if !hooks.is_empty() {
            starts.push(self.hook(jobs, hooks));
        }
        Ok(starts)
    }

    /// What the roles are told so that a certificate is revoked.
    pub(crate) fn revoke(
        &self,
        definition: Definition,
        certificate: Vec<u8>,
        reason: Option<RevocationReason>,
        record: Record,
        lock: OwnedFd,
    ) -> Vec<Start> {
        let known = self.known();
        let job = StoreJob { definition, generation: None, not_older_than: None, record };
        vec![
            self.net(known.clone(), Work::Revoke(certificate.clone(), reason)),
            self.dial(),
            self.account(known, Purpose::Revoke(certificate), false),
            self.store(vec![job], vec![lock]),
        ]
    }

    /// What account is told so that it shows itself.
    pub(crate) fn show_account(&self) -> Vec<Start> {
        vec![self.account(self.known(), Purpose::Show, false)]
    }

    /// The account's URL, if an earlier run has learned it.
    pub(crate) fn known(&self) -> Option<Url> {
        self.state.registration(&self.ca.directory).map(|registration| registration.account)
    }

    fn net(&self, known: Option<Url>, work: Work) -> Start {
        // Roles have no environment; what it says about roots is therefore looked up here.
        let ca_file = self.config.ca_file.clone().or_else(|| std::env::var_os("SSL_CERT_FILE").map(PathBuf::from));
        let setup = RoleSetup::Net(NetSetup {
            ca: self.ca.clone(),
            ca_file,
            contact: self.config.contact.clone(),
            agree_terms: self.config.agree_terms,
            known,
            work,
        });
        Start { role: Role::Net, setup, extra: Vec::new() }
    }

    fn dial(&self) -> Start {
        let setup = RoleSetup::Dial(DialSetup { targets: self.ca.targets() });
        Start { role: Role::Dial, setup, extra: Vec::new() }
    }

    fn account(&self, known: Option<Url>, purpose: Purpose, create: bool) -> Start {
        let setup = RoleSetup::Account(AccountSetup {
            directory: self.state.root.join("accounts").join(ca_name(&self.ca.directory)),
            create,
            owner: self.state.owner(Role::Account),
            ca: self.ca.clone(),
            known,
            contact: self.config.contact.clone(),
            agree_terms: self.config.agree_terms,
            purpose,
        });
        Start { role: Role::Account, setup, extra: Vec::new() }
    }

    fn key(&self, jobs: &[Job]) -> Start {
        let jobs = jobs.iter().map(|job| KeyJob {
            directory: self.state.generation(&job.definition.name, job.pending.generation),
            names: job.definition.names.clone(),
            kind: job.definition.key_type,
            reuse: job
                .live
                .as_ref()
                .filter(|_| job.definition.reuse_key)
                .map(|live| self.state.generation(&job.definition.name, live.generation)),
        });
        let setup = RoleSetup::Key(KeySetup { archive: self.state.root.join("archive"), jobs: jobs.collect() });
        Start { role: Role::Key, setup, extra: Vec::new() }
    }

    fn challenge(&self, jobs: &[Job]) -> Result<Start> {
        let mut webroots: Vec<PathBuf> = Vec::new();
        let mut listen: Vec<String> = Vec::new();
        let mut extra = Vec::new();
        let mut places = Vec::new();
        for job in jobs {
            let webroot = match &job.definition.method {
                Method::Webroot(path) => {
                    let at = webroots.iter().position(|known| known == path).unwrap_or_else(|| {
                        webroots.push(path.clone());
                        webroots.len() - 1
                    });
                    Some(u32::try_from(at).unwrap_or(u32::MAX))
                }
                Method::Standalone(addresses) => {
                    for address in
                        addresses.iter().filter(|address| !listen.contains(address)).cloned().collect::<Vec<_>>()
                    {
                        listen.push(address);
                    }
                    None
                }
            };
            places.push(ChallengeJob { names: job.definition.names.clone(), webroot });
        }
        if listen.iter().any(|address| address == INHERITED) {
            listen.retain(|address| address != INHERITED);
            extra = inherited()?;
        }
        let setup = RoleSetup::Challenge(ChallengeSetup {
            webroots,
            listen,
            sockets: u32::try_from(extra.len()).unwrap_or(0),
            jobs: places,
            owner: self.state.owner(Role::Challenge),
        });
        Ok(Start { role: Role::Challenge, setup, extra })
    }

    fn store(&self, jobs: Vec<StoreJob>, locks: Vec<OwnedFd>) -> Start {
        let setup = RoleSetup::Store(StoreSetup { root: self.state.root.clone(), ca: self.ca.clone(), jobs });
        // The locks last until store, which does the last write of a run, has ended.
        Start { role: Role::Store, setup, extra: locks }
    }

    fn hook(&self, jobs: &[Job], commands: &[Vec<String>]) -> Start {
        let text = |value: std::ffi::OsString| value.into_string().ok();
        let setup = RoleSetup::Hook(HookSetup {
            commands: commands.to_vec(),
            names: jobs.iter().map(|job| job.definition.name.clone()).collect(),
            live: self.state.root.join("live").to_string_lossy().into_owned(),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
                .filter(|(name, _)| !name.starts_with("LISTEN_"))
                .collect(),
        });
        Start { role: Role::Hook, setup, extra: Vec::new() }
    }
}

fn store_job(job: &Job) -> StoreJob {
    StoreJob {
        definition: job.definition.clone(),
        generation: Some(job.pending.generation),
        not_older_than: job.live.as_ref().map(|live| live.facts.not_before),
        record: job.pending.record.clone(),
    }
}

/// How long a run over so many certificates may take at the very most.
pub(crate) fn deadline(jobs: usize) -> Duration {
    Duration::from_secs(600)
        .saturating_add(Duration::from_secs(360).saturating_mul(u32::try_from(jobs).unwrap_or(u32::MAX)))
}

/// Sockets that were passed in, as systemd does it (sd_listen_fds(3)).
fn inherited() -> Result<Vec<OwnedFd>> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let mine = number("LISTEN_PID").is_none_or(|pid| pid == std::process::id());
    let count = number("LISTEN_FDS").filter(|_| mine).unwrap_or(0);
    let sockets: std::io::Result<Vec<OwnedFd>> =
        (0..count).filter_map(|at| i32::try_from(at).ok()).map(|at| portcullis::fd::inherited(3 + at)).collect();
    let sockets = sockets.map_err(|error| Error::failed(format!("the sockets passed in cannot be used: {error}")))?;
    if sockets.is_empty() {
        return Err(Error::failed("no socket was passed in (LISTEN_FDS is not set); see systemd.socket(5)"));
    }
    Ok(sockets)
}

fn no_descriptors(error: &std::io::Error) -> Error {
    Error::failed(format!(
        "no descriptors are left ({error}); raise the limit of open files, or do fewer certificates at a time"
    ))
}
