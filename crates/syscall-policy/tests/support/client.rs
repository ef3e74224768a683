//! The roles of acme-client, with the classes that their promises stand for.

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
const CREATE: [Class; 9] = [
    Class::StatPath,
    Class::ListHeld,
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
    ("store", CREATE.split_at(7).0),
    ("challenge", &CREATE),
    ("supervisor", &[Class::WaitChildren, Class::SignalOther, Class::SignalWait]),
];

/// Each role's name and policy, for a process of that number.
pub(crate) fn roles(process: u32) -> Vec<(&'static str, Policy)> {
    let policy = |more: &[Class]| Policy::new(STDIO.iter().chain(more).copied()).for_process(process);
    ROLES.iter().map(|(name, more)| (*name, policy(more))).collect()
}
