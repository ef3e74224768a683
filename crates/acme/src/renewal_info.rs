//! When to renew, by the CA (RFC 9773, ACME Renewal Information).

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base64url;
use crate::error::{ErrorKind, Stage};
use crate::exchange::Ask;
use crate::json::{self, Object, checked_url};
use crate::run::{Flow, Next, Runner, task};
use crate::session::{Now, Reply, Session};
use crate::task::Outcome;
use crate::text::{ParseError, checked_text};
use crate::url::Origins;

/// How a certificate is called where its renewal is talked about (RFC 9773 section 4.1): who issued it and its serial number.
///
/// ```
/// use acme::CertId;
///
/// // The example of RFC 9773.
/// let issuer = [0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae, 0x2c, 0xde, 0x01, 0xc8, 0xd4];
/// let serial = [0x00, 0x87, 0x65, 0x43, 0x21];
/// assert_eq!(CertId::new(&issuer, &serial).unwrap().as_str(), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertId(String);

impl CertId {
    /// Of the `keyIdentifier` of a certificate's authority key identifier, and the content of the INTEGER that is its serial
    /// number (with the zero at its beginning, if there is one). `None` if either is empty or longer than 64 bytes.
    #[must_use]
    pub fn new(key_identifier: &[u8], serial: &[u8]) -> Option<Self> {
        let text = format!("{}.{}", base64url::encode(key_identifier), base64url::encode(serial));
        Self::parse(&text).ok()
    }

    /// Checks the form.
    ///
    /// # Errors
    ///
    /// If it has another one.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let part = |part: &str| {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=86).contains(&part.len()) && part.bytes().all(fine)
        };
        match text.split_once('.') {
            Some((issuer, serial)) if part(issuer) && part(serial) => Ok(Self(text.into())),
            _ => Err(ParseError::new(text, "not what a certificate is called by (RFC 9773 section 4.1)")),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

checked_text!(CertId);

/// When a certificate is to be renewed (RFC 9773 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalInfo {
    /// The first second of the window, since 1970.
    pub start: u64,
    /// The second after its last; later than `start`.
    pub end: u64,
    /// Where the CA explains why; to be shown only.
    pub explanation: Option<String>,
    /// When to ask again, between a minute and a day from now; six hours if the CA does not say.
    pub ask_again: Duration,
}

/// RFC 9773 section 4.3.2: clients set bounds of their own, and have a default.
const SOONEST: Duration = Duration::from_secs(60);
const LATEST: Duration = Duration::from_secs(24 * 3600);
const USUAL: Duration = Duration::from_secs(6 * 3600);

impl RenewalInfo {
    fn read(reply: &Reply, origins: &Origins, now: Now) -> Result<Self, ErrorKind> {
        let value = json::parse(RENEWAL_INFO, &reply.body)?;
        let object = Object::new(RENEWAL_INFO, &value, origins)?;
        let window = object
            .object("renewal information's \"suggestedWindow\"", "suggestedWindow")
            .ok_or_else(|| object.missing("suggestedWindow"))?;
        let time = |key| -> Result<u64, ErrorKind> {
            let text = window.text(key).ok_or_else(|| window.missing(key))?;
            let time: Timestamp = text.parse().map_err(|_| window.malformed(&format!("{key:?} is no date: {text}")))?;
            Ok(u64::try_from(time.as_second()).unwrap_or(0))
        };
        let (start, end) = (time("start")?, time("end")?);
        // Section 4.2: as if there had been no reply.
        if end <= start {
            return Err(window.malformed("it ends before it begins"));
        }
        let asked = reply.retry_after(now).unwrap_or(USUAL);
        let explanation = object.shown("explanationURL");
        Ok(Self { start, end, explanation, ask_again: asked.clamp(SOONEST, LATEST) })
    }
}

/// What [`FetchRenewalInfo`] has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRenewalInfoConfig {
    /// Which certificate.
    pub certificate: CertId,
}

/// Asks the CA when a certificate is to be renewed. No account is needed for it.
#[derive(Debug)]
pub struct FetchRenewalInfo(Runner<FetchFlow>);

impl FetchRenewalInfo {
    /// Nothing is done before the first poll.
    #[must_use]
    pub const fn new(config: FetchRenewalInfoConfig) -> Self {
        Self(Runner::new(FetchFlow { config, told: None }))
    }
}

task!(FetchRenewalInfo);

