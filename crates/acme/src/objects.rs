//! The objects of an ACME server (RFC 8555 section 7.1), as far as a client needs them.
//!
//! Members and challenge types that are not known are ignored, members that are not needed may be missing. Every URL
//! that a request may go to is https and on a host that is allowed.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ErrorKind;
use crate::identifier::Identifier;
use crate::json::{self, Object};
use crate::name::DnsName;
use crate::problem::Problem;
use crate::text::clean;
use crate::token::Token;
use crate::url::{Origins, Url};

/// Where the CA takes what (RFC 8555 section 7.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Nonces.
    pub new_nonce: Url,
    /// New accounts.
    pub new_account: Url,
    /// Orders.
    pub new_order: Url,
    /// Revocations, if the CA takes any.
    pub revoke_cert: Option<Url>,
    /// Changes of the account key, if the CA takes any.
    pub key_change: Option<Url>,
    /// When to renew (RFC 9773), if the CA says that.
    pub renewal_info: Option<Url>,
    /// About the CA.
    pub meta: Meta,
}

/// About the CA (RFC 8555 section 7.1.1, draft-ietf-acme-profiles). All of it is to be shown only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Where its terms of service are.
    pub terms_of_service: Option<String>,
    /// Its web site.
    pub website: Option<String>,
    /// What names it in CAA records (RFC 8659).
    pub caa_identities: Vec<String>,
    /// Whether an account needs to be bound to another one with the CA (RFC 8555 section 7.3.4).
    pub external_account_required: bool,
    /// Its profiles: name and description.
    pub profiles: Vec<(String, String)>,
}

impl Directory {
    pub(crate) fn parse(body: &[u8], origins: &Origins) -> Result<Self, ErrorKind> {
        let value = json::parse(DIRECTORY, body)?;
        let object = Object::new(DIRECTORY, &value, origins)?;
        Ok(Self {
            new_nonce: object.need_url("newNonce")?,
            new_account: object.need_url("newAccount")?,
            new_order: object.need_url("newOrder")?,
            revoke_cert: object.url("revokeCert")?,
            key_change: object.url("keyChange")?,
            renewal_info: object.url("renewalInfo")?,
            meta: object.object("directory's \"meta\"", "meta").map(|meta| Meta::read(&meta)).unwrap_or_default(),
        })
    }
}

impl Meta {
    fn read(object: &Object<'_>) -> Self {
        let caa = object.get("caaIdentities").and_then(Value::as_array).into_iter().flatten();
        let profiles = object.get("profiles").and_then(Value::as_object).into_iter().flatten();
        let show = |value: &str| clean(value, MAX_META);
        Self {
            terms_of_service: object.shown("termsOfService"),
            website: object.shown("website"),
            caa_identities: caa.filter_map(Value::as_str).take(MAX_META_ITEMS).map(show).collect(),
            external_account_required: object.flag("externalAccountRequired"),
            profiles: profiles
                .take(MAX_META_ITEMS)
                .map(|(name, text)| (show(name), show(text.as_str().unwrap_or_default())))
                .collect(),
        }
    }
}

/// The states of an order (RFC 8555 section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// Authorizations are missing.
    Pending,
    /// It can be finalized.
    Ready,
    /// The certificate is being made.
    Processing,
    /// The certificate is there.
    Valid,
    /// Something failed.
    Invalid,
}

/// A request for a certificate (RFC 8555 section 7.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// How far it is.
    pub status: OrderStatus,
    /// The names it is for, if it says so.
    pub names: Option<Vec<Identifier>>,
    /// One for each name, if it says so.
    pub authorizations: Vec<Url>,
    /// Where to finalize it.
    pub finalize: Option<Url>,
    /// Where the certificate is.
    pub certificate: Option<Url>,
    /// What failed.
    pub error: Option<Problem>,
}

