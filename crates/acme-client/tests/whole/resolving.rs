//! The CA's name, asked of resolvers.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use test_ca::Config;

use crate::program::{As, is_root};
use crate::scene::Scene;

/// Where the resolver of this test listens: an address of this machine that nobody else uses, since the port is given.
const RESOLVER: &str = "127.77.53.1";

/// A script that gives a program a `/etc/resolv.conf` of its own.
const WITH_RESOLVERS: &str = r#"mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#;

#[test]
#[ignore = "needs root, for port 53 and a resolv.conf of its own: .ci/drift"]
fn the_authority_is_found_by_dns_over_udp_and_tcp() {
    assert!(is_root(), "this test has to be run by root: it mounts a resolv.conf of its own");
    serve_names();
    let scene = Scene::with(As::Caller, Config { host: "ca.acme-client.example".to_owned(), ..Config::default() });
    let resolvers = scene.program.file("resolv.conf", &format!("nameserver {RESOLVER}\n"));
    let listen = scene.address.to_string();
    let program = scene.program.command(&scene.line(&["issue", "a.example", "--listen", &listen]));
    let output = Command::new("unshare")
        .args(["--mount", "/bin/sh", "-c", WITH_RESOLVERS, "sh", &resolvers])
        .arg(program.get_program())
        .args(program.get_args())
        .output()
        .expect("unshare");
    assert!(output.status.success(), "{output:?}");
    scene.assert_whole("a.example");
}

/// A resolver that gives every name the address of this machine, and has that too long for UDP.
fn serve_names() {
    let datagrams = UdpSocket::bind((RESOLVER, 53)).expect("port 53");
    let listener = TcpListener::bind((RESOLVER, 53)).expect("port 53");
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, peer)) = datagrams.recv_from(&mut query) {
            datagrams.send_to(&reply(&query[..length], true), peer).expect("sent");
        }
    });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            let mut query = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut query).expect("a query");
            let reply = reply(&query, false);
            let length = u16::try_from(reply.len()).expect("short").to_be_bytes();
            stream.write_all(&[&length[..], &reply].concat()).expect("sent");
        }
    });
}

/// An answer as RFC 1035 section 4.1 has it: to a question for an address of IPv4 the one, to others none.
fn reply(query: &[u8], truncated: bool) -> Vec<u8> {
    let wanted = query.ends_with(&[0, 1, 0, 1]);
    let answers = u8::from(wanted && !truncated);
    let flags = if truncated { 0x83 } else { 0x81 };
    let mut reply = [&query[..2], &[flags, 0x80, 0, 1, 0, answers, 0, 0, 0, 0], &query[12..]].concat();
    if answers == 1 {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    reply
}
