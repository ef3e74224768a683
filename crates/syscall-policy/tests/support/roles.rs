//! Policies as processes of a privilege-separated program have them.

use syscall_policy::{Class, Policy};

/// What every worker has.
const WORKER: [Class; 17] = [
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
];

const ROLES: [(&str, &[Class]); 12] = [
    ("worker", &[]),
    ("receiver", &[Class::ReceiveDescriptors, Class::ProcessSettings]),
    (
        "dialer",
        &[Class::SocketCreate, Class::SocketConnect, Class::SocketIo, Class::SocketQuery, Class::SendDescriptors],
    ),
    ("listener", &[Class::Accept, Class::SocketQuery]),
    ("reader", &[Class::ReadPath, Class::StatPath, Class::ListHeld]),
    ("writer", &[Class::WritePath]),
    ("creator", &[Class::CreatePath, Class::StatPath, Class::ListHeld, Class::LockHeld, Class::AttributesHeld]),
    ("editor", &[Class::ReadPath, Class::WritePath]),
    ("owner", &[Class::ReadPath, Class::WritePath, Class::CreatePath]),
    ("parent", &[Class::WaitChildren, Class::SignalOther]),
    ("threaded", &[Class::Threads, Class::ThreadState, Class::ProcessSettings]),
    ("starter", &[Class::Exec, Class::Fork, Class::WaitChildren]),
];

/// All of them, with one that may nothing and one that may all.
pub(crate) fn all() -> Vec<(String, Policy)> {
    let mut policies: Vec<_> = ROLES
        .iter()
        .map(|(name, more)| ((*name).to_owned(), Policy::new(WORKER.iter().chain(*more).copied()).for_process(4711)))
        .collect();
    policies.push(("nothing".to_owned(), Policy::new([])));
    policies.push(("everything".to_owned(), Policy::new(Class::ALL.iter().copied()).for_process(1)));
    let coarse: Vec<_> =
        policies.iter().map(|(name, policy)| (format!("{name}, coarse"), policy.clone().coarse())).collect();
    policies.extend(coarse);
    policies
}
