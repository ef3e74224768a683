//! Faults in words, for the command line: `error=503:2 at=/new-order times=2`.

use std::str::FromStr;
use std::time::Duration;

use crate::config::RetryAfter;
use crate::faults::{BadCertificate, Fault, Rule};

/// How a fault is written, for a usage text.
pub const SPELLINGS: &str = "\
A rule is a fault and, after spaces, when it strikes:
  at=PATH   only at /directory, /new-nonce, /new-account, /new-order, /order, /authz, /challenge, /finalize,
            /certificate, /revoke-cert, /account, /orders, /key-change; with a number, only one: /order/0
  skip=N    after N requests          every=N   each Nth time          times=N   no more than N times
A drip is so many milliseconds for each byte; in URLs, {url}, {path} and {host} stand for parts of the true one.

Refusals   bad-nonce[=EVERY]  error=STATUS[:SECONDS | :date+SECONDS]  html-error=STATUS  problem=STATUS:TYPE
           rate-limited[=SECONDS]  redirect=[STATUS:]URL
Time       slow=MS  drip=MS  hang
Bytes      cut[=AFTER]  truncated  malformed  oversized=BYTES  huge-head=BYTES  content-type=[TYPE]  no-nonce  chunked
Lies       url=MEMBER:URL  foreign-url=MEMBER  plain-http=MEMBER
           set=MEMBER:JSON  unset=MEMBER  token=TEXT  token-null  no-token  no-authorizations  extra
Orders     invalid  stuck  ready-at-once  valid-at-once  expired
Chains     cert=foreign-key | other-names | missing-name | expired | not-yet-valid | bad-signature | out-of-order |
                foreign-chain | leaf-only | garbage | empty | private-key";

/// A rule that cannot be read; says what and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpellError(String);

impl std::fmt::Display for SpellError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SpellError {}

impl FromStr for Rule {
    type Err = SpellError;

    fn from_str(text: &str) -> Result<Self, SpellError> {
        let mut words = text.split_whitespace();
        let mut rule = fault(words.next().unwrap_or_default())?;
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            rule = match name {
                "at" if value.starts_with('/') => rule.at(value),
                "skip" => rule.skip(number(word, value)?),
                "every" => rule.every(number(word, value)?),
                "times" => rule.times(number(word, value)?),
                _ => return Err(SpellError(format!("\"{word}\" is none of at=/PATH, skip=N, every=N, times=N"))),
            };
        }
        Ok(rule)
    }
}

fn fault(word: &str) -> Result<Rule, SpellError> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    if let (None, Some(fault)) = (value, plain(name)) {
        return Ok(fault.into());
    }
    let text = value.ok_or_else(|| SpellError(format!("there is no fault \"{word}\", or it needs a value")));
    let pair =
        || text.clone()?.split_once(':').ok_or_else(|| SpellError(format!("\"{word}\" needs two values: {name}=A:B")));
    Ok(match name {
        "bad-nonce" => Fault::BadNonce.every(number(word, text?)?),
        "error" => error(word, text?)?.into(),
        "html-error" => Fault::error(number(word, text?)?).html().into(),
        "problem" => Fault::error(number(word, pair()?.0)?).kind(pair()?.1).into(),
        "rate-limited" => Fault::rate_limited(number::<u64>(word, text?)?).into(),
        "redirect" => redirect(text?).into(),
        "slow" => Fault::Slow(Duration::from_millis(number(word, text?)?)).into(),
        "drip" => Fault::Drip(Duration::from_millis(number(word, text?)?)).into(),
        "cut" => Fault::Cut(Some(number(word, text?)?)).into(),
        "oversized" => Fault::Oversized(number(word, text?)?).into(),
        "huge-head" => Fault::HugeHead(number(word, text?)?).into(),
        "content-type" => Fault::ContentType(text?.to_owned()).into(),
        "url" => Fault::Url(pair()?.0.to_owned(), pair()?.1.to_owned()).into(),
        "foreign-url" => Fault::foreign_url(text?).into(),
        "plain-http" => Fault::plain_http(text?).into(),
        "set" => {
            let json = serde_json::from_str(pair()?.1).map_err(|e| SpellError(format!("\"{word}\": no JSON: {e}")))?;
            Fault::Member(pair()?.0.to_owned(), Some(json)).into()
        }
        "unset" => Fault::Member(text?.to_owned(), None).into(),
        "token" => Fault::token(text?).into(),
        "cert" => Fault::Certificate(certificate(text?)?).into(),
        _ => return Err(SpellError(format!("there is no fault \"{name}\" that takes a value"))),
    })
}

