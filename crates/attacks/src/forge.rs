//! Certificates and signing requests of the attacker's own making.
//!
//! Somebody in net sees the signing request, and so the public key that store waits for: everything but that key's
//! signature can be forged.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData, SignatureAlgorithm};

/// A chain that store must not take.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Forged {
    /// What it is called.
    pub name: &'static str,
    /// What the attacker wants with it.
    pub wants: &'static str,
    /// What the refusal must be about: words of store's.
    pub words: &'static str,
    /// The chain, PEM.
    pub pem: String,
}

/// The key of a signing request.
struct Foreign(Vec<u8>);

impl PublicKeyData for Foreign {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// The public key of a P-256 signing request: an uncompressed point after the head of its bit string.
fn public(csr: &[u8]) -> Option<Foreign> {
    const HEAD: [u8; 3] = [0x03, 0x42, 0x00];
    let at = csr.windows(HEAD.len()).position(|bytes| bytes == HEAD)? + HEAD.len();
    Some(Foreign(csr.get(at..at + 65)?.to_vec()))
}

/// An authority of the attacker's own.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self { params, key: KeyPair::generate()? })
    }

    fn pem(&self) -> Result<String, rcgen::Error> {
        Ok(self.params.self_signed(&self.key)?.pem())
    }

    fn sign(&self, leaf: &CertificateParams, key: &impl PublicKeyData) -> Result<String, rcgen::Error> {
        Ok(leaf.signed_by(key, &Issuer::from_params(&self.params, &self.key))?.pem())
    }
}

fn leaf(names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    Ok(params)
}

/// Chains for the signing request and names that are wrong in one point each.
///
/// # Errors
/// The request is not for a P-256 key, or no random numbers can be had.
pub fn chains(csr: &[u8], names: &[String]) -> Result<Vec<Forged>, String> {
    let key = public(csr).ok_or("the signing request has no P-256 key")?;
    forge(&key, names).map_err(|error| error.to_string())
}

/// A chain for the right key and names by an authority that nobody knows.
///
/// # Errors
/// As [`chains`].
pub fn accomplice(csr: &[u8], names: &[String]) -> Result<String, String> {
    let key = public(csr).ok_or("the signing request has no P-256 key")?;
    let made = || {
        let authority = Authority::new("An accomplice")?;
        Ok::<_, rcgen::Error>(authority.sign(&leaf(names)?, &key)? + &authority.pem()?)
    };
    made().map_err(|error| error.to_string())
}

/// A signing request for these names with a key of the attacker's own.
///
/// # Errors
/// No random numbers can be had.
pub fn request(names: &[String]) -> Result<Vec<u8>, String> {
    let made = || {
        let key = KeyPair::generate()?;
        Ok::<_, rcgen::Error>(CertificateParams::new(names)?.serialize_request(&key)?.der().to_vec())
    };
    made().map_err(|error| error.to_string())
}

fn forge(key: &Foreign, names: &[String]) -> Result<Vec<Forged>, rcgen::Error> {
    let authority = Authority::new("A forger")?;
    let issuer = authority.pem()?;
    let stranger = Authority::new("A stranger")?;
    // Of the same name, and with another key.
    let impostor = Authority::new("A forger")?;
    let own = KeyPair::generate()?;
    let good = leaf(names)?;
    let certificate = authority.sign(&good, key)?;

    let mut more = names.to_vec();
    more.push("bank.example".to_owned());
    let (first, other) = (&names[..1], ["bank.example".to_owned()]);
    let mut past = leaf(names)?;
    past.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let mut future = leaf(names)?;
    future.not_before = rcgen::date_time_ymd(2089, 1, 1);

    let forged = |name, wants, words, pem| Forged { name, wants, words, pem };
    Ok(vec![
        forged("chain-for-own-key", "its own key in use", "another key", authority.sign(&good, &own)? + &issuer),
        forged(
            "chain-signed-by-itself",
            "its own key in use, without an authority",
            "another key",
            good.self_signed(&own)?.pem(),
        ),
        forged(
            "chain-for-other-names",
            "a certificate for other names in use",
            "asked for",
            authority.sign(&leaf(&other)?, key)? + &issuer,
        ),
        forged(
            "chain-for-more-names",
            "a certificate for one more name in use",
            "asked for",
            authority.sign(&leaf(&more)?, key)? + &issuer,
        ),
        forged(
            "chain-for-fewer-names",
            "a certificate without one of the names in use",
            "asked for",
            authority.sign(&leaf(first)?, key)? + &issuer,
        ),
        forged(
            "chain-without-names",
            "a certificate for nothing in use",
            "asked for",
            authority.sign(&leaf(&[])?, key)? + &issuer,
        ),
        forged(
            "chain-expired",
            "a certificate in use that nobody accepts",
            "expired",
            authority.sign(&past, key)? + &issuer,
        ),
        forged(
            "chain-not-yet-valid",
            "a certificate in use that nobody accepts yet",
            "not valid yet",
            authority.sign(&future, key)? + &issuer,
        ),
        forged(
            "chain-upside-down",
            "a chain that some servers take for another key's",
            "another key",
            issuer.clone() + &certificate,
        ),
        forged(
            "chain-of-a-stranger",
            "a chain that leads elsewhere",
            "out of order",
            certificate.clone() + &stranger.pem()?,
        ),
        forged(
            "chain-of-an-impostor",
            "a chain that does not hold, by an issuer of the same name",
            "does not hold",
            certificate.clone() + &impostor.pem()?,
        ),
        forged(
            "chain-with-more",
            "a chain with something in the middle",
            "out of order",
            certificate.clone() + &stranger.pem()? + &issuer,
        ),
        forged("chain-of-many", "a chain without end", "more than", certificate.clone() + &issuer.repeat(20)),
        forged(
            "chain-with-key",
            "a private key among the certificates",
            "another key",
            own.serialize_pem() + &authority.sign(&good, &own)?,
        ),
        forged("chain-empty", "nothing in use", "empty", String::new()),
        forged(
            "chain-of-garbage",
            "a file in use that is none",
            "",
            "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n".to_owned(),
        ),
        forged(
            "chain-cut-off",
            "half a file in use",
            "",
            certificate.get(..certificate.len() / 2).unwrap_or_default().to_owned(),
        ),
    ])
}
