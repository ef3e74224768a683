//! What can go wrong, in words for people and in types for programs.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::identifier::Identifier;
use crate::problem::{Problem, ProblemType};
use crate::profile::ProfileName;
use crate::text::Words;

/// Why a task failed, and at what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What was being done.
    pub stage: Stage,
    /// The name it is about, if it is about one only.
    pub name: Option<Identifier>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, stage: Stage) -> Self {
        let stage = match &kind {
            // Whatever was being done last, this is what failed.
            ErrorKind::Validation(failures) => match failures.as_slice() {
                [one] => Stage::Validating(one.name.clone()),
                _ => Stage::Validations,
            },
            _ => stage,
        };
        let name = kind.name().or_else(|| stage.name()).cloned();
        Self { kind, stage, name }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> Advice {
        self.kind.advice()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.stage, self.kind)
    }
}

impl core::error::Error for Error {}

/// What a task is doing, as in “creating the order”.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// (all) The first request.
    Directory,
    /// (Register) Creating the account, or finding it.
    Account,
    /// (Issue) Looking at the order of an earlier run.
    ResumingOrder,
    /// (Issue)
    CreatingOrder,
    /// (Issue) Reading what has to be proven.
    Authorizations,
    /// (Issue) From the publication of the answer until the CA has seen it.
    Validating(Identifier),
    /// (Issue) The same, of several names.
    Validations,
    /// (Issue) Making the certificate request and sending it.
    Finalizing,
    /// (Issue) Until the CA has made the certificate.
    Issuing,
    /// (Issue)
    Downloading,
    /// (Revoke)
    Revoking,
    /// (FetchRenewalInfo)
    RenewalInfo,
    /// Nothing is left to do.
    Finished,
}

impl Stage {
    const fn name(&self) -> Option<&Identifier> {
        match self {
            Self::Validating(name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "fetching the directory",
            Self::Account => "registering the account",
            Self::ResumingOrder => "resuming the order of an earlier run",
            Self::CreatingOrder => "creating the order",
            Self::Authorizations => "reading the authorizations",
            Self::Validating(name) => return write!(f, "validating {name}"),
            Self::Validations => "validating the names",
            Self::Finalizing => "finalizing the order",
            Self::Issuing => "waiting for the certificate",
            Self::Downloading => "downloading the certificate",
            Self::Revoking => "revoking the certificate",
            Self::RenewalInfo => "asking when to renew",
            Self::Finished => "finishing",
        })
    }
}

