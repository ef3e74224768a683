//! The program, run against Pebble, and what has to be so afterwards.

use std::fs;
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::fs::{FlockOperation, flock};

pub(crate) use crate::common::program::files;
use crate::common::program::{As, Program, Ran};
use crate::common::servers::Pebble;

/// The ordinary user that the program is run as.
pub(crate) const NOBODY: u32 = 65_534;

/// The program with a directory and an address of its own, so that scenes do not come into each other's way.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) pebble: &'static Pebble,
    pub(crate) program: Program,
    pub(crate) user: As,
    number: u16,
    options: Vec<String>,
}

impl Scene {
    /// A scene of its own.
    pub(crate) fn new(pebble: &'static Pebble, user: As) -> Self {
        static NUMBER: AtomicU16 = AtomicU16::new(1);
        let program = Program::new(user);
        let root = program.file("tls-root.pem", &pebble.tls_root());
        let options = ["--directory", &pebble.url(), "--ca-file", &root].map(str::to_owned).to_vec();
        Self { pebble, program, user, number: NUMBER.fetch_add(1, Ordering::Relaxed), options }
    }

    /// Where this scene's names are looked for: all of 127.0.0.0/8 is this machine.
    pub(crate) fn ip(&self) -> String {
        let [high, low] = self.number.to_be_bytes();
        format!("127.77.{high}.{low}")
    }

    /// The same, with the port.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.ip(), self.pebble.http_port)
    }

    /// A name that leads to this scene's address.
    pub(crate) fn name(&self, label: &str) -> String {
        let name = format!("{label}.scene{}.example", self.number);
        self.pebble.name(&name, &self.ip());
        name
    }

    /// A webroot that belongs to the user.
    pub(crate) fn webroot(&self) -> PathBuf {
        self.program.make_directory("www").into()
    }

    /// The command line with the CA in it.
    pub(crate) fn line<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        self.options.iter().map(String::as_str).chain(arguments.iter().copied()).collect()
    }

    /// The program, to be run like that.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program.command(&self.line(arguments));
        command.env_remove("RUST_BACKTRACE");
        command
    }

    /// The same by way of a shell, which finds the program and its arguments in `"$@"`.
    pub(crate) fn by_shell(&self, script: &str, arguments: &[&str]) -> Command {
        let program = self.command(arguments);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(program.get_program()).args(program.get_args());
        if self.user == As::Nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.program.run(&self.line(arguments))
    }

    /// Runs it, and it has to succeed.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.status, Some(0), "{:?}: {arguments:?}: {ran:?}", self.user);
        ran
    }

    /// Runs it, and it has to fail, with one line that a person can do something with.
    pub(crate) fn fail(&self, arguments: &[&str], words: &str) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.status, Some(1), "{:?}: {arguments:?}: {ran:?}", self.user);
        assert!(ran.stderr.contains(words), "no {words:?} in {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "more than one error: {ran:?}");
        assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("os error"), "{ran:?}");
        ran
    }

    /// Starts it and lets it run.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
    }

    /// The directory of the certificate in use.
    pub(crate) fn live(&self, certificate: &str) -> PathBuf {
        self.program.state().join("live").join(certificate)
    }

    /// The generation in use.
    pub(crate) fn generation(&self, certificate: &str) -> Option<u32> {
        fs::read_link(self.live(certificate)).ok()?.file_name()?.to_str()?.parse().ok()
    }

    /// That the certificate in use is what a web server wants: OpenSSL finds that its chain leads to Pebble's root, that
    /// it is for these names, and that it has this key.
    pub(crate) fn assert_good(&self, certificate: &str, names: &[&str]) {
        let live = self.live(certificate);
        let root = self.program.file("root.pem", &self.pebble.root());
        let [cert, chain, key] =
            ["cert.pem", "chain.pem", "privkey.pem"].map(|part| live.join(part).display().to_string());
        for name in names {
            let kind = if name.parse::<IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" };
            let verified = openssl(&["verify", kind, name, "-CAfile", &root, "-untrusted", &chain, &cert]);
            assert!(verified.ends_with(": OK\n"), "{name}: {verified}");
        }
        let of_certificate = openssl(&["x509", "-in", &cert, "-noout", "-pubkey"]);
        assert_eq!(of_certificate, openssl(&["pkey", "-in", &key, "-pubout"]), "the key is another one");
        let both = fs::read(&cert).expect("read").into_iter().chain(fs::read(&chain).expect("read"));
        assert_eq!(fs::read(live.join("fullchain.pem")).expect("read"), both.collect::<Vec<u8>>());
    }

    /// That nothing is left of runs: no lock that is held, no empty or half written file, no proof.
    pub(crate) fn assert_tidy(&self) {
        let state = self.program.state();
        for path in files(&state) {
            let metadata = fs::symlink_metadata(&path).expect("metadata");
            if path.starts_with(state.join("lock")) {
                let lock = fs::File::open(&path).expect("a lock");
                let free = flock(&lock, FlockOperation::NonBlockingLockExclusive);
                assert!(free.is_ok(), "{} is held by somebody", path.display());
                continue;
            }
            assert!(metadata.is_symlink() || metadata.len() > 0, "{} is empty", path.display());
            let half = path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".new"));
            assert!(!half, "{} was left behind", path.display());
        }
        self.assert_nothing_published();
    }

    /// That no proof is left in the webroot.
    pub(crate) fn assert_nothing_published(&self) {
        let left = files(&self.program.path("www"));
        assert!(left.is_empty(), "proofs were left: {left:?}");
    }
}

/// Runs OpenSSL, which has to succeed.
pub(crate) fn openssl(arguments: &[&str]) -> String {
    let output: Output = Command::new("openssl").args(arguments).output().expect("openssl");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {}: {said}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("text")
}
