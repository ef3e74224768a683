//! What a CA says when it refuses: problem documents.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde_json::{Map, Value};

use crate::text::clean;

/// A problem document (RFC 9457, RFC 8555 section 6.7), with every text in it escaped and cut to a length that can be
/// shown. Shown as plain words, the CA's own included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: ProblemType,
    /// A summary of the kind.
    pub title: Option<String>,
    /// What happened this time.
    pub detail: Option<String>,
    /// The HTTP status the CA gives it.
    pub status: Option<u16>,
    /// The URL of this occurrence; for [`ProblemType::UserActionRequired`] what a person has to visit (section 7.3.3).
    pub instance: Option<String>,
    /// One for each identifier concerned (section 6.7.1); at most 100.
    pub subproblems: Vec<Subproblem>,
}

/// A part of a problem that concerns one identifier (RFC 8555 section 6.7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subproblem {
    /// The identifier's value, usually a DNS name.
    pub identifier: Option<String>,
    /// What kind of problem it is.
    pub kind: ProblemType,
    /// What happened.
    pub detail: Option<String>,
}

impl Problem {
    /// Reads a problem document. `None` if it is not a JSON object with a type or a detail: then something other than an
    /// ACME server has answered, or something is broken.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        Self::from_value(&serde_json::from_slice(body).ok()?)
    }

    pub(crate) fn from_value(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        if !["type", "detail"].iter().any(|key| object.get(*key).is_some_and(Value::is_string)) {
            return None;
        }
        let subproblems = object.get("subproblems").and_then(Value::as_array);
        Some(Self {
            kind: ProblemType::of(object),
            title: text(object, "title", MAX_TEXT),
            detail: text(object, "detail", MAX_TEXT),
            status: object.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()),
            instance: text(object, "instance", crate::url::MAX_URL),
            subproblems: subproblems.into_iter().flatten().take(MAX_PARTS).filter_map(Subproblem::read).collect(),
        })
    }
}

impl Subproblem {
    fn read(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let identifier = object.get("identifier").and_then(Value::as_object);
        Some(Self {
            identifier: identifier.and_then(|identifier| text(identifier, "value", 253)),
            kind: ProblemType::of(object),
            detail: text(object, "detail", MAX_PART_TEXT),
        })
    }
}

macro_rules! problem_types {
    ($($(#[$doc:meta])* $variant:ident $name:literal $words:literal,)+) => {
        /// The kinds of problems that ACME knows.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ProblemType {
            $($(#[$doc])* #[doc = concat!("`", $name, "`: ", $words)] $variant,)+
            /// Another one: its URI, escaped and cut; empty if there was none.
            Unknown(String),
        }

        impl ProblemType {
            fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The last part of its URN, or the whole URI of an unknown one.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Unknown(uri) => uri,
                }
            }

            const fn words(&self) -> &'static str {
                match self {
                    $(Self::$variant => $words,)+
                    Self::Unknown(_) => "the CA refuses",
                }
            }
        }
    };
}

problem_types! {
    AccountDoesNotExist "accountDoesNotExist" "the CA does not know the account",
    AlreadyReplaced "alreadyReplaced" "the certificate to be replaced has been replaced already",
    AlreadyRevoked "alreadyRevoked" "the certificate has been revoked already",
    BadCsr "badCSR" "the CA does not accept the certificate request",
    BadNonce "badNonce" "the CA does not accept the nonce",
    BadPublicKey "badPublicKey" "the CA does not accept the public key",
    BadRevocationReason "badRevocationReason" "the CA does not accept the reason for the revocation",
    BadSignatureAlgorithm "badSignatureAlgorithm" "the CA does not accept the kind of signature",
    Caa "caa" "CAA records in DNS forbid the CA to issue",
    Compound "compound" "there are several problems",
    Connection "connection" "the CA could not connect to the server",
    Dns "dns" "the CA could not look up the name in DNS",
    ExternalAccountRequired "externalAccountRequired" "the CA needs an account with it to be named first",
    IncorrectResponse "incorrectResponse" "the CA did not get the answer it expected",
    InvalidContact "invalidContact" "the CA does not accept a contact address",
    InvalidProfile "invalidProfile" "the CA does not have this profile",
    Malformed "malformed" "the CA does not understand the request",
    OrderNotReady "orderNotReady" "the order is not ready yet",
    RateLimited "rateLimited" "a rate limit of the CA is exceeded",
    RejectedIdentifier "rejectedIdentifier" "the CA does not issue for this name",
    ServerInternal "serverInternal" "the CA has an internal error",
    Tls "tls" "the CA met a TLS error at the server",
    Unauthorized "unauthorized" "the CA does not allow it",
    UnsupportedContact "unsupportedContact" "the CA does not support this kind of contact address",
    UnsupportedIdentifier "unsupportedIdentifier" "the CA does not support this kind of name",
    UserActionRequired "userActionRequired" "the CA wants a person to do something first",
}

