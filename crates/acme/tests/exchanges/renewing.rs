//! What renewals say beside names: profiles, predecessors, and when they are to be.

use std::time::Duration;

use acme::{
    CertId, ErrorKind, FetchRenewalInfo, FetchRenewalInfoConfig, Issue, IssueConfig, Outcome, Profile, ProfileName,
};
use serde_json::json;

use crate::world::{Instead, World, json_reply, names, problem};

const OLD: &str = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";

fn offering(profiles: &[&str]) -> World {
    let mut world = World::new();
    let profiles: serde_json::Map<_, _> = profiles.iter().map(|name| ((*name).to_owned(), json!("words"))).collect();
    world.ca.meta = json!({ "profiles": profiles });
    world.register().unwrap();
    world.log.clear();
    world
}

fn profile(name: &str) -> ProfileName {
    ProfileName::parse(name).unwrap()
}

fn issue(world: &mut World, profile: Option<Profile>, replaces: bool) -> Result<Option<ProfileName>, acme::Error> {
    let replaces = replaces.then(|| CertId::parse(OLD).unwrap());
    let config = IssueConfig { names: names(&["example.org"]), profile, replaces, ..IssueConfig::default() };
    match world.run(&mut Issue::new(config))? {
        Outcome::Issued { profile_missing, .. } => Ok(profile_missing),
        other => panic!("{other:?}"),
    }
}

fn ordered(world: &World) -> Vec<(&str, &str)> {
    world.ca.ordered.iter().map(|(profile, replaces)| (profile.as_str(), replaces.as_str())).collect()
}

#[test]
fn a_profile_that_the_ca_has() {
    for wanted in [Profile::Required(profile("tlsserver")), Profile::Preferred(profile("tlsserver"))] {
        let mut world = offering(&["classic", "tlsserver"]);
        assert_eq!(issue(&mut world, Some(wanted), false).unwrap(), None);
        assert_eq!(ordered(&world), [("tlsserver", "-")]);
    }
}

#[test]
fn a_profile_that_the_ca_does_not_have() {
    let mut world = offering(&["classic", "tlsserver"]);
    let error = issue(&mut world, Some(Profile::Required(profile("other"))), false).unwrap_err();
    assert!(error.to_string().ends_with("does not have the profile other; it has classic, tlsserver"), "{error}");
    assert_eq!(ordered(&world), []);
    assert_eq!(issue(&mut world, Some(Profile::Preferred(profile("other"))), false).unwrap(), Some(profile("other")));
    assert_eq!(ordered(&world), [("-", "-")]);

    let mut world = offering(&[]);
    let error = issue(&mut world, Some(Profile::Required(profile("other"))), false).unwrap_err();
    assert!(error.to_string().ends_with("the CA has no profiles, so not other either"), "{error}");
}

#[test]
fn a_profile_that_is_listed_and_refused() {
    let refusal = || Instead::Reply(problem(400, "invalidProfile", "not for you"));
    let mut world = offering(&["tlsserver"]);
    world.ca.instead.push_back(("/new-order", refusal()));
    let wanted = Profile::Preferred(profile("tlsserver"));
    assert_eq!(issue(&mut world, Some(wanted), true).unwrap(), Some(profile("tlsserver")));
    assert_eq!(ordered(&world), [("-", OLD)], "the predecessor was not the trouble");

    let mut world = offering(&["tlsserver"]);
    world.ca.instead.push_back(("/new-order", refusal()));
    let error = issue(&mut world, Some(Profile::Required(profile("tlsserver"))), false).unwrap_err();
    assert!(error.to_string().contains("not for you"), "{error}");
    assert_eq!(ordered(&world), []);
}

#[test]
fn a_predecessor_that_the_ca_does_not_like_is_left_out() {
    let mut world = World::registered();
    issue(&mut world, None, true).unwrap();
    assert_eq!(ordered(&world), [("-", OLD)]);
    for (status, kind) in [(409, "alreadyReplaced"), (400, "malformed"), (403, "unauthorized"), (409, "conflict")] {
        let mut world = World::registered();
        world.ca.instead.push_back(("/new-order", Instead::Reply(problem(status, kind, "no"))));
        issue(&mut world, None, true).expect(kind);
        assert_eq!(ordered(&world), [("-", "-")], "{kind}");

        // Once, and not where there was none.
        let mut world = World::registered();
        world.ca.always.push(("/new-order", Instead::Reply(problem(status, kind, "no"))));
        issue(&mut world, None, true).expect_err(kind);
        assert_eq!(world.count("POST /new-order"), 2, "{kind}");
        issue(&mut world, None, false).expect_err(kind);
        assert_eq!(world.count("POST /new-order"), 3, "{kind}");
    }
    let mut world = World::registered();
    world.ca.instead.push_back(("/new-order", Instead::Reply(problem(400, "rejectedIdentifier", "not this name"))));
    issue(&mut world, None, true).expect_err("the name was the trouble");
    assert_eq!(world.count("POST /new-order"), 1);
}

#[test]
fn a_ca_without_renewal_information_is_told_of_no_predecessor() {
    let mut world = World::new();
    world.ca.instead.push_back(("/dir", without_renewal_info()));
    world.register().unwrap();
    issue(&mut world, None, true).unwrap();
    assert_eq!(ordered(&world), [("-", "-")]);
    let error = fetch(&mut world).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotOffered("renewal information"));
}

fn without_renewal_info() -> Instead {
    Instead::Change(|reply| {
        let text = String::from_utf8(reply.body.clone()).unwrap();
        reply.body = text.replace("renewalInfo", "other").into_bytes();
    })
}

fn fetch(world: &mut World) -> Result<Outcome, acme::Error> {
    let certificate = CertId::parse(OLD).unwrap();
    world.run(&mut FetchRenewalInfo::new(FetchRenewalInfoConfig { certificate }))
}

#[test]
fn when_to_renew_is_asked_without_an_account() {
    let mut world = World::new();
    let window = json!({ "start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z" });
    let mut reply = json_reply(200, &json!({ "suggestedWindow": window }));
    reply.headers.push(("Retry-After".into(), "7200".into()));
    world.ca.always.push(("/renewal-info/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", Instead::Reply(reply)));
    let Outcome::RenewalInfo(info) = fetch(&mut world).unwrap() else { panic!() };
    assert_eq!((info.end - info.start, info.ask_again), (86_400, Duration::from_secs(7200)));
    assert_eq!(world.requests(), ["GET /dir", &format!("GET /renewal-info/{OLD}")]);
}

#[test]
fn renewal_information_that_cannot_be_had() {
    let window =
        |start: &str, end: &str| json_reply(200, &json!({ "suggestedWindow": { "start": start, "end": end } }));
    for reply in [
        window("2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z"),
        window("soon", "later"),
        json_reply(200, &json!({})),
        problem(404, "malformed", "no such certificate"),
    ] {
        let mut world = World::new();
        world.ca.always.push(("/renewal-info", Instead::Reply(reply)));
        let error = fetch(&mut world).unwrap_err();
        assert!(error.to_string().starts_with("asking when to renew failed: "), "{error}");
    }
}
