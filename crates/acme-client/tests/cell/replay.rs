//! `replay`: what a report of a user's machine says was refused, is it refused here?
//!
//! `ACME_TEST_REPORT` names the output of `acme-client sandbox report --json`. The commands it speaks of are run in this cell
//! against the CA of the tests, without the classes that were withheld there if any were, and what is on record afterwards is
//! compared, call by call. A report is somebody else's text: nothing in it is believed, run or printed unchecked.
//!
//! Without a report the two that come with the lab are replayed: a real one, which must come out as reproduced, and one that
//! is made up, which must not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Value, json};
use syscall_policy::Class;

use crate::Told;
use crate::program::{As, for_everybody};
use crate::scene::{Scene, WebServer};

/// Of a program that was sealed without classes that it needs.
const REAL: &str = include_str!("reports/real.json");

/// Of nothing that ever happened.
const MADE_UP: &str = include_str!("reports/made-up.json");

/// Bytes of a report that are read. The program writes less.
const MOST: u64 = 4 << 20;

/// Sets of classes withheld that are played. Reports of users have none.
const GROUPS: usize = 8;

pub(crate) fn run() -> Result<Told, String> {
    if let Some(path) = std::env::var_os("ACME_TEST_REPORT") {
        return replay(&read(Path::new(&path))?);
    }
    let real = replay(REAL)?;
    if real.data["untested"].is_string() {
        return Ok(real);
    }
    let made_up = replay(MADE_UP)?;
    let all = |told: &Told, wanted: bool| rows(told).iter().all(|row| row["reproduced"] == wanted);
    if rows(&real).is_empty() || !all(&real, true) {
        return Err(format!("a real report is not reproduced: {}", real.detail));
    }
    if rows(&made_up).is_empty() || !all(&made_up, false) {
        return Err(format!("a made-up report is reproduced: {}", made_up.detail));
    }
    for (what, report) in MALFORMED {
        if let Ok(told) = replay(report) {
            return Err(format!("a report {what} is taken for one: {}", told.detail));
        }
    }
    Ok(Told::of(
        format!("a real report: {}; a made-up one: {}", real.detail, made_up.detail),
        json!({ "real": real.data, "made-up": made_up.data }),
    ))
}

