//! Short strings in base64url: tokens, thumbprints, nonces.

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::text::ParseError;

/// A string in base64url without padding, of a length within bounds, that is checked wherever it comes from.
macro_rules! base64url {
    ($(#[$doc:meta])* $name:ident, $min:literal ..= $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the alphabet (RFC 4648 section 5, without padding) and the length.
            ///
            /// # Errors
            ///
            /// If either is wrong.
            pub fn parse(text: &str) -> Result<Self, ParseError> {
                check(text, $min, $max)?;
                Ok(Self(text.into()))
            }

            /// The string.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseError;

            fn try_from(text: String) -> Result<Self, ParseError> {
                check(&text, $min, $max)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

base64url! {
    /// The token of a challenge (RFC 8555 section 8): base64url, 1 to 255 characters, so that it is safe as a file name
    /// and as the last part of a path.
    Token, 1..=255
}

base64url! {
    /// The SHA-256 thumbprint of an account key (RFC 7638, RFC 8555 section 8.1): base64url, 43 characters.
    Thumbprint, 43..=43
}

base64url! {
    /// A nonce of the server (RFC 8555 section 6.5.1): base64url, at most 512 characters. One of another form is to be
    /// ignored.
    Nonce, 1..=512
}

/// What proves control of a name: token and thumbprint (RFC 8555 section 8.1). Both have been checked, or it could not
/// be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAuthorization(String);

impl KeyAuthorization {
    /// `token.thumbprint`
    #[must_use]
    pub fn new(token: &Token, thumbprint: &Thumbprint) -> Self {
        Self(format!("{token}.{thumbprint}"))
    }

    /// The string, as it is served for http-01 (RFC 8555 section 8.3).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str, min: usize, max: usize) -> Result<(), ParseError> {
    if !(min..=max).contains(&text.len()) {
        let reason = if min == max {
            format!("{} characters instead of {min}", text.len())
        } else {
            format!("{} characters instead of {min} to {max}", text.len())
        };
        return Err(ParseError::new(text, reason));
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(ParseError::new(text, "not base64url (letters, digits, - and _)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_grammar() {
        for bad in ["", ".", "..", "../x", "a/b", "a.b", "a+b", "a=", "a b", "a\0", "é", "a\n", &"a".repeat(256)] {
            assert!(Token::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Token::parse("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA").is_ok());
        assert!(Token::parse(&"_".repeat(255)).is_ok());
        assert!(Thumbprint::parse(&"a".repeat(42)).is_err());
        assert!(Thumbprint::parse(&"a".repeat(44)).is_err());
        assert!(Nonce::parse(&"a".repeat(513)).is_err());
    }

    #[test]
    fn rfc_8555_section_8_3() {
        let token = Token::parse("LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0").unwrap();
        let thumbprint = Thumbprint::parse("9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI").unwrap();
        assert_eq!(
            KeyAuthorization::new(&token, &thumbprint).as_str(),
            "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
        );
    }
}