impl Order {
    pub(crate) fn parse(body: &[u8], origins: &Origins, max_names: usize) -> Result<Self, ErrorKind> {
        let value = json::parse(ORDER, body)?;
        let object = Object::new(ORDER, &value, origins)?;
        let status = match object.text("status") {
            Some("pending") => OrderStatus::Pending,
            Some("ready") => OrderStatus::Ready,
            Some("processing") => OrderStatus::Processing,
            Some("valid") => OrderStatus::Valid,
            Some("invalid") => OrderStatus::Invalid,
            other => return Err(unknown_status(&object, other)),
        };
        let identifiers = object.list("identifiers", max_names)?;
        let names: Result<Vec<_>, _> = identifiers.iter().map(|value| identifier(&object, value)).collect();
        Ok(Self {
            status,
            names: if identifiers.is_empty() { None } else { Some(names?) },
            authorizations: object.urls("authorizations", max_names)?,
            finalize: object.url("finalize")?,
            certificate: object.url("certificate")?,
            error: object.get("error").and_then(Problem::from_value),
        })
    }

    /// Whether it is for these names, in any order, as far as it says.
    pub(crate) fn is_for(&self, names: &[Identifier]) -> bool {
        self.names.as_ref().is_none_or(|own| {
            own.iter().all(|name| names.contains(name)) && names.iter().all(|name| own.contains(name))
        })
    }
}

/// The states of an authorization (RFC 8555 section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationStatus {
    /// A challenge has to be met.
    Pending,
    /// One was met.
    Valid,
    /// One was not met.
    Invalid,
    /// Given up by the client.
    Deactivated,
    /// Too old.
    Expired,
    /// Taken back by the CA.
    Revoked,
}

impl AuthorizationStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Whether control of one name is proven (RFC 8555 section 7.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The name, with `*.` if it is the one for the wildcard.
    pub name: Identifier,
    /// How far it is.
    pub status: AuthorizationStatus,
    /// The ways to prove it that are known here.
    pub challenges: Vec<Challenge>,
    /// The types of all the ways that are offered.
    pub offered: Vec<String>,
}

impl Authorization {
    pub(crate) fn parse(body: &[u8], origins: &Origins) -> Result<Self, ErrorKind> {
        let value = json::parse(AUTHORIZATION, body)?;
        let object = Object::new(AUTHORIZATION, &value, origins)?;
        let status = match object.text("status") {
            Some("pending") => AuthorizationStatus::Pending,
            Some("valid") => AuthorizationStatus::Valid,
            Some("invalid") => AuthorizationStatus::Invalid,
            Some("deactivated") => AuthorizationStatus::Deactivated,
            Some("expired") => AuthorizationStatus::Expired,
            Some("revoked") => AuthorizationStatus::Revoked,
            other => return Err(unknown_status(&object, other)),
        };
        let name = identifier(&object, object.get("identifier").ok_or_else(|| object.missing("identifier"))?)?;
        let name = if object.flag("wildcard") { name.wildcard().unwrap_or(name) } else { name };
        let list = object.list("challenges", MAX_CHALLENGES)?;
        let offered = list.iter().filter_map(|challenge| challenge.get("type")?.as_str()).map(|kind| clean(kind, 40));
        let mut challenges = Vec::new();
        for value in list {
            match Challenge::read(value, origins) {
                Ok(challenge) => challenges.extend(challenge),
                Err(error) if status == AuthorizationStatus::Pending => return Err(error),
                // Nothing will be done with it, so what it lacks is not needed.
                Err(_) => {}
            }
        }
        Ok(Self { name, status, challenges, offered: offered.collect() })
    }

    /// What the CA says about a challenge that was not met.
    pub(crate) fn problem(&self) -> Option<&Problem> {
        self.challenges.iter().find_map(|challenge| challenge.error.as_ref())
    }
}

/// The kinds of challenges that can be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ChallengeKind {
    /// A file on the web server of the name (RFC 8555 section 8.3).
    Http01,
}

