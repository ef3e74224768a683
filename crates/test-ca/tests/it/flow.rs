//! What goes right.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rcgen::PublicKeyData;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde_json::{Value, json};
use test_ca::{Config, Resolver, RetryAfter, TestCa};
use x509_cert::der::{Decode, Encode};

use crate::client::{Client, Response, Signer, http_01, sign};
use crate::web::Web;

/// Leaf first.
pub(crate) fn chain(response: &Response) -> Vec<CertificateDer<'static>> {
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/pem-certificate-chain"));
    CertificateDer::pem_slice_iter(&response.body).map(Result::unwrap).collect()
}

/// Whether a TLS client that trusts `root` takes the chain for `name`, now.
pub(crate) fn is_trusted(chain: &[CertificateDer<'static>], root: &str, name: &str) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
    use rustls::client::danger::ServerCertVerifier;
    let name = name.to_owned().try_into().unwrap();
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now()).is_ok()
}

fn spki(leaf: &[u8]) -> Vec<u8> {
    let leaf = x509_cert::Certificate::from_der(leaf).unwrap();
    leaf.tbs_certificate().subject_public_key_info().to_der().unwrap()
}

#[test]
fn every_reply_has_its_headers() {
    let web = Web::start();
    let ca = TestCa::start(web.config()).unwrap();
    let mut client = Client::new(&ca, Signer::p256());
    let directory = client.fetch_directory();
    assert!(directory.header("replay-nonce").is_some());
    let mut nonces = Vec::new();
    let replies =
        [client.register(), client.order(&["a.example"]), client.get("newNonce"), client.get("https://localhost/none")];
    for reply in &replies {
        nonces.push(reply.header("replay-nonce").unwrap().to_owned());
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.links("index"), [ca.directory_url()]);
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), replies.len());
    let url = client.url("newNonce");
    let get = client.request("GET", &url, b"").unwrap();
    assert_eq!((get.status, get.body.len()), (204, 0));
    let challenge = http_01(&{
        let authz = replies[1].json()["authorizations"][0].as_str().unwrap().to_owned();
        client.get(&authz).json()
    });
    assert_eq!(client.get(challenge["url"].as_str().unwrap()).links("up").len(), 1);
}

#[test]
fn accounts_are_found_changed_and_deactivated() {
    let ca = TestCa::start(Config::default()).unwrap();
    let mut client = Client::new(&ca, Signer::p256());
    client.fetch_directory();
    let none = client.post("newAccount", &json!({"onlyReturnExisting": true}));
    assert_eq!((none.status, none.problem().as_str()), (400, "accountDoesNotExist"));
    let terms = client.post("newAccount", &json!({}));
    assert_eq!((terms.status, terms.problem().as_str()), (403, "userActionRequired"));
    assert_eq!(terms.links("terms-of-service")[0], client.directory["meta"]["termsOfService"]);
    let url = client.register().header("location").unwrap().to_owned();

    client.kid = None;
    let again = client.post("newAccount", &json!({"onlyReturnExisting": true}));
    assert_eq!((again.status, again.header("location")), (200, Some(url.as_str())));
    client.kid = Some(url.clone());

    let changed = client.post(&url, &json!({"contact": ["mailto:new@b.example"]})).json();
    assert_eq!(changed["contact"], json!(["mailto:new@b.example"]));
    assert_eq!(client.get(&url).json(), changed);
    assert_eq!(client.post(&url, &json!({"contact": ["mailto:x"]})).problem(), "invalidContact");
    client.order(&["a.example"]);
    let orders = client.get(changed["orders"].as_str().unwrap()).json();
    assert_eq!(orders["orders"].as_array().unwrap().len(), 1);

    assert_eq!(client.post(&url, &json!({"status": "deactivated"})).json()["status"], "deactivated");
    let refused = client.order(&["a.example"]);
    assert_eq!((refused.status, refused.problem().as_str()), (401, "unauthorized"));
    assert_eq!(ca.violations(), Vec::<String>::new());
}

#[test]
fn an_account_gets_another_key() {
    let ca = TestCa::start(Config::default()).unwrap();
    let mut client = Client::registered(&ca);
    let url = client.url("keyChange");
    let new = Signer::p384();
    let header = json!({"alg": "ES384", "jwk": new.jwk(), "url": url});
    let payload = json!({"account": client.kid, "oldKey": client.key.jwk()});
    let wrong = json!({"account": client.kid, "oldKey": new.jwk()});
    let inner = sign(&new, &header, wrong.to_string().as_bytes());
    assert_eq!(client.post("keyChange", &inner).problem(), "malformed");
    let inner = sign(&new, &header, payload.to_string().as_bytes());
    assert_eq!(client.post("keyChange", &inner).status, 200);
    assert_eq!(client.order(&["a.example"]).problem(), "badPublicKey", "the old key has ended");
    client.key = new;
    assert_eq!(client.order(&["a.example"]).status, 201);
}

