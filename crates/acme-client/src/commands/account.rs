//! `account`: who we are to the CA.

use std::time::Duration;

use crate::commands::Outcome;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::messages::{FromRole, ToRole};
use crate::roles::Role;
use crate::run::crew::{Crew, Terms};
use crate::run::plan::{Scene, deadline};
use crate::run::watch;
use crate::state::State;
use crate::ui::Ui;

/// Shows the account's URL and the thumbprint of its key. The key itself is read by the account process alone.
pub(crate) fn show(config: &Config, ui: &Ui) -> Result<Outcome> {
    let state = State::new(&config.state, config.uid_base);
    let scene = Scene::new(config, &state)?;
    let terms = Terms {
        state: &state,
        sandbox: &config.sandbox,
        command: "account show",
        verbose: ui.verbose(),
        deadline: deadline(0),
    };
    let mut crew = Crew::start(scene.show_account(), &terms)?;
    crew.tell_all(&ToRole::Go)?;
    let told =
        watch::ask(&mut crew, Role::Account, Duration::from_secs(30), |told| matches!(told, FromRole::Thumbprint(_)))?;
    crew.end()?;
    let FromRole::Thumbprint(thumbprint) = told else {
        return Err(Error::failed("the account process told something else than asked"));
    };
    let thumbprint = privsep::printable(&thumbprint);
    let account = scene.known();
    if ui.json() {
        let json = serde_json::json!({
            "version": 1,
            "command": "account show",
            "directory": scene.ca.directory.as_str(),
            "account": account.as_ref().map(acme::Url::as_str),
            "thumbprint": thumbprint,
        });
        ui.print(&json.to_string());
        return Ok(Outcome::Done);
    }
    ui.print(&format!("CA          {}", scene.ca.directory));
    let shown = account.as_ref().map_or_else(|| "not registered yet".to_owned(), ToString::to_string);
    ui.print(&format!("account     {shown}"));
    ui.print(&format!("thumbprint  {thumbprint}"));
    if let Some(account) = account {
        // RFC 8657: with this, no other account can have a certificate for the name.
        ui.print(&format!("CAA         0 issue \"CA-DOMAIN; accounturi={account}\"   (CA-DOMAIN as your CA says)"));
    }
    Ok(Outcome::Done)
}
