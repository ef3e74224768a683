//! What all tasks share: the directory first, the deadline, and cleaning up before failing.

use alloc::vec::Vec;
use core::time::Duration;

use crate::error::{Error, ErrorKind, Stage};
use crate::exchange::{Ask, Clock, Exchange};
use crate::session::{Now, Reply, Session};
use crate::task::{Action, Outcome, Publication};
use crate::text::clean;

/// The steps of one kind of task. None is taken before the directory is there.
pub(crate) trait Flow {
    /// The next step. It is taken to be done once it is returned, since a step that fails ends the task.
    fn next(&mut self, session: &mut Session, now: Now) -> Result<Next, ErrorKind>;

    /// What came of the last [`Next::Ask`]: a success, or what the exchange gave up for. May turn a failure into
    /// another way to go on.
    fn answer(&mut self, session: &mut Session, answer: Result<Reply, ErrorKind>, now: Now) -> Result<(), ErrorKind>;

    fn csr(&mut self, _der: Vec<u8>) {}

    fn stage(&self) -> Stage;

    /// A better reason for having run out of time.
    fn out_of_time(&mut self, kind: ErrorKind) -> ErrorKind {
        kind
    }
}

pub(crate) enum Next {
    /// Answered by [`Flow::answer`].
    Ask(Ask),
    /// An action that needs no answer but that it is done.
    Tell(Action),
    /// Answered by [`Flow::csr`].
    Csr,
    /// Until this time; if the CA asked for it, how long it asked for.
    Wait(Duration, Option<Duration>),
    Finish(Outcome),
}

#[derive(Debug)]
pub(crate) struct Runner<F> {
    flow: F,
    state: State,
    deadline: Option<Duration>,
    published: Vec<Publication>,
}

#[derive(Debug)]
enum State {
    Idle,
    Directory(Exchange),
    Asking(Exchange),
    Telling(Action),
    Csr,
    Waiting(Duration),
    /// What is published has to be withdrawn before this can be said.
    Failing(Error),
    Withdrawing(Error),
    Failed(Error),
    Done,
}

impl<F: Flow> Runner<F> {
    pub(crate) const fn new(flow: F) -> Self {
        Self { flow, state: State::Idle, deadline: None, published: Vec::new() }
    }

    pub(crate) fn poll(&mut self, session: &mut Session, now: Now) -> Action {
        let clock = self.clock(session, now);
        loop {
            match self.step(session, clock) {
                Ok(Some(action)) => return action,
                Ok(None) => {}
                Err(kind) => self.fail(kind),
            }
        }
    }

    pub(crate) fn reply(&mut self, session: &mut Session, reply: Reply, now: Now) {
        let clock = self.clock(session, now);
        match &mut self.state {
            State::Directory(exchange) | State::Asking(exchange) => {
                let answer = exchange.reply(session, reply, clock);
                self.answered(session, answer, now);
            }
            _ => self.misused("a reply to a request that was not sent"),
        }
    }

    pub(crate) fn transport_failed(&mut self, session: &mut Session, text: &str, now: Now) {
        let clock = self.clock(session, now);
        match &mut self.state {
            State::Directory(exchange) | State::Asking(exchange) => {
                let answer = exchange.transport_failed(session, text, clock);
                self.answered(session, answer, now);
            }
            _ => self.misused("a request failed that was not sent"),
        }
    }

    pub(crate) fn signed(&mut self, body: Vec<u8>) {
        match &mut self.state {
            State::Directory(exchange) | State::Asking(exchange) => {
                if let Err(kind) = exchange.signed(body) {
                    self.fail(kind);
                }
            }
            _ => self.misused("a signature that was not asked for"),
        }
    }

