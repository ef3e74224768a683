//! Which names may be ordered.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::problem::Problem;

/// As many as the public authorities take.
const MAX_NAMES: usize = 100;

/// The names in a new order: in lower case, sorted, each once.
pub(crate) fn from_order(wish: &Value) -> Result<Vec<String>, Problem> {
    let list = wish["identifiers"].as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Problem::malformed("there are no \"identifiers\""))?;
    if list.len() > MAX_NAMES {
        return Err(Problem::new(400, "malformed", format!("an order has at most {MAX_NAMES} names")));
    }
    let (mut names, mut problems) = (BTreeSet::new(), Vec::new());
    for identifier in list {
        let (Some(kind), Some(value)) = (identifier["type"].as_str(), identifier["value"].as_str()) else {
            return Err(Problem::malformed("an identifier has a \"type\" and a \"value\", both strings"));
        };
        let name = value.to_ascii_lowercase();
        match check(kind, &name) {
            Ok(()) => _ = names.insert(name),
            Err((problem, why)) => {
                problems.push((problem, format!("{value:?}: {why}"), json!({"type": kind, "value": value})))
            }
        }
    }
    refuse(problems)?;
    Ok(names.into_iter().collect())
}

/// One problem for all that is wrong, with subproblems when there is more than one (RFC 8555 section 6.7.1).
fn refuse(mut problems: Vec<(&'static str, String, Value)>) -> Result<(), Problem> {
    match problems.len() {
        0 => Ok(()),
        1 => {
            let (kind, detail, identifier) = problems.swap_remove(0);
            Err(Problem::new(400, kind, detail).with("identifier", identifier))
        }
        count => {
            let parts: Vec<Value> = problems
                .into_iter()
                .map(|(kind, detail, id)| Problem::new(400, kind, detail).with("identifier", id).to_subproblem())
                .collect();
            Err(Problem::new(400, "rejectedIdentifier", format!("{count} of the names cannot be had"))
                .with("subproblems", parts.into()))
        }
    }
}

/// The type of the problem, and why.
fn check(kind: &str, name: &str) -> Result<(), (&'static str, &'static str)> {
    match kind {
        "dns" => {}
        "ip" => {
            // RFC 8738 section 3: in the form of RFC 5952, which is what this prints.
            return match name.parse::<IpAddr>() {
                Ok(address) if address.to_string() == name => Ok(()),
                _ => Err(("malformed", "this is no IP address, or not in its one form")),
            };
        }
        _ => return Err(("unsupportedIdentifier", "certificates are issued for DNS names and IP addresses only")),
    }
    if name.starts_with("*.") {
        return Err(("rejectedIdentifier", "a wildcard needs dns-01, which is not offered"));
    }
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(("malformed", "this is no DNS name"));
    }
    match name.rsplit_once('.') {
        None => Err(("rejectedIdentifier", "a name has at least two labels")),
        Some((_, top)) if top.chars().all(|c| c.is_ascii_digit()) => Err(("malformed", "this is no DNS name")),
        Some(_) => Ok(()),
    }
}

/// What is the identifier of a name, which [`from_order`] has let pass: no DNS name looks like an address.
pub(crate) fn identifier(name: &str) -> Value {
    let kind = if name.parse::<IpAddr>().is_ok() { "ip" } else { "dns" };
    json!({"type": kind, "value": name})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(names: &[&str]) -> Result<Vec<String>, Problem> {
        let list: Vec<Value> = names.iter().map(|name| json!({"type": "dns", "value": name})).collect();
        from_order(&json!({"identifiers": list}))
    }

    #[test]
    fn sorts_and_unites() {
        assert_eq!(order(&["b.example", "A.example", "a.example"]).unwrap(), ["a.example", "b.example"]);
    }

    #[test]
    fn refuses() {
        let long = format!("{}.example", "a".repeat(64));
        let malformed =
            ["", ".", "a..b", "a.example.", "-a.example", "a_b.example", "a b.example", "127.0.0.1", "é.example"];
        for name in malformed.into_iter().chain([long.as_str()]) {
            assert_eq!(order(&[name]).unwrap_err().kind, "malformed", "{name}");
        }
        for name in ["localhost", "*.a.example"] {
            assert_eq!(order(&[name]).unwrap_err().kind, "rejectedIdentifier", "{name}");
        }
        let other = |kind: &str, value: &str| from_order(&json!({"identifiers": [{"type": kind, "value": value}]}));
        assert_eq!(other("email", "a@a.example").unwrap_err().kind, "unsupportedIdentifier");
        for address in ["a.example", "127.1", "[::1]", "2001:db8:0::1", "::1%lo"] {
            assert_eq!(other("ip", address).unwrap_err().kind, "malformed", "{address}");
        }
        for address in ["127.0.0.1", "2001:db8::1"] {
            assert_eq!(other("ip", address).unwrap(), [address]);
            assert_eq!(identifier(address)["type"], "ip");
        }
        for wish in [json!({}), json!({"identifiers": []}), json!({"identifiers": ["a.example"]})] {
            assert!(from_order(&wish).unwrap_err().mistake, "{wish}");
        }
    }

    #[test]
    fn several_problems_are_told_one_by_one() {
        let problem = order(&["a.example", "localhost", "*.b.example"]).unwrap_err().to_json();
        assert_eq!(problem["subproblems"].as_array().unwrap().len(), 2);
        assert_eq!(problem["subproblems"][1]["identifier"]["value"], "*.b.example");
        assert!(problem["subproblems"][0].get("status").is_none());
    }
}
