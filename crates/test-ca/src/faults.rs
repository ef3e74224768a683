//! What can go wrong on request: faults, when they strike, and their counting.

use std::time::Duration;

use serde_json::Value;

use crate::config::RetryAfter;

/// The faults of an authority, each with the requests it strikes. All that strike a request have their effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// In the order in which they take effect.
    pub rules: Vec<Rule>,
}

impl Faults {
    /// No faults: an honest authority.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a fault, or a [`Rule`] that says when it strikes.
    #[must_use]
    pub fn with(mut self, rule: impl Into<Rule>) -> Self {
        self.rules.push(rule.into());
        self
    }
}

impl<R: Into<Rule>> From<R> for Faults {
    fn from(rule: R) -> Self {
        Self::none().with(rule)
    }
}

/// A fault and when it strikes. Only requests count on which the fault can have an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What goes wrong.
    pub fault: Fault,
    /// Only at paths that begin so: `/directory`, `/new-nonce`, `/new-account`, `/new-order`, `/revoke-cert`,
    /// `/key-change`, `/account`, `/orders`, `/order`, `/finalize`, `/authz`, `/challenge`, `/certificate`; the last
    /// seven with a number counted from 0 (`/order/2`). Compared with whole segments: `/order` is not `/orders`.
    pub path: Option<String>,
    /// Lets that many requests pass first.
    pub skip: u32,
    /// Then strikes each time, or every second time, or…
    pub every: u32,
    /// No more than that often.
    pub times: Option<u32>,
}

impl Rule {
    /// Only at paths that begin so; see [`Rule::path`].
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Lets `count` requests pass first.
    #[must_use]
    pub fn skip(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// Strikes each `nth` time only.
    #[must_use]
    pub fn every(mut self, nth: u32) -> Self {
        self.every = nth;
        self
    }

    /// Strikes no more than `count` times.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.times = Some(count);
        self
    }

    fn is_at(&self, place: &str) -> bool {
        let Some(path) = &self.path else { return true };
        place.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path == "/")
    }
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Self {
        Self { fault, path: None, skip: 0, every: 1, times: None }
    }
}

/// Something an authority must not do, or that its clients must bear.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Refuses the nonce of a signed request, which is used up by that (RFC 8555 section 6.5).
    BadNonce,
    /// Answers with this error instead of doing anything. The nonce is not used up.
    Error {
        /// HTTP status.
        status: u16,
        /// Last part of the problem's type; `serverInternal` unless given, `rateLimited` for 429.
        kind: Option<String>,
        /// The `Retry-After` header, if any.
        retry_after: Option<RetryAfter>,
        /// Answers with a page in HTML instead of a problem document.
        html: bool,
    },
    /// Sends the client elsewhere: status and `Location`, with the places of [`Fault::Url`].
    Redirect(u16, String),
    /// Waits before the answer.
    Slow(Duration),
    /// Never answers; the request is not considered.
    Hang,
    /// Sends the reply byte by byte, waiting before each.
    Drip(Duration),
    /// Closes the connection, without TLS's close, after that many bytes of the reply, or half of it. The request
    /// has had its effect.
    Cut(Option<u64>),
    /// Sends half of the body, with a `Content-Length` that fits the half.
    Truncated,
    /// Sends a body that is not what its type says.
    Malformed,
    /// Pads the body with spaces to that many bytes.
    Oversized(u64),
    /// Adds header fields of that many bytes.
    HugeHead(u64),
    /// Sends another `Content-Type`, or with an empty one none.
    ContentType(String),
    /// Leaves `Replay-Nonce` out.
    NoNonce,
    /// Sends the body in chunks (RFC 9112 section 7.1), which is no fault, only seldom.
    Chunked,
    /// Replaces URLs: in members of that name at any depth; or those of the headers `location`, `up`, `alternate`,
    /// `index`. In the second, `{url}`, `{path}` and `{host}` (with the port) stand for the true URL's.
    Url(String, String),
    /// Replaces members of that name, at any depth, by a value, or takes them out.
    Member(String, Option<Value>),
    /// Adds members that no standard knows, of all types, and challenges of unknown types without URL or token.
    Extra,
    /// A challenge comes out invalid, with a problem that has subproblems.
    Invalid,
    /// A finalized order stays `processing` for ever.
    Stuck,
    /// A new order is `ready` at once, its authorizations valid.
    ReadyAtOnce,
    /// A new order is `valid` at once, with a certificate for a key that is not the client's.
    ValidAtOnce,
    /// The order of the request, or of its authorization, has expired.
    Expired,
    /// Something is wrong with a certificate or its chain.
    Certificate(BadCertificate),
}

/// What can be wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadCertificate {
    /// Issued for another key.
    ForeignKey,
    /// Issued for other names.
    OtherNames,
    /// Issued for one name less than asked (or for another, if there is but one).
    MissingName,
    /// Ended yesterday.
    Expired,
    /// Begins tomorrow.
    NotYetValid,
    /// Signed by a key that is not the issuer's.
    BadSignature,
    /// Sent as issuer, then leaf.
    OutOfOrder,
    /// Sent with issuers of another authority.
    ForeignChain,
    /// Sent without its issuers.
    LeafOnly,
    /// Sent as PEM with content that is no certificate.
    Garbage,
    /// Sent as nothing at all.
    Empty,
    /// Sent with a private key between leaf and issuer.
    PrivateKey,
}

impl Fault {
    /// An error instead of an answer.
    #[must_use]
    pub fn error(status: u16) -> Self {
        Self::Error { status, kind: None, retry_after: None, html: false }
    }

