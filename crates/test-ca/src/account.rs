//! Accounts (RFC 8555 section 7.3).

use serde_json::{Value, json};

use crate::authority::{Authority, Signed};
use crate::endpoint::Endpoint;
use crate::http::Reply;
use crate::jws::{Jws, Signer};
use crate::problem::Problem;
use crate::state::{Account, State};

impl Authority {
    /// Finds the account of a key, or makes one.
    pub(crate) fn new_account(&self, state: &mut State, signed: &Signed) -> Result<Reply, Problem> {
        let wish = signed.object()?;
        if let Some(number) = find(state, &signed.key.thumbprint()) {
            if !state.accounts[number].active {
                return Err(Problem::new(401, "unauthorized", "the account of this key is deactivated"));
            }
            return Ok(self.account_reply(state, number, 200));
        }
        if wish["onlyReturnExisting"] == true {
            return Err(Problem::new(400, "accountDoesNotExist", "there is no account with this key"));
        }
        if self.config.terms && wish["termsOfServiceAgreed"] != true {
            let terms = state.paths.url(Endpoint::Terms);
            return Err(Problem::new(
                403,
                "userActionRequired",
                format!("the terms of service at {terms} must be agreed to"),
            )
            .with("instance", terms.clone().into())
            .header("Link", format!("<{terms}>;rel=\"terms-of-service\"")));
        }
        let contact = contacts(&wish)?.unwrap_or_default();
        let thumbprint = signed.key.thumbprint();
        state.accounts.push(Account { key: signed.key.clone(), thumbprint, contact, active: true });
        Ok(self.account_reply(state, state.accounts.len() - 1, 201))
    }

    /// Reads, changes or deactivates an account.
    pub(crate) fn account(&self, state: &mut State, number: usize, signed: &Signed) -> Result<Reply, Problem> {
        signed.expect_account(number)?;
        if !signed.payload.is_empty() {
            let wish = signed.object()?;
            if let Some(contact) = contacts(&wish)? {
                state.accounts[number].contact = contact;
            }
            match wish["status"].as_str() {
                None => {}
                Some("deactivated") => state.accounts[number].active = false,
                Some(_) => return Err(Problem::malformed("an account can only be \"deactivated\"")),
            }
        }
        Ok(self.account_reply(state, number, 200))
    }

    /// The URLs of the orders of an account that are not yet in vain (RFC 8555 section 7.1.2.1).
    pub(crate) fn orders(&self, state: &mut State, number: usize, signed: &Signed) -> Result<Reply, Problem> {
        signed.expect_account(number)?;
        signed.expect_empty()?;
        let mine: Vec<usize> = (0..state.orders.len()).filter(|n| state.orders[*n].account == number).collect();
        let mut urls = Vec::new();
        for order in mine {
            if self.refresh(state, order) != "invalid" {
                urls.push(state.paths.url(Endpoint::Order(order)));
            }
        }
        Ok(Reply::json(200, json!({"orders": urls})))
    }

    /// Gives an account another key (RFC 8555 section 7.3.5).
    pub(crate) fn key_change(&self, state: &mut State, signed: &Signed) -> Result<Reply, Problem> {
        let number = signed.account()?;
        let inner = Jws::parse(&signed.payload)?;
        let Signer::Jwk(key) = &inner.signer else {
            return Err(Problem::malformed("the inner JWS needs a \"jwk\""));
        };
        inner.verify(key)?;
        if inner.url != state.paths.url(Endpoint::KeyChange) {
            return Err(Problem::malformed("inner and outer JWS have different URLs"));
        }
        if inner.nonce.is_some() {
            return Err(Problem::malformed("the inner JWS must not have a nonce"));
        }
        let wish: Value = serde_json::from_slice(&inner.payload)
            .map_err(|e| Problem::malformed(format!("the payload of the inner JWS is no JSON: {e}")))?;
        if wish["account"] != state.paths.url(Endpoint::Account(number)) {
            return Err(Problem::malformed("the inner JWS is about another account"));
        }
        if crate::jws::Key::from_jwk(&wish["oldKey"])? != state.accounts[number].key {
            return Err(Problem::malformed("\"oldKey\" is not the key of the account"));
        }
        let thumbprint = key.thumbprint();
        if let Some(other) = find(state, &thumbprint) {
            let url = state.paths.url(Endpoint::Account(other));
            return Err(Problem::new(409, "malformed", "another account has this key").header("Location", url));
        }
        let account = &mut state.accounts[number];
        (account.key, account.thumbprint) = (key.clone(), thumbprint);
        Ok(self.account_reply(state, number, 200))
    }

    fn account_reply(&self, state: &mut State, number: usize, status: u16) -> Reply {
        let account = &state.accounts[number];
        let mut json = json!({
            "status": if account.active { "valid" } else { "deactivated" },
            "contact": account.contact,
            "orders": state.paths.url(Endpoint::Orders(number)),
        });
        if self.config.terms {
            json["termsOfServiceAgreed"] = true.into();
        }
        Reply::json(status, json).header("Location", state.paths.url(Endpoint::Account(number)))
    }
}

fn find(state: &State, thumbprint: &str) -> Option<usize> {
    state.accounts.iter().position(|account| account.thumbprint == thumbprint)
}

/// The contact URLs of a request (RFC 8555 section 7.3), if it has any.
fn contacts(wish: &Value) -> Result<Option<Vec<String>>, Problem> {
    let list = match &wish["contact"] {
        Value::Null => return Ok(None),
        Value::Array(list) => list,
        _ => return Err(Problem::malformed("\"contact\" is no list")),
    };
    list.iter().map(|value| contact(value.as_str().unwrap_or_default())).collect::<Result<_, _>>().map(Some)
}

fn contact(url: &str) -> Result<String, Problem> {
    let invalid = |why: &str| Err(Problem::new(400, "invalidContact", format!("contact {url:?}: {why}")));
    let Some(address) = url.strip_prefix("mailto:") else {
        return Err(Problem::new(400, "unsupportedContact", format!("contact {url:?} is no mailto: URL")));
    };
    if address.contains(['?', ',']) {
        return invalid("one address and nothing else is allowed");
    }
    match address.split_once('@') {
        Some((user, host))
            if !user.is_empty()
                && host.contains('.')
                && !host.contains('@')
                && address.is_ascii()
                && !address.contains(' ') =>
        {
            Ok(url.to_owned())
        }
        _ => invalid("this is no mail address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_addresses() {
        contact("mailto:a@b.example").unwrap();
        for wrong in
            ["mailto:", "mailto:a", "mailto:@b.c", "mailto:a@b", "mailto:a@b.c,d@e.f", "mailto:a@b.c?subject=x"]
        {
            assert_eq!(contact(wrong).unwrap_err().kind, "invalidContact", "{wrong}");
        }
        assert_eq!(contact("tel:+1").unwrap_err().kind, "unsupportedContact");
        assert_eq!(contacts(&json!({"contact": "mailto:a@b.c"})).unwrap_err().kind, "malformed");
        assert_eq!(contacts(&json!({})).unwrap(), None);
    }
}
