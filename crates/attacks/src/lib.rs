//! What somebody would try who has taken over a sealed role.
//!
//! A table of attempts, each with what it is for and what must become of it. They are made by raw system calls, by number,
//! as code does that was smuggled in and has no use for a C library: so they are the same on every architecture. The
//! program runs them inside its own roles, after the seal, when it is built with the feature `attacks`; no release is.
//!
//! An attempt is made in such a way that it does no harm where it succeeds: limits are set to what they are, signals
//! have number 0, what is created is removed again.
#![cfg(target_os = "linux")]

mod call;
mod directories;
mod ended;
mod files;
pub mod forge;
mod kernel;
mod memory;
mod network;
mod processes;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the attacker knows, and where: all of it can be guessed or found out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Target {
    /// The role that was taken over.
    pub role: String,
    /// Whether the program was started by root, so that each role has a user of its own and an empty root directory.
    pub root: bool,
    /// The version of Landlock that the kernel has, 0 if none.
    pub landlock: u32,
    /// Process number of the supervisor.
    pub supervisor: i32,
    /// Process numbers of the other roles.
    pub siblings: Vec<i32>,
    /// The file with the account key.
    pub account_key: PathBuf,
    /// The file with the key of a certificate that this run is not about.
    pub other_key: PathBuf,
    /// The state directory.
    pub state: PathBuf,
    /// The directory that a web server serves.
    pub webroot: PathBuf,
    /// A directory where everybody may do everything: `readable`, `writable`, an empty directory `empty`, a listening
    /// socket `socket`.
    pub outside: PathBuf,
    /// The authority, as configured.
    pub authority: SocketAddr,
    /// Something else that listens.
    pub elsewhere: SocketAddr,
}

impl Target {
    /// What all roles are told; [`role`](Self::role) is filled in by the role, the rest by whoever asks.
    #[must_use]
    pub fn new(
        state: PathBuf,
        webroot: PathBuf,
        outside: PathBuf,
        authority: SocketAddr,
        elsewhere: SocketAddr,
    ) -> Self {
        Self {
            role: String::new(),
            root: false,
            landlock: 0,
            supervisor: 0,
            siblings: Vec::new(),
            account_key: PathBuf::new(),
            other_key: PathBuf::new(),
            state,
            webroot,
            outside,
            authority,
            elsewhere,
        }
    }

    /// Whether the role is one of these.
    fn is(&self, roles: &[&str]) -> bool {
        roles.contains(&self.role.as_str())
    }

    /// Whether the role works with paths, beneath directories of its own.
    fn has_paths(&self) -> bool {
        self.is(&["key", "challenge", "store"])
    }
}

/// What must become of an attempt.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Must {
    /// It fails with one of these error numbers.
    Refused(&'static [i32]),
    /// The process is ended by SIGSYS.
    Ended,
}

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Got {
    /// It failed with this error number.
    Refused(i32),
    /// It succeeded.
    Won(String),
    /// This machine, or this role, does not have what it needs.
    NotHere(String),
}

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// What it is called.
    pub name: &'static str,
    /// What the attacker wants.
    pub wants: &'static str,
    /// What must become of it.
    pub must: Must,
    applies: fn(&Target) -> bool,
    unclaimed: fn(&Target) -> Option<&'static str>,
    /// Whether Landlock is what it is refused by.
    by_landlock: bool,
    how: fn(&Target) -> Got,
}

/// Whether an attempt came out as it must.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Verdict {
    /// As it must.
    Held,
    /// It cannot be tried here.
    NotHere,
    /// It succeeded, and nobody claims that it does not; why.
    Unclaimed(String),
    /// It was refused, but not as it must be.
    Odd,
    /// The attacker has what was wanted.
    Succeeded,
}

/// An attempt that was made, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "attempts by messages are made, and told of, by the program")]
pub struct Tried {
    /// What it is called.
    pub name: String,
    /// What the attacker wants.
    pub wants: String,
    /// What must become of it.
    pub must: String,
    /// What became of it.
    pub happened: String,
    /// What is to be thought of that.
    pub verdict: Verdict,
}

/// Why nobody claims that a directory is not left.
const WITHOUT_LANDLOCK: &str = "without Landlock (Linux 5.13) a role is kept to its directories by its user alone: what any user may change, it may";

impl Attempt {
    const fn refused(name: &'static str, wants: &'static str, errors: &'static [i32], how: fn(&Target) -> Got) -> Self {
        Self {
            name,
            wants,
            must: Must::Refused(errors),
            applies: |_| true,
            unclaimed: |_| None,
            by_landlock: false,
            how,
        }
    }

    const fn ended(name: &'static str, wants: &'static str, how: fn(&Target) -> Got) -> Self {
        Self { name, wants, must: Must::Ended, applies: |_| true, unclaimed: |_| None, by_landlock: false, how }
    }

    /// For these roles only.
    const fn only(mut self, applies: fn(&Target) -> bool) -> Self {
        self.applies = applies;
        self
    }

    /// Without Landlock a power that is documented: what holds then is the user that a role runs as, and there are files that any
    /// user may change. It is not tried there, since it would leave things behind.
    const fn by_landlock(mut self) -> Self {
        self.by_landlock = true;
        self
    }