    /// 429 with a problem of type `rateLimited`.
    #[must_use]
    pub fn rate_limited(after: impl Into<RetryAfter>) -> Self {
        Self::error(429).retry_after(after)
    }

    /// Gives an [`Error`](Self::Error) a `Retry-After`; without effect on other faults.
    #[must_use]
    pub fn retry_after(mut self, after: impl Into<RetryAfter>) -> Self {
        if let Self::Error { retry_after, .. } = &mut self {
            *retry_after = Some(after.into());
        }
        self
    }

    /// Makes an [`Error`](Self::Error) a page in HTML; without effect on other faults.
    #[must_use]
    pub fn html(mut self) -> Self {
        if let Self::Error { html, .. } = &mut self {
            *html = true;
        }
        self
    }

    /// Gives an [`Error`](Self::Error) the last part of its problem's type; without effect on other faults.
    #[must_use]
    pub fn kind(mut self, name: &str) -> Self {
        if let Self::Error { kind, .. } = &mut self {
            *kind = Some(name.to_owned());
        }
        self
    }

    /// URLs in `member` lead to another host, with the path they should have.
    #[must_use]
    pub fn foreign_url(member: &str) -> Self {
        Self::Url(member.to_owned(), "https://ca.attacker.example{path}".to_owned())
    }

    /// URLs in `member` are the right ones, but without TLS.
    #[must_use]
    pub fn plain_http(member: &str) -> Self {
        Self::Url(member.to_owned(), "http://{host}{path}".to_owned())
    }

    /// Challenges have this token.
    #[must_use]
    pub fn token(token: &str) -> Self {
        Self::Member("token".to_owned(), Some(token.into()))
    }

    /// Challenges have `"token": null`.
    #[must_use]
    pub fn token_null() -> Self {
        Self::Member("token".to_owned(), Some(Value::Null))
    }

    /// Challenges have no token.
    #[must_use]
    pub fn no_token() -> Self {
        Self::Member("token".to_owned(), None)
    }

    /// Orders have no authorizations.
    #[must_use]
    pub fn no_authorizations() -> Self {
        Self::Member("authorizations".to_owned(), None)
    }

    /// Only at paths that begin so; see [`Rule::path`].
    #[must_use]
    pub fn at(self, path: &str) -> Rule {
        Rule::from(self).at(path)
    }

    /// Lets `count` requests pass first.
    #[must_use]
    pub fn skip(self, count: u32) -> Rule {
        Rule::from(self).skip(count)
    }

    /// Strikes each `nth` time only.
    #[must_use]
    pub fn every(self, nth: u32) -> Rule {
        Rule::from(self).every(nth)
    }

    /// Strikes no more than `count` times.
    #[must_use]
    pub fn times(self, count: u32) -> Rule {
        Rule::from(self).times(count)
    }
}

impl From<u64> for RetryAfter {
    fn from(seconds: u64) -> Self {
        Self::Seconds(seconds)
    }
}

/// The rules at work, with their counts.
#[derive(Debug, Default)]
pub(crate) struct Armed {
    rules: Vec<(Rule, Count)>,
}

#[derive(Debug, Default)]
struct Count {
    seen: u32,
    struck: u32,
}

impl Armed {
    pub(crate) fn new(faults: Faults) -> Self {
        Self { rules: faults.rules.into_iter().map(|rule| (rule, Count::default())).collect() }
    }

    /// The faults that strike now at `place`, of those that `can` have an effect there.
    pub(crate) fn strike(&mut self, place: &str, can: impl Fn(&Fault) -> bool) -> Vec<Fault> {
        let here = self.rules.iter_mut().filter(|(rule, _)| can(&rule.fault) && rule.is_at(place));
        here.filter_map(|(rule, count)| count.strikes(rule).then(|| rule.fault.clone())).collect()
    }
}

impl Count {
    fn strikes(&mut self, rule: &Rule) -> bool {
        self.seen = self.seen.saturating_add(1);
        let past = self.seen.saturating_sub(rule.skip);
        let due = past > 0 && past.is_multiple_of(rule.every.max(1)) && rule.times.is_none_or(|t| self.struck < t);
        self.struck = self.struck.saturating_add(u32::from(due));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(rule: Rule, place: &str) -> String {
        let mut armed = Armed::new(rule.into());
        (0..8).map(|_| if armed.strike(place, |f| *f == Fault::Hang).is_empty() { '.' } else { '!' }).collect()
    }

    #[test]
    fn counts() {
        assert_eq!(pattern(Fault::Hang.into(), "/order/1"), "!!!!!!!!");
        assert_eq!(pattern(Fault::Hang.times(2), "/order/1"), "!!......");
        assert_eq!(pattern(Fault::Hang.every(3), "/order/1"), "..!..!..");
        assert_eq!(pattern(Fault::Hang.skip(1).every(2).times(2), "/order/1"), "..!.!...");
        assert_eq!(pattern(Fault::BadNonce.into(), "/order/1"), "........");
    }

    #[test]
    fn paths_are_compared_by_segments() {
        assert_eq!(pattern(Fault::Hang.at("/order"), "/order/1"), "!!!!!!!!");
        assert_eq!(pattern(Fault::Hang.at("/order"), "/orders/1"), "........");
        assert_eq!(pattern(Fault::Hang.at("/order/1"), "/order/1"), "!!!!!!!!");
        assert_eq!(pattern(Fault::Hang.at("/order/1"), "/order/12"), "........");
        assert_eq!(pattern(Fault::Hang.at("/"), "/order/12"), "!!!!!!!!");
    }
}
