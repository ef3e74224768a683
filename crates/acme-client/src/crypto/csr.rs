//! Certificate signing requests (RFC 2986), as ACME wants them (RFC 8555 section 7.4).

use acme::DnsName;
use der::asn1::{BitString, Ia5String, OctetString};
use der::oid::AssociatedOid as _;
use der::{Decode as _, Encode as _};
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, ExtensionReq, Version};

use crate::crypto::key::PrivateKey;

/// A request for a certificate for `names`, in DER.
///
/// The names stand in the subject alternative name alone. The subject is empty: a common name is of no use to anybody,
/// and impossible for names over 64 characters.
pub(crate) fn request(key: &PrivateKey, names: &[DnsName]) -> Result<Vec<u8>, String> {
    let failed = |error: der::Error| format!("the signing request cannot be encoded: {error}");
    let info = info(key, names).map_err(failed)?;
    let message = info.to_der().map_err(failed)?;
    let (algorithm, signature) = key.sign(&message).map_err(|error| error.to_string())?;
    let signature = BitString::from_bytes(&signature).map_err(failed)?;
    CertReq { info, algorithm, signature }.to_der().map_err(failed)
}

fn info(key: &PrivateKey, names: &[DnsName]) -> der::Result<CertReqInfo> {
    let names = names.iter().map(|name| Ok(GeneralName::DnsName(Ia5String::new(name.as_str())?)));
    let names = SubjectAltName(names.collect::<der::Result<_>>()?);
    let extension = Extension {
        extn_id: SubjectAltName::OID,
        // RFC 5280 section 4.2.1.6: critical where the subject is empty. Authorities copy the names, not the flag, and
        // some of them reject a request with a critical extension, so it is left out as all other clients do.
        critical: false,
        extn_value: OctetString::new(names.to_der()?)?,
    };
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::try_from(ExtensionReq(vec![extension]))?)?;
    let subject = Name::from_der(&[0x30, 0x00])?;
    Ok(CertReqInfo { version: Version::V1, subject, public_key: key.public()?, attributes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key::KeyType;
    use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    #[test]
    fn a_request_is_signed_names_all_names_and_has_no_subject() {
        let key = PrivateKey::generate(KeyType::P256).expect("a key");
        let names: Vec<DnsName> =
            ["example.org", "www.example.org"].iter().map(|name| DnsName::parse(name).expect("a name")).collect();
        let der = request(&key, &names).expect("a request");
        let read = CertReq::from_der(&der).expect("a request");
        assert!(read.info.subject.is_empty());
        let public = read.info.public_key.subject_public_key.raw_bytes();
        let signed = read.info.to_der().expect("encoded");
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public)
            .verify(&signed, read.signature.raw_bytes())
            .expect("the signature is right");
        for name in &names {
            assert!(der.windows(name.as_str().len()).any(|bytes| bytes == name.as_str().as_bytes()));
        }
    }
}
