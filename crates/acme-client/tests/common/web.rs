//! Who answers the CA: a real web server, or one that lets it wait.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::common::program::is_root;
pub(crate) use crate::common::program::wait_until;
use crate::common::servers::Server;

/// nginx, serving a directory. Its worker is www-data where root starts it, so what it cannot read it does not serve.
pub(crate) fn nginx(home: &Path, address: &str, directory: &Path) -> Server {
    let home = home.join("nginx");
    fs::create_dir_all(&home).expect("made");
    let show = |path: &Path| path.display().to_string();
    let user = if is_root() { "user www-data;" } else { "" };
    let bodies: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", show(&home)))
        .collect();
    let config = format!(
        "daemon off; {user} worker_processes 1; pid {home}/pid; error_log {home}/error.log;\n\
         events {{ worker_connections 128; }}\n\
         http {{ access_log off; {bodies} server {{ listen {address}; root {directory}; }} }}\n",
        home = show(&home),
        directory = show(directory),
    );
    let path = home.join("nginx.conf");
    fs::write(&path, config).expect("written");
    let arguments = ["-c", &show(&path), "-e", &show(&home.join("error.log"))].map(str::to_owned);
    let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].iter().map(Path::new).find(|path| path.exists());
    let program = program.unwrap_or_else(|| Path::new("nginx"));
    let server = Server::start(program, &arguments, &[], &home);
    server.wait_for(address);
    server
}

/// A web server for a webroot that keeps the CA waiting until the test has seen what it wants to see.
#[derive(Debug)]
pub(crate) struct Gate {
    open: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
    callers: Arc<AtomicUsize>,
    address: String,
    listening: Option<JoinHandle<()>>,
}

impl Gate {
    /// Nobody gets through yet.
    pub(crate) fn new(address: &str, directory: &Path) -> Self {
        let listener = TcpListener::bind(address).expect("a listener");
        let mut gate = Self {
            open: Arc::default(),
            closed: Arc::default(),
            callers: Arc::default(),
            address: address.to_owned(),
            listening: None,
        };
        let (open, closed, callers) = (gate.open.clone(), gate.closed.clone(), gate.callers.clone());
        let directory = directory.to_owned();
        gate.listening = Some(std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if closed.load(Ordering::Relaxed) {
                    return;
                }
                let (open, callers, directory) = (open.clone(), callers.clone(), directory.clone());
                std::thread::spawn(move || let_through(stream, &open, &callers, &directory));
            }
        }));
        gate
    }

    /// Waits until somebody asks for something, which this run has to bring about.
    pub(crate) fn wait_for_caller(&self, run: &mut Child) {
        let called = || self.callers.load(Ordering::Relaxed) > 0;
        wait_until("the CA asks for a proof", || called() || run.try_wait().expect("a state").is_some());
        if !called() {
            let mut said = String::new();
            let _ = run.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
            panic!("the run has ended before the CA asked for a proof: {said}");
        }
    }

    /// Whoever waits, and whoever comes, gets an answer.
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
        self.closed.store(true, Ordering::Relaxed);
        // Wakes the listener, so that it notices, and the address is free again.
        let _ = TcpStream::connect(&self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

fn let_through(mut stream: TcpStream, open: &AtomicBool, callers: &AtomicUsize, directory: &Path) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(got) if got > 0 => request.extend_from_slice(&buffer[..got]),
            _ => return,
        }
    }
    callers.fetch_add(1, Ordering::Relaxed);
    while !open.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path: PathBuf = directory.join(request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/'));
    let (status, body) = fs::read(path).map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
}
