//! Signed requests: JWS with flattened JSON serialization (RFC 7515 section 7.2.2, RFC 8555 section 6.2).
//!
//! For whoever holds the account key. The key itself never comes here: [`SigningInput`] gives the bytes to sign and
//! takes the signature.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value, json};

use crate::base64url;
use crate::payload::{Signer, ToSign};

/// The public part of an account key (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jwk {
    /// A key on the curve P-256, for ES256 (RFC 7518 sections 3.4 and 6.2).
    EcP256 {
        /// The x coordinate, big-endian.
        x: [u8; 32],
        /// The y coordinate, big-endian.
        y: [u8; 32],
    },
}

impl Jwk {
    /// The bytes whose SHA-256, in base64url, is the key's thumbprint (RFC 7638 section 3): the required members of the
    /// key in the order of their names, without white space.
    #[must_use]
    pub fn thumbprint_input(&self) -> Vec<u8> {
        // `Map` sorts its members unless a feature of serde_json says otherwise, so this one is written out.
        let Self::EcP256 { x, y } = self;
        let (x, y) = (base64url::encode(x), base64url::encode(y));
        format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).into_bytes()
    }

    fn to_value(&self) -> Value {
        let Self::EcP256 { x, y } = self;
        json!({ "kty": "EC", "crv": "P-256", "x": base64url::encode(x), "y": base64url::encode(y) })
    }

    /// RFC 7518 section 3.1
    const fn algorithm(&self) -> &'static str {
        match self {
            Self::EcP256 { .. } => "ES256",
        }
    }
}

/// A request, ready to be signed.
#[derive(Clone, Debug)]
pub struct SigningInput {
    /// Protected header and payload in base64url, with a dot between them (RFC 7515 section 5.1).
    text: String,
    /// Where the dot is.
    dot: usize,
}

impl SigningInput {
    /// Builds header and payload of `request`, to be signed by the private part of `key`.
    #[must_use]
    pub fn new(request: &ToSign, key: &Jwk) -> Self {
        let mut header = Map::new();
        header.insert("alg".into(), key.algorithm().into());
        match &request.signer {
            Signer::Jwk => header.insert("jwk".into(), key.to_value()),
            Signer::Kid(account) => header.insert("kid".into(), account.as_str().into()),
        };
        header.insert("nonce".into(), request.nonce.as_str().into());
        header.insert("url".into(), request.url.as_str().into());

        let mut text = base64url::encode(format!("{}", Value::Object(header)).as_bytes());
        let dot = text.len();
        text.push('.');
        text.push_str(&base64url::encode(&request.payload.to_json()));
        Self { text, dot }
    }

    /// The bytes to sign.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The request's body. `signature` is, for ES256, r and s of 32 bytes each (RFC 7518 section 3.4), not DER.
    #[must_use]
    pub fn finish(&self, signature: &[u8]) -> Vec<u8> {
        let (protected, rest) = self.text.split_at(self.dot);
        let payload = rest.strip_prefix('.').unwrap_or(rest);
        let signature = base64url::encode(signature);
        // base64url needs no escapes.
        format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;
    use crate::payload::Payload;
    use crate::token::Nonce;
    use crate::url::Url;

    fn decode(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    /// RFC 7515 appendix A.3.1
    fn example_key() -> Jwk {
        let part = |text| decode(text).try_into().unwrap();
        Jwk::EcP256 {
            x: part("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
            y: part("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
        }
    }

    fn request(signer: Signer, payload: Payload) -> ToSign {
        let url = Url::parse("https://example.com/acme/x").unwrap();
        ToSign { url, nonce: Nonce::parse("5XJ1L3lEkMG7tR6pA00clA").unwrap(), signer, payload }
    }

    fn header(input: &SigningInput) -> Value {
        let text = core::str::from_utf8(input.as_bytes()).unwrap();
        serde_json::from_slice(&decode(text.split('.').next().unwrap())).unwrap()
    }

    #[test]
    fn thumbprint_of_the_example_key() {
        let input = example_key().thumbprint_input();
        assert_eq!(
            core::str::from_utf8(&input).unwrap(),
            r#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#
        );
        let digest = ring::digest::digest(&ring::digest::SHA256, &input);
        assert_eq!(base64url::encode(digest.as_ref()), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
    }

    #[test]
    fn headers_name_the_key_or_the_account() {
        let new = request(Signer::Jwk, Payload::PostAsGet);
        let jwk = json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        });
        let fields = json!({ "alg": "ES256", "jwk": jwk,
            "nonce": "5XJ1L3lEkMG7tR6pA00clA", "url": "https://example.com/acme/x" });
        assert_eq!(header(&SigningInput::new(&new, &example_key())), fields);

        let account = Url::parse("https://example.com/acme/acct/1").unwrap();
        let known = request(Signer::Kid(account), Payload::PostAsGet);
        let fields = json!({ "alg": "ES256", "kid": "https://example.com/acme/acct/1",
            "nonce": "5XJ1L3lEkMG7tR6pA00clA", "url": "https://example.com/acme/x" });
        assert_eq!(header(&SigningInput::new(&known, &example_key())), fields);
    }

    #[test]
    fn the_signature_covers_header_and_payload() {
        let random = ring::rand::SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).unwrap();
        let point = pair.public_key().as_ref();
        let key = Jwk::EcP256 { x: point[1..33].try_into().unwrap(), y: point[33..].try_into().unwrap() };

        let input = SigningInput::new(&request(Signer::Jwk, Payload::ChallengeReady), &key);
        let signature = pair.sign(&random, input.as_bytes()).unwrap();
        let body: Value = serde_json::from_slice(&input.finish(signature.as_ref())).unwrap();

        assert_eq!(body.as_object().unwrap().len(), 3);
        let part = |name: &str| body[name].as_str().unwrap();
        assert_eq!(decode(part("payload")), b"{}");
        let signed = format!("{}.{}", part("protected"), part("payload"));
        ring::signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &decode(part("signature")))
            .unwrap();
    }

    #[test]
    fn post_as_get_has_an_empty_payload() {
        let input = SigningInput::new(&request(Signer::Jwk, Payload::PostAsGet), &example_key());
        assert!(input.as_bytes().ends_with(b"."));
        let body: Value = serde_json::from_slice(&input.finish(&[0; 64])).unwrap();
        assert_eq!(body["payload"], "");
    }
}
