//! The table of roles: what each process is for, who it runs as, what it may do, and whom it may talk to.
//!
//! This is the architecture on one page. Everything that starts, seals or connects a process reads it from here.

pub(crate) mod account;
pub(crate) mod challenge;
pub(crate) mod dial;
pub(crate) mod hook;
pub(crate) mod key;
pub(crate) mod net;
pub(crate) mod store;

use core::fmt;

use portcullis::Promise;
use serde::{Deserialize, Serialize};

/// A part of the program that runs as a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Starts and ends the others, and tells the user what happens.
    Supervisor,
    /// Speaks TLS, HTTP and ACME with the certificate authority.
    Net,
    /// Resolves the authority's name and connects to it.
    Dial,
    /// Holds the account key.
    Account,
    /// Makes and holds certificate keys.
    Key,
    /// Answers challenges.
    Challenge,
    /// Checks certificates and puts them in place.
    Store,
    /// Runs the configured commands.
    Hook,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Spec {
    /// The role.
    pub(crate) role: Role,
    /// Its name, as it shows in messages and in a list of processes.
    pub(crate) name: &'static str,
    /// What it is for, in a few words.
    pub(crate) job: &'static str,
    /// Its user and group when started by root: this much above the first of the program's numbers
    /// (`sandbox.uid-base`). `None` keeps the user, which is for commands that must stay free to do what they do.
    pub(crate) user: Option<u32>,
    /// What it may still do once sealed. `None` is a role that is not sealed, for what it starts would inherit the seal.
    pub(crate) promises: Option<&'static [Promise]>,
    /// The roles it has a channel to, besides the supervisor.
    pub(crate) peers: &'static [Role],
}

/// The table.
pub(crate) const TABLE: [Spec; 8] = [
    Spec {
        role: Role::Supervisor,
        name: "supervisor",
        job: "starts and ends the others, tells what happens",
        user: Some(0),
        promises: Some(&[Promise::Stdio, Promise::Children, Promise::Notifications]),
        peers: &[],
    },
    Spec {
        role: Role::Net,
        name: "net",
        job: "speaks TLS and ACME with the authority",
        user: Some(1),
        promises: Some(&[Promise::Stdio, Promise::RecvFd]),
        peers: &[Role::Dial, Role::Account, Role::Key, Role::Challenge, Role::Store],
    },
    Spec {
        role: Role::Dial,
        name: "dial",
        job: "resolves the authority's name and connects to it",
        user: Some(2),
        promises: Some(&[Promise::Stdio, Promise::SendFd, Promise::Connect]),
        peers: &[Role::Net],
    },
    Spec {
        role: Role::Account,
        name: "account",
        job: "holds the account key, signs typed requests",
        user: Some(3),
        promises: Some(&[Promise::Stdio]),
        peers: &[Role::Net, Role::Key, Role::Challenge],
    },
    Spec {
        role: Role::Key,
        name: "key",
        job: "makes and holds certificate keys",
        user: Some(4),
        promises: Some(&[Promise::Stdio, Promise::CreatePath]),
        peers: &[Role::Net, Role::Account, Role::Store],
    },
    Spec {
        role: Role::Challenge,
        name: "challenge",
        job: "answers challenges, from a directory or a socket",
        user: Some(5),
        promises: Some(&[Promise::Stdio, Promise::CreatePath, Promise::Accept]),
        peers: &[Role::Net, Role::Account],
    },
    Spec {
        role: Role::Store,
        name: "store",
        job: "checks certificates and puts them in place",
        user: Some(6),
        promises: Some(&[Promise::Stdio, Promise::CreatePath]),
        peers: &[Role::Net, Role::Key],
    },
    Spec {
        role: Role::Hook,
        name: "hook",
        job: "runs the configured commands",
        user: None,
        promises: None,
        peers: &[],
    },
];

impl Role {
    /// Its line of the table.
    pub(crate) fn spec(self) -> &'static Spec {
        // The table is in the order of the enum; a test holds it to that.
        &TABLE[self as usize]
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.spec().name
    }

    /// The role of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|spec| spec.name == name).map(|spec| spec.role)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_roles() {
        for spec in &TABLE {
            assert_eq!(spec.role.spec().name, spec.name);
            assert_eq!(Role::named(spec.name), Some(spec.role));
        }
    }

    #[test]
    fn channels_have_two_ends() {
        for spec in &TABLE {
            for peer in spec.peers {
                assert!(peer.spec().peers.contains(&spec.role), "{} does not know of {}", peer, spec.role);
            }
        }
    }

    #[test]
    fn only_hook_is_free_and_nobody_shares_a_user() {
        let mut users: Vec<u32> = TABLE.iter().filter_map(|spec| spec.user).collect();
        users.dedup();
        assert_eq!(users.len(), TABLE.len() - 1);
        for spec in &TABLE {
            assert_eq!(spec.promises.is_none(), spec.role == Role::Hook);
        }
    }
}
