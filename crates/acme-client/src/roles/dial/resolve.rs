//! A stub resolver (RFC 1034 section 5.3.1): asks the resolvers of this machine, over UDP and, for long answers, TCP.
//!
//! The C library's own cannot be used in a sealed process: what it calls differs from library to library, and it opens
//! files and loads modules at any time.

use core::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Aaaa};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::error::reason;
use crate::roles::dial::connect::{self, wait};

/// The port of DNS.
pub(crate) const PORT: u16 = 53;

/// How long one resolver may take to answer one question.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the list of resolvers is gone through.
const ROUNDS: usize = 3;

/// Resolvers that are asked. The C library takes three as well (resolv.conf(5)).
const MAX_RESOLVERS: usize = 3;

/// The resolvers and fixed names of this machine.
#[derive(Debug)]
pub(crate) struct Resolver {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    hosts: Vec<(String, IpAddr)>,
}

impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, server) in self.servers.iter().enumerate() {
            write!(f, "{}{}", if at > 0 { ", " } else { "" }, server.ip())?;
        }
        Ok(())
    }
}

impl Resolver {
    /// Reads `/etc/resolv.conf` and `/etc/hosts`. What is missing or makes no sense in them is passed over, as the C
    /// library does.
    pub(crate) fn from_system() -> Self {
        let resolv = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
        Self::parse(&resolv, &hosts)
    }

    fn parse(resolv: &str, hosts: &str) -> Self {
        let mut resolver = Self { servers: Vec::new(), search: Vec::new(), hosts: Vec::new() };
        for line in resolv.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if resolver.servers.len() < MAX_RESOLVERS => {
                    resolver.servers.extend(words.next().and_then(server));
                }
                Some("search" | "domain") => {
                    resolver.search = words.map(|word| word.trim_end_matches('.').to_owned()).collect();
                }
                _ => {}
            }
        }
        if resolver.servers.is_empty() {
            resolver.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        for line in hosts.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            if let Some(Ok(address)) = words.next().map(str::parse) {
                resolver.hosts.extend(words.map(|name| (name.to_ascii_lowercase(), address)));
            }
        }
        resolver
    }

    /// The addresses of a name, those of IPv6 first. Never an empty list.
    pub(crate) fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let fixed: Vec<IpAddr> =
            self.hosts.iter().filter(|(name, _)| name == host).map(|(_, address)| *address).collect();
        if !fixed.is_empty() {
            return Ok(fixed);
        }
        // RFC 6761 section 6.3.
        if host == "localhost" || host.ends_with(".localhost") {
            return Ok(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
        }
        let mut failure = self.ask_everybody(host);
        if failure.is_err() && !host.contains('.') {
            for domain in &self.search {
                if let Ok(addresses) = self.ask_everybody(&format!("{host}.{domain}")) {
                    failure = Ok(addresses);
                    break;
                }
            }
        }
        failure
    }

    fn ask_everybody(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let name: Name<Vec<u8>> = host.parse().map_err(|_| format!("{host} is no name that DNS knows"))?;
        let mut failure = String::new();
        for _ in 0..ROUNDS {
            for server in &self.servers {
                match ask(*server, &name) {
                    Ok(addresses) if addresses.is_empty() => {
                        return Err(format!("{host} has no address (said the resolver {})", server.ip()));
                    }
                    Ok(addresses) => return Ok(addresses),
                    Err(Answer::Final(text)) => {
                        return Err(format!("{host}: {text} (said the resolver {})", server.ip()));
                    }
                    Err(Answer::TryAnother(text)) => failure = format!("{}: {text}", server.ip()),
                }
            }
        }
        Err(format!("{host} cannot be resolved; the last resolver asked, {failure}"))
    }
}

fn server(word: &str) -> Option<SocketAddr> {
    // An address of link scope (fe80::1%eth0) needs the number of its interface, which a sealed process cannot look up.
    let address: IpAddr = word.parse().ok()?;
    Some((address, PORT).into())
}

enum Answer {
    /// The name does not exist: no other resolver will say otherwise.
    Final(String),
    /// This resolver is of no help.
    TryAnother(String),
}

impl From<Errno> for Answer {
    fn from(error: Errno) -> Self {
        Self::TryAnother(reason(&error.into()))
    }
}

