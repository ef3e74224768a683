//! HTTP/1.1 as far as an ACME server needs it: requests in, replies out.

use std::io::{self, Read};

use serde_json::Value;

/// Most bytes of a request line and header fields.
const MAX_HEAD: usize = 16 * 1024;
/// Most bytes of a request body; a CSR for 100 names is below 8 KiB.
const MAX_BODY: usize = 256 * 1024;
const MAX_HEADERS: usize = 64;

/// A request, complete with its body.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the client wants the connection kept.
    pub(crate) keep_alive: bool,
}

impl Request {
    /// The value of a header field; `None` when it is not there or is there twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        values.next().filter(|_| values.next().is_none())
    }
}

/// Why no request was read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The client closed the connection between two requests, or was silent for too long.
    Closed,
    /// What came is no request: status and reason.
    Bad(u16, String),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Reads requests from a connection, and keeps what came after the last.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads the next request.
    pub(crate) fn next(&mut self, stream: &mut impl Read) -> Result<Request, ReadError> {
        let (mut request, head, body) = loop {
            if let Some(parsed) = parse_head(&self.buffer)? {
                break parsed;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(ReadError::Bad(431, "the header is too large".into()));
            }
            self.more(stream)?;
        };
        while self.buffer.len() < head + body {
            self.more(stream)?;
        }
        request.body = self.buffer[head..head + body].to_vec();
        self.buffer.drain(..head + body);
        Ok(request)
    }

    fn more(&mut self, stream: &mut impl Read) -> Result<(), ReadError> {
        let mut chunk = [0; 8192];
        match stream.read(&mut chunk)? {
            0 => Err(ReadError::Closed),
            n => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
        }
    }
}

/// The request without its body, the length of its head and that of its body; `None` while the head is incomplete.
fn parse_head(buffer: &[u8]) -> Result<Option<(Request, usize, usize)>, ReadError> {
    let bad = |reason: &str| ReadError::Bad(400, reason.to_owned());
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(e) => return Err(ReadError::Bad(400, format!("this is no HTTP request: {e}"))),
    };
    let headers = parsed
        .headers
        .iter()
        .map(|h| Ok((h.name.to_owned(), String::from_utf8(h.value.to_vec())?)))
        .collect::<Result<Vec<_>, std::string::FromUtf8Error>>()
        .map_err(|_| bad("a header is not UTF-8"))?;
    let mut request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
        keep_alive: false,
    };
    let close = request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
    request.keep_alive = parsed.version == Some(1) && !close;
    if request.header("host").is_none() {
        return Err(bad("there is no Host header, or more than one"));
    }
    if request.header("transfer-encoding").is_some() {
        return Err(ReadError::Bad(411, "a request needs a Content-Length".into()));
    }
    let body = match request.header("content-length") {
        Some(text) => text.parse().map_err(|_| bad("the Content-Length is no number"))?,
        None => 0,
    };
    if body > MAX_BODY {
        return Err(ReadError::Bad(413, format!("a request body has at most {MAX_BODY} bytes")));
    }
    Ok(Some((request, head, body)))
}

/// A reply, before it is bytes.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Without Content-Type and those that frame the body.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    /// Set when the client's mistake is told here.
    pub(crate) violation: Option<String>,
}

/// What a reply carries.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    Problem(Value),
    Pem(String),
    Html(String),
}

impl Body {
    pub(crate) fn content_type(&self) -> Option<&'static str> {
        match self {
            Self::Empty => None,
            Self::Json(_) => Some("application/json"),
            Self::Problem(_) => Some("application/problem+json"),
            Self::Pem(_) => Some("application/pem-certificate-chain"),
            Self::Html(_) => Some("text/html; charset=utf-8"),
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::Json(value) | Self::Problem(value) => value.to_string().into_bytes(),
            Self::Pem(text) | Self::Html(text) => text.into_bytes(),
        }
    }
}

impl Reply {
    pub(crate) fn new(status: u16, body: Body) -> Self {
        Self { status, headers: Vec::new(), body, violation: None }
    }

    pub(crate) fn json(status: u16, value: Value) -> Self {
        Self::new(status, Body::Json(value))
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn link(self, url: &str, relation: &str) -> Self {
        self.header("Link", format!("<{url}>;rel=\"{relation}\""))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

impl From<crate::problem::Problem> for Reply {
    fn from(problem: crate::problem::Problem) -> Self {
        let mut reply = Self::new(problem.status, Body::Problem(problem.to_json()));
        reply.headers = problem.headers;
        if let Some(after) = &problem.retry_after {
            reply = reply.header("Retry-After", after.header(std::time::SystemTime::now()));
        }
        reply.violation = problem.mistake.then_some(problem.detail);
        reply
    }
}

/// The reason phrase of a status.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out its bytes a few at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(into.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    const TWO: &[u8] =
        b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

    #[test]
    fn reads_requests_whatever_the_pieces() {
        for size in [1, 7, 1000] {
            let (mut stream, mut reader) = (Drops(TWO, size), Reader::default());
            let first = reader.next(&mut stream).unwrap();
            assert_eq!((first.path.as_str(), first.body.as_slice(), first.keep_alive), ("/a", &b"abc"[..], true));
            let second = reader.next(&mut stream).unwrap();
            assert_eq!((second.method.as_str(), second.keep_alive), ("GET", false));
            assert!(matches!(reader.next(&mut stream), Err(ReadError::Closed)));
        }
    }

    #[test]
    fn refuses_what_is_no_request() {
        let status = |bytes: &[u8]| match Reader::default().next(&mut Drops(bytes, 4096)) {
            Err(ReadError::Bad(status, _)) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status(b"\x16\x03\x01 hello\r\n\r\n"), 400);
        assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
        assert_eq!(status(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
        assert_eq!(status(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n"), 413);
        assert_eq!(status(format!("GET /{} HTTP/1.1\r\n", "a".repeat(30_000)).as_bytes()), 431);
    }
}
