//! What is shown to people and to programs.
//!
//! Results go to standard output, everything else to standard error. On a terminal there is progress, and colour unless
//! NO_COLOR is set; without one nothing is said but results, warnings and errors.

use std::io::{self, IsTerminal as _, Write as _};

use portcullis::Lowered;

use crate::roles::Role;
use crate::run::crew::Crew;
use crate::run::kernel;
use crate::run::records::Machine;

/// How things are shown.
#[derive(Debug)]
pub(crate) struct Ui {
    verbose: bool,
    json: bool,
    terminal: bool,
    /// Colour on standard output.
    colour: bool,
    /// Colour on standard error.
    colour_errors: bool,
}

impl Ui {
    /// Looks at where output goes, once, before anything is sealed.
    pub(crate) fn new(verbose: bool, json: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let colour = wanted && io::stdout().is_terminal();
        Self { verbose, json, terminal, colour, colour_errors: wanted && terminal }
    }

    /// Whether everything is to be said.
    pub(crate) const fn verbose(&self) -> bool {
        self.verbose
    }

    /// Whether results are for programs.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// What is being done for a certificate.
    pub(crate) fn stage(&self, name: &str, what: &str) {
        if self.verbose || self.terminal && !self.json {
            say(&format!("{name}: {what}"));
        }
    }

    /// What each process can still do, for those who want to know everything.
    pub(crate) fn crew(&self, crew: &Crew) {
        if !self.verbose || self.json {
            return;
        }
        for (role, pid, report) in crew.reports() {
            let seen = kernel::view(pid).unwrap_or_default();
            let calls = report.map_or(0, |report| report.calls_allowed);
            let sealed = match (report, calls) {
                (None, _) => "not sealed, for what it starts must be free".to_owned(),
                (Some(_), 0) => "system calls are not filtered".to_owned(),
                (Some(_), calls) => format!("{calls} system calls"),
            };
            say(&format!(
                "{:<9} {}: {sealed}; Seccomp {}, NoNewPrivs {}, CapEff {}, uid {}",
                role.name(),
                role.spec().job,
                seen.seccomp,
                seen.no_new_privs,
                seen.capabilities,
                seen.uid.split(' ').next().unwrap_or_default(),
            ));
        }
    }

    /// Something for those who want to know everything.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            say(text);
        }
    }

    /// Something that everybody should know.
    pub(crate) fn note(&self, text: &str) {
        say(text);
    }

    /// A line of the result.
    pub(crate) fn print(&self, line: &str) {
        print(line);
    }

    /// Good news on standard output, in green where there is colour.
    pub(crate) fn good(&self, text: &str) -> String {
        paint(text, "32", self.colour)
    }

    /// Bad news on standard output, in red.
    pub(crate) fn bad(&self, text: &str) -> String {
        paint(text, "31", self.colour)
    }

    /// Something about a certificate that could not be had.
    pub(crate) fn failed(&self, name: &str, text: &str) {
        say(&format!("{name}: {}: {text}", paint("failed", "31", self.colour_errors)));
    }
}

fn paint(text: &str, colour: &str, wanted: bool) -> String {
    if wanted { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// What a role says outside its channels: its last words, or those of a library in it.
pub(crate) fn said(role: Role, text: &str) {
    for line in text.lines() {
        say(&format!("{role} says: {line}"));
    }
}

/// A call that a role was refused, for those who want to know everything.
pub(crate) fn refused(line: &str) {
    say(&format!("sandbox: {line}; the run goes on"));
}

/// The same for people: each process has its code in other places.
fn same_lowered(one: &Lowered, other: &Lowered) -> bool {
    (one.layer, &one.left, &one.why) == (other.layer, &other.left, &other.why)
}

/// Layers that roles do without, as their rehearsals on this machine showed. What is the same for several is said once.
pub(crate) fn lowered(mut lowered: Vec<(Role, Lowered)>) {
    while let Some((_, first)) = lowered.first().cloned() {
        let same: Vec<Role> =
            lowered.extract_if(.., |(_, other)| same_lowered(other, &first)).map(|(role, _)| role).collect();
        let names: Vec<&str> = same.iter().map(|role| role.name()).collect();
        let does = if names.len() == 1 { "does" } else { "do" };
        let Machine { arch, kernel, libc, .. } = Machine::here();
        say(&format!(
            "sandbox: {} {does} without the layer {} on this machine ({arch}, Linux {kernel}, {libc}); what is left of it: {}. \
             {}. The run goes on; this has nothing to do with the CA. Please report it: acme-client sandbox report",
            names.join(", "),
            first.layer,
            first.left,
            privsep::printable(&first.why)
        ));
    }
}

/// An error, as the last thing that is said.
pub(crate) fn error(text: &str) {
    say(text);
}

fn say(text: &str) {
    // A closed standard error is no reason to stop a renewal.
    let _ = writeln!(io::stderr(), "acme-client: {text}");
}

fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A date and time, in universal time.
pub(crate) fn date(unix: u64) -> String {
    let time = i64::try_from(unix).ok().and_then(|unix| jiff::Timestamp::from_second(unix).ok());
    time.map_or_else(|| "a date out of range".to_owned(), |time| time.to_string())
}

/// The day alone.
pub(crate) fn day(unix: u64) -> String {
    date(unix).split('T').next().unwrap_or_default().to_owned()
}
