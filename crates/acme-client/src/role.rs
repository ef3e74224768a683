//! What all roles have in common: to start, acquire, seal, and serve.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use portcullis::{Identity, Layer, Promise, Sandbox};
use privsep::{Channel, ChannelError, Message, Startup};

use crate::messages::{Check, Drill, Failed, FromRole, Level, RoleSetup, SandboxMode, Setup, ToRole, fitting};
use crate::roles::{self, Role};

/// Why a role stops.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The supervisor closed the channel: the run is over.
    Over,
    /// The role itself cannot go on.
    Own(String),
    /// Another role is gone, or sent what it may not.
    Peer(ChannelError),
}

impl From<ChannelError> for Stop {
    fn from(error: ChannelError) -> Self {
        Self::Peer(error)
    }
}

impl Stop {
    /// A failure of this role.
    pub(crate) fn own(text: impl Into<String>) -> Self {
        Self::Own(text.into())
    }
}

/// A role: what it is told, what it holds, and what it does with it.
pub(crate) trait Actor: Sized {
    /// Which one.
    const ROLE: Role;

    /// Opens what the role needs, before anything is given up. Returns the role and the rights it keeps beside its
    /// promises.
    fn acquire(setup: RoleSetup, links: &mut Links, sandbox: Sandbox) -> Result<(Self, Sandbox), Stop>;

    /// Whether this run needs a promise that the table has for the role.
    fn needs(setup: &RoleSetup, promise: Promise) -> bool {
        let _ = (setup, promise);
        true
    }

    /// Works until the supervisor closes the channel.
    fn serve(self, control: &Control) -> Result<(), Stop>;

    /// Does what its work consists of, once.
    fn self_test(&mut self) -> Vec<Check>;

    /// Does what only this role does, in a copy of the process that is sealed as the process will be: with nobody told, nothing
    /// left behind and nothing sent. What all roles do is in [`crate::canary`].
    fn canary(&mut self) -> Result<(), String>;

    /// The channels to other roles, for tests that misuse them.
    #[cfg(feature = "attacks")]
    fn links(&self) -> crate::attack::Held<'_> {
        Vec::new()
    }
}

/// The channel to the supervisor.
#[derive(Debug)]
pub(crate) struct Control(Channel<FromRole, ToRole>);

impl Control {
    /// Tells the supervisor.
    pub(crate) fn tell(&self, message: &FromRole) -> Result<(), Stop> {
        self.0.send(message).map_err(over)
    }

    /// A line for the log, shown with `-v`.
    pub(crate) fn detail(&self, text: &str) -> Result<(), Stop> {
        self.tell(&FromRole::Log(Level::Detail, fitting(text)))
    }

    /// A line for the log, shown always.
    pub(crate) fn warn(&self, text: &str) -> Result<(), Stop> {
        self.tell(&FromRole::Log(Level::Warning, fitting(text)))
    }

    /// The next order of the supervisor, which must be there or come soon.
    pub(crate) fn next(&self) -> Result<ToRole, Stop> {
        self.0.receive(Some(Duration::from_secs(30))).map_err(over)
    }

    /// Waits until a channel can be read, at most for `timeout`. The supervisor's own messages come first: an order
    /// is returned as `Wake::Order`, and its closing the channel ends the role.
    pub(crate) fn wait(&self, channels: &[BorrowedFd<'_>], timeout: Option<Duration>) -> Result<Wake, Stop> {
        let mut all = Vec::with_capacity(channels.len() + 1);
        all.push(self.0.as_fd());
        all.extend_from_slice(channels);
        let ready =
            privsep::wait_readable(&all, timeout).map_err(|error| Stop::own(format!("cannot wait: {error}")))?;
        match ready.first() {
            None => Ok(Wake::Nothing),
            Some(0) => Ok(Wake::Order(self.next()?)),
            Some(_) => Ok(Wake::Ready(ready.iter().map(|at| at - 1).collect())),
        }
    }

    /// Bytes past the types, as a role might send that is no longer ours.
    fn write(&self, bytes: &[u8]) {
        let _ = rustix::io::write(&self.0, bytes);
    }

    /// The error for an order that this role does not take.
    pub(crate) fn unexpected(order: &ToRole) -> Stop {
        Stop::Peer(ChannelError::out_of_turn(Role::Supervisor.name(), order.word()))
    }
}

/// Why a role woke up.
#[derive(Debug)]
pub(crate) enum Wake {
    /// The supervisor wants something.
    Order(ToRole),
    /// These of the channels can be read.
    Ready(Vec<usize>),
    /// The time is up.
    Nothing,
}

fn over(error: ChannelError) -> Stop {
    if error.is_vanished() { Stop::Over } else { Stop::Peer(error) }
}

/// The channels to other roles.
#[derive(Debug)]
pub(crate) struct Links {
    sockets: Vec<(Role, OwnedFd)>,
    /// Descriptors beyond the channels.
    pub(crate) extra: Vec<OwnedFd>,
}

impl Links {
    /// The channel to `peer`.
    pub(crate) fn take<S: Message, R: Message>(&mut self, peer: Role) -> Result<Channel<S, R>, Stop> {
        let at = self.sockets.iter().position(|(role, _)| *role == peer);
        let at = at.ok_or_else(|| Stop::own(format!("was started without a channel to {peer}")))?;
        Ok(Channel::new(self.sockets.swap_remove(at).1, peer.name()))
    }

