//! The other side of the tests: an honest CA with switches, a clock, and a caller that keeps a record.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use acme::{
    Action, Error, Identifier, Issue, IssueConfig, Method, Now, Outcome, Payload, Publication, Register,
    RegisterConfig, Reply, Request, Session, SessionConfig, Signer, Task, ToSign, Url,
};
use serde_json::{Value, json};

/// Mid-2026, and a fraction.
const START: Now = Now { mono: Duration::from_millis(12_345), unix: 1_780_000_000 };

/// A caller, its clock and the CA it talks to.
pub(crate) struct World {
    pub(crate) session: Session,
    pub(crate) now: Now,
    pub(crate) ca: Ca,
    /// Every request and every other action, in words.
    pub(crate) log: Vec<String>,
    /// What is published at the moment.
    pub(crate) published: Vec<Publication>,
    /// Actions that the caller refuses, by their word in the log.
    pub(crate) refuses: Option<&'static str>,
    /// Cancel the task when the log gets this entry.
    pub(crate) cancel_at: Option<&'static str>,
    pub(crate) stages: Vec<String>,
    to_sign: Option<ToSign>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut config = SessionConfig::new(url("/dir"));
        change(&mut config);
        Self {
            session: Session::new(config),
            now: START,
            ca: Ca::default(),
            log: Vec::new(),
            published: Vec::new(),
            refuses: None,
            cancel_at: None,
            stages: Vec::new(),
            to_sign: None,
        }
    }

    /// With an account, and nothing in the log.
    pub(crate) fn registered() -> Self {
        let mut world = Self::new();
        world.register().unwrap();
        world.log.clear();
        world.stages.clear();
        world
    }

    pub(crate) fn register(&mut self) -> Result<Outcome, Error> {
        let config = RegisterConfig { terms_agreed: true, ..RegisterConfig::default() };
        self.run(&mut Register::new(config))
    }

    pub(crate) fn issue(&mut self, names: &[&str]) -> Result<Outcome, Error> {
        self.run(&mut Issue::new(IssueConfig { names: self::names(names), ..IssueConfig::default() }))
    }

    pub(crate) fn resume(&mut self, order: &str, names: &[&str]) -> Result<Outcome, Error> {
        let resume = Some(Url::parse(order).unwrap());
        self.run(&mut Issue::new(IssueConfig { names: self::names(names), resume, ..IssueConfig::default() }))
    }

    /// How much time a task took.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now.mono - START.mono
    }

    /// The requests in the log.
    pub(crate) fn requests(&self) -> Vec<&str> {
        let is_request = |entry: &&str| ["GET ", "HEAD ", "POST "].iter().any(|method| entry.starts_with(method));
        self.log.iter().map(String::as_str).filter(is_request).collect()
    }

    pub(crate) fn count(&self, entry: &str) -> usize {
        self.log.iter().filter(|own| *own == entry).count()
    }

    pub(crate) fn run(&mut self, task: &mut dyn Task) -> Result<Outcome, Error> {
        let result = self.drive(task);
        assert_eq!(self.published, [], "something is still published");
        result
    }

    fn drive(&mut self, task: &mut dyn Task) -> Result<Outcome, Error> {
        for _ in 0..20_000 {
            let action = task.poll(&mut self.session, self.now);
            let stage = task.stage().to_string();
            if self.stages.last() != Some(&stage) {
                self.stages.push(stage);
            }
            let word = word(&action);
            self.log.extend(word.clone());
            if self.cancel_at.is_some() && word.as_deref() == self.cancel_at {
                self.published.extend(if let Action::Publish(p) = &action { Some(p.clone()) } else { None });
                self.cancel_at = None;
                task.cancel();
                continue;
            }
            if let Some(refused) = self.refuses
                && word.is_some_and(|word| word.starts_with(refused))
            {
                if let Action::Withdraw(publication) = &action {
                    self.published.retain(|own| own != publication);
                }
                task.refused("the disk is full");
                continue;
            }
            match action {
                Action::Send(request) => self.send(task, &request),
                Action::Sign(to_sign) => {
                    let body = format!("signed {}", to_sign.nonce).into_bytes();
                    self.to_sign = Some(to_sign);
                    task.signed(&mut self.session, body);
                }
                Action::Csr => task.csr(vec![0x30, 0]),
                Action::Wait(time) => self.pass(time),
                Action::Done(outcome) => return Ok(outcome),
                Action::Failed(error) => return Err(error),
                Action::Publish(publication) => {
                    self.published.push(publication);
                    task.done();
                }
                Action::Withdraw(publication) => {
                    let before = self.published.len();
                    self.published.retain(|own| *own != publication);
                    assert_eq!(self.published.len() + 1, before, "withdrawn what was not published");
                    task.done();
                }
                _ => task.done(),
            }
        }
        panic!("a task without end: {:?}", &self.log[self.log.len() - 40..]);
    }

    fn send(&mut self, task: &mut dyn Task, request: &Request) {
        assert!(request.timeout > Duration::ZERO && request.timeout <= Duration::from_secs(30));
        let signed = (request.method == Method::Post).then(|| self.to_sign.take().expect("not signed"));
        if let Some(signed) = &signed {
            assert_eq!(signed.url, request.url);
            assert_eq!(request.body, format!("signed {}", signed.nonce).into_bytes());
            assert_eq!(request.content_type(), Some("application/jose+json"));
        } else {
            assert!(request.body.is_empty() && request.content_type().is_none());
        }
        match self.ca.answer(request, signed.as_ref()) {
            Ok(reply) => {
                self.pass(self.ca.latency);
                task.reply(&mut self.session, reply, self.now);
            }
            Err(text) => task.transport_failed(&mut self.session, text, self.now),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.unix = START.unix + (self.now.mono - START.mono).as_secs();
    }
}

