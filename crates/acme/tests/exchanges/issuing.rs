//! From the order to the chain, with a CA that does as it should.

use std::time::Duration;

use acme::{Advice, ErrorKind, Outcome};

use crate::world::{Instead, World, at, chain, header, json_reply, problem, url};

const NAME: &[&str] = &["example.org"];

#[test]
fn no_request_more_than_needed() {
    let mut world = World::new();
    world.register().unwrap();
    let outcome = world.issue(NAME).unwrap();
    assert_eq!(
        world.log,
        [
            "GET /dir",
            "HEAD /nonce",
            "POST /account",
            "account /account/1",
            "POST /new-order",
            "journal /order/1",
            "POST /authz/0",
            "publish example.org",
            "POST /challenge/0",
            "wait 30",
            "POST /authz/0",
            "withdraw example.org",
            "csr",
            "POST /finalize/1",
            "POST /certificate/1",
        ]
    );
    assert_eq!(
        outcome,
        Outcome::Issued {
            chain_pem: chain(2).into_bytes(),
            order: url("/order/1"),
            alternates: vec![],
            profile_missing: None
        }
    );
    assert_eq!(world.elapsed(), Duration::from_millis(30));
}

#[test]
fn stages_in_words() {
    let mut world = World::registered();
    world.ca.signing_takes = 1;
    world.issue(NAME).unwrap();
    assert_eq!(
        world.stages,
        [
            "creating the order",
            "reading the authorizations",
            "validating example.org",
            "finalizing the order",
            "waiting for the certificate",
            "downloading the certificate",
            "finishing",
        ]
    );
}

#[test]
fn a_certificate_that_takes_its_time() {
    let mut world = World::registered();
    world.ca.signing_takes = 3;
    world.issue(NAME).unwrap();
    let end = world.log.iter().position(|entry| entry == "csr").unwrap();
    assert_eq!(
        world.log[end..],
        [
            "csr",
            "POST /finalize/1",
            "wait 15",
            "POST /order/1",
            "wait 100",
            "POST /order/1",
            "wait 200",
            "POST /order/1",
            "POST /certificate/1",
        ]
    );
}

#[test]
fn polls_become_rarer_up_to_five_seconds() {
    let mut world = World::registered();
    world.ca.validation_takes = 10;
    world.issue(NAME).unwrap();
    let waits: Vec<_> = world.log.iter().filter(|entry| entry.starts_with("wait")).map(String::as_str).collect();
    let expected = [30, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000].map(|ms| format!("wait {ms}"));
    assert_eq!(waits, expected);
}

#[test]
fn polls_as_the_ca_asks() {
    let mut world = World::registered();
    (world.ca.validation_takes, world.ca.signing_takes) = (2, 2);
    world.ca.retry_after = Some("3");
    world.issue(NAME).unwrap();
    let waits: Vec<_> = world.log.iter().filter(|entry| entry.starts_with("wait")).map(String::as_str).collect();
    assert_eq!(waits, ["wait 30", "wait 3000", "wait 3000", "wait 3000"]);
}

#[test]
fn retry_after_of_zero_or_nonsense_does_not_make_a_storm() {
    for value in ["0", "-3", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let mut world = World::registered();
        (world.ca.validation_takes, world.ca.signing_takes) = (4, 4);
        world.ca.retry_after = Some(value);
        world.issue(NAME).unwrap();
        assert_eq!(world.count("wait 100"), 2, "{value}: {:?}", world.log);
        assert_eq!(world.count("wait 0"), 0);
    }
}

#[test]
fn retry_after_as_a_date() {
    let mut world = World::registered();
    world.ca.validation_takes = 2;
    // START is 2026-05-28 20:26:40 UTC; 30 ms later it is still that second.
    world.ca.retry_after = Some("Thu, 28 May 2026 20:26:47 GMT");
    world.issue(NAME).unwrap();
    assert_eq!(world.count("wait 7000"), 1, "{:?}", world.log);
}

#[test]
fn several_names_are_published_before_the_first_is_looked_at() {
    let mut world = World::registered();
    world.issue(&["a.example", "b.example", "A.example"]).unwrap();
    assert_eq!(
        world.log,
        [
            "POST /new-order",
            "journal /order/1",
            "POST /authz/0",
            "POST /authz/1",
            "publish a.example",
            "POST /challenge/0",
            "publish b.example",
            "POST /challenge/1",
            "wait 30",
            "POST /authz/0",
            "withdraw a.example",
            "POST /authz/1",
            "withdraw b.example",
            "csr",
            "POST /finalize/1",
            "POST /certificate/1",
        ]
    );
}

