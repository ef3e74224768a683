//! Sockets: of families that reach the kernel, other machines or other programs; and what is held of sockets already.

use std::net::SocketAddr;

use libc::{EACCES, EAFNOSUPPORT, ENOENT, ENOSYS, EPERM};

use crate::call::{at, at_mut, call, descriptors, got, got_descriptor, int, socket_address};
use crate::{Attempt, Got, Target};

/// Where sockets are refused altogether, and where those of other families are.
const FAMILY: &[i32] = &[EACCES, EAFNOSUPPORT];

fn dials(target: &Target) -> bool {
    target.is(&["dial"])
}

fn does_not_dial(target: &Target) -> bool {
    !dials(target)
}

fn no_ports(target: &Target) -> Option<&'static str> {
    (target.landlock < 4)
        .then_some("ports are limited by Landlock 4 alone (Linux 6.7), which this kernel does not have")
}

/// Hosts cannot be limited, nor ports of UDP before Landlock 10.
fn no_hosts(_: &Target) -> Option<&'static str> {
    Some("dial resolves names itself: hosts cannot be limited, nor where datagrams go")
}

fn socket(family: i32, kind: i32, protocol: i32) -> Got {
    got_descriptor(call("socket", &[int(family), int(kind), int(protocol)]), "there is a socket")
}

/// With a new socket, which is closed afterwards.
fn with_socket(kind: i32, how: impl FnOnce(usize) -> Got) -> Got {
    match call("socket", &[int(libc::AF_INET), int(kind), 0]) {
        Some(Ok(socket)) => {
            let got = how(socket);
            let _ = call("close", &[socket]);
            got
        }
        other => got(other),
    }
}

/// Connects, or begins to.
fn connect(kind: i32, to: SocketAddr) -> Got {
    with_socket(kind, |socket| {
        let address = socket_address(to);
        begun(call("connect", &[socket, at(&address), address.len()]))
    })
}

/// A connection that was begun is all the attacker needs, whatever the other end makes of it.
fn begun(called: crate::call::Called) -> Got {
    match called {
        Some(Err(libc::EINPROGRESS | libc::ECONNREFUSED)) => Got::Won("a connection was begun".to_owned()),
        other => got(other),
    }
}

/// Sends with the opening of the connection (RFC 7413), which is a connection without `connect`.
fn fast_open(name: &str, to: SocketAddr) -> Got {
    with_socket(libc::SOCK_STREAM | libc::SOCK_NONBLOCK, |socket| {
        let address = socket_address(to);
        let flags = int(libc::MSG_FASTOPEN);
        let sent = if name == "sendto" {
            call("sendto", &[socket, at(b"x"), 1, flags, at(&address), address.len()])
        } else {
            send_message(name, socket, &address, flags)
        };
        begun(sent)
    })
}

/// `struct msghdr`, in words: address, its length, vector, its length, control, its length, flags.
fn send_message(name: &str, socket: usize, address: &[u8], flags: usize) -> crate::call::Called {
    let byte = [0x78_u8];
    let vector = [at(&byte), 1];
    // An int at the beginning of a word.
    let length = if cfg!(target_endian = "big") { address.len() << (usize::BITS - 32) } else { address.len() };
    let header = [at(address), length, at(&vector), 1, 0, 0, 0, 0];
    if name == "sendmmsg" {
        call(name, &[socket, at(&header), 1, flags])
    } else {
        call(name, &[socket, at(&header), flags])
    }
}

/// A message with a descriptor beside it, to every descriptor held until one takes it (`SCM_RIGHTS`).
fn pass_descriptor() -> Got {
    let own = 2_u32.to_ne_bytes();
    // struct cmsghdr: length, level, type; then the descriptor. Lengths and padding as on the machine.
    let word = size_of::<usize>();
    let mut control = vec![0_u8; 3 * word + 8];
    let length = word + 8 + own.len();
    control[..word].copy_from_slice(&length.to_ne_bytes());
    control[word..word + 4].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
    control[word + 4..word + 8].copy_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
    control[word + 8..word + 12].copy_from_slice(&own);
    let byte = [0_u8];
    let vector = [at(&byte), 0];
    let header = [0, 0, at(&vector), 1, at(control.as_slice()), length, 0, 0];
    got(call("sendmsg", &[int(-1), at(&header), 0]))
}

/// One attempt for a family: its name, number, kind and protocol.
macro_rules! family {
    ($name:literal, $wants:literal, $family:expr, $kind:expr, $protocol:expr) => {
        Attempt::refused(concat!("socket-", $name), $wants, FAMILY, |_| socket($family, $kind, $protocol))
    };
}

