//! `life`: certificates are had, renewed and revoked, and the sandbox refuses nothing meanwhile.

use serde_json::{Value, json};
use test_ca::Config;

use crate::program::{As, Ran};
use crate::scene::{Scene, WebServer, files};
use crate::{Told, keep, share};

/// The name that a listener of the program's own proves, with another one.
const FIRST: &str = "a.example";
/// The name that a web server proves.
const SECOND: &str = "c.example";

/// As root and as an ordinary user.
pub(crate) fn run() -> Result<Told, String> {
    let mut told = Vec::new();
    for user in share::users() {
        let requests = live(user).map_err(|why| format!("{user:?}: {why}"))?;
        told.push(format!("{user:?} {requests} requests"));
    }
    Ok(Told::words(told.join(", ")))
}

fn live(user: As) -> Result<usize, String> {
    let scene = Scene::with(user, Config::default());
    let must = |what: &str, ran: &Ran, words: &str| {
        let as_it_must = ran.status == Some(0) && ran.stdout.contains(words);
        as_it_must.then_some(()).ok_or_else(|| format!("{what}: {ran:?}"))
    };
    must("issue with a listener", &scene.issue(&[FIRST, "b.example"]), "a.example: renewed")?;
    scene.assert_whole(FIRST);
    let before = scene.live(FIRST, "cert.pem");

    let webroot = scene.program.make_directory("www");
    let server = WebServer::serve(scene.address, webroot.clone().into());
    must("issue with a webroot", &scene.run(&["issue", SECOND, "--webroot", &webroot]), "c.example: renewed")?;
    drop(server);
    scene.assert_whole(SECOND);
    if let Some(left) = files(webroot.as_ref()).first() {
        return Err(format!("{} was left in the webroot", left.display()));
    }

    let asked = scene.ca.requests().len();
    let ran = scene.run(&["--exit-unchanged", "7", "renew"]);
    if (ran.status, ran.stdout.as_str(), scene.ca.requests().len()) != (Some(7), "", asked) {
        return Err(format!("nothing is due, and yet: {ran:?}"));
    }
    must("renew by force", &scene.run(&["renew", FIRST, "--force"]), "a.example: renewed")?;
    scene.assert_whole(FIRST);
    if scene.live(FIRST, "cert.pem") == before {
        return Err("the certificate that was renewed by force is the old one".to_owned());
    }

    let ran = scene.run(&["--json", "status"]);
    let status: Value = serde_json::from_str(&ran.stdout).map_err(|error| format!("status: {error}: {ran:?}"))?;
    let days = [0, 1].map(|at| status["certificates"][at]["days-left"].as_u64());
    if days != [Some(89); 2] {
        return Err(format!("status: {status}"));
    }
    must("revoke", &scene.run(&["revoke", FIRST]), "")?;
    if scene.ca.violations().is_empty() { refused_nothing(&scene) } else { Err(format!("{:?}", scene.ca.violations())) }
}

/// That nothing was refused in any of these runs. How often the CA was asked.
fn refused_nothing(scene: &Scene) -> Result<usize, String> {
    let ran = scene.program.run(&["sandbox", "report", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).map_err(|error| format!("report: {error}: {ran:?}"))?;
    let records = report["records"].as_array().ok_or_else(|| format!("a report without records: {report}"))?;
    if records.is_empty() {
        return Ok(scene.ca.requests().len());
    }
    let lines: Vec<String> = records.iter().map(line).collect();
    keep("report", report.clone());
    Err(format!("the sandbox was in the way: {}", lines.join("; ")))
}

/// A record in a line.
fn line(record: &Value) -> String {
    let word = |field: &str| match &record[field] {
        Value::String(text) => text.clone(),
        Value::Null => "?".to_owned(),
        other => other.to_string(),
    };
    let role = word("role");
    match record["kind"].as_str() {
        Some("refused") => {
            let call = if record["call"].is_null() { word("number") } else { word("call") };
            let from =
                if record["symbol"].is_null() { record["from"]["file"].clone() } else { record["symbol"].clone() };
            let from = from.as_str().map_or_else(|| "nowhere known".to_owned(), str::to_owned);
            format!("{role} {call} ({}) {} from {from}, {} times", word("class"), word("answer"), record["count"])
        }
        Some("lowered") => format!("{role} does without {}: {}", word("layer"), word("why")),
        _ => format!("{role} was ended: {}", json!(record)),
    }
}
