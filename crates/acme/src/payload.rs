//! The contents of signed requests, as fields from which whoever holds the account key builds the bytes itself.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::base64url;
use crate::identifier::Identifier;
use crate::profile::ProfileName;
use crate::renewal_info::CertId;
use crate::text::ParseError;
use crate::token::Nonce;
use crate::url::Url;

/// A request that is to be signed: all that its signer has to know, and may check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToSign {
    /// Where it goes (RFC 8555 section 6.4).
    pub url: Url,
    /// The nonce it uses up (section 6.5).
    pub nonce: Nonce,
    /// How the account is named in it (section 6.2).
    pub signer: Signer,
    /// What it says.
    pub payload: Payload,
}

/// How a request names the account that signs it (RFC 8555 section 6.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signer {
    /// By its public key: only for a new account, and for a revocation by the certificate's key.
    Jwk,
    /// By its URL.
    Kid(Url),
}

/// What a request says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Create an account, or find it (RFC 8555 section 7.3).
    NewAccount {
        /// URLs such as `mailto:admin@example.org`; may be empty.
        contact: Vec<String>,
        /// The terms of service are agreed to.
        terms_agreed: bool,
        /// Do not create one (section 7.3.1).
        only_return_existing: bool,
    },
    /// Ask for a certificate for these names (section 7.4).
    NewOrder {
        /// At least one.
        names: Vec<Identifier>,
        /// Of this profile (draft-ietf-acme-profiles section 4).
        profile: Option<ProfileName>,
        /// In place of this certificate (RFC 9773 section 5).
        replaces: Option<CertId>,
    },
    /// Read something (section 6.3).
    PostAsGet,
    /// The answer to a challenge is in place (section 7.5.1).
    ChallengeReady,
    /// Give up an authorization (section 7.5.2).
    DeactivateAuthorization,
    /// Have the certificate made (section 7.4).
    Finalize {
        /// A PKCS #10 request, DER.
        csr: Vec<u8>,
    },
    /// Revoke a certificate (section 7.6).
    RevokeCert {
        /// The certificate, DER.
        certificate: Vec<u8>,
        /// Why.
        reason: Option<RevocationReason>,
    },
}

impl Payload {
    /// The payload of the JWS: a JSON object, or nothing at all for [`Payload::PostAsGet`].
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let value = match self {
            Self::PostAsGet => return Vec::new(),
            Self::ChallengeReady => json!({}),
            Self::DeactivateAuthorization => json!({ "status": "deactivated" }),
            Self::NewAccount { contact, terms_agreed, only_return_existing } => {
                new_account(contact, *terms_agreed, *only_return_existing)
            }
            Self::NewOrder { names, profile, replaces } => new_order(names, profile.as_ref(), replaces.as_ref()),
            Self::Finalize { csr } => json!({ "csr": base64url::encode(csr) }),
            Self::RevokeCert { certificate, reason } => {
                let mut object = Map::new();
                object.insert("certificate".into(), base64url::encode(certificate).into());
                if let Some(reason) = reason {
                    object.insert("reason".into(), reason.code().into());
                }
                Value::Object(object)
            }
        };
        format!("{value}").into_bytes()
    }
}

fn new_order(names: &[Identifier], profile: Option<&ProfileName>, replaces: Option<&CertId>) -> Value {
    let identifier = |name: &Identifier| json!({ "type": name.type_name(), "value": name.to_string() });
    let mut object = Map::new();
    object.insert("identifiers".into(), names.iter().map(identifier).collect());
    if let Some(profile) = profile {
        object.insert("profile".into(), profile.as_str().into());
    }
    if let Some(replaces) = replaces {
        object.insert("replaces".into(), replaces.as_str().into());
    }
    Value::Object(object)
}

/// A server may refuse a member it has no use for, so what is empty or false is left out.
fn new_account(contact: &[String], terms_agreed: bool, only_return_existing: bool) -> Value {
    let mut object = Map::new();
    if !contact.is_empty() {
        object.insert("contact".into(), contact.into());
    }
    if terms_agreed {
        object.insert("termsOfServiceAgreed".into(), true.into());
    }
    if only_return_existing {
        object.insert("onlyReturnExisting".into(), true.into());
    }
    Value::Object(object)
}

