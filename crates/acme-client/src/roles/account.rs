//! account: holds the account key.
//!
//! It signs requests that it puts together itself, from typed fields, and only those that this run is about: for
//! certificates of configured names, at URLs of the configured CA, with signing requests that came from key. Whoever
//! takes over net can ask, and gets nothing that the configuration does not allow.

use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use acme::jws::{Jwk, SigningInput};
use acme::{CertId, Identifier, Origins, Payload, Profile, ProfileName, Signer, Thumbprint, ToSign, Url};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portcullis::Sandbox;
use privsep::{Channel, Never};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};

use crate::ca::Ca;
use crate::crypto::key::{KeyType, PrivateKey};
use crate::error::file;
use crate::messages::{Check, CsrMade, FromAccount, FromRole, RoleSetup, ThumbprintIs, ToAccount, fitting};
use crate::role::{Actor, Control, Links, Stop, Wake};
use crate::roles::Role;

/// What account is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AccountSetup {
    /// The directory of this CA's account.
    pub(crate) directory: PathBuf,
    /// Whether a key may be made if there is none.
    pub(crate) create: bool,
    /// The owner of a key that is made.
    pub(crate) owner: Option<(u32, u32)>,
    /// The CA.
    pub(crate) ca: Ca,
    /// The account's URL, if it is known.
    pub(crate) known: Option<Url>,
    /// Contacts that the account has.
    pub(crate) contact: Vec<String>,
    /// Whether the CA's terms may be agreed to.
    pub(crate) agree_terms: bool,
    /// What this run is about, and therefore may be signed.
    pub(crate) purpose: Purpose,
}

/// What may be signed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// Orders for these certificates.
    Issue(Vec<Orderable>),
    /// The revocation of this certificate (DER).
    Revoke(Vec<u8>),
    /// Nothing: the run is about showing the account.
    Show,
}

/// A certificate that may be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orderable {
    /// Its names, no more and no fewer.
    pub(crate) names: Vec<Identifier>,
    /// The profile that the order says, if it says one; one that is required it has to say.
    pub(crate) profile: Option<Profile>,
    /// The certificate that the order says it replaces, if it says one.
    pub(crate) replaces: Option<CertId>,
}

impl Orderable {
    /// What is wrong with an order for these names, if anything is.
    fn check(&self, profile: Option<&ProfileName>, replaces: Option<&CertId>) -> Result<(), String> {
        let required = self.profile.as_ref().is_some_and(Profile::is_required);
        if profile != self.profile.as_ref().map(Profile::name) && (profile.is_some() || required) {
            return Err("the profile of the order is not the configured one".to_owned());
        }
        if replaces.is_some() && replaces != self.replaces.as_ref() {
            return Err("the certificate that the order is to replace is not the one in use".to_owned());
        }
        Ok(())
    }
}

/// The role.
#[derive(Debug)]
pub(crate) struct Account {
    key: EcdsaKeyPair,
    jwk: Jwk,
    thumbprint: Thumbprint,
    net: Option<Channel<FromAccount, ToAccount>>,
    csrs: Option<Channel<Never, CsrMade>>,
    challenge: Option<Channel<ThumbprintIs, Never>>,
    rules: Rules,
}

/// What may be signed: the configuration as account was sealed with it, and what key has made since.
#[derive(Debug)]
struct Rules {
    origins: Origins,
    known: Option<Url>,
    contact: Vec<String>,
    agree_terms: bool,
    purpose: Purpose,
    csrs: Vec<Vec<u8>>,
    /// A new account has been asked for in this run: the CA may not know the one we knew.
    registering: bool,
}

impl Actor for Account {
    const ROLE: Role = Role::Account;

