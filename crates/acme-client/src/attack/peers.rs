//! What a net that was taken over asks of the others, in messages of the right form.

use acme::{CertId, Identifier, Payload, ProfileName, Signer, Token};
use attacks::Verdict;

use super::asking::{Asking, PATIENCE, account, at, challenge, dial, key, names, request, store, url, well_formed};
use super::{Held, Known, tried};
use crate::messages::{FromAccount, FromKey, ToAccount, ToChallenge, ToDial, ToKey, ToStore};
use crate::role::{Control, Stop};

/// Asks everybody for what must not be given.
pub(super) fn ask(known: &Known, held: &Held<'_>, control: &Control) -> Result<(), Stop> {
    ask_dial(known, held, control)?;
    ask_account(known, held, control)?;
    ask_challenge(known, held, control)?;
    let csr = ask_key(held, control)?;
    ask_store(known, &csr, held, control)
}

fn ask_dial(known: &Known, held: &Held<'_>, control: &Control) -> Result<(), Stop> {
    let dial = dial(held, control)?;
    let (host, port) = (known.directory.host().to_owned(), known.directory.port());
    for (name, wants, host, port) in [
        ("dial-other-host", "another host", "attack.example".to_owned(), port),
        ("dial-other-port", "another port of the authority's host", host.clone(), 22),
        ("dial-next-port", "another port of the authority's host", host.clone(), port.wrapping_add(1)),
        ("dial-port-0", "a port of the kernel's choice", host.clone(), 0),
        ("dial-other-spelling", "the same machine by another name", "localhost".to_owned(), port),
        ("dial-short-spelling", "the same machine by another name", "127.1".to_owned(), port),
        ("dial-with-dot", "the same machine by another name", format!("{host}."), port),
        ("dial-with-user", "another host behind the authority's name", format!("{host}@attack.example"), port),
        ("dial-with-nul", "another host before the authority's name", format!("attack.example\0{host}"), port),
        ("dial-metadata", "the cloud's secrets", "169.254.169.254".to_owned(), 80),
        ("dial-nothing", "a host without a name", String::new(), port),
        ("dial-long-name", "a resolver to be confused", "a.".repeat(400), port),
    ] {
        dial.refused(name, wants, "not among the hosts", &ToDial::Connect(host, port))?;
    }
    Ok(())
}

