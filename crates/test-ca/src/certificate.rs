//! Issuing, handing out and revoking certificates (RFC 8555 sections 7.4.2 and 7.6).

use std::time::{Duration, SystemTime};

use rcgen::KeyPair;

use crate::authority::{Authority, Signed};
use crate::csr::SubjectKey;
use crate::endpoint::Endpoint;
use crate::faults::{BadCertificate, Fault};
use crate::http::{Body, Reply};
use crate::issuer::Leaf;
use crate::jws::decode;
use crate::problem::Problem;
use crate::state::{AuthzStatus, Revoked, State};

const DAY: Duration = Duration::from_secs(86_400);
/// RFC 5280 section 5.3.1; 7 is not used.
const REASONS: [u64; 10] = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10];

impl Authority {
    /// Signs the certificate of an order; its number. `endpoint` is where faults of issuing strike.
    pub(crate) fn issue(
        &self,
        state: &mut State,
        endpoint: Endpoint,
        order: usize,
        key: SubjectKey,
    ) -> Result<usize, Problem> {
        let (account, names) = (state.orders[order].account, state.orders[order].names.clone());
        let now = SystemTime::now();
        let (not_before, lifetime) = (now - self.config.not_before_offset, self.config.lifetime);
        let mut leaf = Leaf { key, names, not_before, lifetime, bad_signature: false };
        for bad in strike(state, endpoint, |bad| !is_of_sending(bad)) {
            match bad {
                BadCertificate::ForeignKey => {
                    let stranger = KeyPair::generate().map_err(Problem::internal)?;
                    leaf.key.algorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
                    leaf.key.bytes = stranger.public_key_raw().to_vec();
                }
                BadCertificate::OtherNames => leaf.names = vec!["other.attacker.example".to_owned()],
                BadCertificate::MissingName if leaf.names.len() > 1 => _ = leaf.names.pop(),
                BadCertificate::MissingName => leaf.names = vec!["other.attacker.example".to_owned()],
                BadCertificate::Expired => leaf.not_before = now - lifetime - DAY,
                BadCertificate::NotYetValid => leaf.not_before = now + DAY,
                BadCertificate::BadSignature => leaf.bad_signature = true,
                _ => {}
            }
        }
        let signed = self.issuer().sign(&leaf).map_err(Problem::internal)?;
        Ok(state.add_issued(account, &leaf, signed))
    }

    /// Hands a certificate out, with one of its chains and links to the others.
    pub(crate) fn certificate(
        &self,
        state: &mut State,
        number: usize,
        chain: usize,
        signed: &Signed,
    ) -> Result<Reply, Problem> {
        signed.expect_account(state.issued[number].account)?;
        signed.expect_empty()?;
        let bad = strike(state, Endpoint::Certificate(number, chain), is_of_sending);
        let pem = self.compose(&state.issued[number].pem, chain, &bad)?;
        let mut reply = Reply::new(200, Body::Pem(pem));
        for other in (0..self.issuer().chains()).filter(|other| *other != chain) {
            reply = reply.link(&state.paths.url(Endpoint::Certificate(number, other)), "alternate");
        }
        Ok(reply)
    }

    /// Revokes a certificate for its owner, for who controls all its names, or for who holds its key.
    pub(crate) fn revoke(&self, state: &mut State, signed: &Signed) -> Result<Reply, Problem> {
        let wish = signed.object()?;
        let certificate =
            wish["certificate"].as_str().ok_or_else(|| Problem::malformed("there is no \"certificate\""))?;
        let der = decode("certificate", certificate)?;
        let reason = match &wish["reason"] {
            serde_json::Value::Null => None,
            value => Some(value.as_u64().filter(|reason| REASONS.contains(reason)).ok_or_else(|| {
                Problem::new(400, "badRevocationReason", format!("there is no revocation reason {value}")).mistake()
            })?),
        };
        let Some(issued) = state.issued.iter().find(|issued| issued.der == der) else {
            return Err(Problem::new(404, "malformed", "this authority has not issued that certificate"));
        };
        let allowed = match signed.account {
            None => issued.public_key == signed.key.subject_public_key(),
            Some(account) => {
                issued.account == account || issued.names.iter().all(|name| controls(state, account, name))
            }
        };
        if !allowed {
            return Err(Problem::unauthorized("neither certificate nor names nor key are the sender's"));
        }
        let serial = issued.serial.clone();
        if state.revoked.iter().any(|revoked| revoked.serial == serial) {
            return Err(Problem::new(400, "alreadyRevoked", "this certificate is revoked already"));
        }
        state.revoked.push(Revoked { serial, reason });
        Ok(Reply::new(200, Body::Empty))
    }

    /// What is sent for a certificate.
    fn compose(&self, leaf: &str, chain: usize, bad: &[BadCertificate]) -> Result<String, Problem> {
        let issuers = if bad.contains(&BadCertificate::ForeignChain) {
            self.issuer().stranger_pem()
        } else {
            self.issuer().chain_pem(chain)
        };
        let mut parts = vec![leaf.to_owned(), issuers.to_owned()];
        for bad in bad {
            match bad {
                BadCertificate::OutOfOrder => parts.reverse(),
                BadCertificate::LeafOnly => parts.truncate(1),
                BadCertificate::Garbage => parts = vec![GARBAGE.to_owned()],
                BadCertificate::Empty => parts.clear(),
                BadCertificate::PrivateKey => {
                    let key = KeyPair::generate().map_err(Problem::internal)?;
                    parts.insert(1.min(parts.len()), key.serialize_pem());
                }
                _ => {}
            }
        }
        // rcgen's PEM has CR LF on Windows only; one form everywhere.
        Ok(parts.concat().replace("\r\n", "\n"))
    }
}

/// Whether an account has a valid authorization for a name.
fn controls(state: &State, account: usize, name: &str) -> bool {
    let now = SystemTime::now();
    let valid = |a: &&crate::state::Authz| a.status == AuthzStatus::Valid && a.expires > now;
    state.authzs.iter().filter(valid).any(|a| a.account == account && a.name == name)
}

fn strike(state: &mut State, endpoint: Endpoint, of: impl Fn(BadCertificate) -> bool) -> Vec<BadCertificate> {
    let kind = |fault: &Fault| match fault {
        Fault::Certificate(bad) => Some(*bad),
        _ => None,
    };
    let struck = state.strike(endpoint, |fault| kind(fault).is_some_and(&of));
    struck.iter().filter_map(kind).collect()
}

/// Whether it is sent wrongly rather than issued wrongly.
fn is_of_sending(bad: BadCertificate) -> bool {
    match bad {
        BadCertificate::OutOfOrder
        | BadCertificate::ForeignChain
        | BadCertificate::LeafOnly
        | BadCertificate::Garbage
        | BadCertificate::Empty
        | BadCertificate::PrivateKey => true,
        BadCertificate::ForeignKey
        | BadCertificate::OtherNames
        | BadCertificate::MissingName
        | BadCertificate::Expired
        | BadCertificate::NotYetValid
        | BadCertificate::BadSignature => false,
    }
}

/// Good PEM, good base64, no certificate.
const GARBAGE: &str = "-----BEGIN CERTIFICATE-----\nVGhpcyBpcyBubyBjZXJ0aWZpY2F0ZS4=\n-----END CERTIFICATE-----\n";
