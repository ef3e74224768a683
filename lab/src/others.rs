//! Systems that are not Linux. Nothing here can run a program of theirs: what can be shown is that the compiler accepts the crates
//! that are for them, and that examples link.

use std::time::Instant;

use crate::child;
use crate::cross::{self, Site, Source, Target, Toolchain};
use crate::error::Result;
use crate::place::{Kept, Place};

/// The systems.
const SYSTEMS: [&str; 3] = ["x86_64-unknown-freebsd", "x86_64-unknown-openbsd", "aarch64-apple-darwin"];

/// What is done for each: to people, to Cargo, and its arguments.
const STEPS: [(&str, &str, &[&str]); 2] = [
    ("portcullis and privsep are checked", "check", &["-p", "portcullis", "-p", "privsep"]),
    ("examples of portcullis are linked", "build", &["-p", "portcullis", "--examples"]),
];

/// Goes through all systems and steps, and tells of each. Whether all is well.
pub(crate) fn run(place: &Place, say: &dyn Fn(&str)) -> Result<bool> {
    let _lock = place.lock(Kept::Builds)?;
    let source = Source::read(&place.source)?;
    let mut well = true;
    for system in SYSTEMS {
        for (people, what, arguments) in STEPS {
            let started = Instant::now();
            let done = step(place, &Target::other(system), &source, what, arguments);
            well &= done.is_ok();
            let told = done.err().map_or_else(|| "yes".to_owned(), |error| format!("no: {error}"));
            say(&format!("{system:<24} {people:<36} {:>4} s  {told}", started.elapsed().as_secs()));
        }
    }
    Ok(well)
}

fn step(place: &Place, system: &Target, source: &Source, what: &str, arguments: &[&str]) -> Result<()> {
    let toolchain = Toolchain::find(place, system)?;
    let site = Site::usual(place, system);
    source.stage(&site.source)?;
    let mut command = cross::command(place, &site, system, &toolchain, what)?;
    command.args(["--locked", "--profile", "lab", "--target", &system.triple]).args(arguments);
    if system.name.contains("apple") {
        // The tool that would do it is not part of Debian's compiler.
        command.env("CARGO_PROFILE_LAB_STRIP", "none");
    }
    let log = place.log(&format!("others-{what}-{}", system.name))?;
    child::succeeds(command.current_dir(&site.source), &log, cross::LIMIT)
}
