//! Inside other sandboxes, and on kernels that lack something: a certificate all the same, and a true account of what
//! holds and why the rest does not.

use std::path::Path;
use std::process::{Command, Stdio};

use test_outer::{Answer, Outer, Test, profiles};

use crate::program::{As, Ran, is_root};
use crate::scene::{Scene, files};

/// `prctl` options (`linux/prctl.h`): of the filter, and those that came later than the call.
const PR_SET_SECCOMP: u32 = 22;
const PR_GET_SECCOMP: u32 = 21;
const PR_SET_NO_NEW_PRIVS: u32 = 38;
const PR_GET_NO_NEW_PRIVS: u32 = 39;
const PR_SET_DUMPABLE: u32 = 4;
const PR_SET_MDWE: u32 = 65;
const PR_GET_MDWE: u32 = 66;

const LANDLOCK: [&str; 3] = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"];

/// The user of these tests that is not root.
const NOBODY: u32 = 65_534;

/// A layer that does not hold as usual: its name, the word for it, and what the text must have in it.
type Lost = (&'static str, &'static str, &'static str);

/// What a role says of each of its layers: name, word, text.
type Layers = Vec<(String, String, String)>;

fn run(command: &Command, outer: &Outer, user: As) -> Ran {
    let outer = if user == As::Nobody { outer.clone().user(NOBODY) } else { outer.clone() };
    let mut command = outer.command(command);
    command.env_remove("RUST_BACKTRACE").env_remove("SSL_CERT_FILE").stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("{outer:?}: {error}"));
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Has a certificate, and `doctor`'s account, in which these layers are lost and no others.
#[track_caller]
fn lives_in(outer: &Outer, lost: &[Lost]) -> Vec<Layers> {
    let said = As::all().into_iter().flat_map(|user| {
        gets_a_certificate(outer, user);
        doctor_says(outer, user, lost)
    });
    said.collect()
}

#[track_caller]
fn gets_a_certificate(outer: &Outer, user: As) {
    let scene = Scene::new(user);
    let listen = scene.address.to_string();
    let line = scene.line(&["issue", "a.example", "--listen", &listen]);
    let ran = run(&scene.program.command(&line), outer, user);
    assert_eq!(ran.status, Some(0), "{user:?} in {outer:?}: {ran:?}");
    scene.assert_whole("a.example");
    assert!(scene.ca.violations().is_empty(), "{:?}", scene.ca.violations());
}

#[track_caller]
fn doctor_says(outer: &Outer, user: As, lost: &[Lost]) -> Vec<Layers> {
    let scene = Scene::new(user);
    judge(&run(&scene.program.command(&["--json", "doctor"]), outer, user), outer, user, lost)
}

/// What `doctor` said, against what is expected.
#[track_caller]
fn judge(ran: &Ran, outer: &Outer, user: As, lost: &[Lost]) -> Vec<Layers> {
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let failed =
        said["roles"].as_array().into_iter().flatten().flat_map(|role| role["tests"].as_array().into_iter().flatten());
    let failed: Vec<_> = failed.filter(|test| test[0] == false).collect();
    // What is not refused is said where nothing is left that would.
    let unfiltered = lost.iter().any(|(name, word, _)| (*name, *word) == ("seccomp", "unavailable"));
    let honest =
        |test: &serde_json::Value| unfiltered && test[1].as_str().is_some_and(|what| what.starts_with("cannot "));
    assert!(failed.iter().all(|test| honest(test)), "{user:?} in {outer:?}: {failed:?}");
    assert_eq!(ran.status, Some(i32::from(!failed.is_empty())), "{user:?} in {outer:?}: {ran:?}");
    let roles = said["roles"].as_array().into_iter().flatten().filter(|role| role["role"] != "hook");
    let tables: Vec<_> = roles.map(|role| (role["role"].to_string(), table(&role["layers"]))).collect();
    assert!(tables.len() >= 7, "{said}");
    for (role, layers) in &tables {
        for line @ (name, word, text) in layers {
            match lost.iter().find(|(lost, _, _)| lost == name) {
                Some((_, expected, part)) => {
                    // The supervisor has no deadline, and an ordinary user neither namespaces nor an empty root.
                    let exempt = match name.as_str() {
                        "limits" => role == "\"supervisor\"" && word == "enforced",
                        "root" | "namespaces" => (user == As::Nobody || !is_root()) && word == "skipped",
                        _ => text == "was set already",
                    };
                    let as_said = word == expected && text.contains(part);
                    assert!(exempt || as_said, "{user:?}, {role}: {line:?} in {outer:?}");
                }
                None => {
                    assert!(matches!(word.as_str(), "enforced" | "skipped"), "{user:?}, {role}: {line:?} in {outer:?}")
                }
            }
        }
    }
    tables.into_iter().map(|(_, layers)| layers).collect()
}

fn table(layers: &serde_json::Value) -> Layers {
    serde_json::from_value(layers.clone()).expect("name, word, text")
}

/// With that layer required nothing is done: one error says which process cannot have it and why, the CA is not asked,
/// and no file is changed.
#[track_caller]
fn refuses_in(outer: &Outer, layer: &str, why: &str) {
    As::all().into_iter().for_each(|user| refuses(outer, user, layer, why));
}

#[track_caller]
fn refuses(outer: &Outer, user: As, layer: &str, why: &str) {
    let scene = Scene::new(user);
    let config = scene.program.file("config.toml", &format!("[sandbox]\nrequire = [\"{layer}\"]\n"));
    let listen = scene.address.to_string();
    // That layer by the configuration, and all of them by an option: of those another may be the first that is missing.
    let named = format!("cannot seal supervisor: the layer {layer} is required but ");
    for (option, value, words) in [
        ("--config", config.as_str(), [named.as_str(), why]),
        ("--sandbox", "require", ["cannot seal ", "is required but "]),
    ] {
        let line = scene.line(&[option, value, "issue", "a.example", "--listen", &listen]);
        let ran = run(&scene.program.command(&line), outer, user);
        assert_eq!(ran.status, Some(1), "{user:?} in {outer:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "one error: {ran:?}");
        for word in words {
            assert!(ran.stderr.contains(word), "no {word:?} in {ran:?}");
        }
        assert!(scene.ca.requests().is_empty(), "the CA was asked: {:?}", scene.ca.requests());
        assert!(!scene.program.state().exists(), "files were made: {:?}", files(&scene.program.state()));
    }
}

/// A place that takes root to make.
#[expect(clippy::print_stderr, reason = "what is not tested is said")]
fn root_for(what: &str) -> bool {
    if !is_root() {
        eprintln!("not run by root: {what} is not tested");
    }
    is_root()
}

#[test]
fn nothing_is_lost_where_nothing_is_forbidden() {
    lives_in(&Outer::new(), &[]);
    for user in As::all() {
        let scene = Scene::new(user);
        let listen = scene.address.to_string();
        let ran = scene.run(&["--sandbox", "require", "issue", "a.example", "--listen", &listen]);
        assert_eq!(ran.status, Some(0), "{user:?}: {ran:?}");
    }
}

#[test]
fn a_kernel_without_seccomp() {
    let outer = Outer::new().answer(Answer::Errno(libc::ENOSYS), &["seccomp"]).answer_if(
        Answer::Errno(libc::EINVAL),
        &Test::Is(vec![PR_SET_SECCOMP, PR_GET_SECCOMP]),
        &["prctl"],
    );
    lives_in(&outer, &[("seccomp", "unavailable", "the kernel does not know it")]);
    refuses_in(&outer, "seccomp", "the kernel does not know it");
}

#[test]
fn a_kernel_with_seccomp_by_prctl_alone() {
    lives_in(&Outer::new().answer(Answer::Errno(libc::ENOSYS), &["seccomp"]), &[]);
}

#[test]
fn a_kernel_without_landlock() {
    let outer = Outer::new().answer(Answer::Errno(libc::ENOSYS), &LANDLOCK);
    lives_in(&outer, &[("landlock", "unavailable", "the kernel does not have it")]);
    refuses_in(&outer, "landlock", "the kernel does not have it");
}

#[test]
fn a_kernel_whose_landlock_was_not_switched_on() {
    let outer = Outer::new().answer(Answer::Errno(libc::EOPNOTSUPP), &LANDLOCK);
    lives_in(&outer, &[("landlock", "unavailable", "lsm=")]);
    refuses_in(&outer, "landlock", "lsm=");
}

#[test]
fn filters_that_answer_everything_new_with_an_error() {
    let options = Test::Is(vec![PR_SET_SECCOMP, PR_SET_MDWE, PR_GET_MDWE, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS]);
    for (errno, why) in [
        (libc::EPERM, "not permitted here"),
        (libc::ENOSYS, "outer sandbox"),
        (libc::EINVAL, "the kernel does not know it"),
    ] {
        let answer = Answer::Errno(errno);
        // 32-bit C libraries look at files by it, and go back to older calls on ENOSYS alone.
        let statx = if cfg!(target_pointer_width = "32") && errno != libc::ENOSYS { [].as_slice() } else { &["statx"] };
        let outer = Outer::new()
            .answer(answer, &["seccomp", "close_range", "timer_create", "openat2", "faccessat2"])
            .answer(answer, statx)
            .answer(answer, &LANDLOCK)
            .answer_if(answer, &options, &["prctl"]);
        let filter = "an outer sandbox filters system calls, and permits no filter in it";
        lives_in(
            &outer,
            &[
                ("seccomp", "unavailable", filter),
                ("landlock", "unavailable", why),
                ("mdwe", "unavailable", why),
                ("no-new-privileges", "unavailable", why),
                ("limits", "partial", "the deadline is an alarm, not a kill"),
            ],
        );
        refuses_in(&outer, "seccomp", filter);
        refuses_in(&outer, "mdwe", why);
    }
}

#[test]
fn filters_that_forbid_limits_and_capabilities() {
    let outer = Outer::new().answer(Answer::Errno(libc::EPERM), &["capset", "setrlimit", "prlimit64"]).answer_if(
        Answer::Errno(libc::EPERM),
        &Test::Is(vec![PR_SET_DUMPABLE]),
        &["prctl"],
    );
    let dumpable = ("not-dumpable", "unavailable", "not permitted here");
    lives_in(&outer, &[("limits", "unavailable", "not permitted here"), dumpable]);
    refuses_in(&outer, "limits", "not permitted here");
}

#[test]
fn a_kernel_without_getrandom() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        lives_in(&Outer::new().answer(Answer::Errno(errno), &["getrandom"]), &[]);
    }
}

