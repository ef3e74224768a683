//! Private keys: made, read, written, used.

use core::fmt;

use der::Encode;
use der::asn1::{Any, BitString, Null, ObjectIdentifier};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair as _, RsaKeyPair,
};
use rsa::pkcs8::EncodePrivateKey as _;
use serde::{Deserialize, Serialize};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

/// Kinds of certificate keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub(crate) enum KeyType {
    /// ECDSA over the curve P-256: small, fast, accepted everywhere.
    #[default]
    P256,
    /// ECDSA over the curve P-384.
    P384,
    /// RSA with 2048 bits, for clients of the last century.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
}

impl KeyType {
    const ALL: [Self; 5] = [Self::P256, Self::P384, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    const fn rsa_bits(self) -> Option<usize> {
        match self {
            Self::P256 | Self::P384 => None,
            Self::Rsa2048 => Some(2048),
            Self::Rsa3072 => Some(3072),
            Self::Rsa4096 => Some(4096),
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "ECDSA P-256",
            Self::P384 => "ECDSA P-384",
            Self::Rsa2048 => "RSA 2048",
            Self::Rsa3072 => "RSA 3072",
            Self::Rsa4096 => "RSA 4096",
        })
    }
}

/// Why a key cannot be made or used. Says nothing of the key itself.
#[derive(Debug)]
pub(crate) struct KeyError(&'static str);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A private key. It can be used and written to a file, and is never shown.
pub(crate) struct PrivateKey {
    kind: KeyType,
    pkcs8: Zeroizing<Vec<u8>>,
    pair: Pair,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.kind)
    }
}

impl PrivateKey {
    /// Makes a new key. RSA takes seconds.
    pub(crate) fn generate(kind: KeyType) -> Result<Self, KeyError> {
        const NO_RANDOMNESS: KeyError = KeyError("the system gives no randomness");
        let pkcs8 = match kind.rsa_bits() {
            None => {
                let made = EcdsaKeyPair::generate_pkcs8(curve(kind), &SystemRandom::new());
                Zeroizing::new(made.map_err(|_| NO_RANDOMNESS)?.as_ref().to_vec())
            }
            Some(bits) => {
                let key = rsa::PrivateKey::new(&mut Randomness(SystemRandom::new()), bits);
                let key = key.map_err(|_| NO_RANDOMNESS)?;
                let der = key.to_pkcs8_der().map_err(|_| KeyError("the new key cannot be encoded"))?;
                Zeroizing::new(der.as_bytes().to_vec())
            }
        };
        Self::from_pkcs8(pkcs8)
    }

