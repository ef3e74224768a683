//! A CA that is broken, overloaded, or means harm.

use std::time::{Duration, Instant};

use test_ca::{BadCertificate, Config, Fault, Faults, RetryAfter, Rule};

use crate::program::As;
use crate::scene::{Scene, files};

/// What the program bears: the certificate is had all the same.
#[test]
fn what_honest_authorities_do_on_bad_days_is_borne() {
    let borne: Vec<(&str, Faults)> = vec![
        ("every third nonce is bad", Fault::BadNonce.every(3).into()),
        ("the first two nonces are bad", Fault::BadNonce.times(2).into()),
        ("no nonces in replies", Fault::NoNonce.at("/order").into()),
        ("503 and Retry-After in seconds", Fault::error(503).retry_after(1).at("/new-order").times(2).into()),
        ("429 and Retry-After as a date", Fault::rate_limited(RetryAfter::Date(1)).at("/new-order").times(1).into()),
        ("500 without more", Fault::error(500).at("/authz").times(1).into()),
        ("500 in HTML", Fault::error(500).html().at("/finalize").times(1).into()),
        ("cut off in the middle", Fault::Cut(None).at("/authz").times(1).into()),
        ("chunks", Fault::Chunked.into()),
        ("slow", Fault::Slow(Duration::from_millis(50)).into()),
        ("what nobody knows", Fault::Extra.into()),
        ("proven already", Fault::ReadyAtOnce.into()),
        ("an order that has expired", Fault::Expired.at("/order").times(1).into()),
    ];
    for (what, faults) in borne {
        let scene = Scene::new(As::Caller);
        scene.faults(faults);
        let ran = scene.issue(&["a.example", "b.example"]);
        if what == "an order that has expired" {
            // Whether it is borne is for the protocol; that nothing breaks is for us.
            assert!(ran.status == Some(0) || ran.stderr.contains("failed"), "{what}: {ran:?}");
            continue;
        }
        assert_eq!(ran.status, Some(0), "{what}: {ran:?}");
        scene.assert_whole("a.example");
    }
}

/// What is refused: with words, and the certificate in use is kept.
#[test]
fn what_no_honest_authority_does_is_refused_in_words() {
    let rule = |fault: Fault| Rule::from(fault);
    let refused: Vec<(&str, Rule, &str)> = vec![
        ("always a bad nonce", rule(Fault::BadNonce), "nonces in a row"),
        ("another host in the directory", rule(Fault::foreign_url("newOrder")), "not the CA's"),
        ("another host for an authorization", rule(Fault::foreign_url("authorizations")), "not the CA's"),
        ("another host to finalize", rule(Fault::foreign_url("finalize")), "not the CA's"),
        ("another host for the certificate", rule(Fault::foreign_url("certificate")), "not the CA's"),
        ("no TLS", rule(Fault::plain_http("finalize")), "http:"),
        ("a path for a token", rule(Fault::token("../../../etc/cron.d/x")), "token"),
        ("an endless token", rule(Fault::token(&"a".repeat(300))), "token"),
        ("an empty token", rule(Fault::token("")), "token"),
        ("no token", rule(Fault::token_null()), "token"),
        ("no authorizations", rule(Fault::no_authorizations()), "authorization"),
        ("malformed", Fault::Malformed.at("/new-order"), "cannot be used"),
        ("truncated", Fault::Truncated.at("/new-order"), "cannot be used"),
        ("a gigabyte of JSON", Fault::Oversized(1 << 30).at("/new-order"), "longer than"),
        ("a gigabyte of certificate", Fault::Oversized(1 << 30).at("/certificate"), "longer than"),
        ("a header without end", Fault::HugeHead(1 << 20).at("/new-order"), "header of the reply"),
        ("a redirection", Fault::Redirect(302, "https://ca.attacker.example/".into()).at("/directory"), "redirection"),
        ("rate limits", Fault::rate_limited(3600).at("/new-order"), "wait"),
        ("a proof that fails", rule(Fault::Invalid), "a.example"),
        ("for another key", rule(Fault::Certificate(BadCertificate::ForeignKey)), "another key"),
        ("for other names", rule(Fault::Certificate(BadCertificate::OtherNames)), "asked for"),
        ("for fewer names", rule(Fault::Certificate(BadCertificate::MissingName)), "asked for"),
        ("expired", rule(Fault::Certificate(BadCertificate::Expired)), "expired already"),
        ("not yet valid", rule(Fault::Certificate(BadCertificate::NotYetValid)), "not valid yet"),
        ("wrongly signed", rule(Fault::Certificate(BadCertificate::BadSignature)), "does not hold"),
        ("upside down", rule(Fault::Certificate(BadCertificate::OutOfOrder)), "another key"),
        ("a stranger's chain", rule(Fault::Certificate(BadCertificate::ForeignChain)), "chain"),
        ("rubbish", rule(Fault::Certificate(BadCertificate::Garbage)), "certificate"),
        ("nothing", rule(Fault::Certificate(BadCertificate::Empty)), "certificate"),
        ("a private key", rule(Fault::Certificate(BadCertificate::PrivateKey)), "certificate"),
    ];
    let scene = Scene::new(As::Caller);
    assert_eq!(scene.issue(&["a.example", "b.example"]).status, Some(0));
    let before = scene.live("a.example", "cert.pem");
    let mut wrong = Vec::new();
    for (what, rule, words) in refused {
        // Not with the order of the case before, whose names are proven already.
        for record in files(&scene.program.state().join("journal")) {
            std::fs::remove_file(record).expect("removed");
        }
        scene.faults(rule);
        let began = Instant::now();
        let ran = scene.run(&["renew", "--force"]);
        if ran.status != Some(1) || !ran.stderr.contains(words) || ran.stderr.lines().count() > 2 {
            wrong.push(format!("{what} should fail with words of {words:?}: {ran:?}"));
            continue;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{what} took {:?}", began.elapsed());
        assert_eq!(scene.live("a.example", "cert.pem"), before, "{what}: the certificate in use was touched");
        scene.assert_whole("a.example");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    scene.faults(Faults::none());
    let ran = scene.run(&["renew", "--force"]);
    assert_eq!(ran.status, Some(0), "and when the CA is itself again: {ran:?}");
    assert_ne!(scene.live("a.example", "cert.pem"), before);
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    for user in As::all() {
        let scene = Scene::new(user);
        scene.faults(Fault::Certificate(BadCertificate::ForeignKey));
        let ran = scene.issue(&["a.example"]);
        assert!(ran.status == Some(1) && ran.stderr.contains("nothing was put in place"), "{ran:?}");
        scene.faults(Faults::none());
        assert_eq!(scene.issue(&["a.example"]).status, Some(0));
        scene.assert_whole("a.example");
    }
}

#[test]
fn a_slow_authority_is_waited_for_as_long_as_it_says() {
    let config = Config { processing: 2, retry_after: Some(RetryAfter::Seconds(1)), ..Config::default() };
    let scene = Scene::with(As::Caller, config);
    let ran = scene.issue(&["a.example"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(scene.ca.violations().is_empty(), "{:?}", scene.ca.violations());
}