/// Faults that need no value.
fn plain(name: &str) -> Option<Fault> {
    Some(match name {
        "bad-nonce" => Fault::BadNonce,
        "rate-limited" => Fault::error(429),
        "hang" => Fault::Hang,
        "cut" => Fault::Cut(None),
        "truncated" => Fault::Truncated,
        "malformed" => Fault::Malformed,
        "content-type" => Fault::ContentType(String::new()),
        "no-nonce" => Fault::NoNonce,
        "chunked" => Fault::Chunked,
        "token-null" => Fault::token_null(),
        "no-token" => Fault::no_token(),
        "no-authorizations" => Fault::no_authorizations(),
        "extra" => Fault::Extra,
        "invalid" => Fault::Invalid,
        "stuck" => Fault::Stuck,
        "ready-at-once" => Fault::ReadyAtOnce,
        "valid-at-once" => Fault::ValidAtOnce,
        "expired" => Fault::Expired,
        _ => return None,
    })
}

fn error(word: &str, value: &str) -> Result<Fault, SpellError> {
    let (status, after) = value.split_once(':').unwrap_or((value, ""));
    let fault = Fault::error(number(word, status)?);
    Ok(match after.strip_prefix("date+") {
        Some(seconds) => fault.retry_after(RetryAfter::Date(number(word, seconds)?)),
        None if after.is_empty() => fault,
        None => {
            fault.retry_after(after.parse().map_or_else(|_| RetryAfter::Raw(after.to_owned()), RetryAfter::Seconds))
        }
    })
}

fn redirect(value: &str) -> Fault {
    if let Some((status, url)) = value.split_once(':')
        && let Ok(status) = status.parse()
    {
        return Fault::Redirect(status, url.to_owned());
    }
    Fault::Redirect(302, value.to_owned())
}

fn certificate(value: &str) -> Result<BadCertificate, SpellError> {
    Ok(match value {
        "foreign-key" => BadCertificate::ForeignKey,
        "other-names" => BadCertificate::OtherNames,
        "missing-name" => BadCertificate::MissingName,
        "expired" => BadCertificate::Expired,
        "not-yet-valid" => BadCertificate::NotYetValid,
        "bad-signature" => BadCertificate::BadSignature,
        "out-of-order" => BadCertificate::OutOfOrder,
        "foreign-chain" => BadCertificate::ForeignChain,
        "leaf-only" => BadCertificate::LeafOnly,
        "garbage" => BadCertificate::Garbage,
        "empty" => BadCertificate::Empty,
        "private-key" => BadCertificate::PrivateKey,
        _ => return Err(SpellError(format!("a certificate cannot be \"{value}\""))),
    })
}

fn number<T: FromStr>(word: &str, value: &str) -> Result<T, SpellError> {
    value.parse().map_err(|_| SpellError(format!("\"{word}\": \"{value}\" is no number that fits there")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Rule {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn reads_rules() {
        assert_eq!(read("bad-nonce"), Fault::BadNonce.into());
        assert_eq!(read("bad-nonce=5"), Fault::BadNonce.every(5));
        assert_eq!(
            read("error=503:2 at=/new-order times=2 skip=1"),
            Fault::error(503).retry_after(2).at("/new-order").times(2).skip(1)
        );
        assert_eq!(read("error=503:date+2"), Fault::error(503).retry_after(RetryAfter::Date(2)).into());
        assert_eq!(read("error=500:soon"), Fault::error(500).retry_after(RetryAfter::Raw("soon".into())).into());
        assert_eq!(read("redirect=https://a.example/x"), Fault::Redirect(302, "https://a.example/x".into()).into());
        assert_eq!(read("redirect=308:{url}"), Fault::Redirect(308, "{url}".into()).into());
        assert_eq!(read("url=finalize:http://{host}{path}"), Fault::plain_http("finalize").into());
        assert_eq!(read("set=token:null"), Fault::token_null().into());
        assert_eq!(read("token=../../etc/passwd"), Fault::token("../../etc/passwd").into());
        assert_eq!(read("token="), Fault::token("").into());
        assert_eq!(read("cert=private-key"), Fault::Certificate(BadCertificate::PrivateKey).into());
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |text: &str| text.parse::<Rule>().unwrap_err().to_string();
        assert!(wrong("").contains("no fault"));
        assert!(wrong("slow").contains("needs a value"));
        assert!(wrong("slow=x").contains("\"x\" is no number"));
        assert!(wrong("hang=3").contains("no fault \"hang\" that takes a value"));
        assert!(wrong("hang times").contains("\"times\": \"\" is no number"));
        assert!(wrong("hang at=order").contains("at=/PATH"));
        assert!(wrong("set=token").contains("two values"));
        assert!(wrong("set=token:{").contains("no JSON"));
        assert!(wrong("cert=odd").contains("cannot be \"odd\""));
    }

    #[test]
    fn every_fault_in_the_usage_text_is_understood() {
        let (_, faults) = SPELLINGS.split_once("\n\n").unwrap();
        let words = faults.split_whitespace().filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
        let mut count = 0;
        for word in words {
            let name = word.split(['=', '[']).next().unwrap_or_default();
            let known = |value: &str| format!("{name}{value}").parse::<Rule>().is_ok();
            let is_fault = ["", "=1", "=503:a", "=a:1", "=expired"].into_iter().any(known);
            assert!(is_fault || certificate(name).is_ok(), "{word}");
            count += 1;
        }
        assert_eq!(count, 32 + 12, "faults and bad certificates in the text");
    }
}