    fn acquire(setup: RoleSetup, links: &mut Links, sandbox: Sandbox) -> Result<(Self, Sandbox), Stop> {
        let RoleSetup::Account(setup) = setup else { return Err(Stop::own("was set up as another role")) };
        let path = setup.directory.join("key.pem");
        let stored = load_or_create(&path, setup.create, setup.owner).map_err(Stop::Own)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, stored.pkcs8(), &SystemRandom::new());
        let key = key.map_err(|_| Stop::own(format!("{} is no P-256 key, which accounts have", path.display())))?;
        let jwk = jwk(&key).ok_or_else(|| Stop::own("the account key has no usable public part"))?;
        let hash = digest::digest(&digest::SHA256, &jwk.thumbprint_input());
        let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(hash);
        let thumbprint =
            Thumbprint::parse(&thumbprint).map_err(|_| Stop::own("the account key's thumbprint cannot be computed"))?;
        let account = Self {
            key,
            jwk,
            thumbprint,
            net: links.take_if(Role::Net),
            csrs: links.take_if(Role::Key),
            challenge: links.take_if(Role::Challenge),
            rules: Rules {
                origins: setup.ca.origins(),
                known: setup.known,
                contact: setup.contact,
                agree_terms: setup.agree_terms,
                purpose: setup.purpose,
                csrs: Vec::new(),
                registering: false,
            },
        };
        Ok((account, sandbox))
    }

    fn serve(mut self, control: &Control) -> Result<(), Stop> {
        control.tell(&FromRole::Thumbprint(self.thumbprint.as_str().to_owned()))?;
        if let Some(challenge) = &self.challenge {
            challenge.send(&ThumbprintIs(self.thumbprint.clone()))?;
        }
        loop {
            let net = self.net.iter().map(|net| net.as_fd());
            let channels: Vec<_> = net.chain(self.csrs.iter().map(|csrs| csrs.as_fd())).collect();
            match control.wait(&channels, None)? {
                Wake::Order(order) => return Err(Control::unexpected(&order)),
                Wake::Nothing => {}
                Wake::Ready(_) => {
                    // What key has made comes before what net asks to be done with it: key writes here before it
                    // answers net.
                    self.take_csrs()?;
                    self.answer_net()?;
                }
            }
        }
    }

    fn canary(&mut self) -> Result<(), String> {
        self.key.sign(&SystemRandom::new(), b"a canary").map(drop).map_err(|error| format!("cannot sign: {error}"))
    }

    #[cfg(feature = "attacks")]
    fn links(&self) -> crate::attack::Held<'_> {
        let net = self.net.iter().map(|net| (Role::Net, net.as_fd()));
        net.chain(self.challenge.iter().map(|challenge| (Role::Challenge, challenge.as_fd()))).collect()
    }

    fn self_test(&mut self) -> Vec<Check> {
        let signed = self.key.sign(&SystemRandom::new(), b"a self-test");
        let foreign = Url::parse("https://elsewhere.invalid/order").map(|url| self.rules.allow_url(&url).is_err());
        vec![
            Check {
                what: "signs with the account key".into(),
                ok: signed.is_ok(),
                detail: format!("thumbprint {}", self.thumbprint.as_str()),
            },
            Check {
                what: "refuses to sign for another host".into(),
                ok: foreign.unwrap_or(false),
                detail: "https://elsewhere.invalid/order".into(),
            },
        ]
    }
}

impl Account {
    fn take_csrs(&mut self) -> Result<(), Stop> {
        let Some(csrs) = &self.csrs else { return Ok(()) };
        while csrs.is_ready()? {
            let CsrMade(_, csr) = csrs.receive(None)?;
            self.rules.csrs.push(csr);
        }
        Ok(())
    }

    fn answer_net(&mut self) -> Result<(), Stop> {
        let Some(net) = &self.net else { return Ok(()) };
        if !net.is_ready()? {
            return Ok(());
        }
        let answer = match net.receive(None)? {
            ToAccount::Known(url) => self.rules.learn(url).map(|()| FromAccount::Noted),
            ToAccount::Sign(request) => {
                self.rules.registering |= matches!(request.payload, Payload::NewAccount { .. });
                self.rules.allow(&request).and_then(|()| self.sign(&request)).map(FromAccount::Signed)
            }
        };
        net.send(&answer.unwrap_or_else(|text| FromAccount::Refused(fitting(&text))))?;
        Ok(())
    }

    fn sign(&self, request: &ToSign) -> Result<Vec<u8>, String> {
        let input = SigningInput::new(request, &self.jwk);
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes());
        Ok(input.finish(signature.map_err(|_| "signing failed")?.as_ref()))
    }
}

