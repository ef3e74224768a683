//! A CA that now and then replies with whatever the fuzzer likes: every task ends, nothing stays published, errors show no
//! control characters and never blame this program.
#![no_main]

#[expect(dead_code, reason = "the tests of the exchanges need more of it")]
#[path = "../../crates/acme/tests/exchanges/world.rs"]
mod world;

use acme::{CertId, FetchRenewalInfo, FetchRenewalInfoConfig, Issue, IssueConfig, Reply, Revoke, RevokeConfig};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use world::{Instead, World, at, chain, names};

fuzz_target!(|bytes: &[u8]| {
    let _ = attempt(&mut Unstructured::new(bytes));
});

fn attempt(input: &mut Unstructured<'_>) -> Result<()> {
    const PATHS: [&str; 11] = [
        "/",
        "/dir",
        "/nonce",
        "/account",
        "/new-order",
        "/authz",
        "/challenge",
        "/finalize",
        "/order",
        "/cert",
        "/renewal-info",
    ];
    let mut world = World::new();
    world.ca.signing_takes = input.int_in_range(0..=2)?;
    for _ in 0..input.int_in_range(1..=4)? {
        let path = *input.choose(&PATHS)?;
        let instead = if input.ratio(1_u8, 16)? { Instead::Silence("cut off") } else { Instead::Reply(reply(input)?) };
        world.ca.instead.push_back((path, instead));
    }
    let done = world.register().and_then(|_| {
        world.run(&mut Issue::new(IssueConfig {
            names: names(&["a.example", "*.b.example"]),
            ..IssueConfig::default()
        }))?;
        world.run(&mut Revoke::new(RevokeConfig { certificate: vec![0x30, 0], reason: None }))
    });
    // Also where nothing else could be done.
    let certificate = CertId::new(&[1], &[2]).expect("its parts are short");
    let told = world.run(&mut FetchRenewalInfo::new(FetchRenewalInfoConfig { certificate }));
    for error in [done.err(), told.err()].into_iter().flatten() {
        let text = error.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.len() < 20_000, "{} bytes of error", text.len());
        assert!(!text.contains("error in this program"), "{text}");
    }
    Ok(())
}

fn reply(input: &mut Unstructured<'_>) -> Result<Reply> {
    let status =
        if input.ratio(1_u8, 8)? { input.arbitrary()? } else { *input.choose(&[200, 201, 400, 403, 429, 503])? };
    let mut headers = Vec::new();
    for _ in 0..input.int_in_range(0..=3)? {
        let (name, value) = *input.choose(&[
            ("Location", "https://ca.example/order/1"),
            ("Location", "https://ca.example/account/1"),
            ("Replay-Nonce", "bm9uY2U"),
            ("Retry-After", "1"),
            ("Link", "<https://ca.example/c>;rel=\"alternate\""),
            ("Content-Type", "application/pem-certificate-chain"),
        ])?;
        headers.push((name.to_owned(), String::from_utf8_lossy(&changed(input, value.as_bytes())?).into_owned()));
    }
    let object = format!(
        r#"{{"status":"ready","type":"http-01","token":"t","url":"{0}/challenge/0","identifiers":[{{"type":"dns",
        "value":"a.example"}}],"identifier":{{"type":"dns","value":"a.example"}},"authorizations":["{0}/authz/0"],
        "finalize":"{0}/finalize/1","certificate":"{0}/certificate/1","challenges":[{{"type":"http-01","status":"pending",
        "token":"t","url":"{0}/challenge/0"}}],"newNonce":"{0}/nonce","newAccount":"{0}/account",
        "newOrder":"{0}/new-order","detail":"x","subproblems":[{{"type":"urn:ietf:params:acme:error:dns"}}]}}"#,
        at("")
    );
    let body = match input.int_in_range(0..=3)? {
        0 => changed(input, b"")?,
        1 => changed(input, chain(2).as_bytes())?,
        _ => changed(input, object.as_bytes())?,
    };
    Ok(Reply { status, headers, body })
}

/// The bytes with some taken out and others put in, at a few places.
fn changed(input: &mut Unstructured<'_>, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    for _ in 0..input.int_in_range(0..=3)? {
        let start = input.int_in_range(0..=bytes.len())?;
        let end = (start + input.int_in_range(0..=32)?).min(bytes.len());
        let length = input.int_in_range(0..=64)?.min(input.len());
        bytes.splice(start..end, input.bytes(length)?.iter().copied());
    }
    Ok(bytes)
}
