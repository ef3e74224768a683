//! The roles of a run as processes: started, connected, sealed, watched, ended.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use portcullis::{Listener, Promise, Report, Sandbox};
use privsep::{Ended, Launcher, Process};

use crate::error::{Error, Result};
use crate::messages::{Failed, FromRole, RoleSetup, SandboxMode, Setup, ToRole};
use crate::role::restricted;
use crate::roles::Role;
use crate::run::records::{self, Mapping, Records};
use crate::run::watch::Signals;
use crate::state::State;

/// What a role is started with.
#[derive(Debug)]
pub(crate) struct Start {
    /// Which role.
    pub(crate) role: Role,
    /// What it is told.
    pub(crate) setup: RoleSetup,
    /// Descriptors that it is to have beside its channels.
    pub(crate) extra: Vec<OwnedFd>,
}

/// How a crew is started.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    /// The state directory, which knows the roles' users.
    pub(crate) state: &'a State,
    /// What is done about the sandbox.
    pub(crate) sandbox: &'a SandboxMode,
    /// What the user wants done, for the records: the command's name alone.
    pub(crate) command: &'static str,
    /// Whether refused calls are told of as they come.
    pub(crate) verbose: bool,
    /// After how long the kernel ends whoever is still there.
    pub(crate) deadline: Duration,
}

/// The roles of a run.
#[derive(Debug)]
pub(crate) struct Crew {
    members: Vec<Member>,
    signals: Signals,
    records: Records,
    /// Calls that roles are refused are told of as they come.
    verbose: bool,
    /// What was refused was named as what may be behind a failure: once is enough.
    suspected: bool,
}

#[derive(Debug)]
struct Member {
    role: Role,
    running: privsep::Role<ToRole, FromRole>,
    report: Option<Report>,
    /// Where calls are answered that it is refused.
    listening: Option<Listening>,
    /// (`doctor`) Calls that it is refused at its work.
    named: Vec<String>,
    /// What it was sealed without, in tests.
    withheld: Vec<syscall_policy::Class>,
    /// Where its code comes from, if its rehearsal took something back.
    mappings: Vec<Mapping>,
    /// It is sealed, and what it tells from now on may be somebody else's words.
    sealed: bool,
    /// Nothing more comes over the control channel.
    silent: bool,
    /// Nothing more comes over standard error.
    mute: bool,
}

/// A role that was told to end.
struct Leaving {
    role: Role,
    process: Process,
    listening: Option<Listening>,
    mute: bool,
}

impl From<Member> for Leaving {
    fn from(member: Member) -> Self {
        let Member { role, running, listening, mute, .. } = member;
        Self { role, process: running.hang_up(), listening, mute }
    }
}

/// A role's refused calls.
#[derive(Debug)]
struct Listening {
    listener: Listener,
    mappings: Vec<Mapping>,
    answered: u32,
}

/// Calls of one role that are answered here. A role that makes more is left to the kernel, which answers `ENOSYS`.
const ANSWERS: u32 = 10_000;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A role tells something.
    Told(Role, FromRole),
    /// A role says something on its standard error.
    Said(Role, String),
    /// A role sends what is no message; what that was.
    Misbehaved(String),
    /// A role's channel is closed.
    Gone(Role),
    /// The user, or the system, wants the run to end.
    Interrupted,
    /// Nothing happened for as long as was to be waited.
    Nothing,
}

/// How long a role may take to become sealed. RSA keys are not made before that.
const STARTING: Duration = Duration::from_secs(30);

/// How long a role may take to end when it is told to: on a machine that is overloaded, much longer than it needs.
const ENDING: Duration = Duration::from_secs(15);

/// How long is waited between looks at who has ended: at first as long as the kernel needs, then as long as a person does not
/// notice.
const SHORTEST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(20);

/// Descriptors that go with one message, unix(7).
const BATCH: usize = 250;