fn ask(server: SocketAddr, name: &Name<Vec<u8>>) -> Result<Vec<IpAddr>, Answer> {
    let mut addresses = Vec::new();
    for (rtype, wanted) in [(Rtype::AAAA, "AAAA"), (Rtype::A, "A")] {
        let (id, query) = question(name, rtype)?;
        let mut reply = over_udp(server, id, name, rtype, &query)?;
        if reply.header().tc() {
            reply = over_tcp(server, id, name, rtype, &query)?;
        }
        match reply.header().rcode() {
            Rcode::NOERROR => addresses.extend(read(&reply)),
            Rcode::NXDOMAIN => return Err(Answer::Final("there is no such name".to_owned())),
            // Some resolvers do not know of IPv6 and say so in strange ways.
            _ if rtype == Rtype::AAAA => {}
            other => return Err(Answer::TryAnother(format!("answers {other} to a question for {wanted}"))),
        }
    }
    Ok(addresses)
}

fn question(name: &Name<Vec<u8>>, rtype: Rtype) -> Result<(u16, Vec<u8>), Answer> {
    let failed = |_| Answer::TryAnother("the question cannot be put in words".to_owned());
    let mut id = [0; 2];
    SystemRandom::new().fill(&mut id).map_err(|_| Answer::TryAnother("no randomness".to_owned()))?;
    let id = u16::from_ne_bytes(id);
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((name, rtype)).map_err(failed)?;
    Ok((id, builder.finish()))
}

fn over_udp(
    server: SocketAddr,
    id: u16,
    name: &Name<Vec<u8>>,
    rtype: Rtype,
    query: &[u8],
) -> Result<Message<Vec<u8>>, Answer> {
    // A socket of its own for each question has a port of its own: one more thing that a forger must guess. It is
    // connected, so that the kernel drops what comes from elsewhere.
    let socket = connect::datagrams(server.ip())?;
    rustix::net::connect(&socket, &server)?;
    rustix::net::send(&socket, query, SendFlags::NOSIGNAL)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || !wait(&socket, PollFlags::IN, left)? {
            return Err(Answer::TryAnother("does not answer".to_owned()));
        }
        let mut buffer = vec![0; 4096];
        let got = match rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((got, _)) => got,
            Err(Errno::AGAIN | Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        buffer.truncate(got);
        if let Some(reply) = answers(buffer, id, name, rtype) {
            return Ok(reply);
        }
    }
}

/// The reply, if it is one to our question.
fn answers(bytes: Vec<u8>, id: u16, name: &Name<Vec<u8>>, rtype: Rtype) -> Option<Message<Vec<u8>>> {
    let reply = Message::from_octets(bytes).ok()?;
    let question = reply.sole_question().ok()?;
    let ours = reply.header().id() == id
        && reply.header().qr()
        && question.qtype() == rtype
        && question.qname().to_string().eq_ignore_ascii_case(&name.to_string());
    ours.then_some(reply)
}

/// RFC 1035 section 4.2.2: the same message, with its length in front.
fn over_tcp(
    server: SocketAddr,
    id: u16,
    name: &Name<Vec<u8>>,
    rtype: Rtype,
    query: &[u8],
) -> Result<Message<Vec<u8>>, Answer> {
    let (socket, _) = connect::first(&[server]).map_err(Answer::TryAnother)?;
    let length = u16::try_from(query.len()).map_err(|_| Answer::TryAnother("the question is too long".to_owned()))?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(query);
    rustix::net::send(&socket, &framed, SendFlags::NOSIGNAL)?;
    let until = Instant::now() + PATIENCE;
    let mut header = [0; 2];
    fill(&socket, &mut header, until)?;
    let mut body = vec![0; usize::from(u16::from_be_bytes(header))];
    fill(&socket, &mut body, until)?;
    answers(body, id, name, rtype).ok_or_else(|| Answer::TryAnother("answers another question".to_owned()))
}

