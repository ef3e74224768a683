//! Signed requests: flattened JWS (RFC 7515 section 7.2.2) as RFC 8555 section 6.2 narrows it, and the keys in them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::problem::Problem;

/// A JWS whose form is right and whose signature is not yet checked.
#[derive(Debug)]
pub(crate) struct Jws {
    pub(crate) signer: Signer,
    pub(crate) url: String,
    pub(crate) nonce: Option<String>,
    pub(crate) payload: Vec<u8>,
    algorithm: String,
    /// Header and payload as they were signed.
    input: String,
    signature: Vec<u8>,
}

/// Who says to have signed.
#[derive(Debug)]
pub(crate) enum Signer {
    /// The key itself.
    Jwk(Key),
    /// The URL of an account.
    Kid(String),
}

#[derive(Deserialize)]
struct Flattened {
    protected: String,
    payload: String,
    signature: String,
    header: Option<Value>,
    signatures: Option<Value>,
}

#[derive(Deserialize)]
struct Protected {
    alg: String,
    url: Option<String>,
    nonce: Option<String>,
    jwk: Option<Value>,
    kid: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

impl Jws {
    /// Takes a request body apart.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let flat: Flattened = serde_json::from_slice(body)
            .map_err(|e| Problem::malformed(format!("the body is no flattened JWS: {e}")))?;
        if flat.header.is_some() || flat.signatures.is_some() {
            return Err(Problem::malformed("a JWS has one signature and no unprotected header"));
        }
        let protected: Protected = serde_json::from_slice(&decode("protected", &flat.protected)?)
            .map_err(|e| Problem::malformed(format!("the protected header cannot be read: {e}")))?;
        if protected.crit.is_some() || protected.b64.is_some() {
            return Err(Problem::malformed("the protected header has extensions that are not understood"));
        }
        if !["ES256", "ES384", "RS256"].contains(&protected.alg.as_str()) {
            return Err(Problem::new(400, "badSignatureAlgorithm", format!("no such \"alg\": {}", protected.alg))
                .with("algorithms", json!(["ES256", "ES384", "RS256"]))
                .mistake());
        }
        let signer = match (protected.jwk, protected.kid) {
            (Some(jwk), None) => Signer::Jwk(Key::from_jwk(&jwk)?),
            (None, Some(kid)) => Signer::Kid(kid),
            (Some(_), Some(_)) => return Err(Problem::malformed("the protected header has both \"jwk\" and \"kid\"")),
            (None, None) => return Err(Problem::malformed("the protected header has neither \"jwk\" nor \"kid\"")),
        };
        Ok(Self {
            signer,
            url: protected.url.ok_or_else(|| Problem::malformed("the protected header has no \"url\""))?,
            nonce: protected.nonce,
            payload: decode("payload", &flat.payload)?,
            algorithm: protected.alg,
            input: format!("{}.{}", flat.protected, flat.payload),
            signature: decode("signature", &flat.signature)?,
        })
    }

    /// Checks the signature.
    pub(crate) fn verify(&self, key: &Key) -> Result<(), Problem> {
        if key.algorithm() != self.algorithm {
            return Err(
                Problem::new(400, "badPublicKey", format!("this key does not sign with {}", self.algorithm)).mistake()
            );
        }
        key.verify(self.input.as_bytes(), &self.signature)
            .map_err(|()| Problem::malformed("the signature of the JWS is wrong"))
    }
}

