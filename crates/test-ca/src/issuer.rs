//! The hierarchy that signs certificates: roots, intermediates, and one issuing key below them all.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};

use crate::config::Config;
use crate::csr::SubjectKey;
use crate::endpoint::random;
use crate::time::since_epoch;

/// Signs leaves. Every chain has the same last issuer (name and key), certified below a root of its own.
#[derive(Debug)]
pub(crate) struct HierarchyIssuer {
    params: CertificateParams,
    key: KeyPair,
    /// Of another authority that has the same name, for signatures that are wrong.
    stranger: KeyPair,
    stranger_pem: String,
    chains: Vec<Chain>,
}

#[derive(Debug)]
struct Chain {
    root: Certificate,
    /// The certificates sent after the leaf.
    pem: String,
}

/// What a leaf is to say.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) key: SubjectKey,
    pub(crate) names: Vec<String>,
    pub(crate) not_before: SystemTime,
    pub(crate) lifetime: Duration,
    /// Signed by a stranger under the issuer's name.
    pub(crate) bad_signature: bool,
}

/// A certificate as issued.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
    pub(crate) serial: Vec<u8>,
}

impl HierarchyIssuer {
    pub(crate) fn new(config: &Config) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let alternates = if config.chain_length == 0 { 0 } else { config.alternates };
        let name = if config.chain_length == 0 { root_name(0) } else { "Test CA Issuer".to_owned() };
        let params = authority_params(&name);
        let chains = (0..=alternates)
            .map(|number| Chain::new(number, config.chain_length, &params, &key))
            .collect::<Result<_, _>>()?;
        let stranger = KeyPair::generate()?;
        let stranger_pem = params.self_signed(&stranger)?.pem();
        Ok(Self { params, key, stranger, stranger_pem, chains })
    }

    /// The number of chains to choose from.
    pub(crate) fn chains(&self) -> usize {
        self.chains.len()
    }

    /// The issuers that are sent after a leaf, PEM.
    pub(crate) fn chain_pem(&self, chain: usize) -> &str {
        &self.chains[chain].pem
    }

    /// A certificate with the name of the last issuer and a key that has signed nothing.
    pub(crate) fn stranger_pem(&self) -> &str {
        &self.stranger_pem
    }

    pub(crate) fn roots_pem(&self) -> Vec<String> {
        self.chains.iter().map(|chain| chain.root.pem()).collect()
    }

    /// Signs a leaf (CA/Browser Forum's profile: no common name, server authentication only).
    pub(crate) fn sign(&self, leaf: &Leaf) -> Result<Signed, rcgen::Error> {
        let serial = serial();
        let mut params = CertificateParams::new(leaf.names.clone())?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name = DistinguishedName::new();
        params.not_before = date_time_ymd(1970, 1, 1) + whole_seconds(since_epoch(leaf.not_before));
        // Both ends belong to the validity (RFC 5280 section 4.1.2.5).
        params.not_after = params.not_before + whole_seconds(leaf.lifetime).saturating_sub(Duration::from_secs(1));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if leaf.key.is_rsa() {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let signer = if leaf.bad_signature { &self.stranger } else { &self.key };
        let certificate = params.signed_by(&leaf.key, &Issuer::from_params(&self.params, signer))?;
        Ok(Signed { der: certificate.der().to_vec(), pem: certificate.pem(), serial: serial.to_vec() })
    }
}

impl Chain {
    /// A root, `length - 1` intermediates with keys of their own, and the issuer's certificate below them.
    fn new(number: usize, length: usize, issuer: &CertificateParams, key: &KeyPair) -> Result<Self, rcgen::Error> {
        if length == 0 {
            return Ok(Self { root: issuer.self_signed(key)?, pem: String::new() });
        }
        let (mut params, mut above) = (authority_params(&root_name(number)), KeyPair::generate()?);
        let root = params.self_signed(&above)?;
        let mut pem = String::new();
        for depth in 1..length {
            let (next, next_key) =
                (authority_params(&format!("Test CA Intermediate {number}.{depth}")), KeyPair::generate()?);
            pem.insert_str(0, &next.signed_by(&next_key, &Issuer::from_params(&params, &above))?.pem());
            (params, above) = (next, next_key);
        }
        pem.insert_str(0, &issuer.signed_by(key, &Issuer::from_params(&params, &above))?.pem());
        Ok(Self { root, pem })
    }
}

/// A certificate authority, valid for long.
pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial()));
    params.distinguished_name = distinguished_name(name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

/// A name with nothing but a common name.
pub(crate) fn distinguished_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn root_name(number: usize) -> String {
    format!("Test CA Root {number}")
}

/// 126 random bits: positive, and never shorter than 16 bytes.
fn serial() -> [u8; 16] {
    let mut serial = random::<16>();
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use x509_cert::der::Decode;

    use super::*;

    #[test]
    fn a_leaf_says_what_it_should() {
        let issuer = HierarchyIssuer::new(&Config::default()).unwrap();
        let key = KeyPair::generate().unwrap();
        let key = SubjectKey { algorithm: &rcgen::PKCS_ECDSA_P256_SHA256, bytes: key.public_key_raw().to_vec() };
        let (not_before, lifetime) = (UNIX_EPOCH + Duration::from_secs(1_800_000_000), Duration::from_secs(86_400));
        let leaf = Leaf { key, names: vec!["a.example".into()], not_before, lifetime, bad_signature: false };
        let signed = issuer.sign(&leaf).unwrap();
        let certificate = x509_cert::Certificate::from_der(&signed.der).unwrap();
        let tbs = certificate.tbs_certificate();
        assert_eq!(tbs.serial_number().as_bytes(), signed.serial);
        assert_eq!(tbs.validity().not_before.to_unix_duration().as_secs(), 1_800_000_000);
        assert_eq!(tbs.validity().not_after.to_unix_duration().as_secs(), 1_800_086_399);
        assert!(tbs.subject().is_empty());
        let subject_alt_name = tbs.extensions().unwrap().iter().find(|e| e.extn_id.to_string() == "2.5.29.17");
        assert!(subject_alt_name.unwrap().critical, "RFC 5280 section 4.2.1.6: critical, for want of a subject");
    }
}
