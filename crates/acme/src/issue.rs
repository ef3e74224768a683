//! Getting a certificate (RFC 8555 section 7.4): order, authorizations, finalization, download.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use crate::certificate;
use crate::error::{ErrorKind, Stage};
use crate::exchange::Ask;
use crate::identifier::Identifier;
use crate::json::{self, checked_url};
use crate::objects::{Authorization, Challenge, Meta, Order, OrderStatus};
use crate::payload::{Payload, Signer};
use crate::problem::ProblemType;
use crate::profile::{Profile, ProfileName};
use crate::renewal_info::CertId;
use crate::revoke::account_trouble;
use crate::run::{Flow, Next, Runner, task};
use crate::session::{Now, Reply, Session};
use crate::task::{Action, Outcome};
use crate::url::Url;
use crate::validate::{Backoff, Do, FINAL_POLL, Unusable, Validations};

/// What [`Issue`] has to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssueConfig {
    /// The names of the certificate; at least one.
    pub names: Vec<Identifier>,
    /// The order of a run that did not end, if there is one. It is taken up if it is still there, has not failed and is
    /// for the same names; otherwise there will be a new one.
    pub resume: Option<Url>,
    /// The profile that it is to be of (draft-ietf-acme-profiles).
    pub profile: Option<Profile>,
    /// The certificate in whose place it is (RFC 9773 section 5): one from this CA, which has told when to renew it. If the CA
    /// does not like it, the order is placed without.
    pub replaces: Option<CertId>,
}

/// Gets a certificate: from a new order, or one that an earlier run began, to the chain.
#[derive(Debug)]
pub struct Issue(Runner<IssueFlow>);

impl Issue {
    /// Nothing is done before the first poll. Names that are given twice are asked for once.
    #[must_use]
    pub fn new(config: IssueConfig) -> Self {
        let mut names: Vec<Identifier> = Vec::with_capacity(config.names.len());
        for name in config.names {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Self(Runner::new(IssueFlow {
            names,
            resume: config.resume,
            profile: config.profile,
            profile_missing: None,
            replaces: config.replaces,
            step: Step::Start,
            asked: Asked::Nothing,
            order: None,
            validations: Validations::default(),
            csr: None,
            finalizations: 0,
            backoff: Backoff::default(),
        }))
    }
}

task!(Issue);

#[derive(Debug)]
struct IssueFlow {
    names: Vec<Identifier>,
    resume: Option<Url>,
    profile: Option<Profile>,
    profile_missing: Option<ProfileName>,
    replaces: Option<CertId>,
    step: Step,
    asked: Asked,
    order: Option<Placed>,
    validations: Validations,
    csr: Option<Vec<u8>>,
    finalizations: u32,
    backoff: Backoff,
}

/// An order and where it is.
#[derive(Clone, Debug)]
struct Placed {
    url: Url,
    order: Order,
    /// It was begun by an earlier run.
    resumed: bool,
}

/// What comes next.
#[derive(Debug)]
enum Step {
    Start,
    Journal,
    Authorize(usize),
    Validate,
    Finalize,
    /// Look at the order at this time; if the CA asked for that, how long it asked for.
    Poll(Duration, Option<Duration>),
    Download,
    Finish(Outcome),
}

/// What the request on its way is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    OldOrder,
    NewOrder,
    Authorization(usize),
    Challenge(usize),
    Validation(usize),
    Finalize,
    Order,
    Certificate,
}

impl Flow for IssueFlow {
    fn next(&mut self, session: &mut Session, now: Now) -> Result<Next, ErrorKind> {
        match &self.step {
            Step::Start => self.start(session),
            Step::Journal => {
                let placed = self.placed()?;
                let (url, status) = (placed.url.clone(), placed.order.status);
                self.proceed(status, now)?;
                Ok(Next::Tell(Action::Journal(url)))
            }
            Step::Authorize(index) => {
                let index = *index;
                match self.placed()?.order.authorizations.get(index).cloned() {
                    Some(url) => self.read(session, "authorization", url, Asked::Authorization(index)),
                    None => {
                        self.step = Step::Validate;
                        self.validate(session, now)
                    }
                }
            }
            Step::Validate => self.validate(session, now),
            // Whoever checks the certificate has to know the key in any case.
            Step::Finalize | Step::Poll(..) | Step::Download if self.csr.is_none() => Ok(Next::Csr),
            Step::Finalize => self.finalize(session),
            Step::Poll(at, _) if *at <= now.mono => {
                let url = self.placed()?.url.clone();
                self.read(session, ORDER, url, Asked::Order)
            }
            Step::Poll(at, asked) => Ok(Next::Wait(*at, *asked)),
            Step::Download => self.download(session),
            Step::Finish(outcome) => Ok(Next::Finish(outcome.clone())),
        }
    }