/// What went wrong. Every text in it can be shown as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No reply, in spite of repetition: what the last attempt met.
    Transport(String),
    /// The caller could not, or would not, do what an action asks: its words.
    Refused(String),
    /// The caller ended the task.
    Cancelled,
    /// The caller broke the drive contract: how.
    ApiMisuse(&'static str),
    /// The time for the whole task is over.
    Deadline {
        /// How much there was.
        limit: Duration,
    },
    /// The CA asks to come back when the time for the task is over.
    WaitTooLong {
        /// After how long.
        asked: Duration,
        /// How much time there is.
        left: Duration,
        /// What it said, if anything.
        problem: Option<Box<Problem>>,
    },
    /// The CA refuses.
    Problem {
        /// HTTP status.
        status: u16,
        /// What it says.
        problem: Box<Problem>,
        /// When to come back, if it says so.
        retry_after: Option<Duration>,
    },
    /// Not the reply of an ACME server: an HTTP status without a problem document.
    Http {
        /// The status.
        status: u16,
        /// How the body begins, if it is text.
        body: String,
    },
    /// The CA rejected every nonce, also those it had just given.
    BadNonce {
        /// How many.
        attempts: u32,
    },
    /// A reply without something that is needed, or with something that cannot be.
    Malformed {
        /// Which object.
        object: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A reply of more bytes than allowed.
    TooLarge {
        /// Which object.
        object: &'static str,
        /// Bytes allowed.
        limit: usize,
    },
    /// A URL on a host, or port, that the configuration does not allow.
    ForeignUrl {
        /// In which object.
        object: &'static str,
        /// Where in it.
        field: &'static str,
        /// The URL.
        url: String,
    },
    /// The directory does not offer this.
    NotOffered(&'static str),
    /// The CA does not have the profile.
    NoProfile {
        /// The one that is required.
        profile: ProfileName,
        /// Those that it has.
        offered: Vec<String>,
    },
    /// No account is known: one has to be registered before.
    NoAccount,
    /// The CA does not know the account, or does not allow it to do this (any longer).
    Account(Box<Problem>),
    /// There is no account yet, and the terms of service were not agreed to.
    TermsNotAgreed {
        /// Where they are.
        terms: Option<String>,
    },
    /// The order is for other names than those asked for.
    OtherNames,
    /// None of the ways to prove control of a name can be gone.
    NoChallenge {
        /// Of which name.
        name: Identifier,
        /// The types that are offered.
        offered: Vec<String>,
    },
    /// Control of these names could not be proven.
    Validation(Vec<Failure>),
    /// The order failed as a whole.
    OrderInvalid(Option<Box<Problem>>),
}

/// A name whose control could not be proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub name: Identifier,
    /// The state of its authorization, or of the challenge.
    pub status: &'static str,
    /// What the CA says.
    pub problem: Option<Problem>,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The same again, after this time and not before.
    RetryAfter(Duration),
    /// The same again, later, has a chance.
    Retry,
    /// The same again will fail again.
    GiveUp,
    /// Somebody has to change something first.
    AskUser,
}

impl ErrorKind {
    fn name(&self) -> Option<&Identifier> {
        match self {
            Self::NoChallenge { name, .. } => Some(name),
            _ => None,
        }
    }

    fn advice(&self) -> Advice {
        match self {
            Self::WaitTooLong { asked, .. } => Advice::RetryAfter(*asked),
            Self::Problem { retry_after: Some(wait), .. } => Advice::RetryAfter(*wait),
            Self::Problem { problem, .. } => problem_advice(&problem.kind),
            Self::Http { status, .. } if *status == 429 || *status >= 500 => Advice::Retry,
            Self::Transport(_) | Self::Deadline { .. } | Self::BadNonce { .. } | Self::Account(_) | Self::NoAccount => {
                Advice::Retry
            }
            Self::ForeignUrl { .. }
            | Self::Refused(_)
            | Self::TermsNotAgreed { .. }
            | Self::NoChallenge { .. }
            | Self::NoProfile { .. }
            | Self::Validation(_) => Advice::AskUser,
            Self::OrderInvalid(Some(problem)) => problem_advice(&problem.kind),
            Self::OrderInvalid(None) => Advice::Retry,
            Self::Cancelled
            | Self::ApiMisuse(_)
            | Self::Http { .. }
            | Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::NotOffered(_)
            | Self::OtherNames => Advice::GiveUp,
        }
    }
}

const fn problem_advice(kind: &ProblemType) -> Advice {
    match kind {
        ProblemType::BadNonce
        | ProblemType::RateLimited
        | ProblemType::ServerInternal
        | ProblemType::OrderNotReady
        | ProblemType::AccountDoesNotExist => Advice::Retry,
        ProblemType::Malformed
        | ProblemType::BadCsr
        | ProblemType::BadPublicKey
        | ProblemType::BadSignatureAlgorithm
        | ProblemType::AlreadyReplaced
        | ProblemType::AlreadyRevoked => Advice::GiveUp,
        _ => Advice::AskUser,
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(text) => write!(f, "no reply from the CA: {text}"),
            Self::Refused(text) => f.write_str(text),
            Self::Cancelled => f.write_str("it was cancelled"),
            Self::ApiMisuse(how) => write!(f, "an error in this program: {how}"),
            Self::Deadline { limit } => {
                write!(f, "it took longer than the {} allowed for it; try again", Words(*limit))
            }
            Self::WaitTooLong { asked, left, problem } => too_long(f, *asked, *left, problem.as_deref()),
            Self::Problem { problem, retry_after, .. } => refused(f, problem, *retry_after),
            Self::Http { status, body } => http(f, *status, body),
            Self::BadNonce { attempts } => {
                write!(f, "the CA rejected {attempts} nonces in a row, also those it had just given; try again later")
            }
            Self::Malformed { object, detail } => {
                write!(f, "the {object} that the CA sent cannot be used: {detail}")
            }
            Self::TooLarge { object, limit } => write!(f, "the {object} is larger than the {limit} bytes allowed"),
            Self::ForeignUrl { object, field, url } => write!(
                f,
                "the {object} holds in {field:?} a URL on a host or port that is not the CA's: {url}; if it should be \
                 used, the configuration has to allow it"
            ),
            Self::NotOffered(what) => write!(f, "the CA does not offer {what}"),
            Self::NoProfile { profile, offered } => no_profile(f, profile, offered),
            Self::NoAccount => f.write_str("there is no account yet; it has to be registered first"),
            Self::Account(problem) => {
                write!(f, "the account cannot be used: {problem}; it may have to be registered anew")
            }
            Self::TermsNotAgreed { terms: Some(terms) } => {
                write!(f, "there is no account yet, and one needs your agreement to the CA's terms of service: {terms}")
            }
            Self::TermsNotAgreed { terms: None } => {
                f.write_str("there is no account yet, and one needs your agreement to the CA's terms of service")
            }
            Self::OtherNames => f.write_str("the order that the CA sent is for other names than those asked for"),
            Self::NoChallenge { name, offered } => no_challenge(f, name, offered),
            Self::Validation(failures) => validation(f, failures),
            Self::OrderInvalid(Some(problem)) => write!(f, "the order failed: {problem}"),
            Self::OrderInvalid(None) => f.write_str("the order failed, and the CA does not say why; try again"),
        }
    }
}