    /// The channel to `peer`, if that role takes part in this run.
    pub(crate) fn take_if<S: Message, R: Message>(&mut self, peer: Role) -> Option<Channel<S, R>> {
        self.take(peer).ok()
    }
}

/// Runs the role of that name: the whole life of a process other than the supervisor's, but for its end, with the status that is
/// returned.
pub(crate) fn main(name: &str) -> u8 {
    let Some(role) = Role::named(name) else {
        return last_line("there is no such role");
    };
    portcullis::last_words();
    if role.spec().promises.is_some() {
        // What hook starts inherits its limits, and is none of our business.
        let _ = portcullis::harden_early();
    }
    // Files of this program are for others to read, keys excepted, whatever the user's habits are.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let lived = match role {
        Role::Net => live::<roles::net::Net>(),
        Role::Dial => live::<roles::dial::Dial>(),
        Role::Account => live::<roles::account::Account>(),
        Role::Key => live::<roles::key::Key>(),
        Role::Challenge => live::<roles::challenge::Challenge>(),
        Role::Store => live::<roles::store::Store>(),
        Role::Hook => live::<roles::hook::Hook>(),
        Role::Supervisor => Err("the supervisor is not started as a role".to_owned()),
    };
    match lived {
        Ok(()) => 0,
        Err(text) => last_line(&text),
    }
}

fn last_line(text: &str) -> u8 {
    // Nobody else can be told: the channel to the supervisor is what is missing.
    let _ = rustix::io::write(rustix::stdio::stderr(), format!("{text}\n").as_bytes());
    1
}

fn live<A: Actor>() -> Result<(), String> {
    let startup = Startup::take().map_err(|error| error.to_string())?;
    let control = Control(startup.control);
    let failed = match act::<A>(&control) {
        Ok(()) | Err(Stop::Over) => return Ok(()),
        Err(Stop::Own(text)) => Failed::Own(fitting(&text)),
        // That a peer is gone has a cause somewhere else; all the other errors of a channel are causes.
        Err(Stop::Peer(error)) if error.is_vanished() => Failed::Peer(error.to_string()),
        Err(Stop::Peer(error)) => Failed::Own(error.to_string()),
    };
    // If the supervisor is gone as well there is nobody left to tell.
    let _ = control.0.send(&FromRole::Failed(failed));
    Ok(())
}

/// From the first message to the last: acquire, seal, serve.
fn act<A: Actor>(control: &Control) -> Result<(), Stop> {
    let (setup, mut links) = set_up(control)?;
    let sandbox = promised::<A>(&setup);
    portcullis::set_deadline(Duration::from_secs(setup.deadline));
    crate::crypto::draw_once();

    let (mut actor, sandbox) = A::acquire(setup.role, &mut links, sandbox)?;
    let held = links.extra;
    let report = match A::ROLE.spec().promises {
        Some(_) if setup.sandbox.off => Some(sandbox.prepare().and_then(portcullis::Prepared::seal)),
        Some(_) => Some(seal(sandbox, &mut actor, control, &setup.sandbox)?),
        None => None,
    };
    let report = report.transpose().map_err(|error| Stop::own(error.to_string()))?;
    control.tell(&FromRole::Sealed(report))?;

    let ended = loop {
        match control.0.receive(None).map_err(over)? {
            ToRole::Go => break actor.serve(control),
            ToRole::SelfTest => control.tell(&FromRole::Tested(actor.self_test()))?,
            ToRole::Drill(drill) => drill_in(drill, control)?,
            #[cfg(feature = "attacks")]
            ToRole::Attack(attack) => crate::attack::from(A::ROLE, *attack, &actor.links(), control)?,
            order => break Err(Control::unexpected(&order)),
        }
    };
    // Locks among them: they are let go when the role has done its last write, not before.
    drop(held);
    ended
}

