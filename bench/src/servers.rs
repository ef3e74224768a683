//! The two servers that a CA needs to see a name proven: one for names, one for files.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;

/// Every name of a run ends in this. The label before it is the run's, and its webroot's.
pub(crate) const ZONE: &str = ".bench.example";

const CHALLENGE: &str = "/.well-known/acme-challenge/";

/// Starts a name server for which every name is this machine's.
pub(crate) fn names() -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = socket.local_addr()?;
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((got, from)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = buffer.get(..got).and_then(answer) {
                // A lost answer is asked for again.
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    Ok(address)
}

/// The answer to a query of one question: 127.0.0.1 for an address, nothing for anything else (RFC 1035 section 4.1).
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let name = query.get(HEADER..)?.iter().position(|byte| *byte == 0)?;
    let question = query.get(HEADER..HEADER + name + 5)?;
    let is_a = question.get(name + 1..name + 3)? == [0, 1];
    let mut answer = query.get(..2)?.to_vec();
    // A response, authoritative, recursion desired and available, no error; one question.
    answer.extend([0x85, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    answer.extend(question);
    if is_a {
        // The name of the question, type A, class IN, no time to live, four octets.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

/// Starts a web server that has the webroots of all runs beneath `root`, each called by its run's label. Returns its
/// port.
pub(crate) fn files(root: PathBuf) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let root = root.clone();
            // Who asks hears of a failure by the connection's end.
            thread::spawn(move || serve(&stream, &root).ok());
        }
    });
    Ok(port)
}

fn serve(stream: &TcpStream, root: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut host = String::new();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("host")) {
            let _ = name;
            host = value.trim().to_owned();
        }
    }
    let body = find(&first, &host, root).and_then(|path| fs::read(path).ok());
    let (status, body) = body.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let mut reply = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    reply.push_str(&String::from_utf8_lossy(&body));
    (&mut &*stream).write_all(reply.as_bytes())
}

/// The file asked for, if it is a token of a run.
fn find(request: &str, host: &str, root: &Path) -> Option<PathBuf> {
    let path = request.strip_prefix("GET ")?.split(' ').next()?;
    let token = path.strip_prefix(CHALLENGE).filter(|token| is_plain(token))?;
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let label = name.strip_suffix(ZONE)?.rsplit('.').next().filter(|label| is_plain(label))?;
    Some(root.join(label).join(CHALLENGE.trim_start_matches('/')).join(token))
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_an_address_and_nothing_else() {
        let query = |kind: u8| [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0".as_slice(), &[kind, 0, 1]].concat();
        let a = answer(&query(1)).expect("an answer");
        assert!(a.starts_with(b"\x12\x34\x85\x80\0\x01\0\x01"));
        assert!(a.ends_with(&[0, 4, 127, 0, 0, 1]));
        let aaaa = answer(&query(28)).expect("an answer");
        assert_eq!(aaaa.get(6..8), Some([0, 0].as_slice()));
        assert_eq!(answer(b"\x12\x34"), None);
    }

    #[test]
    fn only_tokens_are_served() {
        let root = Path::new("/r");
        let found = find("GET /.well-known/acme-challenge/abc HTTP/1.1", "x.y.ours-1.bench.example:5002", root);
        assert_eq!(found, Some("/r/ours-1/.well-known/acme-challenge/abc".into()));
        for (request, host) in [
            ("GET /.well-known/acme-challenge/../x HTTP/1.1", "a.bench.example"),
            ("GET /etc/passwd HTTP/1.1", "a.bench.example"),
            ("GET /.well-known/acme-challenge/abc HTTP/1.1", "..bench.example"),
            ("GET /.well-known/acme-challenge/abc HTTP/1.1", "a.other.example"),
        ] {
            assert_eq!(find(request, host, root), None, "{request} {host}");
        }
    }
}
