//! `check`: the configuration, without asking the CA anything.

use std::path::Path;

use crate::ca::Ca;
use crate::commands::Outcome;
use crate::config::{Config, Method};
use crate::error::Result;
use crate::roles::challenge::webroot_exists;
use crate::trust;
use crate::ui::Ui;

/// Says everything that is wrong, not just the first thing.
pub(crate) fn run(config: &Config, ui: &Ui) -> Result<Outcome> {
    Ca::configured(config)?;
    let mut problems = Vec::new();
    if let Err(text) = trust::roots(config.ca_file.as_deref()) {
        problems.push(text);
    }
    for (at, definition) in config.certificates.iter().enumerate() {
        if let Method::Webroot(path) = &definition.method
            && let Err(text) = webroot_exists(path)
        {
            problems.push(format!("certificate {}: {text}", definition.name));
        }
        for hook in definition.hooks.iter().filter_map(|hook| hook.first()) {
            if !Path::new(hook).exists() {
                problems.push(format!("certificate {}: the hook {hook} is not there", definition.name));
            }
        }
        for other in config.certificates.iter().take(at) {
            if let Some(name) = definition.names.iter().find(|name| other.names.contains(name)) {
                ui.note(&format!(
                    "{name} is in two certificates, {} and {}; is that meant?",
                    other.name, definition.name
                ));
            }
        }
    }
    let file =
        config.path.as_deref().map_or_else(|| "no configuration file".to_owned(), |path| path.display().to_string());
    if ui.json() {
        let json = serde_json::json!({ "version": 1, "command": "check", "file": file, "problems": problems });
        ui.print(&json.to_string());
    } else if problems.is_empty() {
        ui.print(&format!("{file}: {} certificates, nothing wrong", config.certificates.len()));
    } else {
        problems.iter().for_each(|text| ui.note(text));
    }
    Ok(if problems.is_empty() { Outcome::Done } else { Outcome::Failed })
}
