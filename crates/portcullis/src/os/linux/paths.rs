//! Landlock: files by directory, TCP ports, signals and abstract sockets.
//!
//! Every right that the newest version this crate was made for knows is taken, unless a promise needs it; what the
//! running kernel does not know is left out, right by right. Rights of later versions are not asked for: what they
//! would deny has not been tried.

use std::os::fd::{AsFd, BorrowedFd};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, CreateRulesetError, NetPort, PathBeneath,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::{check_directories, has_children, unavailable};
use crate::error::Error;
use crate::promise::Promise;
use crate::report::{Outcome, VERSION};
use crate::sandbox::{PathAccess, Sandbox};
use crate::sys;

/// Newest first; the others are for kernels that say they know a version and then do not.
const VERSIONS: [ABI; 4] = [ABI::V10, ABI::V6, ABI::V3, ABI::V1];

/// From this version on all that roles are kept from is covered: files, TCP ports, signals, abstract sockets.
const COMPLETE: u32 = 6;

/// A set of rules, ready to be enforced.
#[derive(Debug)]
pub(super) struct Rules {
    ruleset: RulesetCreated,
    version: u32,
}

impl Rules {
    /// Makes the rules. The inner error is a kernel without Landlock, the outer one a mistake of the caller.
    pub(super) fn new(sandbox: &Sandbox) -> Result<Result<Self, Outcome>, Error> {
        check_directories(sandbox)?;
        let directories: Vec<_> =
            sandbox.paths.iter().map(|(directory, access)| (directory.as_fd(), *access)).collect();
        let version = match sys::landlock_abi() {
            Ok(version) => version,
            Err(error) => return Ok(Err(unavailable("landlock_create_ruleset(2), Linux 5.13", error))),
        };
        let mut failed = None;
        for abi in VERSIONS {
            match build(sandbox, &directories, abi) {
                Ok(ruleset) => return Ok(Ok(Self { ruleset, version: version.min(abi as u32) })),
                Err(error) => failed = Some(error),
            }
        }
        Ok(Err(match failed {
            Some(RulesetError::CreateRuleset(CreateRulesetError::CreateRulesetCall { source, .. })) => {
                unavailable("landlock_create_ruleset(2)", source)
            }
            Some(error) => Outcome::Unavailable(format!("Landlock rules cannot be made: {error}")),
            None => Outcome::Unavailable("Landlock rules cannot be made".to_owned()),
        }))
    }

    /// Puts the rules in force. No-new-privileges is a layer of its own, so it is not touched here.
    pub(super) fn enforce(self) -> Outcome {
        match self.ruleset.no_new_privs(false).restrict_self() {
            Ok(status) if status.ruleset != RulesetStatus::NotEnforced => described(self.version),
            Ok(_) => Outcome::Unavailable("the kernel takes no Landlock rules".to_owned()),
            Err(RulesetError::RestrictSelf(landlock::RestrictSelfError::RestrictSelfCall { source, .. })) => {
                unavailable("landlock_restrict_self(2)", source)
            }
            Err(error) => Outcome::Unavailable(format!("Landlock rules cannot be enforced: {error}")),
        }
    }
}

pub(super) fn offered() -> Outcome {
    match sys::landlock_abi() {
        Ok(version) => described(version),
        Err(error) => unavailable("landlock_create_ruleset(2), Linux 5.13", error),
    }
}

/// Puts rules in force that deny everything.
pub(super) fn try_rules() -> Outcome {
    match Rules::new(&Sandbox::new("")) {
        Ok(Ok(rules)) => rules.enforce(),
        Ok(Err(outcome)) => outcome,
        Err(error) => Outcome::Unavailable(error.to_string()),
    }
}

/// What a version covers, of what this crate asks for.
fn described(version: u32) -> Outcome {
    let covered = [
        (1, "files"),
        (2, "moves between directories"),
        (3, "truncation"),
        (4, "TCP ports"),
        (5, "device requests"),
        (6, "signals and abstract sockets"),
        (9, "sockets by path"),
        (10, "UDP ports"),
    ];
    let list = |has: bool| {
        let names = covered.iter().filter(|(since, _)| (*since <= version) == has && (has || *since <= COMPLETE));
        names.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    };
    if version >= COMPLETE {
        return Outcome::Enforced(format!("{VERSION}{version}: {}", list(true)));
    }
    Outcome::Partial(format!("{VERSION}{version}: {}; not {}", list(true), list(false)))
}

fn build(
    sandbox: &Sandbox,
    directories: &[(BorrowedFd<'_>, PathAccess)],
    abi: ABI,
) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset =
        Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(AccessFs::from_all(abi))?;
    let ports = denied_ports(sandbox, abi);
    if !ports.is_empty() {
        ruleset = ruleset.handle_access(ports)?;
    }
    let scope = scope(sandbox, abi);
    if !scope.is_empty() {
        ruleset = ruleset.scope(scope)?;
    }
    let mut created = ruleset.create()?;
    for (directory, access) in directories {
        created = created.add_rule(PathBeneath::new(*directory, rights(*access) & AccessFs::from_all(abi)))?;
    }
    if ports.contains(AccessNet::ConnectTcp) && sandbox.keeps(Promise::Connect) {
        for port in sandbox.ports.iter().flatten() {
            created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
    }
    Ok(created)
}

/// What is taken of the network. Whoever connects needs UDP for names, and TCP as given.
fn denied_ports(sandbox: &Sandbox, abi: ABI) -> BitFlags<AccessNet> {
    let known = AccessNet::from_all(abi);
    if !sandbox.keeps(Promise::Connect) {
        return known;
    }
    let tcp =
        if sandbox.ports.is_some() { AccessNet::BindTcp | AccessNet::ConnectTcp } else { AccessNet::BindTcp.into() };
    known & tcp
}

/// Children that were started before the seal are outside of it, and could no longer be signalled.
fn scope(sandbox: &Sandbox, abi: ABI) -> BitFlags<Scope> {
    let known = Scope::from_all(abi);
    if has_children(sandbox) { known & Scope::AbstractUnixSocket } else { known }
}

fn rights(access: PathAccess) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::ReadDir
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    match access {
        PathAccess::Read => read,
        PathAccess::Write => write,
        PathAccess::ReadWrite => read | write,
    }
}
