//! Scenes inside other sandboxes, and on kernels that lack something.

use super::*;

pub(crate) fn nested(_: &[String]) {
    let first = seal(&Promise::ALL);
    let second = seal(&[Promise::Stdio]);
    note(&second);
    // What held goes on to hold, and nothing ended the process.
    for layer in [Layer::NoNewPrivileges, Layer::NotDumpable] {
        assert_eq!(first.held(layer), second.held(layer), "{layer}");
    }
    allocate();
}

pub(crate) fn without_seccomp_and_landlock(_: &[String]) {
    let report = sealed(with(&[Promise::Stdio]).without(Layer::Seccomp).without(Layer::Landlock));
    assert_eq!(report.calls_allowed, 0);
    assert!(report.to_string().starts_with("scene: system calls are not filtered"));
    assert!(report.held(Layer::NoNewPrivileges));
    // One filter inside another, each with its own layer.
    let report = seal(&[Promise::Stdio]);
    if !cannot_be_tested(&report, Layer::Seccomp) {
        assert!(report.calls_allowed > 20);
        fails(File::open(PUBLIC), EACCES);
    }
}

/// Sandboxes such as container managers answer calls they do not know with EPERM; old kernels with ENOSYS and EINVAL.
pub(crate) fn under_an_outer_filter(_: &[String]) {
    let Some(arch) = Arch::native() else {
        return note("not tested: outer filters, for lack of a table");
    };
    let eperm = Rule::otherwise(Decision::Refuse(Errno::NotPermitted));
    let einval = Decision::Refuse(Errno::Invalid);
    // PR_SET_SECCOMP, PR_SET_MDWE and PR_GET_MDWE as before they existed.
    let old = Rule::otherwise(Decision::Allow).arm(einval, [Condition::is(0, &[22, 65, 66])]);
    let policy = Policy::new(Class::ALL.iter().copied())
        .with_rule("prctl", old)
        .with_rule("seccomp", Rule::otherwise(Decision::Refuse(Errno::NoSuchCall)))
        .with_rule("landlock_create_ruleset", eperm.clone())
        .with_rule("prlimit64", eperm.clone())
        .with_rule("capset", eperm);
    if !outer_filter(&compile(&policy, arch)) {
        return;
    }

    let report = seal(&[Promise::Stdio]);
    note(&report);
    for layer in [Layer::Seccomp, Layer::Landlock, Layer::Mdwe, Layer::Limits] {
        assert!(matches!(report.outcome(layer), Some(Outcome::Unavailable(_))), "{report}");
    }
    assert!(report.held(Layer::NoNewPrivileges) && report.held(Layer::NotDumpable), "{report}");
    assert_eq!(report.calls_allowed, 0);
    allocate();

    let refused = with(&[Promise::Stdio]).require(Layer::Seccomp).prepare().unwrap().seal();
    let text = refused.unwrap_err().to_string();
    assert!(text.starts_with("cannot seal scene: the layer seccomp is required but unavailable: "), "{text}");
    note(text);
}

/// Android's answers calls that it does not know with SIGSYS, and so the question whether they are there.
pub(crate) fn an_outer_filter_that_ends_whoever_asks(_: &[String]) {
    let Some(arch) = Arch::native() else {
        return note("not tested: outer filters, for lack of a table");
    };
    let end = Rule::otherwise(Decision::Kill);
    // PR_SET_MDWE and PR_GET_MDWE.
    let options = Rule::otherwise(Decision::Allow).arm(Decision::Kill, [Condition::is(0, &[65, 66])]);
    let unknown = ["landlock_create_ruleset", "seccomp", "timer_create", "close_range", "openat2", "unshare"];
    let policy = unknown
        .into_iter()
        .fold(Policy::new(Class::ALL.iter().copied()), |policy, call| policy.with_rule(call, end.clone()));
    let policy = policy.with_rule("prctl", options).with_rule("clone", Rule::otherwise(Decision::Allow));
    // Made first, since the outer filter may refuse what the C library makes it by.
    let (left, _right) = UnixStream::pair().unwrap();
    if !outer_filter(&compile(&policy, arch)) {
        return;
    }

    let machine = portcullis::machine();
    let offer = |layer| machine.iter().find(|offer| offer.layer == layer).expect("every layer").outcome.clone();
    for layer in [Layer::Landlock, Layer::Mdwe, Layer::Seccomp] {
        let ended = matches!(&offer(layer), Outcome::Unavailable(text) if text.contains("SIGSYS"));
        // A filter is brought by the older call, and was there before.
        assert!(ended || layer == Layer::Seccomp, "{layer}: {:?}", offer(layer));
    }
    assert!(matches!(offer(Layer::Limits), Outcome::Enforced(_)), "{:?}", offer(Layer::Limits));

    let required = with(&[Promise::Stdio]).require(Layer::Landlock).check_required().unwrap_err().to_string();
    assert!(required.contains("the layer landlock is required but unavailable") && required.contains("SIGSYS"));

    portcullis::set_deadline(Duration::from_secs(60));
    let rehearsed = with(&[Promise::Stdio]).rehearse(&mut || Ok(())).expect("a rehearsal");
    // Whoever asks for a listener is ended, so none is sent.
    let report = rehearsed.prepare().unwrap().seal_notifying(left.as_fd(), b"?").unwrap();
    note(&report);
    for layer in [Layer::Landlock, Layer::Mdwe] {
        let outcome = report.outcome(layer).expect("every layer");
        assert!(matches!(outcome, Outcome::Unavailable(text) if text.contains("SIGSYS")), "{layer}: {outcome:?}");
    }
    let limits = report.outcome(Layer::Limits).expect("every layer");
    assert!(matches!(limits, Outcome::Partial(text) if text.contains("the deadline is an alarm")), "{limits:?}");
    assert!(report.held(Layer::NoNewPrivileges) && report.held(Layer::Seccomp), "{report}");
    allocate();
}

