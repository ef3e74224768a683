//! Revocation.

use acme::{Advice, ErrorKind, Outcome, RevocationReason, Revoke, RevokeConfig};

use crate::world::{Instead, World, problem};

fn revoke(world: &mut World) -> Result<Outcome, acme::Error> {
    let reason = Some(RevocationReason::Superseded);
    world.run(&mut Revoke::new(RevokeConfig { certificate: vec![0x30, 0], reason }))
}

#[test]
fn one_request() {
    let mut world = World::registered();
    assert_eq!(revoke(&mut world).unwrap(), Outcome::Revoked { already: false });
    assert_eq!(world.log, ["POST /revoke"]);
    assert_eq!(revoke(&mut world).unwrap(), Outcome::Revoked { already: true });
}

#[test]
fn a_reply_that_was_lost() {
    let mut world = World::registered();
    world.ca.instead.push_back(("/revoke", Instead::Silence("reset")));
    assert_eq!(revoke(&mut world).unwrap(), Outcome::Revoked { already: false });
}

#[test]
fn refusals() {
    let mut world = World::registered();
    world.ca.instead.push_back(("/revoke", Instead::Reply(problem(403, "unauthorized", "not your certificate"))));
    let error = revoke(&mut world).unwrap_err();
    assert_eq!(error.advice(), Advice::AskUser);
    assert_eq!(
        error.to_string(),
        "revoking the certificate failed: the CA does not allow it (unauthorized): not your certificate"
    );

    let mut world = World::registered();
    world.ca.instead.push_back(("/revoke", Instead::Reply(problem(400, "accountDoesNotExist", "who?"))));
    assert!(matches!(revoke(&mut world).unwrap_err().kind, ErrorKind::Account(_)));

    let mut world = World::new();
    assert_eq!(revoke(&mut world).unwrap_err().kind, ErrorKind::NoAccount);
}

#[test]
fn a_ca_that_revokes_nothing() {
    let mut world = World::new();
    world.ca.instead.push_back((
        "/dir",
        Instead::Change(|reply| {
            let text = String::from_utf8(reply.body.clone()).unwrap();
            reply.body = text.replace("revokeCert", "doNotRevokeCert").into_bytes();
        }),
    ));
    world.register().unwrap();
    let error = revoke(&mut world).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotOffered("revocation"));
}
