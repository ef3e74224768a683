//! Replies as bytes, with the faults that concern bytes only.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::faults::Fault;
use crate::http::{Body, Reply, reason};
use crate::stop::Stop;

const CHUNK: usize = 1000;
static PADDING: [u8; 65_536] = [b' '; 65_536];

/// Whether a fault is one of these, and can have an effect on `reply`.
pub(crate) fn concerns(fault: &Fault, reply: &Reply, with_body: bool) -> bool {
    match fault {
        Fault::Drip(_) | Fault::Cut(_) | Fault::HugeHead(_) => true,
        Fault::NoNonce => reply.get("Replay-Nonce").is_some(),
        Fault::Truncated | Fault::Malformed | Fault::Oversized(_) | Fault::ContentType(_) | Fault::Chunked => {
            with_body && !matches!(reply.body, Body::Empty)
        }
        _ => false,
    }
}

/// A reply ready to be sent.
#[derive(Debug)]
pub(crate) struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
    /// Spaces after the body.
    padding: u64,
    chunked: bool,
    cut: Option<u64>,
    drip: Duration,
}

impl Message {
    pub(crate) fn new(mut reply: Reply, with_body: bool, keep_alive: bool, faults: &[Fault]) -> Self {
        let mut content_type = reply.body.content_type().map(str::to_owned);
        let is_pem = matches!(reply.body, Body::Pem(_));
        let mut body = std::mem::replace(&mut reply.body, Body::Empty).into_bytes();
        let (mut size, mut chunked, mut cut, mut drip, mut huge) = (0, false, None, Duration::ZERO, 0);
        for fault in faults {
            match fault {
                Fault::Truncated => body.truncate(body.len() / 2),
                Fault::Malformed if is_pem => body = b"-----BEGIN CERTIFICATE-----\n\xff\xfe!!!\n".to_vec(),
                Fault::Malformed => body = b"{\"status\": \"valid\", \"what\": [\xff, }".to_vec(),
                Fault::Oversized(bytes) => size = *bytes,
                Fault::ContentType(value) => content_type = (!value.is_empty()).then(|| value.clone()),
                Fault::NoNonce => reply.headers.retain(|(name, _)| *name != "Replay-Nonce"),
                Fault::Chunked => chunked = true,
                Fault::HugeHead(bytes) => huge = *bytes,
                Fault::Cut(after) => cut = Some(*after),
                Fault::Drip(each) => drip = *each,
                _ => {}
            }
        }
        let length = to_u64(body.len());
        let padding = size.saturating_sub(length);
        let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
        let mut field = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        };
        for (name, value) in &reply.headers {
            field(name, value);
        }
        if let Some(value) = content_type {
            field("Content-Type", &value);
        }
        if chunked {
            field("Transfer-Encoding", "chunked");
        } else if reply.status != 204 {
            field("Content-Length", &(length + padding).to_string());
        }
        if !keep_alive {
            field("Connection", "close");
        }
        let mut left = huge;
        while left > 0 {
            let bytes = left.min(4000);
            field("X-Padding", &"x".repeat(usize::try_from(bytes).unwrap_or_default()));
            left -= bytes;
        }
        head.push_str("\r\n");
        if !with_body {
            body.clear();
        }
        let head = head.into_bytes();
        let cut = cut.map(|after| after.unwrap_or_else(|| (to_u64(head.len() + body.len()) + padding) / 2));
        Self { head, body, padding, chunked, cut, drip }
    }

    /// Sends it; in one write unless a fault wants it otherwise. Whether the connection is still good.
    pub(crate) fn send(self, to: &mut impl Write, socket: &TcpStream, stop: &Stop) -> io::Result<bool> {
        let Self { mut head, mut body, padding, chunked, cut, drip } = self;
        if chunked {
            body = in_chunks(&body, padding);
        }
        head.append(&mut body);
        let mut sender = Sender { to, left: cut.unwrap_or(u64::MAX), drip, stop };
        sender.send(&head)?;
        let mut left = if chunked { 0 } else { padding };
        while left > 0 && sender.left > 0 {
            let part = usize::try_from(left.min(to_u64(PADDING.len()))).unwrap_or_default();
            sender.send(&PADDING[..part])?;
            left -= to_u64(part);
        }
        if cut.is_some() {
            socket.shutdown(Shutdown::Both)?;
        }
        Ok(cut.is_none())
    }
}

struct Sender<'a, W> {
    to: &'a mut W,
    /// Bytes until the cut.
    left: u64,
    drip: Duration,
    stop: &'a Stop,
}

impl<W: Write> Sender<'_, W> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let count = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= to_u64(count);
        if self.drip.is_zero() {
            self.to.write_all(&bytes[..count])?;
            return self.to.flush();
        }
        for byte in &bytes[..count] {
            if !self.stop.wait(self.drip) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            self.to.write_all(&[*byte])?;
            self.to.flush()?;
        }
        Ok(())
    }
}

/// In chunks of [`CHUNK`] bytes, the last shorter. Padding is held in memory here: both at once is for small sizes.
fn in_chunks(body: &[u8], padding: u64) -> Vec<u8> {
    let mut whole = body.to_vec();
    whole.resize(body.len() + usize::try_from(padding).unwrap_or_default(), b' ');
    let mut out = Vec::new();
    for chunk in whole.chunks(CHUNK) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
