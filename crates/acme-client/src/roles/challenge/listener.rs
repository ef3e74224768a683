//! http-01 by a listener of our own: a web server that knows one kind of path.
//!
//! It reads what anybody on the internet sends to port 80, so it reads little: a request line, then the end of the
//! header. Connections are bounded in number, length and time.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use acme::{KeyAuthorization, Token};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::canary::permitted;
use crate::error::reason;

/// Connections at a time. The CA makes some five; scanners make the rest.
pub(crate) const MAX_CONNECTIONS: u64 = 64;

/// Bytes of a request that are read. What is longer is no request for a token.
const MAX_REQUEST: usize = 4096;

/// How long a connection may last.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tokens at a time: as many as the names of some certificates.
const MAX_TOKENS: usize = 1000;

const PREFIX: &str = "/.well-known/acme-challenge/";

/// Listening sockets, and who is connected to them.
#[derive(Debug)]
pub(crate) struct Listeners {
    sockets: Vec<OwnedFd>,
    connections: Vec<Connection>,
    tokens: Vec<(Token, KeyAuthorization)>,
}

#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    request: Vec<u8>,
    until: Instant,
    /// The answer was sent; what is left is for the other end to hang up.
    answered: bool,
}

impl Listeners {
    /// Listens on sockets that were passed in and on addresses.
    pub(crate) fn acquire(sockets: Vec<OwnedFd>, addresses: &[String]) -> Result<Self, String> {
        let mut listeners = Self::new(sockets);
        addresses.iter().try_for_each(|address| listeners.bind(address))?;
        Ok(listeners)
    }

    fn new(sockets: Vec<OwnedFd>) -> Self {
        for socket in &sockets {
            // Whoever made it may have made it to block, in which case a visitor who changed his mind would stop us.
            let _ = rustix::io::ioctl_fionbio(socket, true);
        }
        Self { sockets, connections: Vec::new(), tokens: Vec::new() }
    }

    fn bind(&mut self, text: &str) -> Result<(), String> {
        let address: SocketAddr = text.parse().map_err(|_| {
            format!("{text:?} is no address to listen on; write it as 192.0.2.1:80, 0.0.0.0:80 or [::]:80")
        })?;
        match listen(address) {
            Ok(socket) => self.sockets.push(socket),
            // A machine without IPv6: the other address does.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if address.is_ipv6() && address.ip().is_unspecified() => {}
            Err(error) => return Err(cannot_listen(address, error)),
        }
        Ok(())
    }

    /// Looks at its sockets, by the calls that serving takes. Visitors are left waiting for whoever is to serve them.
    /// Nobody ever waits to be accepted on a channel.
    pub(crate) fn canary(&self, channel: BorrowedFd<'_>) -> Result<(), String> {
        if !self.sockets.is_empty() {
            permitted("accept", accept(channel))?;
        }
        let tried = self.sockets.iter().try_for_each(|socket| rustix::net::getsockname(socket).map(drop));
        tried.map_err(|error| format!("cannot look at its socket: {error}"))
    }

    /// Where it listens. `None` if nowhere.
    pub(crate) fn addresses(&self) -> Option<String> {
        let addresses: Vec<String> = self
            .sockets
            .iter()
            .filter_map(|socket| SocketAddr::try_from(rustix::net::getsockname(socket).ok()?).ok())
            .map(|address| address.to_string())
            .collect();
        (!addresses.is_empty()).then(|| addresses.join(", "))
    }

    /// What to wait for.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let full = self.connections.len() as u64 >= MAX_CONNECTIONS;
        let listening = self.sockets.iter().filter(move |_| !full).map(|socket| socket.as_fd());
        listening.chain(self.connections.iter().map(|connection| connection.socket.as_fd()))
    }

    /// How long to wait: until a connection has lasted too long.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let first = self.connections.iter().map(|connection| connection.until).min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    /// Answers for a token from now on.
    pub(crate) fn publish(&mut self, token: &Token, authorization: &KeyAuthorization) -> Result<(), String> {
        if self.tokens.len() >= MAX_TOKENS {
            return Err("too many challenges at a time".to_owned());
        }
        self.tokens.push((token.clone(), authorization.clone()));
        Ok(())
    }

    /// No longer answers for a token.
    pub(crate) fn withdraw(&mut self, token: &Token) {
        // One of them: certificates with a name in common may share a token.
        if let Some(at) = self.tokens.iter().position(|(published, _)| published == token) {
            self.tokens.swap_remove(at);
        }
    }

    /// Does what can be done without waiting: accepts, reads, answers, hangs up.
    pub(crate) fn work(&mut self) {
        for socket in &self.sockets {
            while (self.connections.len() as u64) < MAX_CONNECTIONS {
                let Ok(accepted) = accept(socket) else { break };
                self.connections.push(Connection {
                    socket: accepted,
                    request: Vec::new(),
                    until: Instant::now() + PATIENCE,
                    answered: false,
                });
            }
        }
        let now = Instant::now();
        let tokens = &self.tokens;
        self.connections.retain_mut(|connection| connection.until > now && connection.work(tokens));
    }
}