impl Crew {
    /// Starts the roles, connects them with each other, and waits until each has taken what it needs and is sealed.
    pub(crate) fn start(starts: Vec<Start>, terms: &Terms<'_>) -> Result<Self> {
        let failed = |error: std::io::Error| Error::failed(format!("cannot start the roles: {error}"));
        let launcher = Launcher::new("acme-client").map_err(failed)?;
        let records = Records::open(&terms.state.root, terms.command, terms.sandbox.withheld());
        let signals = Signals::install().map_err(failed)?;
        let mut crew = Self { members: Vec::new(), signals, records, verbose: terms.verbose, suspected: false };
        let roles: Vec<Role> = starts.iter().map(|start| start.role).collect();
        // A role has what it is given, not what whoever started this process has left open. It cannot see to that
        // itself: what libraries have opened in it before its main is theirs.
        portcullis::fd::close_on_exec_from(3);
        // All at once: while one is being loaded another can be running.
        for role in &roles {
            let running = launcher
                .start(role.name(), &[crate::cli::ROLE, role.name()])
                .map_err(|error| Error::failed(format!("cannot start the {role} process: {error}")))?;
            crew.members.push(Member::new(*role, running, terms.sandbox.withheld_from(*role)));
        }
        let mut sockets = connect(&roles).map_err(failed)?;
        for start in starts {
            let (peers, links) = take_links(&mut sockets, start.role);
            crew.set_up(start, peers, &links, terms)?;
        }
        crew.wait_until_sealed()?;
        Ok(crew)
    }

    fn set_up(&self, start: Start, peers: Vec<Role>, links: &[OwnedFd], terms: &Terms<'_>) -> Result<()> {
        let member = self.member(start.role)?;
        let batches: Vec<&[OwnedFd]> = start.extra.chunks(BATCH).collect();
        let setup = Setup {
            identity: terms.state.identity(start.role),
            sandbox: terms.sandbox.clone(),
            deadline: terms.deadline.as_secs(),
            peers,
            holds: u32::try_from(batches.len()).unwrap_or(u32::MAX),
            role: start.setup,
        };
        let borrowed: Vec<BorrowedFd<'_>> = links.iter().map(OwnedFd::as_fd).collect();
        let sent = member.running.control.send_with(&ToRole::Setup(Box::new(setup)), &borrowed);
        let sent = batches.into_iter().fold(sent, |sent, batch| {
            let borrowed: Vec<BorrowedFd<'_>> = batch.iter().map(OwnedFd::as_fd).collect();
            sent.and_then(|()| member.running.control.send_with(&ToRole::Hold, &borrowed))
        });
        // A role that is gone says why on its way out, which is heard later.
        match sent {
            Err(error) if !error.is_vanished() => Err(Error::failed(error.to_string())),
            _ => Ok(()),
        }
    }

    fn wait_until_sealed(&mut self) -> Result<()> {
        let until = Instant::now() + STARTING;
        let mut missing = self.members.len();
        let mut lowered = Vec::new();
        while missing > 0 {
            match self.next(Some(until.saturating_duration_since(Instant::now())))? {
                Event::Told(role, FromRole::Sealed(report)) => {
                    for of_role in report.iter().flat_map(|report| &report.lowered) {
                        let member = self.members.iter().find(|member| member.role == role);
                        let mappings = member.map_or(&[][..], |member| &member.mappings);
                        self.records.lowered(role, of_role, mappings);
                        lowered.push((role, of_role.clone()));
                    }
                    let member = self.member_mut(role)?;
                    member.report = report;
                    member.sealed = true;
                    missing -= 1;
                }
                Event::Told(_, FromRole::Log(..)) => {}
                Event::Said(role, line) => crate::ui::said(role, &line),
                Event::Interrupted => return Err(self.interrupted()),
                Event::Nothing => {
                    return Err(self.not_started());
                }
                event @ (Event::Gone(_) | Event::Misbehaved(_) | Event::Told(..)) => {
                    return Err(self.end_badly(event));
                }
            }
        }
        crate::ui::lowered(lowered);
        Ok(())
    }

    /// Who has not come to its seal in all that time, and what may be the reason.
    fn not_started(&self) -> Error {
        let missing = self.members.iter().filter(|member| !member.sealed);
        let roles: Vec<&str> = missing.clone().map(|member| member.role.name()).collect();
        let reason = if missing.clone().all(|member| member.withheld.is_empty()) {
            "is this machine overloaded? `acme-client doctor` tries each of them"
        } else {
            "they lack classes of system calls that were withheld from their sandbox on purpose"
        };
        let seconds = STARTING.as_secs();
        Error::failed(format!("within {seconds} s these processes did not start: {}; {reason}", roles.join(", ")))
    }

