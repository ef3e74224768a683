//! Attacks from inside the roles: what somebody does who has taken one over. Built for tests only.
//!
//! System calls are the business of the crate `attacks`; what goes over channels is here, since the messages are. A role
//! attacks in place of serving, when it is sealed and holds all it will ever hold.

mod asking;
pub(crate) mod frames;
mod peers;
pub(crate) mod withheld;

use std::os::fd::BorrowedFd;

use acme::{Identifier, Url};
use attacks::{Target, Tried, Verdict};
use privsep::{Channel, Message};
use serde::{Deserialize, Serialize};

use crate::messages::FromRole;
use crate::role::{Control, Stop};
use crate::roles::Role;

/// The channels that a role holds.
pub(crate) type Held<'a> = Vec<(Role, BorrowedFd<'a>)>;

/// What to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Attack {
    /// All attempts by system calls that leave the process alive, if their names contain this.
    Calls(Target, String),
    /// The attempt of this name, which should end the process.
    Call(Target, String),
    /// (net) Ask the others for what they must not give.
    Peers(Known),
    /// (net) What others may be got to do, and nobody claims otherwise.
    Powers(Known),
    /// (net) Send to each of the others the bytes of this number.
    Frames(Known, usize),
    /// Send a peer what it must not be sent: this one of [`frames::sideways`].
    Sideways(usize),
    /// Tell the supervisor what this role may not: this one of [`forged`].
    Forge(usize),
}

/// What net knows of the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The CA's directory.
    pub(crate) directory: Url,
    /// The names of the first certificate.
    pub(crate) names: Vec<Identifier>,
    /// The names of the second.
    pub(crate) others: Vec<Identifier>,
}

/// Attacks, from inside a role. Tells [`FromRole::Drilled`] in the end, if the role is still there.
pub(crate) fn from(role: Role, attack: Attack, held: &Held<'_>, control: &Control) -> Result<(), Stop> {
    match attack {
        Attack::Calls(target, name) => {
            for attempt in attacks::batch(&target).iter().filter(|attempt| attempt.name.contains(&name)) {
                control.tell(&FromRole::Attacked(attempt.tried(&target)))?;
            }
        }
        Attack::Call(target, name) => {
            if let Some(attempt) = attacks::named(&name, &target) {
                control.tell(&FromRole::Attacked(attempt.tried(&target)))?;
            }
        }
        Attack::Peers(known) => peers::ask(&known, held, control)?,
        Attack::Powers(known) => peers::powers(&known, held, control)?,
        Attack::Frames(known, number) => frames::send(&known, number, held, control)?,
        Attack::Sideways(number) => {
            frames::send_sideways(role, number, held)?;
            // What follows is for the peer to tell, or for the supervisor to notice.
            return Ok(());
        }
        Attack::Forge(number) => {
            if let Some((_, message)) = forged().into_iter().nth(number) {
                control.tell(&message)?;
            }
            return Ok(());
        }
    }
    control.tell(&FromRole::Drilled)
}

/// What a role might tell the supervisor that it has no business to.
pub(crate) fn forged() -> Vec<(&'static str, FromRole)> {
    let text = || "forged".to_owned();
    let url = || Url::parse("https://attack.invalid/").ok();
    let mut all = vec![
        ("listener", FromRole::Listener(Vec::new(), Vec::new())),
        ("named", FromRole::Named(Vec::new())),
        ("sealed", FromRole::Sealed(None)),
        ("tested", FromRole::Tested(Vec::new())),
        ("drilled", FromRole::Drilled),
        ("thumbprint", FromRole::Thumbprint(text())),
        ("stage", FromRole::Stage(0, text())),
        ("stage-of-no-certificate", FromRole::Stage(99, text())),
        ("terms", FromRole::Terms(text())),
        ("failure", FromRole::JobFailed(0, text())),
        ("failure-of-no-certificate", FromRole::JobFailed(99, text())),
        ("success", FromRole::JobDone(0, Vec::new())),
        ("success-of-no-certificate", FromRole::JobDone(99, Vec::new())),
        ("revoked", FromRole::Revoked(true)),
        ("finished", FromRole::Finished),
        ("committed", FromRole::Committed(0, u64::MAX)),
        ("committed-for-no-certificate", FromRole::Committed(99, u64::MAX)),
        ("hook-ran", FromRole::Ran(0, true, text())),
    ];
    all.extend(url().map(|url| ("registered", FromRole::Registered(url, true))));
    all
}

/// Whether a role may tell that in the course of its work.
pub(crate) fn may_tell(role: Role, what: &str) -> bool {
    match role {
        Role::Net => {
            matches!(what, "stage" | "terms" | "failure" | "success" | "revoked" | "finished" | "registered")
        }
        Role::Account => what == "thumbprint",
        Role::Store => what == "committed",
        _ => false,
    }
}

/// A channel to a peer, over a descriptor of its own.
fn channel<S: Message, R: Message>(held: &Held<'_>, peer: Role) -> Result<Channel<S, R>, Stop> {
    let (_, descriptor) = held
        .iter()
        .find(|(role, _)| *role == peer)
        .ok_or_else(|| Stop::own(format!("an attack on {peer}, which there is no channel to")))?;
    let copy = rustix::io::fcntl_dupfd_cloexec(descriptor, 3);
    Ok(Channel::new(copy.map_err(|error| Stop::own(format!("no descriptor for an attack: {error}")))?, peer.name()))
}

/// An attempt that was made by a message.
fn tried(name: impl Into<String>, wants: &str, must: &str, happened: String, verdict: Verdict) -> FromRole {
    let cut = crate::messages::fitting(&happened);
    FromRole::Attacked(Tried {
        name: name.into(),
        wants: wants.to_owned(),
        must: must.to_owned(),
        happened: privsep::printable(&cut),
        verdict,
    })
}