fn too_long(f: &mut fmt::Formatter<'_>, asked: Duration, left: Duration, problem: Option<&Problem>) -> fmt::Result {
    write!(f, "the CA asks to wait {}, and only {} are left; try again then", Words(asked), Words(left))?;
    problem.map_or(Ok(()), |problem| write!(f, "; {problem}"))
}

fn refused(f: &mut fmt::Formatter<'_>, problem: &Problem, retry_after: Option<Duration>) -> fmt::Result {
    write!(f, "{problem}")?;
    if let Some(wait) = retry_after {
        write!(f, "; try again in {}", Words(wait))?;
    }
    match (&problem.kind, &problem.instance) {
        (ProblemType::UserActionRequired, Some(url)) => write!(f, "; visit {url}"),
        _ => Ok(()),
    }
}

fn http(f: &mut fmt::Formatter<'_>, status: u16, body: &str) -> fmt::Result {
    write!(f, "the CA answered with the HTTP status {status}")?;
    match status {
        300..=399 => f.write_str(", a redirection, which is not followed; is the URL right?")?,
        404 => f.write_str(" (not found); is the URL right?")?,
        429 | 503 => f.write_str(" (overloaded); try again later")?,
        _ => {}
    }
    if body.is_empty() { Ok(()) } else { write!(f, ": {body}") }
}

fn no_profile(f: &mut fmt::Formatter<'_>, profile: &ProfileName, offered: &[String]) -> fmt::Result {
    match offered {
        [] => write!(f, "the CA has no profiles, so not {profile} either"),
        offered => write!(f, "the CA does not have the profile {profile}; it has {}", offered.join(", ")),
    }
}

fn no_challenge(f: &mut fmt::Formatter<'_>, name: &Identifier, offered: &[String]) -> fmt::Result {
    write!(f, "control of {name} cannot be proven by http-01, the only way set up; the CA offers ")?;
    if offered.is_empty() {
        return f.write_str("no way at all");
    }
    f.write_str(&offered.join(", "))?;
    if name.is_wildcard() { f.write_str(" (a wildcard needs one of the DNS)") } else { Ok(()) }
}

fn validation(f: &mut fmt::Formatter<'_>, failures: &[Failure]) -> fmt::Result {
    let several = failures.len() > 1;
    if several {
        write!(f, "control of {} names could not be proven", failures.len())?;
    }
    for failure in failures {
        if several {
            write!(f, "; {}: ", failure.name)?;
        }
        match &failure.problem {
            Some(problem) => write!(f, "{problem}")?,
            None => write!(f, "the authorization is {}, and the CA does not say why", failure.status)?,
        }
    }
    Ok(())
}
