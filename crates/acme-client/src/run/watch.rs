//! What the supervisor makes of what the roles tell: progress, results, the end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use acme::Url;

use crate::error::{Error, Result};
use crate::messages::{FromRole, JobId, Level, ToRole};
use crate::roles::Role;
use crate::run::crew::{Crew, Event};
use crate::ui::Ui;

/// Signals that ask for the end of the run.
const ASKING: [i32; 3] = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP];

/// A pipe that can be read when the user, or the system, wants the run to end.
#[derive(Debug)]
pub(crate) struct Signals {
    read: OwnedFd,
}

impl Signals {
    /// From now on a signal does not end this process but makes the pipe readable.
    pub(crate) fn install() -> std::io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&read, true)?;
        for signal in ASKING {
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Self { read })
    }

    /// Whether a signal came.
    pub(crate) fn take(&self) -> bool {
        let mut buffer = [0; 16];
        matches!(rustix::io::read(&self.read, &mut buffer), Ok(got) if got > 0)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// How one certificate of a run came out.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobResult {
    /// Store has put a new generation in place, valid until then.
    pub(crate) committed: Option<u64>,
    /// Why not.
    pub(crate) failed: Option<String>,
    /// Other chains that the CA offers for it.
    pub(crate) alternates: Vec<Url>,
}

/// How a run came out.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// Each certificate, in the order of the jobs.
    pub(crate) jobs: Vec<JobResult>,
    /// The certificate to be revoked is (`true`: it was already).
    pub(crate) revoked: Option<bool>,
    /// The thumbprint of the account key.
    pub(crate) thumbprint: Option<String>,
    /// Hooks that failed, and why.
    pub(crate) hooks: Vec<String>,
}

/// Watches a run until net has nothing left to do.
///
/// What each role may tell is decided here: anything else ends the run.
pub(crate) fn watch(crew: &mut Crew, names: &[String], ui: &mut Ui) -> Result<Results> {
    let mut results = Results { jobs: vec![JobResult::default(); names.len()], ..Results::default() };
    let mut finished = false;
    loop {
        // When net has finished, what the others told before that is there already.
        match crew.next(finished.then_some(Duration::ZERO))? {
            Event::Told(Role::Net, FromRole::Finished) => finished = true,
            Event::Nothing if finished => return Ok(results),
            Event::Told(role, message) => {
                if let Some(unexpected) = told(role, message, &mut results, names, ui, crew)? {
                    return Err(crew.end_badly(Event::Told(role, unexpected)));
                }
            }
            Event::Said(role, line) => crate::ui::said(role, &line),
            Event::Interrupted => return Err(crew.interrupted()),
            event @ (Event::Gone(_) | Event::Misbehaved(_)) => return Err(crew.end_badly(event)),
            Event::Nothing => {}
        }
    }
}

/// Takes in one message. Returns it if it may not be told by that role, or not now.
fn told(
    role: Role,
    message: FromRole,
    results: &mut Results,
    names: &[String],
    ui: &mut Ui,
    crew: &Crew,
) -> Result<Option<FromRole>> {
    let known = |job: JobId| usize::try_from(job).ok().filter(|at| *at < names.len());
    let name = |at: usize| names.get(at).map_or("", String::as_str);
    match (role, message) {
        (_, FromRole::Log(level, text)) => log(role, level, &text, ui),
        (Role::Account, FromRole::Thumbprint(text)) if results.thumbprint.is_none() => {
            results.thumbprint = Some(privsep::printable(&text));
        }
        (Role::Net, FromRole::Stage(job, text)) if known(job).is_some() => {
            ui.stage(name(known(job).unwrap_or(0)), &privsep::printable(&text));
        }
        (Role::Net, FromRole::Registered(account, created)) => {
            let what = if created { "a new account" } else { "the account" };
            ui.detail(&format!("{what} is {account}"));
        }
        (Role::Net, FromRole::Terms(text)) => {
            ui.note(&format!("agreed to the terms of service of the CA: {}", privsep::printable(&text)));
        }
        (Role::Net, FromRole::JobFailed(job, text)) if known(job).is_some() => {
            let text = privsep::printable(&text);
            if let Some(result) = known(job).and_then(|at| results.jobs.get_mut(at)) {
                result.failed = Some(text.clone());
            }
            if crew.has(Role::Store) {
                crew.tell(Role::Store, &ToRole::Note(job, text))?;
            }
        }
        (Role::Net, FromRole::JobDone(job, alternates)) if known(job).is_some() => {
            // That it is in place is for store to say, and store has said so before net could.
            if let Some(result) = known(job).and_then(|at| results.jobs.get_mut(at)) {
                result.alternates = alternates;
            }
        }
        (Role::Net, FromRole::Revoked(already)) if results.revoked.is_none() => results.revoked = Some(already),
        (Role::Store, FromRole::Committed(job, until)) if known(job).is_some() => {
            if let Some(result) = known(job).and_then(|at| results.jobs.get_mut(at)) {
                result.committed = Some(until);
            }
            ui.stage(name(known(job).unwrap_or(0)), "in place");
        }
        (_, unexpected) => return Ok(Some(unexpected)),
    }
    Ok(None)
}

fn log(role: Role, level: Level, text: &str, ui: &Ui) {
    let text = format!("{role}: {}", privsep::printable(text));
    match level {
        Level::Detail => ui.detail(&text),
        Level::Warning => ui.note(&text),
    }
}

/// Runs the commands of the certificates that were renewed, each command once.
pub(crate) fn run_hooks(crew: &mut Crew, due: &[(u32, Vec<String>)], results: &mut Results) -> Result<()> {
    for (index, names) in due {
        crew.tell(Role::Hook, &ToRole::Run(*index, names.clone()))?;
        loop {
            match crew.next(Some(Duration::from_secs(120)))? {
                Event::Told(Role::Hook, FromRole::Ran(ran, ok, text)) if ran == *index => {
                    if !ok {
                        results.hooks.push(privsep::printable(&text));
                    }
                    break;
                }
                Event::Said(role, line) => crate::ui::said(role, &line),
                Event::Interrupted => return Err(crew.interrupted()),
                Event::Nothing => return Err(Error::failed("the hook process does not answer")),
                event => return Err(crew.end_badly(event)),
            }
        }
    }
    Ok(())
}

/// Waits for one answer of one role, for commands that ask just one thing. Anything else that a role tells ends the run.
pub(crate) fn ask(
    crew: &mut Crew,
    role: Role,
    patience: Duration,
    expected: impl Fn(&FromRole) -> bool,
) -> Result<FromRole> {
    loop {
        match crew.next(Some(patience))? {
            Event::Told(from, FromRole::Log(_, text)) => crate::ui::said(from, &privsep::printable(&text)),
            Event::Told(from, message) if from == role && expected(&message) => return Ok(message),
            Event::Said(from, line) => crate::ui::said(from, &line),
            Event::Interrupted => return Err(crew.interrupted()),
            Event::Nothing => return Err(Error::failed(format!("the {role} process does not answer"))),
            event @ (Event::Told(..) | Event::Gone(_) | Event::Misbehaved(_)) => return Err(crew.end_badly(event)),
        }
    }
}
