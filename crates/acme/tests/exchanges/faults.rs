//! Nonces, overload, silence, deadlines.

use std::time::Duration;

use acme::{Action, Advice, ErrorKind, Register, RegisterConfig, Reply, Task};

use crate::world::{Instead, World, at, header, page, problem};

const NAME: &[&str] = &["example.org"];

/// The CA's own rejection, which comes with a nonce that is good.
fn bad_nonce(world: &mut World, path: &'static str, times: usize) {
    for _ in 0..times {
        world.ca.instead.push_back((path, Instead::Change(reject)));
    }
}

fn reject(reply: &mut Reply) {
    let nonce = reply.headers.iter().find(|(name, _)| name == "Replay-Nonce").cloned();
    *reply = problem(400, "badNonce", "too old");
    reply.headers.extend(nonce);
}

// ---- nonces -------------------------------------------------------------------------------------------------------

#[test]
fn a_bad_nonce_is_replaced_by_the_one_of_the_rejection() {
    let mut world = World::registered();
    bad_nonce(&mut world, "/new-order", 5);
    world.issue(NAME).unwrap();
    assert_eq!(world.count("POST /new-order"), 6);
    assert_eq!(world.count("HEAD /nonce"), 0);
    assert_eq!(world.elapsed(), Duration::from_millis(30), "there is nothing to wait for");
}

#[test]
fn nonces_that_the_server_has_forgotten() {
    let mut world = World::registered();
    world.ca.forget_nonces();
    world.issue(NAME).unwrap();
    assert_eq!(world.count("POST /new-order"), 2);
}

#[test]
fn every_nonce_rejected() {
    let mut world = World::registered();
    world.ca.always.push(("/new-order", Instead::Change(reject)));
    let error = world.issue(NAME).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadNonce { attempts: 6 });
    assert_eq!(error.advice(), Advice::Retry);
    assert_eq!(world.count("POST /new-order"), 6);
    assert!(error.to_string().contains("rejected 6 nonces in a row"), "{error}");
}

#[test]
fn a_rejection_without_a_nonce() {
    let mut world = World::registered();
    world.ca.instead.push_back(("/new-order", Instead::Reply(problem(400, "badNonce", "no"))));
    world.issue(NAME).unwrap();
    assert_eq!(world.requests()[..3], ["POST /new-order", "HEAD /nonce", "POST /new-order"]);
}

#[test]
fn a_store_of_stale_nonces_is_thrown_away_at_once() {
    // Ten tasks that begin at the same time all fetch the directory, and each reply brings a nonce.
    let mut world = World::new();
    let mut tasks: Vec<_> = (0..10).map(|_| Register::new(RegisterConfig::default())).collect();
    for task in &mut tasks {
        assert!(matches!(task.poll(&mut world.session, world.now), Action::Send(_)));
    }
    for (number, task) in tasks.iter_mut().enumerate() {
        let directory = world.ca.directory();
        let reply = header(directory, "Replay-Nonce", &format!("stale-{number}"));
        task.reply(&mut world.session, reply, world.now);
    }
    world.ca.always.push((
        "/account",
        Instead::Change(|reply| {
            if reply.status == 400 {
                reply.headers.retain(|(name, _)| name != "Replay-Nonce");
            }
        }),
    ));
    world.register().unwrap();
    assert_eq!(world.requests(), ["POST /account", "HEAD /nonce", "POST /account"]);
}

#[test]
fn a_nonce_that_is_no_nonce() {
    let mut world = World::registered();
    world.ca.instead.push_back((
        "/new-order",
        Instead::Change(|reply| {
            reply.headers.retain(|(name, _)| name != "Replay-Nonce");
            reply.headers.push(("Replay-Nonce".into(), "a/b+c==".into()));
        }),
    ));
    world.issue(NAME).unwrap();
    assert_eq!(world.count("HEAD /nonce"), 1, "it is ignored, and another one fetched");

    let mut world = World::new();
    world.ca.always.push(("/nonce", Instead::Reply(Reply { status: 200, ..Reply::default() })));
    let error = world.register().unwrap_err();
    assert!(error.to_string().contains("no nonce"), "{error}");
    assert_eq!(world.count("HEAD /nonce"), 1);
}

