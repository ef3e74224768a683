//! Random bytes, and good bytes with something changed, into everything that reads: nothing may panic, hang or let a
//! bad thing through.

use std::time::Duration;

use acme::{
    Action, Identifier, Issue, IssueConfig, Nonce, Payload, Problem, Publication, Reply, RevocationReason, Task,
    Thumbprint, ToSign, Token, Url, retry_after,
};

use crate::world::{Instead, World, at, chain, names};

/// xorshift64*: the same numbers each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit.max(1)
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next().to_le_bytes()[7]).collect()
    }

    /// Something like `seed`, changed at some places.
    fn like(&mut self, seed: &[u8]) -> Vec<u8> {
        const SPICE: [&[u8]; 16] = [
            b"\"",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"null",
            b"..",
            b"\0",
            b"\xff",
            b"9999999999999999999",
            b"<",
            b">;rel=\"alternate\"",
            b"https://",
            b"\\u0000",
        ];
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => {
                    let end = (at + self.below(8)).min(bytes.len());
                    bytes.drain(at..end);
                }
                2 => {
                    let spice = SPICE[self.below(SPICE.len())];
                    bytes.splice(at..at, spice.iter().copied());
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.next().to_le_bytes()[7];
                    }
                }
            }
        }
        bytes
    }
}

#[test]
fn small_things() {
    let seeds: [&str; 12] = [
        "https://ca.example:443/a?b=%20",
        "https://[2001:db8::1]:8443/",
        "*.www.example.org",
        "192.0.2.1",
        "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
        "120",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "keyCompromise",
        r#"{"type":"urn:ietf:params:acme:error:dns","detail":"x","subproblems":[{"identifier":{"value":"a"}}]}"#,
        "",
    ];
    let mut random = Random(1);
    for round in 0..60_000 {
        let bytes = if round % 4 == 0 { random.bytes(80) } else { random.like(seeds[round % seeds.len()].as_bytes()) };
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(url) = Url::parse(&text) {
            assert!(url.as_str().starts_with("https://") && url.as_str().is_ascii() && url.as_str().len() <= 2048);
            assert!(!url.as_str().contains(['@', ' ', '#', '\\']) || url.path_and_query().contains('@'), "{url}");
            assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(&url), "its own text means the same");
            assert_eq!(format!("https://{}{}", url.authority(), url.path_and_query()), url.as_str());
        }
        if let Ok(name) = Identifier::parse(&text) {
            assert_eq!(Identifier::parse(&name.to_string()).as_ref(), Ok(&name));
            assert!(matches!(name, Identifier::Ip(_)) || !name.to_string().contains([':', '_']));
            assert!(!name.to_string().contains(['/', ' ', '%', '[']) && !name.to_string().contains(".."));
        }
        if let Ok(token) = Token::parse(&text) {
            assert!(!token.as_str().contains(['/', '.', '\0']));
        }
        let _ = (Thumbprint::parse(&text), Nonce::parse(&text), text.parse::<RevocationReason>());
        let wait = retry_after::parse(&text, random.next() >> random.below(64));
        assert!(wait.is_none_or(|wait| wait <= retry_after::MAX));
        if let Some(problem) = Problem::parse(&bytes) {
            assert!(!problem.to_string().chars().any(char::is_control));
        }
        let _ = postcard::from_bytes::<ToSign>(&bytes).map(|to_sign| to_sign.payload.to_json());
        let _ = postcard::from_bytes::<Payload>(&bytes).map(|payload| payload.to_json());
        let _ = postcard::from_bytes::<Publication>(&bytes);
    }
}

