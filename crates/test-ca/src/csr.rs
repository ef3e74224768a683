//! Certificate signing requests (RFC 2986): read, checked to be signed by their own key, and reduced to what counts.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::request::CertReq;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::problem::Problem;

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Csr {
    pub(crate) key: SubjectKey,
    /// In lower case; addresses in the form of RFC 5952.
    pub(crate) names: BTreeSet<String>,
}

/// The key of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubjectKey {
    pub(crate) algorithm: &'static rcgen::SignatureAlgorithm,
    /// The content of the BIT STRING.
    pub(crate) bytes: Vec<u8>,
}

impl rcgen::PublicKeyData for SubjectKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm
    }
}

impl SubjectKey {
    pub(crate) fn is_rsa(&self) -> bool {
        *self.algorithm == rcgen::PKCS_RSA_SHA256
    }

    fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Result<Self, Problem> {
        let curve = spki.algorithm.parameters.as_ref().and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
        let algorithm = match (spki.algorithm.oid, curve) {
            (EC, Some(P256)) => &rcgen::PKCS_ECDSA_P256_SHA256,
            (EC, Some(P384)) => &rcgen::PKCS_ECDSA_P384_SHA384,
            (RSA, _) => &rcgen::PKCS_RSA_SHA256,
            _ => return Err(Problem::bad_csr("certificate keys are P-256, P-384 or RSA")),
        };
        Ok(Self { algorithm, bytes: spki.subject_public_key.raw_bytes().to_vec() })
    }
}

impl Csr {
    /// Reads a DER certificate signing request and checks its signature.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, Problem> {
        let unreadable = |e: x509_cert::der::Error| Problem::bad_csr(format!("the CSR cannot be read: {e}"));
        let request = CertReq::from_der(der).map_err(unreadable)?;
        let key = SubjectKey::from_spki(&request.info.public_key)?;
        let signed = request.info.to_der().map_err(unreadable)?;
        UnparsedPublicKey::new(verification(&key, &request.algorithm)?, &key.bytes)
            .verify(&signed, request.signature.raw_bytes())
            .map_err(|_| {
                Problem::bad_csr("the CSR is not signed by its key, or the RSA key is not of 2048 to 8192 bits")
            })?;
        let names = alt_names(&request).map_err(unreadable)??;
        for name in common_names(&request) {
            if !names.contains(&name) {
                return Err(Problem::bad_csr(format!("the common name \"{name}\" is not among the alternative names")));
            }
        }
        Ok(Self { key, names })
    }
}

fn verification(
    key: &SubjectKey,
    algorithm: &AlgorithmIdentifierOwned,
) -> Result<&'static dyn VerificationAlgorithm, Problem> {
    let p256 = *key.algorithm == rcgen::PKCS_ECDSA_P256_SHA256;
    Ok(match algorithm.oid {
        RSA_SHA256 if key.is_rsa() => &signature::RSA_PKCS1_2048_8192_SHA256,
        ECDSA_SHA256 if p256 => &signature::ECDSA_P256_SHA256_ASN1,
        ECDSA_SHA384 if p256 => &signature::ECDSA_P256_SHA384_ASN1,
        ECDSA_SHA256 if !key.is_rsa() => &signature::ECDSA_P384_SHA256_ASN1,
        ECDSA_SHA384 if !key.is_rsa() => &signature::ECDSA_P384_SHA384_ASN1,
        oid => return Err(Problem::bad_csr(format!("CSRs are not accepted with signature algorithm {oid}"))),
    })
}

/// The names and addresses; the inner error is for what is neither.
fn alt_names(request: &CertReq) -> x509_cert::der::Result<Result<BTreeSet<String>, Problem>> {
    let mut names = BTreeSet::new();
    for attribute in request.info.attributes.iter().filter(|a| a.oid == EXTENSION_REQUEST) {
        for value in attribute.values.iter() {
            for extension in value.decode_as::<Vec<Extension>>()?.iter().filter(|e| e.extn_id == SUBJECT_ALT_NAME) {
                for name in SubjectAltName::from_der(extension.extn_value.as_bytes())?.0 {
                    match text(&name) {
                        Some(name) => names.insert(name),
                        None => {
                            return Ok(Err(Problem::bad_csr(
                                "the CSR has a name that is neither of DNS nor an address",
                            )));
                        }
                    };
                }
            }
        }
    }
    Ok(Ok(names))
}

/// A DNS name in lower case, or an address in its one form (RFC 8738 section 3). No DNS name is in the form of an address.
fn text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) if name.as_str().parse::<IpAddr>().is_err() => {
            Some(name.as_str().to_ascii_lowercase())
        }
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn common_names(request: &CertReq) -> Vec<String> {
    let attributes = request.info.subject.iter().filter(|a| a.oid == COMMON_NAME);
    attributes.map(|a| String::from_utf8_lossy(a.value.value()).to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    fn request(params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
        params.serialize_request(key).unwrap().der().to_vec()
    }

    fn params(names: &[&str], common_name: Option<&str>) -> CertificateParams {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params
    }

    #[test]
    fn reads_keys_and_names() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let csr = Csr::parse(&request(&params(&["b.example", "A.example"], Some("b.example")), &key)).unwrap();
            assert_eq!(csr.names, BTreeSet::from(["a.example".to_owned(), "b.example".to_owned()]));
            assert_eq!(csr.key.bytes, key.public_key_raw());
            assert_eq!(csr.key.algorithm, algorithm);
        }
    }

    #[test]
    fn refuses_a_wrong_signature_and_foreign_names() {
        let key = KeyPair::generate().unwrap();
        let good = request(&params(&["a.example"], None), &key);
        Csr::parse(&good).unwrap();
        let mut wrong = good.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(Csr::parse(&wrong).unwrap_err().kind, "badCSR");
        assert!(Csr::parse(&good[..good.len() - 1]).unwrap_err().detail.contains("cannot be read"));
        let common = request(&params(&["a.example"], Some("c.example")), &key);
        assert!(Csr::parse(&common).unwrap_err().detail.contains("common name \"c.example\""));
        let mut address = params(&["a.example"], None);
        address.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        address.subject_alt_names.push(SanType::IpAddress("2001:db8::1".parse().unwrap()));
        let names = Csr::parse(&request(&address, &key)).unwrap().names;
        assert!(names.iter().eq(["127.0.0.1", "2001:db8::1", "a.example"]), "{names:?}");
        for other in [SanType::DnsName("127.0.0.1".try_into().unwrap()), SanType::Rfc822Name("a@a".try_into().unwrap())]
        {
            let mut params = params(&["a.example"], None);
            params.subject_alt_names.push(other);
            assert!(Csr::parse(&request(&params, &key)).unwrap_err().detail.contains("neither of DNS nor an address"));
        }
        let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        assert!(Csr::parse(&request(&params(&["a.example"], None), &ed25519)).unwrap_err().detail.contains("P-256"));
    }
}
