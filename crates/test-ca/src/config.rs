//! What the authority is told when it starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::faults::Faults;

/// How the authority behaves. The default is honest, quick and listens on a free port of 127.0.0.1.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one. Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// The host in every URL, a DNS name or an address; always in the server's certificate, beside `localhost`,
    /// `127.0.0.1` and `::1`. Default `localhost`.
    pub host: String,
    /// What names resolve to when http-01 challenges are fetched. By default no name resolves.
    pub names: Resolver,
    /// What to do wrong. Default nothing.
    pub faults: Faults,
    /// From `notBefore` to `notAfter` of a certificate. Default 90 days.
    pub lifetime: Duration,
    /// How long before the moment of issuing a certificate's `notBefore` lies. Default one hour.
    pub not_before_offset: Duration,
    /// Number of alternate chains (RFC 8555 section 7.4.2), each to a root of its own. Default 0.
    pub alternates: usize,
    /// Certificates after the leaf in a chain (the root is never sent). With 0 the root signs leaves itself, and there
    /// are no alternates. Default 1.
    pub chain_length: usize,
    /// Whether a new order finds authorizations that are already valid for the account. Default no.
    pub authz_reuse: bool,
    /// How many replies show an order `processing`, that to finalize included: with 0 this already says `valid`, with
    /// 1 the first poll does. Default 0.
    pub processing: u32,
    /// How long to wait before fetching a challenge. Default none.
    pub validation_delay: Duration,
    /// Limit for each address of a challenge: connect, send and receive. Default 5 s.
    pub validation_timeout: Duration,
    /// Sent with pending authorizations and processing orders. Default none.
    pub retry_after: Option<RetryAfter>,
    /// Whether there are terms of service that a new account must agree to. Default yes.
    pub terms: bool,
    /// How long authorizations and orders live. Default 7 days.
    pub order_lifetime: Duration,
}

impl Default for Config {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            host: "localhost".to_owned(),
            names: Resolver::default(),
            faults: Faults::none(),
            lifetime: HOUR * 24 * 90,
            not_before_offset: HOUR,
            alternates: 0,
            chain_length: 1,
            authz_reuse: false,
            processing: 0,
            validation_delay: Duration::ZERO,
            validation_timeout: Duration::from_secs(5),
            retry_after: None,
            terms: true,
            order_lifetime: HOUR * 24 * 7,
        }
    }
}

/// The name service of the authority: a map, since it asks no real one.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    /// Addresses (with the port to use for http-01) of each name, in lower case. All of them must answer.
    pub names: BTreeMap<String, Vec<SocketAddr>>,
    /// The address of every name that is not in the map.
    pub fallback: Option<SocketAddr>,
}

impl Resolver {
    /// Every name is at `address`.
    #[must_use]
    pub fn everywhere(address: SocketAddr) -> Self {
        Self { names: BTreeMap::new(), fallback: Some(address) }
    }

    /// Adds an address of `name`; further calls add further addresses.
    #[must_use]
    pub fn with(mut self, name: &str, address: SocketAddr) -> Self {
        self.names.entry(name.to_ascii_lowercase()).or_default().push(address);
        self
    }

    pub(crate) fn lookup(&self, name: &str) -> Vec<SocketAddr> {
        match self.names.get(name) {
            Some(addresses) => addresses.clone(),
            None => self.fallback.into_iter().collect(),
        }
    }
}

/// A `Retry-After` header (RFC 9110 section 10.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u64),
    /// An HTTP date that many seconds from now.
    Date(u64),
    /// These very words, for what is neither.
    Raw(String),
}

impl RetryAfter {
    pub(crate) fn header(&self, now: std::time::SystemTime) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            // Rounded up: the header has whole seconds, and "not before" must not come early.
            Self::Date(seconds) => crate::time::http_date(now + Duration::from_millis(seconds * 1000 + 999)),
            Self::Raw(text) => text.clone(),
        }
    }

    /// How long a client has to wait at least, as far as it can be told from the header.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Seconds(seconds) | Self::Date(seconds) => Some(Duration::from_secs(*seconds)),
            Self::Raw(_) => None,
        }
    }
}