fn word(action: &Action) -> Option<String> {
    Some(match action {
        Action::Send(request) => format!("{} {}", request.method.as_str(), request.url.path_and_query()),
        Action::AccountKnown(url) => format!("account {}", url.path_and_query()),
        Action::Journal(url) => format!("journal {}", url.path_and_query()),
        Action::Publish(what) => format!("publish {}", what.name),
        Action::Withdraw(what) => format!("withdraw {}", what.name),
        Action::Csr => "csr".into(),
        Action::Wait(time) => format!("wait {}", time.as_millis()),
        _ => return None,
    })
}

/// What is to happen in place of the CA's own answer.
pub(crate) enum Instead {
    Reply(Reply),
    /// The CA's own reply, changed.
    Change(fn(&mut Reply)),
    Silence(&'static str),
}

/// A CA with one order at a time.
pub(crate) struct Ca {
    /// For requests whose path begins so, in this order: once each, the first of those that fit.
    pub(crate) instead: VecDeque<(&'static str, Instead)>,
    /// The same for every request whose path begins so.
    pub(crate) always: Vec<(&'static str, Instead)>,
    pub(crate) meta: Value,
    pub(crate) account_exists: bool,
    /// Looks at an authorization until it is settled.
    pub(crate) validation_takes: u32,
    /// Looks at the order until the certificate is there; 0: at once.
    pub(crate) signing_takes: u32,
    /// Authorizations that are valid from the start.
    pub(crate) valid: Vec<usize>,
    /// Authorizations whose challenge will not be met.
    pub(crate) doomed: Vec<usize>,
    pub(crate) offers: Vec<&'static str>,
    pub(crate) order_status: Option<&'static str>,
    pub(crate) retry_after: Option<&'static str>,
    pub(crate) chain: String,
    pub(crate) alternates: Vec<(String, String)>,
    pub(crate) latency: Duration,
    names: Vec<String>,
    posted: BTreeSet<usize>,
    looks: Vec<u32>,
    finalized: Option<u32>,
    revoked: bool,
    nonces: BTreeSet<String>,
    next_nonce: u32,
    /// Profile and predecessor of each order that was placed; `-` for none.
    pub(crate) ordered: Vec<(String, String)>,
}

impl Default for Ca {
    fn default() -> Self {
        Self {
            instead: VecDeque::new(),
            always: Vec::new(),
            meta: json!({}),
            account_exists: false,
            validation_takes: 1,
            signing_takes: 0,
            valid: Vec::new(),
            doomed: Vec::new(),
            offers: vec!["dns-01", "http-01", "tls-alpn-01", "dns-persist-01"],
            order_status: None,
            retry_after: None,
            chain: chain(2),
            alternates: Vec::new(),
            latency: Duration::ZERO,
            names: Vec::new(),
            posted: BTreeSet::new(),
            looks: Vec::new(),
            finalized: None,
            revoked: false,
            nonces: BTreeSet::new(),
            next_nonce: 0,
            ordered: Vec::new(),
        }
    }
}

impl Ca {
    /// An order that an earlier run has begun.
    pub(crate) fn place(&mut self, names: &[&str]) {
        self.names = names.iter().map(|&name| name.into()).collect();
        self.looks = vec![0; names.len()];
        self.posted.clear();
        self.finalized = None;
    }

    /// The challenge with this number was posted by an earlier run.
    pub(crate) fn post(&mut self, index: usize) {
        self.posted.insert(index);
    }

    /// The order was finalized by an earlier run.
    pub(crate) fn finalize(&mut self) {
        self.finalized = Some(0);
    }

    pub(crate) fn forget_nonces(&mut self) {
        self.nonces.clear();
    }

    pub(crate) fn directory(&self) -> Reply {
        let body = json!({ "newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/new-order"),
            "revokeCert": at("/revoke"), "keyChange": at("/key-change"),
            "renewalInfo": at("/renewal-info"), "meta": self.meta, "nD8s": at("/random") });
        json_reply(200, &body)
    }

    fn answer(&mut self, request: &Request, signed: Option<&ToSign>) -> Result<Reply, &'static str> {
        let path = request.url.path_and_query();
        if let Some(at) = self.instead.iter().position(|(prefix, _)| path.starts_with(prefix)) {
            let (_, instead) = self.instead.remove(at).unwrap();
            return self.replace(&instead, request, signed);
        }
        if let Some(at) = self.always.iter().position(|(prefix, _)| path.starts_with(prefix)) {
            let (prefix, instead) = self.always.remove(at);
            let reply = self.replace(&instead, request, signed);
            self.always.insert(at, (prefix, instead));
            return reply;
        }
        Ok(self.honest(request, signed))
    }