    /// Seals the supervisor itself. From here on nothing can be opened or started.
    pub(crate) fn seal_supervisor(&mut self, terms: &Terms<'_>) -> Result<Report> {
        crate::crypto::draw_once();
        let promises = Role::Supervisor.spec().promises.unwrap_or_default();
        let sandbox = promises
            .iter()
            .fold(Sandbox::new(Role::Supervisor.name()), |sandbox, promise: &Promise| sandbox.promise(*promise));
        let sandbox = restricted(sandbox, Role::Supervisor, terms.state.identity(Role::Supervisor), terms.sandbox);
        let rehearsed = if terms.sandbox.off {
            Ok(sandbox)
        } else {
            sandbox.rehearse(&mut || {
                crate::canary::play(self.signals.as_fd())?;
                // The copy has no children.
                crate::canary::permitted(
                    "wait for children",
                    rustix::process::wait(rustix::process::WaitOptions::NOHANG),
                )
            })
        };
        let mappings = records::mappings();
        let report = rehearsed.and_then(Sandbox::prepare).and_then(portcullis::Prepared::seal);
        let report = report
            .map_err(|error| Error::failed(format!("the supervisor cannot be sealed: {error}; nothing was done")))?;
        report.lowered.iter().for_each(|lowered| self.records.lowered(Role::Supervisor, lowered, &mappings));
        crate::ui::lowered(report.lowered.iter().map(|lowered| (Role::Supervisor, lowered.clone())).collect());
        Ok(report)
    }

    /// (`doctor`) The calls that a role is refused at its work.
    pub(crate) fn named(&self, role: Role) -> &[String] {
        self.member(role).map_or(&[], |member| member.named.as_slice())
    }

    /// What each role reported when it was sealed.
    pub(crate) fn reports(&self) -> impl Iterator<Item = (Role, i32, Option<&Report>)> {
        self.members
            .iter()
            .map(|member| (member.role, member.running.process.pid.as_raw_nonzero().get(), member.report.as_ref()))
    }