/// Why a certificate is revoked: the reasons of RFC 5280 section 5.3.1 that are for the holder of a certificate to give.
/// (The others are for the authority, or for states that TLS certificates do not have.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RevocationReason {
    /// 0
    Unspecified,
    /// 1: somebody else has, or had, the private key.
    KeyCompromise,
    /// 3: the names belong to somebody else now.
    AffiliationChanged,
    /// 4: another certificate replaces it.
    Superseded,
    /// 5: the names are no longer used.
    CessationOfOperation,
}

impl RevocationReason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
    ];

    /// The `CRLReason` number of RFC 5280.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
        }
    }

    /// The name that RFC 5280 gives it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RevocationReason {
    type Err = ParseError;

    /// By name, in any case and with or without hyphens, or by number.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wanted = text.replace('-', "");
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str().eq_ignore_ascii_case(&wanted) || format!("{}", reason.code()) == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                ParseError::new(text, format!("not a reason for a revocation; there are {known}"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(payload: &Payload) -> String {
        String::from_utf8(payload.to_json()).unwrap()
    }

    #[test]
    fn payloads() {
        let account = |contact: &[&str], terms_agreed, only_return_existing| Payload::NewAccount {
            contact: contact.iter().map(|&c| c.into()).collect(),
            terms_agreed,
            only_return_existing,
        };
        assert_eq!(json(&account(&[], false, false)), "{}");
        assert_eq!(
            json(&account(&["mailto:a@example.org"], true, false)),
            r#"{"contact":["mailto:a@example.org"],"termsOfServiceAgreed":true}"#
        );
        assert_eq!(json(&account(&[], false, true)), r#"{"onlyReturnExisting":true}"#);
        let names = ["example.org", "*.example.org", "2001:db8::1"].map(|n| Identifier::parse(n).unwrap()).to_vec();
        assert_eq!(
            json(&Payload::NewOrder { names, profile: None, replaces: None }),
            r#"{"identifiers":[{"type":"dns","value":"example.org"},{"type":"dns","value":"*.example.org"},{"type":"ip","value":"2001:db8::1"}]}"#
        );
        let order = Payload::NewOrder {
            names: alloc::vec![Identifier::parse("a.example").unwrap()],
            profile: Some(ProfileName::parse("tlsserver").unwrap()),
            replaces: Some(CertId::parse("aa.bb").unwrap()),
        };
        assert_eq!(
            json(&order),
            r#"{"identifiers":[{"type":"dns","value":"a.example"}],"profile":"tlsserver","replaces":"aa.bb"}"#
        );
        assert_eq!(json(&Payload::PostAsGet), "");
        assert_eq!(json(&Payload::ChallengeReady), "{}");
        assert_eq!(json(&Payload::DeactivateAuthorization), r#"{"status":"deactivated"}"#);
        assert_eq!(json(&Payload::Finalize { csr: alloc::vec![0xff, 0xfe, 0xfd, 0xfc] }), r#"{"csr":"__79_A"}"#);
        let revoke = |reason| Payload::RevokeCert { certificate: alloc::vec![0], reason };
        assert_eq!(json(&revoke(None)), r#"{"certificate":"AA"}"#);
        assert_eq!(json(&revoke(Some(RevocationReason::Superseded))), r#"{"certificate":"AA","reason":4}"#);
    }

    #[test]
    fn quotes_in_contacts_stay_inside() {
        let contact = alloc::vec!["mailto:\"},{\"x".into()];
        let payload = Payload::NewAccount { contact, terms_agreed: false, only_return_existing: false };
        let value: Value = serde_json::from_str(&json(&payload)).unwrap();
        assert_eq!(value["contact"][0], "mailto:\"},{\"x");
    }

    #[test]
    fn reasons() {
        for reason in RevocationReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
            assert_eq!(format!("{}", reason.code()).parse(), Ok(reason));
        }
        assert_eq!("key-compromise".parse(), Ok(RevocationReason::KeyCompromise));
        let error = "cACompromise".parse::<RevocationReason>().unwrap_err();
        assert!(format!("{error}").contains("keyCompromise, affiliationChanged"), "{error}");
        assert!("2".parse::<RevocationReason>().is_err());
    }
}