fn fill(socket: &OwnedFd, mut into: &mut [u8], until: Instant) -> Result<(), Answer> {
    while !into.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || !wait(socket, PollFlags::IN, left)? {
            return Err(Answer::TryAnother("does not answer in time".to_owned()));
        }
        match rustix::net::recv(socket, &mut *into, RecvFlags::empty()) {
            Ok((0, _)) => return Err(Answer::TryAnother("hangs up".to_owned())),
            Ok((got, _)) => into = into.get_mut(got..).unwrap_or_default(),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The addresses of the name asked for, through the aliases that the answer has.
fn read(reply: &Message<Vec<u8>>) -> Vec<IpAddr> {
    let Some(canonical) = reply.canonical_name() else { return Vec::new() };
    let Ok(answer) = reply.answer() else { return Vec::new() };
    let four = answer.limit_to::<A>().flatten().filter(|record| *record.owner() == canonical);
    let mut addresses: Vec<IpAddr> = four.map(|record| record.data().addr().into()).collect();
    let six = answer.limit_to::<Aaaa>().flatten().filter(|record| *record.owner() == canonical);
    addresses.extend(six.map(|record| IpAddr::from(record.data().addr())));
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn the_files_of_the_machine_are_read_as_the_c_library_does() {
        let resolver = Resolver::parse(
            "# comment\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver 2001:db8::1\nsearch a.example b.example.\n",
            "127.0.0.1 localhost # here\n2001:db8::7\tca.internal CA\nnonsense\n",
        );
        assert_eq!(resolver.to_string(), "192.0.2.1, 2001:db8::1");
        assert_eq!(resolver.search, ["a.example", "b.example"]);
        assert_eq!(resolver.addresses("ca").expect("fixed"), ["2001:db8::7".parse::<IpAddr>().expect("an address")]);
        assert_eq!(Resolver::parse("", "").to_string(), "127.0.0.1");
    }

    /// A resolver that answers each question with what `answer` makes of it.
    fn resolver(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static, questions: usize) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        let address = socket.local_addr().expect("an address");
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            for _ in 0..questions {
                let Ok((got, from)) = socket.recv_from(&mut buffer) else { return };
                for reply in answer(buffer.get(..got).expect("a question")) {
                    socket.send_to(&reply, from).expect("sent");
                }
            }
        });
        address
    }

    /// A reply with one A record, or none for other types.
    fn reply(query: &[u8], rcode: u8) -> Vec<u8> {
        let mut reply = query.to_vec();
        reply[2] |= 0x80;
        reply[3] = rcode;
        if query[query.len() - 3] == 1 && rcode == 0 {
            reply[7] = 1;
            reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9]);
        }
        reply
    }

    fn name() -> Name<Vec<u8>> {
        "ca.example".parse().expect("a name")
    }

    #[test]
    fn an_address_is_found() {
        let server = resolver(|query| vec![reply(query, 0)], 2);
        let Ok(addresses) = ask(server, &name()) else { panic!("an answer") };
        assert_eq!(addresses, [IpAddr::from([192, 0, 2, 9])]);
    }

    #[test]
    fn forged_replies_are_passed_over() {
        let server = resolver(
            |query| {
                let mut forged = reply(query, 0);
                forged[0] ^= 1;
                let mut other = reply(query, 0);
                other[13] ^= 1;
                vec![vec![], vec![0; 11], forged, other, vec![0xff; 300], reply(query, 0)]
            },
            2,
        );
        let Ok(addresses) = ask(server, &name()) else { panic!("an answer") };
        assert_eq!(addresses, [IpAddr::from([192, 0, 2, 9])]);
    }

    #[test]
    fn a_name_that_does_not_exist_is_final() {
        let server = resolver(|query| vec![reply(query, 3)], 1);
        assert!(matches!(ask(server, &name()), Err(Answer::Final(_))));
    }

    #[test]
    fn truncated_and_random_replies_do_not_panic() {
        let (id, query) = question(&name(), Rtype::A).unwrap_or_default();
        let whole = reply(&query, 0);
        for length in 0..whole.len() {
            if let Some(message) = answers(whole.get(..length).expect("shorter").to_vec(), id, &name(), Rtype::A) {
                let _ = read(&message);
            }
        }
        for seed in 0..2000_u32 {
            let mut bytes = whole.clone();
            let at = (seed.wrapping_mul(2_654_435_761) >> 8) as usize % bytes.len();
            bytes[at] = bytes[at].wrapping_add((seed & 0xff) as u8);
            if let Some(message) = answers(bytes, id, &name(), Rtype::A) {
                let _ = read(&message);
            }
        }
    }
}