#[test]
fn what_is_valid_already_is_left_alone() {
    let mut world = World::registered();
    world.ca.valid = vec![0];
    world.issue(&["a.example", "b.example"]).unwrap();
    assert_eq!(world.count("publish a.example"), 0);
    assert_eq!(world.count("POST /authz/0"), 1);

    // All of them: the order is ready at once, and no authorization is looked at.
    let mut world = World::registered();
    world.ca.valid = vec![0];
    world.issue(NAME).unwrap();
    assert_eq!(world.log, ["POST /new-order", "journal /order/1", "csr", "POST /finalize/1", "POST /certificate/1"]);
}

#[test]
fn authorizations_valid_while_the_order_says_pending() {
    let mut world = World::registered();
    world.ca.valid = vec![0];
    world.ca.instead.push_back((
        "/new-order",
        Instead::Change(|reply| {
            let text = String::from_utf8(reply.body.clone()).unwrap();
            reply.body = text.replace(r#""status":"ready""#, r#""status":"pending""#).into_bytes();
        }),
    ));
    world.issue(NAME).unwrap();
    assert_eq!(world.count("POST /authz/0"), 1);
    assert_eq!(world.count("POST /challenge/0"), 0);
}

#[test]
fn a_challenge_met_at_once_is_not_looked_at_again() {
    let mut world = World::registered();
    world.ca.validation_takes = 0;
    world.issue(NAME).unwrap();
    assert_eq!(world.count("POST /authz/0"), 1);
    assert_eq!(world.count("wait 30"), 0);
}

#[test]
fn an_order_that_is_valid_at_once() {
    let mut world = World::registered();
    world.ca.order_status = Some("valid");
    world.issue(NAME).unwrap();
    assert_eq!(world.log, ["POST /new-order", "journal /order/1", "csr", "POST /certificate/1"]);
}

#[test]
fn an_order_that_is_processing_at_once() {
    let mut world = World::registered();
    world.ca.place(NAME);
    world.ca.order_status = Some("valid");
    let order = serde_json::json!({ "status": "processing", "x": 1 });
    let reply = header(json_reply(201, &order), "Location", &at("/order/1"));
    world.ca.instead.push_back(("/new-order", Instead::Reply(reply)));
    world.issue(NAME).unwrap();
    let log: Vec<_> = world.log.iter().filter(|entry| !entry.starts_with("HEAD")).collect();
    assert_eq!(log, ["POST /new-order", "journal /order/1", "csr", "POST /order/1", "POST /certificate/1"]);
}

#[test]
fn order_not_ready_is_waited_for() {
    let mut world = World::registered();
    for _ in 0..2 {
        world.ca.instead.push_back(("/finalize/1", Instead::Reply(problem(403, "orderNotReady", "wait"))));
    }
    world.issue(NAME).unwrap();
    assert_eq!(world.count("POST /finalize/1"), 3);
    // The reply in place of the CA's own has no nonce, so another one is fetched.
    let end: Vec<_> = world.log.iter().skip_while(|e| *e != "csr").filter(|e| !e.starts_with("HEAD")).collect();
    assert_eq!(
        end,
        [
            "csr",
            "POST /finalize/1",
            "wait 15",
            "POST /order/1",
            "POST /finalize/1",
            "wait 100",
            "POST /order/1",
            "POST /finalize/1",
            "POST /certificate/1",
        ]
    );
}

#[test]
fn an_order_need_not_say_twice_where_it_is_finalized() {
    let mut world = World::registered();
    world.ca.instead.push_back(("/finalize/1", Instead::Reply(problem(403, "orderNotReady", "wait"))));
    world
        .ca
        .instead
        .push_back(("/order/1", Instead::Reply(json_reply(200, &serde_json::json!({ "status": "ready" })))));
    world.issue(NAME).unwrap();
}

#[test]
fn an_order_that_is_never_ready_ends() {
    let mut world = World::registered();
    world.ca.always.push(("/finalize/1", Instead::Reply(problem(403, "orderNotReady", "wait"))));
    let error = world.issue(NAME).unwrap_err();
    assert!(error.to_string().contains("ready"), "{error}");
    assert_eq!(world.count("POST /finalize/1"), 6);
    assert!(world.elapsed() < Duration::from_secs(60));
}

#[test]
fn alternate_chains_are_listed() {
    let mut world = World::registered();
    let link = |value: &str| ("Link".to_owned(), value.to_owned());
    world.ca.alternates = vec![
        link(&format!("<{}>;rel=\"index\"", at("/dir"))),
        link(&format!("<{}>;rel=\"alternate\", <{}>; rel=alternate", at("/certificate/1/1"), at("/certificate/1/2"))),
        ("link".into(), format!("<{}>;rel=\"up\", <{}>;rel=\"alternate\"", at("/up"), at("/certificate/1/1"))),
        link("<https://evil.example/chain>;rel=\"alternate\""),
        link("<http://ca.example/chain>;rel=\"alternate\""),
        link("garbage"),
    ];
    let Outcome::Issued { alternates, .. } = world.issue(NAME).unwrap() else { panic!() };
    assert_eq!(alternates, [url("/certificate/1/1"), url("/certificate/1/2")]);
}

#[test]
fn alternate_chains_are_bounded() {
    let mut world = World::registered();
    world.ca.alternates = (0..1000).map(|n| ("Link".into(), format!("<{}{n}>;rel=alternate", at("/c/")))).collect();
    let Outcome::Issued { alternates, .. } = world.issue(NAME).unwrap() else { panic!() };
    assert_eq!(alternates.len(), 16);
}

// ---- resuming -----------------------------------------------------------------------------------------------------

#[test]
fn an_order_is_resumed_where_it_stopped() {
    let order = at("/order/1");
    let mut world = World::registered();
    world.ca.place(NAME);
    world.resume(&order, NAME).unwrap();
    assert_eq!(world.count("POST /new-order"), 0);
    assert_eq!(world.log[..2], ["POST /order/1", "POST /authz/0"]);
    assert_eq!(world.count("journal /order/1"), 0);
    assert_eq!(world.stages[0], "resuming the order of an earlier run");

    // The challenge was posted: it is published again, in case the CA looks again.
    let mut world = World::registered();
    world.ca.place(NAME);
    world.ca.post(0);
    world.ca.validation_takes = 5;
    world.resume(&order, NAME).unwrap();
    assert_eq!(world.count("publish example.org"), 1);

    // The CA is already looking: it is not told again.
    let mut world = World::registered();
    world.ca.place(NAME);
    world.ca.post(0);
    let challenge = serde_json::json!({ "type": "http-01", "status": "processing", "token": "t",
        "url": at("/challenge/0") });
    let body = serde_json::json!({ "status": "pending", "challenges": [challenge],
        "identifier": { "type": "dns", "value": "example.org" } });
    world.ca.instead.push_back(("/authz/0", Instead::Reply(json_reply(200, &body))));
    world.resume(&order, NAME).unwrap();
    assert_eq!((world.count("publish example.org"), world.count("POST /challenge/0")), (1, 0));

    // The certificate is there. Its key has to be known all the same.
    let mut world = World::registered();
    world.ca.place(NAME);
    world.ca.finalize();
    world.resume(&order, NAME).unwrap();
    assert_eq!(world.log, ["POST /order/1", "csr", "POST /certificate/1"]);

    let mut world = World::registered();
    world.ca.place(NAME);
    world.ca.finalize();
    world.ca.signing_takes = 2;
    world.resume(&order, NAME).unwrap();
    assert_eq!(world.log, ["POST /order/1", "csr", "POST /order/1", "POST /certificate/1"]);
}

#[test]
fn an_order_that_cannot_be_resumed_is_replaced() {
    let new = ["POST /order/1", "POST /new-order", "journal /order/1"];
    let fresh = |world: &World| {
        let log: Vec<_> = world.log.iter().filter(|entry| !entry.starts_with("HEAD")).take(3).cloned().collect();
        assert_eq!(log, new);
    };
    // Gone, forbidden, or a page of some other server.
    for reply in [problem(404, "malformed", "gone"), problem(403, "unauthorized", "not yours"), crate::world::page(404)]
    {
        let mut world = World::registered();
        world.ca.instead.push_back(("/order/1", Instead::Reply(reply)));
        world.resume(&at("/order/1"), NAME).unwrap();
        fresh(&world);
    }
    // Failed, unreadable, without names, for other names.
    for body in [
        r#"{"status":"invalid"}"#,
        "{",
        r#"{"status":"ready","finalize":"https://ca.example/finalize/1"}"#,
        r#"{"status":"ready","identifiers":[{"type":"dns","value":"example.org"},{"type":"dns","value":"b.example"}]}"#,
        r#"{"status":"invalid","identifiers":[{"type":"dns","value":"example.org"}]}"#,
        r#"{"status":"pending","identifiers":[{"type":"dns","value":"example.org"}]}"#,
    ] {
        let mut world = World::registered();
        let reply = acme::Reply { status: 200, headers: vec![], body: body.into() };
        world.ca.instead.push_back(("/order/1", Instead::Reply(reply)));
        world.resume(&at("/order/1"), NAME).unwrap();
        fresh(&world);
    }
    // Of another CA: it is not even asked for.
    let mut world = World::registered();
    world.resume("https://old-ca.example/order/1", NAME).unwrap();
    assert_eq!(world.log[0], "POST /new-order");
}

#[test]
fn a_resumed_order_with_a_dead_authorization_is_replaced() {
    for status in ["invalid", "expired", "deactivated", "revoked"] {
        let mut world = World::registered();
        world.ca.place(NAME);
        let body = serde_json::json!({ "status": status, "identifier": { "type": "dns", "value": "example.org" } });
        world.ca.instead.push_back(("/authz/0", Instead::Reply(json_reply(200, &body))));
        world.resume(&at("/order/1"), NAME).unwrap();
        assert_eq!(world.count("POST /new-order"), 1, "{status}");
    }
}

// ---- names that cannot be proven ----------------------------------------------------------------------------------

#[test]
fn every_name_that_failed_is_told() {
    let mut world = World::registered();
    world.ca.doomed = vec![0, 2];
    let error = world.issue(&["a.example", "b.example", "c.example"]).unwrap_err();
    let ErrorKind::Validation(failures) = &error.kind else { panic!("{error}") };
    assert_eq!(failures.len(), 2);
    assert_eq!(error.name, None);
    assert_eq!(error.advice(), Advice::AskUser);
    let text = error.to_string();
    assert!(
        text.starts_with("validating the names failed: control of 2 names could not be proven; a.example"),
        "{text}"
    );
    assert!(text.contains("a.example: the CA could not connect to the server (connection): 192.0.2.0"), "{text}");
    assert!(text.contains("c.example: the CA could not connect to the server (connection): 192.0.2.2"), "{text}");
    assert!(!text.contains("b.example"), "{text}");
    assert_eq!(world.count("POST /finalize/1"), 0);
}

#[test]
fn one_name_that_failed() {
    let mut world = World::registered();
    world.ca.doomed = vec![0];
    let error = world.issue(NAME).unwrap_err();
    assert_eq!(
        error.to_string(),
        "validating example.org failed: the CA could not connect to the server (connection): \
         192.0.2.0: Fetching http://…: Connection refused"
    );
    assert_eq!(error.name.unwrap().to_string(), "example.org");
    assert_eq!(world.log.last().unwrap(), "withdraw example.org");
}

#[test]
fn a_name_that_failed_is_told_even_if_another_never_ends() {
    let mut world = World::registered();
    world.ca.doomed = vec![0];
    world.ca.always.push((
        "/authz/1",
        Instead::Change(|reply| {
            let text = String::from_utf8(reply.body.clone()).unwrap();
            reply.body = text.replace("\"valid\"", "\"pending\"").into_bytes();
        }),
    ));
    let error = world.issue(&["a.example", "b.example"]).unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::Validation(failures) if failures.len() == 1), "{error}");
}

