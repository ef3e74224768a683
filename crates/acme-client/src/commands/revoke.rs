//! `revoke`: a certificate is declared void.

use std::fs;

use crate::cli::Revoke;
use crate::commands::Outcome;
use crate::config::Config;
use crate::crypto::chain;
use crate::error::{Error, Result};
use crate::messages::ToRole;
use crate::run::crew::{Crew, Terms};
use crate::run::plan::{Scene, deadline};
use crate::run::watch;
use crate::state::State;
use crate::ui::Ui;

/// Revokes the certificate in use under that name. Its files stay.
pub(crate) fn run(config: &Config, options: &Revoke, mut ui: Ui) -> Result<Outcome> {
    let name = &options.name;
    let state = State::new(&config.state, config.uid_base);
    let scene = Scene::new(config, &state)?;
    let live = state.live(name)?.ok_or_else(|| {
        Error::failed(format!("there is no certificate called {name}; `acme-client status` shows those that there are"))
    })?;
    let definition = live.settings.clone().ok_or_else(|| {
        Error::failed(format!("{name}: how it was had is not known, so it cannot be said to whom to turn"))
    })?;
    let path = state.generation(name, live.generation).join("cert.pem");
    let pem = fs::read(&path).map_err(|error| Error::file("read", &path, error))?;
    let certificate = chain::leaf_der(&pem).map_err(|text| Error::failed(format!("{}: {text}", path.display())))?;
    state.prepare(&scene.ca.directory)?;
    let lock = state.lock(name, State::patience())?;
    let lock = lock.ok_or_else(|| Error::failed(format!("another acme-client is working on {name} right now")))?;

    let terms = Terms {
        state: &state,
        sandbox: &config.sandbox,
        command: "revoke",
        verbose: ui.verbose(),
        deadline: deadline(1),
    };
    let starts = scene.revoke(definition, certificate, options.reason, state.record(name), lock);
    let mut crew = Crew::start(starts, &terms)?;
    crew.seal_supervisor(&terms)?;
    crew.tell_all(&ToRole::Go)?;
    let results = watch::watch(&mut crew, std::slice::from_ref(name), &mut ui)?;
    if results.revoked.is_none()
        && let Some(suspicion) = crew.suspicion()
    {
        ui.note(&suspicion);
    }
    let ended = crew.end();
    let failed = results.jobs.into_iter().find_map(|job| job.failed);
    match (results.revoked, failed) {
        (Some(already), _) => {
            let how = if already { "was revoked already" } else { "is revoked" };
            if ui.json() {
                let json = serde_json::json!({ "version": 1, "command": "revoke", "name": name, "already": already });
                ui.print(&json.to_string());
            } else {
                ui.print(&format!("{name}: {how}. Its files are where they were; take them out of use"));
            }
            ended.map(|()| Outcome::Done)
        }
        (None, Some(text)) => Err(Error::failed(format!("{name} is not revoked: {text}"))),
        (None, None) => Err(Error::failed(format!("{name} is not revoked: the run ended before its time"))),
    }
}
