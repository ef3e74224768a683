//! A CA that lies, or something else in its place.

use acme::{ErrorKind, Reply};
use serde_json::{Value, json};

use crate::world::{Instead, World, at, chain, header, json_reply, page};

const NAME: &[&str] = &["example.org"];

/// What comes of a run in which the reply to requests for `path` is `reply`.
fn with(path: &'static str, reply: Reply) -> (World, acme::Error) {
    let mut world = World::new();
    world.ca.always.push((path, Instead::Reply(reply)));
    let result = world.register().and_then(|_| world.issue(NAME));
    let error = result.expect_err(path);
    (world, error)
}

fn order(changes: &Value) -> Reply {
    let mut order = json!({ "status": "pending", "identifiers": [{ "type": "dns", "value": "example.org" }],
        "authorizations": [at("/authz/0")], "finalize": at("/finalize/1") });
    for (key, value) in changes.as_object().unwrap() {
        order[key] = value.clone();
    }
    header(json_reply(201, &order), "Location", &at("/order/1"))
}

fn authorization(changes: &Value) -> Reply {
    let challenge = json!({ "type": "http-01", "status": "pending", "token": "t", "url": at("/challenge/0") });
    let mut body = json!({ "status": "pending", "identifier": { "type": "dns", "value": "example.org" },
        "challenges": [challenge] });
    for (key, value) in changes.as_object().unwrap() {
        body[key] = value.clone();
    }
    json_reply(200, &body)
}

#[test]
fn foreign_urls_everywhere() {
    let evil = "https://evil.example/x";
    let challenge = json!([{ "type": "http-01", "status": "pending", "token": "t", "url": evil }]);
    for (path, reply, object, field) in [
        ("/new-order", order(&json!({ "authorizations": [evil] })), "order", "authorizations"),
        ("/new-order", order(&json!({ "finalize": evil })), "order", "finalize"),
        ("/new-order", order(&json!({ "status": "valid", "certificate": evil })), "order", "certificate"),
        ("/new-order", header(json_reply(201, &json!({ "status": "ready" })), "Location", evil), "order", "Location"),
        ("/finalize/1", order(&json!({ "status": "valid", "certificate": evil })), "order", "certificate"),
        ("/authz/0", authorization(&json!({ "challenges": challenge })), "challenge", "url"),
    ] {
        let (world, error) = with(path, reply);
        let expected = ErrorKind::ForeignUrl { object, field, url: evil.into() };
        assert_eq!(error.kind, expected, "{path}");
        let text = error.to_string();
        assert!(text.contains(evil) && text.contains(field) && text.contains("configuration"), "{text}");
        assert!(world.requests().iter().all(|request| !request.ends_with("/x")));
    }
}

#[test]
fn other_ports_schemes_and_tricks_are_foreign_too() {
    for url in [
        "http://ca.example/finalize",
        "https://ca.example:8443/finalize",
        "https://ca.example@evil.example/",
        "https://evil.example\\@ca.example/",
        "https://ca.example.evil.example/",
        "//evil.example/",
        "/finalize/1",
        "",
        "https://ca.example/\r\nHost: evil.example",
        "https://ca.example/#",
    ] {
        let (_, error) = with("/new-order", order(&json!({ "finalize": url })));
        assert!(matches!(error.kind, ErrorKind::Malformed { .. } | ErrorKind::ForeignUrl { .. }), "{url:?}: {error}");
        assert!(!error.to_string().contains(['\r', '\n']));
    }
}

#[test]
fn a_host_that_is_allowed_is_not_foreign() {
    let mut world = World::with(|config| config.origins.allow("other.example", 443));
    world.register().unwrap();
    world.ca.instead.push_back((
        "/new-order",
        Instead::Change(|reply| {
            let text = String::from_utf8(reply.body.clone()).unwrap();
            reply.body = text.replace("https://ca.example/finalize", "https://other.example/finalize").into_bytes();
        }),
    ));
    world.issue(NAME).unwrap();
}

#[test]
fn a_directory_outside_the_origins() {
    let mut world = World::with(|config| config.origins = acme::Origins::new());
    let error = world.register().unwrap_err();
    assert!(matches!(error.kind, ErrorKind::ForeignUrl { .. }), "{error}");
    assert!(world.log.is_empty());
}

#[test]
fn orders_for_other_names() {
    for identifiers in [
        json!([{ "type": "dns", "value": "evil.example" }]),
        json!([{ "type": "dns", "value": "example.org" }, { "type": "dns", "value": "evil.example" }]),
        json!([{ "type": "dns", "value": "*.example.org" }]),
        json!([{ "type": "ip", "value": "192.0.2.1" }]),
    ] {
        let (_, error) = with("/new-order", order(&json!({ "identifiers": identifiers })));
        assert_eq!(error.kind, ErrorKind::OtherNames);
    }
    let identifier = json!({ "identifier": { "type": "dns", "value": "evil.example" } });
    let (world, error) = with("/authz/0", authorization(&identifier));
    assert_eq!(error.kind, ErrorKind::OtherNames);
    assert!(!world.log.iter().any(|entry| entry.starts_with("publish")));
    let identifiers = json!([{ "type": "dns", "value": "evil.example" }]);
    let (_, error) = with("/finalize/1", order(&json!({ "status": "processing", "identifiers": identifiers })));
    assert_eq!(error.kind, ErrorKind::OtherNames);
}

