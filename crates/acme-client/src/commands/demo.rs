//! `demo`: a certificate from a CA inside the program.
//!
//! The CA is a real one, only small: it fetches the proof, checks every signature, and signs with a root that nobody
//! trusts and that is gone afterwards. The client is this very program, started as a user would start it.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use test_ca::{Config as CaConfig, Resolver, TestCa};

use crate::commands::doctor::Place;
use crate::commands::{Outcome, now};
use crate::crypto::chain::{self, Wanted};
use crate::error::{Error, Result};
use crate::ui::Ui;

/// A name under which nobody can have anything (RFC 2606).
const NAME: &str = "demo.example";

/// Starts the CA and the client, and looks at what comes of it.
pub(crate) fn run(ui: &Ui) -> Result<Outcome> {
    let failed = |error: std::io::Error| Error::failed(format!("the demonstration cannot start: {error}"));
    let place = Place::make()?;
    // A port that is free now will be free in a moment.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(failed)?;
    let ca = TestCa::start(CaConfig { names: Resolver::everywhere(port), ..CaConfig::default() }).map_err(failed)?;
    let ca_file = place.0.join("ca.pem");
    std::fs::write(&ca_file, ca.root_pem()).map_err(failed)?;

    ui.print(&format!("A certificate authority listens at {}.", ca.directory_url()));
    ui.print(&format!("The client gets a certificate for {NAME} from it, and answers its question on {port}:"));
    ui.print("");
    let started = Instant::now();
    let program = privsep::own_program().map_err(failed)?;
    let mut client = Command::new(program);
    client
        .args(["issue", NAME, "--verbose", "--listen", &port.to_string(), "--directory", &ca.directory_url()])
        .arg("--config")
        .arg("/dev/null")
        .arg("--state")
        .arg(place.0.join("state"))
        .arg("--ca-file")
        .arg(&ca_file);
    let status = privsep::spawn(&mut client).and_then(|mut child| child.wait()).map_err(failed)?;
    let took = started.elapsed();
    ui.print("");
    if !status.success() {
        return Err(Error::failed("the demonstration failed; the words above say why"));
    }
    verify(&place, &ca, took, ui)?;
    for text in ca.violations() {
        ui.note(&format!("the CA complains: {text}"));
    }
    Ok(if ca.violations().is_empty() { Outcome::Done } else { Outcome::Failed })
}

/// Looks at the files as a web server would, and at the chain as a browser that trusts the CA would.
fn verify(place: &Place, ca: &TestCa, took: Duration, ui: &Ui) -> Result<()> {
    let live = place.0.join("state/live").join(NAME);
    let read = |name: &str| {
        let path = live.join(name);
        std::fs::read(&path).map_err(|error| Error::file("read", &path, error))
    };
    let key = crate::crypto::key::PrivateKey::from_pem(&read("privkey.pem")?);
    let public = key.and_then(|key| key.public_der()).map_err(|error| Error::failed(error.to_string()))?;
    let name = acme::Identifier::parse(NAME).map_err(|error| Error::failed(error.to_string()))?;
    let wanted = Wanted { public: &public, names: std::slice::from_ref(&name), not_older_than: None, now: now() };
    let mut chain = read("fullchain.pem")?;
    chain.extend_from_slice(ca.issuer_root_pem().as_bytes());
    let checked = chain::check(&chain, &wanted).map_err(Error::failed)?;
    ui.print(&format!("Checked: the key fits, and the chain holds up to the CA's root ({}).", checked.facts.issuer));
    ui.print(&format!("It took {} ms, and the CA saw these requests:", took.as_millis()));
    for request in ca.requests() {
        ui.print(&format!("  {request}"));
    }
    ui.print("Everything is removed again. For the real thing: acme-client issue NAME --webroot DIR");
    Ok(())
}