#[derive(Debug)]
struct FetchFlow {
    config: FetchRenewalInfoConfig,
    told: Option<RenewalInfo>,
}

impl Flow for FetchFlow {
    fn next(&mut self, session: &mut Session, _: Now) -> Result<Next, ErrorKind> {
        if let Some(told) = self.told.clone() {
            return Ok(Next::Finish(Outcome::RenewalInfo(told)));
        }
        let base = session.need_directory()?.renewal_info.clone();
        let base = base.ok_or(ErrorKind::NotOffered("renewal information"))?;
        let text = format!("{}/{}", base.as_str().trim_end_matches('/'), self.config.certificate);
        Ok(Next::Ask(Ask {
            what: RENEWAL_INFO,
            url: checked_url("directory", "renewalInfo", &text, &session.config.origins)?,
            signed: None,
            accept: None,
            max_body: session.config.limits.json_body,
        }))
    }

    fn answer(&mut self, session: &mut Session, answer: Result<Reply, ErrorKind>, now: Now) -> Result<(), ErrorKind> {
        self.told = Some(RenewalInfo::read(&answer?, &session.config.origins, now)?);
        Ok(())
    }

    fn stage(&self) -> Stage {
        Stage::RenewalInfo
    }
}

const RENEWAL_INFO: &str = "renewal information";

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::url::Url;

    const NOW: Now = Now { mono: Duration::ZERO, unix: 1_800_000_000 };

    fn read(window: &str, retry_after: Option<&str>) -> Result<RenewalInfo, ErrorKind> {
        let origins = Origins::of(&Url::parse("https://ca.example/").unwrap());
        let headers = retry_after.map(|value| vec![("Retry-After".into(), value.into())]).unwrap_or_default();
        let body = format!(r#"{{"suggestedWindow":{window},"explanationURL":"https://ca.example/why\u001b"}}"#);
        RenewalInfo::read(&Reply { status: 200, headers, body: body.into_bytes() }, &origins, NOW)
    }

    #[test]
    fn windows() {
        let info =
            read(r#"{"start":"2025-01-02T04:00:00Z","end":"2025-01-03T05:00:00+01:00"}"#, Some("21600")).unwrap();
        assert_eq!((info.start, info.end), (1_735_790_400, 1_735_876_800));
        assert_eq!(info.explanation.as_deref(), Some("https://ca.example/why\\u{1b}"));
        assert_eq!(info.ask_again, USUAL);
        // Before 1970, with fractions, in the year 9999.
        assert_eq!(read(r#"{"start":"1960-01-01T00:00:00Z","end":"1970-01-01T00:00:01.5Z"}"#, None).unwrap().start, 0);
        assert!(read(r#"{"start":"2025-01-01T00:00:00Z","end":"9999-12-30T00:00:00Z"}"#, None).is_ok());
        for bad in [
            r#"{"start":"2025-01-03T04:00:00Z","end":"2025-01-02T04:00:00Z"}"#,
            r#"{"start":"2025-01-03T04:00:00Z","end":"2025-01-03T04:00:00Z"}"#,
            r#"{"start":"2025-01-03","end":"2025-01-04T04:00:00Z"}"#,
            r#"{"start":"2025-01-03T04:00:00Z"}"#,
            r#"{"start":1735790400,"end":1735876800}"#,
            "[]",
            "null",
        ] {
            assert!(matches!(read(bad, None), Err(ErrorKind::Malformed { .. })), "{bad}");
        }
    }

    #[test]
    fn asking_again_has_bounds() {
        let window = r#"{"start":"2025-01-02T04:00:00Z","end":"2025-01-03T04:00:00Z"}"#;
        for (value, seconds) in [
            (None, 21_600),
            (Some("0"), 60),
            (Some("3600"), 3600),
            (Some("99999999999"), 86_400),
            (Some("soon"), 21_600),
        ] {
            assert_eq!(read(window, value).unwrap().ask_again.as_secs(), seconds, "{value:?}");
        }
    }

    #[test]
    fn what_certificates_are_called_by() {
        assert_eq!(CertId::new(&[], &[1]), None);
        assert_eq!(CertId::new(&[1], &[]), None);
        assert_eq!(CertId::new(&[0; 65], &[1]), None);
        assert!(CertId::new(&[0; 64], &[0; 64]).is_some());
        for bad in ["", ".", "a", "a.", "a.b.c", "a/b.c", "a.b=", "../x.y"] {
            assert!(CertId::parse(bad).is_err(), "{bad}");
        }
    }
}
