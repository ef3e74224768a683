//! The web server of whoever wants a certificate.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use test_ca::{Config, Resolver};

/// Serves key authorizations at its address. Its thread ends with the tests.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    files: Arc<Mutex<HashMap<String, String>>>,
    /// The `Host` of each request.
    pub(crate) hosts: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let web = Self { address: listener.local_addr().unwrap(), files: Arc::default(), hosts: Arc::default() };
        let (files, hosts) = (Arc::clone(&web.files), Arc::clone(&web.hosts));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (mut socket, mut request, mut byte) = (socket.unwrap(), Vec::new(), [0]);
                while !request.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap() > 0 {
                    request.push(byte[0]);
                }
                let request = String::from_utf8(request).unwrap();
                let path = request.split(' ').nth(1).unwrap();
                let host = request.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap();
                hosts.lock().unwrap().push(host.to_owned());
                let token = path.strip_prefix("/.well-known/acme-challenge/").unwrap_or_default();
                let reply = match files.lock().unwrap().get(token) {
                    Some(text) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()),
                    None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                };
                socket.write_all(reply.as_bytes()).unwrap();
            }
        });
        web
    }

    pub(crate) fn put(&self, token: &str, text: &str) {
        self.files.lock().unwrap().insert(token.to_owned(), text.to_owned());
    }

    /// The configuration of an authority for which every name is here.
    pub(crate) fn config(&self) -> Config {
        Config { names: Resolver::everywhere(self.address), ..Config::default() }
    }
}