    fn answer(&mut self, session: &mut Session, answer: Result<Reply, ErrorKind>, now: Now) -> Result<(), ErrorKind> {
        let asked = core::mem::replace(&mut self.asked, Asked::Nothing);
        let reply = match answer {
            Ok(reply) => reply,
            Err(kind) => return self.failed(asked, account_trouble(kind), now),
        };
        let origins = &session.config.origins;
        match asked {
            Asked::Nothing => Err(ErrorKind::ApiMisuse("a reply to nothing")),
            Asked::OldOrder => {
                self.resumed(session, &reply, now);
                Ok(())
            }
            Asked::NewOrder => self.ordered(session, &reply),
            Asked::Authorization(index) => {
                let authorization = Authorization::parse(&reply.body, origins)?;
                self.authorization(index, authorization)
            }
            Asked::Challenge(index) => {
                // The authorization will tell all there is to know, so what cannot be read here does not matter.
                let challenge = Challenge::parse(&reply.body, origins).ok().flatten();
                self.validations.posted(index, Ok(challenge), now.mono);
                Ok(())
            }
            Asked::Validation(index) => {
                let authorization = Authorization::parse(&reply.body, origins)?;
                self.validations.polled(index, &authorization, reply.retry_after(now), now.mono);
                Ok(())
            }
            Asked::Finalize | Asked::Order => self.looked(session, &reply, asked, now),
            Asked::Certificate => self.downloaded(session, &reply),
        }
    }

    fn csr(&mut self, der: Vec<u8>) {
        self.csr = Some(der);
    }

    fn stage(&self) -> Stage {
        match &self.step {
            Step::Start if self.resume.is_some() => Stage::ResumingOrder,
            Step::Start | Step::Journal => Stage::CreatingOrder,
            Step::Authorize(_) => Stage::Authorizations,
            Step::Validate => {
                self.validations.current().map_or(Stage::Authorizations, |name| Stage::Validating(name.clone()))
            }
            Step::Finalize => Stage::Finalizing,
            Step::Poll(..) => Stage::Issuing,
            Step::Download => Stage::Downloading,
            Step::Finish(_) => Stage::Finished,
        }
    }

    fn out_of_time(&mut self, kind: ErrorKind) -> ErrorKind {
        match self.validations.failures() {
            [] => kind,
            failures => ErrorKind::Validation(failures.to_vec()),
        }
    }
}

// ---- the order ----------------------------------------------------------------------------------------------------

impl IssueFlow {
    fn start(&mut self, session: &Session) -> Result<Next, ErrorKind> {
        let limits = &session.config.limits;
        if self.names.is_empty() {
            return Err(ErrorKind::Refused("a certificate needs at least one name".into()));
        }
        if self.names.len() > limits.names {
            let (have, most) = (self.names.len(), limits.names);
            return Err(ErrorKind::Refused(format!("{have} names are too many for one certificate; {most} may be")));
        }
        // One of another CA, or of other limits, is of no use.
        match self.resume.take().filter(|url| session.config.origins.allows(url)) {
            Some(url) => {
                self.resume = Some(url.clone());
                self.read(session, ORDER, url, Asked::OldOrder)
            }
            None => {
                let directory = session.need_directory()?;
                self.choose_profile(&directory.meta)?;
                let payload = Payload::NewOrder {
                    names: self.names.clone(),
                    profile: self.profile.as_ref().map(|profile| profile.name().clone()),
                    replaces: self.replaces.clone().filter(|_| directory.renewal_info.is_some()),
                };
                self.post(session, ORDER, directory.new_order.clone(), payload, Asked::NewOrder)
            }
        }
    }

