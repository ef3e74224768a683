//! net: speaks TLS, HTTP and ACME with the authority.
//!
//! The hub of a run, since the ACME conversation lives here, and where all that the CA sends is read. It holds no key
//! and no file: what it needs it asks of the others, and each of them checks for itself what it is asked.

mod connection;
mod http;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use acme::{
    Action, Identifier, Issue, IssueConfig, Now, Outcome, Profile, Publication, Register, RegisterConfig, Reply,
    Request, RevocationReason, Revoke, RevokeConfig, Session, SessionConfig, Task, ToSign, Url,
};
use portcullis::Sandbox;
use privsep::Channel;
use serde::{Deserialize, Serialize};

use crate::ca::Ca;
use crate::canary::permitted;
use crate::messages::{
    Check, FromAccount, FromChallenge, FromDial, FromKey, FromRole, FromStore, JobId, RoleSetup, ToAccount,
    ToChallenge, ToDial, ToKey, ToStore, fitting,
};
use crate::role::{Actor, Control, Links, Stop, Wake};
use crate::roles::Role;
use crate::trust;
use connection::{Connection, Trouble};

/// What net is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NetSetup {
    /// The CA.
    pub(crate) ca: Ca,
    /// A file with the roots to trust; the machine's if there is none.
    pub(crate) ca_file: Option<PathBuf>,
    /// Contacts of a new account.
    pub(crate) contact: Vec<String>,
    /// Whether the CA's terms are agreed to.
    pub(crate) agree_terms: bool,
    /// The account, if it is known.
    pub(crate) known: Option<Url>,
    /// What is to be done.
    pub(crate) work: Work,
}

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Certificates are to be had.
    Issue(Vec<NetJob>),
    /// This certificate (DER) is to be revoked.
    Revoke(Vec<u8>, Option<RevocationReason>),
}

/// A certificate of this run, as net sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NetJob {
    /// The names it is for.
    pub(crate) names: Vec<Identifier>,
    /// The order of a run that did not come to its end.
    pub(crate) resume: Option<Url>,
    /// The CA's profile that it is to be of.
    pub(crate) profile: Option<Profile>,
}

/// The role.
#[derive(Debug)]
pub(crate) struct Net {
    setup: NetSetup,
    tls: Arc<rustls::ClientConfig>,
    dial: Channel<ToDial, FromDial>,
    account: Channel<ToAccount, FromAccount>,
    store: Channel<ToStore, FromStore>,
    key: Option<Channel<ToKey, FromKey>>,
    challenge: Option<Channel<ToChallenge, FromChallenge>>,
    connection: Option<(String, Connection)>,
    started: Instant,
}

/// How long another role may take for something it does at once.
const PROMPT: Duration = Duration::from_secs(30);

/// How long dial may take: some resolvers, some addresses.
const DIALLING: Duration = Duration::from_secs(120);

/// How long key may take: 4096 bits of RSA on a slow machine.
const MAKING_A_KEY: Duration = Duration::from_secs(600);

impl Actor for Net {
    const ROLE: Role = Role::Net;

    fn acquire(setup: RoleSetup, links: &mut Links, sandbox: Sandbox) -> Result<(Self, Sandbox), Stop> {
        let RoleSetup::Net(setup) = setup else { return Err(Stop::own("was set up as another role")) };
        let tls = tls(&setup).map_err(Stop::Own)?;
        let net = Self {
            tls,
            dial: links.take(Role::Dial)?,
            account: links.take(Role::Account)?,
            store: links.take(Role::Store)?,
            key: links.take_if(Role::Key),
            challenge: links.take_if(Role::Challenge),
            connection: None,
            started: Instant::now(),
            setup,
        };
        // TLS sets itself up with the first connection: better now, with everything at hand, than later.
        rustls::ClientConnection::new(
            net.tls.clone(),
            rustls::pki_types::ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        )
        .map_err(|error| Stop::own(format!("TLS cannot be set up: {error}")))?;
        Ok((net, sandbox.max_open_files(16)))
    }

