//! Finding or creating the account (RFC 8555 section 7.3).

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{ErrorKind, Stage};
use crate::exchange::Ask;
use crate::json::{self, Object, checked_url};
use crate::payload::{Payload, Signer};
use crate::problem::ProblemType;
use crate::run::{Flow, Next, Runner, task};
use crate::session::{Now, Reply, Session};
use crate::task::{Action, Outcome};
use crate::url::Url;

/// What [`Register`] has to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterConfig {
    /// Contact URLs for a new account, such as `mailto:admin@example.org`.
    pub contact: Vec<String>,
    /// Whether the user agrees to the terms of service. If not, and there are any, no account is created; one that
    /// exists for the key is found all the same.
    pub terms_agreed: bool,
    /// The URL of the account, if an earlier run has remembered it. Then it is taken as it is, and no request is made but
    /// the one for the directory. If the CA knows it no more, the tasks that use it fail with
    /// [`ErrorKind::Account`]: register again without it.
    pub known_account: Option<Url>,
}

/// Fetches the directory, and finds or creates the account of the account key.
#[derive(Debug)]
pub struct Register(Runner<RegisterFlow>);

impl Register {
    /// Nothing is done before the first poll.
    #[must_use]
    pub const fn new(config: RegisterConfig) -> Self {
        Self(Runner::new(RegisterFlow { config, terms: None, step: Step::Start }))
    }
}

task!(Register);

#[derive(Debug)]
struct RegisterFlow {
    config: RegisterConfig,
    terms: Option<String>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Start,
    /// The account, and whether it is new.
    Known(Url, bool),
    Told(Url, bool),
}

impl RegisterFlow {
    /// Without agreement to terms there are, an account can only be found.
    const fn only_existing(&self) -> bool {
        self.terms.is_some() && !self.config.terms_agreed
    }

    fn ask(&mut self, session: &Session) -> Result<Ask, ErrorKind> {
        let directory = session.need_directory()?;
        self.terms.clone_from(&directory.meta.terms_of_service);
        let payload = Payload::NewAccount {
            contact: self.config.contact.clone(),
            terms_agreed: self.config.terms_agreed,
            only_return_existing: self.only_existing(),
        };
        Ok(Ask {
            what: ACCOUNT,
            url: directory.new_account.clone(),
            signed: Some((Signer::Jwk, payload)),
            accept: None,
            max_body: session.config.limits.json_body,
        })
    }

    fn failure(&self, kind: ErrorKind) -> ErrorKind {
        match kind {
            ErrorKind::Problem { problem, .. }
                if problem.kind == ProblemType::AccountDoesNotExist && self.only_existing() =>
            {
                ErrorKind::TermsNotAgreed { terms: self.terms.clone() }
            }
            kind => kind,
        }
    }
}

impl Flow for RegisterFlow {
    fn next(&mut self, session: &mut Session, _: Now) -> Result<Next, ErrorKind> {
        match core::mem::replace(&mut self.step, Step::Start) {
            Step::Start => match self.config.known_account.clone() {
                Some(account) => {
                    let origins = &session.config.origins;
                    let account = checked_url("remembered account", "URL", account.as_str(), origins)?;
                    self.terms.clone_from(&session.need_directory()?.meta.terms_of_service);
                    session.set_account(account.clone());
                    Ok(Next::Finish(Outcome::Registered { account, created: false, terms: self.terms.clone() }))
                }
                None => Ok(Next::Ask(self.ask(session)?)),
            },
            Step::Known(account, created) => {
                session.set_account(account.clone());
                self.step = Step::Told(account.clone(), created);
                Ok(Next::Tell(Action::AccountKnown(account)))
            }
            Step::Told(account, created) => {
                Ok(Next::Finish(Outcome::Registered { account, created, terms: self.terms.clone() }))
            }
        }
    }

    fn answer(&mut self, session: &mut Session, answer: Result<Reply, ErrorKind>, _: Now) -> Result<(), ErrorKind> {
        let reply = answer.map_err(|kind| self.failure(kind))?;
        let origins = &session.config.origins;
        let location =
            reply.header("location").ok_or_else(|| json::malformed(ACCOUNT, "the reply does not say its URL"))?;
        let account = checked_url(ACCOUNT, "Location", location, origins)?;
        check_status(&reply, session)?;
        self.step = Step::Known(account, reply.status == 201);
        Ok(())
    }

    fn stage(&self) -> Stage {
        Stage::Account
    }
}

/// RFC 8555 section 7.1.2: the only thing of interest in the object. Not every CA sends one.
fn check_status(reply: &Reply, session: &Session) -> Result<(), ErrorKind> {
    let Ok(value) = json::parse(ACCOUNT, &reply.body) else { return Ok(()) };
    let Ok(object) = Object::new(ACCOUNT, &value, &session.config.origins) else { return Ok(()) };
    match object.text("status") {
        None | Some("valid") => Ok(()),
        Some(other) => Err(object.malformed(&alloc::format!("it is {other}; a new account needs a new key"))),
    }
}

const ACCOUNT: &str = "account";