#[test]
fn all_addresses_of_a_name_must_answer() {
    let (web, other) = (Web::start(), Web::start());
    let names = Resolver::default().with("a.example", web.address).with("a.example", other.address);
    let ca = TestCa::start(Config { names, ..Config::default() }).unwrap();
    let mut client = Client::registered(&ca);
    let order = client.order(&["a.example"]);
    let authz = client.answer(order.json()["authorizations"][0].as_str().unwrap(), &web);
    assert_eq!(authz["status"], "invalid");
    let error = &http_01(&authz)["error"];
    assert!(error["detail"].as_str().unwrap().contains(&other.address.to_string()), "{error}");
    let failed = client.get(order.header("location").unwrap()).json();
    assert_eq!((failed["status"].as_str(), &failed["error"]), (Some("invalid"), error));
    let (_, finalized) = client.finalize(&failed, &["a.example"]);
    assert_eq!(finalized.problem(), "orderNotReady");
    assert_eq!(ca.violations(), Vec::<String>::new());
}

#[test]
fn a_name_without_address_or_web_server_fails_its_challenge() {
    let web = Web::start();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ca =
        TestCa::start(Config { names: Resolver::default().with("b.example", closed), ..Config::default() }).unwrap();
    let mut client = Client::registered(&ca);
    for (name, kind) in [("a.example", "dns"), ("b.example", "connection")] {
        let order = client.order(&[name]);
        let authz = client.answer(order.json()["authorizations"][0].as_str().unwrap(), &web);
        assert_eq!(http_01(&authz)["error"]["type"], format!("urn:ietf:params:acme:error:{kind}"));
    }
}

#[test]
fn unknown_challenges_come_first() {
    let ca = TestCa::start(Config::default()).unwrap();
    let mut client = Client::registered(&ca);
    let order = client.order(&["a.example"]).json();
    let authz = client.get(order["authorizations"][0].as_str().unwrap()).json();
    assert_eq!(authz["challenges"][0]["type"], "test-unknown-01");
    let url = authz["challenges"][0]["url"].as_str().unwrap();
    assert_eq!(client.post(url, &json!({})).problem(), "malformed");
}

#[test]
fn processing_takes_as_many_replies_as_configured_and_tells_when_to_come_back() {
    let web = Web::start();
    let retry_after = Some(RetryAfter::Seconds(1));
    let ca = TestCa::start(Config { processing: 2, retry_after, ..web.config() }).unwrap();
    let mut client = Client::registered(&ca);
    let order = client.order(&["a.example"]);
    let authz = order.json()["authorizations"][0].as_str().unwrap().to_owned();
    let pending = client.get(&authz);
    assert_eq!(pending.header("retry-after"), Some("1"));
    client.answer(&authz, &web);
    let url = order.header("location").unwrap().to_owned();
    let (_, finalized) = client.finalize(&order.json(), &["a.example"]);
    assert_eq!((finalized.json()["status"].as_str(), finalized.header("retry-after")), (Some("processing"), Some("1")));
    assert!(finalized.json().get("certificate").is_none());
    let early = client.get(&url);
    assert_eq!(early.json()["status"], "processing");
    assert_eq!(client.get(&url).json()["status"], "valid");
    let violations = ca.violations();
    assert!(violations.iter().any(|v| v.starts_with("POST /order/0: comes ")), "{violations:?}");
}

#[test]
fn retry_after_is_also_a_date() {
    let web = Web::start();
    let retry_after = Some(RetryAfter::Date(90));
    let ca = TestCa::start(Config { processing: 1, retry_after, ..web.config() }).unwrap();
    let mut client = Client::registered(&ca);
    let (_, order) = client.ready_order(&["a.example"], &web);
    let (_, finalized) = client.finalize(&order, &["a.example"]);
    let date = finalized.header("retry-after").unwrap();
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
}

#[test]
fn authorizations_are_reused_when_configured() {
    let web = Web::start();
    for reuse in [false, true] {
        let ca = TestCa::start(Config { authz_reuse: reuse, ..web.config() }).unwrap();
        let mut client = Client::registered(&ca);
        client.issue(&["a.example"], &web);
        let again = client.order(&["a.example"]).json();
        assert_eq!(again["status"], if reuse { "ready" } else { "pending" });
        let authz = again["authorizations"][0].as_str().unwrap().to_owned();
        assert_eq!(client.post(&authz, &json!({"status": "deactivated"})).json()["status"], "deactivated");
        assert_eq!(client.order(&["a.example"]).json()["status"], "pending");
    }
}