#[test]
fn a_web_page_in_place_of_a_bad_nonce() {
    for status in [400, 500] {
        let mut world = World::registered();
        world.ca.instead.push_back(("/new-order", Instead::Reply(page(status))));
        world.issue(NAME).unwrap();
        assert_eq!(world.count("POST /new-order"), 2);
        assert!(world.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn web_pages_and_nothing_else() {
    for (status, posts) in [(400, 3), (500, 6), (403, 1), (404, 1)] {
        let mut world = World::registered();
        world.ca.always.push(("/new-order", Instead::Reply(page(status))));
        let error = world.issue(NAME).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Http { status, body: String::new() });
        assert_eq!(world.count("POST /new-order"), posts, "{status}");
        assert!(error.to_string().contains(&format!("HTTP status {status}")), "{error}");
    }
}

#[test]
fn nonces_are_taken_from_replies_of_every_kind() {
    let mut world = World::registered();
    world.ca.instead.push_back((
        "/new-order",
        Instead::Change(|reply| {
            let nonce = reply.headers.iter().find(|(name, _)| name == "Replay-Nonce").cloned();
            *reply = header(problem(503, "serverInternal", "busy"), "Retry-After", "1");
            reply.headers.extend(nonce);
        }),
    ));
    world.issue(NAME).unwrap();
    assert_eq!(world.count("HEAD /nonce"), 0);
}

// ---- overload -----------------------------------------------------------------------------------------------------

#[test]
fn overload_is_waited_out_as_the_ca_asks() {
    for status in [429, 503] {
        let mut world = World::registered();
        for _ in 0..2 {
            let reply = header(problem(status, "rateLimited", "slow down"), "retry-after", "2");
            world.ca.instead.push_back(("/new-order", Instead::Reply(reply)));
        }
        world.issue(NAME).unwrap();
        assert_eq!(world.count("POST /new-order"), 3);
        assert_eq!(world.count("wait 2000"), 2);
    }
}

#[test]
fn overload_with_a_date() {
    let mut world = World::registered();
    let reply = header(page(503), "Retry-After", "Thu, 28 May 2026 20:27:00 GMT");
    world.ca.instead.push_back(("/new-order", Instead::Reply(reply)));
    world.issue(NAME).unwrap();
    assert_eq!(world.count("wait 20000"), 1, "{:?}", world.log);
}

#[test]
fn overload_without_a_word_is_waited_out_longer_and_longer() {
    let mut world = World::registered();
    world.ca.always.push(("/new-order", Instead::Reply(page(502))));
    let error = world.issue(NAME).unwrap_err();
    assert_eq!(error.advice(), Advice::Retry);
    let waits: Vec<_> = world.log.iter().filter(|entry| entry.starts_with("wait")).map(String::as_str).collect();
    assert_eq!(waits, ["wait 250", "wait 1000", "wait 4000", "wait 16000", "wait 16000"]);
}

#[test]
fn a_rate_limit_longer_than_the_run_is_told_at_once() {
    let detail = "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s";
    let mut world = World::registered();
    let reply = header(problem(429, "rateLimited", detail), "Retry-After", "122400");
    world.ca.instead.push_back(("/new-order", Instead::Reply(reply)));
    let error = world.issue(NAME).unwrap_err();
    assert_eq!(world.elapsed(), Duration::ZERO);
    assert_eq!(error.advice(), Advice::RetryAfter(Duration::from_secs(122_400)));
    let text = error.to_string();
    assert!(text.contains("asks to wait 34 h, and only 5 min are left") && text.contains(detail), "{text}");
}

#[test]
fn a_rate_limit_without_a_time_is_not_tried_again() {
    let mut world = World::registered();
    world.ca.instead.push_back(("/new-order", Instead::Reply(problem(429, "rateLimited", "too many"))));
    let error = world.issue(NAME).unwrap_err();
    assert_eq!(world.count("POST /new-order"), 1);
    assert_eq!(error.advice(), Advice::Retry);
    assert!(error.to_string().contains("a rate limit of the CA is exceeded (rateLimited): too many"), "{error}");
}

#[test]
fn overload_that_does_not_end() {
    let mut world = World::registered();
    let reply = header(problem(503, "serverInternal", "busy"), "Retry-After", "7");
    world.ca.always.push(("/new-order", Instead::Reply(reply)));
    let error = world.issue(NAME).unwrap_err();
    assert_eq!(world.count("POST /new-order"), 6);
    assert_eq!(error.advice(), Advice::RetryAfter(Duration::from_secs(7)));
    assert!(error.to_string().ends_with("busy; try again in 7 s"), "{error}");
}

#[test]
fn overload_at_every_step() {
    for path in ["/dir", "/nonce", "/account", "/new-order", "/authz/0", "/challenge/0", "/finalize", "/certificate"] {
        let mut world = World::new();
        world.ca.instead.push_back((path, Instead::Reply(header(page(503), "Retry-After", "1"))));
        world.register().unwrap();
        world.issue(NAME).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(world.count("wait 1000"), 1, "{path}");
    }
}

// ---- silence ------------------------------------------------------------------------------------------------------

#[test]
fn silence_at_every_step() {
    for path in ["/dir", "/nonce", "/account", "/new-order", "/authz/0", "/challenge/0", "/finalize", "/certificate"] {
        let mut world = World::new();
        world.ca.instead.push_back((path, Instead::Silence("connection closed")));
        world.register().unwrap();
        world.issue(NAME).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(world.elapsed(), Duration::from_millis(30), "the first repetition does not wait");
    }
}

#[test]
fn silence_that_does_not_end() {
    let mut world = World::registered();
    world.ca.always.push(("/new-order", Instead::Silence("connection refused\u{1b}[2J")));
    let error = world.issue(NAME).unwrap_err();
    assert_eq!(error.to_string(), "creating the order failed: no reply from the CA: connection refused\\u{1b}[2J");
    assert_eq!(world.count("POST /new-order"), 4);
    assert_eq!(world.elapsed(), Duration::from_secs(3));
}

#[test]
fn a_reply_lost_after_finalizing() {
    let mut world = World::registered();
    world.ca.instead.push_back(("/finalize/1", Instead::Silence("reset")));
    world.ca.instead.push_back(("/finalize/1", Instead::Reply(problem(403, "orderNotReady", "processing"))));
    world.ca.finalize();
    world.ca.instead.push_back(("/new-order", Instead::Change(|_| {})));
    world.ca.signing_takes = 1;
    world.ca.order_status = None;
    world.ca.instead.push_back((
        "/order/1",
        Instead::Change(|reply| {
            let text = String::from_utf8(reply.body.clone()).unwrap();
            reply.body = text.replace(r#""status":"ready""#, r#""status":"processing""#).into_bytes();
        }),
    ));
    world.issue(NAME).unwrap();
}

// ---- time ---------------------------------------------------------------------------------------------------------

#[test]
fn a_validation_that_does_not_end() {
    let mut world = World::registered();
    world.ca.validation_takes = u32::MAX;
    let error = world.issue(NAME).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Deadline { limit: Duration::from_secs(300) });
    assert_eq!(
        error.to_string(),
        "validating example.org failed: it took longer than the 5 min allowed for it; try again"
    );
    assert_eq!(world.elapsed(), Duration::from_secs(300));
    assert!(world.requests().len() < 80);
}

#[test]
fn processing_that_does_not_end() {
    let mut world = World::registered();
    world.ca.signing_takes = u32::MAX;
    let error = world.issue(NAME).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Deadline { .. }));
    assert!(error.to_string().starts_with("waiting for the certificate failed"), "{error}");
}

