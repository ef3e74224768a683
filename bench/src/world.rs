//! What all clients meet alike: a Pebble that does not dawdle, the servers it asks, and a bundle of roots that has
//! Pebble's in it.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::{Result, servers};

/// Where Debian has the roots of the machine, and where clients that take no option for it look.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The world of one run of the bench.
#[derive(Debug)]
pub(crate) struct World {
    /// Pebble's directory.
    pub(crate) directory: String,
    /// The root of Pebble's certificate alone.
    pub(crate) root: PathBuf,
    /// The client to be measured, and other builds of it, where any user can start them.
    pub(crate) clients: Vec<PathBuf>,
    home: tempfile::TempDir,
    pebble: Child,
}

impl World {
    /// Starts all of it. The process has a mount namespace of its own.
    pub(crate) fn start(pebble: &Path, builds: &[&Path]) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("acme-bench-").tempdir()?;
        // Clients that give up root work beneath it.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755))?;
        let root = home.path().to_owned();
        let clients = copies(builds, &root)?;
        fs::create_dir(root.join("webroots"))?;

        let bundle = root.join("roots.pem");
        let authority = identity(&root)?;
        fs::write(root.join("root.pem"), &authority)?;
        fs::write(&bundle, [fs::read(BUNDLE)?, authority.into_bytes()].concat())?;
        run(Command::new("mount").arg("--bind").arg(&bundle).arg(BUNDLE))?;

        let dns = servers::names()?;
        let http = servers::files(root.join("webroots"))?;
        let (port, management) = (free_port()?, free_port()?);
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "127.0.0.1:{port}", "managementListenAddress": "127.0.0.1:{management}",
            "certificate": "{0}/server.pem", "privateKey": "{0}/server.key", "httpPort": {http}, "tlsPort": 5001,
            "ocspResponderURL": "", "externalAccountBindingRequired": false}}}}"#,
            root.display()
        );
        fs::write(root.join("pebble.json"), config)?;
        let log = File::create(root.join("pebble.log"))?;
        let pebble = Command::new(pebble)
            .args(["-dnsserver", &dns.to_string(), "-config"])
            .arg(root.join("pebble.json"))
            .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "0"), ("PEBBLE_AUTHZREUSE", "0")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}; install pebble, or say where it is: --pebble", pebble.display()))?;
        let world = Self {
            directory: format!("https://localhost:{port}/dir"),
            root: root.join("root.pem"),
            clients,
            home,
            pebble,
        };
        wait_for(port)?;
        Ok(world)
    }

    /// The client to be measured.
    pub(crate) fn client(&self) -> &Path {
        // There is one at least: `start` was given it.
        self.clients.first().map_or_else(|| Path::new("acme-client"), PathBuf::as_path)
    }

    /// For a person who wants to try something by hand.
    pub(crate) fn directions(&self) -> Result<String> {
        let (state, webroot) = self.place("hand")?;
        let client = self.client().display();
        Ok(format!(
            "{client} --config /dev/null --state {} --directory {} --ca-file {} issue www.hand{} --webroot {}\n",
            state.display(),
            self.directory,
            self.root.display(),
            servers::ZONE,
            webroot.display()
        ))
    }

    /// A directory of its own for a run, and its webroot.
    pub(crate) fn place(&self, label: &str) -> Result<(PathBuf, PathBuf)> {
        let state = self.home.path().join("runs").join(label);
        let webroot = self.home.path().join("webroots").join(label);
        fs::create_dir_all(&state)?;
        fs::create_dir_all(&webroot)?;
        Ok((state, webroot))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        let _ = self.pebble.kill();
        let _ = self.pebble.wait();
    }
}

/// Copies the builds of the client to where any user can start them, each under the name that it has.
fn copies(builds: &[&Path], root: &Path) -> Result<Vec<PathBuf>> {
    let mut copies = Vec::new();
    for (at, build) in builds.iter().enumerate() {
        let directory = root.join(format!("build-{at}"));
        fs::create_dir(&directory)?;
        let copy = directory.join("acme-client");
        fs::copy(build, &copy).map_err(|error| format!("{}: {error}; build it first", build.display()))?;
        copies.push(copy);
    }
    Ok(copies)
}

/// Makes Pebble's key and certificate for localhost. Returns the authority's certificate.
fn identity(root: &Path) -> Result<String> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "A throw-away root of a benchmark");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(vec!["localhost".to_owned()])?;
    fs::write(root.join("server.pem"), params.signed_by(&key, &authority)?.pem())?;
    fs::write(root.join("server.key"), key.serialize_pem())?;
    Ok(authority.pem())
}

/// Runs a tool that has to succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()).into())
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn wait_for(port: u16) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err("pebble does not start".into())
}
