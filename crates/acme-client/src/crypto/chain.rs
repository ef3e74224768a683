//! Certificates: what they say, and whether a chain is what was asked for.

use std::net::IpAddr;
use std::time::Duration;

use acme::Identifier;
use der::{Decode as _, Encode as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Serialize;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::spki::ObjectIdentifier;

/// Certificates that a chain may have. Real ones have two to four.
const MAX_CHAIN: usize = 10;

/// How far the clocks of the authority and of this machine may be apart.
const CLOCK_SKEW: u64 = 3600;

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Facts {
    /// The names it is for, sorted.
    pub(crate) names: Vec<String>,
    /// Who issued it.
    pub(crate) issuer: String,
    /// Its serial number, in hexadecimal digits.
    pub(crate) serial: String,
    /// Valid from, seconds since 1970.
    pub(crate) not_before: u64,
    /// Valid until, seconds since 1970.
    pub(crate) not_after: u64,
}

/// What a new certificate must be.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// Its public key (`SubjectPublicKeyInfo`, DER).
    pub(crate) public: &'a [u8],
    /// Its names, no more and no fewer.
    pub(crate) names: &'a [Identifier],
    /// It must not be older than the one in use, which is valid from here (seconds since 1970).
    pub(crate) not_older_than: Option<u64>,
    /// The time now, seconds since 1970.
    pub(crate) now: u64,
}

/// A chain that is what was asked for, in the forms it is stored in.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The certificate, PEM.
    pub(crate) leaf: String,
    /// The certificates of its issuers, PEM, possibly none.
    pub(crate) issuers: String,
    /// What the certificate says.
    pub(crate) facts: Facts,
}

/// Reads what the first certificate of a PEM file says.
pub(crate) fn facts(pem: &[u8]) -> Result<Facts, String> {
    let der = CertificateDer::pem_slice_iter(pem).next().ok_or("there is no certificate in it")?;
    let der = der.map_err(|error| format!("it is no PEM file: {error}"))?;
    describe(&parse(&der)?)
}

/// The first certificate of a PEM file, in DER.
pub(crate) fn leaf_der(pem: &[u8]) -> Result<Vec<u8>, String> {
    let der = CertificateDer::pem_slice_iter(pem).next().ok_or("there is no certificate in it")?;
    der.map(|der| der.to_vec()).map_err(|error| format!("it is no PEM file: {error}"))
}

/// Checks that the PEM chain is what was asked for: the right key, names and dates, in order, each certificate signed
/// by the next.
pub(crate) fn check(pem: &[u8], wanted: &Wanted<'_>) -> Result<Chain, String> {
    let ders = split(pem)?;
    let [leaf_der, issuers @ ..] = ders.as_slice() else { return Err("the chain is empty".to_owned()) };
    let leaf = parse(leaf_der)?;
    let facts = describe(&leaf)?;

    let public = leaf.tbs_certificate().subject_public_key_info().to_der().map_err(|error| error.to_string())?;
    if public != wanted.public {
        return Err("the certificate is for another key than the one that was made for it".to_owned());
    }
    names_are(&facts, wanted.names)?;
    dates_are_right(&facts, wanted)?;
    linked(&leaf, issuers)?;
    signed(leaf_der, issuers, wanted.now)?;

    Ok(Chain {
        leaf: to_pem(leaf_der)?,
        issuers: issuers.iter().map(|der| to_pem(der)).collect::<Result<_, _>>()?,
        facts,
    })
}

fn split(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut ders = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        if ders.len() == MAX_CHAIN {
            return Err(format!("the chain has more than {MAX_CHAIN} certificates"));
        }
        ders.push(der.map_err(|error| format!("the chain is no PEM file: {error}"))?);
    }
    Ok(ders)
}

fn parse(der: &[u8]) -> Result<Certificate, String> {
    Certificate::from_der(der).map_err(|error| format!("it is no X.509 certificate: {error}"))
}