#[test]
fn a_wait_beyond_the_deadline_is_not_begun() {
    let mut world = World::registered();
    world.ca.signing_takes = 2;
    world.ca.retry_after = Some("3600");
    let error = world.issue(NAME).unwrap_err();
    assert!(world.elapsed() < Duration::from_secs(1));
    assert_eq!(error.advice(), Advice::RetryAfter(Duration::from_secs(3600)));
    assert!(error.to_string().contains("asks to wait 1 h, and only 4 min 59 s are left"), "{error}");

    let mut world = World::registered();
    world.ca.validation_takes = 2;
    world.ca.retry_after = Some("3600");
    let error = world.issue(NAME).unwrap_err();
    assert!(error.to_string().starts_with("validating example.org failed: the CA asks to wait 1 h"), "{error}");
    assert_eq!(world.log.last().unwrap(), "withdraw example.org");
}

#[test]
fn slow_replies_use_up_the_time() {
    let mut world = World::registered();
    world.ca.latency = Duration::from_secs(29);
    world.ca.validation_takes = 100;
    let error = world.issue(NAME).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Deadline { .. }), "{error}");
    assert!(world.elapsed() < Duration::from_secs(330));
}

#[test]
fn the_deadline_is_as_set() {
    let mut world = World::with(|config| config.limits.deadline = Duration::from_secs(10));
    world.register().unwrap();
    world.ca.validation_takes = u32::MAX;
    let begin = world.elapsed();
    world.issue(NAME).unwrap_err();
    assert_eq!(world.elapsed() - begin, Duration::from_secs(10));
}

#[test]
fn a_certificate_that_comes_at_the_last_moment_is_kept() {
    let mut world = World::with(|config| config.limits.deadline = Duration::from_secs(5));
    world.register().unwrap();
    world.ca.valid = vec![0];
    world.ca.latency = Duration::from_secs(2);
    world.issue(NAME).unwrap();
    assert_eq!(world.elapsed(), Duration::from_secs(6));
}

#[test]
fn an_overloaded_ca_gets_no_new_order_for_one_that_cannot_be_read() {
    for reply in [page(503), header(problem(429, "rateLimited", "busy"), "Retry-After", "1")] {
        let mut world = World::registered();
        world.ca.place(NAME);
        world.ca.always.push(("/order/1", Instead::Reply(reply)));
        let error = world.resume(&at("/order/1"), NAME).unwrap_err();
        assert!(error.to_string().starts_with("resuming the order of an earlier run failed"), "{error}");
        assert_eq!(world.count("POST /new-order"), 0);
    }
}

#[test]
fn redirections_are_not_followed() {
    let mut world = World::new();
    let reply = header(Reply { status: 301, ..Reply::default() }, "Location", &at("/other"));
    world.ca.instead.push_back(("/dir", Instead::Reply(reply)));
    let error = world.register().unwrap_err();
    assert!(error.to_string().contains("a redirection, which is not followed"), "{error}");
    assert_eq!(world.requests(), ["GET /dir"]);
}