impl Connection {
    /// Whether the connection is to be kept.
    fn work(&mut self, tokens: &[(Token, KeyAuthorization)]) -> bool {
        let mut buffer = [0; 1024];
        loop {
            match rustix::io::read(&self.socket, &mut buffer) {
                Ok(0) => return false,
                // Read and dropped, so that closing does not cut off the answer with a reset.
                Ok(_) if self.answered => {}
                Ok(got) => self.request.extend_from_slice(buffer.get(..got).unwrap_or_default()),
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => continue,
                Err(_) => return false,
            }
            if self.answered {
                continue;
            }
            if let Some(answer) = answer(&self.request, tokens) {
                // It fits the socket's buffer at once, or the other end does not want it.
                let Ok(_) = rustix::io::write(&self.socket, &answer) else { return false };
                let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
                self.answered = true;
            }
        }
    }
}

/// The answer to a request. `None` while it is not complete.
fn answer(request: &[u8], tokens: &[(Token, KeyAuthorization)]) -> Option<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(request) {
        Ok(httparse::Status::Partial) if request.len() < MAX_REQUEST => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) | Err(_) => return Some(reply("400 Bad Request", "", true)),
    }
    let head = parsed.method == Some("HEAD");
    if !head && parsed.method != Some("GET") {
        return Some(reply("405 Method Not Allowed", "", true));
    }
    let asked = parsed.path.and_then(|path| path.strip_prefix(PREFIX)).unwrap_or_default();
    let found = tokens.iter().find(|(token, _)| token.as_str() == asked);
    Some(match found {
        Some((_, authorization)) => reply("200 OK", authorization.as_str(), !head),
        None => reply("404 Not Found", "", true),
    })
}

fn reply(status: &str, body: &str, with_body: bool) -> Vec<u8> {
    let length = body.len();
    let body = if with_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn accept(socket: impl AsFd + Copy) -> Result<OwnedFd, Errno> {
    loop {
        match rustix::net::accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            other => return other,
        }
    }
}

fn listen(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    // A run soon after another one must not be stopped by connections of that one that linger.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own, so that either can fail by itself.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 128)?;
    Ok(socket)
}

fn cannot_listen(address: SocketAddr, error: Errno) -> String {
    let what = format!("cannot listen on {address}: {}", reason(&error.into()));
    match error {
        Errno::ADDRINUSE => {
            format!("{what}; another program has this port: use --webroot with it, or stop it, or listen elsewhere")
        }
        Errno::ACCESS => format!(
            "{what}; run as root, pass the socket in (systemd socket activation), or allow it: \
             sysctl net.ipv4.ip_unprivileged_port_start=80"
        ),
        _ => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    fn tokens() -> Vec<(Token, KeyAuthorization)> {
        let token: Token = Token::parse("token-1").expect("a token");
        let thumbprint = acme::Thumbprint::parse("0123456789012345678901234567890123456789012").expect("a thumbprint");
        let authorization = KeyAuthorization::new(&token, &thumbprint);
        vec![(token, authorization)]
    }

    fn status(request: &str) -> Option<String> {
        let answer = String::from_utf8(answer(request.as_bytes(), &tokens())?).expect("text");
        Some(answer.split("\r\n").next().unwrap_or_default().replace("HTTP/1.1 ", ""))
    }

    #[test]
    fn only_tokens_are_answered_for() {
        for (request, expected) in [
            ("GET /.well-known/acme-challenge/token-1 HTTP/1.1\r\nHost: a\r\n\r\n", Some("200 OK")),
            ("HEAD /.well-known/acme-challenge/token-1 HTTP/1.1\r\nHost: a\r\n\r\n", Some("200 OK")),
            ("GET /.well-known/acme-challenge/token-2 HTTP/1.1\r\nHost: a\r\n\r\n", Some("404 Not Found")),
            ("GET /.well-known/acme-challenge/../../etc/passwd HTTP/1.0\r\n\r\n", Some("404 Not Found")),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Some("404 Not Found")),
            ("POST /.well-known/acme-challenge/token-1 HTTP/1.1\r\n\r\n", Some("405 Method Not Allowed")),
            ("\0\0\0", Some("400 Bad Request")),
            ("GET /.well-known/acme-challenge/token-1 HTTP/1.1\r\nHost: a\r\n", None),
        ] {
            assert_eq!(status(request).as_deref(), expected, "{request:?}");
        }
        assert_eq!(status(&format!("GET /{}", "x".repeat(MAX_REQUEST))).as_deref(), Some("400 Bad Request"));
    }

    #[test]
    fn a_visitor_is_answered_over_a_socket() {
        let mut listeners = Listeners::new(Vec::new());
        listeners.bind("127.0.0.1:0").expect("a listener");
        let (token, authorization) = tokens().remove(0);
        listeners.publish(&token, &authorization).expect("published");
        let address = listeners.addresses().expect("an address");
        let mut visitor = TcpStream::connect(address).expect("connected");
        write!(visitor, "GET {PREFIX}token-1 HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        visitor.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let mut answer = String::new();
        for _ in 0..50 {
            listeners.work();
            if visitor.read_to_string(&mut answer).is_ok() {
                break;
            }
        }
        assert!(answer.ends_with(authorization.as_str()), "{answer}");
        listeners.withdraw(&token);
        assert!(listeners.tokens.is_empty());
    }

    #[test]
    fn a_port_in_use_is_explained() {
        let mut listeners = Listeners::new(Vec::new());
        listeners.bind("127.0.0.1:0").expect("a listener");
        let address = listeners.addresses().expect("an address");
        let error = Listeners::new(Vec::new()).bind(&address).expect_err("in use");
        assert!(error.contains("another program has this port"), "{error}");
        assert!(Listeners::new(Vec::new()).bind("port 80").expect_err("nonsense").contains("[::]:80"));
    }
}