    /// Reads a key from PEM (`PRIVATE KEY`, which is PKCS #8).
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let (label, der) = der::pem::decode_vec(pem).map_err(|_| KeyError("this is no PEM file"))?;
        let der = Zeroizing::new(der);
        match label {
            "PRIVATE KEY" => Self::from_pkcs8(der),
            "EC PRIVATE KEY" | "RSA PRIVATE KEY" => Err(KeyError(
                "this key is in an old format; convert it with: openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW",
            )),
            "ENCRYPTED PRIVATE KEY" => Err(KeyError("this key is encrypted, which an unattended program cannot use")),
            _ => Err(KeyError("this PEM file is no private key")),
        }
    }

    fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        for kind in [KeyType::P256, KeyType::P384] {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(curve(kind), &pkcs8, &random) {
                return Ok(Self { kind, pkcs8, pair: Pair::Ecdsa(pair) });
            }
        }
        let pair = RsaKeyPair::from_pkcs8(&pkcs8);
        let pair = pair.map_err(|_| KeyError("this is no P-256, P-384 or RSA key, or it is damaged"))?;
        let bits = pair.public().modulus_len() * 8;
        let kind = KeyType::ALL.into_iter().find(|kind| kind.rsa_bits() == Some(bits));
        let kind = kind.ok_or(KeyError("this RSA key has none of the sizes 2048, 3072 and 4096 bits"))?;
        Ok(Self { kind, pkcs8, pair: Pair::Rsa(pair) })
    }

    /// What kind of key it is.
    pub(crate) const fn kind(&self) -> KeyType {
        self.kind
    }

    /// The key in PKCS #8, for software that makes something of it.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The key as a PEM file.
    pub(crate) fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, &self.pkcs8)
            .map(Zeroizing::new)
            .map_err(|_| KeyError("the key cannot be encoded"))
    }

    /// The public key, as certificates and signing requests carry it (RFC 5280 section 4.1.2.7).
    pub(crate) fn public(&self) -> Result<SubjectPublicKeyInfoOwned, der::Error> {
        const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
        const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
        const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
        const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
        let (oid, parameters, bytes) = match (&self.pair, self.kind) {
            (Pair::Ecdsa(pair), KeyType::P384) => (EC, Any::encode_from(&P384)?, pair.public_key().as_ref()),
            (Pair::Ecdsa(pair), _) => (EC, Any::encode_from(&P256)?, pair.public_key().as_ref()),
            (Pair::Rsa(pair), _) => (RSA, Any::encode_from(&Null)?, pair.public().as_ref()),
        };
        Ok(SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned { oid, parameters: Some(parameters) },
            subject_public_key: BitString::from_bytes(bytes)?,
        })
    }

    /// The public key in DER.
    pub(crate) fn public_der(&self) -> Result<Vec<u8>, KeyError> {
        self.public().and_then(|public| public.to_der()).map_err(|_| KeyError("the public key cannot be encoded"))
    }

    /// Signs, and says how (for certificates and signing requests).
    pub(crate) fn sign(&self, message: &[u8]) -> Result<(AlgorithmIdentifierOwned, Vec<u8>), KeyError> {
        const FAILED: KeyError = KeyError("signing failed");
        const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
        const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
        const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| FAILED)?;
                let oid = if self.kind == KeyType::P384 { ECDSA_SHA384 } else { ECDSA_SHA256 };
                Ok((AlgorithmIdentifierOwned { oid, parameters: None }, signature.as_ref().to_vec()))
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| FAILED)?;
                let parameters = Any::encode_from(&Null).map_err(|_| FAILED)?;
                Ok((AlgorithmIdentifierOwned { oid: RSA_SHA256, parameters: Some(parameters) }, signature))
            }
        }
    }
}

fn curve(kind: KeyType) -> &'static EcdsaSigningAlgorithm {
    if kind == KeyType::P384 { &ECDSA_P384_SHA384_ASN1_SIGNING } else { &ECDSA_P256_SHA256_ASN1_SIGNING }
}

/// The system's randomness as the `rsa` crate wants it.
struct Randomness(SystemRandom);

impl rsa::rand_core::TryRng for Randomness {
    type Error = NoRandomness;

    fn try_next_u32(&mut self) -> Result<u32, NoRandomness> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandomness> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), NoRandomness> {
        self.0.fill(into).map_err(|_| NoRandomness)
    }
}

impl rsa::rand_core::TryCryptoRng for Randomness {}

/// The system gives no randomness.
#[derive(Debug)]
pub(crate) struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system gives no randomness")
    }
}

impl std::error::Error for NoRandomness {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_kind_survive_their_file() {
        for kind in [KeyType::P256, KeyType::P384, KeyType::Rsa2048] {
            let key = PrivateKey::generate(kind).expect("a key");
            assert_eq!(key.kind(), kind);
            let pem = key.to_pem().expect("a PEM file");
            let read = PrivateKey::from_pem(pem.as_bytes()).expect("the same key");
            assert_eq!(read.kind(), kind);
            assert_eq!(read.public_der().expect("public"), key.public_der().expect("public"));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_in_words() {
        let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (text, words) in [
            ("hello", "no PEM"),
            (damaged, "damaged"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no private key"),
            ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "openssl pkcs8"),
        ] {
            let error = PrivateKey::from_pem(text.as_bytes()).expect_err("no key").to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = PrivateKey::generate(KeyType::P256).expect("a key");
        assert_eq!(format!("{key:?}"), "PrivateKey(ECDSA P-256)");
    }
}
