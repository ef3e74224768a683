//! Classes of power, and what becomes of a call whose class is not granted.

use core::fmt;

use crate::errno::Errno;

/// What happens to a call whose class is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Known and harmless to refuse: the caller gets this error. What honest libraries may issue is here.
    Soft(Errno),
    /// No library, allocator or panic path issues it from a sealed process: the process ends.
    Hard,
}

macro_rules! classes {
    ($($(#[doc = $doc:literal])+ $class:ident = $name:literal, $refusal:expr;)+) => {
        /// A power over the system that calls share: what somebody gains who can make the call.
        ///
        /// A class is granted as a whole; which of its calls a C library prefers on some architecture does not matter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Class {
            $($(#[doc = $doc])+ $class,)+
        }

        impl Class {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$class,)+];

            /// Its name, in lower case and with hyphens.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$class => $name,)+
                }
            }

            /// The class of that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|class| class.name() == name)
            }

            /// What becomes of its calls when it is not granted; single calls may have an errno of their own
            /// ([`Call::refusal`](crate::calls::Call::refusal)).
            #[must_use]
            pub const fn refusal(self) -> Refusal {
                match self {
                    $(Self::$class => $refusal,)+
                }
            }
        }
    };
}

const EPERM: Refusal = Refusal::Soft(Errno::NotPermitted);
const EACCES: Refusal = Refusal::Soft(Errno::AccessDenied);
const ENOSYS: Refusal = Refusal::Soft(Errno::NoSuchCall);
const ENOTTY: Refusal = Refusal::Soft(Errno::NotATerminal);
const EINVAL: Refusal = Refusal::Soft(Errno::Invalid);

