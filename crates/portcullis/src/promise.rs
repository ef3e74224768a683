//! What a sealed process may still do.

use core::fmt;

/// Something a process may still do once it is sealed. What nobody promises is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Promise {
    /// Read, write, sync and close what is held, and wait for it or for time; memory, clocks, randomness, one's own signals.
    /// No path is opened and no socket created. What any program needs to go on, panic and abort.
    Stdio,
    /// Receive descriptors from a peer.
    RecvFd,
    /// Send descriptors to a peer.
    SendFd,
    /// Open files and directories for reading, and list them, beneath the directories given for it; look at attributes.
    ReadPath,
    /// Open existing files for writing, never for reading, beneath the directories given for it. Whether a name exists,
    /// and what it stands for, is not for this process to look up; what is held can be looked at.
    WritePath,
    /// Create, write, rename, link and remove beneath the directories given for it. Files are never opened for reading,
    /// and names not looked up, as with [`WritePath`](Self::WritePath).
    CreatePath,
    /// Create IPv4 and IPv6 stream and datagram sockets, connect them, send and receive.
    Connect,
    /// Accept connections on a listening socket that is held.
    Accept,
    /// Wait for children, and signal processes one by one.
    Children,
    /// Answer for the kernel the calls that other processes are refused, on [listeners](crate::Listener) that are held.
    Notifications,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Stdio,
        Self::RecvFd,
        Self::SendFd,
        Self::ReadPath,
        Self::WritePath,
        Self::CreatePath,
        Self::Connect,
        Self::Accept,
        Self::Children,
        Self::Notifications,
    ];

    /// Its name, as [`Display`](fmt::Display) writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::RecvFd => "recvfd",
            Self::SendFd => "sendfd",
            Self::ReadPath => "readpath",
            Self::WritePath => "writepath",
            Self::CreatePath => "createpath",
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Children => "children",
            Self::Notifications => "notifications",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
