//! Sockets where every way to make them is open to the filter, if there is one.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::Kind;

/// A socket. Not every system takes the flags along.
pub(crate) fn socket(family_of: IpAddr, kind: Kind, waits: bool) -> io::Result<OwnedFd> {
    let family = if family_of.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match kind {
        Kind::Stream => SocketType::STREAM,
        Kind::Datagrams => SocketType::DGRAM,
    };
    let socket = rustix::net::socket(family, kind, None)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    if !waits {
        ioctl_fionbio(&socket, true)?;
    }
    Ok(socket)
}

/// Sets `TCP_NODELAY`.
pub(crate) fn set_no_delay(socket: impl AsFd) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(socket, true)?)
}
