//! Other people's sandboxes and poorer kernels, for tests to run programs in.
//!
//! A kernel that lacks a call, and a sandbox that forbids it, look the same from inside: an error number, or the end of
//! the process. So a filter can stand for either. What a filter cannot show (no `/proc`, directories that cannot be
//! written to, namespaces, missing capabilities) is made by changing namespaces, which takes root.
//!
//! ```no_run
//! use std::process::Command;
//! use test_outer::{Answer, Outer};
//!
//! // As before Linux 5.13.
//! let outer = Outer::new().answer(Answer::Errno(libc::ENOSYS), &["landlock_create_ruleset"]);
//! assert!(outer.command(&Command::new("/bin/true")).status()?.success());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Nothing here is for anything but tests: a filter of an [`Outer`] is no sandbox.

#![cfg(target_os = "linux")]

mod enter;
mod filter;
pub mod profiles;
mod supervisor;

use core::fmt;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub use filter::{Answer, Test};

use enter::Step;
use filter::Rule;
use supervisor::Supervised;

/// What a container is made of, beside the file system (`clone(2)`).
const NAMESPACES: i32 = libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET;

/// A sandbox to run programs in.
#[derive(Clone)]
pub struct Outer {
    rules: Vec<Rule>,
    otherwise: Answer,
    supervised: Option<Supervised>,
    places: Vec<Step>,
    capabilities: Option<u64>,
    user: Option<u32>,
}

/// Short enough for a test's last words.
impl fmt::Debug for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: String| if text.len() > 400 { format!("{} calls", self.rules.len()) } else { text };
        let rules = short(format!("{:?}", self.rules));
        write!(f, "outer sandbox: {rules}, otherwise {:?}", self.otherwise)?;
        if let Some(supervised) = self.supervised {
            write!(f, ", {supervised:?}")?;
        }
        write!(f, ", in {:?}, capabilities {:x?}, user {:?}", self.places, self.capabilities, self.user)
    }
}

impl Default for Outer {
    fn default() -> Self {
        Self::new()
    }
}

