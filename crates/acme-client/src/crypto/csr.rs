//! Certificate signing requests (RFC 2986), as ACME wants them (RFC 8555 section 7.4).

use std::net::IpAddr;

use acme::Identifier;
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
pub(crate) fn request(key: &PrivateKey, names: &[Identifier]) -> Result<Vec<u8>, String> {
    let failed = |error: der::Error| format!("the signing request cannot be encoded: {error}");
    let info = info(key, names).map_err(failed)?;
    let message = info.to_der().map_err(failed)?;
    let (algorithm, signature) = key.sign(&message).map_err(|error| error.to_string())?;
    let signature = BitString::from_bytes(&signature).map_err(failed)?;
    CertReq { info, algorithm, signature }.to_der().map_err(failed)
}

fn info(key: &PrivateKey, names: &[Identifier]) -> der::Result<CertReqInfo> {
    let names = SubjectAltName(names.iter().map(general_name).collect::<der::Result<_>>()?);
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

/// RFC 5280 section 4.2.1.6; for addresses also RFC 8738 section 3.
fn general_name(name: &Identifier) -> der::Result<GeneralName> {
    Ok(match name {
        Identifier::Dns(name) => GeneralName::DnsName(Ia5String::new(name.as_str())?),
        Identifier::Ip(IpAddr::V4(address)) => GeneralName::IpAddress(OctetString::new(address.octets())?),
        Identifier::Ip(IpAddr::V6(address)) => GeneralName::IpAddress(OctetString::new(address.octets())?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key::KeyType;
    use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    #[test]
    fn a_request_is_signed_names_all_names_and_has_no_subject() {
        let key = PrivateKey::generate(KeyType::P256).expect("a key");
        let names: Vec<Identifier> = ["example.org", "192.0.2.1", "2001:db8::1"]
            .iter()
            .map(|name| Identifier::parse(name).expect("a name"))
            .collect();
        let der = request(&key, &names).expect("a request");
        let read = CertReq::from_der(&der).expect("a request");
        assert!(read.info.subject.is_empty());
        let public = read.info.public_key.subject_public_key.raw_bytes();
        let signed = read.info.to_der().expect("encoded");
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public)
            .verify(&signed, read.signature.raw_bytes())
            .expect("the signature is right");
        // RFC 5280 section 4.2.1.6: [2] is a name, [7] an address.
        let named: [&[u8]; 3] = [
            b"\x82\x0bexample.org",
            &[0x87, 4, 192, 0, 2, 1],
            &[0x87, 16, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ];
        for name in named {
            assert!(der.windows(name.len()).any(|bytes| bytes == name));
        }
    }
}
