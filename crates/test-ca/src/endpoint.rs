//! The resources of the server, and the unguessable paths they have.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};

/// A resource. Numbers are indices into the state's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    Directory,
    Terms,
    NewNonce,
    NewAccount,
    NewOrder,
    RevokeCert,
    KeyChange,
    Account(usize),
    Orders(usize),
    Order(usize),
    Finalize(usize),
    Authz(usize),
    Challenge(usize),
    /// A challenge of a type that nobody knows.
    OtherChallenge(usize),
    /// A certificate, and which of its chains.
    Certificate(usize, usize),
    /// A path that leads nowhere.
    Unknown,
}

/// The name under which it is logged and faults find it.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => f.write_str("/directory"),
            Self::Terms => f.write_str("/terms"),
            Self::NewNonce => f.write_str("/new-nonce"),
            Self::NewAccount => f.write_str("/new-account"),
            Self::NewOrder => f.write_str("/new-order"),
            Self::RevokeCert => f.write_str("/revoke-cert"),
            Self::KeyChange => f.write_str("/key-change"),
            Self::Account(n) => write!(f, "/account/{n}"),
            Self::Orders(n) => write!(f, "/orders/{n}"),
            Self::Order(n) => write!(f, "/order/{n}"),
            Self::Finalize(n) => write!(f, "/finalize/{n}"),
            Self::Authz(n) => write!(f, "/authz/{n}"),
            Self::Challenge(n) => write!(f, "/challenge/{n}"),
            Self::OtherChallenge(n) => write!(f, "/challenge/{n}/other"),
            Self::Certificate(n, 0) => write!(f, "/certificate/{n}"),
            Self::Certificate(n, chain) => write!(f, "/certificate/{n}/{chain}"),
            Self::Unknown => f.write_str("/?"),
        }
    }
}

/// Both directions between resources and paths. Only `/directory` is fixed: whoever builds URLs fails here.
#[derive(Debug)]
pub(crate) struct Paths {
    origin: String,
    by_path: HashMap<String, Endpoint>,
    by_endpoint: HashMap<Endpoint, String>,
}

impl Paths {
    pub(crate) fn new(origin: String) -> Self {
        let by_path = HashMap::from([("/directory".to_owned(), Endpoint::Directory)]);
        let by_endpoint = HashMap::from([(Endpoint::Directory, "/directory".to_owned())]);
        Self { origin, by_path, by_endpoint }
    }

    pub(crate) fn find(&self, path: &str) -> Endpoint {
        self.by_path.get(path).copied().unwrap_or(Endpoint::Unknown)
    }

    /// The resource that an absolute URL of this server names.
    pub(crate) fn find_url(&self, url: &str) -> Endpoint {
        url.strip_prefix(&self.origin).map_or(Endpoint::Unknown, |path| self.find(path))
    }

    /// The absolute URL of a resource; made up when first asked for.
    pub(crate) fn url(&mut self, endpoint: Endpoint) -> String {
        let path = self.by_endpoint.entry(endpoint).or_insert_with(|| {
            let path = format!("/{}", random_name());
            self.by_path.insert(path.clone(), endpoint);
            path
        });
        format!("{}{path}", self.origin)
    }
}

/// 128 random bits, base64url.
pub(crate) fn random_name() -> String {
    BASE64.encode(random::<16>())
}

/// Random bytes.
///
/// # Panics
/// When the system has no randomness: nothing here works without.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_stable_and_random() {
        let mut paths = Paths::new("https://localhost:1".into());
        let order = paths.url(Endpoint::Order(1));
        assert_eq!(paths.url(Endpoint::Order(1)), order);
        assert_eq!(paths.find_url(&order), Endpoint::Order(1));
        assert_ne!(Paths::new("https://localhost:1".into()).url(Endpoint::Order(1)), order);
        assert_eq!(paths.find("/order/1"), Endpoint::Unknown);
        assert_eq!(paths.find_url("https://localhost:2/directory"), Endpoint::Unknown);
        assert_eq!(paths.url(Endpoint::Directory), "https://localhost:1/directory");
    }
}