impl ChallengeKind {
    /// As in the `type` of a challenge.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
        }
    }

    fn from_type(text: &str) -> Option<Self> {
        [Self::Http01].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The states of a challenge (RFC 8555 section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeStatus {
    /// The CA waits to be told that the answer is in place.
    Pending,
    /// The CA is looking, or will look again.
    Processing,
    /// It was met.
    Valid,
    /// It was not.
    Invalid,
}

/// One way to prove control of a name (RFC 8555 sections 7.1.5 and 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Which.
    pub kind: ChallengeKind,
    /// Where to say that the answer is in place.
    pub url: Url,
    /// How far it is.
    pub status: ChallengeStatus,
    /// What the answer is made of.
    pub token: Token,
    /// What went wrong.
    pub error: Option<Problem>,
}

impl Challenge {
    /// The challenge alone, as it comes in reply to a request to its URL.
    pub(crate) fn parse(body: &[u8], origins: &Origins) -> Result<Option<Self>, ErrorKind> {
        Self::read(&json::parse(CHALLENGE, body)?, origins)
    }

    /// `None` for a type that is not known; nothing else in such a one is looked at.
    fn read(value: &Value, origins: &Origins) -> Result<Option<Self>, ErrorKind> {
        let object = Object::new(CHALLENGE, value, origins)?;
        let Some(kind) = object.text("type").and_then(ChallengeKind::from_type) else { return Ok(None) };
        let token = object.text("token").ok_or_else(|| object.missing("token"))?;
        let token = Token::parse(token)
            .map_err(|error| object.malformed(&alloc::format!("its token cannot be used: {error}")))?;
        let status = match object.text("status") {
            // RFC 8555 requires a status; where there is none, nothing has been done yet.
            Some("pending") | None => ChallengeStatus::Pending,
            Some("processing") => ChallengeStatus::Processing,
            Some("valid") => ChallengeStatus::Valid,
            Some("invalid") => ChallengeStatus::Invalid,
            other => return Err(unknown_status(&object, other)),
        };
        let error = object.get("error").and_then(Problem::from_value);
        Ok(Some(Self { kind, url: object.need_url("url")?, status, token, error }))
    }
}

fn identifier(owner: &Object<'_>, value: &Value) -> Result<Identifier, ErrorKind> {
    let (kind, text) = (value.get("type").and_then(Value::as_str), value.get("value").and_then(Value::as_str));
    match (kind, text) {
        (Some("dns"), Some(text)) => DnsName::parse(text)
            .map(Identifier::Dns)
            .map_err(|error| owner.malformed(&alloc::format!("it is for the name {error}"))),
        (Some("ip"), Some(text)) => Identifier::parse_ip(text)
            .ok_or_else(|| owner.malformed(&alloc::format!("it is for the address {}", clean(text, 80)))),
        _ => Err(owner.malformed("it is for something that is neither a DNS name nor an IP address")),
    }
}

fn unknown_status(object: &Object<'_>, status: Option<&str>) -> ErrorKind {
    match status {
        Some(status) => object.malformed(&alloc::format!("its status {status:?} is not known")),
        None => object.missing("status"),
    }
}

const DIRECTORY: &str = "directory";
const ORDER: &str = "order";
const AUTHORIZATION: &str = "authorization";
const CHALLENGE: &str = "challenge";

/// There are five types today.
const MAX_CHALLENGES: usize = 32;
const MAX_META: usize = 300;
const MAX_META_ITEMS: usize = 32;

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn origins() -> Origins {
        Origins::of(&Url::parse("https://ca.example/").unwrap())
    }

    fn order(json: &str) -> Result<Order, ErrorKind> {
        Order::parse(json.as_bytes(), &origins(), 3)
    }

    fn authorization(json: &str) -> Result<Authorization, ErrorKind> {
        Authorization::parse(json.as_bytes(), &origins())
    }

    #[test]
    fn a_full_directory() {
        let json = r#"{"newNonce":"https://ca.example/n","newAccount":"https://ca.example/a",
            "newOrder":"https://ca.example/o","revokeCert":"https://ca.example/r","keyChange":"https://ca.example/k",
            "renewalInfo":"https://ca.example/i","newAuthz":"http://anything","pGQ8":"https://elsewhere.example/random",
            "meta":{"termsOfService":"https://other.example/tos\u001b","website":7,"caaIdentities":["ca.example",1],
            "externalAccountRequired":true,"profiles":{"classic":"as ever","short":5},"x":[]}}"#;
        let directory = Directory::parse(json.as_bytes(), &origins()).unwrap();
        assert_eq!(directory.renewal_info.unwrap().as_str(), "https://ca.example/i");
        let meta = directory.meta;
        assert_eq!(meta.terms_of_service.as_deref(), Some("https://other.example/tos\\u{1b}"));
        assert_eq!(meta.website, None);
        assert_eq!(meta.caa_identities, ["ca.example"]);
        assert!(meta.external_account_required);
        assert_eq!(meta.profiles, [("classic".into(), "as ever".into()), ("short".into(), String::new())]);
    }

    #[test]
    fn foreign_urls_are_named() {
        for field in ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo"] {
            let mut object = serde_json::json!({"newNonce":"https://ca.example/", "newAccount":"https://ca.example/",
                "newOrder":"https://ca.example/"});
            object[field] = "https://evil.example/x".into();
            let error = Directory::parse(format!("{object}").as_bytes(), &origins()).unwrap_err();
            let url = "https://evil.example/x".into();
            assert_eq!(error, ErrorKind::ForeignUrl { object: "directory", field, url });
            for bad in
                ["http://ca.example/", "https://ca.example:444/", "ca.example", "https://ca.example@evil.example/"]
            {
                object[field] = bad.into();
                Directory::parse(format!("{object}").as_bytes(), &origins()).expect_err(bad);
            }
        }
        for field in ["finalize", "certificate"] {
            let error = order(&format!(r#"{{"status":"valid","{field}":"https://evil.example/"}}"#)).unwrap_err();
            assert!(matches!(error, ErrorKind::ForeignUrl { object: "order", field: f, .. } if f == field));
        }
        let error = order(r#"{"status":"valid","authorizations":["https://ca.example/","https://evil.example/"]}"#);
        assert!(matches!(error, Err(ErrorKind::ForeignUrl { object: "order", field: "authorizations", .. })));
        let error = authorization(
            r#"{"status":"pending","identifier":{"type":"dns","value":"a.example"},
                "challenges":[{"type":"http-01","token":"t","url":"https://evil.example/"}]}"#,
        );
        assert!(matches!(error, Err(ErrorKind::ForeignUrl { object: "challenge", field: "url", .. })));
    }

    #[test]
    fn missing_members_of_a_directory() {
        for field in ["newNonce", "newAccount", "newOrder"] {
            let mut object = serde_json::json!({"newNonce":"https://ca.example/", "newAccount":"https://ca.example/",
                "newOrder":"https://ca.example/"});
            object.as_object_mut().unwrap().remove(field);
            let error = Directory::parse(format!("{object}").as_bytes(), &origins()).unwrap_err();
            assert!(format!("{error}").contains(field), "{error}");
        }
        for bad in ["", "[]", "null", "3", "{", "{\"newNonce\":", "\u{feff}{}"] {
            assert!(Directory::parse(bad.as_bytes(), &origins()).is_err());
        }
    }

    #[test]
    fn an_order_needs_only_a_status() {
        let bare = order(r#"{"status":"ready"}"#).unwrap();
        assert_eq!((bare.status, bare.names, bare.authorizations.len()), (OrderStatus::Ready, None, 0));
        assert!(order(r#"{"status":"ready","authorizations":null,"identifiers":7,"expires":1}"#).is_ok());
        for bad in [
            "{}",
            r#"{"status":"new"}"#,
            r#"{"status":1}"#,
            r#"{"status":"pending","identifiers":[{"type":"ip","value":"example.org"}]}"#,
            r#"{"status":"pending","identifiers":[{"type":"ip","value":"::ffff:192.0.2.1"}]}"#,
            r#"{"status":"pending","identifiers":[{"type":"dns","value":"192.0.2.1"}]}"#,
            r#"{"status":"pending","identifiers":[{"type":"email","value":"a@a.example"}]}"#,
            r#"{"status":"pending","identifiers":[{"type":"dns","value":"../x"}]}"#,
            r#"{"status":"pending","identifiers":[1]}"#,
            r#"{"status":"pending","authorizations":[1]}"#,
            r#"{"status":"pending","authorizations":["https://ca.example/","https://ca.example/","https://ca.example/","https://ca.example/"]}"#,
        ] {
            assert!(order(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_an_order_in_any_sequence() {
        let names = |list: &[&str]| list.iter().map(|n| Identifier::parse(n).unwrap()).collect::<Vec<_>>();
        let json = r#"{"status":"pending","identifiers":[{"type":"dns","value":"B.example"},{"type":"dns","value":"*.a.example"}]}"#;
        let order = order(json).unwrap();
        assert!(order.is_for(&names(&["*.a.example", "b.example"])));
        assert!(!order.is_for(&names(&["b.example"])));
        assert!(!order.is_for(&names(&["*.a.example", "b.example", "c.example"])));
    }

    #[test]
    fn an_address_is_itself_however_it_is_written() {
        let json = r#"{"status":"pending","identifiers":[{"type":"ip","value":"2001:DB8:0:0:0:0:0:1"},{"type":"ip","value":"192.0.2.1"}]}"#;
        let names = ["192.0.2.1", "2001:db8::1"].map(|n| Identifier::parse(n).unwrap());
        assert!(order(json).unwrap().is_for(&names));
    }

    #[test]
    fn unknown_challenges_are_listed_and_otherwise_ignored() {
        let json = r#"{"status":"pending","identifier":{"type":"dns","value":"a.example"},"wildcard":true,"challenges":[
            {"type":"dns-persist-01","issuer-domain-names":["x"],"url":"ftp://x"},
            {"type":"dns-01","token":"../../etc","status":7},{"no":"type"},{"type":5},
            {"type":"http-01","token":"abc","url":"https://ca.example/c","x":1}]}"#;
        let authorization = authorization(json).unwrap();
        assert_eq!(authorization.offered, ["dns-persist-01", "dns-01", "http-01"]);
        assert_eq!(authorization.challenges.len(), 1);
        assert_eq!(authorization.challenges[0].status, ChallengeStatus::Pending);
        assert_eq!(format!("{}", authorization.name), "*.a.example");
    }

    #[test]
    fn tokens_that_cannot_be_used() {
        for token in [r#""""#, r#""../../etc/passwd""#, r#""a.b""#, r#""a\u0000""#, "null", "7"] {
            let json = format!(
                r#"{{"status":"pending","identifier":{{"type":"dns","value":"a.example"}},
                    "challenges":[{{"type":"http-01","token":{token},"url":"https://ca.example/c"}}]}}"#
            );
            let error = authorization(&json).unwrap_err();
            assert!(format!("{error}").contains("token"), "{error}");
        }
    }

    #[test]
    fn challenges_of_a_settled_authorization_need_nothing() {
        let json = r#"{"status":"valid","identifier":{"type":"dns","value":"a.example"},
            "challenges":[{"type":"http-01","token":null},{"type":"http-01","url":"x"},3]}"#;
        assert_eq!(authorization(json).unwrap().challenges, []);
    }

    #[test]
    fn lists_and_depth_are_bounded() {
        let many = "{\"type\":\"x\"},".repeat(33);
        let json = format!(
            r#"{{"status":"pending","identifier":{{"type":"dns","value":"a.example"}},"challenges":[{}]}}"#,
            many.trim_end_matches(',')
        );
        assert!(format!("{}", authorization(&json).unwrap_err()).contains("33 elements"));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(order(&deep).is_err());
    }
}
