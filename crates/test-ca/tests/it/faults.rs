//! Each fault, as a client meets it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_ca::{BadCertificate, Config, Fault, Faults, RetryAfter, Rule, TestCa};
use x509_cert::der::Decode;

use crate::client::{Client, Response, http_01};
use crate::flow::{chain, is_trusted};
use crate::web::Web;

/// An authority, and a client with an account, after which the fault is armed.
fn with(fault: impl Into<Rule>) -> (TestCa, Client) {
    let ca = TestCa::start(Config::default()).unwrap();
    let client = Client::registered(&ca);
    ca.set_faults(fault.into().into());
    (ca, client)
}

/// The first reply to a new order, with the fault.
fn order_with(fault: impl Into<Rule>) -> Response {
    with(fault).1.order(&["a.example"])
}

/// Why the first new order gets no reply.
fn failure_of(fault: impl Into<Rule>) -> std::io::ErrorKind {
    let (_ca, mut client) = with(fault);
    client.timeout = Duration::from_millis(300);
    client.try_post("newOrder", br#"{"identifiers":[{"type":"dns","value":"a.example"}]}"#).unwrap_err().kind()
}

/// An order that went through to the end with the fault, its certificate, and the authority.
fn issue_with(fault: impl Into<Rule>, names: &[&str]) -> (TestCa, Response) {
    let web = Web::start();
    let ca = TestCa::start(Config { faults: fault.into().into(), ..web.config() }).unwrap();
    let (_, response) = Client::registered(&ca).issue(names, &web);
    (ca, response)
}

#[test]
fn bad_nonce_is_no_mistake_of_the_client() {
    let (ca, mut client) = with(Fault::BadNonce.at("/new-order").times(2));
    let statuses: Vec<u16> = (0..3).map(|_| client.order(&["a.example"]).status).collect();
    assert_eq!(statuses, [400, 400, 201]);
    assert_eq!(ca.violations(), Vec::<String>::new());
    ca.set_faults(Fault::BadNonce.every(2).into());
    let statuses: Vec<u16> = (0..4).map(|_| client.order(&["a.example"]).status).collect();
    assert_eq!(statuses, [201, 400, 201, 400]);
}

#[test]
fn errors_of_all_kinds() {
    let plain = order_with(Fault::error(503).retry_after(7).at("/new-order"));
    assert_eq!(
        (plain.status, plain.problem().as_str(), plain.header("retry-after")),
        (503, "serverInternal", Some("7"))
    );
    let limited = order_with(Fault::rate_limited(RetryAfter::Raw("soon".into())));
    assert_eq!((limited.status, limited.problem().as_str()), (429, "rateLimited"));
    assert_eq!(limited.header("retry-after"), Some("soon"));
    let named = order_with(Fault::error(403).kind("rejectedIdentifier"));
    assert_eq!(named.problem(), "rejectedIdentifier");
    let html = order_with(Fault::error(500).html());
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(html.text().starts_with("<html>"));
}

#[test]
fn who_comes_back_too_early_is_noticed_and_who_waits_is_not() {
    for (wait, mistakes) in [(0, 1), (1100, 0)] {
        let (ca, mut client) = with(Fault::error(503).retry_after(1).at("/new-order").times(1));
        client.order(&["a.example"]);
        std::thread::sleep(Duration::from_millis(wait));
        assert_eq!(client.order(&["a.example"]).status, 201);
        assert_eq!(ca.violations().len(), mistakes, "{:?}", ca.violations());
    }
}

#[test]
fn redirects() {
    let (ca, mut client) = with(Fault::Redirect(302, "https://elsewhere.example{path}".into()).at("/directory"));
    let reply = client.fetch_directory();
    assert_eq!((reply.status, reply.header("location")), (302, Some("https://elsewhere.example/directory")));
    drop(ca);
}

#[test]
fn slow_and_hang_and_drip_take_time() {
    let (_ca, mut client) = with(Fault::Slow(Duration::from_millis(80)).at("/new-order"));
    let start = Instant::now();
    assert_eq!(client.order(&["a.example"]).status, 201);
    assert!(start.elapsed() >= Duration::from_millis(80));

    assert_eq!(failure_of(Fault::Hang.at("/new-order")), std::io::ErrorKind::WouldBlock);

    let (_ca, mut client) = with(Fault::Drip(Duration::from_micros(200)).at("/new-order"));
    let start = Instant::now();
    assert_eq!(client.order(&["a.example"]).status, 201);
    assert!(start.elapsed() >= Duration::from_millis(80), "some 700 bytes");
}

#[test]
fn a_hanging_or_dripping_client_does_not_hold_up_the_end() {
    for fault in [Fault::Hang, Fault::Drip(Duration::from_secs(1)), Fault::Slow(Duration::from_secs(60))] {
        let (ca, mut client) = with(fault);
        let waiting = std::thread::spawn(move || client.try_post("newOrder", b"{}").map(|r| r.status));
        std::thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        drop(ca);
        assert!(start.elapsed() < Duration::from_secs(10));
        assert!(waiting.join().unwrap().is_err());
    }
}

#[test]
fn a_hang_is_logged_without_status() {
    let (ca, mut client) = with(Fault::Hang.at("/new-order"));
    client.timeout = Duration::from_millis(50);
    assert!(client.try_post("newOrder", b"{}").is_err());
    assert_eq!(ca.requests().last().unwrap(), "POST /new-order -");
}

#[test]
fn cuts() {
    for after in [None, Some(0), Some(1), Some(300)] {
        assert_eq!(failure_of(Fault::Cut(after).at("/new-order")), std::io::ErrorKind::UnexpectedEof, "{after:?}");
    }
    let (ca, mut client) = with(Fault::Cut(None).at("/new-order").times(1));
    assert!(client.try_post("newOrder", br#"{"identifiers":[{"type":"dns","value":"a.example"}]}"#).is_err());
    assert_eq!(client.order(&["a.example"]).json()["status"], "pending");
    assert_eq!(
        ca.requests().iter().filter(|line| *line == "POST /new-order 201").count(),
        2,
        "the cut one had its effect"
    );
}

#[test]
fn bodies() {
    let truncated = order_with(Fault::Truncated);
    assert!(serde_json::from_slice::<Value>(&truncated.body).is_err() && truncated.body.starts_with(b"{"));
    assert!(serde_json::from_slice::<Value>(&order_with(Fault::Malformed).body).is_err());
    let oversized = order_with(Fault::Oversized(3_000_000));
    assert_eq!((oversized.body.len(), oversized.json()["status"].as_str()), (3_000_000, Some("pending")));
    let chunked = order_with(Fault::Chunked);
    assert_eq!((chunked.header("content-length"), chunked.json()["status"].as_str()), (None, Some("pending")));
    let both =
        with(Faults::none().with(Fault::Chunked).with(Fault::Oversized(5000)).rules.remove(0)).1.order(&["a.example"]);
    assert!(both.body.len() < 5000, "only the first of the two rules was taken");
    assert_eq!(order_with(Fault::ContentType("text/plain".into())).header("content-type"), Some("text/plain"));
    assert_eq!(order_with(Fault::ContentType(String::new())).header("content-type"), None);
}

#[test]
fn faults_add_up() {
    let (ca, mut client) = with(Fault::NoNonce.at("/new-order"));
    let nonce = Fault::NoNonce.at("/new-order");
    ca.set_faults(Faults::none().with(Fault::Chunked).with(Fault::Oversized(5000)).with(nonce).with(Fault::Extra));
    let reply = client.order(&["a.example"]);
    assert_eq!((reply.header("transfer-encoding"), reply.header("replay-nonce")), (Some("chunked"), None));
    assert_eq!((reply.body.len(), &reply.json()["x-null"]), (5000, &Value::Null));
}

#[test]
fn heads() {
    assert_eq!(order_with(Fault::NoNonce).header("replay-nonce"), None);
    let huge = order_with(Fault::HugeHead(100_000));
    assert!(huge.headers.iter().map(|(_, value)| value.len()).sum::<usize>() > 100_000);
    assert_eq!(huge.json()["status"], "pending");
}

#[test]
fn urls_that_lie() {
    let (ca, mut client) = with(Fault::foreign_url("newNonce"));
    client.fetch_directory();
    assert!(client.directory["newNonce"].as_str().unwrap().starts_with("https://ca.attacker.example/"));
    ca.set_faults(Fault::plain_http("newOrder").into());
    client.fetch_directory();
    assert!(client.directory["newOrder"].as_str().unwrap().starts_with("http://localhost:"));

    let finalize = order_with(Fault::foreign_url("finalize"));
    assert!(finalize.json()["finalize"].as_str().unwrap().starts_with("https://ca.attacker.example/"));
    let location = order_with(Fault::Url("location".into(), "/relative".into()));
    assert_eq!(location.header("location"), Some("/relative"));
}

#[test]
fn tokens_and_members() {
    let token = |fault: Fault| {
        let (_ca, mut client) = with(fault);
        let order = client.order(&["a.example"]).json();
        let authz = client.get(order["authorizations"][0].as_str().unwrap()).json();
        http_01(&authz).get("token").cloned()
    };
    assert_eq!(token(Fault::token("../../etc/passwd")), Some(json!("../../etc/passwd")));
    assert_eq!(token(Fault::token(&"x".repeat(300))), Some(json!("x".repeat(300))));
    assert_eq!(token(Fault::token("")), Some(json!("")));
    assert_eq!(token(Fault::token_null()), Some(Value::Null));
    assert_eq!(token(Fault::no_token()), None);
    assert!(order_with(Fault::no_authorizations()).json().get("authorizations").is_none());
    assert_eq!(order_with(Fault::Member("status".into(), Some(json!("odd")))).json()["status"], "odd");
}

#[test]
fn extras_harm_no_good_client() {
    let (_, response) = issue_with(Fault::Extra, &["a.example"]);
    assert_eq!(chain(&response).len(), 2);
}

#[test]
fn challenges_come_out_invalid() {
    let web = Web::start();
    let ca = TestCa::start(Config { faults: Fault::Invalid.times(1).into(), ..web.config() }).unwrap();
    let mut client = Client::registered(&ca);
    let order = client.order(&["a.example"]);
    let authz = client.answer(order.json()["authorizations"][0].as_str().unwrap(), &web);
    assert_eq!((authz["status"].as_str(), web.hosts.lock().unwrap().len()), (Some("invalid"), 0));
    let error = &http_01(&authz)["error"];
    assert_eq!(error["subproblems"].as_array().unwrap().len(), 2);
    assert_eq!(error["subproblems"][0]["identifier"]["value"], "a.example");
    assert_eq!(client.get(order.header("location").unwrap()).json()["status"], "invalid");
}

#[test]
fn orders_go_strange_ways() {
    let web = Web::start();
    let ca = TestCa::start(web.config()).unwrap();
    let mut client = Client::registered(&ca);

    ca.set_faults(Fault::Stuck.into());
    let (url, order) = client.ready_order(&["a.example"], &web);
    assert_eq!(client.finalize(&order, &["a.example"]).1.json()["status"], "processing");
    for _ in 0..5 {
        assert_eq!(client.get(&url).json()["status"], "processing");
    }

    ca.set_faults(Fault::ReadyAtOnce.into());
    let ready = client.order(&["a.example"]).json();
    assert_eq!(ready["status"], "ready");
    assert_eq!(client.get(ready["authorizations"][0].as_str().unwrap()).json()["status"], "valid");
    assert_eq!(client.finalize(&ready, &["a.example"]).1.json()["status"], "valid");

    ca.set_faults(Fault::ValidAtOnce.into());
    let valid = client.order(&["a.example"]).json();
    assert_eq!(valid["status"], "valid");
    let chain = chain(&client.get(valid["certificate"].as_str().unwrap()));
    assert!(is_trusted(&chain, &ca.issuer_root_pem(), "a.example"));

    ca.set_faults(Fault::Expired.at("/finalize").into());
    let (url, order) = client.ready_order(&["a.example"], &web);
    assert_eq!(client.finalize(&order, &["a.example"]).1.problem(), "orderNotReady");
    assert_eq!(client.get(&url).json()["status"], "invalid");

    ca.set_faults(Fault::Expired.at("/authz").into());
    let order = client.order(&["a.example"]);
    assert_eq!(client.get(order.json()["authorizations"][0].as_str().unwrap()).json()["status"], "expired");
    assert_eq!(client.get(order.header("location").unwrap()).json()["status"], "invalid");
}

#[test]
fn certificates_issued_wrongly() {
    let names = ["a.example", "b.example"];
    let trusted = |bad: BadCertificate| {
        let (ca, response) = issue_with(Fault::Certificate(bad), &names);
        let chain = chain(&response);
        names.map(|name| is_trusted(&chain, &ca.issuer_root_pem(), name))
    };
    assert_eq!(trusted(BadCertificate::ForeignKey), [true, true], "but not for the key that was asked for");
    assert_eq!(trusted(BadCertificate::OtherNames), [false, false]);
    assert_eq!(trusted(BadCertificate::MissingName), [true, false]);
    assert_eq!(trusted(BadCertificate::Expired), [false, false]);
    assert_eq!(trusted(BadCertificate::NotYetValid), [false, false]);
    assert_eq!(trusted(BadCertificate::BadSignature), [false, false]);
}

#[test]
fn a_certificate_for_a_foreign_key() {
    let web = Web::start();
    let faults = Fault::Certificate(BadCertificate::ForeignKey).into();
    let ca = TestCa::start(Config { faults, ..web.config() }).unwrap();
    let (key, _) = Client::registered(&ca).issue(&["a.example"], &web);
    let leaf = x509_cert::Certificate::from_der(&ca.issued()[0]).unwrap();
    let public = leaf.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    assert_ne!(public, key.public_key_raw());
}

#[test]
fn chains_sent_wrongly() {
    let sent = |bad: BadCertificate| issue_with(Fault::Certificate(bad), &["a.example"]);
    let (ca, unordered) = sent(BadCertificate::OutOfOrder);
    assert_eq!(chain(&unordered)[1].to_vec(), ca.issued()[0]);
    let (ca, foreign) = sent(BadCertificate::ForeignChain);
    assert!(!is_trusted(&chain(&foreign), &ca.issuer_root_pem(), "a.example"));
    assert_eq!(chain(&sent(BadCertificate::LeafOnly).1).len(), 1);
    assert!(x509_cert::Certificate::from_der(&chain(&sent(BadCertificate::Garbage).1)[0]).is_err());
    assert!(sent(BadCertificate::Empty).1.body.is_empty());
    let (_, key) = sent(BadCertificate::PrivateKey);
    assert_eq!((chain(&key).len(), key.text().matches("PRIVATE KEY").count()), (2, 2));
    let (_, malformed) = issue_with(Fault::Malformed.at("/certificate"), &["a.example"]);
    assert!(malformed.body.starts_with(b"-----BEGIN CERTIFICATE-----\n\xff"));
}
