//! Requests of net's to the others, and what is to be thought of the answers.

use std::time::Duration;

use acme::{Identifier, Nonce, Payload, Signer, ToSign, Url};
use attacks::Verdict;
use privsep::{Channel, Message};

use super::{Held, Known, channel, tried};
use crate::messages::{
    FromAccount, FromChallenge, FromDial, FromKey, FromStore, ToAccount, ToChallenge, ToDial, ToKey, ToStore,
};
use crate::role::{Control, Stop};
use crate::roles::Role;

/// How long an answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What a peer answered: refused in these words, or done.
pub(super) type Answer = Result<String, String>;

/// Somebody to be asked.
pub(super) struct Asking<'a, S, R> {
    pub(super) peer: Channel<S, R>,
    pub(super) answer: fn(R) -> Answer,
    pub(super) control: &'a Control,
}

impl<S: Message, R: Message> Asking<'_, S, R> {
    pub(super) fn ask(&self, request: &S) -> Result<Answer, Stop> {
        Ok((self.answer)(self.peer.call(request, PATIENCE)?))
    }

    /// Asks for something that must be refused in words that contain these.
    pub(super) fn refused(&self, name: &str, wants: &str, words: &str, request: &S) -> Result<(), Stop> {
        let answer = self.ask(request)?;
        let (happened, verdict) = match answer {
            Err(text) if text.contains(words) => (text, Verdict::Held),
            Err(text) => (text, Verdict::Odd),
            Ok(text) => (format!("SUCCEEDED: {text}"), Verdict::Succeeded),
        };
        let must = format!("refused by {}: {words}", self.peer.peer());
        self.control.tell(&tried(name, wants, &must, happened, verdict))
    }

    /// Asks for something that is known to be had.
    pub(super) fn power(&self, name: &str, wants: &str, why: &str, request: &S) -> Result<(), Stop> {
        let (happened, verdict) = match self.ask(request)? {
            Err(text) => (text, Verdict::Held),
            Ok(text) => (text, Verdict::Unclaimed(why.to_owned())),
        };
        self.control.tell(&tried(name, wants, "nothing is claimed", happened, verdict))
    }
}

pub(super) fn account<'a>(held: &Held<'_>, control: &'a Control) -> Result<Asking<'a, ToAccount, FromAccount>, Stop> {
    let answer = |answer| match answer {
        FromAccount::Refused(text) => Err(text),
        FromAccount::Signed(body) => Ok(format!("signed {} bytes", body.len())),
        FromAccount::Noted => Ok("noted".to_owned()),
    };
    Ok(Asking { peer: channel(held, Role::Account)?, answer, control })
}

pub(super) fn dial<'a>(held: &Held<'_>, control: &'a Control) -> Result<Asking<'a, ToDial, FromDial>, Stop> {
    let answer = |answer| match answer {
        FromDial::Refused(text) => Err(text),
        FromDial::Connected(address) => Ok(format!("connected to {address}")),
    };
    Ok(Asking { peer: channel(held, Role::Dial)?, answer, control })
}

pub(super) fn key<'a>(held: &Held<'_>, control: &'a Control) -> Result<Asking<'a, ToKey, FromKey>, Stop> {
    let answer = |answer| match answer {
        FromKey::Refused(text) => Err(text),
        FromKey::Csr(der) => Ok(format!("a request of {} bytes", der.len())),
        FromKey::Ready => Ok("ready".to_owned()),
    };
    Ok(Asking { peer: channel(held, Role::Key)?, answer, control })
}

pub(super) fn challenge<'a>(
    held: &Held<'_>,
    control: &'a Control,
) -> Result<Asking<'a, ToChallenge, FromChallenge>, Stop> {
    let answer = |answer| match answer {
        FromChallenge::Refused(text) => Err(text),
        FromChallenge::Done => Ok("done".to_owned()),
    };
    Ok(Asking { peer: channel(held, Role::Challenge)?, answer, control })
}

pub(super) fn store<'a>(held: &Held<'_>, control: &'a Control) -> Result<Asking<'a, ToStore, FromStore>, Stop> {
    let answer = |answer| match answer {
        FromStore::Refused(text) => Err(text),
        FromStore::Done => Ok("done".to_owned()),
    };
    Ok(Asking { peer: channel(held, Role::Store)?, answer, control })
}

/// A text that is known to be well formed.
pub(super) fn well_formed<T, E: std::fmt::Display>(parsed: Result<T, E>) -> Result<T, Stop> {
    parsed.map_err(|error| Stop::own(format!("an attack is malformed: {error}")))
}

pub(super) fn url(text: &str) -> Result<Url, Stop> {
    well_formed(Url::parse(text))
}

pub(super) fn names(texts: &[&str]) -> Result<Vec<Identifier>, Stop> {
    texts.iter().map(|text| well_formed(Identifier::parse(text))).collect()
}

/// At the CA, with another path.
pub(super) fn at(known: &Known, path: &str) -> Result<Url, Stop> {
    url(&format!("https://{}/{path}", known.directory.authority()))
}

pub(super) fn request(at: &Url, signer: Signer, payload: Payload) -> Result<ToAccount, Stop> {
    Ok(ToAccount::Sign(ToSign { url: at.clone(), nonce: well_formed(Nonce::parse("abc"))?, signer, payload }))
}