/// The kernel stacks sixteen sets of Landlock rules, and no more.
pub(crate) fn sixteen_sandboxes_inside_each_other(_: &[String]) {
    // A filter would forbid the next one to ask for rules.
    let one = || sealed(with(&[Promise::Stdio]).without(Layer::Seccomp).without(Layer::Limits));
    let reports: Vec<Report> = (0..17).map(|_| one()).collect();
    if cannot_be_tested_in_part(&reports[0], Layer::Landlock) {
        return;
    }
    let first = reports[0].outcome(Layer::Landlock);
    assert!(reports[..16].iter().all(|report| report.outcome(Layer::Landlock) == first), "{}", reports[15]);
    match reports[16].outcome(Layer::Landlock) {
        Some(Outcome::Unavailable(text)) => assert!(text.contains("too many sandboxes inside each other"), "{text}"),
        other => panic!("{other:?}"),
    }
    for layer in [Layer::NoNewPrivileges, Layer::NotDumpable, Layer::Capabilities] {
        assert!(reports[16].held(layer), "{}", reports[16]);
    }
    let refused = with(&[Promise::Stdio]).without(Layer::Seccomp).require(Layer::Landlock).prepare().unwrap().seal();
    note(refused.unwrap_err());
    fails(File::open(PUBLIC), EACCES);
    cannot_be_tested(&seal(&[Promise::Stdio]), Layer::Seccomp);
}

pub(crate) fn namespaces(_: &[String]) {
    let here = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
    let before = ["ipc", "uts", "mnt", "net"].map(here);
    let all = [Namespace::Ipc, Namespace::HostName, Namespace::Mounts, Namespace::Network];
    let sandbox = with(&[Promise::Stdio, Promise::ReadPath]).without(Layer::Landlock).without(Layer::NotDumpable);
    let report = sealed(sandbox.without(Layer::Seccomp).without(Layer::Limits).namespaces(&all));
    note(&report);
    let after = ["ipc", "uts", "mnt", "net"].map(here);
    match report.outcome(Layer::Namespaces) {
        Some(Outcome::Enforced(_)) => {
            assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{before:?} {after:?}");
        }
        Some(Outcome::Skipped(text)) => {
            assert_eq!(before, after);
            assert!(text.contains("CAP_SYS_ADMIN"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn required_layers(_: &[String]) {
    let offered: Vec<_> = portcullis::machine();
    let sandbox =
        offered.iter().filter(|report| matches!(report.outcome, Outcome::Enforced(_))).fold(
            with(&[Promise::Stdio]).identity(Identity { uid: USER, gid: GROUP }).empty_root(),
            |sandbox, report| sandbox.require(report.layer),
        );
    // Whatever the machine offers can be had, and what makes no sense for this user is no failure.
    let sandbox = sandbox.require(Layer::Identity).require(Layer::Root);
    let report = sealed(sandbox);
    assert!(
        offered.iter().all(|offer| matches!(offer.outcome, Outcome::Enforced(_)) <= report.held(offer.layer)),
        "{report}"
    );
}

/// A layer that only another system has cannot be had, and whoever requires it is told.
pub(crate) fn required_layer_of_another_system(_: &[String]) {
    let other = Layer::ALL.into_iter().find(|layer| !Layer::native().contains(layer));
    let Some(other) = other else {
        return note("not tested: this system counts the layers of all as its own");
    };
    let refused = with(&[Promise::Stdio]).require(other).prepare().unwrap().seal().unwrap_err();
    assert_eq!(refused.layer(), Some(other));
    assert!(refused.to_string().ends_with("unavailable: this operating system has no such layer"), "{refused}");
}

pub(crate) fn a_path_that_is_no_directory(_: &[String]) {
    let file = OwnedFd::from(tempfile());
    match with(&[Promise::ReadPath]).path(file, PathAccess::Read).prepare() {
        Err(error @ Error::Path { layer: Layer::PATHS, index: 0, .. }) => {
            assert!(error.to_string().ends_with("ENOTDIR: Not a directory"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn switched_off(_: &[String]) {
    let sandbox = Layer::ALL.into_iter().fold(with(&[Promise::Stdio]), Sandbox::without);
    let report = sealed(sandbox);
    assert!(report.layers.iter().all(|report| report.outcome == Outcome::Skipped("switched off by option".to_owned())));
    assert!(File::open(PUBLIC).is_ok());
    let refused = with(&[Promise::Stdio]).without(Layer::Limits).require(Layer::Limits).prepare().unwrap().seal();
    assert!(matches!(refused, Err(Error::Required { layer: Layer::Limits, .. })));
}

pub(crate) fn machine(_: &[String]) {
    let before = rustix::thread::no_new_privs().unwrap();
    let reports = portcullis::machine();
    assert_eq!(reports.iter().map(|report| report.layer).collect::<Vec<_>>(), Layer::native());
    reports.iter().for_each(note);
    // Nothing was taken.
    assert_eq!(rustix::thread::no_new_privs().unwrap(), before);
    assert!(File::open(PUBLIC).is_ok());
    assert!(half("half_that_ends").status().is_ok_and(|status| status.success()));
}