const MALFORMED: &[(&str, &str)] = &[
    ("of nothing", ""),
    ("that is a list", "[]"),
    ("of another version", r#"{"version":2,"command":"sandbox report","records":[]}"#),
    ("of another command", r#"{"version":1,"command":"doctor","records":[]}"#),
    ("with a number for a role", r#"{"version":1,"command":"sandbox report","records":[{"role":1,"kind":"ended"}]}"#),
    (
        "with an option in it",
        r#"{"version":1,"command":"sandbox report","records":[{"role":"net","kind":"ended","withheld":["poll","--state=/"]}]}"#,
    ),
    (
        "with a line in it",
        r#"{"version":1,"command":"sandbox report","records":[{"role":"net\nLAB {}","kind":"ended"}]}"#,
    ),
];

fn rows(told: &Told) -> &[Value] {
    told.data["records"].as_array().map_or(&[], Vec::as_slice)
}

fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if std::fs::metadata(path).map_err(failed)?.len() > MOST {
        return Err(format!("{}: too large for a report", path.display()));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// What a report must have for a replay. Whatever else is in it is left alone.
#[derive(Deserialize)]
struct Report {
    version: u64,
    command: String,
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    role: String,
    kind: String,
    /// Not in reports of earlier versions.
    #[serde(default)]
    command: String,
    #[serde(default)]
    withheld: Vec<String>,
    #[serde(default)]
    layer: Option<String>,
    /// The calls that a rehearsal was refused.
    #[serde(default)]
    refused: Vec<Call>,
    #[serde(flatten)]
    call: Call,
}

#[derive(Clone, Default, Deserialize)]
struct Call {
    #[serde(default)]
    call: Option<String>,
    #[serde(default)]
    number: Option<u32>,
    #[serde(default)]
    class: Option<String>,
    #[serde(default)]
    symbol: Option<String>,
}

/// One thing that is said to have happened.
#[derive(Clone)]
struct Claim {
    role: String,
    kind: String,
    command: String,
    withheld: BTreeSet<String>,
    /// The layer that was lowered, if it is not known for which call.
    layer: Option<String>,
    call: Call,
}

fn claims(text: &str) -> Result<Vec<Claim>, String> {
    let report: Report = serde_json::from_str(text).map_err(|error| format!("this is no report: {error}"))?;
    if report.version != 1 || report.command != "sandbox report" {
        return Err("this is no report of `acme-client sandbox report --json`, version 1".to_owned());
    }
    let claims: Vec<Claim> = report.records.into_iter().flat_map(Record::claims).collect();
    for claim in &claims {
        let Call { call, class, symbol, .. } = &claim.call;
        let texts = [Some(&claim.role), Some(&claim.kind), Some(&claim.command), claim.layer.as_ref()];
        for text in texts.into_iter().chain([call.as_ref(), class.as_ref(), symbol.as_ref()]).flatten() {
            if text.len() > 512 || text.chars().any(char::is_control) {
                return Err("this is no report: a name in it is too long, or not one".to_owned());
            }
        }
        for withheld in &claim.withheld {
            let (role, class) = withheld.split_once(':').unwrap_or(("", withheld));
            if !role.bytes().all(|byte| byte.is_ascii_lowercase()) || Class::named(class).is_none() {
                return Err("this is no report: something was withheld that is no class".to_owned());
            }
        }
    }
    Ok(claims)
}

impl Record {
    fn claims(self) -> Vec<Claim> {
        let Self { role, kind, command, withheld, layer, refused, call } = self;
        let claim = Claim { role, kind, command, withheld: withheld.into_iter().collect(), layer, call };
        if claim.kind != "lowered" || refused.is_empty() {
            return vec![claim];
        }
        refused.into_iter().map(|call| Claim { call, layer: None, ..claim.clone() }).collect()
    }
}

impl Claim {
    /// The same thing, wherever in the role it came about. Whether it came about in a rehearsal does not matter.
    fn is_like(&self, other: &Self) -> bool {
        let same_call = match (&self.call.call, &other.call.call) {
            (Some(one), Some(other)) => one == other,
            // A call without a name has a number that nothing else has on any architecture (since Linux 5.1).
            (None, None) => self.call.number == other.call.number,
            _ => false,
        };
        let same_kind = self.call.call.is_some() || self.call.number.is_some() || self.kind == other.kind;
        self.role == other.role
            && same_call
            && same_kind
            && self.call.class == other.call.class
            && self.layer == other.layer
            && (self.command.is_empty() || self.command == other.command)
    }

    /// Whether it was in the same function, as far as is known.
    fn place(&self, other: &Self) -> &'static str {
        match (function(&self.call.symbol), function(&other.call.symbol)) {
            (Some(one), Some(other)) if one == other => "the same function",
            (Some(_), Some(_)) => "another place",
            _ => "not known",
        }
    }

    fn row(&self, here: &[Self], why_not: &str) -> Value {
        let like: Vec<&Self> = here.iter().filter(|other| self.is_like(other)).collect();
        let nearest = like.iter().find(|other| self.place(other) == "the same function").or_else(|| like.first());
        json!({
            "role": self.role,
            "call": self.call.call,
            "number": self.call.number,
            "class": self.call.class,
            "symbol": self.call.symbol,
            "reproduced": nearest.is_some(),
            "place": nearest.map(|other| self.place(other)),
            "why-not": nearest.is_none().then_some(why_not),
            "here": nearest.map(|other| json!({
                "kind": other.kind,
                "command": other.command,
                "number": other.call.number,
                "symbol": other.call.symbol,
            })),
        })
    }
}

/// A symbol without the distance from its start, and without what rustc adds to tell one build of a function from another.
fn function(symbol: &Option<String>) -> Option<&str> {
    let name = symbol.as_deref()?.split('+').next()?;
    Some(
        name.rsplit_once("17h")
            .filter(|(_, hash)| hash.len() == 17 && hash.ends_with('E'))
            .map_or(name, |(name, _)| name),
    )
}

/// Plays what the report is about, and compares.
fn replay(text: &str) -> Result<Told, String> {
    let claims = claims(text)?;
    let groups: BTreeSet<&BTreeSet<String>> = claims.iter().map(|claim| &claim.withheld).collect();
    if groups.len() > GROUPS {
        return Err(format!(
            "this is a report about {} ways to break a sandbox, and {GROUPS} are enough",
            groups.len()
        ));
    }
    let mut rows = Vec::new();
    for withheld in groups {
        let of_group: Vec<&Claim> = claims.iter().filter(|claim| claim.withheld == *withheld).collect();
        let mut here = Vec::new();
        for way in ways() {
            let missing = |claim: &&Claim| !here.iter().any(|other| claim.is_like(other));
            let commands: BTreeSet<&str> =
                of_group.iter().copied().filter(missing).map(|claim| claim.command.as_str()).collect();
            if commands.is_empty() {
                break;
            }
            match play(&way, &commands, withheld)? {
                Some(found) => here.extend(found),
                None => {
                    return Ok(Told::untested("no system calls are filtered here, so none is refused"));
                }
            }
        }
        rows.extend(of_group.iter().map(|claim| {
            let known = RUNS.contains(&claim.command.as_str()) || claim.command.is_empty();
            claim.row(&here, if known { "nothing like it is refused here" } else { "this command is not replayed" })
        }));
    }
    let reproduced = rows.iter().filter(|row| row["reproduced"] == true).count();
    let elsewhere = rows.iter().filter(|row| row["place"] == "another place").count();
    let detail = match (rows.len(), elsewhere) {
        (0, _) => "nothing was refused there, so there is nothing to reproduce".to_owned(),
        (all, 0) => format!("{reproduced} of {all} reproduced"),
        (all, _) => format!("{reproduced} of {all} reproduced, {elsewhere} of them from another place"),
    };
    Ok(Told::of(detail, json!({ "records": rows })))
}

/// Commands that are replayed.
const RUNS: [&str; 4] = ["issue", "renew", "revoke", "account show"];

/// How a command is run: a report does not say.
struct Way {
    user: As,
    /// By files for a web server.
    webroot: bool,
}

/// The likeliest first.
fn ways() -> Vec<Way> {
    let mut ways: Vec<Way> = As::all().into_iter().map(|user| Way { user, webroot: false }).collect();
    ways.push(Way { user: As::Caller, webroot: true });
    ways
}

/// Where everybody can start it.
fn attacks_for_everybody() -> Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(|| Ok(for_everybody(crate::attacks()?, "acme-client-with-attacks"))).clone()
}

/// Runs the commands, and tells what is on record then. `None`: there is nothing that could be.
fn play(way: &Way, commands: &BTreeSet<&str>, withheld: &BTreeSet<String>) -> Result<Option<Vec<Claim>>, String> {
    let mut scene = Scene::new(way.user);
    if !withheld.is_empty() {
        scene.program.binary = attacks_for_everybody()?;
    }
    let options: Vec<String> = withheld.iter().map(|what| format!("--withhold={what}")).collect();
    let with = |line: &[&str]| -> Vec<String> {
        line.iter().map(|word| (*word).to_owned()).chain(options.iter().cloned()).collect()
    };
    let run = |line: &[&str]| {
        let line = with(line);
        scene.run(&line.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let root = scene.program.make_directory("webroot");
    let listen = scene.address.to_string();
    let _server = way.webroot.then(|| WebServer::serve(scene.address, root.clone().into()));
    // Whether it goes well is not what is asked; the others need its certificate.
    if way.webroot {
        run(&["issue", "www.example", "--webroot", &root]);
    } else {
        run(&["issue", "www.example", "--listen", &listen]);
    }
    if commands.contains("account show") {
        run(&["account", "show"]);
    }
    if commands.contains("renew") {
        run(&["renew", "--force"]);
    }
    if commands.contains("revoke") {
        run(&["revoke", "www.example"]);
    }
    let told = scene.program.run(&["sandbox", "report", "--json"]);
    let report: Value =
        serde_json::from_str(&told.stdout).map_err(|_| format!("no report of this machine: {told:?}"))?;
    let mut layers = report["layers"].as_array().into_iter().flatten();
    if !layers.any(|layer| layer[0] == "seccomp" && layer[1] == "enforced") {
        return Ok(None);
    }
    claims(&told.stdout).map(Some)
}
