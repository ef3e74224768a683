//! Connecting, without ever waiting longer than it is worth.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt;

use crate::error::reason;

/// How long one address may take to answer. TCP's first retransmissions come after one, three and seven seconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// Connects to the first address that answers, in the order given.
pub(crate) fn first(addresses: &[SocketAddr]) -> Result<(OwnedFd, SocketAddr), String> {
    let mut failures = Vec::new();
    for address in addresses {
        match one(*address) {
            Ok(socket) => return Ok((socket, *address)),
            Err(error) => failures.push(format!("{address}: {}", reason(&error.into()))),
        }
    }
    Err(failures.join("; "))
}

fn one(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = stream(address.ip())?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => return Ok(socket),
        Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(error) => return Err(error),
    }
    if wait(&socket, PollFlags::OUT, PATIENCE)? {
        sockopt::socket_error(&socket)??;
        Ok(socket)
    } else {
        Err(Errno::TIMEDOUT)
    }
}

/// Makes the sockets that dialling takes, without sending anything to anybody: a datagram socket is only told where it would
/// send to.
pub(crate) fn try_out(ip: IpAddr) -> Result<(), Errno> {
    stream(ip)?;
    rustix::net::connect(datagrams(ip)?, &SocketAddr::new(ip, super::resolve::PORT))
}

fn stream(ip: IpAddr) -> Result<OwnedFd, Errno> {
    let socket = portcullis::sockets::stream(ip).map_err(errno)?;
    // Requests are written whole; waiting for more to send along would only delay them.
    portcullis::sockets::send_at_once(&socket).map_err(errno)?;
    Ok(socket)
}

/// A socket for questions to a resolver.
pub(crate) fn datagrams(ip: IpAddr) -> Result<OwnedFd, Errno> {
    portcullis::sockets::datagrams(ip).map_err(errno)
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// Waits for a socket. `false` when the time is up.
pub(crate) fn wait(socket: &OwnedFd, flags: PollFlags, timeout: Duration) -> Result<bool, Errno> {
    let timeout = Timespec::try_from(timeout).map_err(|_| Errno::INVAL)?;
    loop {
        match rustix::event::poll(&mut [PollFd::new(socket, flags)], Some(&timeout)) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}