fn ask_account(known: &Known, held: &Held<'_>, control: &Control) -> Result<(), Stop> {
    let account = account(held, control)?;
    let mine = at(known, "account/1")?;
    let order = at(known, "new-order")?;
    let kid = || Signer::Kid(mine.clone());
    let sign = |payload| request(&order, kid(), payload);

    account.refused(
        "sign-before-there-is-an-account",
        "a request for an account of its own choice",
        "not for this account",
        &sign(Payload::PostAsGet)?,
    )?;
    account.refused(
        "teach-foreign-account",
        "an account at another authority",
        "not at the configured CA",
        &ToAccount::Known(url("https://attack.example/account/1")?),
    )?;
    if let Err(text) = account.ask(&ToAccount::Known(mine.clone()))? {
        return Err(Stop::own(format!("account does not learn its URL: {text}")));
    }
    account.refused(
        "teach-other-account",
        "another account in the place of the one that is known",
        "the account is",
        &ToAccount::Known(at(known, "account/2")?),
    )?;

    let port = known.directory.port().wrapping_add(1);
    for (name, wants, at) in [
        ("sign-for-other-host", "a request that another authority accepts", "https://attack.example/x".to_owned()),
        ("sign-for-other-port", "a request for another service", format!("https://127.0.0.1:{port}/x")),
        ("sign-for-default-port", "a request for another service", "https://127.0.0.1/x".to_owned()),
        (
            "sign-for-longer-host",
            "a request that another authority accepts",
            "https://127.0.0.1.attack.example/".into(),
        ),
    ] {
        let asked = request(&url(&at)?, kid(), Payload::PostAsGet)?;
        account.refused(name, wants, "not at the configured CA", &asked)?;
    }
    for (name, wants, signer, payload) in [
        (
            "sign-for-other-account",
            "a request for another account",
            Signer::Kid(at(known, "account/2")?),
            Payload::PostAsGet,
        ),
        (
            "sign-for-account-elsewhere",
            "a request for another account",
            Signer::Kid(url("https://attack.example/1")?),
            Payload::PostAsGet,
        ),
        ("sign-by-key-alone", "a request that goes for any account of this key", Signer::Jwk, Payload::PostAsGet),
        (
            "sign-order-by-key-alone",
            "an order for any account of this key",
            Signer::Jwk,
            order_for(known.names.clone()),
        ),
    ] {
        account.refused(name, wants, "not for this account", &request(&order, signer, payload)?)?;
    }
    ask_for_orders(known, &account, &sign)?;

    let own: Vec<String> = known.names.iter().map(ToString::to_string).collect();
    let forged = attacks::forge::request(&own).map_err(Stop::own)?;
    for (name, wants, csr) in [
        ("finalize-own-request", "a certificate for a key of its own", forged),
        ("finalize-garbage", "a signature on whatever", b"garbage".to_vec()),
        ("finalize-nothing", "a signature on nothing", Vec::new()),
    ] {
        account.refused(name, wants, "did not come from the key process", &sign(Payload::Finalize { csr })?)?;
    }
    for (name, wants, at, payload) in [
        (
            "revoke",
            "a certificate to be void",
            "revoke",
            Payload::RevokeCert { certificate: vec![1; 64], reason: None },
        ),
        ("deactivate-account", "the account to be closed", "account/1", Payload::DeactivateAuthorization),
        ("deactivate-authorization", "what was proven to be void", "authorization/1", Payload::DeactivateAuthorization),
    ] {
        account.refused(
            name,
            wants,
            "not about such a request",
            &request(&super::asking::at(known, at)?, kid(), payload)?,
        )?;
    }
    for (name, wants, contact, terms_agreed, words) in [
        (
            "account-with-other-contacts",
            "an account whose mail it gets",
            vec!["mailto:attack@attack.example".to_owned()],
            false,
            "contacts",
        ),
        ("account-with-terms", "terms to be agreed to that the user has not agreed to", Vec::new(), true, "terms"),
    ] {
        let payload = Payload::NewAccount { contact, terms_agreed, only_return_existing: false };
        account.refused(name, wants, words, &request(&at(known, "new-account")?, Signer::Jwk, payload)?)?;
    }
    Ok(())
}

fn order_for(names: Vec<Identifier>) -> Payload {
    Payload::NewOrder { names, profile: None, replaces: None }
}