impl Rules {
    /// The account's URL is learned once, and once more if the CA had to be asked for a new account. A net that has been
    /// taken over cannot have requests signed for another one.
    fn learn(&mut self, url: Url) -> Result<(), String> {
        self.allow_url(&url)?;
        match &self.known {
            Some(known) if *known != url && !self.registering => Err(format!("the account is {known}, not {url}")),
            _ => {
                self.known = Some(url);
                self.registering = false;
                Ok(())
            }
        }
    }

    fn allow_url(&self, url: &Url) -> Result<(), String> {
        if self.origins.allows(url) { Ok(()) } else { Err(format!("{url} is not at the configured CA")) }
    }

    /// Whether this run is about such a request. The words are for the user: they mean that net is broken, or no longer
    /// ours.
    fn allow(&self, request: &ToSign) -> Result<(), String> {
        self.allow_url(&request.url)?;
        self.allow_signer(request)?;
        match (&request.payload, &self.purpose) {
            (Payload::NewAccount { contact, terms_agreed, .. }, Purpose::Issue(_) | Purpose::Revoke(_)) => {
                if *contact != self.contact {
                    return Err("the contacts of the new account are not the configured ones".to_owned());
                }
                if *terms_agreed && !self.agree_terms {
                    return Err("the CA's terms of service are not agreed to (agree-terms = false)".to_owned());
                }
                Ok(())
            }
            (Payload::NewOrder { names, profile, replaces }, Purpose::Issue(configured)) => {
                let mut alike = configured.iter().filter(|orderable| same(&orderable.names, names)).peekable();
                if alike.peek().is_none() {
                    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                    return Err(format!("no certificate for {} is configured", names.join(", ")));
                }
                // Two certificates may be for the same names.
                let checked = alike.map(|orderable| orderable.check(profile.as_ref(), replaces.as_ref()));
                checked.reduce(Result::or).unwrap_or(Ok(()))
            }
            (Payload::Finalize { csr }, Purpose::Issue(_)) => {
                if self.csrs.contains(csr) {
                    return Ok(());
                }
                Err("the signing request did not come from the key process".to_owned())
            }
            (Payload::RevokeCert { certificate, .. }, Purpose::Revoke(configured)) => {
                if certificate == configured {
                    return Ok(());
                }
                Err("the certificate to be revoked is another one".to_owned())
            }
            // Deactivation is not among them: at the account's own URL it would close the account (RFC 8555 section 7.3.6).
            (Payload::PostAsGet | Payload::ChallengeReady, Purpose::Issue(_) | Purpose::Revoke(_)) => Ok(()),
            _ => Err("this run is not about such a request".to_owned()),
        }
    }

    /// RFC 8555 section 6.2: only a new account is asked for by key.
    fn allow_signer(&self, request: &ToSign) -> Result<(), String> {
        match (&request.signer, &self.known) {
            (Signer::Jwk, _) if matches!(request.payload, Payload::NewAccount { .. }) => Ok(()),
            (Signer::Kid(url), Some(known)) if url == known => Ok(()),
            _ => Err("the request is not for this account".to_owned()),
        }
    }
}

/// The same names, in whatever order.
fn same(one: &[Identifier], other: &[Identifier]) -> bool {
    one.len() == other.len() && one.iter().all(|name| other.contains(name))
}

fn jwk(key: &EcdsaKeyPair) -> Option<Jwk> {
    // An uncompressed point: 4, x, y (SEC 1 section 2.3.3).
    let (_, point) = key.public_key().as_ref().split_first()?;
    let (x, y) = point.split_at_checked(32)?;
    Some(Jwk::EcP256 { x: x.try_into().ok()?, y: y.try_into().ok()? })
}

