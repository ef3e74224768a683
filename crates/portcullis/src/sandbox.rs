//! Promises and rights in, a sealed process out.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use syscall_policy::Class;

use crate::error::Error;
use crate::os;
use crate::promise::Promise;
use crate::rehearsal::Lowered;
use crate::report::{Layer, LayerReport, Outcome, Report};

/// An unprivileged user and group for a process that was started as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a user and a group are what an identity consists of")]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The group. There are no others.
    pub gid: u32,
}

/// What may be done beneath a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathAccess {
    /// Open files for reading, list directories.
    Read,
    /// Create, write, rename, link and remove; open and list directories. Files are not read.
    Write,
    /// Both.
    ReadWrite,
}

/// Something of the machine that a process can have a copy of to itself (`namespaces(7)`).
///
/// What leaving it costs was measured on Linux 6.18 with two processors, in microseconds of processor time: the first three
/// together 87, the network 364, and as much again when the process ends, on a processor that has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Namespace {
    /// Message queues and shared memory that go by number or name.
    Ipc,
    /// The names of the machine and its domain.
    HostName,
    /// What is mounted where. A copy keeps mounts that are private (not the default of most systems) from being given up for
    /// as long as the process lives.
    Mounts,
    /// Interfaces, addresses, ports, abstract sockets. Sockets that are held stay where they are. Not left by who promises
    /// to [connect](Promise::Connect).
    Network,
}

impl Namespace {
    /// Those that are left unless [`Sandbox::namespaces`] says otherwise.
    pub const DEFAULT: [Self; 3] = [Self::Ipc, Self::HostName, Self::Mounts];

    /// Its name, as reports have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipc => "ipc",
            Self::HostName => "host name",
            Self::Mounts => "mounts",
            Self::Network => "network",
        }
    }
}

/// How much of the filter for system calls there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    /// What is not promised is refused.
    Full,
    /// The same, but memory can be made executable.
    Executable,
    /// Only calls that end the process are refused.
    HardOnly,
}

/// A sandbox in the making: what the process will still need.
#[derive(Debug)]
pub struct Sandbox {
    pub(crate) name: String,
    pub(crate) promises: Vec<Promise>,
    /// Classes of calls that are not granted whatever was promised.
    pub(crate) withheld: Vec<Class>,
    pub(crate) identity: Option<Identity>,
    pub(crate) empty_root: bool,
    pub(crate) namespaces: Vec<Namespace>,
    /// Shared with the sandboxes that a rehearsal tries beside this one.
    pub(crate) paths: Vec<(Arc<OwnedFd>, PathAccess)>,
    pub(crate) ports: Option<Vec<u16>>,
    pub(crate) max_open_files: Option<u64>,
    pub(crate) max_file_size: Option<u64>,
    pub(crate) strength: Strength,
    pub(crate) naming: Option<Vec<&'static str>>,
    /// Whoever asks for a listener here is ended, as a rehearsal showed.
    pub(crate) no_listener: bool,
    /// The same for whoever asks for a timer.
    pub(crate) no_kill_timer: bool,
    /// What a rehearsal found, and with it the layers that are left out.
    pub(crate) lowered: Vec<Lowered>,
    left_out: Vec<Layer>,
    required: Vec<Layer>,
    switched_off: Vec<Layer>,
}

