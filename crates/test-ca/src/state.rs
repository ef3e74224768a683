//! What the authority remembers, all behind one lock.

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use crate::endpoint::{Endpoint, Paths, random_name};
use crate::faults::{Armed, Fault, Faults};
use crate::issuer::Signed;
use crate::jws::Key;
use crate::problem::Problem;

/// Nonces kept, spent ones included (these only for a better message).
const MAX_NONCES: usize = 100_000;

/// Everything that changes. Indices into the tables are the numbers in [`Endpoint`].
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) paths: Paths,
    pub(crate) accounts: Vec<Account>,
    pub(crate) orders: Vec<Order>,
    pub(crate) authzs: Vec<Authz>,
    pub(crate) issued: Vec<Issued>,
    pub(crate) revoked: Vec<Revoked>,
    pub(crate) log: Vec<String>,
    pub(crate) violations: Vec<String>,
    faults: Armed,
    nonces: HashMap<String, Nonce>,
    /// When a resource may be asked again at the earliest, where `Retry-After` was sent.
    not_before: HashMap<Endpoint, Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Nonce {
    Fresh,
    Spent,
}

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) key: Key,
    pub(crate) thumbprint: String,
    pub(crate) contact: Vec<String>,
    pub(crate) active: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderStatus {
    /// Pending or ready, as its authorizations are.
    Open,
    /// With how many more polls until it is valid.
    Processing(u32),
    Valid,
    Invalid,
}

#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) account: usize,
    pub(crate) names: Vec<String>,
    pub(crate) authzs: Vec<usize>,
    pub(crate) status: OrderStatus,
    pub(crate) expires: SystemTime,
    pub(crate) error: Option<Problem>,
    /// Set when it was finalized.
    pub(crate) certificate: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthzStatus {
    Pending,
    /// The challenge is being fetched.
    Processing,
    Valid,
    Invalid,
    Deactivated,
}

/// An authorization with its one real challenge, which has the same number.
#[derive(Debug)]
pub(crate) struct Authz {
    pub(crate) account: usize,
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) status: AuthzStatus,
    pub(crate) expires: SystemTime,
    pub(crate) error: Option<Problem>,
    pub(crate) validated: Option<SystemTime>,
}

/// A certificate and to whom it was issued.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) account: usize,
    pub(crate) names: Vec<String>,
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
    pub(crate) serial: Vec<u8>,
    /// The content of the BIT STRING of its public key.
    pub(crate) public_key: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Revoked {
    pub(crate) serial: Vec<u8>,
    pub(crate) reason: Option<u64>,
}

impl State {
    pub(crate) fn new(origin: String, faults: Faults) -> Self {
        Self {
            paths: Paths::new(origin),
            accounts: Vec::new(),
            orders: Vec::new(),
            authzs: Vec::new(),
            issued: Vec::new(),
            revoked: Vec::new(),
            log: Vec::new(),
            violations: Vec::new(),
            faults: Armed::new(faults),
            nonces: HashMap::new(),
            not_before: HashMap::new(),
        }
    }

    pub(crate) fn arm(&mut self, faults: Faults) {
        self.faults = Armed::new(faults);
    }

    /// The faults that strike at `endpoint`, of those that `can` have an effect.
    pub(crate) fn strike(&mut self, endpoint: Endpoint, can: impl Fn(&Fault) -> bool) -> Vec<Fault> {
        self.faults.strike(&endpoint.to_string(), can)
    }

    /// Whether this very fault strikes at `endpoint`.
    pub(crate) fn struck_by(&mut self, endpoint: Endpoint, fault: &Fault) -> bool {
        !self.strike(endpoint, |f| f == fault).is_empty()
    }

    /// A new nonce.
    pub(crate) fn new_nonce(&mut self) -> String {
        if self.nonces.len() >= MAX_NONCES {
            self.nonces.retain(|_, nonce| *nonce == Nonce::Fresh);
        }
        if self.nonces.len() >= MAX_NONCES {
            self.nonces.clear();
        }
        let nonce = random_name();
        self.nonces.insert(nonce.clone(), Nonce::Fresh);
        nonce
    }

    /// Uses a nonce up (RFC 8555 section 6.5).
    pub(crate) fn spend_nonce(&mut self, nonce: Option<&str>) -> Result<(), Problem> {
        let Some(nonce) = nonce else {
            return Err(Problem::malformed("the protected header has no \"nonce\""));
        };
        let bad = |detail: &str| Err(Problem::new(400, "badNonce", detail).mistake());
        match self.nonces.get_mut(nonce) {
            Some(state @ Nonce::Fresh) => {
                *state = Nonce::Spent;
                Ok(())
            }
            Some(Nonce::Spent) => bad("the nonce was used before"),
            None => bad("the nonce was never given out"),
        }
    }

    /// `endpoint` must not be asked again before `at`.
    pub(crate) fn hold_off(&mut self, endpoint: Endpoint, at: Instant) {
        self.not_before.insert(endpoint, at);
    }

    /// How much too early a request for `endpoint` is.
    pub(crate) fn too_early(&mut self, endpoint: Endpoint) -> Option<std::time::Duration> {
        let early = self.not_before.remove(&endpoint)?.checked_duration_since(Instant::now())?;
        (!early.is_zero()).then_some(early)
    }

    /// Writes a mistake of the client down.
    pub(crate) fn violation(&mut self, method: &str, place: &str, what: &str) {
        self.violations.push(format!("{method} {place}: {what}"));
    }

    /// Adds a signed certificate; its number.
    pub(crate) fn add_issued(&mut self, account: usize, leaf: &crate::issuer::Leaf, signed: Signed) -> usize {
        let Signed { der, pem, serial } = signed;
        let (names, public_key) = (leaf.names.clone(), leaf.key.bytes.clone());
        self.issued.push(Issued { account, names, der, pem, serial, public_key });
        self.issued.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once() {
        let mut state = State::new(String::new(), Faults::none());
        let nonce = state.new_nonce();
        state.spend_nonce(Some(&nonce)).unwrap();
        assert!(state.spend_nonce(Some(&nonce)).unwrap_err().detail.contains("used before"));
        assert!(state.spend_nonce(Some("AAAA")).unwrap_err().detail.contains("never given out"));
        assert_eq!(state.spend_nonce(None).unwrap_err().kind, "malformed");
    }

    #[test]
    fn the_number_of_nonces_is_bounded() {
        let mut state = State::new(String::new(), Faults::none());
        for _ in 0..MAX_NONCES + 10 {
            state.new_nonce();
        }
        assert!(state.nonces.len() <= MAX_NONCES);
        let last = state.new_nonce();
        state.spend_nonce(Some(&last)).unwrap();
    }
}