    /// Where it says so, success is a power that is documented, and not counted.
    const fn unclaimed(mut self, why: fn(&Target) -> Option<&'static str>) -> Self {
        self.unclaimed = why;
        self
    }

    /// Whether it makes sense in this role.
    #[must_use]
    pub fn applies(&self, target: &Target) -> bool {
        (self.applies)(target)
    }

    /// Makes it.
    #[must_use]
    pub fn make(&self, target: &Target) -> Got {
        (self.how)(target)
    }

    /// Makes it, and tells what became of it.
    #[must_use]
    pub fn tried(&self, target: &Target) -> Tried {
        if self.by_landlock && target.landlock == 0 {
            return self.told("not tried".to_owned(), Verdict::Unclaimed(WITHOUT_LANDLOCK.to_owned()));
        }
        let got = self.make(target);
        self.told(got.words(), self.judge(target, &got))
    }

    /// What became of it, as somebody else saw it.
    #[must_use]
    pub fn told(&self, happened: String, verdict: Verdict) -> Tried {
        Tried { name: self.name.to_owned(), wants: self.wants.to_owned(), must: self.must_be(), happened, verdict }
    }

    /// What is to be thought of what became of it, by somebody who survived it.
    #[must_use]
    pub fn judge(&self, target: &Target, got: &Got) -> Verdict {
        match (got, self.must) {
            (Got::NotHere(_), _) => Verdict::NotHere,
            (Got::Refused(error), Must::Refused(expected)) if expected.contains(error) => Verdict::Held,
            (Got::Won(_), Must::Refused(_)) => {
                (self.unclaimed)(target).map_or(Verdict::Succeeded, |why| Verdict::Unclaimed(why.to_owned()))
            }
            // That the call failed is luck: it was made.
            (Got::Won(_) | Got::Refused(_), Must::Ended) => Verdict::Succeeded,
            (Got::Refused(_), Must::Refused(_)) => Verdict::Odd,
        }
    }

    /// What must become of it, in words.
    #[must_use]
    pub fn must_be(&self) -> String {
        match self.must {
            Must::Refused(errors) => errors.iter().map(|error| name_of(*error)).collect::<Vec<_>>().join(" or "),
            Must::Ended => "ended by SIGSYS".to_owned(),
        }
    }
}

impl Got {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Refused(error) => name_of(*error),
            Self::Won(what) => format!("SUCCEEDED: {what}"),
            Self::NotHere(why) => format!("not here: {why}"),
        }
    }
}

/// All attempts that leave the process alive if they come out as they must.
#[must_use]
pub fn batch(target: &Target) -> Vec<Attempt> {
    let all = [files::ALL, directories::ALL, network::ALL, processes::ALL, memory::ALL, kernel::ALL].concat();
    all.into_iter().filter(|attempt| attempt.applies(target)).collect()
}

/// All attempts that end the process.
#[must_use]
pub fn ended() -> Vec<Attempt> {
    ended::ALL.to_vec()
}

/// The attempt of that name.
#[must_use]
pub fn named(name: &str, target: &Target) -> Option<Attempt> {
    batch(target).into_iter().chain(ended()).find(|attempt| attempt.name == name)
}

/// An error number by the name that manuals have for it.
fn name_of(error: i32) -> String {
    let known = match error {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::EBADF => "EBADF",
        libc::EACCES => "EACCES",
        libc::EFAULT => "EFAULT",
        libc::EXDEV => "EXDEV",
        libc::EINVAL => "EINVAL",
        libc::EMFILE => "EMFILE",
        libc::ENOTTY => "ENOTTY",
        libc::EFBIG => "EFBIG",
        libc::ELOOP => "ELOOP",
        libc::ENOSYS => "ENOSYS",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::ECHILD => "ECHILD",
        libc::EAGAIN => "EAGAIN",
        _ => return format!("error {error} ({})", std::io::Error::from_raw_os_error(error)),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(role: &str) -> Target {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut target = Target::new("/state".into(), "/webroot".into(), "/outside".into(), nowhere, nowhere);
        target.role = role.to_owned();
        target
    }

    #[test]
    fn every_role_is_attacked_in_at_least_eighty_ways_and_no_two_have_a_name_in_common() {
        for role in ["supervisor", "net", "dial", "account", "key", "challenge", "store"] {
            let target = target(role);
            let mut names: Vec<&str> = batch(&target).iter().chain(&ended()).map(|attempt| attempt.name).collect();
            assert!(names.len() >= 80, "{role} is attacked in {} ways", names.len());
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "two attempts in {role} have one name");
        }
    }

    #[test]
    fn an_attempt_that_should_have_ended_the_process_and_did_not_has_succeeded() {
        let target = target("net");
        let attempt = ended()[0];
        assert_eq!(attempt.judge(&target, &Got::Refused(libc::EFAULT)), Verdict::Succeeded);
        let attempt = batch(&target)[0];
        assert_eq!(attempt.judge(&target, &Got::Won(String::new())), Verdict::Succeeded);
        assert_eq!(attempt.judge(&target, &Got::Refused(libc::EMFILE)), Verdict::Odd);
    }
}