#[rustfmt::skip]
pub(crate) const ALL: &[Attempt] = &[
    family!("unix", "services of this machine", libc::AF_UNIX, libc::SOCK_STREAM, 0),
    family!("unix-datagram", "the system's log", libc::AF_UNIX, libc::SOCK_DGRAM, 0),
    family!("netlink-route", "the machine's network settings", libc::AF_NETLINK, libc::SOCK_RAW, 0),
    family!("netlink-audit", "the machine's audit log", libc::AF_NETLINK, libc::SOCK_RAW, 9),
    family!("netlink-filter", "kernel code with a history of flaws", libc::AF_NETLINK, libc::SOCK_RAW, 12),
    family!("packet", "all that passes the network card", libc::AF_PACKET, libc::SOCK_RAW, 0),
    family!("crypto", "kernel code with a history of flaws", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    family!("vsock", "the host of this virtual machine", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    family!("bluetooth", "devices nearby", libc::AF_BLUETOOTH, libc::SOCK_RAW, 1),
    family!("can", "a vehicle", libc::AF_CAN, libc::SOCK_RAW, 1),
    family!("ipsec-keys", "keys of the kernel", libc::AF_KEY, libc::SOCK_RAW, 2),
    family!("rds", "kernel code with a history of flaws", libc::AF_RDS, libc::SOCK_SEQPACKET, 0),
    family!("tipc", "kernel code with a history of flaws", libc::AF_TIPC, libc::SOCK_STREAM, 0),
    family!("xdp", "all that passes the network card", libc::AF_XDP, libc::SOCK_RAW, 0),
    family!("ax25", "kernel code with a history of flaws", libc::AF_AX25, libc::SOCK_SEQPACKET, 0),
    family!("x25", "kernel code with a history of flaws", libc::AF_X25, libc::SOCK_SEQPACKET, 0),
    family!("llc", "kernel code with a history of flaws", libc::AF_LLC, libc::SOCK_STREAM, 0),
    family!("pppox", "kernel code with a history of flaws", libc::AF_PPPOX, libc::SOCK_STREAM, 0),
    family!("kcm", "kernel code with a history of flaws", 41, libc::SOCK_DGRAM, 0),
    family!("qualcomm", "the modem", 42, libc::SOCK_DGRAM, 0),
    family!("smc", "TCP past the rules for TCP", 43, libc::SOCK_STREAM, 0),
    family!("unknown", "a family that is yet to come", 99, libc::SOCK_STREAM, 0),
    family!("raw-ip", "packets of its own making", libc::AF_INET, libc::SOCK_RAW, 255),
    family!("raw-ipv6", "packets of its own making", libc::AF_INET6, libc::SOCK_RAW, 58),
    family!("ping", "other machines", libc::AF_INET, libc::SOCK_DGRAM, 1),
    family!("sctp", "streams past the rules for TCP", libc::AF_INET, libc::SOCK_STREAM, 132),
    family!("mptcp", "TCP past the rules for TCP", libc::AF_INET, libc::SOCK_STREAM, 262),
    family!("smc-by-protocol", "TCP past the rules for TCP", libc::AF_INET, libc::SOCK_STREAM, 256),
    family!("dccp", "kernel code with a history of flaws", libc::AF_INET, 6, 33),
    family!("udp-lite", "datagrams past the rules for UDP", libc::AF_INET, libc::SOCK_DGRAM, 136),
    Attempt::refused("socket-inet", "other machines", &[EACCES], |_| socket(libc::AF_INET, libc::SOCK_STREAM, 0)).only(does_not_dial),
    Attempt::refused("socket-inet6", "other machines", &[EACCES], |_| socket(libc::AF_INET6, libc::SOCK_STREAM, 0)).only(does_not_dial),
    Attempt::refused("socket-udp", "to send secrets out in datagrams", &[EACCES], |_| socket(libc::AF_INET, libc::SOCK_DGRAM, 0)).only(does_not_dial),
    Attempt::refused("connect-held", "another end for a socket that is held", &[EACCES], |t| {
        let address = socket_address(t.elsewhere);
        got(call("connect", &[0, at(&address), address.len()]))
    }).only(does_not_dial),
    Attempt::refused("connect-unix", "a service of this machine", &[EACCES, EAFNOSUPPORT], |t| {
        let mut address = [0_u8; 110];
        address[..2].copy_from_slice(&1_u16.to_ne_bytes());
        let path = crate::call::c_path(&t.outside.join("socket"));
        let bytes = path.as_bytes().get(..100).unwrap_or(path.as_bytes());
        address[2..2 + bytes.len()].copy_from_slice(bytes);
        match call("socket", &[int(libc::AF_UNIX), int(libc::SOCK_STREAM), 0]) {
            Some(Ok(socket)) => {
                let connected = call("connect", &[socket, at(&address), address.len()]);
                let _ = call("close", &[socket]);
                got(connected)
            }
            other => got(other),
        }
    }),
    Attempt::refused("socket-pair", "sockets of the machine's own family", &[EPERM], |_| {
        let mut pair = [0_i32; 2];
        got(call("socketpair", &[int(libc::AF_UNIX), int(libc::SOCK_STREAM), 0, at_mut(&mut pair)]))
    }),
    Attempt::refused("bind", "an address to wait at", &[EACCES], |t| {
        let address = socket_address(SocketAddr::from(([127, 0, 0, 1], 0)));
        if dials(t) {
            return with_socket(libc::SOCK_STREAM, |socket| got(call("bind", &[socket, at(&address), address.len()])));
        }
        got(call("bind", &[0, at(&address), address.len()]))
    }),
    Attempt::refused("listen", "to wait for connections", &[EACCES], |t| {
        if dials(t) {
            return with_socket(libc::SOCK_STREAM, |socket| got(call("listen", &[socket, 1])));
        }
        got(call("listen", &[0, 1]))
    }),
    Attempt::refused("accept", "connections", &[EPERM], |_| got_descriptor(call("accept4", &[0, 0, 0, 0]), "a connection")).only(|t| !t.is(&["challenge"])),
    Attempt::refused("send-to", "to send by a socket to wherever", &[EPERM], |t| {
        let address = socket_address(t.elsewhere);
        got(call("sendto", &[0, at(b"x"), 1, 0, at(&address), address.len()]))
    }).only(does_not_dial),
    Attempt::refused("receive-from", "what is for others", &[EPERM], |_| {
        let mut byte = [0_u8];
        got(call("recvfrom", &[0, at_mut(&mut byte), 0, 0, 0, 0]))
    }).only(does_not_dial),
    Attempt::refused("send-descriptor", "to hand on what it holds", &[EPERM], |_| pass_descriptor()).only(does_not_dial),
    Attempt::refused("send-many", "to hand on what it holds, by the call for many", &[EPERM], |_| got(call("sendmmsg", &[int(-1), 0, 0, 0]))).only(does_not_dial),
    Attempt::refused("receive-descriptor", "what somebody hands over", &[EPERM], |_| got(call("recvmsg", &[int(-1), 0, 0]))).only(|t| !t.is(&["net"])),
    Attempt::refused("socket-option", "another setting of a held socket", &[EPERM], |_| {
        let one = 1_i32;
        got(call("setsockopt", &[0, 1, 15, at(&one), 4]))
    }).only(does_not_dial),
    Attempt::refused("filter-on-socket", "its own code in the kernel, on a held socket", &[EPERM], |_| got(call("setsockopt", &[0, 1, 26, 0, 0]))).only(does_not_dial),
    Attempt::refused("socket-calls-by-number", "a socket, by the call for all", &[ENOSYS], |_| {
        let arguments = [int(libc::AF_UNIX), int(libc::SOCK_STREAM), 0];
        got(call("socketcall", &[1, at(&arguments)]))
    }),
    Attempt::refused("family-behind-high-bits", "a socket of another family, past a filter that compares too much", FAMILY, |_| {
        let high = 1_usize << (usize::BITS - 1);
        got_descriptor(call("socket", &[high | int(libc::AF_UNIX), int(libc::SOCK_STREAM), 0]), "there is a socket")
    }),

    // dial, which may connect.
    Attempt::refused("connect-elsewhere", "another port than the authority's", &[EACCES], |t| connect(libc::SOCK_STREAM, t.elsewhere)).only(dials).unclaimed(no_ports),
    Attempt::refused("connect-ssh", "the machine's own services", &[EACCES], |_| connect(libc::SOCK_STREAM, SocketAddr::from(([127, 0, 0, 1], 22)))).only(dials).unclaimed(no_ports),
    Attempt::refused("connect-fast", "another port, by sending with the opening", &[EACCES, EPERM], |t| fast_open("sendto", t.elsewhere)).only(dials).unclaimed(no_ports),
    Attempt::refused("connect-fast-by-message", "another port, by a message with the opening", &[EACCES, EPERM], |t| fast_open("sendmsg", t.elsewhere)).only(dials).unclaimed(no_ports),
    Attempt::refused("connect-fast-by-messages", "another port, by messages with the opening", &[EACCES, EPERM], |t| fast_open("sendmmsg", t.elsewhere)).only(dials).unclaimed(no_ports),
    Attempt::refused("connect-fast-by-option", "another port, by an option for fast opening", &[EACCES, EPERM], |t| with_socket(libc::SOCK_STREAM, |socket| {
        let (one, address) = (1_i32, socket_address(t.elsewhere));
        let _ = call("setsockopt", &[socket, int(libc::IPPROTO_TCP), 30, at(&one), 4]);
        begun(call("connect", &[socket, at(&address), address.len()]))
    })).only(dials).unclaimed(no_ports),
    Attempt::refused("connect-as-smc", "another port, by a socket turned into one of another kind", &[ENOENT, EPERM, EACCES, libc::EINVAL, libc::ENOPROTOOPT], |_| with_socket(libc::SOCK_STREAM, |socket| {
        got(call("setsockopt", &[socket, int(libc::IPPROTO_TCP), 31, at(b"smc"), 3]))
    })).only(dials),
    Attempt::refused("bind-port", "a port to wait at", &[EACCES], |_| with_socket(libc::SOCK_STREAM, |socket| {
        let address = socket_address(SocketAddr::from(([0, 0, 0, 0], 31_337)));
        got(call("bind", &[socket, at(&address), address.len()]))
    })).only(dials),
    Attempt::refused("connect-other-host", "another host, at a port that is allowed", &[EACCES], |t| {
        connect(libc::SOCK_STREAM | libc::SOCK_NONBLOCK, SocketAddr::from(([127, 9, 9, 9], t.authority.port())))
    }).only(dials).unclaimed(no_hosts),
    Attempt::refused("datagram-elsewhere", "to send secrets out in datagrams", &[EACCES], |t| with_socket(libc::SOCK_DGRAM, |socket| {
        let address = socket_address(t.elsewhere);
        got(call("sendto", &[socket, at(b"x"), 1, 0, at(&address), address.len()]))
    })).only(dials).unclaimed(no_hosts),
    Attempt::refused("filter-on-own-socket", "its own code in the kernel, on a socket", &[EPERM], |_| with_socket(libc::SOCK_DGRAM, |socket| {
        // One instruction: take all.
        let [code, taken] = [6_u16, 0xffff].map(u16::to_ne_bytes);
        let code = [[code[0], code[1], 0, 0, taken[0], taken[1], taken[0], taken[1]]];
        // A short at the beginning of a word.
        let length = if cfg!(target_endian = "big") { 1 << (usize::BITS - 16) } else { 1_usize };
        let program = [length, at(&code)];
        got(call("setsockopt", &[socket, 1, 26, at(&program), size_of_val(&program)]))
    })).only(dials).unclaimed(|_| Some("options of sockets are not told apart: a classic filter on one's own socket gives no power")),

    // What is held already.
    Attempt::refused("files-held", "a file held by mistake", &[EPERM], |_| held_files()).only(|t| t.is(&["net", "dial", "account"]) && cfg!(target_pointer_width = "64")),
    Attempt::refused("too-many-descriptors", "all descriptors of the machine", &[libc::EMFILE], |_| {
        let mut copies = Vec::new();
        let refused = loop {
            match crate::call::either(&["fcntl", "fcntl64"], &[2, int(libc::F_DUPFD_CLOEXEC), 0]) {
                Some(Ok(copy)) if copies.len() < 5000 => copies.push(copy),
                Some(Ok(copy)) => {
                    copies.push(copy);
                    break Got::Won("there seems to be no limit".to_owned());
                }
                other => break got(other),
            }
        };
        for copy in copies {
            let _ = call("close", &[copy]);
        }
        refused
    }),
];

/// Whether one of the descriptors is a regular file: sealed roles that work with none hold none.
fn held_files() -> Got {
    for descriptor in descriptors() {
        // struct stat is the C library's where words have 64 bits; the mode is in another place on each architecture.
        let mut stat = [0_u32; 64];
        if let Some(Ok(_)) = call("fstat", &[descriptor, at_mut(&mut stat)]) {
            let mode = stat[std::mem::offset_of!(libc::stat, st_mode) / size_of::<u32>()];
            if mode & 0o170_000 == 0o100_000 {
                return Got::Won(format!("descriptor {descriptor} is a file"));
            }
        }
    }
    Got::Refused(EPERM)
}