impl Sandbox {
    /// A sandbox in which nothing is promised yet. The name is for reports and errors.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            promises: Vec::new(),
            withheld: Vec::new(),
            identity: None,
            empty_root: false,
            namespaces: Namespace::DEFAULT.to_vec(),
            paths: Vec::new(),
            ports: None,
            max_open_files: None,
            max_file_size: None,
            strength: Strength::Full,
            naming: None,
            no_listener: false,
            no_kill_timer: false,
            lowered: Vec::new(),
            left_out: Vec::new(),
            required: Vec::new(),
            switched_off: Vec::new(),
        }
    }

    /// Keeps what the promise stands for.
    #[must_use]
    pub fn promise(mut self, promise: Promise) -> Self {
        if !self.promises.contains(&promise) {
            self.promises.push(promise);
        }
        self
    }

    /// Changes to this user and group, if the process runs as root. Without root it keeps the user it has.
    #[must_use]
    pub const fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Makes an empty directory that no longer has a name the root directory, if the process runs as root. Paths then
    /// lead nowhere; what is beneath held directory handles can still be reached through them.
    #[must_use]
    pub const fn empty_root(mut self) -> Self {
        self.empty_root = true;
        self
    }

    /// Leaves these namespaces and no others, if the process has the capability to (`CAP_SYS_ADMIN`, as root has). Nothing
    /// depends on it. The network is not among those that are left [otherwise](Namespace::DEFAULT): it takes longer than all
    /// other layers together.
    #[must_use]
    pub fn namespaces(mut self, namespaces: &[Namespace]) -> Self {
        self.namespaces = namespaces.to_vec();
        self
    }

    /// Keeps access to what is beneath a directory, as far as promises go. Whatever is not given here cannot be opened
    /// where [`Layer::PATHS`] holds.
    ///
    /// The handle is the sandbox's, which closes it when it is prepared: a process that works relative to the directory keeps a
    /// duplicate.
    #[must_use]
    pub fn path(mut self, directory: OwnedFd, access: PathAccess) -> Self {
        self.paths.push((Arc::new(directory), access));
        self
    }

    /// Limits TCP connections to these ports, where that can be had (Landlock of Linux 6.7, Seatbelt). Without it any
    /// port can be connected to; without [`Promise::Connect`] none.
    #[must_use]
    pub fn connect_ports(mut self, ports: &[u16]) -> Self {
        self.ports.get_or_insert_default().extend_from_slice(ports);
        self
    }

    /// How many descriptors may be open at a time. Never less than are held.
    #[must_use]
    pub const fn max_open_files(mut self, count: u64) -> Self {
        self.max_open_files = Some(count);
        self
    }

    /// The largest size of a file in bytes that may be written. Writing past it fails with `EFBIG`.
    ///
    /// It also holds for descriptors held, standard output and error among them if they lead to files.
    #[must_use]
    pub const fn max_file_size(mut self, bytes: u64) -> Self {
        self.max_file_size = Some(bytes);
        self
    }

    /// Fails rather than go on without this layer: if it cannot be had, holds in part only, was switched off, or is
    /// one of another operating system. A layer that has nothing to take away (another user for a process not started as
    /// root, say) does not fail.
    ///
    /// [`Layer::PATHS`] and [`Layer::CALLS`] are the strongest layers of whatever system this is.
    #[must_use]
    pub fn require(mut self, layer: Layer) -> Self {
        self.required.push(layer);
        self
    }

    /// Leaves a layer out. For measuring what it costs, and for finding out what breaks under it.
    #[must_use]
    pub fn without(mut self, layer: Layer) -> Self {
        self.switched_off.push(layer);
        self
    }

    /// Takes a class of system calls back, whatever was promised, where calls are filtered: a sandbox that is broken on
    /// purpose. For finding out what becomes of a program on a machine whose libraries need what nobody thought of, and that it
    /// is noticed.
    #[must_use]
    pub fn withhold(mut self, class: Class) -> Self {
        if !self.withheld.contains(&class) {
            self.withheld.push(class);
        }
        self
    }

    /// Has the process end at the first call that is refused softly, with a line on standard error that names it
    /// ([`trapped_call`](crate::trapped_call) reads it). Calls of these names are refused as ever: those that are known
    /// already, when this is repeated to find the next one.
    ///
    /// For finding out what a program is refused where no [`Listener`](crate::Listener) is to be had; not for use.
    #[must_use]
    pub fn naming(mut self, known: &[&'static str]) -> Self {
        self.naming = Some(known.to_vec());
        self
    }

    /// Makes everything that still needs rights: compiles the filter, makes the rules, finds an empty directory. What
    /// the process itself has to open or read, it should before.
    ///
    /// # Errors
    ///
    /// If a directory handle is not one, or if the process has several threads.
    pub fn prepare(mut self) -> Result<Prepared, Error> {
        if let Some(count) = os::threads().filter(|count| *count > 1) {
            return Err(Error::Threads { name: self.name, count });
        }
        let plan = os::Plan::new(&self, &mut |_| ())?;
        // Rules hold what the handles lead to; the handles themselves are of no use any more.
        self.paths.clear();
        Ok(Prepared { sandbox: self, plan })
    }

    /// Whether this machine offers the layers that are [required](Self::require), found out without giving anything up
    /// or making anything. That they hold in the end is for [`Prepared::seal`] to say.
    ///
    /// # Errors
    ///
    /// If one is not offered.
    pub fn check_required(&self) -> Result<(), Error> {
        if self.required.is_empty() {
            return Ok(());
        }
        for LayerReport { layer, outcome } in os::machine(&self.required) {
            if matches!(outcome, Outcome::Partial(_) | Outcome::Unavailable(_)) {
                return Err(Error::Required { name: self.name.clone(), layer, outcome });
            }
        }
        Ok(())
    }

    /// What a [rehearsal](Self::rehearse) took back so far.
    #[must_use]
    pub fn lowered(&self) -> &[Lowered] {
        &self.lowered
    }

    /// What is promised so far.
    #[must_use]
    pub fn promises(&self) -> &[Promise] {
        &self.promises
    }

    pub(crate) fn keeps(&self, promise: Promise) -> bool {
        self.promises.contains(&promise)
    }

    pub(crate) fn is_switched_off(&self, layer: Layer) -> bool {
        self.switched_off.contains(&layer)
    }

    /// Whether a layer will not be applied, for whatever reason.
    pub(crate) fn is_left_out(&self, layer: Layer) -> bool {
        self.left_out.contains(&layer) || self.is_switched_off(layer)
    }

    /// Why a rehearsal left a layer out.
    pub(crate) fn why_left_out(&self, layer: Layer) -> Option<&Lowered> {
        self.lowered.iter().find(|lowered| lowered.layer == layer).filter(|_| self.left_out.contains(&layer))
    }

    pub(crate) fn leave_out(&mut self, layer: Layer, left: &str, why: &str) {
        self.left_out.push(layer);
        self.note(layer, left, why);
    }

    pub(crate) fn note(&mut self, layer: Layer, left: &str, why: &str) {
        self.lowered.push(Lowered { layer, left: left.to_owned(), why: why.to_owned(), refused: Vec::new() });
    }

    /// The same sandbox once more, to be changed and tried.
    pub(crate) fn clone_of(&self) -> Self {
        Self {
            name: self.name.clone(),
            promises: self.promises.clone(),
            withheld: self.withheld.clone(),
            namespaces: self.namespaces.clone(),
            paths: self.paths.clone(),
            ports: self.ports.clone(),
            naming: self.naming.clone(),
            lowered: self.lowered.clone(),
            left_out: self.left_out.clone(),
            required: self.required.clone(),
            switched_off: self.switched_off.clone(),
            ..*self
        }
    }

    /// Promises that let files be written.
    pub(crate) fn writes_paths(&self) -> bool {
        self.keeps(Promise::WritePath) || self.keeps(Promise::CreatePath)
    }
}