impl Outer {
    /// A sandbox that forbids nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rules: Vec::new(),
            otherwise: Answer::Allow,
            supervised: None,
            places: Vec::new(),
            capabilities: None,
            user: None,
        }
    }

    /// Answers these calls so, whatever their arguments are. Names that the architecture does not have are of no
    /// matter; what was said first about a call holds.
    #[must_use]
    pub fn answer(self, answer: Answer, calls: &[&str]) -> Self {
        self.answer_if(answer, &Test::Always, calls)
    }

    /// Answers these calls so if an argument of theirs passes the test.
    #[must_use]
    pub fn answer_if(mut self, answer: Answer, test: &Test, calls: &[&str]) -> Self {
        self.rules.extend(calls.iter().filter_map(|call| Rule::new(call, test.clone(), answer)));
        self
    }

    /// Answers all other calls so.
    #[must_use]
    pub const fn otherwise(mut self, answer: Answer) -> Self {
        self.otherwise = answer;
        self
    }

    /// The kernel takes no filter of more instructions than that, but answers with this error: 524 (`ENOTSUPP`) on 32-bit
    /// Arm kernels that have to compile filters and cannot compile a large one.
    ///
    /// A thread of the caller's looks at filters in the memory of whoever brings them, to which it must have the right.
    #[must_use]
    pub const fn longest_filter(mut self, instructions: u16, errno: i32) -> Self {
        self.supervised = Some(Supervised::LongestFilter(instructions, errno));
        self
    }

    /// The kernel says that it has some version of Landlock, and then knows no other rights to files than these bits
    /// (`LANDLOCK_ACCESS_FS_*`) and none to anything else: one that was changed by whoever sells it.
    ///
    /// A supervisor as with [`longest_filter`](Self::longest_filter), of which there can be one.
    #[must_use]
    pub const fn landlock_knows(mut self, rights: u64) -> Self {
        self.supervised = Some(Supervised::LandlockRights(rights));
        self
    }

    /// In mount, name, IPC and network namespaces of its own, with nothing but loopback. Takes root.
    #[must_use]
    pub fn in_namespaces(mut self) -> Self {
        self.places.extend([Step::Unshare(NAMESPACES), Step::Private, Step::LoopbackUp]);
        self
    }

    /// As the only processes of a PID namespace with a `/proc` of its own, after [`in_namespaces`](Self::in_namespaces).
    #[must_use]
    pub fn alone(mut self) -> Self {
        let proc = Step::Mount { kind: c"proc".to_owned(), target: c"/proc".to_owned(), flags: 0 };
        self.places.extend([Step::Unshare(libc::CLONE_NEWPID), Step::Fork, proc]);
        self
    }

    /// As the only user of a user namespace, whose root it is: what users have as a container without root.
    ///
    /// `uid` and `gid` are those of whoever starts it.
    #[must_use]
    pub fn in_user_namespace(mut self, uid: u32, gid: u32) -> Self {
        let line = |path: &str, text: String| Step::Write { path: c_string(path), text: text.into_bytes() };
        self.places.extend([
            Step::Unshare(libc::CLONE_NEWUSER),
            line("/proc/self/setgroups", "deny".to_owned()),
            line("/proc/self/uid_map", format!("0 {uid} 1")),
            line("/proc/self/gid_map", format!("0 {gid} 1")),
        ]);
        self
    }

    /// Without `/proc`, in a mount namespace of its own. Takes root.
    #[must_use]
    pub fn without_proc(mut self) -> Self {
        self.places.extend([Step::Unshare(libc::CLONE_NEWNS), Step::Private, Step::Unmount(c"/proc".to_owned())]);
        self
    }

    /// With nothing that can be written to but what is beneath these directories, in a mount namespace of its own. Takes
    /// root.
    #[must_use]
    pub fn read_only_but(mut self, writable: &[&Path]) -> Self {
        self.places.extend([Step::Unshare(libc::CLONE_NEWNS), Step::Private]);
        for path in writable {
            let path = c_string(path);
            self.places.push(Step::Bind(path));
        }
        // Each is a mount of its own, where there is one.
        for place in ["/", "/run", "/dev/shm", "/tmp", "/var/tmp"] {
            if writable.iter().all(|path| *path != Path::new(place)) {
                self.places.push(Step::ReadOnly(c_string(place)));
            }
        }
        self
    }

    /// As root with these capabilities only, given as bits, in all sets (`capabilities(7)`).
    #[must_use]
    pub const fn capabilities(mut self, bits: u64) -> Self {
        self.capabilities = Some(bits);
        self
    }

    /// As this user, with the group of the same number and no others, once everything is set up. Takes root.
    #[must_use]
    pub const fn user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// The command, to be run inside. Program, arguments, working directory and environment are those of `command`;
    /// user, group and streams are not, and have to be set on the result (the user by [`user`](Self::user)).
    ///
    /// # Panics
    ///
    /// If this machine's architecture has no table of system calls.
    #[must_use]
    pub fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new(command.get_program());
        inside.args(command.get_args());
        if let Some(directory) = command.get_current_dir() {
            inside.current_dir(directory);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        enter::before_exec(&mut inside, self.steps());
        inside
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = self.places.clone();
        if let Some(keep) = self.capabilities {
            steps.push(Step::Capabilities(keep));
        }
        if let Some(uid) = self.user {
            steps.push(Step::User(uid));
        }
        // The second filter is the first that a call meets: of two answers the kernel takes the sterner one, and a
        // supervisor's is the least stern of those that are used here.
        if let Some(supervised) = self.supervised {
            let filter = filter::assemble(&supervised.rules(), Answer::Allow);
            steps.push(Step::Supervise(filter, Arc::new(supervisor::Mailbox::start(supervised))));
        }
        if !self.rules.is_empty() || self.otherwise != Answer::Allow {
            steps.push(Step::Filter(filter::assemble(&self.rules, self.otherwise)));
        }
        steps
    }
}

fn c_string(path: impl AsRef<OsStr>) -> CString {
    CString::new(path.as_ref().as_bytes()).expect("paths have no zero in them")
}
