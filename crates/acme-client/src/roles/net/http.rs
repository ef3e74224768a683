//! HTTP/1.1 (RFC 9112), as much of it as an ACME client needs: one request, one bounded reply.

use acme::{Method, Reply, Request};

/// Bytes that the header of a reply may have.
const MAX_HEAD: usize = 16 << 10;

/// Header fields that a reply may have.
const MAX_FIELDS: usize = 64;

/// How this program introduces itself: RFC 8555 section 6.1 wants to know.
const USER_AGENT: &str = concat!("acme-client/", env!("CARGO_PKG_VERSION"), " (Rust; privilege-separated)");

/// A request as bytes, header and body together, so that they are written at once.
pub(crate) fn encode(request: &Request) -> Vec<u8> {
    let method = match request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
    };
    let mut head = format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {USER_AGENT}\r\nAccept-Language: en\r\n",
        request.url.path_and_query(),
        request.url.authority(),
    );
    if let Some(accept) = request.accept {
        head.push_str("Accept: ");
        head.push_str(accept);
        head.push_str("\r\n");
    }
    if request.method == Method::Post {
        head.push_str("Content-Type: application/jose+json\r\n");
        head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&request.body);
    bytes
}

/// What is known of a reply that comes in piece by piece.
#[derive(Debug)]
pub(crate) struct Incoming {
    bytes: Vec<u8>,
    max_body: usize,
    head_only: bool,
    head: Option<Head>,
}

#[derive(Debug)]
struct Head {
    reply: Reply,
    length: usize,
    body: Body,
    keep_alive: bool,
}

/// How the length of a body is known (RFC 9112 section 6.3).
#[derive(Debug, PartialEq, Eq)]
enum Body {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

/// A complete reply, and whether the connection can be used again.
pub(crate) type Complete = (Reply, bool);

impl Incoming {
    /// A reply to `request`.
    pub(crate) const fn to(request: &Request) -> Self {
        let head_only = matches!(request.method, Method::Head);
        Self { bytes: Vec::new(), max_body: request.max_body, head_only, head: None }
    }

    /// Whether anything has come.
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes in what has come. Returns the reply when it is complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Option<Complete>, String> {
        self.bytes.extend_from_slice(bytes);
        if self.head.is_none() {
            self.head = self.parse_head()?;
        }
        let Some(head) = &self.head else { return Ok(None) };
        let body = self.bytes.get(head.length..).unwrap_or_default();
        let body = match head.body {
            Body::None => Some(Vec::new()),
            Body::Length(length) if body.len() > length => return Err("the reply is longer than it says".to_owned()),
            Body::Length(length) => (body.len() == length).then(|| body.to_vec()),
            Body::Chunked => chunks(body, self.max_body)?,
            Body::UntilClose if body.len() > self.max_body => return Err(too_long(self.max_body)),
            Body::UntilClose => None,
        };
        Ok(body.and_then(|body| self.complete(body)))
    }

    /// The other end has closed. Returns the reply if that is how its end is known.
    pub(crate) fn closed(&mut self) -> Result<Complete, String> {
        match &self.head {
            Some(head) if head.body == Body::UntilClose => {
                let body = self.bytes.get(head.length..).unwrap_or_default().to_vec();
                self.complete(body).ok_or_else(|| "the connection was closed".to_owned())
            }
            Some(_) => Err("the connection was closed in the middle of a reply".to_owned()),
            None => Err("the connection was closed without a reply".to_owned()),
        }
    }

    fn complete(&mut self, body: Vec<u8>) -> Option<Complete> {
        let head = self.head.take()?;
        let mut reply = head.reply;
        reply.body = body;
        Some((reply, head.keep_alive && head.body != Body::UntilClose))
    }

    fn parse_head(&mut self) -> Result<Option<Head>, String> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut parsed = httparse::Response::new(&mut fields);
            match parsed.parse(&self.bytes) {
                Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => {
                    let status = parsed.code.unwrap_or(0);
                    if (100..200).contains(&status) && status != 101 {
                        // RFC 9110 section 15.2: an interim answer, the real one follows.
                        self.bytes.drain(..length);
                        continue;
                    }
                    return self.head(status, parsed.version == Some(1), parsed.headers, length).map(Some);
                }
                Ok(httparse::Status::Partial) if self.bytes.len() <= MAX_HEAD => return Ok(None),
                Ok(_) => return Err(format!("the header of the reply is longer than {MAX_HEAD} bytes")),
                Err(error) => return Err(format!("the reply is no HTTP: {error}")),
            }
        }
    }

    fn head(
        &self,
        status: u16,
        version_1_1: bool,
        fields: &[httparse::Header<'_>],
        length: usize,
    ) -> Result<Head, String> {
        let mut reply = Reply { status, ..Reply::default() };
        let mut body = Body::UntilClose;
        let mut keep_alive = version_1_1;
        for field in fields {
            let name = field.name.to_ascii_lowercase();
            let value = String::from_utf8_lossy(field.value).trim().to_owned();
            match name.as_str() {
                "connection" if value.eq_ignore_ascii_case("close") => keep_alive = false,
                "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => body = Body::Chunked,
                "transfer-encoding" => return Err(format!("the reply has the transfer encoding {value:?}")),
                "content-length" if body != Body::Chunked => {
                    let announced: usize = value.parse().map_err(|_| format!("the reply has the length {value:?}"))?;
                    match body {
                        Body::Length(other) if other != announced => {
                            return Err("the reply has two different lengths".to_owned());
                        }
                        _ => body = Body::Length(announced),
                    }
                }
                _ => reply.headers.push((name, value)),
            }
        }
        if self.head_only || status == 204 || status == 304 {
            body = Body::None;
        }
        match body {
            Body::Length(announced) if announced > self.max_body => Err(too_long(self.max_body)),
            body => Ok(Head { reply, length, body, keep_alive }),
        }
    }
}

