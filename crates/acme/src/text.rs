//! Words from outside, made fit to be shown to a person.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

/// What was given is not a URL, name, token, … of the kind it should be.
///
/// Shown as `what was given: what is wrong with it`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    input: String,
    reason: Cow<'static, str>,
}

impl ParseError {
    pub(crate) fn new(input: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { input: clean(input, MAX_INPUT), reason: reason.into() }
    }

    /// What is wrong, without what was given.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.input.is_empty() { f.write_str(&self.reason) } else { write!(f, "{}: {}", self.input, self.reason) }
    }
}

impl core::error::Error for ParseError {}

/// The ways to and from a string of a type that has `parse` and is displayed as what `parse` reads: also serde's, by
/// `#[serde(try_from = "String", into = "String")]`.
macro_rules! checked_text {
    ($name:ident) => {
        impl core::str::FromStr for $name {
            type Err = crate::text::ParseError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<alloc::string::String> for $name {
            type Error = crate::text::ParseError;

            fn try_from(text: alloc::string::String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for alloc::string::String {
            fn from(value: $name) -> Self {
                alloc::string::ToString::to_string(&value)
            }
        }
    };
}
pub(crate) use checked_text;

/// `text` in at most `max` characters and on one line: line ends become spaces, and whatever could steer a terminal or
/// reorder a line is escaped.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut room = max;
    for c in text.trim().chars() {
        let cost = if steers(c) { c.escape_unicode().count() } else { 1 };
        if cost > room {
            out.push('…');
            break;
        }
        room -= cost;
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if steers(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// A length of time in words: `40 ms`, `12 s`, `3 min 5 s`, `34 h 10 min`, `7 days 2 h`.
#[derive(Clone, Copy)]
pub(crate) struct Words(pub(crate) Duration);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0.as_secs();
        match s {
            0 => write!(f, "{} ms", self.0.subsec_millis()),
            1..60 => write!(f, "{s} s"),
            60..3600 => pair(f, s / 60, "min", s % 60, "s"),
            3600..172_800 => pair(f, s / 3600, "h", s % 3600 / 60, "min"),
            _ => pair(f, s / 86_400, "days", s % 86_400 / 3600, "h"),
        }
    }
}

fn pair(f: &mut fmt::Formatter<'_>, large: u64, unit: &str, small: u64, small_unit: &str) -> fmt::Result {
    write!(f, "{large} {unit}")?;
    if small > 0 { write!(f, " {small} {small_unit}") } else { Ok(()) }
}

/// Control characters, and the invisible ones that change the direction or the line of what follows.
fn steers(c: char) -> bool {
    !matches!(c, '\n' | '\r' | '\t')
        && (c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'))
}

/// Of something refused, as much as a person needs to recognise it.
const MAX_INPUT: usize = 100;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(clean("a\u{1b}[31mb\r\nc", 99), "a\\u{1b}[31mb  c");
        assert_eq!(clean("x\u{202e}y\u{7f}\u{9b}", 99), "x\\u{202e}y\\u{7f}\\u{9b}");
        assert_eq!(clean("Zürich", 99), "Zürich");
    }

    #[test]
    fn length_is_bounded_with_the_escapes() {
        assert_eq!(clean("abcdef", 3), "abc…");
        assert_eq!(clean("abc", 3), "abc");
        assert_eq!(clean("a\u{1b}", 3), "a…");
        assert!(clean(&"\u{1b}".repeat(10_000), 100).chars().count() <= 101);
    }

    #[test]
    fn durations_in_words() {
        let words = |s| Words(Duration::from_secs(s)).to_string();
        assert_eq!(Words(Duration::from_millis(40)).to_string(), "40 ms");
        assert_eq!(words(12), "12 s");
        assert_eq!(words(185), "3 min 5 s");
        assert_eq!(words(3600), "1 h");
        assert_eq!(words(123_000), "34 h 10 min");
        assert_eq!(words(612_000), "7 days 2 h");
    }
}
