//! DNS names that a certificate can be for.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::text::{ParseError, checked_text};

/// A DNS name as an ACME identifier of type `dns` (RFC 8555 sections 7.1.3 and 9.7.7): letters, digits and hyphens,
/// lower-case, at most 253 bytes in labels of at most 63, perhaps with `*.` before it (RFC 1034 section 3.5, RFC 5890
/// section 2.3.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(Box<str>);

impl DnsName {
    /// Checks `text` and makes it lower-case.
    ///
    /// # Errors
    ///
    /// If it is not such a name: the error says why, and what to give instead where that is known.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        match check(text) {
            Ok(()) => Ok(Self(text.to_ascii_lowercase().into_boxed_str())),
            Err(reason) => Err(ParseError::new(text, reason)),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it begins with `*.`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(WILDCARD)
    }

    /// The name without a leading `*.`: the one that is validated (RFC 8555 section 7.1.4).
    #[must_use]
    pub fn base(&self) -> Self {
        Self(self.0.strip_prefix(WILDCARD).unwrap_or(&self.0).into())
    }

    /// `*.` and this name; `None` if that is too long or a wildcard already.
    #[must_use]
    pub fn wildcard(&self) -> Option<Self> {
        Self::parse(&format!("{WILDCARD}{self}")).ok()
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for DnsName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

checked_text!(DnsName);

fn check(text: &str) -> Result<(), Cow<'static, str>> {
    if text.is_empty() {
        return Err("the name is empty".into());
    }
    check_is_a_name(text)?;
    if text.len() > 253 {
        return Err(format!("{} bytes long; a name has at most 253", text.len()).into());
    }
    if text.ends_with('.') && text.len() > 1 {
        return Err("leave out the dot at the end".into());
    }
    let plain = text.strip_prefix(WILDCARD).unwrap_or(text);
    plain.split('.').try_for_each(check_label)?;
    let last = plain.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err("the last label is a number, so this is neither a name nor an address".into());
    }
    Ok(())
}

/// The things that people give in place of a name.
fn check_is_a_name(text: &str) -> Result<(), &'static str> {
    let unbracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if unbracketed.parse::<IpAddr>().is_ok() {
        return Err("an IP address, not a DNS name");
    }
    if text.contains("://") {
        return Err("a URL; give only the host name in it");
    }
    if !text.is_ascii() {
        return Err("not plain ASCII; use its A-label (xn--…)");
    }
    if text.contains('@') {
        return Err("an e-mail address, not a DNS name");
    }
    if text.contains(':') {
        return Err("leave out the port");
    }
    Ok(())
}

fn check_label(label: &str) -> Result<(), Cow<'static, str>> {
    if label.is_empty() {
        return Err("empty label".into());
    }
    if label.len() > 63 {
        return Err(format!("the label {label} is {} bytes long; a label has at most 63", label.len()).into());
    }
    if label.contains('*') {
        return Err("* may only stand alone as the first label, as in *.example.org".into());
    }
    if label.contains('_') {
        return Err("an underscore cannot stand in the name of a certificate".into());
    }
    if let Some(c) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        return Err(format!("{c:?} cannot stand in a DNS name").into());
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("a label begins or ends with a hyphen".into());
    }
    Ok(())
}

const WILDCARD: &str = "*.";

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn error(text: &str) -> String {
        DnsName::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn names() {
        assert_eq!(DnsName::parse("WWW.Example.org").unwrap().as_str(), "www.example.org");
        assert_eq!(DnsName::parse("localhost").unwrap().as_str(), "localhost");
        assert_eq!(DnsName::parse("xn--bcher-kva.example").unwrap().as_str(), "xn--bcher-kva.example");
        assert_eq!(DnsName::parse("4.example").unwrap().as_str(), "4.example");
        let wild = DnsName::parse("*.Example.org").unwrap();
        assert!(wild.is_wildcard());
        assert_eq!(wild.base().as_str(), "example.org");
        assert_eq!(wild.base().wildcard(), Some(wild.clone()));
        assert_eq!(wild.wildcard(), None);
    }

    #[test]
    fn errors_tell_what_to_do() {
        assert_eq!(error("example..org"), "example..org: empty label");
        assert_eq!(error(".org"), ".org: empty label");
        assert_eq!(error("example.org."), "example.org.: leave out the dot at the end");
        assert_eq!(error("192.0.2.1"), "192.0.2.1: an IP address, not a DNS name");
        assert_eq!(error("2001:db8::1"), "2001:db8::1: an IP address, not a DNS name");
        assert_eq!(error("[::1]"), "[::1]: an IP address, not a DNS name");
        assert_eq!(error("bücher.example"), "bücher.example: not plain ASCII; use its A-label (xn--…)");
        assert_eq!(error("https://example.org/"), "https://example.org/: a URL; give only the host name in it");
        assert_eq!(error("example.org:443"), "example.org:443: leave out the port");
        assert_eq!(error("me@example.org"), "me@example.org: an e-mail address, not a DNS name");
        assert!(error("a_b.example").contains("underscore"));
        assert!(error("a.*.example").contains("first label"));
        assert!(error("*").contains("first label"));
        assert!(error("*.").contains("dot at the end"));
        assert!(error("a b.example").contains("' '"));
        assert!(error("-a.example").contains("hyphen"));
        assert!(error("a.example-").contains("hyphen"));
        assert!(error("1.2.3").contains("number"));
        assert_eq!(error(""), "the name is empty");
        assert_eq!(error("."), ".: empty label");
        assert_eq!(error("a\u{1b}[2Jb"), "a\\u{1b}[2Jb: '\\u{1b}' cannot stand in a DNS name");
    }

    #[test]
    fn lengths() {
        let label = "a".repeat(63);
        assert!(DnsName::parse(&label).is_ok());
        assert!(error(&"a".repeat(64)).contains("at most 63"));
        let long = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(long.len(), 253);
        assert!(DnsName::parse(&long).unwrap().wildcard().is_none());
        assert!(error(&format!("{long}a")).contains("at most 253"));
    }
}
