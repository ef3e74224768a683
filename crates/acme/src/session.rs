//! What the tasks at one CA have in common: directory, nonces, account.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::error::ErrorKind;
use crate::objects::Directory;
use crate::retry_after;
use crate::token::Nonce;
use crate::url::{Origins, Url};

/// The time: an input, since there is no clock here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since any fixed moment; never goes back.
    pub mono: Duration,
    /// Seconds since 1970, for dates that the server sends.
    pub unix: u64,
}

/// A reply to a [`crate::Request`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Names (in any case) and values, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// At most one byte more than [`crate::Request::max_body`]: reading can stop there.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next()
    }

    /// The values of all headers of this name.
    pub fn header_values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    pub(crate) fn retry_after(&self, now: Now) -> Option<Duration> {
        retry_after::parse(self.header("retry-after")?, now.unix)
    }

    /// RFC 8555 section 6.5.1: one that is not well-formed is to be ignored.
    pub(crate) fn nonce(&self) -> Option<Nonce> {
        Nonce::parse(self.header("replay-nonce")?.trim()).ok()
    }
}

/// Sizes, numbers and times that nothing may exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a JSON reply. 128 KiB: an order of 100 of the longest names has 60.
    pub json_body: usize,
    /// Bytes of a certificate chain. 256 KiB.
    pub certificate_body: usize,
    /// Names in one order. 100, as many as Let's Encrypt allows.
    pub names: usize,
    /// Alternate chains remembered. 16.
    pub alternates: usize,
    /// Nonces kept. 64.
    pub nonces: usize,
    /// How often a request is repeated for its nonce. 5.
    pub nonce_retries: u32,
    /// How often a request is repeated because the server is overloaded or has an internal error. 5.
    pub server_retries: u32,
    /// How often a request is repeated that had no reply. 3.
    pub transport_retries: u32,
    /// How often an order is finalized again that was not ready. 5.
    pub finalize_retries: u32,
    /// How long one request may take. 30 s.
    pub request_timeout: Duration,
    /// How long one task may take. 300 s.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            json_body: 128 * 1024,
            certificate_body: 256 * 1024,
            names: 100,
            alternates: 16,
            nonces: 64,
            nonce_retries: 5,
            server_retries: 5,
            transport_retries: 3,
            finalize_retries: 5,
            request_timeout: Duration::from_secs(30),
            deadline: Duration::from_secs(300),
        }
    }
}

/// Which CA, and how far it is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// The URL of its directory.
    pub directory: Url,
    /// Where requests may go. The directory's own host and port have to be among them.
    pub origins: Origins,
    /// Limits for every task.
    pub limits: Limits,
}

impl SessionConfig {
    /// Requests go to the host and port of the directory only; the limits are the default ones.
    #[must_use]
    pub fn new(directory: Url) -> Self {
        let origins = Origins::of(&directory);
        Self { directory, origins, limits: Limits::default() }
    }
}

/// What is known about one CA. Any number of tasks may use it, one after the other or in turns.
#[derive(Debug)]
pub struct Session {
    pub(crate) config: SessionConfig,
    directory: Option<Directory>,
    /// The newest last.
    nonces: Vec<Nonce>,
    account: Option<Url>,
}

impl Session {
    /// Nothing is known yet.
    #[must_use]
    pub const fn new(config: SessionConfig) -> Self {
        Self { config, directory: None, nonces: Vec::new(), account: None }
    }

    /// The account's URL, once it is known.
    #[must_use]
    pub const fn account(&self) -> Option<&Url> {
        self.account.as_ref()
    }

    /// Use this account.
    pub fn set_account(&mut self, account: Url) {
        self.account = Some(account);
    }

    /// The directory, once it is fetched.
    #[must_use]
    pub const fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    pub(crate) fn read_directory(&mut self, body: &[u8]) -> Result<(), ErrorKind> {
        self.directory = Some(Directory::parse(body, &self.config.origins)?);
        Ok(())
    }

    /// For the steps of a task, none of which comes before the directory is there.
    pub(crate) fn need_directory(&self) -> Result<&Directory, ErrorKind> {
        self.directory.as_ref().ok_or(ErrorKind::ApiMisuse("the directory was never fetched"))
    }

    pub(crate) fn keep_nonce(&mut self, nonce: Option<Nonce>) {
        let Some(nonce) = nonce else { return };
        if self.nonces.len() >= self.config.limits.nonces.max(1) {
            self.nonces.remove(0);
        }
        self.nonces.push(nonce);
    }

    /// The newest, since the server may have forgotten older ones.
    pub(crate) fn take_nonce(&mut self) -> Option<Nonce> {
        self.nonces.pop()
    }

    pub(crate) fn forget_nonces(&mut self) {
        self.nonces.clear();
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;

    #[test]
    fn nonces_are_bounded_and_the_newest_comes_first() {
        let mut config = SessionConfig::new(Url::parse("https://ca.example/dir").unwrap());
        config.limits.nonces = 3;
        let mut session = Session::new(config);
        for number in 0..5 {
            session.keep_nonce(Nonce::parse(&format!("n{number}")).ok());
        }
        let mut left = core::iter::from_fn(|| session.take_nonce());
        assert_eq!(left.by_ref().map(String::from).collect::<Vec<_>>(), ["n4", "n3", "n2"]);
    }

    #[test]
    fn headers_in_any_case() {
        let header = |name: &str, value: &str| (name.into(), value.into());
        let reply = Reply {
            headers: vec![header("LINK", "a"), header("Replay-Nonce", " abc "), header("link", "b")],
            ..Reply::default()
        };
        assert_eq!(reply.header_values("Link").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(reply.nonce(), Nonce::parse("abc").ok());
        let bad = Reply { headers: vec![header("replay-nonce", "not/base64url=")], ..Reply::default() };
        assert_eq!(bad.nonce(), None);
    }
}