/// Orders for anything but exactly what is configured.
fn ask_for_orders(
    known: &Known,
    account: &Asking<'_, ToAccount, FromAccount>,
    sign: &dyn Fn(Payload) -> Result<ToAccount, Stop>,
) -> Result<(), Stop> {
    let plus = |more: Vec<Identifier>| known.names.iter().cloned().chain(more).collect::<Vec<_>>();
    let many: Vec<String> = (0..100).map(|number| format!("attack-{number}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let first = known.names.first().cloned().into_iter().collect::<Vec<_>>();
    for (name, wants, names) in [
        ("order-foreign-name", "a certificate for somebody else's name", names(&["bank.example"])?),
        ("order-one-name-more", "a certificate for one name more", plus(names(&["bank.example"])?)),
        ("order-names-of-both", "one certificate for what two are configured for", plus(known.others.clone())),
        ("order-fewer-names", "a certificate without one of the names", first.clone()),
        ("order-one-name-twice", "a certificate without one of the names", [first.clone(), first].concat()),
        ("order-wildcard", "a certificate for all names beneath", names(&["*.attack.example"])?),
        ("order-beneath", "a certificate for a name beneath", names(&["admin.attack.example", "www.attack.example"])?),
        ("order-nothing", "a certificate for nothing", Vec::new()),
        ("order-many", "the authority to be flooded", names(&many)?),
    ] {
        account.refused(name, wants, "no certificate for", &sign(order_for(names))?)?;
    }
    let profile = well_formed(ProfileName::parse("shortlived"))?;
    let replaces = well_formed(CertId::parse("YXR0YWNr.AQ"))?;
    let own = known.names.clone();
    let with = |profile, replaces| sign(Payload::NewOrder { names: own.clone(), profile, replaces });
    let (name, wants) = ("order-other-profile", "a certificate of another kind than configured");
    account.refused(name, wants, "not the configured one", &with(Some(profile), None)?)?;
    let (name, wants) = ("order-in-place-of-another", "another certificate to count as replaced");
    account.refused(name, wants, "not the one in use", &with(None, Some(replaces))?)?;
    // A flood: a hundred requests before the first answer is read.
    let foreign = sign(order_for(names(&["bank.example"])?))?;
    for _ in 0..100 {
        account.peer.send(&foreign)?;
    }
    let mut signed = 0;
    for _ in 0..100 {
        signed += usize::from((account.answer)(account.peer.receive(Some(PATIENCE))?).is_ok());
    }
    let verdict = if signed == 0 { Verdict::Held } else { Verdict::Succeeded };
    account.control.tell(&tried(
        "order-flood",
        "one of many requests to be overlooked",
        "all refused by account",
        format!("{signed} of 100 were signed"),
        verdict,
    ))
}

fn ask_challenge(known: &Known, held: &Held<'_>, control: &Control) -> Result<(), Stop> {
    let challenge = challenge(held, control)?;
    let token = || well_formed(Token::parse("an-attack"));
    let page = || well_formed(Token::parse("page"));
    let [name, ..] = known.names.as_slice() else { return Err(Stop::own("an attack without a name")) };
    let [other, ..] = known.others.as_slice() else { return Err(Stop::own("an attack without a name")) };
    let foreign = well_formed(Identifier::parse("bank.example"))?;
    for (what, wants, words, request) in [
        (
            "prove-foreign-name",
            "a proof for a foreign name",
            "is not a name of",
            ToChallenge::Publish(0, foreign.clone(), token()?),
        ),
        (
            "prove-name-of-other-certificate",
            "a proof in another place",
            "is not a name of",
            ToChallenge::Publish(0, other.clone(), token()?),
        ),
        (
            "prove-for-no-certificate",
            "a proof in a place of its own choice",
            "no such certificate",
            ToChallenge::Publish(99, name.clone(), token()?),
        ),
        (
            "prove-for-last-certificate",
            "a proof in a place of its own choice",
            "no such certificate",
            ToChallenge::Publish(u32::MAX, name.clone(), token()?),
        ),
        ("ready-for-no-certificate", "challenge to end", "no such certificate", ToChallenge::Ready(99)),
        (
            "withdraw-foreign-page",
            "a file to be gone that somebody else put there",
            "was not published",
            ToChallenge::Withdraw(0, name.clone(), page()?),
        ),
        (
            "withdraw-what-is-not-there",
            "challenge to end",
            "was not published",
            ToChallenge::Withdraw(0, name.clone(), token()?),
        ),
        (
            "withdraw-for-foreign-name",
            "a proof to be gone",
            "is not a name of",
            ToChallenge::Withdraw(0, foreign, token()?),
        ),
        (
            "withdraw-for-no-certificate",
            "a proof to be gone",
            "no such certificate",
            ToChallenge::Withdraw(99, name.clone(), token()?),
        ),
    ] {
        challenge.refused(what, wants, words, &request)?;
    }
    Ok(())
}

/// Returns the signing request of the first certificate, which is what key is for.
fn ask_key(held: &Held<'_>, control: &Control) -> Result<Vec<u8>, Stop> {
    let asking = key(held, control)?;
    for (name, job) in
        [("key-for-no-certificate", 2), ("key-for-far-certificate", 99), ("key-for-last-certificate", u32::MAX)]
    {
        asking.refused(name, "a key for a certificate of its own", "no certificate", &ToKey::Csr(job))?;
    }
    asking.refused("ready-for-no-key", "key to end", "no certificate", &ToKey::Ready(99))?;

    // Twice: the second must be for the same key, or the file would be for another one than the certificate.
    let csr = || match asking.peer.call(&ToKey::Csr(0), PATIENCE)? {
        FromKey::Csr(der) => Ok(der),
        FromKey::Ready | FromKey::Refused(_) => Err(Stop::own("key makes no request for the first certificate")),
    };
    let (first, second) = (csr()?, csr()?);
    let public = |der: &[u8]| {
        der.windows(3).position(|head| head == [3, 0x42, 0]).map(|at| der.get(at..at + 68).map(<[u8]>::to_vec))
    };
    let verdict =
        if public(&first).is_some() && public(&first) == public(&second) { Verdict::Held } else { Verdict::Succeeded };
    control.tell(&tried(
        "request-twice",
        "a key in the file that is not the certificate's",
        "the same key again",
        "two requests".to_owned(),
        verdict,
    ))?;
    Ok(first)
}

fn ask_store(known: &Known, csr: &[u8], held: &Held<'_>, control: &Control) -> Result<(), Stop> {
    let store = store(held, control)?;
    let own: Vec<String> = known.names.iter().map(ToString::to_string).collect();
    let chains = attacks::forge::chains(csr, &own).map_err(Stop::own)?;
    let good = attacks::forge::accomplice(csr, &own).map_err(Stop::own)?.into_bytes();
    let elsewhere = || url("https://attack.example/1");
    for (name, wants, words, request) in [
        (
            "install-before-there-is-a-key",
            "a certificate in use without a key",
            "no key was made",
            ToStore::Install(1, good.clone()),
        ),
        (
            "install-for-no-certificate",
            "a file in a place of its own choice",
            "no certificate",
            ToStore::Install(99, good.clone()),
        ),
        (
            "install-for-last-certificate",
            "a file in a place of its own choice",
            "no certificate",
            ToStore::Install(u32::MAX, good),
        ),
        (
            "journal-for-no-certificate",
            "a record in a place of its own choice",
            "no certificate",
            ToStore::Journal(99, at(known, "order/1")?),
        ),
        (
            "journal-elsewhere",
            "the next run to ask somebody else for the order",
            "not at the configured CA",
            ToStore::Journal(0, elsewhere()?),
        ),
        (
            "register-elsewhere",
            "the next run to have an account elsewhere",
            "not at the configured CA",
            ToStore::Account(elsewhere()?),
        ),
        ("revoked", "a certificate to pass for revoked", "not about revoking", ToStore::Revoked),
    ] {
        store.refused(name, wants, words, &request)?;
    }
    for forged in chains {
        store.refused(forged.name, forged.wants, forged.words, &ToStore::Install(0, forged.pem.into_bytes()))?;
    }
    Ok(())
}

/// What others may be got to do, as SECURITY.md has it.
pub(super) fn powers(known: &Known, held: &Held<'_>, control: &Control) -> Result<(), Stop> {
    let account = account(held, control)?;
    let payload = Payload::NewAccount { contact: Vec::new(), terms_agreed: false, only_return_existing: false };
    account.power(
        "register-again",
        "a new account for the same key",
        "an account may have to be asked for again: it has the configured contacts, and the same key",
        &request(&at(known, "new-account")?, Signer::Jwk, payload)?,
    )?;
    account.power(
        "order-again",
        "more orders for the configured names",
        "orders for configured names are what account is for: their number is the CA's to limit",
        &{
            let mine = at(known, "account/1")?;
            let _ = account.ask(&ToAccount::Known(mine.clone()))?;
            request(&at(known, "new-order")?, Signer::Kid(mine), order_for(known.names.clone()))?
        },
    )?;

    let challenge = challenge(held, control)?;
    let [name, ..] = known.names.as_slice() else { return Err(Stop::own("an attack without a name")) };
    challenge.power(
        "replace-foreign-proof",
        "a file of another program's in the directory for challenges to be gone",
        "a token is a name of net's choice: a file of that name in the directory for challenges is replaced",
        &ToChallenge::Publish(0, name.clone(), well_formed(Token::parse("page"))?),
    )?;

    let FromKey::Csr(csr) = key(held, control)?.peer.call(&ToKey::Csr(0), PATIENCE)? else {
        return Err(Stop::own("key makes no request for the first certificate"));
    };
    let own: Vec<String> = known.names.iter().map(ToString::to_string).collect();
    let chain = attacks::forge::accomplice(&csr, &own).map_err(Stop::own)?;
    store(held, control)?.power(
        "chain-of-an-accomplice",
        "a certificate in use that nobody trusts",
        "whom to trust is not store's to know: key, names and dates are right, so this denies service and no more",
        &ToStore::Install(0, chain.into_bytes()),
    )
}
