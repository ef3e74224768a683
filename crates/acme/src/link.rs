//! The `Link` header (RFC 8288): alternate chains, the terms of service.

use alloc::string::String;
use alloc::vec::Vec;

/// The targets of the links with this relation in one `Link` header, which may hold several.
///
/// What is not well-formed ends the reading: links before it count, those after it do not.
pub(crate) fn targets<'a>(header: &'a str, relation: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some((target, params, tail)) = next_link(rest) {
        if params.iter().any(|(name, value)| name.eq_ignore_ascii_case("rel") && has_word(value, relation)) {
            found.push(target);
        }
        rest = tail;
    }
    found
}

type Link<'a> = (&'a str, Vec<(&'a str, String)>, &'a str);

/// `<target>; name=value; name="value"`, and what follows the comma after it.
fn next_link(text: &str) -> Option<Link<'_>> {
    let text = text.trim_start_matches([' ', '\t', ',']);
    let (target, mut rest) = text.strip_prefix('<')?.split_once('>')?;
    let mut params = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with(',') {
            return Some((target, params, rest));
        }
        rest = rest.strip_prefix(';')?.trim_start();
        let (name, after) = rest.split_at(rest.find(['=', ';', ',']).unwrap_or(rest.len()));
        let (value, after) = match after.strip_prefix('=') {
            Some(after) => value(after.trim_start())?,
            None => (String::new(), after),
        };
        params.push((name.trim(), value));
        rest = after;
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, rest) = text.split_at(text.find([';', ',']).unwrap_or(text.len()));
        return Some((token.trim_end().into(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

fn has_word(value: &str, word: &str) -> bool {
    value.split_ascii_whitespace().any(|w| w.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_in_one_header() {
        let header = r#"<https://h/dir>;rel="index", <https://h/1>;rel="alternate" , <https://h/2>; title="a, \"b>;c"; rel=alternate,<https://h/3>; rel="up alternate""#;
        assert_eq!(targets(header, "alternate"), ["https://h/1", "https://h/2", "https://h/3"]);
        assert_eq!(targets(header, "index"), ["https://h/dir"]);
        assert_eq!(targets(header, "up"), ["https://h/3"]);
    }

    #[test]
    fn commas_in_urls_and_odd_forms() {
        assert_eq!(targets("<https://h/a,b;c>;REL=Alternate", "alternate"), ["https://h/a,b;c"]);
        assert_eq!(targets(",, <x>;rel=alternate;,<y>", "alternate"), ["x"]);
        assert_eq!(targets("<x>; rel", "rel"), Vec::<&str>::new());
        for bad in ["", "x", "<", "<x", "<x>;rel=\"", "<x> rel=alternate", "<x>;rel=\"alternate\\", ";", "<x>;="] {
            assert!(targets(bad, "alternate").is_empty(), "{bad:?}");
        }
        assert_eq!(targets("<a>;rel=alternate, garbage, <b>;rel=alternate", "alternate"), ["a"]);
    }
}
