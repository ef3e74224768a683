//! Profiles: kinds of certificates that a CA offers (draft-ietf-acme-profiles).

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::text::{ParseError, checked_text};

/// The name of a profile, as it stands in a directory and in an order: up to 64 letters, digits and `.`, `-`, `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

impl ProfileName {
    /// Checks the characters and the length.
    ///
    /// # Errors
    ///
    /// If either is wrong.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::new(text, "the name of a profile is empty"));
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_')) {
            return Err(ParseError::new(text, format!("{c:?} cannot stand in the name of a profile")));
        }
        if text.len() > 64 {
            return Err(ParseError::new(text, "the name of a profile has at most 64 characters"));
        }
        Ok(Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

checked_text!(ProfileName);

/// Which profile is wanted, and how much.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// If the CA does not have it, no certificate.
    Required(ProfileName),
    /// If the CA does not have it, a certificate as the CA makes them for whoever does not say.
    Preferred(ProfileName),
}

impl Profile {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &ProfileName {
        match self {
            Self::Required(name) | Self::Preferred(name) => name,
        }
    }

    /// Whether it has to be this one.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        matches!(self, Self::Required(_))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn names() {
        for good in ["classic", "tlsserver", "a.B-c_9"] {
            assert_eq!(ProfileName::parse(good).unwrap().to_string(), good);
        }
        for (bad, why) in [("", "empty"), ("a b", "' '"), ("\u{1b}", "cannot stand"), ("é", "cannot stand")] {
            assert!(ProfileName::parse(bad).unwrap_err().to_string().contains(why), "{bad}");
        }
        assert!(ProfileName::parse(&"a".repeat(65)).unwrap_err().to_string().contains("64"));
    }
}