#[test]
fn no_way_to_prove_a_name() {
    let mut world = World::registered();
    world.ca.offers = vec!["dns-01", "tls-alpn-01"];
    let error = world.issue(&["a.example", "b.example"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "reading the authorizations failed: control of a.example cannot be proven by http-01, the only way set up; \
         the CA offers dns-01, tls-alpn-01"
    );
    assert_eq!(error.name.unwrap().to_string(), "a.example");
    assert_eq!(world.count("publish a.example"), 0, "nothing is begun that cannot be ended");

    let mut world = World::registered();
    world.ca.offers = vec!["dns-01"];
    let error = world.issue(&["*.a.example"]).unwrap_err();
    assert!(error.to_string().ends_with("the CA offers dns-01 (a wildcard needs one of the DNS)"), "{error}");
    assert_eq!(error.name.unwrap().to_string(), "*.a.example");
}

#[test]
fn a_wildcard_is_not_proven_by_http() {
    // Whatever the CA offers, and whether or not it marks the authorization as the one for the wildcard.
    for change in [(|_| {}) as fn(&mut acme::Reply), |reply| {
        let text = String::from_utf8(reply.body.clone()).unwrap();
        assert!(text.contains("wildcard"));
        reply.body = text.replace("wildcard", "x").into_bytes();
    }] {
        let mut world = World::registered();
        world.ca.instead.push_back(("/authz/0", Instead::Change(change)));
        let error = world.issue(&["*.a.example"]).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::NoChallenge { .. }), "{error}");
        assert_eq!(error.name.unwrap().to_string(), "*.a.example");
    }
}