    /// Whether a role takes part.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.members.iter().any(|member| member.role == role)
    }

    /// Tells a role something.
    pub(crate) fn tell(&self, role: Role, message: &ToRole) -> Result<()> {
        match self.member(role)?.running.control.send(message) {
            // It is heard of when its channel is read.
            Err(error) if error.is_vanished() => Ok(()),
            other => other.map_err(|error| Error::failed(error.to_string())),
        }
    }

    /// Tells everybody.
    pub(crate) fn tell_all(&self, message: &ToRole) -> Result<()> {
        self.members.iter().try_for_each(|member| self.tell(member.role, message))
    }

    /// Waits for the next thing to happen, at most for `timeout`.
    pub(crate) fn next(&mut self, timeout: Option<Duration>) -> Result<Event> {
        // One deadline, however often a role has something to be answered meanwhile.
        let until = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let (ready, sources) = self.poll(until.map(|until| until.saturating_duration_since(Instant::now())))?;
            let Some(first) = ready.first().and_then(|at| sources.get(*at)) else { return Ok(Event::Nothing) };
            match *first {
                Source::Signal => {
                    if self.signals.take() {
                        return Ok(Event::Interrupted);
                    }
                }
                Source::Mouth(at) => {
                    if let Some(event) = self.members.get_mut(at).and_then(Member::listen) {
                        return Ok(event);
                    }
                }
                Source::Control(at) => {
                    if let Some(event) = self.members.get_mut(at).and_then(Member::hear) {
                        return Ok(event);
                    }
                }
                Source::Listener(at) => {
                    if let Some(member) = self.members.get_mut(at) {
                        answer(member.role, &mut member.listening, &mut self.records, self.verbose);
                    }
                }
            }
        }
    }

    /// What can be read: signals first, then what roles say, then what they tell, and calls that wait for their answer. A role
    /// that ends with a word on its lips is heard out before its channel is found closed.
    fn poll(&self, timeout: Option<Duration>) -> Result<(Vec<usize>, Vec<Source>)> {
        let mut descriptors = vec![self.signals.as_fd()];
        let mut sources = vec![Source::Signal];
        for (at, member) in self.members.iter().enumerate().filter(|(_, member)| !member.mute) {
            descriptors.push(member.running.process.mouth.as_fd());
            sources.push(Source::Mouth(at));
        }
        for (at, member) in self.members.iter().enumerate().filter(|(_, member)| !member.silent) {
            descriptors.push(member.running.control.as_fd());
            sources.push(Source::Control(at));
        }
        for (at, member) in self.members.iter().enumerate() {
            if let Some(listening) = &member.listening {
                descriptors.push(listening.listener.as_fd());
                sources.push(Source::Listener(at));
            }
        }
        let ready = privsep::wait_readable(&descriptors, timeout);
        let ready = ready.map_err(|error| Error::failed(format!("the supervisor cannot wait: {error}")))?;
        Ok((ready, sources))
    }

    /// Ends the run in order: every role is hung up on, and ends by itself.
    pub(crate) fn end(mut self) -> Result<()> {
        let mut mishaps = Vec::new();
        for (role, ended) in self.hang_up() {
            match ended {
                Some(ended) if ended.success() => {}
                Some(ended) => mishaps.push(words(role, ended)),
                None => mishaps.push(format!("the {role} process did not end; the kernel will end it in time")),
            }
        }
        if mishaps.is_empty() { Ok(()) } else { Err(Error::failed(self.with_suspicion(mishaps.join("; ")))) }
    }

    /// What the sandbox refused in this run, for whoever wonders why something failed that looks like somebody else's doing.
    pub(crate) fn suspicion(&mut self) -> Option<String> {
        let lines = self.records.lines();
        if lines.is_empty() || std::mem::replace(&mut self.suspected, true) {
            return None;
        }
        Some(format!(
            "sandbox: {}. That may be why, and has nothing to do with the CA then. Please report it: acme-client sandbox report",
            lines.join("; ")
        ))
    }

    fn with_suspicion(&mut self, mut text: String) -> String {
        if let Some(suspicion) = self.suspicion() {
            text.push_str("\nacme-client: ");
            text.push_str(&suspicion);
        }
        text
    }

    /// Ends the run because the user wants it to.
    pub(crate) fn interrupted(&mut self) -> Error {
        drop(self.hang_up());
        Error::failed(
            "interrupted; no certificate in use was changed, and what was begun is gone on with the next time",
        )
    }

    /// Ends the run because of something that should not have happened, and finds out what was behind it: when one
    /// role dies the others notice too.
    pub(crate) fn end_badly(&mut self, event: Event) -> Error {
        let mut own = None;
        let mut peer = None;
        let mut signalled = Vec::new();
        let gone = matches!(event, Event::Gone(_));
        self.weigh(event, &mut own, &mut peer);
        let until = Instant::now() + Duration::from_millis(200);
        // A role that only tells of another one is no cause: that one is heard of in a moment.
        while own.is_none() && !gone {
            match self.next(Some(until.saturating_duration_since(Instant::now()))) {
                Err(_) | Ok(Event::Nothing | Event::Interrupted) => break,
                Ok(Event::Said(role, line)) => crate::ui::said(role, &line),
                // What the others have told meanwhile, as they may, has nothing to do with it.
                Ok(Event::Told(_, told)) if !matches!(told, FromRole::Failed(_)) => {}
                Ok(event) => self.weigh(event, &mut own, &mut peer),
            }
        }
        for (role, ended) in self.hang_up() {
            if let Some(ended) = ended.filter(|ended| !ended.success()) {
                if ended.signal() == Some(SIGSYS) {
                    self.records.ended(role);
                }
                signalled.push(words(role, ended));
            }
        }
        let cause = signalled.into_iter().next().or(own).or(peer);
        let cause = cause.unwrap_or_else(|| "the roles ended without a word".to_owned());
        Error::failed(self.with_suspicion(cause))
    }

    fn weigh(&self, event: Event, own: &mut Option<String>, peer: &mut Option<String>) {
        match event {
            Event::Told(role, FromRole::Failed(Failed::Own(text))) => {
                own.get_or_insert_with(|| format!("{role}: {}", privsep::printable(&text)));
            }
            Event::Told(role, FromRole::Failed(Failed::Peer(text))) => {
                peer.get_or_insert_with(|| format!("{role}: {}", privsep::printable(&text)));
            }
            Event::Told(role, message) => {
                use privsep::Message as _;
                let error = privsep::ChannelError::out_of_turn(role.name(), message.word());
                own.get_or_insert_with(|| error.to_string());
            }
            Event::Misbehaved(text) => {
                own.get_or_insert(text);
            }
            Event::Gone(role) => {
                peer.get_or_insert_with(|| format!("the {role} process ended without a word"));
            }
            Event::Said(..) | Event::Interrupted | Event::Nothing => {}
        }
    }

    /// Closes every channel and waits for the processes to end.
    fn hang_up(&mut self) -> Vec<(Role, Option<Ended>)> {
        let mut leaving: Vec<Leaving> = self.members.drain(..).map(Leaving::from).collect();
        let until = Instant::now() + ENDING;
        let mut pause = SHORTEST;
        let mut ended = Vec::new();
        loop {
            leaving.retain_mut(|Leaving { role, process, listening, mute }| {
                // Asked before it is heard: who has ended by now has said everything.
                let how = process.ended();
                // What C libraries do at the end may be refused as well.
                while answer(*role, listening, &mut self.records, self.verbose) {}
                while !*mute {
                    match process.mouth.listen() {
                        Ok(Some(lines)) if lines.is_empty() => break,
                        Ok(Some(lines)) => lines.iter().for_each(|line| crate::ui::said(*role, line)),
                        Ok(None) | Err(_) => *mute = true,
                    }
                }
                match how {
                    Ok(None) if Instant::now() < until => true,
                    Ok(None) | Err(_) => {
                        process.kill();
                        ended.push((*role, process.ended().ok().flatten()));
                        false
                    }
                    Ok(Some(how)) => {
                        process.mouth.rest().iter().for_each(|line| crate::ui::said(*role, line));
                        ended.push((*role, Some(how)));
                        false
                    }
                }
            });
            if leaving.is_empty() {
                break;
            }
            // Who ends falls silent first, which is how it is noticed at once. From there to its end it takes the kernel a
            // moment, or longer if somebody traces it, who must not be kept busy with this process: a closed pipe is
            // readable for ever.
            let mut waiting: Vec<BorrowedFd<'_>> = Vec::new();
            for one in leaving.iter().filter(|one| !one.mute) {
                waiting.push(one.process.mouth.as_fd());
                waiting.extend(one.listening.as_ref().map(|listening| listening.listener.as_fd()));
            }
            let _ = privsep::wait_readable(&waiting, Some(pause));
            pause = (pause * 2).min(LONGEST);
        }
        self.records.finish();
        ended
    }

    fn member(&self, role: Role) -> Result<&Member> {
        self.members.iter().find(|member| member.role == role).ok_or_else(|| no_part(role))
    }

    fn member_mut(&mut self, role: Role) -> Result<&mut Member> {
        self.members.iter_mut().find(|member| member.role == role).ok_or_else(|| no_part(role))
    }
}