/// Tries the seal out in a copy of the process, and then seals it for good. From here on the supervisor answers what is refused.
fn seal<A: Actor>(
    sandbox: Sandbox,
    actor: &mut A,
    control: &Control,
    mode: &SandboxMode,
) -> Result<Result<portcullis::Report, portcullis::Error>, Stop> {
    let promises = sandbox.promises().to_vec();
    let mut script = || crate::canary::play(control.0.as_fd()).and_then(|()| actor.canary());
    if mode.trace {
        let names = sandbox.calls_refused(&mut script).into_iter().filter_map(|refused| refused.call).collect();
        control.tell(&FromRole::Named(names))?;
    }
    let sandbox = match sandbox.rehearse(&mut script) {
        Ok(sandbox) => sandbox,
        Err(error) => return Ok(Err(error)),
    };
    let mappings = crate::run::records::mappings();
    if !sandbox.lowered().is_empty() {
        // Where it was that calls were refused, for the records; a listener may not come to be sent.
        control.tell(&FromRole::Mapped(mappings.clone()))?;
    }
    let prepared = match sandbox.prepare() {
        Ok(prepared) => prepared,
        Err(error) => return Ok(Err(error)),
    };
    let message = FromRole::Listener(promises, mappings);
    let message = control.0.framed(&message)?;
    Ok(prepared.seal_notifying(control.0.as_fd(), &message))
}

/// The first messages: what the role is told, and the descriptors it is given.
fn set_up(control: &Control) -> Result<(Setup, Links), Stop> {
    let patience = Some(Duration::from_secs(30));
    let (order, mut sockets) = control.0.receive_with(patience).map_err(over)?;
    let ToRole::Setup(setup) = order else { return Err(Control::unexpected(&order)) };
    if sockets.len() < setup.peers.len() {
        return Err(Stop::own("was given fewer channels than it has peers"));
    }
    let mut extra = sockets.split_off(setup.peers.len());
    for _ in 0..setup.holds {
        match control.0.receive_with(patience).map_err(over)? {
            (ToRole::Hold, descriptors) => extra.extend(descriptors),
            (order, _) => return Err(Control::unexpected(&order)),
        }
    }
    let links = Links { sockets: setup.peers.iter().copied().zip(sockets).collect(), extra };
    Ok((*setup, links))
}

/// The sandbox of a role as the table has it, less what this run does not need.
fn promised<A: Actor>(setup: &Setup) -> Sandbox {
    let promises = A::ROLE.spec().promises.unwrap_or_default().iter();
    let needed = promises.filter(|promise| A::needs(&setup.role, **promise));
    let sandbox = needed.fold(Sandbox::new(A::ROLE.name()), |sandbox, promise| sandbox.promise(*promise));
    restricted(sandbox, A::ROLE, setup.identity, &setup.sandbox)
}

/// Whom a sandbox is for, and how much of it is wanted.
pub(crate) fn restricted(
    mut sandbox: Sandbox,
    role: Role,
    identity: Option<(u32, u32)>,
    mode: &SandboxMode,
) -> Sandbox {
    sandbox = mode.withheld_from(role).into_iter().fold(sandbox, Sandbox::withhold);
    if let Some((uid, gid)) = identity {
        sandbox = sandbox.identity(Identity { uid, gid }).empty_root();
    }
    for layer in &mode.require {
        sandbox = sandbox.require(*layer);
    }
    if mode.off {
        for layer in Layer::ALL {
            sandbox = sandbox.without(layer);
        }
    }
    sandbox
}

/// Comes to grief as asked, to show that the words reach the user.
fn drill_in(drill: Drill, control: &Control) -> Result<(), Stop> {
    match drill {
        Drill::Panic => panic!("a drill: this role was asked to panic"),
        Drill::Allocate => {
            // More than any arena holds, grown in steps so that it is moved and mapped again.
            let mut bytes: Vec<u8> = Vec::new();
            for step in 1..=64_usize {
                bytes.resize(step << 20, 1);
            }
            let sum: usize = bytes.iter().step_by(4096).map(|byte| usize::from(*byte)).sum();
            control.detail(&format!("a drill: 64 MiB allocated, {sum} pages touched"))?;
        }
        Drill::Log => {
            control
                .warn("a drill: a line for the log, with \u{1b}[31mcolour\u{1b}[0m that must not reach a terminal")?;
            let _ = rustix::io::write(rustix::stdio::stderr(), b"a drill: a line on standard error\n");
        }
        Drill::Fail => return Err(Stop::own("a drill: this role was asked to fail")),
        Drill::Forbidden => {
            // setns(2) with a descriptor that is no namespace: fails harmlessly where nothing is sealed, and no honest
            // library calls it.
            let _ = rustix::thread::move_into_link_name_space(rustix::stdio::stderr(), None);
        }
        Drill::Vanish => return Err(Stop::Over),
        Drill::OutOfTurn => return control.tell(&FromRole::Finished),
        Drill::Garbage => control.write(&[3, 0, 0, 0, 0xff, 0xff, 0xff]),
        Drill::TooLong => control.write(&u32::MAX.to_le_bytes()),
    }
    control.tell(&FromRole::Drilled)
}