    pub(crate) fn done(&mut self) {
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Telling(_) => {}
            State::Withdrawing(error) => self.state = State::Failing(error),
            other => {
                self.state = other;
                self.misused("something is done that was not asked for");
            }
        }
    }

    pub(crate) fn csr(&mut self, der: Vec<u8>) {
        if matches!(self.state, State::Csr) {
            self.state = State::Idle;
            self.flow.csr(der);
        } else {
            self.misused("a certificate request that was not asked for");
        }
    }

    pub(crate) fn refused(&mut self, text: &str) {
        match &self.state {
            State::Withdrawing(_) | State::Telling(Action::Withdraw(_)) => self.done(),
            State::Telling(Action::Publish(_)) => {
                self.published.pop();
                self.fail(ErrorKind::Refused(clean(text, MAX_REFUSAL)));
            }
            _ => self.fail(ErrorKind::Refused(clean(text, MAX_REFUSAL))),
        }
    }

    pub(crate) fn cancel(&mut self) {
        // It may not have been done, and twice does no harm.
        if let State::Telling(Action::Withdraw(publication)) = &self.state {
            self.published.push(publication.clone());
        }
        self.fail(ErrorKind::Cancelled);
    }

    pub(crate) fn stage(&self) -> Stage {
        match &self.state {
            State::Directory(_) => Stage::Directory,
            State::Failing(error) | State::Withdrawing(error) | State::Failed(error) => error.stage.clone(),
            State::Done => Stage::Finished,
            State::Telling(Action::AccountKnown(_)) => Stage::Account,
            State::Telling(Action::Journal(_)) => Stage::CreatingOrder,
            State::Telling(Action::Publish(what) | Action::Withdraw(what)) => Stage::Validating(what.name.clone()),
            _ => self.flow.stage(),
        }
    }

    /// The deadline counts from the first time the task is told the time.
    fn clock(&mut self, session: &Session, now: Now) -> Clock {
        let limit = session.config.limits.deadline;
        let deadline = *self.deadline.get_or_insert_with(|| now.mono.saturating_add(limit));
        Clock { now, deadline }
    }

    fn step(&mut self, session: &mut Session, clock: Clock) -> Result<Option<Action>, ErrorKind> {
        match &mut self.state {
            State::Idle => self.advance(session, clock),
            State::Directory(exchange) | State::Asking(exchange) => exchange.poll(session, clock).map(Some),
            State::Telling(_) | State::Csr => Err(ErrorKind::ApiMisuse("polled before the last action was answered")),
            State::Waiting(until) => match until.checked_sub(clock.now.mono) {
                Some(left) if !left.is_zero() => Ok(Some(Action::Wait(left))),
                _ => {
                    self.state = State::Idle;
                    Ok(None)
                }
            },
            State::Failing(_) | State::Withdrawing(_) => Ok(Some(self.clean_up())),
            State::Failed(error) => Ok(Some(Action::Failed(error.clone()))),
            State::Done => Err(ErrorKind::ApiMisuse("polled after the end")),
        }
    }

    fn advance(&mut self, session: &mut Session, clock: Clock) -> Result<Option<Action>, ErrorKind> {
        if session.directory().is_none() {
            self.state = State::Directory(Exchange::new(directory(session)));
            return Ok(None);
        }
        // What needs no more time from the CA is done even when the time is over: a certificate is not thrown away.
        match self.flow.next(session, clock.now)? {
            Next::Ask(ask) => self.state = State::Asking(Exchange::new(ask)),
            Next::Tell(action) => {
                match &action {
                    Action::Publish(publication) => self.published.push(publication.clone()),
                    Action::Withdraw(publication) => self.published.retain(|other| other != publication),
                    _ => {}
                }
                self.state = State::Telling(action.clone());
                return Ok(Some(action));
            }
            Next::Csr => {
                self.state = State::Csr;
                return Ok(Some(Action::Csr));
            }
            Next::Wait(until, asked) => {
                let left = clock.left();
                if left.is_zero() {
                    return Err(ErrorKind::Deadline { limit: session.config.limits.deadline });
                }
                if let Some(asked) = asked.filter(|_| until >= clock.deadline) {
                    return Err(ErrorKind::WaitTooLong { asked, left, problem: None });
                }
                self.state = State::Waiting(until.min(clock.deadline));
            }
            Next::Finish(outcome) => {
                self.state = State::Done;
                return Ok(Some(Action::Done(outcome)));
            }
        }
        Ok(None)
    }

    fn answered(&mut self, session: &mut Session, answer: Result<Option<Reply>, ErrorKind>, now: Now) {
        let Some(answer) = answer.transpose() else { return };
        let result = if matches!(self.state, State::Directory(_)) {
            answer.and_then(|reply| session.read_directory(&reply.body))
        } else if matches!(answer, Err(ErrorKind::ApiMisuse(_))) {
            answer.map(|_| ())
        } else {
            self.flow.answer(session, answer, now)
        };
        match result {
            Ok(()) => self.state = State::Idle,
            Err(kind) => self.fail(kind),
        }
    }

    fn clean_up(&mut self) -> Action {
        let (State::Failing(error) | State::Withdrawing(error)) = core::mem::replace(&mut self.state, State::Idle)
        else {
            return Action::Wait(Duration::ZERO);
        };
        match self.published.pop() {
            Some(publication) => {
                self.state = State::Withdrawing(error);
                Action::Withdraw(publication)
            }
            None => {
                self.state = State::Failed(error.clone());
                Action::Failed(error)
            }
        }
    }

    /// The first failure counts.
    fn fail(&mut self, kind: ErrorKind) {
        if matches!(self.state, State::Failing(_) | State::Withdrawing(_) | State::Failed(_)) {
            return;
        }
        if matches!(self.state, State::Done) && matches!(kind, ErrorKind::Cancelled) {
            return;
        }
        let stage = self.stage();
        let kind = match kind {
            ErrorKind::Deadline { .. } | ErrorKind::WaitTooLong { .. } => self.flow.out_of_time(kind),
            kind => kind,
        };
        self.state = State::Failing(Error::new(kind, stage));
    }

    fn misused(&mut self, how: &'static str) {
        self.fail(ErrorKind::ApiMisuse(how));
    }
}

/// Makes a newtype around a [`Runner`] a [`crate::Task`].
macro_rules! task {
    ($name:ident) => {
        impl crate::task::Task for $name {
            fn poll(&mut self, session: &mut crate::Session, now: crate::Now) -> crate::Action {
                self.0.poll(session, now)
            }

            fn reply(&mut self, session: &mut crate::Session, reply: crate::Reply, now: crate::Now) {
                self.0.reply(session, reply, now);
            }

            fn transport_failed(&mut self, session: &mut crate::Session, text: &str, now: crate::Now) {
                self.0.transport_failed(session, text, now);
            }

            fn signed(&mut self, _session: &mut crate::Session, body: alloc::vec::Vec<u8>) {
                self.0.signed(body);
            }

            fn done(&mut self) {
                self.0.done();
            }

            fn csr(&mut self, der: alloc::vec::Vec<u8>) {
                self.0.csr(der);
            }

            fn refused(&mut self, text: &str) {
                self.0.refused(text);
            }

            fn cancel(&mut self) {
                self.0.cancel();
            }

            fn stage(&self) -> crate::Stage {
                self.0.stage()
            }
        }
    };
}
pub(crate) use task;

fn directory(session: &Session) -> Ask {
    let config = &session.config;
    Ask {
        what: "directory",
        url: config.directory.clone(),
        signed: None,
        accept: None,
        max_body: config.limits.json_body,
    }
}

/// The words of the caller, such as an error of the operating system with a path.
const MAX_REFUSAL: usize = 2000;