fn no_part(role: Role) -> Error {
    Error::failed(format!("the {role} process takes no part in this run"))
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Signal,
    Mouth(usize),
    Control(usize),
    Listener(usize),
}

/// Answers one call that a role is refused. Returns whether there was one.
fn answer(role: Role, listening: &mut Option<Listening>, records: &mut Records, verbose: bool) -> bool {
    let Some(Listening { listener, mappings, answered }) = listening else { return false };
    match listener.answer() {
        Ok(Some(call)) => {
            if let Some(line) = records.refused(role, &call, mappings).filter(|_| verbose) {
                crate::ui::refused(&line);
            }
            *answered += 1;
            if *answered == ANSWERS {
                crate::ui::refused(&format!("{role} was refused {ANSWERS} calls, and no more of them are told of"));
                *listening = None;
            }
            true
        }
        Ok(None) => false,
        // The role is gone, or the kernel does not let itself be answered: then it answers by itself.
        Err(_) => {
            *listening = None;
            false
        }
    }
}

impl Member {
    const fn new(role: Role, running: privsep::Role<ToRole, FromRole>, withheld: Vec<syscall_policy::Class>) -> Self {
        Self {
            role,
            running,
            report: None,
            listening: None,
            named: Vec::new(),
            withheld,
            mappings: Vec::new(),
            sealed: false,
            silent: false,
            mute: false,
        }
    }

