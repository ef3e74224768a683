//! challenge: answers http-01 challenges (RFC 8555 section 8.3), by files for a web server or by a listener of its own.
//!
//! It holds the directories or the listening sockets, and the thumbprint of the account key, which it has from account.
//! A token is base64url of bounded length before it is the name of a file. What it has published it takes back, at the
//! latest when the run ends, however that comes about.

mod listener;
mod webroot;

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

use acme::{Identifier, KeyAuthorization, Thumbprint, Token};
use portcullis::{PathAccess, Promise, Sandbox};
use privsep::{Channel, Never};
use serde::{Deserialize, Serialize};

use crate::messages::{Check, FromChallenge, JobId, RoleSetup, ThumbprintIs, ToChallenge, fitting};
use crate::role::{Actor, Control, Links, Stop, Wake};
use crate::roles::Role;
use listener::Listeners;
use webroot::Webroot;

pub(crate) use webroot::exists as webroot_exists;

/// What challenge is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChallengeSetup {
    /// Directories that web servers serve.
    pub(crate) webroots: Vec<PathBuf>,
    /// Addresses to listen on.
    pub(crate) listen: Vec<String>,
    /// How many of the descriptors given are listening sockets.
    pub(crate) sockets: u32,
    /// The certificates of this run.
    pub(crate) jobs: Vec<ChallengeJob>,
    /// The owner of what is made, if the program was started by root.
    pub(crate) owner: Option<(u32, u32)>,
}

/// A certificate of this run, as challenge sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChallengeJob {
    /// The names it is for.
    pub(crate) names: Vec<Identifier>,
    /// Which of the directories serves them. `None`: the listener does.
    pub(crate) webroot: Option<u32>,
}

/// The role.
#[derive(Debug)]
pub(crate) struct Challenge {
    net: Channel<FromChallenge, ToChallenge>,
    account: Channel<Never, ThumbprintIs>,
    thumbprint: Option<Thumbprint>,
    jobs: Vec<ChallengeJob>,
    /// One that cannot be written to does not stop the others.
    webroots: Vec<Result<Webroot, String>>,
    listeners: Result<Listeners, String>,
}

impl Actor for Challenge {
    const ROLE: Role = Role::Challenge;

    fn acquire(setup: RoleSetup, links: &mut Links, mut sandbox: Sandbox) -> Result<(Self, Sandbox), Stop> {
        let RoleSetup::Challenge(setup) = setup else { return Err(Stop::own("was set up as another role")) };
        let mut webroots: Vec<_> = setup.webroots.iter().map(|path| Webroot::acquire(path, setup.owner)).collect();
        if setup.owner.is_some()
            && let Some(identity) = webroot::identity(&mut webroots)
        {
            sandbox = sandbox.identity(identity);
        }
        for webroot in webroots.iter().flatten() {
            let handle = webroot.handle().map_err(|error| Stop::own(format!("no descriptors are left: {error}")))?;
            sandbox = sandbox.path(handle, PathAccess::Write);
        }
        let passed = usize::try_from(setup.sockets).unwrap_or(0).min(links.extra.len());
        let listeners = Listeners::acquire(links.extra.drain(..passed).collect(), &setup.listen);
        let each = 2 + 2 * webroot::MAX_FILES;
        let files = u64::try_from(webroots.len()).unwrap_or(u64::MAX).saturating_mul(each);
        let files = files.saturating_add(listener::MAX_CONNECTIONS + 64);
        let challenge = Self {
            net: links.take(Role::Net)?,
            account: links.take(Role::Account)?,
            thumbprint: None,
            jobs: setup.jobs,
            webroots,
            listeners,
        };
        Ok((challenge, sandbox.max_open_files(files).max_file_size(1 << 20)))
    }

    /// A run that needs no listener need not accept, and one that needs no files need not create any.
    fn needs(setup: &RoleSetup, promise: Promise) -> bool {
        let RoleSetup::Challenge(setup) = setup else { return true };
        match promise {
            Promise::CreatePath => !setup.webroots.is_empty(),
            Promise::Accept => setup.sockets > 0 || !setup.listen.is_empty(),
            _ => true,
        }
    }

    fn serve(mut self, control: &Control) -> Result<(), Stop> {
        let ended = self.work(control);
        // Also when another process is gone: nothing stays published.
        self.webroots.iter_mut().flatten().for_each(Webroot::withdraw_all);
        ended
    }

