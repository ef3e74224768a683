//! Seals itself with the promises named on the command line, and shows what holds:
//! `cargo run -p portcullis --example seal -- stdio connect`.

use std::io::Write as _;
use std::time::Instant;

use portcullis::{Promise, Sandbox};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut sandbox = Sandbox::new("example").promise(Promise::Stdio);
    for name in std::env::args().skip(1) {
        let known = Promise::ALL.into_iter().find(|promise| promise.name() == name);
        sandbox = sandbox.promise(known.ok_or_else(|| format!("there is no promise {name:?}"))?);
    }
    let started = Instant::now();
    let prepared = sandbox.prepare()?;
    let between = Instant::now();
    let report = prepared.seal()?;
    let (prepare, seal) = (between - started, between.elapsed());
    writeln!(std::io::stdout(), "{report}\nprepared in {prepare:?}, sealed in {seal:?}")?;
    Ok(())
}