#[test]
fn tokens_that_are_no_tokens_are_never_published() {
    for token in [json!("../../etc/passwd"), json!(""), json!(null), json!(7), json!("a".repeat(256)), json!("a/b")] {
        let challenges = json!([{ "type": "http-01", "token": token, "url": at("/challenge/0") }]);
        let (world, error) = with("/authz/0", authorization(&json!({ "challenges": challenges })));
        assert!(error.to_string().contains("token"), "{error}");
        assert!(!world.log.iter().any(|entry| entry.starts_with("publish")));
    }
}

#[test]
fn replies_without_what_is_needed() {
    for (path, reply, words) in [
        ("/new-order", order(&json!({ "authorizations": [] })), "no authorizations"),
        ("/new-order", order(&json!({ "authorizations": null })), "no authorizations"),
        ("/new-order", order(&json!({ "status": "ready", "finalize": null })), "no \"finalize\""),
        ("/new-order", order(&json!({ "status": "valid" })), "no \"certificate\""),
        ("/new-order", order(&json!({ "status": "half" })), "status \"half\" is not known"),
        ("/new-order", order(&json!({ "status": null })), "no \"status\""),
        ("/new-order", order(&json!({ "status": "invalid" })), "does not say why"),
        ("/new-order", json_reply(201, &json!({ "status": "ready" })), "does not say its URL"),
        ("/authz/0", authorization(&json!({ "identifier": null })), "neither a DNS name nor an IP address"),
        ("/authz/0", authorization(&json!({ "challenges": null })), "no way at all"),
        ("/authz/0", authorization(&json!({ "status": "invalid" })), "authorization is invalid"),
    ] {
        let (_, error) = with(path, reply);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn replies_that_are_not_json() {
    let cut = |mut reply: Reply| {
        reply.body.truncate(reply.body.len() / 2);
        reply
    };
    for path in ["/dir", "/new-order", "/authz/0", "/finalize/1"] {
        for reply in [page(200), Reply { status: 201, ..Reply::default() }, cut(order(&json!({})))] {
            let (world, error) = with(path, reply);
            assert!(matches!(error.kind, ErrorKind::Malformed { .. }), "{path}: {error}");
            let requests = world.requests();
            assert_eq!(requests.iter().filter(|request| request.ends_with(path)).count(), 1, "no storm: {requests:?}");
        }
    }
}

#[test]
fn replies_that_are_too_large() {
    for path in ["/dir", "/account", "/new-order", "/authz/0", "/challenge/0", "/finalize/1", "/certificate/1"] {
        let limit = if path.starts_with("/cert") { 256 * 1024 } else { 128 * 1024 };
        let mut reply = order(&json!({}));
        reply.body.resize(limit + 1, b' ');
        let (_, error) = with(path, reply);
        assert!(matches!(error.kind, ErrorKind::TooLarge { limit: l, .. } if l == limit), "{path}: {error}");
    }
}

#[test]
fn certificates_that_are_none() {
    let pem = |body: &str| {
        let reply = Reply { status: 200, headers: vec![], body: body.into() };
        header(reply, "Content-Type", "application/pem-certificate-chain; charset=utf-8")
    };
    let key = "-----BEGIN PRIVATE KEY-----\nMAMCAQE=\n-----END PRIVATE KEY-----\n";
    for body in ["", "<html>", key, &format!("{}{key}", chain(1)), &chain(1).replace("END", "FIN"), &chain(17)] {
        let (_, error) = with("/certificate/1", pem(body));
        assert!(matches!(error.kind, ErrorKind::Malformed { object: "certificate", .. }), "{error}");
        assert!(error.to_string().starts_with("downloading the certificate failed"), "{error}");
    }
    let (_, error) = with("/certificate/1", page(200));
    assert!(error.to_string().contains("\"text/html\""), "{error}");

    // The type may be written in any way, or be missing.
    for change in [(|reply| reply.headers.clear()) as fn(&mut Reply), |reply| {
        reply.headers[0].1 = "Application/PEM-Certificate-Chain ;charset=us-ascii".into();
    }] {
        let mut world = World::registered();
        world.ca.instead.push_back(("/certificate/1", Instead::Change(change)));
        world.issue(NAME).unwrap();
    }
}

#[test]
fn texts_that_steer_a_terminal() {
    let detail = "\u{1b}]0;owned\u{7}\u{202e}gnorw\r\nAll is well";
    let (_, error) = with("/new-order", crate::world::problem(403, "unauthorized", detail));
    let text = error.to_string();
    assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
    let (_, error) = with("/new-order", Reply { status: 418, headers: vec![], body: detail.into() });
    let text = error.to_string();
    assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
}

#[test]
fn more_authorizations_than_names_allowed() {
    let many: Vec<_> = (0..101).map(|n| at(&format!("/authz/{n}"))).collect();
    let (world, error) = with("/new-order", order(&json!({ "authorizations": many })));
    assert!(error.to_string().contains("101 elements"), "{error}");
    assert_eq!(world.count("POST /authz/0"), 0);
}

#[test]
fn the_same_authorization_over_and_over() {
    // It is read once for each time it is listed, and never more.
    let many: Vec<_> = (0..100).map(|_| at("/authz/0")).collect();
    let mut world = World::registered();
    world.ca.place(NAME);
    world.ca.valid = vec![0];
    world.ca.instead.push_back(("/new-order", Instead::Reply(order(&json!({ "authorizations": many })))));
    world.issue(NAME).unwrap();
    assert_eq!(world.count("POST /authz/0"), 100);
}
