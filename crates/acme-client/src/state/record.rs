//! Small files that outlive a run: an order in progress, the last failure, an account's URL.

use acme::{Identifier, Profile, Url};
use serde::{Deserialize, Serialize};

use crate::config::Definition;

/// What is known of a certificate beside the certificate itself (`journal/NAME.json`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Record {
    /// Form of this file.
    pub(crate) version: u32,
    /// The CA's directory that `order` belongs to.
    pub(crate) directory: String,
    /// The names that `order` is for.
    pub(crate) names: Vec<String>,
    /// The profile that `order` is for.
    pub(crate) profile: Option<Profile>,
    /// The generation that the order in progress is for.
    pub(crate) generation: u32,
    /// The order in progress.
    pub(crate) order: Option<String>,
    /// Attempts that failed since the last success.
    pub(crate) failures: u32,
    /// Why the last one failed.
    pub(crate) last_error: Option<String>,
    /// When it did, seconds since 1970.
    pub(crate) last_failure: Option<u64>,
    /// When the certificate in use was revoked, seconds since 1970.
    pub(crate) revoked: Option<u64>,
}

impl Record {
    /// The generation and order of a run that did not come to its end, if they are for the same names at the same CA
    /// and newer than what is in use.
    pub(crate) fn resumable(&self, definition: &Definition, directory: &Url, live: u32) -> Option<(u32, Url)> {
        let same = self.directory == directory.as_str()
            && self.names == texts(&definition.names)
            && self.profile == definition.profile;
        let order = Url::parse(self.order.as_ref()?).ok()?;
        (same && self.generation > live).then_some((self.generation, order))
    }

    /// Begins an attempt.
    pub(crate) fn start(&mut self, definition: &Definition, directory: &Url, generation: u32, order: Option<&Url>) {
        self.version = 1;
        self.directory = directory.as_str().to_owned();
        self.names = texts(&definition.names);
        self.profile.clone_from(&definition.profile);
        self.generation = generation;
        self.order = order.map(|order| order.as_str().to_owned());
    }

    /// Whether there is anything worth keeping.
    pub(crate) const fn is_worth_keeping(&self) -> bool {
        self.order.is_some() || self.failures > 0 || self.revoked.is_some()
    }
}

/// What is known of an account (`registrations/CA.json`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Registration {
    /// Form of this file.
    pub(crate) version: u32,
    /// The account's URL.
    pub(crate) account: Url,
}

fn texts(names: &[Identifier]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
