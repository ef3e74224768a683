//! `demo`: a whole issuance, sealed, with the CA inside the program.

use crate::Told;
use crate::program::Program;
use crate::share;

/// As root and as an ordinary user; the sandbox refuses nothing.
pub(crate) fn run() -> Result<Told, String> {
    let mut told = Vec::new();
    for user in share::users() {
        let ran = Program::new(user).run(&["demo"]);
        if ran.status != Some(0) || !ran.stdout.contains("Checked: the key fits") {
            return Err(format!("{user:?}: {ran:?}"));
        }
        if let Some(line) = ran.stderr.lines().find(|line| line.contains("sandbox: ")) {
            return Err(format!("{user:?}: {line}"));
        }
        let took = ran.stdout.lines().find_map(|line| line.strip_prefix("It took "));
        told.push(format!("{user:?} {}", took.and_then(|rest| rest.split(',').next()).unwrap_or_default()));
    }
    Ok(Told::words(told.join(", ")))
}
