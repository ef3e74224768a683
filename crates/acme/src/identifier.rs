//! What a certificate can be for.

use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::name::DnsName;
use crate::text::{ParseError, checked_text};

/// An ACME identifier (RFC 8555 section 9.7.7): a DNS name, or an IP address (RFC 8738).
///
/// ```
/// use acme::Identifier;
///
/// assert_eq!(Identifier::parse("WWW.example.org").unwrap().to_string(), "www.example.org");
/// assert_eq!(Identifier::parse("[2001:DB8:0::1]").unwrap().to_string(), "2001:db8::1");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Identifier {
    /// Type `dns`.
    Dns(DnsName),
    /// Type `ip`. Never an IPv4 address in the clothes of an IPv6 one, which no CA certifies: each address has one form.
    Ip(IpAddr),
}

impl Identifier {
    /// Reads a name or an address as people write them: an IPv6 address may be in brackets.
    ///
    /// # Errors
    ///
    /// If it is neither; the error says why, and what to give instead where that is known.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address: Option<IpAddr> = bare.unwrap_or(text).parse().ok();
        match address {
            Some(IpAddr::V4(_)) if bare.is_some() => {
                Err(ParseError::new(text, "leave out the brackets, which are for IPv6 addresses"))
            }
            Some(IpAddr::V6(address)) if is_of_ipv4(address) => {
                Err(ParseError::new(text, "an IPv4 address inside of an IPv6 one; give the IPv4 address alone"))
            }
            Some(address) => Ok(Self::Ip(address)),
            None => DnsName::parse(text).map(Self::Dns),
        }
    }

    /// Reads a `value` of the type `ip` as it is on the wire: the form of RFC 8738 section 3, or any other of the same address,
    /// but without brackets.
    pub(crate) fn parse_ip(text: &str) -> Option<Self> {
        if text.starts_with('[') {
            return None;
        }
        Self::parse(text).ok().filter(|identifier| matches!(identifier, Self::Ip(_)))
    }

    /// Its `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
        }
    }

    /// Whether it is a DNS name that begins with `*.`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Dns(name) if name.is_wildcard())
    }

    /// Without a leading `*.`: what is validated (RFC 8555 section 7.1.4).
    #[must_use]
    pub fn base(&self) -> Self {
        match self {
            Self::Dns(name) => Self::Dns(name.base()),
            Self::Ip(address) => Self::Ip(*address),
        }
    }

    /// `*.` and this name; `None` if there is no such name.
    #[must_use]
    pub fn wildcard(&self) -> Option<Self> {
        match self {
            Self::Dns(name) => name.wildcard().map(Self::Dns),
            Self::Ip(_) => None,
        }
    }
}

/// `::ffff:192.0.2.1` and the like (RFC 4291 section 2.5.5).
fn is_of_ipv4(address: Ipv6Addr) -> bool {
    let reserved = [Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST].contains(&address);
    address.to_ipv4().is_some() && !reserved
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => fmt::Display::fmt(name, f),
            Self::Ip(address) => fmt::Display::fmt(address, f),
        }
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

checked_text!(Identifier);

impl From<DnsName> for Identifier {
    fn from(name: DnsName) -> Self {
        Self::Dns(name)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    fn error(text: &str) -> String {
        Identifier::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn names_and_addresses() {
        for (text, kind, shown) in [
            ("Example.org", "dns", "example.org"),
            ("*.example.org", "dns", "*.example.org"),
            ("192.0.2.1", "ip", "192.0.2.1"),
            ("2001:DB8:0:0::1", "ip", "2001:db8::1"),
            ("[2001:db8::1]", "ip", "2001:db8::1"),
            ("::1", "ip", "::1"),
            ("::", "ip", "::"),
        ] {
            let identifier = Identifier::parse(text).expect(text);
            assert_eq!((identifier.type_name(), identifier.to_string().as_str()), (kind, shown));
            assert_eq!(Identifier::parse(shown).unwrap(), identifier);
        }
    }

    #[test]
    fn each_address_has_one_form() {
        for text in ["::ffff:192.0.2.1", "[::ffff:c000:201]", "::192.0.2.1"] {
            assert!(error(text).ends_with("give the IPv4 address alone"), "{text}");
            assert_eq!(Identifier::parse_ip(text), None);
        }
    }

    #[test]
    fn what_is_neither() {
        assert!(error("[192.0.2.1]").contains("leave out the brackets"));
        assert!(error("[a.example]").contains("'['"));
        assert!(error("192.0.2.256").contains("neither a name nor an address"));
        assert!(error("192.0.2.1:80").contains("leave out the port"));
        assert!(error("2001:db8::1/64").contains("leave out the port"));
        assert_eq!(Identifier::parse_ip("[::1]"), None);
        assert_eq!(Identifier::parse_ip("example.org"), None);
    }

    #[test]
    fn no_address_is_a_wildcard() {
        let address = Identifier::parse("192.0.2.1").unwrap();
        assert!(!address.is_wildcard());
        assert_eq!(address.base(), address);
        assert_eq!(address.wildcard(), None);
        let wild = Identifier::parse("*.example.org").unwrap();
        assert_eq!(wild.base().wildcard(), Some(wild));
    }
}