#[test]
fn the_filter_that_docker_has() {
    lives_in(&profiles::docker(), &[("namespaces", "unavailable", "not permitted here")]);
}

#[test]
#[ignore = "needs the seccomp.json of container managers: .ci/outer"]
fn the_filter_that_container_managers_share() {
    let path = std::env::var_os("ACME_TEST_SECCOMP_JSON").expect("the path of a profile");
    let outer = profiles::from_json(Path::new(&path)).expect("the profile");
    lives_in(&outer, &[]);
}

#[test]
#[ignore = "needs systemd-analyze: .ci/outer"]
fn the_filter_of_system_services() {
    let landlock = |why| ("landlock", "unavailable", why);
    for (answer, why) in [(Answer::Errno(libc::EPERM), "not permitted here"), (Answer::Kill, "SIGSYS")] {
        let outer = profiles::systemd("@system-service", answer).expect("the set");
        // chroot(2) is not for services.
        lives_in(&outer, &[landlock(why), ("root", "unavailable", why)]);
        refuses_in(&outer, "landlock", why);
    }
}

/// Android's, for one: what it does not know ends the process, and the question whether it is there is no question.
#[test]
fn filters_that_end_whoever_asks() {
    for answer in [Answer::Trap, Answer::Kill] {
        let asks = |calls: &[&str], lost: &[Lost]| lives_in(&Outer::new().answer(answer, calls), lost);
        asks(&LANDLOCK, &[("landlock", "unavailable", "SIGSYS")]);
        refuses_in(&Outer::new().answer(answer, &LANDLOCK), "landlock", "SIGSYS");
        // The filter is brought by prctl then.
        asks(&["seccomp"], &[]);
        asks(
            &["close_range", "openat2", "faccessat2", "fchmodat2", "unshare"],
            &[("namespaces", "unavailable", "SIGSYS")],
        );
        let deadline = ("limits", "partial", "the deadline is an alarm, not a kill");
        asks(&["timer_create", "capset"], &[deadline, ("capabilities", "unavailable", "SIGSYS")]);
        let options = Test::Is(vec![PR_SET_SECCOMP, PR_SET_MDWE, PR_GET_MDWE]);
        let outer = Outer::new().answer(answer, &["seccomp"]).answer_if(answer, &options, &["prctl"]);
        lives_in(&outer, &[("mdwe", "unavailable", "SIGSYS"), ("seccomp", "unavailable", "SIGSYS")]);
        refuses_in(&outer, "seccomp", "SIGSYS");
    }
}