fn describe(certificate: &Certificate) -> Result<Facts, String> {
    let tbs = certificate.tbs_certificate();
    let alternative: Option<(bool, SubjectAltName)> =
        tbs.get_extension().map_err(|error| format!("its subject alternative name cannot be read: {error}"))?;
    let mut names = Vec::new();
    for name in alternative.map(|(_, names)| names.0).unwrap_or_default() {
        match name {
            // Which would look like an address, and be none for those who connect.
            GeneralName::DnsName(name) if name.as_str().parse::<IpAddr>().is_ok() => names.push(format!("DNS:{name}")),
            GeneralName::DnsName(name) => names.push(name.as_str().to_ascii_lowercase()),
            GeneralName::IpAddress(bytes) if address(bytes.as_bytes()).is_some() => {
                names.extend(address(bytes.as_bytes()).map(|address| address.to_string()));
            }
            other => names.push(format!("{other:?}")),
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(Facts {
        names,
        issuer: readable(tbs.issuer()),
        serial: tbs.serial_number().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
        not_before: tbs.validity().not_before.to_unix_duration().as_secs(),
        not_after: tbs.validity().not_after.to_unix_duration().as_secs(),
    })
}

/// A name as people write it (RFC 4514): the last part first. Parts of other types than the usual ones are left out, and
/// so is the table of all types that there are, which every process would carry.
fn readable(name: &Name) -> String {
    let parts: Vec<String> = name
        .iter()
        .filter_map(|part| {
            let (_, key) = PARTS.iter().find(|(oid, _)| *oid == part.oid)?;
            let value = String::from_utf8_lossy(part.value.value()).replace('\\', "\\\\").replace(',', "\\,");
            Some(format!("{key}={}", privsep::printable(&value)))
        })
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// The types of a name's parts that CAs use, RFC 4519 section 2.
const PARTS: [(ObjectIdentifier, &str); 6] = [
    (ObjectIdentifier::new_unwrap("2.5.4.3"), "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
];

fn names_are(facts: &Facts, wanted: &[Identifier]) -> Result<(), String> {
    let mut wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    wanted.sort_unstable();
    wanted.dedup();
    if facts.names == wanted {
        return Ok(());
    }
    Err(format!("the certificate is for {} where {} was asked for", facts.names.join(", "), wanted.join(", ")))
}

fn dates_are_right(facts: &Facts, wanted: &Wanted<'_>) -> Result<(), String> {
    let now = wanted.now;
    if facts.not_after <= now {
        return Err("the certificate has expired already; is this machine's clock right?".to_owned());
    }
    if facts.not_before > now + CLOCK_SKEW {
        return Err("the certificate is not valid yet; is this machine's clock right?".to_owned());
    }
    match wanted.not_older_than {
        Some(current) if facts.not_before < current => {
            Err("the certificate is older than the one in use, which is kept".to_owned())
        }
        _ => Ok(()),
    }
}

/// RFC 5280 section 4.2.1.6: four or sixteen bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Each certificate names the next one as its issuer.
fn linked(leaf: &Certificate, issuers: &[CertificateDer<'_>]) -> Result<(), String> {
    let mut below = leaf.clone();
    for (at, der) in issuers.iter().enumerate() {
        let above = parse(der)?;
        if below.tbs_certificate().issuer() != above.tbs_certificate().subject() {
            return Err(format!("the chain is out of order: certificate {} did not issue the one before it", at + 2));
        }
        below = above;
    }
    Ok(())
}

/// Each certificate is signed by the next. The last one is taken for granted: whether it is trusted is a matter for
/// those who will connect, not for this program.
fn signed(leaf: &CertificateDer<'_>, issuers: &[CertificateDer<'_>], now: u64) -> Result<(), String> {
    let failed = |error: webpki::Error| format!("the chain does not hold: {error}");
    let Some((last, between)) = issuers.split_last() else { return Ok(()) };
    let anchor = webpki::anchor_from_trusted_cert(last).map_err(failed)?;
    let leaf = webpki::EndEntityCert::try_from(leaf).map_err(failed)?;
    // A little later than now, for a certificate that this machine's clock is behind of.
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now));
    let later = UnixTime::since_unix_epoch(Duration::from_secs(now + CLOCK_SKEW));
    let verify = |time| {
        let usage = webpki::KeyUsage::server_auth();
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            std::slice::from_ref(&anchor),
            between,
            time,
            usage,
            None,
            None,
        )
        .map(drop)
    };
    match verify(time) {
        Err(webpki::Error::CertNotValidYet { .. }) => verify(later).map_err(failed),
        other => other.map_err(failed),
    }
}

fn to_pem(der: &[u8]) -> Result<String, String> {
    der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_shown_as_people_write_it() {
        for (name, shown) in [
            ("CN=R10,O=Let's Encrypt,C=US", "CN=R10,O=Let's Encrypt,C=US"),
            (r"CN=One\, of two,OU=x", r"CN=One\, of two,OU=x"),
            // The escape sequence arrives as text, and a part of a type that is not in the list not at all.
            (r"CN=a\1b[31mb,UID=u", r"CN=a\u{1b}[31mb"),
        ] {
            assert_eq!(readable(&name.parse().expect("a name")), shown);
        }
    }
}