    fn canary(&mut self) -> Result<(), String> {
        if let Some(webroot) = self.webroots.iter().flatten().next() {
            webroot.canary()?;
        }
        self.listeners.as_ref().map_or(Ok(()), |listeners| listeners.canary(self.net.as_fd()))
    }

    #[cfg(feature = "attacks")]
    fn links(&self) -> crate::attack::Held<'_> {
        vec![(Role::Net, self.net.as_fd()), (Role::Account, self.account.as_fd())]
    }

    fn self_test(&mut self) -> Vec<Check> {
        let mut checks: Vec<Check> = self.webroots.iter_mut().flatten().map(Webroot::self_test).collect();
        if let Some(addresses) = self.listeners.as_ref().ok().and_then(Listeners::addresses) {
            checks.push(Check { what: "listens".into(), ok: true, detail: addresses });
        }
        checks
    }
}

impl Challenge {
    fn work(&mut self, control: &Control) -> Result<(), Stop> {
        loop {
            let ready = {
                let mut channels: Vec<BorrowedFd<'_>> = vec![self.net.as_fd(), self.account.as_fd()];
                channels.extend(self.listeners.iter().flat_map(Listeners::descriptors));
                let timeout = self.listeners.as_ref().ok().and_then(Listeners::timeout);
                match control.wait(&channels, timeout)? {
                    Wake::Order(order) => return Err(Control::unexpected(&order)),
                    Wake::Nothing => Vec::new(),
                    Wake::Ready(ready) => ready,
                }
            };
            if ready.contains(&1) && self.account.is_ready()? {
                let ThumbprintIs(thumbprint) = self.account.receive(None)?;
                self.webroots.iter_mut().flatten().for_each(|webroot| webroot.clear_away(&thumbprint));
                if self.thumbprint.replace(thumbprint).is_some() {
                    return Err(self.account.out_of_turn("thumbprint").into());
                }
            }
            if ready.contains(&0) {
                let request = self.net.receive(None)?;
                let done = self.answer(&request);
                self.net
                    .send(&done.map_or_else(|text| FromChallenge::Refused(fitting(&text)), |()| FromChallenge::Done))?;
            }
            self.listeners.iter_mut().for_each(Listeners::work);
        }
    }

    fn answer(&mut self, request: &ToChallenge) -> Result<(), String> {
        match request {
            ToChallenge::Ready(job) => match self.job(*job)?.webroot {
                Some(at) => self.webroot(at).map(drop),
                None => self.listeners().map(drop),
            },
            ToChallenge::Publish(job, name, token) => {
                let authorization = self.authorization(token)?;
                match self.place(*job, name)? {
                    Some(at) => self.webroot(at)?.publish(token, &authorization),
                    None => self.listeners()?.publish(token, &authorization),
                }
            }
            ToChallenge::Withdraw(job, name, token) => match self.place(*job, name)? {
                Some(at) => self.webroot(at)?.withdraw(token),
                None => self.listeners().map(|listeners| listeners.withdraw(token)),
            },
        }
    }

    fn job(&self, job: JobId) -> Result<&ChallengeJob, String> {
        let found = usize::try_from(job).ok().and_then(|at| self.jobs.get(at));
        found.ok_or_else(|| "there is no such certificate in this run".to_owned())
    }

    /// Where the name of the certificate is answered for.
    fn place(&self, job: JobId, name: &Identifier) -> Result<Option<u32>, String> {
        let job = self.job(job)?;
        if !job.names.contains(name) {
            return Err(format!("{name} is not a name of that certificate"));
        }
        Ok(job.webroot)
    }

    fn webroot(&mut self, at: u32) -> Result<&mut Webroot, String> {
        let webroot = usize::try_from(at).ok().and_then(|at| self.webroots.get_mut(at));
        webroot.ok_or("there is no such webroot")?.as_mut().map_err(|text| text.clone())
    }

    fn listeners(&mut self) -> Result<&mut Listeners, String> {
        self.listeners.as_mut().map_err(|text| text.clone())
    }

    fn authorization(&self, token: &Token) -> Result<KeyAuthorization, String> {
        let thumbprint = self.thumbprint.as_ref().ok_or("the account key's thumbprint is not known yet")?;
        Ok(KeyAuthorization::new(token, thumbprint))
    }
}
