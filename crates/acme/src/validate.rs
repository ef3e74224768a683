//! Proving control of names: the authorizations of one order, each on its way from pending to valid.

use alloc::vec::Vec;
use core::time::Duration;

use crate::error::{ErrorKind, Failure};
use crate::identifier::Identifier;
use crate::objects::{Authorization, AuthorizationStatus, Challenge, ChallengeKind, ChallengeStatus};
use crate::problem::Problem;
use crate::task::Publication;
use crate::url::Url;

/// How long after the challenge was posted its authorization is looked at for the first time. Validating by http-01
/// takes a CA nearby some 10 to 30 ms; one that takes longer says so in the reply to this first look.
pub const FIRST_POLL: Duration = Duration::from_millis(30);

/// How long after it was finalized an order is looked at for the first time, if the server does not say: a CA that signs
/// at once takes a few milliseconds.
pub(crate) const FINAL_POLL: Duration = Duration::from_millis(15);

/// The waits between looks, where the server does not say how long: 0.1 s, doubling, at most 5 s.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    pub(crate) fn next(&mut self) -> Duration {
        let wait = Duration::from_millis(100 << self.0.min(6)).min(Duration::from_secs(5));
        self.0 = self.0.saturating_add(1);
        wait
    }
}

/// The names that still have to be proven.
#[derive(Debug, Default)]
pub(crate) struct Validations {
    items: Vec<Validation>,
    failures: Vec<Failure>,
}

#[derive(Debug)]
struct Validation {
    /// As it was asked for, perhaps with `*.`.
    name: Identifier,
    url: Url,
    challenge: Challenge,
    publication: Publication,
    progress: Progress,
    backoff: Backoff,
    /// What the CA said when it was told that the answer is in place.
    doubt: Option<Problem>,
}

#[derive(Debug)]
enum Progress {
    Chosen,
    Published,
    /// Look at this time; if the CA asked for that, how long it asked for.
    Polling(Duration, Option<Duration>),
    /// Valid or not: the answer is no longer needed.
    Settled,
    Withdrawn,
}

/// What comes next; the numbers are those that [`Validations::posted`] and [`Validations::polled`] take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Do {
    Publish(Publication),
    Post(usize, Url),
    Poll(usize, Url),
    Wait(Duration, Option<Duration>),
    Withdraw(Publication),
    Finished,
}

/// An authorization with which nothing can be begun.
#[derive(Debug)]
pub(crate) struct Unusable(pub(crate) Failure);

impl Validations {
    /// Takes up an authorization, unless it is valid already.
    pub(crate) fn add(
        &mut self,
        url: Url,
        authorization: Authorization,
        names: &[Identifier],
    ) -> Result<Result<(), Unusable>, ErrorKind> {
        let Some(name) = asked_for(&authorization.name, names) else { return Err(ErrorKind::OtherNames) };
        match authorization.status {
            AuthorizationStatus::Valid => return Ok(Ok(())),
            AuthorizationStatus::Pending => {}
            _ => return Ok(Err(Unusable(failure(name, &authorization)))),
        }
        let usable = |challenge: &Challenge| !name.is_wildcard() && challenge.kind == ChallengeKind::Http01;
        let Some(challenge) = authorization.challenges.iter().find(|c| usable(c)).cloned() else {
            return Err(ErrorKind::NoChallenge { name, offered: authorization.offered });
        };
        if challenge.status == ChallengeStatus::Invalid {
            return Ok(Err(Unusable(failure(name, &authorization))));
        }
        let publication = Publication { kind: challenge.kind, name: name.base(), token: challenge.token.clone() };
        let (progress, backoff) = (Progress::Chosen, Backoff::default());
        self.items.push(Validation { name, url, challenge, publication, progress, backoff, doubt: None });
        Ok(Ok(()))
    }