#[test]
fn without_proc() {
    if root_for("a machine without /proc") {
        lives_in(&Outer::new().without_proc(), &[]);
    }
}

#[test]
fn a_filter_that_answers_clone3_with_an_error() {
    for errno in [libc::EPERM, libc::EINVAL, libc::ENOSYS] {
        lives_in(&Outer::new().answer(Answer::Errno(errno), &["clone3"]), &[]);
    }
}

/// The kernel's own `ENOTSUPP`.
const ENOTSUPP: i32 = 524;

#[test]
fn a_kernel_that_cannot_compile_a_long_filter() {
    if root_for("looking at filters in the memory of processes that cannot be looked at") {
        // Between the coarse ones and the full ones; 32-bit architectures have more calls.
        let longest = if cfg!(target_pointer_width = "32") { 200 } else { 150 };
        for errno in [ENOTSUPP, libc::ENOMEM] {
            for layers in lives_in(&Outer::new().longest_filter(longest, errno), &[]) {
                let seccomp = layers.iter().find(|(name, _, _)| name == "seccomp").expect("a line");
                assert!(seccomp.2.contains(", refused calls answered alike"), "{seccomp:?}");
            }
        }
        let none = Outer::new().longest_filter(10, ENOTSUPP);
        lives_in(&none, &[("seccomp", "unavailable", "")]);
        refuses(&Outer::new().longest_filter(0, ENOTSUPP), As::Nobody, "seccomp", "524");
    }
}

