//! The test authority for the shell: starts, says where it is, and serves until its standard input ends.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use test_ca::{Config, Resolver, RetryAfter, SPELLINGS, TestCa};

const USAGE: &str = "\
test-ca: a small honest ACME authority for tests. Serves until its standard input ends or a signal comes.

  --listen ADDRESS:PORT    where to listen (127.0.0.1:0, a free port)
  --host NAME              the host in its URLs (localhost)
  --fallback ADDRESS:PORT  where the challenges of all other names are fetched from
  --name NAME=ADDRESS:PORT where those of this name are; again for further addresses, which must all answer
  --write-root FILE        the root to trust for TLS, PEM
  --write-issuer-root FILE the root of issued certificates, PEM
  --lifetime SECONDS       of certificates (90 days)
  --alternates N           alternate chains (0)
  --chain-length N         certificates after the leaf (1)
  --authz-reuse            new orders find authorizations that are valid
  --processing N           replies that say \"processing\" (0)
  --validation-delay MS    before a challenge is fetched (0)
  --retry-after SECONDS    with pending authorizations and processing orders
  --no-terms               no terms of service
  --fault RULE             something to do wrong; again for more
  --verbose                the requests and the clients' mistakes, on standard error
  --help                   this, and the faults
";

fn main() -> ExitCode {
    let outcome = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => run(options).map_err(|e| (e.to_string(), 1)),
        Ok(None) => say(&mut io::stdout(), &format!("{USAGE}\n{SPELLINGS}\n")).map_err(|e| (e.to_string(), 1)),
        Err(message) => Err((format!("{message} (see --help)"), 2)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((message, code)) => {
            // With standard error gone there is nobody to tell.
            let _ = say(&mut io::stderr(), &format!("test-ca: {message}\n"));
            ExitCode::from(code)
        }
    }
}

#[derive(Default)]
struct Options {
    config: Config,
    root: Option<PathBuf>,
    issuer_root: Option<PathBuf>,
    verbose: bool,
}

impl Options {
    /// `None` for help.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        while let Some(option) = arguments.next() {
            let config = &mut options.config;
            match option.as_str() {
                "--help" => return Ok(None),
                "--verbose" => options.verbose = true,
                "--authz-reuse" => config.authz_reuse = true,
                "--no-terms" => config.terms = false,
                _ => {
                    let value = arguments.next().ok_or_else(|| format!("{option} is no option, or needs a value"))?;
                    options.set(&option, &value)?;
                }
            }
        }
        Ok(Some(options))
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        let config = &mut self.config;
        match option {
            "--listen" => config.listen = read(option, value)?,
            "--host" => config.host = value.to_owned(),
            "--fallback" => config.names.fallback = Some(read(option, value)?),
            "--name" => {
                let (name, address) = value.split_once('=').ok_or("--name takes NAME=ADDRESS:PORT")?;
                let names: Resolver = std::mem::take(&mut config.names);
                config.names = names.with(name, read::<SocketAddr>(option, address)?);
            }
            "--write-root" => self.root = Some(value.into()),
            "--write-issuer-root" => self.issuer_root = Some(value.into()),
            "--lifetime" => config.lifetime = Duration::from_secs(read(option, value)?),
            "--alternates" => config.alternates = read(option, value)?,
            "--chain-length" => config.chain_length = read(option, value)?,
            "--processing" => config.processing = read(option, value)?,
            "--validation-delay" => config.validation_delay = Duration::from_millis(read(option, value)?),
            "--retry-after" => config.retry_after = Some(RetryAfter::Seconds(read(option, value)?)),
            "--fault" => config.faults.rules.push(value.parse().map_err(|e| format!("--fault: {e}"))?),
            _ => return Err(format!("{option} is no option")),
        }
        Ok(())
    }
}

fn read<T: std::str::FromStr>(option: &str, value: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    value.parse().map_err(|e| format!("{option} {value}: {e}"))
}

fn run(options: Options) -> io::Result<()> {
    let ca = TestCa::start(options.config)?;
    for (file, pem) in [(options.root, ca.root_pem()), (options.issuer_root, ca.issuer_root_pem())] {
        if let Some(file) = file {
            std::fs::write(&file, pem)
                .map_err(|e| io::Error::new(e.kind(), format!("cannot write {}: {e}", file.display())))?;
        }
    }
    // One line, last of all: who reads it can begin.
    say(&mut io::stdout(), &format!("{}\n", ca.directory_url()))?;
    if options.verbose {
        std::thread::scope(|scope| {
            let (ended, end) = std::sync::mpsc::channel();
            scope.spawn(move || {
                let outcome = wait_for_end();
                drop(ended);
                outcome
            });
            report(&ca, &end)
        })
    } else {
        wait_for_end()
    }
}

/// Reads standard input until it ends.
fn wait_for_end() -> io::Result<()> {
    let (mut input, mut ignored) = (io::stdin().lock(), [0; 256]);
    while input.read(&mut ignored)? > 0 {}
    Ok(())
}

/// Says what has happened since, until the other end of the channel is dropped.
fn report(ca: &TestCa, end: &std::sync::mpsc::Receiver<()>) -> io::Result<()> {
    let (mut requests, mut violations) = (0, 0);
    loop {
        let ended = end.recv_timeout(Duration::from_millis(50)) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected);
        let (all, wrong) = (ca.requests(), ca.violations());
        for line in &all[requests..] {
            say(&mut io::stderr(), &format!("{line}\n"))?;
        }
        for line in &wrong[violations..] {
            say(&mut io::stderr(), &format!("mistake: {line}\n"))?;
        }
        (requests, violations) = (all.len(), wrong.len());
        if ended {
            return Ok(());
        }
    }
}

fn say(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}
