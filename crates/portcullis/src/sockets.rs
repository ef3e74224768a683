//! Sockets that are made after the seal.
//!
//! On 32-bit x86 and s390x some C libraries (glibc, as distributions build it) create sockets and set their options by
//! `socketcall`, a call whose arguments are in memory, where no filter sees them. A sealed process may not create sockets
//! that way, so there [`TcpStream::connect`] and its like fail in it with `ENOSYS`. These functions make the calls that
//! Linux has had everywhere since 4.3. What is done with a socket that exists, by std or anybody else, needs no care.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use crate::sys;

/// A stream socket for the family of an address: closed when another program is started, and never waiting.
///
/// # Errors
///
/// What socket(2) says: the system does not have the family, or the process may not.
pub fn stream(family_of: IpAddr) -> io::Result<OwnedFd> {
    sys::socket(family_of, sys::Kind::Stream, false)
}

/// A datagram socket for the family of an address: closed when another program is started, and never waiting.
///
/// # Errors
///
/// As [`stream`].
pub fn datagrams(family_of: IpAddr) -> io::Result<OwnedFd> {
    sys::socket(family_of, sys::Kind::Datagrams, false)
}

/// Connects as [`TcpStream::connect`] does, to one address.
///
/// # Errors
///
/// As [`stream`], and what connect(2) says.
pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = sys::socket(to.ip(), sys::Kind::Stream, true)?;
    match rustix::net::connect(&socket, &to) {
        // Interrupted, it goes on by itself; somebody who asks a second time is told that it does.
        Err(rustix::io::Errno::INTR) => finish(&socket)?,
        connected => connected?,
    }
    Ok(socket.into())
}

fn finish(socket: &OwnedFd) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    while let Err(error) = poll(&mut [PollFd::new(socket, PollFlags::OUT)], None) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(rustix::net::sockopt::socket_error(socket)??)
}

/// Has a stream send at once what is written, without waiting for more to send along (`TCP_NODELAY`).
///
/// # Errors
///
/// What setsockopt(2) says.
pub fn send_at_once(socket: impl AsFd) -> io::Result<()> {
    sys::set_no_delay(socket)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};

    use rustix::io::{FdFlags, fcntl_getfd};
    use rustix::net::SocketType;
    use rustix::net::sockopt::{socket_type, tcp_nodelay};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn sockets_are_of_the_kind_asked_for() {
        let (one, other) = (stream(HERE).expect("a stream"), datagrams(HERE).expect("datagrams"));
        assert_eq!(socket_type(&one).expect("a type"), SocketType::STREAM);
        assert_eq!(socket_type(&other).expect("a type"), SocketType::DGRAM);
        for socket in [&one, &other] {
            assert!(fcntl_getfd(socket).expect("flags").contains(FdFlags::CLOEXEC));
            let flags = rustix::fs::fcntl_getfl(socket).expect("flags");
            assert!(flags.contains(rustix::fs::OFlags::NONBLOCK), "{flags:?}");
        }
        let nobody = UdpSocket::from(other).recv(&mut [0]).expect_err("nothing was sent");
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_connection_waits_and_sends_at_once_when_asked() {
        let listener = TcpListener::bind((HERE, 0)).expect("a listener");
        let mut stream = connect(listener.local_addr().expect("an address")).expect("connected");
        assert!(!tcp_nodelay(&stream).expect("an option"));
        send_at_once(&stream).expect("set");
        assert!(tcp_nodelay(&stream).expect("an option"));
        let (mut accepted, _) = listener.accept().expect("accepted");
        accepted.write_all(b"hello").expect("written");
        drop(accepted);
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read, with waiting");
        assert_eq!(text, "hello");
        drop(listener);
        assert!(send_at_once(datagrams(HERE).expect("datagrams")).is_err());
    }
}