/// A sandbox ready to be closed.
#[derive(Debug)]
pub struct Prepared {
    sandbox: Sandbox,
    plan: os::Plan,
}

impl Prepared {
    /// Seals the calling process, once and for all, and tells what holds.
    ///
    /// What is taken away first is what the others need least: the root directory, user and capabilities, limits, new
    /// privileges, dumps, executable memory, files and ports, and in the end system calls. A layer that the kernel
    /// does not have, or that an outer sandbox forbids, is reported and does no harm.
    ///
    /// # Errors
    ///
    /// If a required layer cannot be had. Some of the others hold already then: the process should end.
    pub fn seal(self) -> Result<Report, Error> {
        self.close(None)
    }

    /// The same, and has calls that are refused softly answered by another process, which learns of them: seccomp user
    /// notification (Linux 5.0). When all layers but the last hold, `message` is sent there `over` a connected stream socket, with
    /// the listener as a descriptor beside its first byte; the other process makes a [`Listener`](crate::Listener) of that and
    /// answers from then on, since this one stands still at its first refused call until it does.
    ///
    /// Where no listener can be had (there may be one in a tree of filters, and container managers take it), the kernel
    /// gives the same answers by itself, nothing is sent, and the report says so.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal).
    pub fn seal_notifying(self, over: BorrowedFd<'_>, message: &[u8]) -> Result<Report, Error> {
        self.close(Some(HandOff { over, message }))
    }

    fn close(self, hand_off: Option<HandOff<'_>>) -> Result<Report, Error> {
        let Self { sandbox, plan } = self;
        let report = plan.apply(&sandbox, &mut |_| (), hand_off);
        for required in &sandbox.required {
            use crate::report::Outcome::{Enforced, Partial, Skipped, Unavailable};
            let foreign = Unavailable("this operating system has no such layer".to_owned());
            let fails = match report.outcome(*required).unwrap_or(&foreign) {
                Enforced(_) => None,
                outcome @ (Partial(_) | Unavailable(_)) => Some(outcome),
                outcome @ Skipped(_) => sandbox.is_switched_off(*required).then_some(outcome),
            };
            if let Some(outcome) = fails {
                return Err(Error::Required { name: sandbox.name, layer: *required, outcome: outcome.clone() });
            }
        }
        Ok(report)
    }
}

/// Where a listener goes to be answered, and what is said with it.
#[derive(Debug)]
pub(crate) struct HandOff<'a> {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there are listeners on Linux only"))]
    pub(crate) over: BorrowedFd<'a>,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there are listeners on Linux only"))]
    pub(crate) message: &'a [u8],
}