impl ProblemType {
    fn of(object: &Map<String, Value>) -> Self {
        let uri = object.get("type").and_then(Value::as_str).unwrap_or_default();
        let known = uri.strip_prefix(URN).and_then(Self::from_name);
        known.unwrap_or_else(|| Self::Unknown(clean(uri, 200)))
    }
}

impl fmt::Display for ProblemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            "" | "about:blank" => f.write_str(self.words()),
            name => write!(f, "{} ({name})", self.words()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(words) = self.detail.as_ref().or(self.title.as_ref()) {
            write!(f, ": {words}")?;
        }
        for part in self.subproblems.iter().take(MAX_PARTS_SHOWN) {
            write!(f, "; {part}")?;
        }
        match self.subproblems.len().checked_sub(MAX_PARTS_SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "; and {more} more"),
        }
    }
}

impl fmt::Display for Subproblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(identifier) = &self.identifier {
            write!(f, "{identifier}: ")?;
        }
        write!(f, "{}", self.kind)?;
        self.detail.iter().try_for_each(|detail| write!(f, ": {detail}"))
    }
}

fn text(object: &Map<String, Value>, key: &str, max: usize) -> Option<String> {
    let text = clean(object.get(key)?.as_str()?, max);
    (!text.is_empty()).then_some(text)
}

/// RFC 8555 section 6.7
const URN: &str = "urn:ietf:params:acme:error:";

/// Long enough for the rate-limit texts of Let's Encrypt with the address of its portal.
const MAX_TEXT: usize = 1000;
const MAX_PART_TEXT: usize = 300;
const MAX_PARTS: usize = 100;
const MAX_PARTS_SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    /// The example of RFC 8555 section 6.7.1.
    const EXAMPLE: &str = r#"{
        "type": "urn:ietf:params:acme:error:malformed",
        "detail": "Some of the identifiers requested were rejected",
        "subproblems": [
            { "type": "urn:ietf:params:acme:error:malformed",
              "detail": "Invalid underscore in DNS name \"_example.org\"",
              "identifier": { "type": "dns", "value": "_example.org" } },
            { "type": "urn:ietf:params:acme:error:rejectedIdentifier",
              "detail": "This CA will not issue for \"example.net\"",
              "identifier": { "type": "dns", "value": "example.net" } }
        ]
    }"#;

    #[test]
    fn the_example_in_words() {
        let problem = Problem::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(problem.kind, ProblemType::Malformed);
        assert_eq!(problem.subproblems[1].kind, ProblemType::RejectedIdentifier);
        assert_eq!(
            problem.to_string(),
            "the CA does not understand the request (malformed): Some of the identifiers requested were rejected; \
             _example.org: the CA does not understand the request (malformed): Invalid underscore in DNS name \
             \"_example.org\"; example.net: the CA does not issue for this name (rejectedIdentifier): This CA will not \
             issue for \"example.net\""
        );
    }

    #[test]
    fn unknown_and_missing_types() {
        let shown = |json: &str| Problem::parse(json.as_bytes()).unwrap().to_string();
        assert_eq!(shown(r#"{"type":"urn:example:x","detail":"no"}"#), "the CA refuses (urn:example:x): no");
        assert_eq!(shown(r#"{"detail":"no"}"#), "the CA refuses: no");
        assert_eq!(shown(r#"{"type":"about:blank","title":"Not Found","status":404}"#), "the CA refuses: Not Found");
        let unknown = Problem::parse(br#"{"type":"urn:ietf:params:acme:error:new"}"#).unwrap();
        assert_eq!(unknown.kind, ProblemType::Unknown("urn:ietf:params:acme:error:new".into()));
    }

    #[test]
    fn not_a_problem() {
        for body in ["", "<html>500</html>", "{}", "[]", "null", r#"{"type":1}"#, r#"{"status":500}"#, "\u{0}"] {
            assert_eq!(Problem::parse(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn wrong_types_and_hostile_texts() {
        let odd = r#"{"type":"urn:ietf:params:acme:error:dns","title":1,"detail":["x"],"status":"x","instance":{},
            "subproblems":[1,null,{},{"identifier":3},{"identifier":{"value":7}}]}"#;
        let problem = Problem::parse(odd.as_bytes()).unwrap();
        assert_eq!((problem.kind.clone(), problem.status, problem.subproblems.len()), (ProblemType::Dns, None, 3));

        let long = "\\u001b[31m".repeat(5000);
        let part = format!(r#"{{"type":"{long}","detail":"{long}","identifier":{{"value":"{long}"}}}}"#);
        let parts = [part.as_str(); 200].join(",");
        let json = format!(r#"{{"type":"{long}","detail":"{long}","subproblems":[{parts}]}}"#);
        let problem = Problem::parse(json.as_bytes()).unwrap();
        assert_eq!(problem.subproblems.len(), 100);
        let shown = problem.to_string();
        assert!(!shown.contains('\u{1b}') && shown.len() < 12_000, "{}", shown.len());
        assert!(shown.ends_with("; and 90 more"));
    }
}
