//! Pebble, the name server that it asks, and other servers, as processes that end with the tests.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::pem::PemObject as _;

/// A process that ends when this one does, however that comes about: a shell waits for the end of its input, which
/// comes when nobody holds the other end any more, and then ends the process that it has started.
#[derive(Debug)]
pub(crate) struct Server {
    shell: Child,
    /// Closed to end it.
    leash: Option<ChildStdin>,
    log: PathBuf,
}

impl Server {
    /// Starts it. What it says goes to a file in `home`, a directory that is removed in the end.
    pub(crate) fn start(program: &Path, arguments: &[String], environment: &[(&str, String)], home: &Path) -> Self {
        const SCRIPT: &str = r#""$@" & server=$!; read -r _; kill "$server"; wait "$server"; rm -rf "$TEST_HOME""#;
        let log = home.join("output.log");
        let output = fs::File::create(&log).expect("a log");
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("TEST_HOME", home)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a handle"))
            .stderr(output)
            .spawn()
            .expect("a shell");
        let leash = shell.stdin.take();
        Self { shell, leash, log }
    }

    /// Waits until it listens there.
    pub(crate) fn wait_for(&self, address: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            let said = || fs::read_to_string(&self.log).unwrap_or_default();
            assert!(Instant::now() < until, "no server listens on {address}; it said:\n{}", said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.leash.take());
        let _ = self.shell.wait();
    }
}

/// How Pebble is to behave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// In how many of a hundred requests a good nonce is refused. `None`: as Pebble does if nothing is said.
    pub(crate) nonces_refused: Option<u32>,
    /// How many other chains are offered.
    pub(crate) alternates: u32,
    /// What Retry-After says, in seconds. `None`: as Pebble does if nothing is said, which is some seconds.
    pub(crate) retry_after: Option<u32>,
    /// Whether names have an IPv6 address only.
    pub(crate) ipv6_only: bool,
}

/// Pebble as it is, but for waiting.
pub(crate) const PLAIN: Manners =
    Manners { nonces_refused: None, alternates: 0, retry_after: Some(0), ipv6_only: false };

/// A running Pebble with a name server of its own.
#[derive(Debug)]
pub(crate) struct Pebble {
    home: PathBuf,
    /// Where it expects proofs.
    pub(crate) http_port: u16,
    port: u16,
    management: u16,
    names: u16,
    _servers: [Server; 2],
}

impl Pebble {
    /// Starts it, with certificates of its own.
    pub(crate) fn start(manners: Manners) -> Self {
        let home = new_home();
        let [port, management, http_port, tls_port, dns, names] = free_ports();
        certify(&home);
        let retry_after = manners.retry_after.map(|time| serde_json::json!({ "authz": time, "order": time }));
        let mut pebble = serde_json::json!({
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": home.join("server.pem"),
            "privateKey": home.join("server.key"),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "profiles": {
                "default": { "description": "as ever", "validityPeriod": 90 * 86_400 },
                "shortlived": { "description": "for six days", "validityPeriod": 6 * 86_400 },
            },
        });
        if let Some(retry_after) = retry_after {
            pebble["retryAfter"] = retry_after;
        }
        let config = home.join("config.json");
        fs::write(&config, serde_json::json!({ "pebble": pebble }).to_string()).expect("written");

        let names_server = name_server(dns, names, manners.ipv6_only);
        let mut environment =
            vec![("PEBBLE_VA_NOSLEEP", "1".to_owned()), ("PEBBLE_ALTERNATE_ROOTS", manners.alternates.to_string())];
        if let Some(percent) = manners.nonces_refused {
            environment.push(("PEBBLE_WFE_NONCEREJECT", percent.to_string()));
        }
        let arguments = ["-config".to_owned(), config.display().to_string(), "-dnsserver".to_owned(), local(dns)];
        let server = Server::start(&tool("ACME_TEST_PEBBLE", "pebble"), &arguments, &environment, &home);
        server.wait_for(&local(port));
        Self { home, http_port, port, management, names, _servers: [server, names_server] }
    }

    /// The URL of its directory.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The root of its own TLS certificate (PEM).
    pub(crate) fn tls_root(&self) -> String {
        fs::read_to_string(self.home.join("root.pem")).expect("a root")
    }

