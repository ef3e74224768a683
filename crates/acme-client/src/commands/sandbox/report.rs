//! `sandbox report`: what was refused, where, and on what machine, for whoever can do something about it.

use serde::Serialize;

use crate::commands::Outcome;
use crate::commands::sandbox::symbol;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::run::records::{self, Machine, Record, What};
use crate::ui::{self, Ui};

/// A record, with the function that made the call as far as the file's symbols say.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    record: Record,
    symbol: Option<String>,
}

/// Shows it.
pub(crate) fn run(config: &Config, ui: &Ui) -> Result<Outcome> {
    let path = records::path(&config.state);
    let records = records::read(&config.state).map_err(|error| Error::file("read", &path, error))?;
    let shown: Vec<Shown> = records.into_iter().map(with_symbol).collect();
    let machine = Machine::here();
    let layers = portcullis::machine();
    if ui.json() {
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| (layer.layer.to_string(), layer.outcome.word(), layer.outcome.text().to_owned()))
            .collect();
        let shown: Vec<Shown> = shown.into_iter().map(without_directories).collect();
        let json = serde_json::json!({
            "version": 1,
            "command": "sandbox report",
            "machine": machine,
            "system": system(),
            "layers": layers,
            "records": shown,
        });
        ui.print(&json.to_string());
        return Ok(Outcome::Done);
    }
    let Machine { version, arch, kernel, libc } = machine;
    ui.print(&format!("acme-client {version} on {arch}, Linux {kernel}, {libc}, {}", system()));
    layers.iter().for_each(|layer| ui.print(&format!("  {layer}")));
    ui.print("");
    if shown.is_empty() {
        ui.print(&format!("Nothing was refused in any run ({}).", path.display()));
        return Ok(Outcome::Done);
    }
    ui.print(&format!("What the sandbox did ({}):", path.display()));
    for Shown { record, symbol } in &shown {
        let symbol = symbol.as_ref().map(|symbol| format!(" ({symbol})")).unwrap_or_default();
        let Machine { version, arch, kernel, libc } = &record.machine;
        ui.print(&format!("  {} {}{symbol}", ui::date(record.time), records::line(record)));
        ui.print(&format!("      acme-client {version} on {arch}, Linux {kernel}, {libc}"));
    }
    ui.print("");
    if shown.iter().any(|shown| shown.record.what == What::Ended) {
        ui.print(&ui.bad("A process was ended for what no honest library does: somebody may have broken into it."));
    } else {
        ui.print("None of this stopped a run. If something else does not work, please report it with the output of");
        ui.print("`acme-client sandbox report --json`; there is nothing secret in it.");
    }
    Ok(Outcome::Done)
}

fn with_symbol(mut record: Record) -> Shown {
    // What was recorded with another C library is in other places of its file.
    let here = record.machine.libc == portcullis::c_library();
    let symbol = match &mut record.what {
        What::Refused { from: Some(place), .. } if here => symbol::at(place),
        What::Lowered { refused, .. } if here => {
            for missed in refused {
                missed.symbol = missed.from.as_ref().and_then(symbol::at);
            }
            None
        }
        _ => None,
    };
    Shown { record, symbol }
}

/// Files by their names: directories may be called after people.
fn without_directories(mut shown: Shown) -> Shown {
    let places = match &mut shown.record.what {
        What::Refused { from, .. } => vec![from],
        What::Lowered { refused, .. } => refused.iter_mut().map(|missed| &mut missed.from).collect(),
        What::Ended => Vec::new(),
    };
    for place in places.into_iter().flatten() {
        if let Some(at) = place.file.rfind('/') {
            place.file.drain(..=at);
        }
    }
    shown
}

/// The system's own name for itself (os-release(5)).
fn system() -> String {
    let text = std::fs::read_to_string("/etc/os-release")
        .or_else(|_| std::fs::read_to_string("/usr/lib/os-release"))
        .unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map(|name| privsep::printable(name.trim_matches('"')));
    name.unwrap_or_else(|| "a system without a name".to_owned())
}
