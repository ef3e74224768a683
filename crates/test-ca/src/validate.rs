//! Fetching http-01 challenges (RFC 8555 section 8.3), for real, from where the [`Resolver`](crate::Resolver) points.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::problem::Problem;
use crate::stop::Stop;

/// Most bytes of an answer. A key authorization has some 66.
const MAX_ANSWER: usize = 16 * 1024;

/// What to fetch and what must be there.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) key_authorization: String,
    pub(crate) addresses: Vec<SocketAddr>,
    /// For each address.
    pub(crate) timeout: Duration,
}

impl Fetch {
    /// Whether every address of the name answers with the key authorization.
    pub(crate) fn run(&self, stop: &Stop) -> Result<(), Problem> {
        if self.addresses.is_empty() {
            return Err(self.problem("dns", format!("no address is known for {}", self.name)));
        }
        self.addresses.iter().try_for_each(|address| self.check(*address, stop))
    }

    fn check(&self, address: SocketAddr, stop: &Stop) -> Result<(), Problem> {
        let url = format!("http://{}/.well-known/acme-challenge/{} at {address}", self.host(), self.token);
        let (status, body) = self
            .get(address, stop)
            .map_err(|e| self.problem("connection", format!("{url} cannot be fetched: {}", explain(&e))))?;
        if status != 200 {
            return Err(self.problem("unauthorized", format!("{url} answers with status {status} instead of 200")));
        }
        // RFC 8555 section 8.3: whitespace at the end is to be ignored.
        let found = String::from_utf8_lossy(&body);
        if found.trim_end() != self.key_authorization {
            let found: String = found.chars().take(100).collect();
            let expected = &self.key_authorization;
            return Err(self.problem("unauthorized", format!("{url} holds {found:?} instead of {expected:?}")));
        }
        Ok(())
    }

    /// Status and body.
    fn get(&self, address: SocketAddr, stop: &Stop) -> io::Result<(u16, Vec<u8>)> {
        let deadline = Instant::now() + self.timeout;
        let mut socket = TcpStream::connect_timeout(&address, self.timeout)?;
        let _registered = stop.register(&socket)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(self.timeout))?;
        let request = format!(
            "GET /.well-known/acme-challenge/{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: test-ca\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.token,
            self.host()
        );
        socket.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        loop {
            if let Some(done) = parse(&answer, false)? {
                return Ok(done);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket.set_read_timeout(Some(left))?;
            let mut chunk = [0; 2048];
            match socket.read(&mut chunk)? {
                0 => return parse(&answer, true)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
                n => answer.extend_from_slice(&chunk[..n]),
            }
            if answer.len() > MAX_ANSWER {
                return Err(io::Error::other(format!("the answer has more than {MAX_ANSWER} bytes")));
            }
        }
    }

    /// The name as it stands in URLs and in `Host` (RFC 8738 section 6).
    fn host(&self) -> String {
        if self.name.contains(':') { format!("[{}]", self.name) } else { self.name.clone() }
    }

    fn problem(&self, kind: &str, detail: String) -> Problem {
        Problem::new(if kind == "unauthorized" { 403 } else { 400 }, kind, detail).about(&self.name)
    }
}

/// The outcome of [`Fault::Invalid`](crate::Fault::Invalid).
pub(crate) fn refusal(name: &str) -> Problem {
    let part = |kind: &str, detail: &str| Problem::new(400, kind, detail).about(name).to_subproblem();
    let parts = [
        part("caa", "the CAA record forbids this authority to issue"),
        part("dns", "one of the name servers does not answer"),
    ];
    Problem::new(403, "unauthorized", format!("{name} could not be validated, for two reasons"))
        .about(name)
        .with("subproblems", json!(parts))
}

/// Status and body of an answer, `None` while it is incomplete. `ended`: nothing follows.
fn parse(answer: &[u8], ended: bool) -> io::Result<Option<(u16, Vec<u8>)>> {
    let broken = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(answer).map_err(|e| broken(format!("the answer is no HTTP: {e}")))? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return Ok(None),
    };
    let header = |name: &str| {
        let found = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let (status, body) = (response.code.unwrap_or_default(), &answer[head..]);
    if header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        return Ok(unchunk(body).map_err(broken)?.map(|body| (status, body)));
    }
    match header("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) => Ok(body.get(..length).map(|body| (status, body.to_vec()))),
        Some(Err(_)) => Err(broken("the Content-Length is no number".into())),
        None => Ok(ended.then(|| (status, body.to_vec()))),
    }
}

/// The body in a chunked one, `None` while it is incomplete.
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(chunk)) => chunk,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("the size of a chunk is no number".into()),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size == 0 {
            return Ok(Some(body));
        }
        let Some(chunk) = rest.get(start..).and_then(|r| r.get(..size.saturating_add(2))) else {
            return if size > MAX_ANSWER { Err("a chunk is too large".into()) } else { Ok(None) };
        };
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[start + size + 2..];
    }
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it takes too long".into(),
        io::ErrorKind::UnexpectedEof => "the connection was closed before the end of the answer".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What comes of it when the web server answers so.
    fn outcome(answer: &'static [u8]) -> Result<(), Problem> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") {
                socket.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            let _ = socket.write_all(answer);
            if answer.is_empty() {
                thread::sleep(Duration::from_millis(300));
            }
            String::from_utf8(request).unwrap()
        });
        let fetch = Fetch {
            name: "a.example".into(),
            token: "TOKEN".into(),
            key_authorization: "TOKEN.PRINT".into(),
            addresses: vec![address],
            timeout: Duration::from_millis(100),
        };
        let outcome = fetch.run(&Stop::default());
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /.well-known/acme-challenge/TOKEN HTTP/1.1\r\nHost: a.example\r\n"));
        outcome
    }

    #[test]
    fn takes_what_web_servers_send() {
        outcome(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nTOKEN.PRINT").unwrap();
        outcome(b"HTTP/1.0 200 OK\r\n\r\nTOKEN.PRINT\r\n").unwrap();
        outcome(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nTOKEN\r\n6\r\n.PRINT\r\n0\r\n\r\n")
            .unwrap();
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |answer| {
            let problem = outcome(answer).unwrap_err();
            format!("{}: {}", problem.kind, problem.detail)
        };
        assert!(wrong(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").starts_with("unauthorized"));
        assert!(wrong(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nOTHER").contains("\"OTHER\" instead of"));
        assert!(wrong(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nTOKEN.PRINT").contains("closed before the end"));
        assert!(wrong(b"SSH-2.0-OpenSSH\r\n").starts_with("connection"));
        assert!(wrong(b"").contains("takes too long"));
        let none = Fetch {
            name: "a.example".into(),
            token: String::new(),
            key_authorization: String::new(),
            addresses: Vec::new(),
            timeout: Duration::ZERO,
        };
        assert_eq!(none.run(&Stop::default()).unwrap_err().kind, "dns");
    }
}
