//! A sandbox that travels: promises in, the process sealed, a report per layer out.
//!
//! For programs that parse what strangers send, hold keys, or run as root, and would rather not be taken over as a whole. A
//! process acquires what it needs (opens files, reads its configuration, connects), then seals itself, and goes on with
//! what it holds and what it [promised](Promise) to confine itself to. Nothing has to be configured, and nothing depends
//! on which calls a C library, allocator or architecture prefers: promises stand for classes of power, not lists of calls.
//!
//! There are two steps. [`Sandbox::prepare`] does all that still needs rights: it compiles the filter, makes the rules, checks
//! the directories. [`Prepared::seal`] takes the rights away, once and for all, and tells what holds.
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
//! assert!(!report.held(Layer::CALLS) || std::fs::read("/etc/hosts").is_err());
//! eprintln!("{} lines", hosts.lines().count());
//! # Ok(())
//! # }
//! ```
//!
//! Whole programs are in `examples/`: [a parser worker][parser], [a writer in one directory][writer], [a dialer][dialer] and
//! [a listener][listener].
//!
//! [parser]: https://github.com/acme-client/acme-client/blob/main/crates/portcullis/examples/parser.rs
//! [writer]: https://github.com/acme-client/acme-client/blob/main/crates/portcullis/examples/writer.rs
//! [dialer]: https://github.com/acme-client/acme-client/blob/main/crates/portcullis/examples/dialer.rs
//! [listener]: https://github.com/acme-client/acme-client/blob/main/crates/portcullis/examples/listener.rs
//!
//! # Systems
//!
//! **Linux** is what this crate is made for and tested on, x86_64 first; other architectures have their tables, and the
//! filter for each is proved equal to its policy. The back ends for **OpenBSD**, **FreeBSD** and **macOS** are type-checked
//! and what they make of promises is tested, but **they have never been run**. Anywhere else the report says that nothing is
//! held. [`Layer::PATHS`] and [`Layer::CALLS`] are the layers to [require](Sandbox::require) in programs for several systems.
//!
//! # Promises
//!
//! What a promise keeps, in the words of each system:
//!
//! | promise | Linux | OpenBSD | FreeBSD | macOS |
//! |---|---|---|---|---|
//! | `stdio` | calls on what is held, memory, time | `stdio` | kept | what is held is not asked about |
//! | `recvfd` | `recvmsg` and its kind | `recvfd` | kept, promised or not | kept, promised or not |
//! | `sendfd` | `sendmsg` and its kind | `sendfd` | kept, promised or not | kept, promised or not |
//! | `readpath` | opening to read | `rpath` | kept, by handle only | `file-read*` |
//! | `writepath` | opening to write | `rpath wpath fattr flock` ¹ | kept, by handle only ¹ | `file-write-data` |
//! | `createpath` | opening to create, renaming, removing | `rpath wpath cpath fattr flock` ¹ | kept, by handle only ¹ | `file-write-create` |
//! | `connect` | IPv4 and IPv6 sockets; TCP ports | `inet` ² | lost ³ | `network-outbound` |
//! | `accept` | `accept` and its kind | `inet` ² | kept | `network-inbound` |
//! | `children` | waiting, signals to one process | `proc` ² | lost ³ | `signal (target children)` |
//! | `notifications` | answering on listeners | `stdio` | kept | there are none |
//!
//! ¹ What can be written can be read there, too. ² Wider than the promise: listening comes with connecting, fork with
//! children. ³ Capability mode has no such thing, so it is not entered; directories are limited all the same. A report says
//! *partial* where a promise was made that the system cannot keep apart.
//!
//! # Layers
//!
//! | layer | what it takes | Linux | OpenBSD | FreeBSD | macOS |
//! |---|---|---|---|---|---|
//! | `no-new-privileges` | rights by starting set-id programs | 3.5 | | 14 | |
//! | `not-dumpable` | core dumps, debuggers of the same user | any | | 9.3 | any |
//! | `identity` | root, groups | root | root | root | root |
//! | `capabilities` | all of them, in all sets | any | | | |
//! | `root` | every path | root | root | root | root |
//! | `namespaces` | the machine's queues, names, mounts; network if asked for | root | | | |
//! | `limits` | descriptors, processes, file sizes | any | any | any | any |
//! | `mdwe` | executable memory | 6.3 | | | |
//! | `landlock` | files; ports; signals, abstract sockets | 5.13; 6.7; 6.12 | | | |
//! | `seccomp` | system calls | 3.5 | | | |
//! | `unveil` | files | | 6.4 | | |
//! | `pledge` | system calls | | 5.9 | | |
//! | `capsicum` | paths, addresses, other processes | | | 10 | |
//! | `seatbelt` | files, addresses, other processes | | | | 10.5 |
//!
//! The version is that of the system from which on there is the layer; *root* is what only a process of root can give up. A
//! layer that a kernel lacks or an outer sandbox forbids is [reported](Report), and the others hold all the same;
//! [`Sandbox::require`] makes it an error instead.
//!
//! # What becomes of a refused call
//!
//! What an honest library may try is answered with an error, so that it goes on without. On Linux: `ENOSYS` where C
//! libraries fall back on another call, `EACCES` for paths, `EPERM` for the rest; what no library issues (starting programs,
//! tracing, loading kernel code, `io_uring` and the like) ends the process with SIGSYS, and a call that no kernel had when
//! this crate was made is answered with `ENOSYS`. On OpenBSD `ENOSYS`, since the promise "error" is made along with the
//! others; on FreeBSD `ECAPMODE` and `ENOTCAPABLE`; on macOS `EPERM`.
//!
//! On Linux a process can have its refused calls answered by another, which then knows of them:
//! [`Prepared::seal_notifying`] and [`Listener`]. And what a sandbox would break on the machine at hand shows in a
//! [rehearsal](Sandbox::rehearse), before anything depends on it.
//!
//! # Errors
//!
//! An [`Error`] and the text of an [`Outcome`] tell the operation, the layer and the cause, with the system's name for it:
//!
//! ```text
//! cannot seal store: the layer landlock is required but unavailable: landlock_create_ruleset(2), Linux 5.13: the kernel
//! does not have it, or an outer sandbox hides it (ENOSYS: Function not implemented)
//! ```
//!
//! # What it cannot do
//!
//! - What is held stays held: a descriptor open for reading can be read, whatever was promised.
//! - Linux: it seals a process of one thread. With more, [`Sandbox::prepare`] refuses where it can see them.
//! - Linux: a promise to use paths is limited to directories by Landlock alone, and by the empty root with root; without
//!   either it covers what the user may do. Who may [read](Promise::ReadPath) can look at attributes of files (`stat`)
//!   wherever paths lead.
//! - Linux: on 32-bit x86 and s390x, std with glibc makes sockets by a call that hides its arguments from filters
//!   (`socketcall`), and that is refused: use [`sockets`]. What is done with a socket that exists may go by that call; a TCP
//!   connection that is opened by sending (`MSG_FASTOPEN`), which limits of ports do not cover, is refused elsewhere only.
//! - Linux: on s390x, `mmap` hides its arguments from filters: there executable memory is refused by mdwe alone.
//! - Everywhere: a promise to [connect](Promise::Connect) covers all addresses. Ports can be limited on Linux and macOS, hosts
//!   nowhere.
//! - OpenBSD: promises are as coarse as the table above says, and a port cannot be told from another.
//! - FreeBSD: a process that has to connect, or to end children, is outside of capability mode. Have another process connect,
//!   and pass the socket.
//! - macOS: the system calls themselves stay open to attack; only what they reach is limited. sandbox_init(3) is deprecated, and
//!   its language is not documented.
//! - It starts no processes and passes no descriptors; it is for the inside of one process.
//!
//! # Beside others
//!
//! | crate or library | does | is different in |
//! |---|---|---|
//! | seccompiler, libseccomp | filters from lists of calls and arguments | you write and maintain the list, per architecture and C library; arguments can be checked in more ways than here |
//! | extrasafe | sets of rules for seccomp, with Landlock | lists of calls, x86_64; refuses with `EPERM`; can load into threads |
//! | birdcage | restricts what a started program can reach | by namespaces, for programs that are not yours; macOS as well |
//! | landlock | Landlock, in full | is what this crate uses for that layer; take it alone if paths are all you want to limit |
//! | pledge, unveil (crates) | the calls of OpenBSD | on OpenBSD alone, with nothing elsewhere |
//! | capsicum (crate) | Capsicum, in full | rights per descriptor, which here only directories have |
//!
//! # Minimum Rust version
//!
//! Rust 1.90. A later one is asked for in a release that changes the minor version (before 1.0: the second number), and says
//! so.

