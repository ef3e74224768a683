//! URLs, as strict as an ACME client can be: https, absolute, plain ASCII.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::text::{ParseError, checked_text};

/// The longest URL that is accepted, in bytes.
pub const MAX_URL: usize = 2048;

/// An absolute https URL (RFC 3986, RFC 8555 section 6.1): printable ASCII, at most [`MAX_URL`] bytes, with a host name
/// or an IP address, without user name and fragment.
///
/// Scheme and host are made lower-case, an IPv6 address gets its usual form (RFC 5952) and an empty path becomes `/`;
/// the rest stays as it was given, since the server compares it with its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Url {
    text: String,
    host: String,
    port: u16,
    /// Where the path begins in `text`.
    path: usize,
}

impl Url {
    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// If it is not a URL of this kind: the error says why.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        build(text).map_err(|reason| ParseError::new(text, reason))
    }

    /// The whole URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host name, lower-case, or the IP address, without brackets: what a resolver takes.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port, 443 if the URL has none.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as they stand in the URL: the value of the `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text.get(SCHEME.len()..self.path).unwrap_or_default()
    }

    /// Path and query, beginning with `/`: the target of a request.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.text.get(self.path..).unwrap_or("/")
    }
}

/// The hosts and ports that requests may go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins(Vec<(String, u16)>);

impl Origins {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The host and port of this URL only.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        let mut origins = Self::new();
        origins.allow(url.host(), url.port());
        origins
    }

    /// Adds a host (a name, or an IP address without brackets) and a port.
    pub fn allow(&mut self, host: &str, port: u16) {
        let origin = (host.to_ascii_lowercase(), port);
        if !self.0.contains(&origin) {
            self.0.push(origin);
        }
    }

    /// Whether a request to this URL is allowed.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        self.0.iter().any(|(host, port)| host == url.host() && *port == url.port())
    }

    /// The hosts and ports.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u16)> {
        self.0.iter().map(|(host, port)| (host.as_str(), *port))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

checked_text!(Url);

fn build(text: &str) -> Result<Url, &'static str> {
    if text.len() > MAX_URL {
        return Err("longer than 2048 bytes");
    }
    let (scheme, rest) = text.split_at_checked(SCHEME.len()).ok_or(NOT_HTTPS)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(NOT_HTTPS);
    }
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (host, port) = parse_authority(authority)?;
    check_target(target)?;

    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let mut whole = format!("{SCHEME}{shown}");
    if let Some(port) = port {
        whole.push(':');
        whole.push_str(&port.to_string());
    }
    let path = whole.len();
    if !target.starts_with('/') {
        whole.push('/');
    }
    whole.push_str(target);
    if whole.len() > MAX_URL {
        return Err("longer than 2048 bytes");
    }
    Ok(Url { text: whole, host, port: port.unwrap_or(443), path })
}

fn parse_authority(authority: &str) -> Result<(String, Option<u16>), &'static str> {
    if authority.contains('@') {
        return Err("a user name or password does not belong in this URL");
    }
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or("the [ before the IPv6 address is not closed")?;
        let address: Ipv6Addr = address.parse().map_err(|_| "not an IPv6 address between [ and ]")?;
        return Ok((address.to_string(), parse_port(port)?));
    }
    let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
    Ok((parse_host(host)?, parse_port(port)?))
}

fn parse_port(text: &str) -> Result<Option<u16>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix(':').ok_or("something stands between ] and the path")?;
    // `u16` alone would take "+443".
    match digits.parse() {
        Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(port)),
        _ => Err("the port is not a number from 1 to 65535"),
    }
}

fn parse_host(host: &str) -> Result<String, &'static str> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if host.is_empty() {
        return Err("no host");
    }
    if host.len() > 253 || !host.split('.').all(label) {
        return Err("the host is not a plain name or address");
    }
    // "127.1" or "2130706433" mean an address to some resolvers and a name to others.
    let last = host.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    if number && host.parse::<Ipv4Addr>().is_err() {
        return Err("the host ends in a number but is not an IPv4 address");
    }
    Ok(host.to_ascii_lowercase())
}

