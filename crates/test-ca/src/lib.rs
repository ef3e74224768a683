//! A small, honest ACME certificate authority (RFC 8555) on a loopback address, for demonstrations and tests.
//!
//! Honest: every JWS signature, nonce and URL is checked, http-01 challenges are really fetched, the certificate
//! signing request must be signed by its key and carry exactly the names of the order, and every mistake of a client
//! is written down ([`TestCa::violations`]). Its keys are made when it starts and gone when it ends; nobody but the
//! test that asked for them should trust its roots.
//!
//! On request it misbehaves: [`Faults`] make it refuse nonces, answer slowly or never, lie about URLs, hand out
//! certificates for another key, and so on, at chosen endpoints and as often as wanted.
//!
//! It never opens a file, resolves a name or speaks to anything but its clients and the addresses in [`Resolver`].
//!
//! ```
//! use test_ca::{Config, Fault, Faults, TestCa};
//!
//! let ca = TestCa::start(Config::default())?;
//! assert!(ca.directory_url().starts_with("https://localhost:"));
//! // The next two new orders are refused with "503 Service Unavailable" and "Retry-After: 2".
//! ca.set_faults(Faults::none().with(Fault::error(503).retry_after(2).at("/new-order").times(2)));
//! # Ok::<(), std::io::Error>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    target_pointer_width = "64",
    expect(
        clippy::result_large_err,
        reason = "a problem document is what most handlers end with; speed is of no concern here"
    )
)]

mod account;
mod authority;
mod certificate;
mod config;
mod csr;
mod endpoint;
mod faults;
mod http;
mod issuer;
mod jws;
mod lies;
mod names;
mod order;
mod problem;
mod server;
mod spell;
mod state;
mod stop;
mod time;
mod tls;
mod validate;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

pub use config::{Config, Resolver, RetryAfter};
pub use faults::{BadCertificate, Fault, Faults, Rule};
pub use spell::{SPELLINGS, SpellError};

use authority::Authority;
use server::Server;

/// A running certificate authority. Dropping it closes every connection and waits for its threads.
pub struct TestCa {
    authority: Arc<Authority>,
    server: Server,
    tls_root: String,
}

impl std::fmt::Debug for TestCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestCa").field("directory", &self.directory_url()).finish_non_exhaustive()
    }
}

impl TestCa {
    /// Makes the keys and certificates, binds [`Config::listen`] and serves until dropped.
    ///
    /// # Errors
    /// The address cannot be bound, a thread cannot be started, or [`Config::host`] is no name for a certificate.
    pub fn start(config: Config) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(config.listen)
            .map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {}: {e}", config.listen)))?;
        let address = listener.local_addr()?;
        let identity = tls::Identity::new(&config.host, address.ip()).map_err(io::Error::other)?;
        let authority = Arc::new(Authority::new(config, address.port()).map_err(io::Error::other)?);
        let server = Server::start(listener, address, identity.config, Arc::clone(&authority))?;
        Ok(Self { authority, server, tls_root: identity.root_pem })
    }

    /// Where a client begins: `https://HOST:PORT/directory`, with [`Config::host`] and the port that was bound.
    #[must_use]
    pub fn directory_url(&self) -> String {
        format!("{}/directory", self.authority.origin())
    }

    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The root (PEM) that signed the certificate of the HTTPS server: a client must trust it for TLS.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.tls_root.clone()
    }

    /// The root (PEM) of the certificates that are issued by default.
    #[must_use]
    pub fn issuer_root_pem(&self) -> String {
        self.issuer_roots_pem().swap_remove(0)
    }

    /// All roots (PEM): first that of the default chain, then those of the alternates, in their order.
    #[must_use]
    pub fn issuer_roots_pem(&self) -> Vec<String> {
        self.authority.issuer().roots_pem()
    }

    /// Replaces the faults; counts begin anew.
    pub fn set_faults(&self, faults: Faults) {
        self.authority.state().arm(faults);
    }

    /// Every request so far, in the order of the replies: `POST /new-order 201`. Paths are those of [`Rule::at`], not
    /// of the URLs. A request that got no reply has `-` for its status.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.authority.state().log.clone()
    }

    /// The leaf certificates (DER) issued so far, oldest first.
    #[must_use]
    pub fn issued(&self) -> Vec<Vec<u8>> {
        self.authority.state().issued.iter().map(|c| c.der.clone()).collect()
    }

    /// Serial numbers (big-endian, as in the certificate) of the revoked certificates, in the order of revocation.
    #[must_use]
    pub fn revoked(&self) -> Vec<Vec<u8>> {
        self.authority.state().revoked.iter().map(|r| r.serial.clone()).collect()
    }

    /// Reasons (RFC 5280 section 5.3.1) given for the certificates in [`revoked`](Self::revoked).
    #[must_use]
    pub fn revocation_reasons(&self) -> Vec<Option<u64>> {
        self.authority.state().revoked.iter().map(|r| r.reason).collect()
    }

    /// Mistakes in the protocol that clients made, each with its request: a nonce used twice, no User-Agent, a URL
    /// that does not match, polling before `Retry-After` allows it… A good client leaves this empty, with faults too.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.authority.state().violations.clone()
    }
}

impl Drop for TestCa {
    fn drop(&mut self) {
        self.server.stop(&self.authority);
    }
}
