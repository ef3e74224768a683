//! Revoking a certificate (RFC 8555 section 7.6).

use alloc::vec::Vec;

use crate::error::{ErrorKind, Stage};
use crate::exchange::Ask;
use crate::payload::{Payload, RevocationReason, Signer};
use crate::problem::ProblemType;
use crate::run::{Flow, Next, Runner, task};
use crate::session::{Now, Reply, Session};
use crate::task::Outcome;

/// What [`Revoke`] has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeConfig {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Why.
    pub reason: Option<RevocationReason>,
}

/// Revokes a certificate in the name of the account.
#[derive(Debug)]
pub struct Revoke(Runner<RevokeFlow>);

impl Revoke {
    /// Nothing is done before the first poll.
    #[must_use]
    pub const fn new(config: RevokeConfig) -> Self {
        Self(Runner::new(RevokeFlow { config, already: None }))
    }
}

task!(Revoke);

#[derive(Debug)]
struct RevokeFlow {
    config: RevokeConfig,
    /// Once it is revoked: whether it was before.
    already: Option<bool>,
}

impl Flow for RevokeFlow {
    fn next(&mut self, session: &mut Session, _: Now) -> Result<Next, ErrorKind> {
        if let Some(already) = self.already {
            return Ok(Next::Finish(Outcome::Revoked { already }));
        }
        let url = session.need_directory()?.revoke_cert.clone().ok_or(ErrorKind::NotOffered("revocation"))?;
        let account = session.account().cloned().ok_or(ErrorKind::NoAccount)?;
        let RevokeConfig { certificate, reason } = self.config.clone();
        Ok(Next::Ask(Ask {
            what: "reply to the revocation",
            url,
            signed: Some((Signer::Kid(account), Payload::RevokeCert { certificate, reason })),
            accept: None,
            max_body: session.config.limits.json_body,
        }))
    }

    fn answer(&mut self, _: &mut Session, answer: Result<Reply, ErrorKind>, _: Now) -> Result<(), ErrorKind> {
        self.already = Some(match answer {
            Ok(_) => false,
            Err(ErrorKind::Problem { problem, .. }) if problem.kind == ProblemType::AlreadyRevoked => true,
            Err(kind) => return Err(account_trouble(kind)),
        });
        Ok(())
    }

    fn stage(&self) -> Stage {
        Stage::Revoking
    }
}

/// Any signed request may meet it: the CA has lost, or closed, the account.
pub(crate) fn account_trouble(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::Problem { problem, .. } if problem.kind == ProblemType::AccountDoesNotExist => {
            ErrorKind::Account(problem)
        }
        kind => kind,
    }
}