/// A public key of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The point, uncompressed.
    P256(Vec<u8>),
    /// The point, uncompressed.
    P384(Vec<u8>),
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl Key {
    pub(crate) fn from_jwk(jwk: &Value) -> Result<Self, Problem> {
        let bad = |detail: &str| Problem::new(400, "badPublicKey", detail).mistake();
        if jwk.get("d").is_some() {
            return Err(bad("the \"jwk\" holds a private key; take it out of use"));
        }
        let member = |name: &'static str| {
            let text = jwk[name].as_str().ok_or_else(|| bad(&format!("the \"jwk\" has no \"{name}\"")))?;
            decode(name, text)
        };
        let point = |size: usize| {
            let (x, y) = (member("x")?, member("y")?);
            if x.len() != size || y.len() != size {
                return Err(bad("the coordinates of the \"jwk\" have a wrong length"));
            }
            Ok([&[4], x.as_slice(), y.as_slice()].concat())
        };
        match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
            (Some("EC"), Some("P-256")) => Ok(Self::P256(point(32)?)),
            (Some("EC"), Some("P-384")) => Ok(Self::P384(point(48)?)),
            (Some("RSA"), _) => {
                let (n, e) = (member("n")?, member("e")?);
                if n.len() < 256 || n[0] == 0 || e.is_empty() || e[0] == 0 {
                    return Err(bad("the RSA key is shorter than 2048 bits or not in its shortest form"));
                }
                Ok(Self::Rsa { n, e })
            }
            _ => Err(bad("keys are P-256, P-384 or RSA")),
        }
    }

    /// The only `alg` it signs with.
    fn algorithm(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Rsa { .. } => "RS256",
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), ()> {
        match self {
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
            Self::P384(point) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature),
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        }
        .map_err(|_| ())
    }

    /// RFC 7638: the digest of the required members, in order and without spaces.
    pub(crate) fn thumbprint(&self) -> String {
        let canonical = match self {
            Self::P256(point) => ec_members("P-256", point),
            Self::P384(point) => ec_members("P-384", point),
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, BASE64.encode(e), BASE64.encode(n)),
        };
        BASE64.encode(digest(&SHA256, canonical.as_bytes()))
    }

    /// What the BIT STRING of a SubjectPublicKeyInfo holds for this key.
    pub(crate) fn subject_public_key(&self) -> Vec<u8> {
        match self {
            Self::P256(point) | Self::P384(point) => point.clone(),
            Self::Rsa { n, e } => der(0x30, &[integer(n), integer(e)].concat()), // RFC 8017 appendix A.1.1
        }
    }
}

/// Base64url without padding, and nothing else.
pub(crate) fn decode(name: &str, text: &str) -> Result<Vec<u8>, Problem> {
    BASE64.decode(text).map_err(|_| Problem::malformed(format!("\"{name}\" is not base64url without padding")))
}

fn ec_members(curve: &str, point: &[u8]) -> String {
    let (x, y) = point[1..].split_at((point.len() - 1) / 2);
    format!(r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#, BASE64.encode(x), BASE64.encode(y))
}

/// A positive INTEGER.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let sign = if bytes[0] >= 0x80 { &[0][..] } else { &[] };
    der(0x02, &[sign, bytes].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let short = &length[length.iter().take_while(|b| **b == 0).count().min(length.len() - 1)..];
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length @ ..0x80) => out.push(length),
        _ => {
            out.push(0x80 | u8::try_from(short.len()).unwrap_or_default());
            out.extend_from_slice(short);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and its thumbprint in RFC 7638 section 3.1.
    #[test]
    fn thumbprint_is_that_of_the_rfc() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let key = Key::from_jwk(&json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}));
        assert_eq!(key.unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn refuses_keys_that_are_none() {
        let p256 = json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"});
        let private = json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "d": "AAAA"});
        let short = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
        for jwk in [p256, private, short, json!({"kty": "oct", "k": "AAAA"}), json!("key"), json!(null)] {
            assert_eq!(Key::from_jwk(&jwk).unwrap_err().kind, "badPublicKey", "{jwk}");
        }
    }

    #[test]
    fn lengths_of_der() {
        assert_eq!(der(0x30, &[0; 3])[..2], [0x30, 3]);
        assert_eq!(der(0x30, &[0; 0x7f])[..2], [0x30, 0x7f]);
        assert_eq!(der(0x30, &[0; 0x80])[..3], [0x30, 0x81, 0x80]);
        assert_eq!(der(0x30, &[0; 0x109])[..4], [0x30, 0x82, 1, 9]);
        assert_eq!(der(0x30, &[]), [0x30, 0]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
    }
}
