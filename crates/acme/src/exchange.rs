//! One request until it has its reply: nonce, signature, and repetition where there is hope.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::error::ErrorKind;
use crate::payload::{Payload, Signer, ToSign};
use crate::problem::{Problem, ProblemType};
use crate::session::{Now, Reply, Session};
use crate::task::{Action, Method, Request};
use crate::text::clean;
use crate::token::Nonce;
use crate::url::Url;

/// The time, and when the task has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) now: Now,
    /// On the same clock as `now.mono`.
    pub(crate) deadline: Duration,
}

impl Clock {
    pub(crate) const fn left(self) -> Duration {
        self.deadline.saturating_sub(self.now.mono)
    }
}

/// What is to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// What the reply holds, in words.
    pub(crate) what: &'static str,
    pub(crate) url: Url,
    /// `None` for a GET.
    pub(crate) signed: Option<(Signer, Payload)>,
    pub(crate) accept: Option<&'static str>,
    pub(crate) max_body: usize,
}

/// An [`Ask`] on its way.
#[derive(Debug)]
pub(crate) struct Exchange {
    ask: Ask,
    state: State,
    /// One that the server gave together with its rejection of the last.
    nonce: Option<Nonce>,
    nonce_retries: u32,
    server_retries: u32,
    transport_retries: u32,
}

#[derive(Debug)]
enum State {
    /// Nothing is on its way.
    Ready,
    /// A HEAD request for a nonce is.
    FetchingNonce,
    Signing,
    Signed(Vec<u8>),
    Sent,
    /// Until this time.
    Waiting(Duration),
}

impl Exchange {
    pub(crate) const fn new(ask: Ask) -> Self {
        let state = State::Ready;
        Self { ask, state, nonce: None, nonce_retries: 0, server_retries: 0, transport_retries: 0 }
    }

    pub(crate) fn poll(&mut self, session: &mut Session, clock: Clock) -> Result<Action, ErrorKind> {
        if let State::Waiting(until) = self.state {
            match until.checked_sub(clock.now.mono) {
                Some(left) if !left.is_zero() => return Ok(Action::Wait(left)),
                _ => self.state = State::Ready,
            }
        }
        if clock.left().is_zero() {
            return Err(ErrorKind::Deadline { limit: session.config.limits.deadline });
        }
        match core::mem::replace(&mut self.state, State::Ready) {
            State::Ready => self.begin(session, clock),
            State::Signed(body) => {
                self.state = State::Sent;
                self.send(session, clock, Method::Post, self.ask.url.clone(), body)
            }
            _ => Err(ErrorKind::ApiMisuse("polled before the last action was answered")),
        }
    }

    /// The reply, if it is a success; `None` if the request is to be repeated.
    pub(crate) fn reply(
        &mut self,
        session: &mut Session,
        reply: Reply,
        clock: Clock,
    ) -> Result<Option<Reply>, ErrorKind> {
        let for_nonce = match self.state {
            State::FetchingNonce => true,
            State::Sent => false,
            _ => return Err(ErrorKind::ApiMisuse("a reply to a request that was not sent")),
        };
        self.state = State::Ready;
        if !reply.is_success() {
            return self.unsuccessful(session, &reply, clock).map(|()| None);
        }
        if for_nonce {
            self.nonce = Some(reply.nonce().ok_or_else(|| {
                crate::json::malformed("reply to the request for a nonce", "it has no nonce that can be used")
            })?);
            return Ok(None);
        }
        session.keep_nonce(reply.nonce());
        self.check_size(&reply)?;
        Ok(Some(reply))
    }

    pub(crate) fn transport_failed(
        &mut self,
        session: &Session,
        text: &str,
        clock: Clock,
    ) -> Result<Option<Reply>, ErrorKind> {
        if !matches!(self.state, State::FetchingNonce | State::Sent) {
            return Err(ErrorKind::ApiMisuse("a request failed that was not sent"));
        }
        let retry = self.transport_retries;
        // The first repetition is for a connection that the server had closed meanwhile. The nonce may have arrived or
        // not, so each one gets a new nonce.
        let delay = Duration::from_millis(if retry == 0 { 0 } else { 1000 << (retry - 1).min(3) });
        if retry >= session.config.limits.transport_retries || delay >= clock.left() {
            return Err(ErrorKind::Transport(clean(text, 500)));
        }
        self.transport_retries += 1;
        self.state = State::Waiting(clock.now.mono.saturating_add(delay));
        Ok(None)
    }

    pub(crate) fn signed(&mut self, body: Vec<u8>) -> Result<(), ErrorKind> {
        if !matches!(self.state, State::Signing) {
            return Err(ErrorKind::ApiMisuse("a signature that was not asked for"));
        }
        self.state = State::Signed(body);
        Ok(())
    }