    /// An order names no profile that the CA does not list: it would have to refuse it.
    fn choose_profile(&mut self, meta: &Meta) -> Result<(), ErrorKind> {
        match self.profile.take_if(|wanted| !meta.profiles.iter().any(|(name, _)| name == wanted.name().as_str())) {
            Some(Profile::Required(profile)) => {
                let offered = meta.profiles.iter().map(|(name, _)| name.clone()).collect();
                Err(ErrorKind::NoProfile { profile, offered })
            }
            Some(Profile::Preferred(profile)) => {
                self.profile_missing = Some(profile);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Leaves out of the order what the CA may have refused it for, and what a certificate can be had without. Whether there was
    /// such a thing.
    fn give_way(&mut self, problem: &ProblemType) -> bool {
        match problem {
            ProblemType::InvalidProfile => match self.profile.take_if(|profile| !profile.is_required()) {
                Some(profile) => {
                    self.profile_missing = Some(profile.name().clone());
                    true
                }
                None => false,
            },
            // CAs do not agree on what they say about a certificate that is not theirs, not of this account or replaced already.
            ProblemType::AlreadyReplaced
            | ProblemType::Malformed
            | ProblemType::Unauthorized
            | ProblemType::Unknown(_) => self.replaces.take().is_some(),
            _ => false,
        }
    }

    /// Takes up the order of an earlier run, if that is possible.
    fn resumed(&mut self, session: &Session, reply: &Reply, now: Now) {
        let limits = &session.config.limits;
        let order = Order::parse(&reply.body, &session.config.origins, limits.names).ok();
        let usable = |order: &Order| order.names.is_some() && order.is_for(&self.names);
        let (Some(url), Some(order)) = (self.resume.take(), order.filter(usable)) else { return };
        let status = order.status;
        self.order = Some(Placed { url, order, resumed: true });
        if self.proceed(status, now).is_err() {
            self.restart();
        }
    }

    /// Forgets the order of an earlier run. Nothing is published yet.
    fn restart(&mut self) {
        self.order = None;
        self.validations = Validations::default();
        self.step = Step::Start;
    }

    fn ordered(&mut self, session: &Session, reply: &Reply) -> Result<(), ErrorKind> {
        let origins = &session.config.origins;
        let order = Order::parse(&reply.body, origins, session.config.limits.names)?;
        if !order.is_for(&self.names) {
            return Err(ErrorKind::OtherNames);
        }
        let location =
            reply.header("location").ok_or_else(|| json::malformed(ORDER, "the reply does not say its URL"))?;
        let url = checked_url(ORDER, "Location", location, origins)?;
        self.order = Some(Placed { url, order, resumed: false });
        self.step = Step::Journal;
        Ok(())
    }

    /// RFC 8555 section 7.1.6: where an order that is new to us goes on.
    fn proceed(&mut self, status: OrderStatus, now: Now) -> Result<(), ErrorKind> {
        let placed = self.placed()?;
        self.step = match status {
            OrderStatus::Pending if placed.order.authorizations.is_empty() => {
                return Err(json::malformed(ORDER, "it is pending but has no authorizations"));
            }
            OrderStatus::Pending => Step::Authorize(0),
            OrderStatus::Ready => Step::Finalize,
            OrderStatus::Processing => Step::Poll(now.mono, None),
            OrderStatus::Valid => Step::Download,
            OrderStatus::Invalid => return Err(self.invalid()),
        };
        Ok(())
    }

    fn invalid(&self) -> ErrorKind {
        let problem = self.order.as_ref().and_then(|placed| placed.order.error.clone());
        ErrorKind::OrderInvalid(problem.map(Box::new))
    }
}

// ---- the authorizations -------------------------------------------------------------------------------------------

impl IssueFlow {
    fn authorization(&mut self, index: usize, authorization: Authorization) -> Result<(), ErrorKind> {
        let placed = self.placed()?;
        let resumed = placed.resumed;
        let url =
            placed.order.authorizations.get(index).cloned().ok_or(ErrorKind::ApiMisuse("no such authorization"))?;
        match self.validations.add(url, authorization, &self.names)? {
            Ok(()) => self.step = Step::Authorize(index + 1),
            Err(_) if resumed => self.restart(),
            Err(Unusable(failure)) => return Err(ErrorKind::Validation(alloc::vec![failure])),
        }
        Ok(())
    }

    fn validate(&mut self, session: &Session, now: Now) -> Result<Next, ErrorKind> {
        match self.validations.next(now.mono) {
            Do::Publish(publication) => Ok(Next::Tell(Action::Publish(publication))),
            Do::Withdraw(publication) => Ok(Next::Tell(Action::Withdraw(publication))),
            Do::Post(index, url) => {
                self.post(session, "challenge", url, Payload::ChallengeReady, Asked::Challenge(index))
            }
            Do::Poll(index, url) => self.read(session, "authorization", url, Asked::Validation(index)),
            Do::Wait(until, asked) => Ok(Next::Wait(until, asked)),
            Do::Finished => match self.validations.failures() {
                [] => {
                    self.step = Step::Finalize;
                    if self.csr.is_none() { Ok(Next::Csr) } else { self.finalize(session) }
                }
                failures => Err(ErrorKind::Validation(failures.to_vec())),
            },
        }
    }
}

// ---- the certificate ----------------------------------------------------------------------------------------------

impl IssueFlow {
    fn finalize(&mut self, session: &Session) -> Result<Next, ErrorKind> {
        let url = self.placed()?.order.finalize.clone();
        let url = url.ok_or_else(|| json::malformed(ORDER, "it has no \"finalize\""))?;
        let csr = self.csr.clone().unwrap_or_default();
        self.finalizations += 1;
        self.post(session, ORDER, url, Payload::Finalize { csr }, Asked::Finalize)
    }

    /// The order, after it was finalized or looked at.
    fn looked(&mut self, session: &Session, reply: &Reply, asked: Asked, now: Now) -> Result<(), ErrorKind> {
        let limits = &session.config.limits;
        let order = Order::parse(&reply.body, &session.config.origins, limits.names)?;
        if !order.is_for(&self.names) {
            return Err(ErrorKind::OtherNames);
        }
        let status = order.status;
        if let Some(placed) = &mut self.order {
            let finalize = order.finalize.clone().or_else(|| placed.order.finalize.take());
            placed.order = Order { finalize, ..order };
        }
        match status {
            OrderStatus::Valid => self.step = Step::Download,
            OrderStatus::Invalid => return Err(self.invalid()),
            OrderStatus::Ready if asked == Asked::Order => {
                if self.finalizations > limits.finalize_retries {
                    return Err(json::malformed(ORDER, "it stays \"ready\", however often it is finalized"));
                }
                self.step = Step::Finalize;
            }
            OrderStatus::Ready | OrderStatus::Pending | OrderStatus::Processing => {
                self.look_again(reply.retry_after(now), asked, now);
            }
        }
        Ok(())
    }

    fn look_again(&mut self, retry_after: Option<Duration>, asked: Asked, now: Now) {
        let retry_after = retry_after.filter(|wait| !wait.is_zero());
        let wait = match (retry_after, asked) {
            (Some(wait), _) => wait,
            (None, Asked::Finalize) if self.finalizations == 1 => FINAL_POLL,
            (None, _) => self.backoff.next(),
        };
        self.step = Step::Poll(now.mono.saturating_add(wait), retry_after);
    }

    fn download(&mut self, session: &Session) -> Result<Next, ErrorKind> {
        let url = self.placed()?.order.certificate.clone();
        let url = url.ok_or_else(|| json::malformed(ORDER, "it is valid but has no \"certificate\""))?;
        let signed = Some((kid(session)?, Payload::PostAsGet));
        let max_body = session.config.limits.certificate_body;
        self.asked = Asked::Certificate;
        Ok(Next::Ask(Ask { what: "certificate", url, signed, accept: Some(certificate::PEM_CHAIN), max_body }))
    }

    fn downloaded(&mut self, session: &Session, reply: &Reply) -> Result<(), ErrorKind> {
        let (chain_pem, alternates) = certificate::read(session, reply)?;
        let order = self.placed()?.url.clone();
        self.step = Step::Finish(Outcome::Issued {
            chain_pem,
            order,
            alternates,
            profile_missing: self.profile_missing.clone(),
        });
        Ok(())
    }
}

// ---- requests -----------------------------------------------------------------------------------------------------

impl IssueFlow {
    fn read(&mut self, session: &Session, what: &'static str, url: Url, asked: Asked) -> Result<Next, ErrorKind> {
        self.post(session, what, url, Payload::PostAsGet, asked)
    }

    fn post(
        &mut self,
        session: &Session,
        what: &'static str,
        url: Url,
        payload: Payload,
        asked: Asked,
    ) -> Result<Next, ErrorKind> {
        let signed = Some((kid(session)?, payload));
        self.asked = asked;
        Ok(Next::Ask(Ask { what, url, signed, accept: None, max_body: session.config.limits.json_body }))
    }

    /// Where a refusal is not the end.
    fn failed(&mut self, asked: Asked, kind: ErrorKind, now: Now) -> Result<(), ErrorKind> {
        match (asked, kind) {
            // It is gone, or never was ours. (An overloaded server gets no new order on top.)
            (Asked::OldOrder, ErrorKind::Problem { status, .. } | ErrorKind::Http { status, .. }) if status < 429 => {
                self.resume = None;
                Ok(())
            }
            (Asked::NewOrder, ErrorKind::Problem { problem, .. }) if self.give_way(&problem.kind) => Ok(()),
            (Asked::NewOrder, ErrorKind::Problem { problem, .. }) if problem.kind == ProblemType::Unauthorized => {
                Err(ErrorKind::Account(problem))
            }
            (Asked::Challenge(index), ErrorKind::Problem { problem, status, .. }) if status < 429 => {
                self.validations.posted(index, Err(*problem), now.mono);
                Ok(())
            }
            (Asked::Finalize, ErrorKind::Problem { problem, retry_after, .. })
                if problem.kind == ProblemType::OrderNotReady =>
            {
                self.look_again(retry_after, asked, now);
                Ok(())
            }
            (_, kind) => Err(kind),
        }
    }

    fn placed(&self) -> Result<&Placed, ErrorKind> {
        self.order.as_ref().ok_or(ErrorKind::ApiMisuse("there is no order"))
    }
}

fn kid(session: &Session) -> Result<Signer, ErrorKind> {
    session.account().cloned().map(Signer::Kid).ok_or(ErrorKind::NoAccount)
}

const ORDER: &str = "order";
