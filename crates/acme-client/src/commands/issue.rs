//! `issue`: a certificate for these names.

use acme::{Identifier, Profile};

use crate::cli::Issue;
use crate::commands::Outcome;
use crate::commands::obtain::obtain;
use crate::config::{Config, Definition, Method, PORT_80, absolute, directory_name};
use crate::error::{Error, Result};
use crate::state::State;
use crate::ui::Ui;

/// Has the certificate, unless there is one that is good for a while.
pub(crate) fn run(config: &Config, options: Issue, ui: Ui) -> Result<Outcome> {
    let force = options.force;
    let definition = define(config, options)?;
    definition.check().map_err(Error::Failed)?;
    obtain(config, vec![definition], force, "issue", ui)
}

/// What the command line says, or else what is known: from the configuration, or from the certificate in use.
fn define(config: &Config, options: Issue) -> Result<Definition> {
    let names: Vec<Identifier> = options
        .names
        .iter()
        .map(|name| Identifier::parse(name).map_err(|error| Error::failed(error.to_string())))
        .collect::<Result<_>>()?;
    let first = names.first().ok_or_else(|| Error::usage("say for which names"))?;
    let name = options.name.clone().unwrap_or_else(|| directory_name(first));
    let known = config.certificates.iter().find(|definition| definition.name == name).cloned();
    let known = match known {
        Some(known) => Some(known),
        None => State::new(&config.state, config.uid_base).live(&name)?.and_then(|live| live.settings),
    };
    let method = match (&options.webroot, options.standalone || !options.listen.is_empty()) {
        (Some(webroot), _) => Some(Method::Webroot(absolute(webroot)?)),
        (None, true) if options.listen.is_empty() => {
            Some(Method::Standalone(PORT_80.iter().map(|address| (*address).to_owned()).collect()))
        }
        (None, true) => Some(Method::Standalone(options.listen)),
        (None, false) => known.as_ref().map(|known| known.method.clone()),
    };
    let method = method.ok_or_else(|| {
        Error::usage(format!(
            "say how it is proven that {name} is yours: --webroot DIR if a web server serves it, or --standalone"
        ))
    })?;
    let hooks: Vec<Vec<String>> = options.hook.into_iter().map(|program| vec![program]).collect();
    let profile = options.required_profile.map(Profile::Required);
    let profile = profile.or_else(|| options.preferred_profile.map(Profile::Preferred));
    Ok(Definition {
        name,
        names,
        method,
        key_type: options.key_type.or_else(|| Some(known.as_ref()?.key_type)).unwrap_or_default(),
        reuse_key: options.reuse_key || known.as_ref().is_some_and(|known| known.reuse_key),
        profile: profile.or_else(|| known.as_ref()?.profile.clone()),
        hooks: if hooks.is_empty() { known.map(|known| known.hooks).unwrap_or_default() } else { hooks },
    })
}
