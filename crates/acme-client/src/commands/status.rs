//! `status`: the certificates there are.

use serde::Serialize;

use crate::commands::due::{due, renewal};
use crate::commands::{Outcome, now};
use crate::config::Config;
use crate::error::Result;
use crate::state::State;
use crate::ui::{self, Ui};

/// One certificate, as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    name: String,
    names: Vec<String>,
    /// Whole days until it expires. Negative: since.
    days_left: Option<i64>,
    not_after: Option<String>,
    /// When it is renewed, and why then.
    renewal: String,
    issuer: Option<String>,
    serial: Option<String>,
    generation: Option<u32>,
    failures: u32,
    last_error: Option<String>,
    last_failure: Option<String>,
    revoked: bool,
    directory: String,
}

/// Shows them.
pub(crate) fn run(config: &Config, ui: &Ui) -> Result<Outcome> {
    let state = State::new(&config.state, config.uid_base);
    let mut names: Vec<String> = config.certificates.iter().map(|definition| definition.name.clone()).collect();
    names.extend(state.names()?.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    let rows: Vec<Row> = names.iter().map(|name| row(config, &state, name)).collect::<Result<_>>()?;
    if ui.json() {
        ui.print(&serde_json::json!({ "version": 1, "command": "status", "certificates": rows }).to_string());
    } else if rows.is_empty() {
        ui.note("there are no certificates yet");
    } else {
        table(&rows, ui);
    }
    Ok(Outcome::Done)
}

fn row(config: &Config, state: &State, name: &str) -> Result<Row> {
    let now = now();
    let live = state.live(name)?;
    let record = state.record(name);
    let configured = config.certificates.iter().find(|definition| definition.name == name);
    let definition = configured.or_else(|| live.as_ref()?.settings.as_ref());
    let renewal = match (definition.map(|definition| due(definition, live.as_ref(), false, now)), &live) {
        _ if record.revoked.is_some() => "never (revoked)".to_owned(),
        (Some(Some(reason)), _) => format!("now ({reason})"),
        (Some(None), Some(live)) => ui::day(renewal(live)),
        _ => "unknown".to_owned(),
    };
    let facts = live.as_ref().map(|live| &live.facts);
    Ok(Row {
        name: name.to_owned(),
        names: facts
            .map(|facts| facts.names.clone())
            .or_else(|| definition.map(|definition| definition.names.iter().map(ToString::to_string).collect()))
            .unwrap_or_default(),
        days_left: facts.map(|facts| days(facts.not_after, now)),
        not_after: facts.map(|facts| ui::date(facts.not_after)),
        renewal,
        issuer: facts.map(|facts| facts.issuer.clone()),
        serial: facts.map(|facts| facts.serial.clone()),
        generation: live.as_ref().map(|live| live.generation),
        failures: record.failures,
        last_error: record.last_error,
        last_failure: record.last_failure.map(ui::date),
        revoked: record.revoked.is_some(),
        directory: state.root.join("live").join(name).display().to_string(),
    })
}

fn days(not_after: u64, now: u64) -> i64 {
    let left = i128::from(not_after) - i128::from(now);
    i64::try_from(left.div_euclid(86_400)).unwrap_or(i64::MAX)
}

/// Fits 80 columns for names of up to 36 characters.
fn table(rows: &[Row], ui: &Ui) {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).clamp(4, 36);
    ui.print(&format!("{:width$}  {:>5}  {:>9}  NEXT RENEWAL", "NAME", "NAMES", "DAYS LEFT"));
    for row in rows {
        let left = row.days_left.map_or_else(|| "-".to_owned(), |days| days.to_string());
        let left = format!("{left:>9}");
        let left = match row.days_left {
            Some(days) if days > 7 => left,
            _ => ui.bad(&left),
        };
        ui.print(&format!("{:width$}  {:>5}  {left}  {}", row.name, row.names.len(), row.renewal));
        if let (Some(error), Some(when)) = (&row.last_error, &row.last_failure) {
            ui.print(&format!("  {} ({}, {when}): {error}", ui.bad("last failure"), times(row.failures)));
        }
    }
}

fn times(failures: u32) -> String {
    if failures == 1 { "once".to_owned() } else { format!("{failures} times") }
}
