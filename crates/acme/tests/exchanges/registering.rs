//! Directory and account.

use acme::{Action, Advice, ErrorKind, Outcome, Register, RegisterConfig, Task};
use serde_json::json;

use crate::world::{Instead, World, at, problem, url};

fn config(terms_agreed: bool) -> RegisterConfig {
    RegisterConfig { terms_agreed, ..RegisterConfig::default() }
}

#[test]
fn a_new_account_takes_three_requests() {
    let mut world = World::new();
    world.ca.meta = json!({ "termsOfService": "https://elsewhere.example/tos" });
    let outcome = world.register().unwrap();
    let terms = Some("https://elsewhere.example/tos".into());
    assert_eq!(outcome, Outcome::Registered { account: url("/account/1"), created: true, terms });
    assert_eq!(world.log, ["GET /dir", "HEAD /nonce", "POST /account", "account /account/1"]);
    assert_eq!(world.session.account(), Some(&url("/account/1")));
    assert_eq!(world.stages, ["fetching the directory", "registering the account", "finishing"]);
}

#[test]
fn an_account_that_exists_is_found() {
    let mut world = World::new();
    world.ca.account_exists = true;
    assert!(matches!(world.register().unwrap(), Outcome::Registered { created: false, .. }));
}

#[test]
fn a_known_account_takes_the_directory_only() {
    let mut world = World::new();
    let known_account = Some(url("/account/1"));
    world.run(&mut Register::new(RegisterConfig { known_account, ..config(false) })).unwrap();
    assert_eq!(world.log, ["GET /dir"]);
    assert_eq!(world.session.account(), Some(&url("/account/1")));

    // A second task of the same session needs not even that.
    world.register().unwrap();
    assert_eq!(world.count("GET /dir"), 1);
}

#[test]
fn a_known_account_of_another_ca_is_not_used() {
    let mut world = World::new();
    let known_account = Some(acme::Url::parse("https://old-ca.example/account/7").unwrap());
    let error = world.run(&mut Register::new(RegisterConfig { known_account, ..config(true) })).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::ForeignUrl { object: "remembered account", .. }), "{error}");
}

#[test]
fn without_agreement_an_account_is_only_found() {
    let mut world = World::new();
    world.ca.meta = json!({ "termsOfService": at("/tos") });
    let error = world.run(&mut Register::new(config(false))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TermsNotAgreed { terms: Some(at("/tos")) });
    assert_eq!(error.advice(), Advice::AskUser);
    assert!(error.to_string().contains(&at("/tos")), "{error}");
    assert!(!world.ca.account_exists);

    world.ca.account_exists = true;
    world.run(&mut Register::new(config(false))).unwrap();
}

#[test]
fn without_terms_no_agreement_is_needed() {
    let mut world = World::new();
    world.run(&mut Register::new(config(false))).unwrap();
    assert!(world.ca.account_exists);
}

#[test]
fn the_fields_of_the_request() {
    let mut world = World::new();
    let contact = vec!["mailto:admin@example.org".to_owned()];
    let mut task = Register::new(RegisterConfig { contact: contact.clone(), ..config(true) });
    let signed = loop {
        match task.poll(&mut world.session, world.now) {
            Action::Send(request) => {
                let nonce = ("Replay-Nonce".to_owned(), "abc".to_owned());
                let body = format!(
                    r#"{{"newNonce":"{0}/n","newAccount":"{0}/a","newOrder":"{0}/o","meta":{{"termsOfService":"x"}}}}"#,
                    at("")
                );
                assert_ne!(request.method, acme::Method::Post);
                let reply = acme::Reply { status: 200, headers: vec![nonce], body: body.into_bytes() };
                task.reply(&mut world.session, reply, world.now);
            }
            Action::Sign(signed) => break signed,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(signed.signer, acme::Signer::Jwk);
    assert_eq!(signed.url, url("/a"));
    let fields = acme::Payload::NewAccount { contact, terms_agreed: true, only_return_existing: false };
    assert_eq!(signed.payload, fields);
}

#[test]
fn a_deactivated_account_is_not_used() {
    let mut world = World::new();
    world
        .ca
        .instead
        .push_back(("/account", Instead::Change(|reply| reply.body = br#"{"status":"deactivated"}"#.to_vec())));
    let error = world.register().unwrap_err();
    assert!(error.to_string().contains("it is deactivated"), "{error}");
}

#[test]
fn an_account_object_that_is_missing_does_no_harm() {
    let mut world = World::new();
    world.ca.instead.push_back(("/account", Instead::Change(|reply| reply.body.clear())));
    world.register().unwrap();
}

#[test]
fn what_the_ca_wants_first_is_said() {
    let cases = [
        ("externalAccountRequired", "named first"),
        ("userActionRequired", "wants a person"),
        ("invalidContact", "contact address"),
        ("badPublicKey", "public key"),
    ];
    for (kind, words) in cases {
        let mut world = World::new();
        world.ca.instead.push_back(("/account", Instead::Reply(problem(403, kind, "see https://ca.example/help"))));
        let error = world.register().unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("registering the account failed: ") && text.contains(words), "{text}");
        assert!(text.contains("see https://ca.example/help"), "{text}");
    }
}

#[test]
fn user_action_names_the_page_to_visit() {
    let mut world = World::new();
    let body = json!({ "type": "urn:ietf:params:acme:error:userActionRequired", "detail": "new terms",
        "instance": "https://ca.example/agree" });
    world.ca.instead.push_back(("/account", Instead::Reply(crate::world::json_reply(403, &body))));
    let error = world.register().unwrap_err();
    assert!(error.to_string().ends_with("new terms; visit https://ca.example/agree"), "{error}");
    assert_eq!(error.advice(), Advice::AskUser);
}

#[test]
fn a_missing_or_foreign_account_url() {
    for (change, words) in [
        (
            (|reply| reply.headers.retain(|(name, _)| name != "Location")) as fn(&mut acme::Reply),
            "does not say its URL",
        ),
        (
            |reply| {
                reply.headers.iter_mut().for_each(|h| {
                    if h.0 == "Location" {
                        h.1 = "https://evil.example/1".into()
                    }
                })
            },
            "not the CA's: https://evil.example/1",
        ),
        (
            |reply| {
                reply.headers.iter_mut().for_each(|h| {
                    if h.0 == "Location" {
                        h.1 = "/account/1".into()
                    }
                })
            },
            "does not begin with https://",
        ),
    ] {
        let mut world = World::new();
        world.ca.instead.push_back(("/account", Instead::Change(change)));
        let error = world.register().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(world.session.account(), None);
    }
}