    /// The next step. What is published is taken to be so, and what is withdrawn too.
    pub(crate) fn next(&mut self, now: Duration) -> Do {
        if let Some(item) = self.items.iter_mut().find(|item| matches!(item.progress, Progress::Settled)) {
            item.progress = Progress::Withdrawn;
            return Do::Withdraw(item.publication.clone());
        }
        if let Some(step) = self.begin(now) {
            return step;
        }
        let polls = self.items.iter().enumerate().filter_map(|(index, item)| match item.progress {
            Progress::Polling(at, asked) => Some((at, asked, index, item)),
            _ => None,
        });
        match polls.min_by_key(|(at, ..)| *at) {
            Some((at, _, index, item)) if at <= now => Do::Poll(index, item.url.clone()),
            Some((at, asked, ..)) => Do::Wait(at, asked),
            None => Do::Finished,
        }
    }

    /// Publishing and posting, name by name, so that the CA works on the first while the next are published.
    fn begin(&mut self, now: Duration) -> Option<Do> {
        let new = |item: &&mut Validation| matches!(item.progress, Progress::Chosen | Progress::Published);
        let (index, item) = self.items.iter_mut().enumerate().find(|(_, item)| new(item))?;
        if matches!(item.progress, Progress::Chosen) {
            item.progress = Progress::Published;
            return Some(Do::Publish(item.publication.clone()));
        }
        if item.challenge.status == ChallengeStatus::Pending {
            return Some(Do::Post(index, item.challenge.url.clone()));
        }
        // An earlier run has posted it.
        item.progress = Progress::Polling(now, None);
        self.begin(now)
    }

    /// The CA was told: what it answered.
    pub(crate) fn posted(&mut self, index: usize, answer: Result<Option<Challenge>, Problem>, now: Duration) {
        let Some(item) = self.items.get_mut(index) else { return };
        item.progress = match answer {
            Ok(Some(challenge)) if challenge.status == ChallengeStatus::Valid => Progress::Settled,
            Ok(_) => Progress::Polling(now.saturating_add(FIRST_POLL), None),
            // It may be that the authorization is settled already: a look at it tells.
            Err(problem) => {
                item.doubt = Some(problem);
                Progress::Polling(now, None)
            }
        };
    }

    /// What the authorization has become.
    pub(crate) fn polled(
        &mut self,
        index: usize,
        authorization: &Authorization,
        retry_after: Option<Duration>,
        now: Duration,
    ) {
        let Some(item) = self.items.get_mut(index) else { return };
        let challenge = authorization.challenges.iter().find(|c| c.url == item.challenge.url);
        let failed = challenge.is_some_and(|c| c.status == ChallengeStatus::Invalid) || item.doubt.is_some();
        match authorization.status {
            AuthorizationStatus::Valid => item.progress = Progress::Settled,
            AuthorizationStatus::Pending if !failed => {
                let asked = retry_after.filter(|wait| !wait.is_zero());
                let wait = asked.unwrap_or_else(|| item.backoff.next());
                item.progress = Progress::Polling(now.saturating_add(wait), asked);
            }
            _ => {
                item.progress = Progress::Settled;
                let mut failure = failure(item.name.clone(), authorization);
                let own = challenge.and_then(|c| c.error.clone());
                failure.problem = own.or(failure.problem).or_else(|| item.doubt.take());
                self.failures.push(failure);
            }
        }
    }

    /// The names that could not be proven, so far.
    pub(crate) fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The name that is worked on, or waited for.
    pub(crate) fn current(&self) -> Option<&Identifier> {
        let waiting = |item: &&Validation| !matches!(item.progress, Progress::Settled | Progress::Withdrawn);
        self.items.iter().find(waiting).or_else(|| self.items.last()).map(|item| &item.name)
    }
}

/// The name for which this authorization is. Not every CA marks the one for a wildcard.
fn asked_for(name: &Identifier, names: &[Identifier]) -> Option<Identifier> {
    let exact = names.iter().find(|own| *own == name);
    exact.or_else(|| names.iter().find(|own| own.base() == name.base())).cloned()
}

fn failure(name: Identifier, authorization: &Authorization) -> Failure {
    let status = match authorization.status {
        // Then it is the challenge that is not.
        AuthorizationStatus::Pending => AuthorizationStatus::Invalid,
        status => status,
    };
    Failure { name, status: status.as_str(), problem: authorization.problem().cloned() }
}