    /// The root that its certificates hang from (PEM), the first of those there are.
    pub(crate) fn root(&self) -> String {
        self.manage("/roots/0")
    }

    /// What it says of a certificate, by its serial number in hexadecimal digits.
    pub(crate) fn status_of(&self, serial: &str) -> serde_json::Value {
        serde_json::from_str(&self.manage(&format!("/cert-status-by-serial/{serial}"))).expect("JSON")
    }

    /// Gives a name an address.
    pub(crate) fn name(&self, name: &str, address: &str) {
        let body = serde_json::json!({ "host": name, "addresses": [address] }).to_string();
        let mut stream = TcpStream::connect(local(self.names)).expect("a connection");
        let length = body.len();
        let head =
            format!("POST /add-a HTTP/1.1\r\nHost: names\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).expect("sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply");
        assert!(reply.starts_with("HTTP/1.1 200"), "{name} cannot have an address: {reply}");
    }

    /// Asks its management interface.
    fn manage(&self, path: &str) -> String {
        let mut roots = rustls::RootCertStore::empty();
        let root = rustls_pki_types::CertificateDer::from_pem_slice(self.tls_root().as_bytes()).expect("PEM");
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().expect("a name");
        let mut session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
        let mut socket = TcpStream::connect(local(self.management)).expect("a connection");
        let mut stream = rustls::Stream::new(&mut session, &mut socket);
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut reply = Vec::new();
        // Pebble closes the connection without much ado.
        let _ = stream.read_to_end(&mut reply);
        let reply = String::from_utf8(reply).expect("text");
        let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {reply:?}"));
        assert!(head.split(' ').nth(1) == Some("200"), "{path}: {reply}");
        body.to_owned()
    }
}

/// A directory that outlives its maker, for the shell of a server to remove.
fn new_home() -> PathBuf {
    tempfile::tempdir().expect("a directory").keep()
}

/// A program given by the environment, or found where programs are.
fn tool(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from)
}

fn name_server(dns: u16, management: u16, ipv6_only: bool) -> Server {
    let program = tool("ACME_TEST_CHALLTESTSRV", "pebble-challtestsrv");
    let help = Command::new(&program).arg("-help").output();
    let help = help.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    // The flag was called after the challenge until 2.5.
    let flag = if String::from_utf8_lossy(&help.stderr).contains("-dnsserver") { "-dnsserver" } else { "-dns01" };
    let (ipv4, ipv6) = if ipv6_only { ("", "::1") } else { ("127.0.0.1", "") };
    let mut arguments = vec![flag.to_owned(), local(dns), "-management".to_owned(), local(management)];
    for (flag, value) in [
        ("-defaultIPv4", ipv4),
        ("-defaultIPv6", ipv6),
        ("-http01", ""),
        ("-https01", ""),
        ("-tlsalpn01", ""),
        ("-doh", ""),
    ] {
        if flag != "-doh" || String::from_utf8_lossy(&help.stderr).contains("-doh ") {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    let server = Server::start(&program, &arguments, &[], &new_home());
    server.wait_for(&local(management));
    server
}

/// A root, and a certificate for a server on this machine.
fn certify(directory: &Path) {
    let root_key = KeyPair::generate().expect("a key");
    let mut root = CertificateParams::new(Vec::new()).expect("parameters");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).expect("a root").pem();
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
    let server = server.signed_by(&key, &Issuer::new(root, root_key)).expect("a certificate");
    for (name, content) in [("root.pem", root_pem), ("server.pem", server.pem()), ("server.key", key.serialize_pem())] {
        fs::write(directory.join(name), content).expect("written");
    }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Ports that nobody uses, on any address. They are below those that the kernel takes for outgoing connections, which
/// would come between the choice of a port and its use.
fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Other programs with these tests begin somewhere else.
    let start = u16::try_from(std::process::id() % 157).expect("a small number") * 128;
    [(); N].map(|()| {
        let free = || {
            let port = 12_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
            TcpListener::bind(("0.0.0.0", port)).is_ok().then_some(port)
        };
        (0..1000).find_map(|_| free()).expect("a free port")
    })
}
