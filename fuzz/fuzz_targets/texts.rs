//! Small texts that a CA or another process sends: what is accepted means the same when it is read again, and shows no
//! control characters.
#![no_main]

use acme::{
    Identifier, Nonce, Payload, Problem, Publication, RevocationReason, Thumbprint, ToSign, Token, Url, retry_after,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(url) = Url::parse(&text) {
        assert!(url.as_str().starts_with("https://") && url.as_str().is_ascii() && url.as_str().len() <= acme::MAX_URL);
        assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(&url));
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
    for now in [0, 1_780_000_000, u64::MAX] {
        assert!(retry_after::parse(&text, now).is_none_or(|wait| wait <= retry_after::MAX));
    }
    if let Some(problem) = Problem::parse(bytes) {
        assert!(!problem.to_string().chars().any(char::is_control));
    }
    let _ = postcard::from_bytes::<ToSign>(bytes).map(|request| request.payload.to_json());
    let _ = postcard::from_bytes::<Payload>(bytes).map(|payload| payload.to_json());
    let _ = postcard::from_bytes::<Publication>(bytes);
});