#[test]
fn replies_with_something_changed() {
    let paths = ["/dir", "/nonce", "/account", "/new-order", "/authz", "/challenge", "/finalize", "/order", "/cert"];
    let mut random = Random(2);
    let (mut done, mut failed) = (0, 0);
    for round in 0..3_000 {
        let mut world = World::new();
        world.ca.signing_takes = 1;
        world.ca.alternates = vec![("Link".into(), format!("<{}>;rel=\"alternate\"", at("/c")))];
        let path = paths[round % paths.len()];
        let seed = honest(path, &mut world);
        let status = [200, 201, 400, 403, 429, 500, 503][random.below(7)];
        let headers = seed.headers.iter().map(|(name, value)| {
            let value = if random.below(3) == 0 { random.like(value.as_bytes()) } else { value.clone().into_bytes() };
            (name.clone(), String::from_utf8_lossy(&value).into_owned())
        });
        let headers = headers.collect();
        let status = if random.below(2) == 0 { seed.status } else { status };
        let reply = Reply { status, headers, body: random.like(&seed.body) };
        world.ca.instead.push_back((path, Instead::Reply(reply)));
        match world.register().and_then(|_| world.issue(&["a.example", "b.example"])) {
            Ok(_) => done += 1,
            Err(error) => {
                failed += 1;
                let text = error.to_string();
                assert!(!text.chars().any(char::is_control), "{text:?}");
                assert!(text.len() < 20_000);
                assert!(!text.contains("error in this program"), "{text}");
            }
        }
        assert!(world.requests().len() < 200);
    }
    assert!(done > 100 && failed > 100, "the changes are neither harmless nor deadly: {done} {failed}");
}

/// A reply of the CA to a request for `path`, from a run of its own.
fn honest(path: &str, world: &mut World) -> Reply {
    let object = |body: String| Reply { status: 200, headers: vec![], body: body.into_bytes() };
    let link = |reply: Reply| crate::world::header(reply, "Link", "<https://ca.example/c>;rel=\"alternate\"");
    let mut reply = match path {
        "/dir" => object(format!(
            r#"{{"newNonce":"{0}/nonce","newAccount":"{0}/account","newOrder":"{0}/new-order","meta":{{"profiles":{{}}}}}}"#,
            at("")
        )),
        "/cert" => link(crate::world::header(object(chain(2)), "Content-Type", "application/pem-certificate-chain")),
        "/authz" => object(format!(
            r#"{{"status":"pending","identifier":{{"type":"dns","value":"a.example"}},"challenges":[{{"type":"http-01",
                "status":"pending","token":"token-0","url":"{}"}}]}}"#,
            at("/challenge/0")
        )),
        _ => object(format!(
            r#"{{"status":"ready","type":"http-01","token":"t","url":"{0}/challenge/0","identifiers":[{{"type":"dns",
                "value":"a.example"}},{{"type":"dns","value":"b.example"}}],"authorizations":["{0}/authz/0",
                "{0}/authz/1"],"finalize":"{0}/finalize/1"}}"#,
            at("")
        )),
    };
    if path == "/new-order" || path == "/account" {
        reply.status = 201;
        reply =
            crate::world::header(reply, "Location", &at(if path == "/account" { "/account/1" } else { "/order/1" }));
    }
    if path != "/dir" {
        world.ca.place(&["a.example", "b.example"]);
        reply = crate::world::header(reply, "Replay-Nonce", "bm9uY2U");
    }
    crate::world::header(reply, "Retry-After", "1")
}

#[test]
fn answers_in_random_order() {
    let mut random = Random(3);
    for _ in 0..2_000 {
        let mut world = World::registered();
        let mut task = Issue::new(IssueConfig { names: names(&["a.example"]), ..IssueConfig::default() });
        let mut published = 0;
        for _ in 0..40 {
            match task.poll(&mut world.session, world.now) {
                Action::Publish(_) => published += 1,
                Action::Withdraw(_) => published -= 1,
                Action::Failed(_) => break,
                Action::Wait(time) => world.now.mono += time,
                _ => {}
            }
            match random.below(8) {
                0 => task.done(),
                1 => task.csr(vec![]),
                2 => task.signed(&mut world.session, vec![]),
                3 => task.transport_failed(&mut world.session, "x", world.now),
                4 => task.reply(&mut world.session, honest("/authz", &mut World::new()), world.now),
                5 => task.refused("x"),
                6 => task.reply(&mut world.session, honest("/new-order", &mut World::new()), world.now),
                _ => world.now.mono += Duration::from_secs(u64::try_from(random.below(100)).unwrap()),
            }
            let _ = task.stage().to_string();
        }
        assert!((0..=1).contains(&published));
    }
}