    fn begin(&mut self, session: &mut Session, clock: Clock) -> Result<Action, ErrorKind> {
        let Some((signer, payload)) = &self.ask.signed else {
            self.state = State::Sent;
            return self.send(session, clock, Method::Get, self.ask.url.clone(), Vec::new());
        };
        let Some(nonce) = self.nonce.take().or_else(|| session.take_nonce()) else {
            let url = session.need_directory()?.new_nonce.clone();
            self.state = State::FetchingNonce;
            return self.send(session, clock, Method::Head, url, Vec::new());
        };
        self.state = State::Signing;
        let (url, signer, payload) = (self.ask.url.clone(), signer.clone(), payload.clone());
        Ok(Action::Sign(ToSign { url, nonce, signer, payload }))
    }

    fn send(
        &self,
        session: &Session,
        clock: Clock,
        method: Method,
        url: Url,
        body: Vec<u8>,
    ) -> Result<Action, ErrorKind> {
        // URLs are checked where they come in; this is for those that the caller gave.
        if !session.config.origins.allows(&url) {
            let url = clean(url.as_str(), 300);
            return Err(ErrorKind::ForeignUrl { object: "request", field: self.ask.what, url });
        }
        let timeout = session.config.limits.request_timeout.min(clock.left());
        let (accept, max_body) = (self.ask.accept, self.ask.max_body);
        Ok(Action::Send(Request { method, url, body, accept, max_body, timeout }))
    }

    /// Decides whether the request is repeated: if so, the state says when.
    fn unsuccessful(&mut self, session: &mut Session, reply: &Reply, clock: Clock) -> Result<(), ErrorKind> {
        let problem = Problem::parse(&reply.body);
        let kind = problem.as_ref().map(|problem| &problem.kind);
        // Some servers answer a bad nonce with a web page.
        let nonce_trouble = kind == Some(&ProblemType::BadNonce) || (reply.status == 400 && kind.is_none());
        if nonce_trouble && self.ask.signed.is_some() {
            return self.other_nonce(session, reply, problem.is_some());
        }
        session.keep_nonce(reply.nonce());
        let limited = kind == Some(&ProblemType::RateLimited);
        if reply.status == 429 || reply.status >= 500 || limited {
            self.overloaded(session, reply, problem, clock)
        } else {
            Err(refusal(reply, problem, clock.now))
        }
    }

    /// RFC 8555 section 6.5: the nonce of the rejection is good for the next attempt.
    fn other_nonce(&mut self, session: &mut Session, reply: &Reply, certain: bool) -> Result<(), ErrorKind> {
        let most = session.config.limits.nonce_retries.min(if certain { u32::MAX } else { MAX_UNCERTAIN });
        if self.nonce_retries >= most {
            return Err(if certain {
                ErrorKind::BadNonce { attempts: self.nonce_retries + 1 }
            } else {
                http_error(reply)
            });
        }
        self.nonce_retries += 1;
        self.nonce = reply.nonce();
        if self.nonce.is_none() || self.nonce_retries > 1 {
            // It may have been restarted, and have forgotten them all.
            session.forget_nonces();
        }
        Ok(())
    }

    /// RFC 8555 section 6.6, RFC 9110 section 10.2.3
    fn overloaded(
        &mut self,
        session: &Session,
        reply: &Reply,
        problem: Option<Problem>,
        clock: Clock,
    ) -> Result<(), ErrorKind> {
        let asked = reply.retry_after(clock.now).filter(|wait| !wait.is_zero());
        let (retry, left) = (self.server_retries, clock.left());
        // Without a word on when to come back, coming back to a rate limit makes it worse.
        let limited = problem.as_ref().is_some_and(|problem| problem.kind == ProblemType::RateLimited);
        if retry >= session.config.limits.server_retries || (limited && asked.is_none()) {
            return Err(refusal(reply, problem, clock.now));
        }
        if let Some(asked) = asked.filter(|asked| *asked >= left) {
            return Err(ErrorKind::WaitTooLong { asked, left, problem: problem.map(Box::new) });
        }
        let delay = asked.unwrap_or_else(|| Duration::from_millis(250 << (2 * retry).min(6)));
        if delay >= left {
            return Err(refusal(reply, problem, clock.now));
        }
        self.server_retries += 1;
        self.state = State::Waiting(clock.now.mono.saturating_add(delay));
        Ok(())
    }

    fn check_size(&self, reply: &Reply) -> Result<(), ErrorKind> {
        let limit = self.ask.max_body;
        if reply.body.len() > limit { Err(ErrorKind::TooLarge { object: self.ask.what, limit }) } else { Ok(()) }
    }
}

fn refusal(reply: &Reply, problem: Option<Problem>, now: Now) -> ErrorKind {
    match problem {
        Some(problem) => ErrorKind::Problem {
            status: reply.status,
            problem: Box::new(problem),
            retry_after: reply.retry_after(now).filter(|wait| !wait.is_zero()),
        },
        None => http_error(reply),
    }
}

fn http_error(reply: &Reply) -> ErrorKind {
    // A cut in the middle of a character is no reason to show nothing.
    let begin = String::from_utf8_lossy(reply.body.get(..reply.body.len().min(200)).unwrap_or_default());
    let is_page = begin.trim_start().starts_with('<');
    ErrorKind::Http { status: reply.status, body: if is_page { String::new() } else { clean(&begin, 160) } }
}

/// How often a 400 without a problem document may have been about the nonce.
const MAX_UNCERTAIN: u32 = 2;