fn too_long(limit: usize) -> String {
    format!("the reply is longer than {limit} bytes, which is more than any honest CA sends here")
}

/// A chunked body (RFC 9112 section 7.1). `None` while it is not complete.
fn chunks(mut bytes: &[u8], max_body: usize) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(bytes) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
            Ok(httparse::Status::Partial) | Err(_) => return Err("the reply has a chunk without a size".to_owned()),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > max_body.saturating_sub(body.len()) {
            return Err(too_long(max_body));
        }
        let rest = bytes.get(start..).unwrap_or_default();
        if size == 0 {
            return trailer(rest).map(|ended| ended.then_some(body));
        }
        let Some(chunk) = rest.get(..size) else { return Ok(None) };
        match rest.get(size..size + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err("the reply has a chunk that does not end".to_owned()),
            None => return Ok(None),
        }
        body.extend_from_slice(chunk);
        bytes = rest.get(size + 2..).unwrap_or_default();
    }
}

/// Whether the fields after the last chunk, which are of no interest, have come to an end.
fn trailer(bytes: &[u8]) -> Result<bool, String> {
    if bytes.starts_with(b"\r\n") || bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        return Ok(true);
    }
    if bytes.len() > MAX_HEAD { Err("the reply does not end".to_owned()) } else { Ok(false) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn request(method: Method, max_body: usize) -> Request {
        Request {
            method,
            url: acme::Url::parse("https://ca.example:14000/dir?x=1").expect("a URL"),
            body: b"{}".to_vec(),
            accept: None,
            max_body,
            timeout: Duration::from_secs(1),
        }
    }

    /// Feeds a reply in pieces of every size; all must come to the same.
    fn receive(method: Method, bytes: &[u8]) -> Result<Option<Complete>, String> {
        let mut outcomes = Vec::new();
        for step in 1..=bytes.len().min(7) {
            let mut incoming = Incoming::to(&request(method, 100));
            let mut outcome = Ok(None);
            for piece in bytes.chunks(step) {
                outcome = incoming.push(piece);
                if !matches!(outcome, Ok(None)) {
                    break;
                }
            }
            outcomes.push(outcome);
        }
        let texts: Vec<String> = outcomes.iter().map(|outcome| format!("{outcome:?}")).collect();
        assert!(texts.windows(2).all(|two| two[0] == two[1]), "{texts:?}");
        outcomes.pop().expect("an outcome")
    }

    #[test]
    fn a_request_is_one_piece() {
        let text = String::from_utf8(encode(&request(Method::Post, 10))).expect("text");
        assert!(text.starts_with("POST /dir?x=1 HTTP/1.1\r\nHost: ca.example:14000\r\nUser-Agent: acme-client/"));
        assert!(text.ends_with("Content-Type: application/jose+json\r\nContent-Length: 2\r\n\r\n{}"));
    }

    #[test]
    fn replies_end_where_they_say() {
        let reply = b"HTTP/1.1 201 Created\r\nReplay-Nonce: abc\r\nLink: <a>;rel=\"up\"\r\nlink: <b>\r\nContent-Length: 3\r\n\r\nxyz";
        let (reply, again) = receive(Method::Post, reply).expect("a reply").expect("complete");
        assert_eq!((reply.status, reply.body.as_slice(), again), (201, &b"xyz"[..], true));
        assert_eq!(reply.header("Replay-Nonce"), Some("abc"));
        assert_eq!(reply.header_values("Link").collect::<Vec<_>>(), ["<a>;rel=\"up\"", "<b>"]);

        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n1;a=b\r\nz\r\n0\r\n\r\n";
        let (reply, again) = receive(Method::Post, chunked).expect("a reply").expect("complete");
        assert_eq!((reply.body.as_slice(), again), (&b"xyz"[..], true));

        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n";
        let (reply, again) = receive(Method::Head, head).expect("a reply").expect("complete");
        assert_eq!((reply.body.len(), again), (0, false));

        let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(receive(Method::Get, interim).expect("a reply").expect("complete").0.status, 204);
    }

    #[test]
    fn a_reply_may_end_with_the_connection() {
        let mut incoming = Incoming::to(&request(Method::Get, 100));
        assert!(incoming.push(b"HTTP/1.0 200 OK\r\n\r\nxyz").expect("a reply").is_none());
        let (reply, again) = incoming.closed().expect("a reply");
        assert_eq!((reply.body.as_slice(), again), (&b"xyz"[..], false));
        let mut incoming = Incoming::to(&request(Method::Get, 100));
        assert!(incoming.push(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nxyz").expect("a reply").is_none());
        assert!(incoming.closed().is_err());
    }

    #[test]
    fn hostile_replies_are_refused() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS + 1));
        for reply in [
            "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n66\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n",
            long.as_str(),
            many.as_str(),
        ] {
            assert!(receive(Method::Get, reply.as_bytes()).is_err(), "{}", reply.get(..60).unwrap_or(reply));
        }
    }
}
