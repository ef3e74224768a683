//! What the authority does not let pass.

use base64::Engine as _;
use rcgen::KeyPair;
use serde_json::{Value, json};
use test_ca::{Config, TestCa};

use crate::client::{Client, Response, Signer, csr, sign};
use crate::web::Web;

/// Sends a new order whose header and JWS were tampered with.
fn tampered(client: &mut Client, header: impl FnOnce(&mut Value), jws: impl FnOnce(&mut Value)) -> Response {
    let url = client.url("newOrder");
    let mut protected = client.protected(&url);
    header(&mut protected);
    let payload = json!({"identifiers": [{"type": "dns", "value": "a.example"}]}).to_string();
    let mut body = client.sign(&protected, payload.as_bytes());
    jws(&mut body);
    client.request("POST", &url, body.to_string().as_bytes()).unwrap()
}

fn no_change(_: &mut Value) {}

#[test]
fn a_nonce_cannot_be_used_twice() {
    let ca = TestCa::start(Config::default()).unwrap();
    let mut client = Client::registered(&ca);
    let url = client.url("newOrder");
    let protected = client.protected(&url);
    let body = client.sign(&protected, br#"{"identifiers":[{"type":"dns","value":"a.example"}]}"#).to_string();
    assert_eq!(client.request("POST", &url, body.as_bytes()).unwrap().status, 201);
    assert_eq!(client.request("POST", &url, body.as_bytes()).unwrap().problem(), "badNonce");
    assert_eq!(ca.violations(), ["POST /new-order: the nonce was used before"]);
}

#[test]
fn headers_of_requests_are_checked() {
    let ca = TestCa::start(Config::default()).unwrap();
    let mut client = Client::registered(&ca);
    client.content_type = "application/json";
    assert_eq!(client.order(&["a.example"]).status, 415);
    client.content_type = "application/jose+json";
    client.user_agent = None;
    assert_eq!(client.order(&["a.example"]).problem(), "malformed");
    assert_eq!(ca.violations().len(), 2, "{:?}", ca.violations());
}

#[test]
fn resources_are_read_by_post_as_get_of_their_owner() {
    let web = Web::start();
    let ca = TestCa::start(web.config()).unwrap();
    let mut client = Client::registered(&ca);
    let (url, order) = client.ready_order(&["a.example"], &web);
    let (_, finalized) = client.finalize(&order, &["a.example"]);
    let certificate = finalized.json()["certificate"].as_str().unwrap().to_owned();
    let authz = order["authorizations"][0].as_str().unwrap().to_owned();
    let mut other = Client::registered(&ca);
    for resource in [&url, &authz, &certificate] {
        assert_eq!(client.request("GET", resource, b"").unwrap().status, 405);
        assert_eq!(client.post(resource, &json!({})).status, 400, "{resource}");
        assert_eq!(other.get(resource).problem(), "unauthorized");
    }
    assert_eq!(client.get(&format!("{}x", url)).status, 404);
    assert_eq!(client.request("GET", &client.url("newOrder"), b"").unwrap().status, 405);
    assert_eq!(ca.violations().len(), 11, "{:?}", ca.violations());
}

#[test]
fn accounts_must_be_asked_for_with_their_key() {
    let ca = TestCa::start(Config::default()).unwrap();
    let mut client = Client::registered(&ca);
    assert_eq!(client.post("newAccount", &json!({})).problem(), "malformed");
    let mut stranger = Client::new(&ca, Signer::p256());
    stranger.fetch_directory();
    stranger.kid = client.kid.clone();
    assert_eq!(stranger.order(&["a.example"]).problem(), "malformed", "signed by another key");
    stranger.kid = Some(format!("{}x", client.kid.clone().unwrap()));
    assert_eq!(stranger.order(&["a.example"]).problem(), "accountDoesNotExist");
    let url = stranger.url("newAccount");
    let header = json!({"alg": "ES256", "jwk": client.key.jwk(), "url": url, "nonce": stranger.nonce()});
    let body = sign(&stranger.key, &header, b"{}").to_string();
    assert_eq!(stranger.request("POST", &url, body.as_bytes()).unwrap().problem(), "malformed");
}

#[test]
fn orders_are_checked() {
    let ca = TestCa::start(Config::default()).unwrap();
    let mut client = Client::registered(&ca);
    for (name, kind) in
        [("localhost", "rejectedIdentifier"), ("*.a.example", "rejectedIdentifier"), ("a_b.c", "malformed")]
    {
        assert_eq!(client.order(&[name]).problem(), kind);
    }
    let dates = json!({"identifiers": [{"type": "dns", "value": "a.example"}], "notAfter": "2030-01-01T00:00:00Z"});
    assert_eq!(client.post("newOrder", &dates).status, 400);
    assert_eq!(client.post("newOrder", &json!([])).problem(), "malformed");
    assert_eq!(client.get("newOrder").problem(), "malformed", "a new order is no POST-as-GET");
}

#[test]
fn a_csr_must_be_for_the_order_and_not_with_the_account_key() {
    let web = Web::start();
    let ca = TestCa::start(web.config()).unwrap();
    let mut client = Client::registered(&ca);
    let pending = client.order(&["a.example"]).json();
    assert_eq!(client.finalize(&pending, &["a.example"]).1.problem(), "orderNotReady");

    let (url, order) = client.ready_order(&["a.example", "b.example"], &web);
    for names in [&["a.example"][..], &["a.example", "b.example", "c.example"], &["a.example", "c.example"]] {
        assert_eq!(client.finalize(&order, names).1.problem(), "badCSR", "{names:?}");
    }
    let mut wrong = csr(&["a.example", "b.example"], &KeyPair::generate().unwrap());
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(client.finalize_with(&order, &wrong).problem(), "badCSR");
    assert_eq!(client.finalize_with(&order, b"no CSR").problem(), "badCSR");
    assert_eq!(client.get(&url).json()["status"], "ready", "the order is still there");
    let (_, finalized) = client.finalize(&order, &["b.example", "a.example"]);
    assert_eq!(finalized.json()["status"], "valid");
    assert_eq!(client.finalize(&order, &["b.example", "a.example"]).1.problem(), "orderNotReady");

    let pkcs8 = KeyPair::generate().unwrap();
    let account = ring::signature::EcdsaKeyPair::from_pkcs8(
        &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &pkcs8.serialize_der(),
        &ring::rand::SystemRandom::new(),
    );
    let mut same = Client::new(&ca, Signer::P256(account.unwrap()));
    same.fetch_directory();
    same.register();
    let (_, order) = same.ready_order(&["a.example"], &web);
    assert!(same.finalize_with(&order, &csr(&["a.example"], &pkcs8)).text().contains("key is the account's"));
}