    /// What the role says. `None` if it has only closed its mouth, or has not finished its line.
    fn listen(&mut self) -> Option<Event> {
        let lines = match self.running.process.mouth.listen() {
            Ok(Some(lines)) => lines,
            Ok(None) | Err(_) => {
                self.mute = true;
                self.running.process.mouth.rest().into_iter().collect()
            }
        };
        (!lines.is_empty()).then(|| Event::Said(self.role, lines.join("\n")))
    }

    /// What the role tells. `None` if that was for the crew.
    fn hear(&mut self) -> Option<Event> {
        let patience = Some(Duration::from_secs(10));
        // Descriptors are taken from roles that have not read anything hostile yet, and from nobody else.
        let heard = if self.sealed {
            self.running.control.receive(patience).map(|message| (message, Vec::new()))
        } else {
            self.running.control.receive_with(patience)
        };
        match heard {
            Ok((FromRole::Listener(promises, mappings), descriptors)) if !self.sealed && self.listening.is_none() => {
                let pid = self.running.process.pid.as_raw_nonzero().get().unsigned_abs();
                let listener = descriptors.into_iter().next().and_then(|fd| Listener::new(fd, &promises, pid).ok());
                let listener = listener.map(|listener| listener.withholding(&self.withheld));
                self.listening = listener.map(|listener| Listening { listener, mappings, answered: 0 });
                None
            }
            Ok((FromRole::Mapped(mappings), _)) if !self.sealed => {
                self.mappings = mappings;
                None
            }
            Ok((FromRole::Named(names), _)) if !self.sealed => {
                self.named = names;
                None
            }
            Ok((message, _)) => Some(Event::Told(self.role, message)),
            Err(error) => {
                self.silent = true;
                Some(if error.is_vanished() { Event::Gone(self.role) } else { Event::Misbehaved(error.to_string()) })
            }
        }
    }
}

/// A pair of sockets for each two roles that have a channel to each other.
fn connect(roles: &[Role]) -> std::io::Result<Vec<(Role, Role, OwnedFd)>> {
    let mut sockets = Vec::new();
    for role in roles {
        for peer in role.spec().peers.iter().filter(|peer| **peer > *role && roles.contains(peer)) {
            let (one, other) = privsep::pair()?;
            sockets.push((*role, *peer, one));
            sockets.push((*peer, *role, other));
        }
    }
    Ok(sockets)
}

fn take_links(sockets: &mut Vec<(Role, Role, OwnedFd)>, role: Role) -> (Vec<Role>, Vec<OwnedFd>) {
    let (mine, others) = sockets.drain(..).partition(|(whose, _, _)| *whose == role);
    *sockets = others;
    let mine: Vec<(Role, Role, OwnedFd)> = mine;
    mine.into_iter().map(|(_, peer, socket)| (peer, socket)).unzip()
}

/// Its number differs: MIPS has its own.
pub(crate) const SIGSYS: i32 = rustix::process::Signal::SYS.as_raw();

/// How a process ended, in words that cannot be taken for an answer of the CA.
fn words(role: Role, ended: Ended) -> String {
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGALRM: i32 = 14;
    match ended.signal() {
        Some(SIGSYS) => format!(
            "the {role} process made a system call that no honest library makes, and its sandbox ended it (SIGSYS). \
             This has nothing to do with the CA. No certificate in use was changed, and nothing is tried again without \
             the sandbox. If this machine has done nothing unusual, somebody may have broken into that process: please \
             report it"
        ),
        Some(SIGABRT) => format!("the {role} process gave up (SIGABRT); its last words are above. Please report it"),
        Some(SIGKILL) => format!("the {role} process was killed (SIGKILL), by somebody or for lack of memory"),
        Some(SIGALRM) => format!("the {role} process took longer than it may, and was ended (SIGALRM)"),
        _ => format!("the {role} process {ended}"),
    }
}
