//! `renew`: the certificates that are due.

use crate::cli::Renew;
use crate::commands::Outcome;
use crate::commands::obtain::obtain;
use crate::config::{Config, Definition};
use crate::error::{Error, Result};
use crate::state::State;
use crate::ui::Ui;

/// Renews what is due, or what is named, or everything.
pub(crate) fn run(config: &Config, options: &Renew, ui: Ui) -> Result<Outcome> {
    let mut definitions = known(config, &ui)?;
    if !options.names.is_empty() {
        if let Some(missing) = options.names.iter().find(|name| !definitions.iter().any(|known| known.name == **name)) {
            return Err(Error::failed(format!(
                "there is no certificate called {missing}; `acme-client status` shows those that there are"
            )));
        }
        definitions.retain(|known| options.names.contains(&known.name));
    }
    if definitions.is_empty() {
        ui.note("there are no certificates yet; get one with: acme-client issue NAME --webroot DIR");
    }
    obtain(config, definitions, options.force, "renew", ui)
}

/// Every certificate that is configured, and those that were had without a configuration and are in use.
pub(crate) fn known(config: &Config, ui: &Ui) -> Result<Vec<Definition>> {
    let state = State::new(&config.state, config.uid_base);
    let mut definitions = config.certificates.clone();
    for name in state.names()? {
        if definitions.iter().any(|known| known.name == name) {
            continue;
        }
        match state.live(&name) {
            // Who revokes a certificate does not want another one like it.
            Ok(_) if state.record(&name).revoked.is_some() => {}
            Ok(Some(live)) => match live.settings {
                Some(settings) => definitions.push(settings),
                None => ui.note(&format!("{name}: how it was had is not known; it is not renewed. Issue it again")),
            },
            Ok(None) => ui.note(&format!("{name}: its files are not there; it is not renewed. Issue it again")),
            Err(error) => ui.note(&format!("{name}: {error}; it is not renewed")),
        }
    }
    Ok(definitions)
}