/// RFC 3986 sections 2 and 3.3: what may stand in path and query.
fn check_target(target: &str) -> Result<(), &'static str> {
    let mut bytes = target.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'#' => return Err("a fragment (#…) does not belong in this URL"),
            b'%' => {
                let two = (bytes.next(), bytes.next());
                if !matches!(two, (Some(a), Some(b)) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()) {
                    return Err("a % without two hexadecimal digits");
                }
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {}
            b if b"/?-._~!$&'()*+,;=:@".contains(&b) => {}
            _ => return Err("a character that may not stand in a URL"),
        }
    }
    Ok(())
}

const SCHEME: &str = "https://";
const NOT_HTTPS: &str = "does not begin with https://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let url = Url::parse("HTTPS://Acme.Example.ORG:14000/Dir?a=b&c=%2F").unwrap();
        assert_eq!(url.as_str(), "https://acme.example.org:14000/Dir?a=b&c=%2F");
        assert_eq!((url.host(), url.port()), ("acme.example.org", 14000));
        assert_eq!(url.authority(), "acme.example.org:14000");
        assert_eq!(url.path_and_query(), "/Dir?a=b&c=%2F");
    }

    #[test]
    fn empty_path_and_addresses() {
        let url = Url::parse("https://h").unwrap();
        assert_eq!((url.as_str(), url.path_and_query(), url.port()), ("https://h/", "/", 443));
        assert_eq!(Url::parse("https://h?q").unwrap().path_and_query(), "/?q");
        let v6 = Url::parse("https://[0:0::0001]:8443/x").unwrap();
        assert_eq!((v6.host(), v6.port(), v6.authority()), ("::1", 8443, "[::1]:8443"));
        assert_eq!(Url::parse("https://127.0.0.1/").unwrap().host(), "127.0.0.1");
    }

    #[test]
    fn what_is_refused() {
        for bad in [
            "",
            "https:/",
            "https://",
            "https:///x",
            "http://h/",
            "ftp://h/",
            "//h/",
            "/x",
            "h",
            "https://u@h/",
            "https://u:p@h/",
            "https://h/#f",
            "https://h#f",
            "https://h:0/",
            "https://h:65536/",
            "https://h:/",
            "https://h:+443/",
            "https://h:44 3/",
            "https://h /",
            "https://h/a b",
            "https://h/\u{7f}",
            "https://h/\n",
            "https://h/ü",
            "https://hü/",
            "https://h/%",
            "https://h/%2",
            "https://h/%zz",
            "https://h/<x>",
            "https://h\\x/",
            "https://-h/",
            "https://h-/",
            "https://h..i/",
            "https://h./",
            "https://.h/",
            "https://[::1",
            "https://[::1]x/",
            "https://[g::]/",
            "https://[127.0.0.1]/",
            "https://::1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.0.0.1.0x1/",
            "https://256.0.0.1/",
            "https://[fe80::1%25eth0]/",
            "https://h_i/",
            "https://*.h/",
            "httpsé//h/",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(Url::parse(&format!("https://h/{}", "a".repeat(MAX_URL - 10))).is_ok());
        assert!(Url::parse(&format!("https://h/{}", "a".repeat(MAX_URL - 9))).is_err());
        assert!(Url::parse(&format!("https://h?{}", "a".repeat(MAX_URL - 10))).is_err(), "the added / counts");
    }

    #[test]
    fn origins() {
        let mut origins = Origins::of(&Url::parse("https://Ca.example/dir").unwrap());
        origins.allow("::1", 14000);
        let allows = |text| origins.allows(&Url::parse(text).unwrap());
        assert!(allows("https://ca.example:443/other"));
        assert!(allows("https://[0::1]:14000/"));
        assert!(!allows("https://ca.example:444/"));
        assert!(!allows("https://ca.example.evil.example/"));
        assert!(!allows("https://evil.example/ca.example"));
        assert_eq!(origins.iter().count(), 2);
    }
}
