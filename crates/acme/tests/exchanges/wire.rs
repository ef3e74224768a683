//! What crosses from one process to another, in the form in which it does: postcard.

use acme::{
    CertId, ChallengeKind, Identifier, Nonce, Origins, Payload, ProfileName, Publication, RevocationReason, Signer,
    Thumbprint, ToSign, Token, Url,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::world::{names, url};

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = postcard::to_allocvec(value).unwrap();
    assert_eq!(postcard::from_bytes::<T>(&bytes).as_ref(), Ok(value));
    for end in 0..bytes.len() {
        assert!(postcard::from_bytes::<T>(&bytes[..end]).is_err(), "{value:?} cut at {end}");
    }
}

#[test]
fn there_and_back() {
    let token = Token::parse("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA").unwrap();
    round_trip(&url("/a?b=c"));
    round_trip(&Origins::of(&url("/")));
    round_trip(&names(&["*.example.org"])[0]);
    round_trip(&Thumbprint::parse(&"a".repeat(43)).unwrap());
    round_trip(&Publication { kind: ChallengeKind::Http01, name: names(&["a.example"])[0].clone(), token });
    RevocationReason::ALL.iter().for_each(round_trip);
    let payloads = [
        Payload::NewAccount { contact: vec!["mailto:a@b".into()], terms_agreed: true, only_return_existing: false },
        Payload::NewOrder { names: names(&["a.example", "*.b.example", "192.0.2.1"]), profile: None, replaces: None },
        Payload::NewOrder {
            names: names(&["a.example"]),
            profile: Some(ProfileName::parse("tlsserver").unwrap()),
            replaces: Some(CertId::parse("aa.bb").unwrap()),
        },
        Payload::PostAsGet,
        Payload::ChallengeReady,
        Payload::DeactivateAuthorization,
        Payload::Finalize { csr: vec![1, 2, 3] },
        Payload::RevokeCert { certificate: vec![4, 5], reason: Some(RevocationReason::KeyCompromise) },
        Payload::RevokeCert { certificate: vec![], reason: None },
    ];
    for payload in payloads {
        for signer in [Signer::Jwk, Signer::Kid(url("/account/1"))] {
            let nonce = Nonce::parse("abc").unwrap();
            round_trip(&ToSign { url: url("/x"), nonce, signer, payload: payload.clone() });
        }
    }
}

#[test]
fn what_is_wrong_does_not_arrive() {
    fn refused<T: DeserializeOwned>(text: &str) {
        let bytes = postcard::to_allocvec(text).unwrap();
        assert!(postcard::from_bytes::<T>(&bytes).is_err(), "{text:?}");
        assert!(serde_json::from_value::<T>(text.into()).is_err(), "{text:?}");
    }
    refused::<Url>("http://ca.example/");
    refused::<Url>("https://u@ca.example/");
    refused::<Url>(&format!("https://ca.example/{}", "a".repeat(2048)));
    refused::<Identifier>("a..b");
    refused::<Identifier>("../x");
    refused::<ProfileName>("a b");
    refused::<CertId>("a.b/c");
    refused::<Identifier>("::ffff:192.0.2.1");
    refused::<Token>("../x");
    refused::<Token>("");
    refused::<Token>(&"a".repeat(256));
    refused::<Thumbprint>(&"a".repeat(42));
    refused::<Nonce>("a b");
    // No such variant.
    assert!(postcard::from_bytes::<Payload>(&[7]).is_err());
    assert!(postcard::from_bytes::<RevocationReason>(&[5]).is_err());
    assert!(postcard::from_bytes::<ChallengeKind>(&[1]).is_err());
}

#[test]
fn what_arrives_has_its_usual_form() {
    let bytes = postcard::to_allocvec("HTTPS://CA.example").unwrap();
    assert_eq!(postcard::from_bytes::<Url>(&bytes).unwrap().as_str(), "https://ca.example/");
    let bytes = postcard::to_allocvec("Example.ORG").unwrap();
    assert_eq!(postcard::from_bytes::<Identifier>(&bytes).unwrap().to_string(), "example.org");
}