#[test]
fn chains_have_the_wanted_length_and_alternates_their_own_roots() {
    let web = Web::start();
    for (length, alternates) in [(0, 0), (1, 0), (1, 2), (3, 1)] {
        let ca = TestCa::start(Config { chain_length: length, alternates, ..web.config() }).unwrap();
        let mut client = Client::registered(&ca);
        let (_, first) = client.issue(&["a.example"], &web);
        let roots = ca.issuer_roots_pem();
        assert_eq!((roots.len(), first.links("alternate").len()), (alternates + 1, alternates));
        let mut all = vec![chain(&first)];
        for url in first.links("alternate") {
            let other = client.get(&url);
            assert_eq!(other.links("alternate").len(), alternates);
            all.push(chain(&other));
        }
        for (number, one) in all.iter().enumerate() {
            assert_eq!(one.len(), length + 1);
            assert_eq!(one[0], all[0][0], "the leaf is the same");
            for (root_number, root) in roots.iter().enumerate() {
                assert_eq!(is_trusted(one, root, "a.example"), number == root_number);
            }
        }
    }
}

#[test]
fn certificates_last_as_long_as_configured() {
    let web = Web::start();
    let (hour, lifetime) = (Duration::from_secs(3600), Duration::from_secs(6 * 86_400));
    let ca = TestCa::start(Config { lifetime, not_before_offset: hour * 2, ..web.config() }).unwrap();
    Client::registered(&ca).issue(&["a.example"], &web);
    let leaf = x509_cert::Certificate::from_der(&ca.issued()[0]).unwrap();
    let validity = leaf.tbs_certificate().validity();
    let (from, to) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
    assert_eq!(to - from, lifetime - Duration::from_secs(1));
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - from;
    assert!((hour * 2..hour * 2 + Duration::from_secs(60)).contains(&age), "{age:?}");
}

#[test]
fn certificates_are_revoked_by_owner_key_and_controller() {
    let web = Web::start();
    let ca = TestCa::start(web.config()).unwrap();
    let mut client = Client::registered(&ca);
    let mut issue = || {
        let (key, response) = client.issue(&["a.example"], &web);
        (key, BASE64.encode(&chain(&response)[0]))
    };
    let (first, second, third) = (issue(), issue(), issue());
    let revoke = |client: &mut Client, certificate: &str, reason: Value| {
        client.post("revokeCert", &json!({"certificate": certificate, "reason": reason}))
    };
    assert_eq!(revoke(&mut client, &first.1, json!(7)).problem(), "badRevocationReason");
    assert_eq!(revoke(&mut client, &first.1, json!(4)).status, 200);
    assert_eq!(revoke(&mut client, &first.1, json!(4)).problem(), "alreadyRevoked");

    let mut other = Client::registered(&ca);
    assert_eq!(revoke(&mut other, &second.1, Value::Null).problem(), "unauthorized");
    other.ready_order(&["a.example"], &web);
    assert_eq!(revoke(&mut other, &second.1, Value::Null).status, 200, "who controls all names may revoke");

    let key = ring::signature::EcdsaKeyPair::from_pkcs8(
        &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &third.0.serialize_der(),
        &ring::rand::SystemRandom::new(),
    );
    let mut holder = Client::new(&ca, Signer::P256(key.unwrap()));
    holder.fetch_directory();
    assert_eq!(revoke(&mut holder, &first.1, json!(1)).problem(), "unauthorized");
    assert_eq!(revoke(&mut holder, &third.1, json!(1)).status, 200);

    assert_eq!(ca.revocation_reasons(), [Some(4), None, Some(1)]);
    let serial = |certificate: &str| {
        let der = BASE64.decode(certificate).unwrap();
        x509_cert::Certificate::from_der(&der).unwrap().tbs_certificate().serial_number().as_bytes().to_vec()
    };
    assert_eq!(ca.revoked(), [serial(&first.1), serial(&second.1), serial(&third.1)]);
}

#[test]
fn listens_where_it_is_told_and_says_what_is_wrong() {
    let listen = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0));
    let ca = TestCa::start(Config { listen, host: "127.0.0.2".into(), ..Config::default() }).unwrap();
    assert_eq!(ca.directory_url(), format!("https://127.0.0.2:{}/directory", ca.address().port()));
    Client::registered(&ca);
    let taken = TestCa::start(Config { listen: ca.address(), ..Config::default() }).unwrap_err();
    assert!(taken.to_string().contains(&format!("cannot listen on {}", ca.address())), "{taken}");
}

#[test]
fn ends_at_once_whatever_is_going_on() {
    let web = Web::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let names = Resolver::everywhere(silent.local_addr().unwrap());
    let validation_timeout = Duration::from_secs(30);
    let ca = TestCa::start(Config { names, validation_timeout, ..Config::default() }).unwrap();
    let mut client = Client::registered(&ca);
    let order = client.order(&["a.example"]).json();
    let authz = client.get(order["authorizations"][0].as_str().unwrap()).json();
    client.post(http_01(&authz)["url"].as_str().unwrap(), &json!({}));
    let _accepted = silent.accept().unwrap();
    let _ = web;
    let start = Instant::now();
    drop(ca);
    assert!(start.elapsed() < Duration::from_secs(10), "a fetch, an idle connection and a listener held it up");
}