    fn replace(
        &mut self,
        instead: &Instead,
        request: &Request,
        signed: Option<&ToSign>,
    ) -> Result<Reply, &'static str> {
        match instead {
            Instead::Silence(text) => Err(text),
            Instead::Reply(reply) => Ok(reply.clone()),
            Instead::Change(change) => {
                let mut reply = self.honest(request, signed);
                change(&mut reply);
                Ok(reply)
            }
        }
    }

    fn honest(&mut self, request: &Request, signed: Option<&ToSign>) -> Reply {
        let mut reply = match signed {
            None => self.unsigned(request),
            Some(signed) if !self.nonces.remove(signed.nonce.as_str()) => {
                problem(400, "badNonce", &format!("never seen {}", signed.nonce))
            }
            Some(signed) => self.signed(request.url.path_and_query(), signed),
        };
        if request.method != Method::Get {
            self.next_nonce += 1;
            let nonce = format!("nonce-{}", self.next_nonce);
            self.nonces.insert(nonce.clone());
            reply.headers.push(("Replay-Nonce".into(), nonce));
        }
        reply
    }

    fn unsigned(&self, request: &Request) -> Reply {
        match (request.method, request.url.path_and_query()) {
            (Method::Head, "/nonce") => Reply { status: 200, ..Reply::default() },
            (Method::Get, "/dir") => self.directory(),
            _ => problem(404, "malformed", "not found"),
        }
    }

    fn signed(&mut self, path: &str, signed: &ToSign) -> Reply {
        let new_account = matches!(signed.payload, Payload::NewAccount { .. });
        assert_eq!(signed.signer == Signer::Jwk, new_account);
        if !new_account && signed.signer != Signer::Kid(url("/account/1")) {
            return problem(400, "accountDoesNotExist", "never seen this one");
        }
        let number = |prefix: &str| path.strip_prefix(prefix).and_then(|n| n.parse::<usize>().ok());
        match (&signed.payload, path) {
            (Payload::NewAccount { only_return_existing, .. }, "/account") => self.account(*only_return_existing),
            (Payload::NewOrder { names, profile, replaces }, "/new-order") => {
                let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
                let (profile, replaces) = (profile.as_ref(), replaces.as_ref());
                self.ordered.push((text(profile.map(ToString::to_string)), text(replaces.map(ToString::to_string))));
                let names: Vec<_> = names.iter().map(ToString::to_string).collect();
                self.place(&names.iter().map(String::as_str).collect::<Vec<_>>());
                self.order(201)
            }
            (Payload::PostAsGet, "/order/1") => {
                self.finalized = self.finalized.map(|looks| looks + 1);
                self.order(200)
            }
            (Payload::Finalize { csr }, "/finalize/1") => {
                assert_eq!(csr, &[0x30, 0]);
                self.finalized = Some(0);
                self.order(200)
            }
            (Payload::PostAsGet, "/certificate/1") => Reply {
                status: 200,
                headers: [("Content-Type".into(), "application/pem-certificate-chain".into())]
                    .into_iter()
                    .chain(self.alternates.clone())
                    .collect(),
                body: self.chain.clone().into_bytes(),
            },
            (Payload::RevokeCert { .. }, "/revoke") if self.revoked => problem(400, "alreadyRevoked", "it is"),
            (Payload::RevokeCert { .. }, "/revoke") => {
                self.revoked = true;
                Reply { status: 200, ..Reply::default() }
            }
            (Payload::PostAsGet, _) if number("/authz/").is_some() => self.authorization(number("/authz/").unwrap()),
            (Payload::ChallengeReady, _) if number("/challenge/").is_some() => {
                let index = number("/challenge/").unwrap();
                self.posted.insert(index);
                json_reply(200, &self.challenge("http-01", index))
            }
            _ => problem(404, "malformed", "no such thing"),
        }
    }

