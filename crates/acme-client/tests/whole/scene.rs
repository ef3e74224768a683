//! A CA, the program, and what stands between them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use test_ca::{Config, Faults, Resolver, TestCa};

use crate::program::{As, Program, Ran};
pub(crate) use crate::program::{files, wait_until};

/// A CA that finds every name at one port, and the program with its own directory.
pub(crate) struct Scene {
    pub(crate) ca: TestCa,
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    options: Vec<String>,
}

impl Scene {
    /// With an honest CA.
    pub(crate) fn new(user: As) -> Self {
        Self::with(user, Config::default())
    }

    /// With this CA, which will look for proofs where the program answers.
    pub(crate) fn with(user: As, config: Config) -> Self {
        let address = free_port();
        let ca = TestCa::start(Config { names: Resolver::everywhere(address), ..config }).expect("a CA");
        let program = Program::new(user);
        let root = program.file("root.pem", &ca.root_pem());
        let options = ["--directory", &ca.directory_url(), "--ca-file", &root].map(str::to_owned).to_vec();
        Self { ca, program, address, options }
    }

    /// The command line with the CA in it.
    pub(crate) fn line<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        self.options.iter().map(String::as_str).chain(arguments.iter().copied()).collect()
    }

    /// Runs the program.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.program.run(&self.line(arguments))
    }

    /// Runs `issue` with a listener of its own.
    pub(crate) fn issue(&self, arguments: &[&str]) -> Ran {
        self.issue_with(arguments, &[])
    }

    /// The same with more in the environment.
    pub(crate) fn issue_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let listen = self.address.to_string();
        let mut line = vec!["issue", "--listen", &listen];
        line.extend(arguments);
        self.program.run_with(&self.line(&line), environment)
    }

    /// Starts the program and lets it run.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.program.command(&self.line(arguments));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
    }

    /// From now on the CA does this wrong.
    pub(crate) fn faults(&self, faults: impl Into<Faults>) {
        self.ca.set_faults(faults.into());
    }

    /// A file of the certificate in use.
    pub(crate) fn live(&self, name: &str, file: &str) -> Vec<u8> {
        let path = self.program.state().join("live").join(name).join(file);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// How often the CA was asked for something.
    pub(crate) fn asked(&self, what: &str) -> usize {
        self.ca.requests().iter().filter(|request| request.contains(what)).count()
    }

    /// That the certificate in use is whole: the key fits, and nothing lies about.
    pub(crate) fn assert_whole(&self, name: &str) {
        let certificate = rustls_pki_types::CertificateDer::from(pem(&self.live(name, "fullchain.pem")));
        let key = rustls_pki_types::PrivateKeyDer::try_from(pem(&self.live(name, "privkey.pem"))).expect("a key");
        let key = rustls::crypto::ring::sign::any_supported_type(&key).expect("a key that can sign");
        let certified = rustls::sign::CertifiedKey::new(vec![certificate], key);
        certified.keys_match().expect("the key fits the certificate");
        for path in files(&self.program.state()) {
            let metadata = fs::symlink_metadata(&path).expect("metadata");
            let lock = path.parent().is_some_and(|parent| parent.ends_with("lock"));
            assert!(metadata.is_symlink() || metadata.len() > 0 || lock, "{} is empty", path.display());
            assert!(!path.to_string_lossy().ends_with(".new"), "{} was left behind", path.display());
        }
    }
}

/// The first block of a PEM file.
pub(crate) fn pem(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).expect("text");
    let body: String = text.lines().skip(1).take_while(|line| !line.starts_with("-----")).collect();
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.decode(body).expect("base64")
}

/// A port that nobody uses, and that nobody is given by the kernel: it is below those (ip_local_port_range).
pub(crate) fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 20_000).expect("small");
    loop {
        let port = 10_000 + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A web server that serves a directory, as an ordinary user would see it: what not everybody may read is not there.
pub(crate) struct WebServer {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl WebServer {
    pub(crate) fn serve(address: SocketAddr, directory: PathBuf) -> Self {
        let listener = TcpListener::bind(address).expect("a listener");
        listener.set_nonblocking(true).expect("non-blocking");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => answer(stream, &directory),
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: std::net::TcpStream, directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    stream.set_nonblocking(false).expect("blocking");
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(got) if got > 0 => request.extend_from_slice(&buffer[..got]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request);
    let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let path = directory.join(path);
    let public =
        |path: &Path, bits| fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & bits == bits);
    let readable = public(&path, 0o004) && path.parent().is_some_and(|parent| public(parent, 0o005));
    let body = if readable { fs::read(&path).ok() } else { None };
    let (status, body) = body.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
}
