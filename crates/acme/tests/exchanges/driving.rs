//! The drive contract, kept and broken.

use acme::{
    Action, Error, ErrorKind, Issue, IssueConfig, Register, RegisterConfig, Reply, Revoke, RevokeConfig, Stage, Task,
};

use crate::world::{World, names};

const NAME: &[&str] = &["example.org"];

fn tasks() -> Vec<Box<dyn Task>> {
    vec![
        Box::new(Register::new(RegisterConfig::default())),
        Box::new(Issue::new(IssueConfig { names: names(NAME), ..IssueConfig::default() })),
        Box::new(Revoke::new(RevokeConfig { certificate: vec![], reason: None })),
    ]
}

/// A wrong answer, in words and as a function.
type Answer = (&'static str, fn(&mut dyn Task, &mut World));

const ANSWERS: [Answer; 5] = [
    ("reply", |task, world| task.reply(&mut world.session, Reply { status: 200, ..Reply::default() }, world.now)),
    ("silence", |task, world| task.transport_failed(&mut world.session, "x", world.now)),
    ("signature", |task, world| task.signed(&mut world.session, vec![1])),
    ("done", |task, _| task.done()),
    ("csr", |task, _| task.csr(vec![1])),
];

fn failure(task: &mut dyn Task, world: &mut World) -> Error {
    match task.poll(&mut world.session, world.now) {
        Action::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_that_were_not_asked_for() {
    for (word, answer) in ANSWERS {
        for mut task in tasks() {
            let mut world = World::registered();
            answer(&mut *task, &mut world);
            let error = failure(&mut *task, &mut world);
            assert!(matches!(error.kind, ErrorKind::ApiMisuse(_)), "{word}: {error}");
            assert_eq!(failure(&mut *task, &mut world), error, "it stays so");
        }
    }
}

#[test]
fn the_wrong_answer_to_a_request() {
    for (word, answer) in ANSWERS {
        let mut world = World::new();
        let mut task = Register::new(RegisterConfig::default());
        assert!(matches!(task.poll(&mut world.session, world.now), Action::Send(_)));
        answer(&mut task, &mut world);
        if word == "silence" {
            assert!(matches!(task.poll(&mut world.session, world.now), Action::Send(_)), "it is repeated");
            continue;
        }
        let kind = failure(&mut task, &mut world).kind;
        assert_eq!(matches!(kind, ErrorKind::ApiMisuse(_)), word != "reply", "{word}: {kind:?}");
    }
}

#[test]
fn polling_twice_and_after_the_end() {
    let mut world = World::new();
    let mut task = Register::new(RegisterConfig::default());
    assert!(matches!(task.poll(&mut world.session, world.now), Action::Send(_)));
    assert!(matches!(failure(&mut task, &mut world).kind, ErrorKind::ApiMisuse(_)));

    let mut world = World::new();
    let mut task = Register::new(RegisterConfig::default());
    world.run(&mut task).unwrap();
    assert_eq!(task.stage(), Stage::Finished);
    task.cancel();
    assert!(matches!(failure(&mut task, &mut world).kind, ErrorKind::ApiMisuse(_)));
}

#[test]
fn polling_early_does_no_harm() {
    let mut world = World::registered();
    let mut task = Issue::new(IssueConfig { names: names(NAME), ..IssueConfig::default() });
    world.ca.always.push(("/new-order", crate::world::Instead::Reply(crate::world::page(503))));
    let wait = loop {
        match task.poll(&mut world.session, world.now) {
            Action::Sign(signed) => task.signed(&mut world.session, format!("signed {}", signed.nonce).into_bytes()),
            Action::Send(_) => task.reply(&mut world.session, crate::world::page(503), world.now),
            Action::Wait(wait) => break wait,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(task.poll(&mut world.session, world.now), Action::Wait(wait));
    world.now.mono += wait / 2;
    assert_eq!(task.poll(&mut world.session, world.now), Action::Wait(wait / 2));
}

#[test]
fn actions_that_cannot_be_done() {
    for refused in ["GET", "HEAD", "account", "journal", "publish b", "POST /challenge/1", "csr", "POST /certificate"] {
        let mut world = World::new();
        world.refuses = Some(refused);
        let result = world.register().and_then(|_| world.issue(&["a.example", "b.example"]));
        let error = result.expect_err(refused);
        assert_eq!(error.kind, ErrorKind::Refused("the disk is full".into()));
        let published = |what: &str| world.log.iter().filter(|entry| entry.starts_with(what)).count();
        let refused_publication = usize::from(refused.starts_with("publish"));
        assert_eq!(published("publish") - refused_publication, published("withdraw"), "{refused}");
    }
}

#[test]
fn the_stage_of_a_refusal() {
    for (refused, text) in [
        ("journal", "creating the order failed: the disk is full"),
        ("publish", "validating example.org failed: the disk is full"),
        ("csr", "finalizing the order failed: the disk is full"),
        ("account", "registering the account failed: the disk is full"),
    ] {
        let mut world = World::new();
        world.refuses = Some(refused);
        let error = world.register().and_then(|_| world.issue(NAME)).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn a_withdrawal_that_is_refused_costs_no_certificate() {
    let mut world = World::registered();
    world.refuses = Some("withdraw");
    world.issue(NAME).unwrap();

    let mut world = World::registered();
    world.refuses = Some("withdraw");
    world.ca.signing_takes = u32::MAX;
    world.ca.validation_takes = u32::MAX;
    let error = world.issue(&["a.example", "b.example"]).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Deadline { .. }), "the first failure counts");
    assert_eq!(world.log.iter().filter(|entry| entry.starts_with("withdraw")).count(), 2);
}

#[test]
fn cancelled_at_every_step() {
    let mut steps = World::new();
    steps.register().unwrap();
    steps.issue(&["a.example", "b.example"]).unwrap();
    for step in steps.log {
        let mut world = World::new();
        world.cancel_at = Some(step.clone().leak());
        let error = world.register().and_then(|_| world.issue(&["a.example", "b.example"])).expect_err(&step);
        assert_eq!(error.kind, ErrorKind::Cancelled, "{step}");
        assert!(world.published.is_empty(), "{step}");
    }
}

#[test]
fn many_tasks_take_turns_in_one_session() {
    // Each gets its own request signed before the others go on, and none gets a nonce of another.
    let mut world = World::registered();
    for index in 0..20 {
        world.issue(&[format!("n{index}.example").as_str()]).unwrap();
    }
    assert_eq!(world.count("HEAD /nonce"), 0);

    let mut session = world.session;
    let mut tasks: Vec<_> =
        (0..5).map(|_| Issue::new(IssueConfig { names: names(NAME), ..IssueConfig::default() })).collect();
    let mut nonces = Vec::new();
    for task in &mut tasks {
        match task.poll(&mut session, world.now) {
            Action::Sign(signed) => nonces.push(signed.nonce.to_string()),
            Action::Send(request) => assert_eq!(request.method, acme::Method::Head),
            other => panic!("{other:?}"),
        }
    }
    let all = nonces.len();
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), all);
}