    fn serve(mut self, control: &Control) -> Result<(), Stop> {
        let mut config = SessionConfig::new(self.setup.ca.directory.clone());
        config.origins = self.setup.ca.origins();
        let mut session = Session::new(config);
        match core::mem::replace(&mut self.setup.work, Work::Issue(Vec::new())) {
            Work::Issue(jobs) => self.issue(&mut session, jobs, control)?,
            Work::Revoke(certificate, reason) => self.revoke(&mut session, certificate, reason, control)?,
        }
        control.tell(&FromRole::Finished)?;
        // The supervisor hangs up when everybody is done.
        match control.wait(&[], None)? {
            Wake::Order(order) => Err(Control::unexpected(&order)),
            Wake::Ready(_) | Wake::Nothing => Err(Stop::Over),
        }
    }

    fn canary(&mut self) -> Result<(), String> {
        // dial sends nothing before it is asked to.
        let mut space = [core::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = rustix::net::RecvAncillaryBuffer::new(&mut space);
        let flags = rustix::net::RecvFlags::DONTWAIT | rustix::net::RecvFlags::PEEK;
        let mut byte = [0; 1];
        let into = &mut [std::io::IoSliceMut::new(&mut byte)];
        permitted("receive a socket", rustix::net::recvmsg(&self.dial, into, &mut beside, flags))?;
        let name = rustls::pki_types::ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
        let mut tls = rustls::ClientConnection::new(self.tls.clone(), name).map_err(|error| error.to_string())?;
        // A handshake against memory, as far as it goes with nobody at the other end: hello, nonsense, alert.
        let mut sent = Vec::new();
        tls.write_tls(&mut sent).map_err(|error| error.to_string())?;
        tls.read_tls(&mut &b"\x16\x03\x03\x00\x04\x02\x00\x00\x00"[..]).map_err(|error| error.to_string())?;
        match tls.process_new_packets() {
            Err(_) => tls.write_tls(&mut sent).map(drop).map_err(|error| error.to_string()),
            Ok(_) => Err("nonsense was taken for a server".to_owned()),
        }
    }

    #[cfg(feature = "attacks")]
    fn links(&self) -> crate::attack::Held<'_> {
        use std::os::fd::AsFd as _;
        let mut held = vec![
            (Role::Dial, self.dial.as_fd()),
            (Role::Account, self.account.as_fd()),
            (Role::Store, self.store.as_fd()),
        ];
        held.extend(self.key.iter().map(|key| (Role::Key, key.as_fd())));
        held.extend(self.challenge.iter().map(|challenge| (Role::Challenge, challenge.as_fd())));
        held
    }

    fn self_test(&mut self) -> Vec<Check> {
        let refused = |what: &str, error: Option<rustix::io::Errno>| Check {
            what: what.to_owned(),
            ok: error.is_some(),
            detail: error.map_or_else(|| "it could".to_owned(), |error| crate::error::reason(&error.into())),
        };
        let host = self.setup.ca.directory.host().to_owned();
        let opened = rustix::fs::open("/etc/passwd", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
        let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None);
        let starts = rustls::ClientConnection::new(
            self.tls.clone(),
            rustls::pki_types::ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        );
        vec![
            Check { what: "starts TLS".into(), ok: starts.is_ok(), detail: format!("with {host}") },
            refused("cannot open a file", opened.err()),
            refused("cannot make a socket of its own", socket.err()),
        ]
    }
}

