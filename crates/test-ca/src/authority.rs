//! From a request to its reply: routing, authentication, and the faults around them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::faults::Fault;
use crate::http::{Body, Reply, Request};
use crate::issuer::HierarchyIssuer;
use crate::jws::{Jws, Key, Signer};
use crate::lies;
use crate::problem::Problem;
use crate::state::State;
use crate::stop::Stop;
use crate::wire;

/// The authority, shared by all threads.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) config: Config,
    origin: String,
    issuer: HierarchyIssuer,
    state: Mutex<State>,
    stop: Stop,
    validations: Mutex<Vec<JoinHandle<()>>>,
}

/// What a client gets.
#[derive(Debug)]
pub(crate) enum Answer {
    /// This, with these faults of [`wire`].
    Reply(Reply, Vec<Fault>),
    /// Nothing at all.
    Silence,
}

/// A request whose signature, URL and nonce are right.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The key that signed.
    pub(crate) key: Key,
    /// The account that signed; `None` when the request holds the key itself.
    pub(crate) account: Option<usize>,
    pub(crate) payload: Vec<u8>,
}

impl Authority {
    pub(crate) fn new(config: Config, port: u16) -> Result<Self, rcgen::Error> {
        let origin = format!("https://{}:{port}", config.host);
        Ok(Self {
            issuer: HierarchyIssuer::new(&config)?,
            state: Mutex::new(State::new(origin.clone(), config.faults.clone())),
            origin,
            stop: Stop::default(),
            validations: Mutex::default(),
            config,
        })
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn issuer(&self) -> &HierarchyIssuer {
        &self.issuer
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// A thread that failed half way leaves nothing that others cannot bear.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a thread to wait for.
    pub(crate) fn keep(&self, thread: JoinHandle<()>) {
        let mut threads = self.validations.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
    }

    /// Waits for the threads that still validate.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *self.validations.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// Writes down that something came that is no HTTP request.
    pub(crate) fn refuse(&self, detail: &str) {
        self.state().violation("(no request)", "/?", detail);
    }

    /// Answers a request.
    pub(crate) fn answer(self: &Arc<Self>, request: &Request) -> Answer {
        let method = request.method.as_str();
        let (endpoint, delays) = self.receive(request);
        for delay in delays {
            match delay {
                Fault::Slow(time) if self.stop.wait(time) => {}
                _ => return self.say_nothing(method, endpoint),
            }
        }
        let state = &mut *self.state();
        let mut reply = match refusal(state, endpoint) {
            Some(reply) => reply,
            None => self.consider(state, endpoint, request).unwrap_or_else(Reply::from),
        };
        self.add_headers(state, endpoint, &mut reply);
        lies::tell(state, endpoint, &mut reply, &self.origin);
        let with_body = method != "HEAD";
        let faults = state.strike(endpoint, |fault| wire::concerns(fault, &reply, with_body));
        if let Some(what) = &reply.violation {
            state.violation(method, &endpoint.to_string(), what);
        }
        state.log.push(format!("{method} {endpoint} {}", reply.status));
        Answer::Reply(reply, faults)
    }

    /// What is asked, and what delays the answer.
    fn receive(&self, request: &Request) -> (Endpoint, Vec<Fault>) {
        let mut state = self.state();
        let endpoint = state.paths.find(&request.path);
        if let Some(early) = state.too_early(endpoint) {
            let what = format!("comes {early:?} before the time that Retry-After allows");
            state.violation(&request.method, &endpoint.to_string(), &what);
        }
        let delays = state.strike(endpoint, |fault| matches!(fault, Fault::Slow(_) | Fault::Hang));
        (endpoint, delays)
    }

    fn say_nothing(&self, method: &str, endpoint: Endpoint) -> Answer {
        self.state().log.push(format!("{method} {endpoint} -"));
        Answer::Silence
    }

    /// The honest answer.
    fn consider(self: &Arc<Self>, state: &mut State, endpoint: Endpoint, request: &Request) -> Result<Reply, Problem> {
        if request.header("user-agent").is_none_or(|agent| agent.trim().is_empty()) {
            return Err(Problem::malformed("there is no User-Agent header (RFC 8555 section 6.1)"));
        }
        match (request.method.as_str(), endpoint) {
            (_, Endpoint::Unknown) => Err(Problem::new(404, "malformed", "there is nothing here").mistake()),
            ("GET" | "HEAD", Endpoint::Directory) => Ok(self.directory(state)),
            ("HEAD", Endpoint::NewNonce) => Ok(Reply::new(200, Body::Empty)),
            ("GET", Endpoint::NewNonce) => Ok(Reply::new(204, Body::Empty)),
            ("GET" | "HEAD", Endpoint::Terms) => Ok(Reply::new(200, Body::Html(TERMS.to_owned()))),
            ("POST", _) => {
                let signed = self.authenticate(state, endpoint, request)?;
                self.act(state, endpoint, &signed)
            }
            (method, _) => Err(Problem::new(405, "malformed", format!("{method} is not allowed here")).mistake()),
        }
    }

    fn directory(&self, state: &mut State) -> Reply {
        let mut directory = json!({
            "newNonce": state.paths.url(Endpoint::NewNonce),
            "newAccount": state.paths.url(Endpoint::NewAccount),
            "newOrder": state.paths.url(Endpoint::NewOrder),
            "revokeCert": state.paths.url(Endpoint::RevokeCert),
            "keyChange": state.paths.url(Endpoint::KeyChange),
            "meta": {"caaIdentities": ["ca.example"], "externalAccountRequired": false},
        });
        if self.config.terms {
            directory["meta"]["termsOfService"] = state.paths.url(Endpoint::Terms).into();
        }
        Reply::json(200, directory)
    }

    /// Everything that RFC 8555 section 6 asks of a signed request.
    fn authenticate(&self, state: &mut State, endpoint: Endpoint, request: &Request) -> Result<Signed, Problem> {
        if request.header("content-type") != Some("application/jose+json") {
            let detail = "the Content-Type of a signed request is application/jose+json";
            return Err(Problem::new(415, "malformed", detail).mistake());
        }
        let jws = Jws::parse(&request.body)?;
        let (key, account) = signer(state, endpoint, &jws.signer)?;
        jws.verify(&key)?;
        let url = format!("{}{}", self.origin, request.path);
        if jws.url != url {
            let detail = format!("the request was signed for {} and came to {url}", jws.url);
            return Err(Problem::new(401, "unauthorized", detail).mistake());
        }
        state.spend_nonce(jws.nonce.as_deref())?;
        if state.struck_by(endpoint, &Fault::BadNonce) {
            return Err(Problem::new(400, "badNonce", "this nonce does not please"));
        }
        if account.is_some_and(|account| !state.accounts[account].active) {
            return Err(Problem::new(401, "unauthorized", "this account is deactivated"));
        }
        Ok(Signed { key, account, payload: jws.payload })
    }

    fn act(self: &Arc<Self>, state: &mut State, endpoint: Endpoint, signed: &Signed) -> Result<Reply, Problem> {
        match endpoint {
            Endpoint::NewAccount => self.new_account(state, signed),
            Endpoint::Account(number) => self.account(state, number, signed),
            Endpoint::Orders(number) => self.orders(state, number, signed),
            Endpoint::KeyChange => self.key_change(state, signed),
            Endpoint::NewOrder => self.new_order(state, signed),
            Endpoint::Order(number) => self.order(state, number, signed),
            Endpoint::Finalize(number) => self.finalize(state, number, signed),
            Endpoint::Authz(number) => self.authz(state, number, signed),
            Endpoint::Challenge(number) => self.challenge(state, number, signed),
            Endpoint::OtherChallenge(_) => Err(Problem::malformed("nobody can know how to meet this challenge")),
            Endpoint::Certificate(number, chain) => self.certificate(state, number, chain, signed),
            Endpoint::RevokeCert => self.revoke(state, signed),
            // RFC 8555 section 6.3: these two may be read either way.
            Endpoint::Directory => signed.expect_empty().map(|()| self.directory(state)),
            Endpoint::NewNonce => signed.expect_empty().map(|()| Reply::new(204, Body::Empty)),
            Endpoint::Terms | Endpoint::Unknown => Err(Problem::new(405, "malformed", "nothing to POST to").mistake()),
        }
    }

    /// What every reply has.
    fn add_headers(&self, state: &mut State, endpoint: Endpoint, reply: &mut Reply) {
        reply.headers.push(("Replay-Nonce", state.new_nonce()));
        reply.headers.push(("Cache-Control", "no-store".to_owned()));
        if endpoint != Endpoint::Directory {
            reply.headers.push(("Link", format!("<{}/directory>;rel=\"index\"", self.origin)));
        }
    }
}

impl Signed {
    /// The account that signed.
    pub(crate) fn account(&self) -> Result<usize, Problem> {
        self.account.ok_or_else(|| Problem::malformed("this request is signed by an account"))
    }

    /// That `owner` signed.
    pub(crate) fn expect_account(&self, owner: usize) -> Result<(), Problem> {
        if self.account()? == owner {
            return Ok(());
        }
        Err(Problem::unauthorized("this belongs to another account").mistake())
    }

    /// That this is a POST-as-GET (RFC 8555 section 6.3).
    pub(crate) fn expect_empty(&self) -> Result<(), Problem> {
        if self.payload.is_empty() {
            return Ok(());
        }
        Err(Problem::malformed("this resource is read by POST-as-GET, whose payload is empty"))
    }

    /// The payload, a JSON object.
    pub(crate) fn object(&self) -> Result<Value, Problem> {
        match serde_json::from_slice(&self.payload) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err(Problem::malformed("the payload is no JSON object")),
            Err(e) => Err(Problem::malformed(format!("the payload is no JSON: {e}"))),
        }
    }
}

/// The error or redirection that is to come instead of an answer.
fn refusal(state: &mut State, endpoint: Endpoint) -> Option<Reply> {
    let struck = state.strike(endpoint, |fault| matches!(fault, Fault::Error { .. } | Fault::Redirect(..)));
    match struck.into_iter().next()? {
        Fault::Redirect(status, to) => {
            let url = state.paths.url(endpoint);
            Some(Reply::new(status, Body::Empty).header("Location", lies::fill_in(&to, &url)))
        }
        Fault::Error { status, kind, retry_after, html } => {
            let usual = if status == 429 { "rateLimited" } else { "serverInternal" };
            let mut problem = Problem::new(status, kind.as_deref().unwrap_or(usual), "this was asked for as a fault");
            if let Some(wait) = retry_after.as_ref().and_then(crate::RetryAfter::wait) {
                hold_off(state, endpoint, wait);
            }
            problem.retry_after = retry_after;
            let mut reply = Reply::from(problem);
            if html {
                let page = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n");
                reply.body = Body::Html(page);
            }
            Some(reply)
        }
        _ => None,
    }
}

/// Nobody may come back to `endpoint` for that long.
pub(crate) fn hold_off(state: &mut State, endpoint: Endpoint, wait: Duration) {
    if let Some(at) = Instant::now().checked_add(wait) {
        state.hold_off(endpoint, at);
    }
}

/// The key that a request should be signed with, and its account (RFC 8555 section 6.2).
fn signer(state: &State, endpoint: Endpoint, signer: &Signer) -> Result<(Key, Option<usize>), Problem> {
    match (signer, endpoint) {
        (Signer::Jwk(key), Endpoint::NewAccount | Endpoint::RevokeCert) => Ok((key.clone(), None)),
        (Signer::Jwk(_), _) => Err(Problem::malformed("this request needs a \"kid\", not a \"jwk\"")),
        (Signer::Kid(_), Endpoint::NewAccount) => {
            Err(Problem::malformed("a new account needs a \"jwk\", not a \"kid\""))
        }
        (Signer::Kid(kid), _) => match state.paths.find_url(kid) {
            Endpoint::Account(number) => Ok((state.accounts[number].key.clone(), Some(number))),
            _ => Err(Problem::new(400, "accountDoesNotExist", format!("there is no account {kid}"))),
        },
    }
}

const TERMS: &str = "<html><head><title>Terms of service</title></head><body><p>This authority is for tests. Trust \
nothing it signs.</p></body></html>\n";