    fn account(&mut self, only_existing: bool) -> Reply {
        if only_existing && !self.account_exists {
            return problem(400, "accountDoesNotExist", "no account with this key");
        }
        let status = if self.account_exists { 200 } else { 201 };
        self.account_exists = true;
        with_location(json_reply(status, &json!({ "status": "valid", "x": 1 })), "/account/1")
    }

    fn state(&self, index: usize) -> &'static str {
        let looked = self.looks.get(index).copied().unwrap_or_default() >= self.validation_takes;
        match (self.posted.contains(&index) && looked, self.doomed.contains(&index)) {
            _ if self.valid.contains(&index) => "valid",
            (false, _) => "pending",
            (true, true) => "invalid",
            (true, false) => "valid",
        }
    }

    fn order(&self, status: u16) -> Reply {
        let states: Vec<_> = (0..self.names.len()).map(|index| self.state(index)).collect();
        let own = match self.finalized {
            _ if states.contains(&"invalid") => "invalid",
            Some(looks) if looks >= self.signing_takes => "valid",
            Some(_) => "processing",
            None if states.iter().all(|state| *state == "valid") => "ready",
            None => "pending",
        };
        let identifiers: Vec<_> = self.names.iter().map(|n| json!({ "type": "dns", "value": n })).collect();
        let authorizations: Vec<_> = (0..self.names.len()).map(|index| at(&format!("/authz/{index}"))).collect();
        let mut order = json!({ "status": self.order_status.unwrap_or(own), "expires": "2026-12-01T00:00:00Z",
            "identifiers": identifiers, "authorizations": authorizations, "finalize": at("/finalize/1") });
        if order["status"] == "valid" {
            order["certificate"] = at("/certificate/1").into();
        }
        self.with_retry_after(with_location(json_reply(status, &order), "/order/1"), own == "processing")
    }

    fn authorization(&mut self, index: usize) -> Reply {
        if self.posted.contains(&index) {
            self.looks.get_mut(index).into_iter().for_each(|looks| *looks += 1);
        }
        let Some(name) = self.names.get(index) else { return problem(404, "malformed", "no such authorization") };
        let challenges: Vec<_> = self.offers.iter().map(|kind| self.challenge(kind, index)).collect();
        let plain = name.trim_start_matches("*.");
        let mut body = json!({ "status": self.state(index), "expires": "2026-12-01T00:00:00Z",
            "identifier": { "type": "dns", "value": plain }, "challenges": challenges });
        if plain != name {
            body["wildcard"] = true.into();
        }
        self.with_retry_after(json_reply(200, &body), self.state(index) == "pending")
    }

    fn challenge(&self, kind: &str, index: usize) -> Value {
        let mut challenge = json!({ "type": kind, "status": self.state(index), "token": format!("token-{index}"),
            "url": at(&format!("/challenge/{index}")) });
        if kind == "dns-persist-01" {
            challenge = json!({ "type": kind, "status": "pending", "url": at("/x"), "issuer-domain-names": ["ca"] });
        }
        if kind == "http-01" && self.state(index) == "invalid" {
            let detail = format!("192.0.2.{index}: Fetching http://…: Connection refused");
            challenge["error"] = json!({ "type": "urn:ietf:params:acme:error:connection", "detail": detail });
        }
        challenge
    }

    fn with_retry_after(&self, mut reply: Reply, applies: bool) -> Reply {
        if let Some(value) = self.retry_after.filter(|_| applies) {
            reply.headers.push(("Retry-After".into(), value.into()));
        }
        reply
    }
}

pub(crate) fn names(names: &[&str]) -> Vec<Identifier> {
    names.iter().map(|name| Identifier::parse(name).unwrap()).collect()
}

pub(crate) fn at(path: &str) -> String {
    format!("https://ca.example{path}")
}

pub(crate) fn url(path: &str) -> Url {
    Url::parse(&at(path)).unwrap()
}

pub(crate) fn json_reply(status: u16, body: &Value) -> Reply {
    let headers = vec![("Content-Type".into(), "application/json".into())];
    Reply { status, headers, body: body.to_string().into_bytes() }
}

pub(crate) fn problem(status: u16, kind: &str, detail: &str) -> Reply {
    let kind = format!("urn:ietf:params:acme:error:{kind}");
    json_reply(status, &json!({ "type": kind, "detail": detail, "status": status }))
}

pub(crate) fn page(status: u16) -> Reply {
    let body = format!("<html><h1>{status}</h1></html>").into_bytes();
    Reply { status, headers: vec![("Content-Type".into(), "text/html".into())], body }
}

pub(crate) fn header(mut reply: Reply, name: &str, value: &str) -> Reply {
    reply.headers.push((name.into(), value.into()));
    reply
}

/// As many certificates as far as PEM goes.
pub(crate) fn chain(certificates: usize) -> String {
    "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n".repeat(certificates)
}

fn with_location(reply: Reply, path: &str) -> Reply {
    header(reply, "Location", &at(path))
}
