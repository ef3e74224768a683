//! Replies turned into lies: the faults that change what an honest answer says.

use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::faults::Fault;
use crate::http::{Body, Reply};
use crate::state::State;

/// Changes `reply` as the faults want it that strike here and find something to change.
pub(crate) fn tell(state: &mut State, endpoint: Endpoint, reply: &mut Reply, origin: &str) {
    for fault in state.strike(endpoint, |fault| has_effect(fault, reply)) {
        match (&fault, &mut reply.body) {
            (Fault::Url(member, to), Body::Json(json)) if find(json, member) => visit(json, member, &|_, value| {
                replace_urls(value, to);
            }),
            (Fault::Url(member, to), _) => replace_headers(reply, member, to),
            (Fault::Member(member, new), Body::Json(json)) => visit(json, member, &|object, _| match new {
                Some(new) => _ = object.insert(member.clone(), new.clone()),
                None => _ = object.remove(member),
            }),
            (Fault::Extra, Body::Json(json)) => add_extras(json, origin),
            _ => {}
        }
    }
}

/// The parts of `url` put into `pattern`: `{url}`, `{host}`, `{path}`.
pub(crate) fn fill_in(pattern: &str, url: &str) -> String {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    pattern.replace("{url}", url).replace("{host}", host).replace("{path}", path)
}

fn has_effect(fault: &Fault, reply: &Reply) -> bool {
    match (fault, &reply.body) {
        (Fault::Url(member, _), Body::Json(json)) => find(json, member) || has_header(reply, member),
        (Fault::Url(member, _), _) => has_header(reply, member),
        (Fault::Member(member, _), Body::Json(json)) => find(json, member),
        (Fault::Extra, Body::Json(_)) => true,
        _ => false,
    }
}

/// Whether a member of that name is anywhere in `json`.
fn find(json: &Value, member: &str) -> bool {
    match json {
        Value::Object(object) => object.contains_key(member) || object.values().any(|value| find(value, member)),
        Value::Array(values) => values.iter().any(|value| find(value, member)),
        _ => false,
    }
}

type Change<'a> = &'a dyn Fn(&mut serde_json::Map<String, Value>, &mut Value);

/// Changes every member of that name: `change` gets the object and a copy of the value, which is put back unless the
/// object was changed.
fn visit(json: &mut Value, member: &str, change: Change<'_>) {
    match json {
        Value::Object(object) => {
            for value in object.values_mut() {
                visit(value, member, change);
            }
            if let Some(before) = object.get(member).cloned() {
                let mut value = before.clone();
                change(object, &mut value);
                if value != before {
                    object.insert(member.to_owned(), value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| visit(value, member, change)),
        _ => {}
    }
}

fn replace_urls(value: &mut Value, to: &str) {
    match value {
        Value::String(url) => *url = fill_in(to, url),
        Value::Array(values) => values.iter_mut().for_each(|value| replace_urls(value, to)),
        _ => {}
    }
}

fn has_header(reply: &Reply, member: &str) -> bool {
    reply.headers.iter().any(|(name, value)| is_header(name, value, member))
}

fn is_header(name: &str, value: &str, member: &str) -> bool {
    match name {
        "Location" => member == "location",
        "Link" => value.ends_with(&format!(";rel=\"{member}\"")),
        _ => false,
    }
}

fn replace_headers(reply: &mut Reply, member: &str, to: &str) {
    for (name, value) in &mut reply.headers {
        if is_header(name, value, member) {
            *value = match value.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
                Some((url, relation)) => format!("<{}>{relation}", fill_in(to, url)),
                None => fill_in(to, value),
            };
        }
    }
}

fn add_extras(json: &mut Value, origin: &str) {
    let Value::Object(object) = json else { return };
    let nested = json!({"status": "invalid", "token": 7, "list": [null, {"url": false}]});
    let extras = [
        ("x-null", Value::Null),
        ("x-number", json!(1e300)),
        ("x-text", json!("\u{1F512} \u{0} \u{202E} \"quoted\"")),
        ("x-list", json!([[], {}, "", -1])),
        ("x-nested", nested),
    ];
    for (name, value) in extras {
        object.insert(name.to_owned(), value);
    }
    if let Some(Value::Array(challenges)) = object.get_mut("challenges") {
        let persist = json!({"type": "dns-persist-01", "status": "pending", "issuerDomainNames": ["ca.example"]});
        let attest = json!({"type": "device-attest-01", "url": format!("{origin}/none"), "token": null});
        challenges.splice(0..0, [persist, attest, json!({"type": "x-bare"})]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Faults, Rule};

    fn told(fault: impl Into<Rule>) -> Reply {
        let mut state = State::new("https://localhost:1".into(), Faults::none().with(fault));
        let mut reply = Reply::json(
            201,
            json!({
                "authorizations": ["https://localhost:1/a", "https://localhost:1/b"],
                "challenges": [{"token": "t", "url": "https://localhost:1/c"}],
            }),
        )
        .header("Location", "https://localhost:1/o")
        .link("https://localhost:1/x", "alternate");
        tell(&mut state, Endpoint::NewOrder, &mut reply, "https://localhost:1");
        reply
    }

    fn body(fault: impl Into<Rule>) -> Value {
        match told(fault).body {
            Body::Json(json) => json,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn replaces_urls() {
        let foreign = json!(["https://ca.attacker.example/a", "https://ca.attacker.example/b"]);
        assert_eq!(body(Fault::foreign_url("authorizations"))["authorizations"], foreign);
        assert_eq!(body(Fault::plain_http("url"))["challenges"][0]["url"], "http://localhost:1/c");
        assert_eq!(told(Fault::plain_http("location")).get("location"), Some("http://localhost:1/o"));
        assert_eq!(told(Fault::plain_http("alternate")).get("link"), Some("<http://localhost:1/x>;rel=\"alternate\""));
    }

    #[test]
    fn replaces_and_removes_members() {
        assert_eq!(body(Fault::token("../x"))["challenges"][0]["token"], "../x");
        assert!(body(Fault::token_null())["challenges"][0]["token"].is_null());
        assert!(body(Fault::no_token())["challenges"][0].get("token").is_none());
        assert!(body(Fault::no_authorizations()).get("authorizations").is_none());
    }

    #[test]
    fn adds_what_nobody_knows() {
        let json = body(Fault::Extra);
        assert_eq!(json["challenges"].as_array().unwrap().len(), 4);
        assert_eq!(json["x-nested"]["token"], 7);
    }

    #[test]
    fn a_rule_counts_only_where_it_has_an_effect() {
        let mut state = State::new(String::new(), Faults::from(Fault::no_token().times(1)));
        for (body, expected) in [(json!({"a": 1}), json!({"a": 1})), (json!({"token": 1}), json!({}))] {
            let mut reply = Reply::json(200, body);
            tell(&mut state, Endpoint::Authz(0), &mut reply, "");
            let Body::Json(json) = reply.body else { panic!() };
            assert_eq!(json, expected);
        }
    }
}