classes! {
    /// Read from a descriptor already held.
    ReadHeld = "read-held", EPERM;
    /// Write to a descriptor already held.
    WriteHeld = "write-held", EPERM;
    /// Read and write a held file at a position of one's choice.
    SeekHeld = "seek-held", EPERM;
    /// Close a descriptor.
    CloseHeld = "close-held", EPERM;
    /// Have what was written reach the disk.
    SyncHeld = "sync-held", EPERM;
    /// Look at the attributes of a held descriptor.
    StatHeld = "stat-held", EPERM;
    /// Flags and duplicates of held descriptors, by `fcntl`: the command is checked.
    ControlHeld = "control-held", EPERM;
    /// Device and socket requests, by `ioctl`: the request is checked.
    Ioctl = "ioctl", ENOTTY;
    /// Answer notifications of other processes' refused calls, on a listener that is held: `ioctl` requests, no call
    /// of its own.
    Notifications = "notifications", ENOTTY;
    /// Put a descriptor in the place of another.
    ReplaceHeld = "replace-held", EPERM;
    /// Cut or extend a held file.
    SizeHeld = "size-held", EPERM;
    /// Lock a held file against others.
    LockHeld = "lock-held", EPERM;
    /// Mode and owner of a held file.
    AttributesHeld = "attributes-held", EPERM;
    /// List a held directory.
    ListHeld = "list-held", EPERM;
    /// Move bytes between held descriptors inside the kernel.
    SpliceHeld = "splice-held", ENOSYS;
    /// Wait for held descriptors.
    Poll = "poll", EPERM;
    /// Wait for held descriptors by means of an interest list.
    Epoll = "epoll", EPERM;
    /// Make a new channel to oneself: pipes, pairs, event and timer descriptors.
    NewChannel = "new-channel", EPERM;
    /// Get, give back and protect one's own memory; never executable, which is checked.
    Memory = "memory", EPERM;
    /// Pin memory, name its place, give it keys: more than an allocator needs.
    MemoryExtra = "memory-extra", ENOSYS;
    /// Read clocks.
    Time = "time", EPERM;
    /// Let time pass.
    Sleep = "sleep", EPERM;
    /// Have signals sent to oneself later.
    Timers = "timers", EPERM;
    /// Get random bytes.
    Random = "random", EPERM;
    /// One's own signal handlers, masks and stacks.
    SignalHandlers = "signal-handlers", EPERM;
    /// Wait for a signal.
    SignalWait = "signal-wait", EPERM;
    /// Send a signal: to oneself only unless children may be signalled; the target is checked.
    SignalOwn = "signal-own", EPERM;
    /// Send a signal with forged details, or by process descriptor.
    SignalOther = "signal-other", EPERM;
    /// Locks in one's own memory; the operation is checked.
    Futex = "futex", ENOSYS;
    /// State of the calling thread that only the thread itself can see.
    ThreadState = "thread-state", ENOSYS;
    /// Start another thread; the flags of `clone` are checked.
    Threads = "threads", EPERM;
    /// Scheduling: priorities, processors, deadlines.
    Scheduling = "scheduling", EPERM;
    /// End oneself.
    Exit = "exit", EPERM;
    /// One's own numbers: process, thread, parent, user and group.
    OwnId = "own-id", EPERM;
    /// Users, groups, sessions and usage, without changing them.
    IdentityQuery = "identity-query", EPERM;
    /// The machine: its name, load and limits.
    SystemQuery = "system-query", EPERM;
    /// One's own process settings, by `prctl`: the option is checked.
    ProcessSettings = "process-settings", EINVAL;
    /// Receive descriptors.
    ReceiveDescriptors = "receive-descriptors", EPERM;
    /// Send descriptors.
    SendDescriptors = "send-descriptors", EPERM;
    /// Open by path; which way is checked. Granted by any of read, write and create path.
    OpenPath = "open-path", EACCES;
    /// Open by path with flags that no filter can see. Granted by read, write and create path together.
    OpenUnseen = "open-unseen", ENOSYS;
    /// Open files for reading.
    ReadPath = "read-path", EACCES;
    /// Open existing files for writing.
    WritePath = "write-path", EACCES;
    /// Create, rename, link and remove names.
    CreatePath = "create-path", EACCES;
    /// Look at the attributes of what a path names, and where it leads.
    StatPath = "stat-path", EACCES;
    /// Mode, owner, times and extended attributes by path.
    PathAttributes = "path-attributes", EACCES;
    /// Extended attributes.
    ExtendedAttributes = "extended-attributes", EACCES;
    /// Make device nodes, pipes and sockets in the file system.
    MakeNode = "make-node", EPERM;
    /// Change the directory and mask that paths start from.
    WorkingDirectory = "working-directory", EACCES;
    /// Watch files and directories.
    WatchPath = "watch-path", EPERM;
    /// Create a socket; the family and kind are checked.
    SocketCreate = "socket-create", EACCES;
    /// Connect a socket.
    SocketConnect = "socket-connect", EACCES;
    /// Send, receive and set options on a held socket.
    SocketIo = "socket-io", EPERM;
    /// Look at the ends of a held socket, or shut one.
    SocketQuery = "socket-query", EPERM;
    /// Take an address, and listen there.
    Bind = "bind", EACCES;
    /// Accept connections on a held socket.
    Accept = "accept", EPERM;
    /// Any socket call by number, its arguments in memory; the number is checked.
    SocketMultiplexer = "socket-multiplexer", ENOSYS;
    /// Wait for children.
    WaitChildren = "wait-children", EPERM;
    /// Make a copy of the process.
    Fork = "fork", EPERM;
    /// Sessions and process groups.
    Sessions = "sessions", EPERM;
    /// Change to another user, group or capability.
    ChangeIdentity = "change-identity", EPERM;
    /// Resource limits, also reading them, since one call does both and for other processes.
    ResourceLimits = "resource-limits", EPERM;
    /// Restrict oneself further: filters and rules.
    RestrictSelf = "restrict-self", ENOSYS;
    /// Memory, semaphores and queues shared by number or name.
    SharedIpc = "shared-ipc", EACCES;
    /// Memory files.
    MemoryFiles = "memory-files", ENOSYS;
    /// Input and output by the old asynchronous interface.
    AsyncIo = "async-io", ENOSYS;
    /// Machine-wide settings that only the administrator may change.
    Administration = "administration", EPERM;
    /// Not implemented by any kernel in use, or not a call on its own.
    Obsolete = "obsolete", ENOSYS;
    /// Run another program.
    Exec = "exec", Refusal::Hard;
    /// Read, write, steer or take from another process.
    OtherProcesses = "other-processes", Refusal::Hard;
    /// Run code in the kernel: BPF programs, performance events.
    KernelPrograms = "kernel-programs", Refusal::Hard;
    /// The `io_uring` interface, which makes calls that no filter sees.
    IoUring = "io-uring", Refusal::Hard;
    /// Replace the kernel or parts of it.
    KernelCode = "kernel-code", Refusal::Hard;
    /// The kernel's key rings.
    Keyrings = "keyrings", Refusal::Hard;
    /// Handle page faults in user space.
    UserFaults = "user-faults", Refusal::Hard;
    /// Enter or make name spaces.
    Namespaces = "namespaces", Refusal::Hard;
    /// Change what is mounted.
    Mounts = "mounts", Refusal::Hard;
    /// Open files by handle, past every directory.
    OpenByHandle = "open-by-handle", Refusal::Hard;
    /// Ports, segments and modes of the processor.
    RawHardware = "raw-hardware", Refusal::Hard;
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