fn tls(setup: &NetSetup) -> Result<Arc<rustls::ClientConfig>, String> {
    let mut store = rustls::RootCertStore::empty();
    let roots = trust::roots(setup.ca_file.as_deref())?;
    let (added, _) = store.add_parsable_certificates(roots);
    if added == 0 {
        return Err("none of the root certificates can be used".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What came of a request.
#[derive(Debug)]
enum Sent {
    /// A reply.
    Reply(Reply),
    /// None, which may be otherwise the next time.
    Failed(String),
    /// None, and the next time will be the same.
    Hopeless(String),
}

/// Why there is no certificate.
#[derive(Debug)]
enum Failure {
    /// Store does not take the one that the CA sent.
    Refused(String),
    /// There is none.
    Acme(String),
}

/// How an action came out: done, or refused by whoever was to do it.
type Done<T> = Result<T, String>;

impl Net {
    fn issue(&mut self, session: &mut Session, jobs: Vec<NetJob>, control: &Control) -> Result<(), Stop> {
        // The CA is asked nothing before everybody here is ready.
        let mut ready = Vec::new();
        for (at, job) in jobs.into_iter().enumerate() {
            let id = JobId::try_from(at).unwrap_or(JobId::MAX);
            match self.ready(id)? {
                Ok(()) => ready.push((id, job)),
                Err(text) => control.tell(&FromRole::JobFailed(id, fitting(&text)))?,
            }
        }
        if ready.is_empty() {
            return Ok(());
        }
        let mut registered = self.register(session, self.setup.known.clone(), control)?;
        for (id, NetJob { names, resume, profile }) in ready {
            if let Err(text) = &registered {
                control.tell(&FromRole::JobFailed(id, fitting(text)))?;
                continue;
            }
            let resumed = resume.is_some();
            let first = names.first().map(ToString::to_string).unwrap_or_default();
            let fresh = IssueConfig { names, profile, ..IssueConfig::default() };
            let mut issued =
                self.run(&mut Issue::new(IssueConfig { resume, ..fresh.clone() }), session, Some(id), control)?;
            if issued.as_ref().is_err_and(is_about_the_account) {
                control.detail("the CA does not know the account any more; asking for a new one")?;
                registered = self.register(session, None, control)?;
                if registered.is_ok() {
                    issued = self.run(&mut Issue::new(fresh.clone()), session, Some(id), control)?;
                }
            }
            let mut settled = self.install(id, &first, issued, control)?;
            if resumed && matches!(settled, Err(Failure::Refused(_))) {
                // The order of the earlier run is for a key that is lost.
                control.detail("the order of an earlier run is of no use any more; making another one")?;
                let issued = self.run(&mut Issue::new(fresh), session, Some(id), control)?;
                settled = self.install(id, &first, issued, control)?;
            }
            control.tell(&match settled {
                Ok(alternates) => FromRole::JobDone(id, alternates),
                Err(Failure::Refused(text) | Failure::Acme(text)) => FromRole::JobFailed(id, fitting(&text)),
            })?;
        }
        Ok(())
    }

    /// Whether key and challenge can do their part for this certificate.
    fn ready(&self, id: JobId) -> Result<Done<()>, Stop> {
        if let Some(challenge) = &self.challenge
            && let FromChallenge::Refused(text) = challenge.call(&ToChallenge::Ready(id), PROMPT)?
        {
            return Ok(Err(text));
        }
        let Some(key) = &self.key else { return Ok(Ok(())) };
        match key.call(&ToKey::Ready(id), PROMPT)? {
            FromKey::Ready => Ok(Ok(())),
            FromKey::Refused(text) => Ok(Err(text)),
            FromKey::Csr(_) => Err(key.out_of_turn("csr").into()),
        }
    }

    /// Hands a certificate to store. Returns the other chains that the CA offers.
    fn install(
        &self,
        id: JobId,
        first: &str,
        issued: Result<Outcome, acme::Error>,
        control: &Control,
    ) -> Result<Result<Vec<Url>, Failure>, Stop> {
        Ok(match issued {
            Ok(Outcome::Issued { chain_pem, alternates, profile_missing, .. }) => {
                if let Some(profile) = profile_missing {
                    let instead = "the certificate is of its usual one";
                    control.warn(&format!("{first}: the CA does not have the profile {profile}; {instead}"))?;
                }
                match self.store.call(&ToStore::Install(id, chain_pem), PROMPT)? {
                    FromStore::Done => Ok(alternates),
                    FromStore::Refused(text) => Err(Failure::Refused(text)),
                }
            }
            Ok(_) => Err(Failure::Acme("the CA did something else than asked".to_owned())),
            Err(error) => Err(Failure::Acme(error.to_string())),
        })
    }

    fn revoke(
        &mut self,
        session: &mut Session,
        certificate: Vec<u8>,
        reason: Option<RevocationReason>,
        control: &Control,
    ) -> Result<(), Stop> {
        let told = match self.register(session, self.setup.known.clone(), control)? {
            Err(text) => FromRole::JobFailed(0, fitting(&text)),
            Ok(()) => {
                let mut task = Revoke::new(RevokeConfig { certificate, reason });
                match self.run(&mut task, session, None, control)? {
                    Ok(Outcome::Revoked { already }) => match self.store.call(&ToStore::Revoked, PROMPT)? {
                        FromStore::Done => FromRole::Revoked(already),
                        FromStore::Refused(text) => FromRole::JobFailed(0, text),
                    },
                    Ok(_) => FromRole::JobFailed(0, "the CA did something else than asked".to_owned()),
                    Err(error) => FromRole::JobFailed(0, fitting(&error.to_string())),
                }
            }
        };
        control.tell(&told)
    }

    fn register(&mut self, session: &mut Session, known: Option<Url>, control: &Control) -> Result<Done<()>, Stop> {
        let mut task = Register::new(RegisterConfig {
            contact: self.setup.contact.clone(),
            terms_agreed: self.setup.agree_terms,
            known_account: known,
        });
        Ok(match self.run(&mut task, session, None, control)? {
            Ok(Outcome::Registered { account, created, terms }) => {
                if let (true, Some(terms)) = (created, terms) {
                    control.tell(&FromRole::Terms(fitting(&terms)))?;
                }
                control.tell(&FromRole::Registered(account, created))?;
                Ok(())
            }
            Ok(_) => Err("the CA did something else than asked".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Drives a task to its end: does what it asks for, and feeds it what comes of it.
    fn run(
        &mut self,
        task: &mut impl Task,
        session: &mut Session,
        job: Option<JobId>,
        control: &Control,
    ) -> Result<Result<Outcome, acme::Error>, Stop> {
        let mut shown = String::new();
        loop {
            let action = task.poll(session, self.now());
            let stage = task.stage().to_string();
            if let Some(job) = job.filter(|_| stage != shown) {
                control.tell(&FromRole::Stage(job, fitting(&stage)))?;
                shown = stage;
            }
            let done = match action {
                Action::Done(outcome) => return Ok(Ok(outcome)),
                Action::Failed(error) => return Ok(Err(error)),
                Action::Wait(time) => self.pause(time, control).map(Ok)?,
                Action::Send(request) => match self.send(&request, control)? {
                    Sent::Reply(reply) => {
                        task.reply(session, reply, self.now());
                        Ok(())
                    }
                    Sent::Failed(text) => {
                        task.transport_failed(session, &text, self.now());
                        Ok(())
                    }
                    Sent::Hopeless(text) => Err(text),
                },
                Action::Sign(request) => self.sign(request)?.map(|body| task.signed(session, body)),
                Action::Csr => self.csr(job)?.map(|der| task.csr(der)),
                Action::AccountKnown(url) => self.account_known(url)?.map(|()| task.done()),
                Action::Journal(order) => self.journal(job, order)?.map(|()| task.done()),
                Action::Publish(publication) => self.publish(job, publication, true)?.map(|()| task.done()),
                Action::Withdraw(publication) => {
                    // What cannot be taken back now challenge takes back when it ends.
                    if let Err(text) = self.publish(job, publication, false)? {
                        control.warn(&text)?;
                    }
                    task.done();
                    Ok(())
                }
                _ => Err("the protocol engine asks for something that this program does not know".to_owned()),
            };
            if let Err(text) = done {
                task.refused(&text);
            }
        }
    }

    fn now(&self) -> Now {
        Now {
            mono: self.started.elapsed(),
            unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        }
    }

    fn pause(&self, time: Duration, control: &Control) -> Result<(), Stop> {
        match control.wait(&[], Some(time))? {
            Wake::Order(order) => Err(Control::unexpected(&order)),
            Wake::Ready(_) | Wake::Nothing => Ok(()),
        }
    }

    // ---- what the other roles do ----

    fn sign(&self, request: ToSign) -> Result<Done<Vec<u8>>, Stop> {
        match self.account.call(&ToAccount::Sign(request), PROMPT)? {
            FromAccount::Signed(body) => Ok(Ok(body)),
            FromAccount::Refused(text) => Ok(Err(format!("the account process does not sign this: {text}"))),
            FromAccount::Noted => Err(self.account.out_of_turn("noted").into()),
        }
    }

    fn account_known(&self, url: Url) -> Result<Done<()>, Stop> {
        match self.account.call(&ToAccount::Known(url.clone()), PROMPT)? {
            FromAccount::Noted => {}
            FromAccount::Refused(text) => return Ok(Err(format!("the account process does not accept this: {text}"))),
            FromAccount::Signed(_) => return Err(self.account.out_of_turn("signed").into()),
        }
        Ok(stored(self.store.call(&ToStore::Account(url), PROMPT)?))
    }

    fn csr(&self, job: Option<JobId>) -> Result<Done<Vec<u8>>, Stop> {
        let (Some(key), Some(job)) = (&self.key, job) else {
            return Ok(Err("no certificate key is part of this run".to_owned()));
        };
        Ok(match key.call(&ToKey::Csr(job), MAKING_A_KEY)? {
            FromKey::Csr(der) => Ok(der),
            FromKey::Refused(text) => Err(text),
            FromKey::Ready => return Err(key.out_of_turn("ready").into()),
        })
    }

    fn journal(&self, job: Option<JobId>, order: Url) -> Result<Done<()>, Stop> {
        let Some(job) = job else { return Ok(Ok(())) };
        Ok(stored(self.store.call(&ToStore::Journal(job, order), PROMPT)?))
    }

    fn publish(&self, job: Option<JobId>, publication: Publication, publish: bool) -> Result<Done<()>, Stop> {
        let (Some(challenge), Some(job)) = (&self.challenge, job) else {
            return Ok(Err("no challenge is part of this run".to_owned()));
        };
        let Publication { name, token, .. } = publication;
        let request = match publish {
            true => ToChallenge::Publish(job, name, token),
            false => ToChallenge::Withdraw(job, name, token),
        };
        Ok(match challenge.call(&request, PROMPT)? {
            FromChallenge::Done => Ok(()),
            FromChallenge::Refused(text) => Err(text),
        })
    }

    // ---- what the CA says ----

    /// Sends a request over the connection that is open, or a new one.
    fn send(&mut self, request: &Request, control: &Control) -> Result<Sent, Stop> {
        let target = request.url.authority().to_owned();
        let reusable = self.connection.take().filter(|(to, connection)| *to == target && !connection.is_stale());
        if let Some((_, connection)) = reusable {
            match self.exchange(connection, request, control)? {
                // Closed while it was idle: the request has not been read, so it is sent again.
                None => {}
                Some(sent) => return Ok(sent),
            }
        }
        let connection = match self.connect(&request.url)? {
            Ok(connection) => connection,
            Err(text) => return Ok(Sent::Failed(text)),
        };
        let sent = self.exchange(connection, request, control)?;
        Ok(sent.unwrap_or_else(|| Sent::Failed("the connection was closed without a reply".to_owned())))
    }

    /// One request over one connection, which is kept if it can be used again. `None`: it was closed before.
    fn exchange(
        &mut self,
        mut connection: Connection,
        request: &Request,
        control: &Control,
    ) -> Result<Option<Sent>, Stop> {
        let host = request.url.host();
        match connection.exchange(request, control) {
            Ok((reply, again)) => {
                self.connection = again.then(|| (request.url.authority().to_owned(), connection));
                Ok(Some(Sent::Reply(reply)))
            }
            Err(Trouble::Stale) => Ok(None),
            Err(Trouble::Broken(text)) => Ok(Some(Sent::Failed(format!("{host}: {text}")))),
            Err(Trouble::Hopeless(text)) => Ok(Some(Sent::Hopeless(format!("{host}: {text}")))),
            Err(Trouble::Stop(stop)) => Err(stop),
        }
    }

    fn connect(&self, url: &Url) -> Result<Done<Connection>, Stop> {
        self.dial.send(&ToDial::Connect(url.host().to_owned(), url.port()))?;
        let (answer, mut sockets) = self.dial.receive_with(Some(DIALLING))?;
        match (answer, sockets.pop()) {
            (FromDial::Connected(_), Some(socket)) if sockets.is_empty() => {
                Ok(Connection::new(socket, url.host(), &self.tls))
            }
            (FromDial::Refused(text), None) => Ok(Err(text)),
            (FromDial::Connected(_), _) => Err(self.dial.out_of_turn("connected, without one socket").into()),
            (FromDial::Refused(_), Some(_)) => Err(self.dial.out_of_turn("refused, with a socket").into()),
        }
    }
}

fn stored(answer: FromStore) -> Done<()> {
    match answer {
        FromStore::Done => Ok(()),
        FromStore::Refused(text) => Err(text),
    }
}

/// Whether the CA does not know the account that it knew once: a test CA that was started anew, an account that was
/// deactivated.
fn is_about_the_account(error: &acme::Error) -> bool {
    matches!(error.kind, acme::ErrorKind::Account(_))
}
