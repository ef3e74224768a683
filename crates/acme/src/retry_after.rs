//! The `Retry-After` header (RFC 9110 section 10.2.3, RFC 8555 sections 6.6 and 7.5.1).

use core::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::strtime;

/// The longest wait that is believed: 30 days. Anything longer, be it by mistake, counts as this.
pub const MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long to wait, by the value of the header and the time now, in seconds since 1970.
///
/// Seconds and the three forms of an HTTP date (RFC 9110 section 5.6.7) are understood. A date that is past means no
/// wait, a wait of more than [`MAX`] means `MAX`. `None` for anything else: negative numbers, fractions, words.
#[must_use]
pub fn parse(value: &str, now_unix: u64) -> Option<Duration> {
    let value = value.trim();
    if value.len() > MAX_LENGTH {
        return None;
    }
    let seconds = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        value.parse().unwrap_or(u64::MAX)
    } else {
        http_date(value)?.saturating_sub(now_unix)
    };
    Some(Duration::from_secs(seconds).min(MAX))
}

/// Seconds since 1970; before it, 0. What day of the week it is said to be does not matter.
fn http_date(value: &str) -> Option<u64> {
    let (_, date) = value.split_once(' ')?;
    // IMF-fixdate, and the obsolete forms of RFC 850 and asctime, which a recipient must accept.
    let formats = ["%d %b %Y %H:%M:%S GMT", "%d-%b-%y %H:%M:%S GMT", "%b %e %H:%M:%S %Y"];
    let time = formats.into_iter().find_map(|format| strtime::parse(format, date).ok()?.to_datetime().ok())?;
    Some(u64::try_from(time.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_secs()).unwrap_or(0))
}

/// The longest form of a date has 33 characters.
const MAX_LENGTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
    const EXAMPLE: u64 = 784_111_777;

    fn seconds(value: &str) -> Option<u64> {
        parse(value, EXAMPLE - 37).map(|wait| wait.as_secs())
    }

    #[test]
    fn numbers() {
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("2592001"), Some(MAX.as_secs()));
        assert_eq!(seconds("99999999999999999999999999"), Some(MAX.as_secs()));
        for bad in ["", "-1", "+1", "1.5", "1e3", "soon", "12 s", "0x10", "١"] {
            assert_eq!(seconds(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(37));
        assert_eq!(seconds("Sunday, 06-Nov-94 08:49:37 GMT"), Some(37));
        assert_eq!(seconds("Sun Nov  6 08:49:37 1994"), Some(37));
        assert_eq!(seconds("Mon, 06 Nov 1994 08:49:37 GMT"), Some(37), "a wrong day of the week does no harm");
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0), "past");
        assert_eq!(seconds("Thu, 01 Jan 1960 00:00:00 GMT"), Some(0), "long past");
        assert_eq!(seconds("Fri, 31 Dec 9999 23:59:59 GMT"), Some(MAX.as_secs()));
        assert_eq!(seconds("Sun, 36 Nov 1994 08:49:37 GMT"), None);
        assert_eq!(seconds(&"9".repeat(65)), None);
    }
}