#![deny(unsafe_code)]
#![cfg(unix)]
#![cfg_attr(
    not(any(target_os = "linux", target_os = "openbsd", target_os = "freebsd", target_os = "macos")),
    expect(dead_code, reason = "where there is no back end, nobody asks what was promised")
)]

mod child;
mod errno;
mod error;
pub mod fd;
#[cfg(test)]
mod front_page;
mod os;
mod process;
mod promise;
mod refused;
mod rehearsal;
mod report;
mod sandbox;
pub mod sockets;
mod sys;

pub use error::Error;
pub use os::Listener;
pub use process::{harden_early, last_words, leave, set_deadline};
pub use promise::Promise;
pub use refused::{Refused, Trapped, trapped_call};
pub use rehearsal::Lowered;
pub use report::{Layer, LayerReport, Outcome, Report};
pub use sandbox::{Identity, Namespace, PathAccess, Prepared, Sandbox};

/// What this machine offers, layer by layer, found out without giving anything up: [`Outcome::Enforced`] stands for what
/// could be. In a process of one thread each layer is asked for in a throw-away child, so that an outer sandbox that ends
/// whoever asks ends that.
#[must_use]
pub fn machine() -> Vec<LayerReport> {
    os::machine(Layer::native())
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

/// The programs in `examples/` and the README, run as they are shown.
#[cfg(doctest)]
mod shown {
    #[doc = concat!("```standalone_crate\n", include_str!("../examples/parser.rs"), "\n```")]
    struct Parser;

    #[doc = concat!("```standalone_crate\n", include_str!("../examples/writer.rs"), "\n```")]
    struct Writer;

    #[doc = concat!("```standalone_crate\n", include_str!("../examples/dialer.rs"), "\n```")]
    struct Dialer;

    #[doc = concat!("```standalone_crate\n", include_str!("../examples/listener.rs"), "\n```")]
    struct Listener;

    #[doc = include_str!("../README.md")]
    struct Readme;
}