#[test]
fn a_kernel_as_gvisor_is() {
    let outer = profiles::gvisor();
    let landlock = ("landlock", "unavailable", "the kernel does not have it");
    lives_in(&outer, &[landlock, ("mdwe", "unavailable", "the kernel does not know it")]);
}

/// The version says 7, and the rights are those of the third.
#[test]
fn a_kernel_that_has_less_landlock_than_it_says() {
    if root_for("looking at rules in the memory of processes that cannot be looked at") {
        let partial = ("landlock", "partial", "version 3: files, moves between directories, truncation; not TCP ports");
        lives_in(&Outer::new().landlock_knows(0x7fff), &[partial]);
        refuses_in(&Outer::new().landlock_knows(0x7fff), "landlock", "partial");
    }
}

/// Nothing can be written to but the state directory, and where `doctor` works.
#[test]
fn a_read_only_root() {
    if !root_for("a read-only root") {
        return;
    }
    for user in As::all() {
        let scene = Scene::new(user);
        let listen = scene.address.to_string();
        let line = scene.line(&["issue", "a.example", "--listen", &listen]);
        let state = scene.program.make_directory("state");
        let outer = Outer::new().read_only_but(&[Path::new(&state)]);
        let ran = run(&scene.program.command(&line), &outer, user);
        assert_eq!(ran.status, Some(0), "{user:?} in {outer:?}: {ran:?}");
        scene.assert_whole("a.example");
        let mut doctor = scene.program.command(&["--json", "doctor"]);
        let ran = run(doctor.env("TMPDIR", &state), &outer, user);
        judge(&ran, &outer, user, &[("root", "unavailable", "to make an empty directory anywhere")]);
    }
}

/// As a container manager starts its programs: namespaces, few capabilities, a filter, and here no Landlock either.
#[test]
fn a_container() {
    if !root_for("a container") {
        return;
    }
    let container = |capabilities| {
        profiles::docker()
            .in_namespaces()
            .alone()
            .capabilities(capabilities)
            .answer(Answer::Errno(libc::EPERM), &LANDLOCK)
    };
    let landlock = ("landlock", "unavailable", "not permitted here");
    let root = ("root", "unavailable", "not permitted here");
    let with = container(profiles::CONTAINER_CAPABILITIES);
    let without = container(profiles::CONTAINER_CAPABILITIES & !profiles::SYS_CHROOT);
    for user in As::all() {
        demonstrates(&with, user);
        doctor_says(&with, user, &[landlock]);
        demonstrates(&without, user);
        doctor_says(&without, user, &[landlock, if user == As::Caller { root } else { landlock }]);
    }
}

/// Root in name only.
#[test]
fn a_container_without_any_capability() {
    if root_for("a container without capabilities") {
        let outer = Outer::new().capabilities(0);
        let lost = [
            ("identity", "unavailable", "without the capabilities to change users"),
            ("root", "unavailable", "not permitted here"),
        ];
        gets_a_certificate(&outer, As::Caller);
        doctor_says(&outer, As::Caller, &lost);
        refuses(&outer, As::Caller, "identity", "without the capabilities to change users");
    }
}

/// As users can have one: root in it, and nobody else.
#[test]
fn a_container_without_root() {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let outer = Outer::new().in_user_namespace(uid, gid);
    demonstrates(&outer, As::Caller);
    doctor_says(&outer, As::Caller, &[("identity", "unavailable", "to give up the other groups")]);
}

/// The demonstration, which needs nobody outside.
#[track_caller]
fn demonstrates(outer: &Outer, user: As) {
    let scene = Scene::new(user);
    let ran = run(&scene.program.command(&["demo"]), outer, user);
    assert_eq!(ran.status, Some(0), "{user:?} in {outer:?}: {ran:?}");
    assert!(ran.stdout.contains("Checked: the key fits"), "{ran:?}");
}
