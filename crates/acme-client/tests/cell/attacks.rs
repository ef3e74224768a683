//! `attacks`: whoever has taken over a role gets nothing by any system call.

use std::process::Stdio;

use serde_json::{Map, Value, json};

use crate::program::As;
use crate::scene::Scene;
use crate::{Told, keep, share};

const ROLES: [&str; 7] = ["supervisor", "net", "dial", "account", "key", "challenge", "store"];

/// As whoever runs the tests: root, in a cell. What an ordinary user holds is a part of that.
pub(crate) fn run() -> Result<Told, String> {
    let attacker = crate::attacks()?;
    if super::doctor::declared().is_some_and(|declared| !declared.seccomp) {
        return Ok(Told::untested("without filters of system calls nobody claims that these are refused"));
    }
    // With the root of a CA: a cell has none of its own.
    let scene = Scene::new(As::Caller);
    let mut command = std::process::Command::new(attacker);
    command.args(["--config", "/dev/null", "--state"]).arg(scene.program.state());
    command.args(scene.line(&["attack", "--quick"]));
    if let Some(share) = share::text() {
        command.args(["--share", &share]);
    }
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut counts = Map::new();
    for role in ROLES {
        let line = text.lines().find(|line| line.starts_with(role) && line.contains(" attempts, "));
        let line =
            line.ok_or_else(|| format!("{role} was not attacked: {}", String::from_utf8_lossy(&output.stderr)))?;
        counts.insert(role.to_owned(), count(line).ok_or_else(|| format!("{role}: {line}"))?);
    }
    let sum = |field: &str| counts.values().filter_map(|count| count[field].as_u64()).sum::<u64>();
    let (made, succeeded, odd) = (sum("made"), sum("succeeded"), sum("odd"));
    keep("roles", Value::Object(counts.clone()));
    let few = counts.values().any(|count| count["made"].as_u64() < Some(MANY));
    if succeeded + odd > 0 || few || !output.status.success() {
        let wrong = |line: &&str| ["SUCCEEDED ", "ODD ", "CHANGED "].iter().any(|word| line.starts_with(word));
        let wrong: Vec<&str> = text.lines().map(str::trim).filter(wrong).take(20).collect();
        return Err(format!(
            "{succeeded} of {made} attempts succeeded, {odd} were refused otherwise than they must be ({}): {}",
            output.status,
            wrong.join(" / ")
        ));
    }
    Ok(Told::words(format!("{made} attempts, none of which succeeded")))
}

/// So many ways must be tried in each role on any machine.
const MANY: u64 = 150;

/// The numbers of a line such as `net  97 attempts, 0 succeeded, 0 refused otherwise than they must be; 3 powers …, 4 that
/// cannot be tried here`.
fn count(line: &str) -> Option<Value> {
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    let mut next = || numbers.next();
    Some(json!({
        "made": next()?, "succeeded": next()?, "odd": next()?, "powers": next()?, "not-here": next()?,
    }))
}
