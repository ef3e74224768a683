//! The roles of acme-client, with the classes that their promises stand for. A test of acme-client holds this to what its
//! roles are (`crates/acme-client/tests/tightness.rs`).

use syscall_policy::{Class, Policy};

/// What all of them have.
const STDIO: [Class; 18] = [
    Class::ReadHeld,
    Class::WriteHeld,
    Class::CloseHeld,
    Class::SyncHeld,
    Class::StatHeld,
    Class::ControlHeld,
    Class::Ioctl,
    Class::Poll,
    Class::Memory,
    Class::Time,
    Class::Sleep,
    Class::Random,
    Class::SignalHandlers,
    Class::SignalOwn,
    Class::Futex,
    Class::Exit,
    Class::OwnId,
    Class::ProcessSettings,
];

/// To create files beneath a directory.
const CREATE: [Class; 7] = [
    Class::SeekHeld,
    Class::CreatePath,
    Class::SizeHeld,
    Class::LockHeld,
    Class::AttributesHeld,
    Class::Accept,
    Class::SocketQuery,
];

/// Role, and what it has beside what all have.
const ROLES: [(&str, &[Class]); 6] = [
    ("account", &[]),
    ("net", &[Class::ReceiveDescriptors]),
    ("dial", &[Class::SendDescriptors, Class::SocketCreate, Class::SocketConnect, Class::SocketIo, Class::SocketQuery]),
    ("store", CREATE.split_at(5).0),
    ("challenge", &CREATE),
    ("supervisor", &[Class::WaitChildren, Class::SignalOther, Class::Notifications]),
];

/// Each role's name and policy, for a process of that number.
pub(crate) fn roles(process: u32) -> Vec<(&'static str, Policy)> {
    let policy = |more: &[Class]| Policy::new(STDIO.iter().chain(more).copied()).for_process(process);
    ROLES.iter().map(|(name, more)| (*name, policy(more))).collect()
}
