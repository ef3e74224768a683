//! Whether a certificate is to be renewed, and why.

use core::fmt;

use acme::{Profile, ProfileName};

use crate::config::Definition;
use crate::state::Live;

const DAY: u64 = 86_400;

/// Certificates of less than this lifetime are renewed when half of it is left, since a third of it would leave too
/// little time for whatever goes wrong.
const SHORT: u64 = 10 * DAY;

/// Why a certificate is to be had now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// There is none.
    Missing,
    /// It has expired.
    Expired,
    /// It is for other names than those configured.
    OtherNames,
    /// It has another kind of key than configured.
    OtherKey,
    /// It was asked for with another profile than configured.
    OtherProfile,
    /// Not much of its lifetime is left.
    Time,
    /// The user wants it.
    Forced,
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is none yet",
            Self::Expired => "it has expired",
            Self::OtherNames => "its names were changed",
            Self::OtherKey => "its kind of key was changed",
            Self::OtherProfile => "its profile was changed",
            Self::Time => "it is time",
            Self::Forced => "asked for",
        })
    }
}

/// Whether the certificate is to be had now.
pub(crate) fn due(definition: &Definition, live: Option<&Live>, force: bool, now: u64) -> Option<Due> {
    let Some(live) = live else { return Some(Due::Missing) };
    if force {
        return Some(Due::Forced);
    }
    let mut names: Vec<String> = definition.names.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    if live.facts.not_after <= now {
        Some(Due::Expired)
    } else if live.facts.names != names {
        Some(Due::OtherNames)
    } else if live.settings.as_ref().is_some_and(|settings| settings.key_type != definition.key_type) {
        Some(Due::OtherKey)
    } else if live.settings.as_ref().is_some_and(|settings| profile(settings) != profile(definition)) {
        Some(Due::OtherProfile)
    } else if now >= renewal(live) {
        Some(Due::Time)
    } else {
        None
    }
}

/// The same one may be required now, and have been preferred before.
fn profile(definition: &Definition) -> Option<&ProfileName> {
    definition.profile.as_ref().map(Profile::name)
}

/// When it is time: a third of the lifetime left, half of it for short ones. Seconds since 1970.
pub(crate) const fn renewal(live: &Live) -> u64 {
    let lifetime = live.facts.not_after.saturating_sub(live.facts.not_before);
    let left = if lifetime < SHORT { lifetime / 2 } else { lifetime / 3 };
    live.facts.not_after.saturating_sub(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Method;
    use crate::crypto::chain::Facts;
    use crate::crypto::key::KeyType;

    fn definition(names: &[&str]) -> Definition {
        Definition {
            name: "a".into(),
            names: names.iter().map(|name| acme::Identifier::parse(name).expect("a name")).collect(),
            method: Method::Webroot("/w".into()),
            key_type: KeyType::P256,
            reuse_key: false,
            profile: None,
            hooks: vec![],
        }
    }

    fn live(names: &[&str], days: u64) -> Live {
        let facts = Facts {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            issuer: String::new(),
            serial: String::new(),
            not_before: 1000 * DAY,
            not_after: (1000 + days) * DAY,
        };
        Live { generation: 1, facts, settings: Some(definition(names)) }
    }

    #[test]
    fn a_third_is_left_of_long_ones_and_half_of_short_ones() {
        for (days, day) in [(90, 60), (45, 30), (10, 6), (6, 3)] {
            let (definition, live) = (definition(&["a.example"]), live(&["a.example"], days));
            let at = |day: u64| due(&definition, Some(&live), false, (1000 + day) * DAY + DAY * 9 / 10);
            assert_eq!(at(day - 1), None, "{days} days, on day {}", day - 1);
            assert_eq!(at(day), Some(Due::Time), "{days} days, on day {day}");
            assert_eq!(at(days), Some(Due::Expired));
        }
    }

    #[test]
    fn changes_are_noticed() {
        let now = 1001 * DAY;
        let live = live(&["a.example", "b.example"], 90);
        assert_eq!(due(&definition(&["b.example", "a.example"]), Some(&live), false, now), None);
        assert_eq!(due(&definition(&["a.example"]), Some(&live), false, now), Some(Due::OtherNames));
        assert_eq!(due(&definition(&["a.example"]), None, false, now), Some(Due::Missing));
        assert_eq!(due(&definition(&["b.example", "a.example"]), Some(&live), true, now), Some(Due::Forced));
        let rsa = Definition { key_type: KeyType::Rsa2048, ..definition(&["b.example", "a.example"]) };
        assert_eq!(due(&rsa, Some(&live), false, now), Some(Due::OtherKey));
        let name = ProfileName::parse("tlsserver").expect("a name");
        let preferred = Some(Profile::Preferred(name.clone()));
        let wanted = Definition { profile: preferred.clone(), ..definition(&["b.example", "a.example"]) };
        assert_eq!(due(&wanted, Some(&live), false, now), Some(Due::OtherProfile));
        let settings = Some(Definition { profile: Some(Profile::Required(name)), ..definition(&["a.example"]) });
        let live = Live { settings, ..live };
        assert_eq!(due(&wanted, Some(&live), false, now), None);
    }
}
