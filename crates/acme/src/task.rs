//! The drive contract: what a task asks for, and how it is answered.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Stage};
use crate::identifier::Identifier;
use crate::objects::ChallengeKind;
use crate::payload::ToSign;
use crate::profile::ProfileName;
use crate::renewal_info::RenewalInfo;
use crate::session::{Now, Reply, Session};
use crate::token::Token;
use crate::url::Url;

/// Something to be done at a CA, step by step, by a caller who does all the work.
///
/// [`poll`](Self::poll) tells the next [`Action`]. Each action has to be answered by the method it names before the next
/// poll; [`Action::Wait`] is answered by polling again, early polls do no harm. An action that cannot be done is
/// answered by [`refused`](Self::refused). After [`Action::Done`] or [`Action::Failed`] the task is over.
///
/// An answer that does not fit never panics: the task fails with [`crate::ErrorKind::ApiMisuse`].
pub trait Task {
    /// The next thing to do.
    fn poll(&mut self, session: &mut Session, now: Now) -> Action;

    /// Answers [`Action::Send`]: the server has replied, whatever the status.
    fn reply(&mut self, session: &mut Session, reply: Reply, now: Now);

    /// Answers [`Action::Send`]: there was no (whole) reply, for this reason. The request is repeated a few times. Where
    /// that is pointless, as with a server whose certificate is not trusted, use [`refused`](Self::refused).
    fn transport_failed(&mut self, session: &mut Session, text: &str, now: Now);

    /// Answers [`Action::Sign`]: the signed request, as [`crate::jws::SigningInput::finish`] makes it.
    fn signed(&mut self, session: &mut Session, body: Vec<u8>);

    /// Answers [`Action::AccountKnown`], [`Action::Journal`], [`Action::Publish`] and [`Action::Withdraw`].
    fn done(&mut self);

    /// Answers [`Action::Csr`]: the request in DER.
    fn csr(&mut self, der: Vec<u8>);

    /// Answers any action: it cannot be done, or may not be. Ends the task with these words as its error, once what was
    /// published is withdrawn. (A withdrawal that is refused changes nothing.)
    fn refused(&mut self, text: &str);

    /// Ends the task at any time, once what was published is withdrawn. The answer to the last action need not be given.
    fn cancel(&mut self);

    /// What is being done, for people.
    fn stage(&self) -> Stage;
}

/// What a task wants its caller to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Send this and hand over the reply: [`Task::reply`] or [`Task::transport_failed`].
    Send(Request),
    /// Have this built and signed by the account key: [`Task::signed`].
    Sign(ToSign),
    /// (Register) Remember the account's URL: [`Task::done`]. Not asked for if it was known before.
    AccountKnown(Url),
    /// (Issue) Remember the order's URL, so that a run that is killed can be resumed: [`Task::done`].
    Journal(Url),
    /// (Issue) Put the answer to a challenge in place: [`Task::done`] when it can be fetched.
    Publish(Publication),
    /// (Issue) Remove it: [`Task::done`]. Every publication that was done is withdrawn, also before
    /// [`Action::Failed`]. Tasks for the same name may share a token, so whoever publishes has to count.
    Withdraw(Publication),
    /// (Issue) Provide the certificate request, and make the key it is for known to those who will check the
    /// certificate: [`Task::csr`]. Asked for exactly once before a certificate is downloaded, also when an earlier run
    /// has finalized the order.
    Csr,
    /// Poll again after this time.
    Wait(Duration),
    /// It is done.
    Done(Outcome),
    /// It cannot be done.
    Failed(Error),
}

/// An HTTP request (RFC 9110) to be sent to the CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Empty but for [`Method::Post`].
    pub body: Vec<u8>,
    /// The value of the `Accept` header, if one is wanted.
    pub accept: Option<&'static str>,
    /// Bytes of the reply's body that are of interest. If there is one more, the rest need not be read.
    pub max_body: usize,
    /// After how long to give up: by [`Task::transport_failed`].
    pub timeout: Duration,
}

impl Request {
    /// The value of the `Content-Type` header (RFC 8555 section 6.2), if one is needed.
    #[must_use]
    pub const fn content_type(&self) -> Option<&'static str> {
        match self.method {
            Method::Get | Method::Head => None,
            Method::Post => Some("application/jose+json"),
        }
    }
}

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// For the directory.
    Get,
    /// For a nonce.
    Head,
    /// For everything else, signed.
    Post,
}

impl Method {
    /// As it stands in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

/// The answer to a challenge: the key authorization of this token, served for this name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Publication {
    /// In which way.
    pub kind: ChallengeKind,
    /// The name that is validated; never a wildcard.
    pub name: Identifier,
    /// The token.
    pub token: Token,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Of [`crate::Register`].
    Registered {
        /// The account.
        account: Url,
        /// Whether it is new.
        created: bool,
        /// Where the terms of service are, if there are any.
        terms: Option<alloc::string::String>,
    },
    /// Of [`crate::Issue`].
    Issued {
        /// The chain in strict PEM, the certificate first. Whether it is for the right key and names is not checked.
        chain_pem: Vec<u8>,
        /// The order it comes from.
        order: Url,
        /// Where other chains for it are (RFC 8555 section 7.4.2).
        alternates: Vec<Url>,
        /// The profile that was wanted, and that the CA does not have.
        profile_missing: Option<ProfileName>,
    },
    /// Of [`crate::FetchRenewalInfo`].
    RenewalInfo(RenewalInfo),
    /// Of [`crate::Revoke`].
    Revoked {
        /// Whether it had been revoked before.
        already: bool,
    },
}