fn load_or_create(path: &Path, create: bool, owner: Option<(u32, u32)>) -> Result<PrivateKey, String> {
    let options = fs::OpenOptions::new().read(true).custom_flags(libc_nofollow()).open(path);
    match options.and_then(|mut file| {
        let mut pem = zeroize::Zeroizing::new(Vec::new());
        std::io::Read::read_to_end(&mut file, &mut pem)?;
        Ok(pem)
    }) {
        Ok(pem) => PrivateKey::from_pem(&pem).map_err(|error| {
            format!(
                "{}: {error}. It is left as it is; put the right key there, or move it away to make a new account",
                path.display()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && create => make(path, owner),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("there is no account yet: {} is made with the first certificate", path.display()))
        }
        Err(error) => Err(file("read the account key", path, error)),
    }
}

/// A new key, in its file before it is used: whole or not at all, readable by its owner alone from the first instant.
fn make(path: &Path, owner: Option<(u32, u32)>) -> Result<PrivateKey, String> {
    let failed = |error| file("write the account key", path, error);
    let key = PrivateKey::generate(KeyType::P256).map_err(|error| error.to_string())?;
    let pem = key.to_pem().map_err(|error| error.to_string())?;
    let new = path.with_extension("pem.new");
    let _ = fs::remove_file(&new);
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
    if let Some((uid, gid)) = owner {
        fchown(&out, Some(uid), Some(gid)).map_err(failed)?;
    }
    let written = out.write_all(pem.as_bytes()).and_then(|()| out.sync_all()).and_then(|()| fs::rename(&new, path));
    let written = written.and_then(|()| fs::File::open(path.parent().unwrap_or(path))?.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(&new);
        return Err(failed(error));
    }
    Ok(key)
}

fn libc_nofollow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use acme::Nonce;

    fn names(list: &[&str]) -> Vec<Identifier> {
        list.iter().map(|name| Identifier::parse(name).expect("a name")).collect()
    }

    fn rules(purpose: Purpose) -> Rules {
        Rules {
            origins: Origins::of(&url("https://ca.example/directory")),
            known: Some(url("https://ca.example/account/1")),
            contact: vec!["mailto:a@example.org".into()],
            agree_terms: true,
            purpose,
            csrs: vec![vec![1, 2, 3]],
            registering: false,
        }
    }

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn request(at: &str, payload: Payload) -> ToSign {
        let signer = match payload {
            Payload::NewAccount { .. } => Signer::Jwk,
            _ => Signer::Kid(url("https://ca.example/account/1")),
        };
        ToSign { url: url(at), nonce: Nonce::parse("abc").expect("a nonce"), signer, payload }
    }

    fn orderable(list: &[&str]) -> Orderable {
        Orderable { names: names(list), profile: None, replaces: None }
    }

    fn order(list: &[&str]) -> Payload {
        Payload::NewOrder { names: names(list), profile: None, replaces: None }
    }

    #[test]
    fn an_order_says_what_is_configured_beside_its_names() {
        let name = |text: &str| ProfileName::parse(text).expect("a profile");
        let id = |text: &str| CertId::parse(text).expect("a certificate");
        let allowed = |known: &Orderable, profile: Option<&str>, replaces: Option<&str>| {
            let payload = Payload::NewOrder {
                names: known.names.clone(),
                profile: profile.map(name),
                replaces: replaces.map(id),
            };
            rules(Purpose::Issue(vec![known.clone()])).allow(&request("https://ca.example/x", payload))
        };
        let plain = orderable(&["a.example"]);
        assert_eq!(allowed(&plain, None, None), Ok(()));
        assert!(allowed(&plain, Some("shortlived"), None).expect_err("refused").contains("profile"));
        assert!(allowed(&plain, None, Some("a.b")).expect_err("refused").contains("replace"));
        let preferred = Orderable { profile: Some(Profile::Preferred(name("tlsserver"))), ..plain.clone() };
        assert_eq!(allowed(&preferred, Some("tlsserver"), None), Ok(()));
        assert_eq!(allowed(&preferred, None, None), Ok(()));
        assert!(allowed(&preferred, Some("shortlived"), None).is_err());
        let required = Orderable { profile: Some(Profile::Required(name("tlsserver"))), ..plain.clone() };
        assert_eq!(allowed(&required, Some("tlsserver"), None), Ok(()));
        assert!(allowed(&required, None, None).is_err());
        let renewed = Orderable { replaces: Some(id("a.b")), ..plain };
        assert_eq!(allowed(&renewed, None, Some("a.b")), Ok(()));
        assert_eq!(allowed(&renewed, None, None), Ok(()));
        assert!(allowed(&renewed, None, Some("a.c")).is_err());
    }

    #[test]
    fn what_the_run_is_about_is_signed() {
        let rules = rules(Purpose::Issue(vec![orderable(&["a.example", "b.example"])]));
        for payload in [
            Payload::NewAccount {
                contact: vec!["mailto:a@example.org".into()],
                terms_agreed: true,
                only_return_existing: false,
            },
            order(&["b.example", "a.example"]),
            Payload::PostAsGet,
            Payload::ChallengeReady,
            Payload::Finalize { csr: vec![1, 2, 3] },
        ] {
            let request = request("https://ca.example/x", payload);
            assert_eq!(rules.allow(&request), Ok(()), "{request:?}");
        }
    }

    #[test]
    fn nothing_else_is() {
        let rules = rules(Purpose::Issue(vec![orderable(&["a.example", "b.example"])]));
        for (at, payload, words) in [
            ("https://evil.example/x", Payload::PostAsGet, "not at the configured CA"),
            ("https://ca.example:444/x", Payload::PostAsGet, "not at the configured CA"),
            ("https://ca.example/x", order(&["a.example"]), "no certificate for a.example"),
            ("https://ca.example/x", order(&["bank.example"]), "bank.example"),
            ("https://ca.example/x", order(&["a.example", "bank.example"]), "bank.example"),
            ("https://ca.example/x", Payload::Finalize { csr: vec![9] }, "did not come from the key process"),
            (
                "https://ca.example/x",
                Payload::RevokeCert { certificate: vec![1], reason: None },
                "not about such a request",
            ),
            ("https://ca.example/account/1", Payload::DeactivateAuthorization, "not about such a request"),
            (
                "https://ca.example/x",
                Payload::NewAccount { contact: vec![], terms_agreed: true, only_return_existing: false },
                "contacts",
            ),
        ] {
            let request = request(at, payload);
            let text = rules.allow(&request).expect_err("refused");
            assert!(text.contains(words), "{request:?}: {text}");
        }
    }

    #[test]
    fn no_request_is_signed_for_another_account_or_by_key_alone() {
        let rules = rules(Purpose::Issue(vec![orderable(&["a.example"])]));
        let mut foreign = request("https://ca.example/x", Payload::PostAsGet);
        foreign.signer = Signer::Kid(url("https://ca.example/account/2"));
        assert!(rules.allow(&foreign).is_err());
        foreign.signer = Signer::Jwk;
        assert!(rules.allow(&foreign).is_err());
    }

    #[test]
    fn the_account_is_learned_once() {
        let mut rules = rules(Purpose::Issue(vec![]));
        assert!(rules.learn(url("https://ca.example/account/2")).is_err());
        rules.known = None;
        assert!(rules.learn(url("https://evil.example/account/2")).is_err());
        assert!(rules.learn(url("https://ca.example/account/2")).is_ok());
        assert!(rules.learn(url("https://ca.example/account/3")).is_err());
        rules.registering = true;
        assert!(rules.learn(url("https://ca.example/account/3")).is_ok());
    }

    #[test]
    fn only_the_certificate_to_be_revoked_is_revoked() {
        let rules = rules(Purpose::Revoke(vec![7]));
        let right = request("https://ca.example/x", Payload::RevokeCert { certificate: vec![7], reason: None });
        assert_eq!(rules.allow(&right), Ok(()));
        let wrong = request("https://ca.example/x", Payload::RevokeCert { certificate: vec![8], reason: None });
        assert!(rules.allow(&wrong).is_err());
        let ordered = request("https://ca.example/x", order(&["a.example"]));
        assert!(rules.allow(&ordered).is_err());
    }

    #[test]
    fn a_key_file_is_private_from_the_first_instant_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key.pem");
        let made = load_or_create(&path, true, None).expect("a key");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        let read = load_or_create(&path, true, None).expect("the same key");
        assert_eq!(made.pkcs8(), read.pkcs8());
        fs::write(&path, "rubbish").expect("written");
        let error = load_or_create(&path, true, None).expect_err("no key");
        assert!(error.contains("left as it is"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "rubbish");
        assert!(load_or_create(&directory.path().join("none"), false, None).is_err());
    }
}
