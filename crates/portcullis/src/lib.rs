//! A sandbox that travels: promises in, the process sealed, a report per layer out.
//!
//! A process acquires what it needs (opens files, reads its configuration, connects), then seals itself, and goes on with
//! what it holds and what it [promised](Promise) to confine itself to. Nothing has to be configured, and nothing depends on
//! which calls a C library, allocator or architecture prefers: promises stand for classes of power, not lists of calls.
//!
//! ```standalone_crate
//! use portcullis::{Layer, Promise, Sandbox};
//!
//! # fn main() -> Result<(), portcullis::Error> {
//! // Acquire: afterwards nothing can be opened.
//! let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
//!
//! // Seal: from here on read, write, memory and time.
//! let report = Sandbox::new("counter").promise(Promise::Stdio).prepare()?.seal()?;
//! eprintln!("{report}");
//!
//! // Serve.
//! assert!(!report.held(Layer::Seccomp) || std::fs::read("/etc/hosts").is_err());
//! eprintln!("{} lines", hosts.lines().count());
//! # Ok(())
//! # }
//! ```
//!
//! # What becomes of a refused call
//!
//! What an honest library may try is answered with an error, so that it goes on without: `ENOSYS` where C libraries fall
//! back on another call, `EACCES` for paths, `EPERM` for the rest. What no library issues (starting programs, tracing,
//! loading kernel code, `io_uring` and the like) ends the process with SIGSYS. A call that no kernel had when this crate
//! was made is answered with `ENOSYS`.
//!
//! # Layers
//!
//! | layer | what it takes | from | without root |
//! |---|---|---|---|
//! | no-new-privileges | rights by starting set-id programs | Linux 3.5 | yes |
//! | not-dumpable | core dumps, debuggers of the same user | any | yes |
//! | identity | root, groups | any | nothing to take |
//! | capabilities | all of them, in all sets | any | yes |
//! | root | every path | any | no |
//! | namespaces | the machine's queues, names, mounts (and, if asked for, network) | any | no |
//! | limits | descriptors, processes, file sizes | any | yes |
//! | mdwe | executable memory | Linux 6.3 | yes |
//! | landlock | files, ports, signals, abstract sockets | Linux 5.13, 6.7, 6.12 | yes |
//! | seccomp | system calls | Linux 3.5 | yes |
//!
//! A layer that a kernel lacks or an outer sandbox forbids is [reported](Report), and the others hold all the same;
//! [`Sandbox::require`] makes it an error instead. Elsewhere than on Linux the report says that nothing is held.
//!
//! # What it cannot do
//!
//! - It seals a process of one thread. With more, [`Sandbox::prepare`] refuses where it can see them.
//! - What is held stays held: a descriptor open for reading can be read, whatever was promised.
//! - A promise to use paths is limited to directories by Landlock alone, and by the empty root with root; without either
//!   it covers what the user may do. Who may [read](Promise::ReadPath) can look at attributes of files (`stat`) wherever
//!   paths lead.
//! - On s390x, `mmap` hides its arguments from filters: there executable memory is refused by mdwe alone.
//! - A promise to [connect](Promise::Connect) covers all addresses: ports can be limited, hosts cannot.

#![deny(unsafe_code)]
#![cfg(unix)]

mod child;
mod error;
pub mod fd;
mod os;
mod process;
mod promise;
mod refused;
mod rehearsal;
mod report;
mod sandbox;
mod sys;

pub use error::Error;
pub use os::Listener;
pub use process::{harden_early, last_words, set_deadline};
pub use promise::Promise;
pub use refused::{Refused, trapped_call};
pub use rehearsal::Lowered;
pub use report::{Layer, LayerReport, Outcome, Report};
pub use sandbox::{Identity, Namespace, PathAccess, Prepared, Sandbox};

/// What this machine offers, layer by layer, found out without giving anything up: [`Outcome::Enforced`] stands for what
/// could be. In a process of one thread each layer is asked for in a throw-away child, so that an outer sandbox that ends
/// whoever asks ends that.
#[must_use]
pub fn machine() -> Vec<LayerReport> {
    os::machine(&Layer::ALL)
}

/// Whether this process can give files and itself to that user and group, as far as can be told without doing it.
///
/// # Errors
///
/// Why not: it is not root, or root of a container that has no such user or was left without the capabilities to change.
pub fn can_become(identity: Identity) -> Result<(), &'static str> {
    os::can_become(identity)
}

/// The names of the system calls that promises allow on this architecture, all of them or for some arguments, by number.
/// Empty where calls are not filtered.
#[must_use]
pub fn calls_allowed(promises: &[Promise]) -> Vec<&'static str> {
    os::calls_allowed(promises)
}

/// The C library this program runs with and its version, as far as it tells.
#[must_use]
pub fn c_library() -> String {
    sys::c_library()
}

/// What promises mean in system calls, on any architecture of Linux and not only on this machine's: the policy that a
/// filter is compiled from. It lacks what only the sealed process knows, its own number
/// ([`Policy::for_process`](syscall_policy::Policy::for_process)), and so grants no signal to itself.
///
/// `None` elsewhere than on Linux, where promises are not held by filtering calls.
#[must_use]
pub fn policy(promises: &[Promise]) -> Option<syscall_policy::Policy> {
    os::policy(promises)
}