#[test]
fn a_challenge_that_is_refused_may_be_settled_already() {
    let mut world = World::registered();
    world.ca.instead.push_back(("/challenge/0", Instead::Reply(problem(400, "malformed", "not pending"))));
    let body = serde_json::json!({ "status": "valid", "identifier": { "type": "dns", "value": "example.org" } });
    world.ca.instead.push_back(("/authz/0", Instead::Change(|_| {})));
    world.ca.instead.push_back(("/authz/0", Instead::Reply(json_reply(200, &body))));
    world.issue(NAME).unwrap();

    let mut world = World::registered();
    world.ca.instead.push_back(("/challenge/0", Instead::Reply(problem(403, "unauthorized", "no more"))));
    let error = world.issue(NAME).unwrap_err();
    assert!(error.to_string().contains("the CA does not allow it (unauthorized): no more"), "{error}");
}

#[test]
fn a_challenge_that_failed_fails_its_name_whatever_the_authorization_says() {
    let mut world = World::registered();
    let challenge = serde_json::json!({ "type": "http-01", "status": "invalid", "token": "t",
        "url": at("/challenge/0"), "error": { "detail": "no such host" } });
    let body = serde_json::json!({ "status": "pending", "challenges": [challenge],
        "identifier": { "type": "dns", "value": "example.org" } });
    world.ca.instead.push_back(("/authz/0", Instead::Change(|_| {})));
    world.ca.instead.push_back(("/authz/0", Instead::Reply(json_reply(200, &body))));
    let error = world.issue(NAME).unwrap_err();
    assert!(error.to_string().contains("no such host"), "{error}");
}

#[test]
fn an_order_that_failed_as_a_whole() {
    let mut world = World::registered();
    let body = serde_json::json!({ "status": "invalid", "error":
        { "type": "urn:ietf:params:acme:error:caa", "detail": "CAA record for example.org prevents issuance" } });
    world.ca.instead.push_back(("/finalize/1", Instead::Reply(json_reply(200, &body))));
    let error = world.issue(NAME).unwrap_err();
    assert_eq!(
        error.to_string(),
        "finalizing the order failed: the order failed: CAA records in DNS forbid the CA to issue (caa): CAA record \
         for example.org prevents issuance"
    );
    assert_eq!(error.advice(), Advice::AskUser);
}

#[test]
fn refusals_of_the_order_with_their_parts() {
    let mut world = World::registered();
    let part = serde_json::json!({ "type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "policy",
        "identifier": { "type": "dns", "value": "b.example" } });
    let body = serde_json::json!({ "type": "urn:ietf:params:acme:error:compound", "detail": "see below",
        "subproblems": [part] });
    world.ca.instead.push_back(("/new-order", Instead::Reply(json_reply(403, &body))));
    let error = world.issue(&["a.example", "b.example"]).unwrap_err();
    assert!(error.to_string().contains("b.example: the CA does not issue for this name"), "{error}");
}

#[test]
fn too_many_names_or_none_are_not_asked_for() {
    let mut world = World::registered();
    let many: Vec<_> = (0..101).map(|n| format!("n{n}.example")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let error = world.issue(&many).unwrap_err();
    assert!(error.to_string().contains("101 names"), "{error}");
    let error = world.issue(&[]).unwrap_err();
    assert!(error.to_string().contains("at least one name"), "{error}");
    assert!(world.log.is_empty());
    world.issue(&many[..100]).unwrap();
}

#[test]
fn without_an_account_nothing_is_ordered() {
    let mut world = World::new();
    let error = world.issue(NAME).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoAccount);
    assert_eq!(world.requests(), ["GET /dir"]);
}

#[test]
fn an_account_that_the_ca_has_lost() {
    for (status, kind) in [(400, "accountDoesNotExist"), (403, "unauthorized")] {
        let mut world = World::registered();
        world.ca.instead.push_back(("/new-order", Instead::Reply(problem(status, kind, "account is deactivated"))));
        let error = world.issue(NAME).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Account(_)), "{error}");
        assert_eq!(error.advice(), Advice::Retry);
        let text = error.to_string();
        assert!(text.contains("the account cannot be used") && text.contains("registered anew"), "{text}");
    }
}
