//! The program against Pebble, a certificate authority that is written to find the mistakes of clients.
//!
//! Needs Pebble (`ACME_TEST_PEBBLE` and `ACME_TEST_CHALLTESTSRV` say where it is), nginx and openssl: `.ci/run` gets
//! them. Everything is done as whoever runs the tests and, where that is root, as an ordinary user too.

#[expect(dead_code, reason = "each test program uses a part of it")]
mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::OnceLock;

use common::processes;
use common::program::{As, is_root};
use common::scene::{Scene, openssl};
use common::servers::{Manners, PLAIN, Pebble};
use common::web::{Gate, nginx, wait_until};

/// One that refuses one nonce in twenty, as it does by default.
fn pebble() -> &'static Pebble {
    static PEBBLE: OnceLock<Pebble> = OnceLock::new();
    PEBBLE.get_or_init(|| Pebble::start(PLAIN))
}

/// One that refuses many nonces, lets clients wait for seconds, and offers other chains.
fn awkward() -> &'static Pebble {
    static PEBBLE: OnceLock<Pebble> = OnceLock::new();
    let manners = Manners { nonces_refused: Some(25), alternates: 2, retry_after: None, ipv6_only: false };
    PEBBLE.get_or_init(|| Pebble::start(manners))
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn a_new_account_and_one_name() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        let name = scene.name("one");
        let ran = scene.succeed(&["issue", &name, "--listen", &scene.address()]);
        assert!(ran.stdout.starts_with(&format!("{name}: renewed")), "{ran:?}");
        assert!(ran.stderr.contains("terms of service"), "{ran:?}");
        scene.assert_good(&name, &[&name]);
        scene.assert_tidy();
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn several_names_by_files_that_nginx_serves() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        let webroot = scene.webroot();
        let _nginx = nginx(&scene.program.path("web"), &scene.address(), &webroot);
        let names = ["a", "b", "c", "d"].map(|label| scene.name(label));
        let names = names.each_ref().map(String::as_str);
        let webroot = webroot.to_str().expect("text");
        let mut line = vec!["issue"];
        line.extend(names);
        line.extend(["--webroot", webroot]);
        scene.succeed(&line);
        scene.assert_good(names[0], &names);
        scene.assert_tidy();

        // Whoever wants all files to be private does not mean these.
        let output = scene.by_shell("umask 077; exec \"$@\"", &["renew", "--force"]).output().expect("run");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(scene.generation(names[0]), Some(2));
        scene.assert_good(names[0], &names);
        scene.assert_tidy();
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn names_that_have_an_ipv6_address_only() {
    static PEBBLE: OnceLock<Pebble> = OnceLock::new();
    let pebble = PEBBLE.get_or_init(|| Pebble::start(Manners { ipv6_only: true, ..PLAIN }));
    for user in As::all() {
        let scene = Scene::new(pebble, user);
        let port = pebble.http_port;
        let (six, four) = (format!("[::1]:{port}"), format!("127.0.0.1:{port}"));
        let line = ["issue", "a.six.example", "b.six.example", "--listen", &four, "--listen", &six];
        scene.succeed(&line);
        scene.assert_good("a.six.example", &["a.six.example", "b.six.example"]);

        // What listens on every address answers for both families.
        let every = format!("[::]:{port}");
        scene.succeed(&["issue", "c.six.example", "--listen", &every]);
        scene.assert_good("c.six.example", &["c.six.example"]);
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn addresses_beside_names() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        let (name, address) = (scene.name("addressed"), scene.ip());
        scene.succeed(&["issue", &name, &address, "--listen", &scene.address()]);
        scene.assert_good(&name, &[&name, &address]);
        scene.succeed(&["issue", "[::1]", "--name", "six", "--listen", &format!("[::1]:{}", scene.pebble.http_port)]);
        scene.assert_good("six", &["::1"]);
        scene.succeed(&["renew", &name, "--force"]);
        assert_eq!(scene.generation(&name), Some(2));
        scene.assert_tidy();
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn a_socket_that_is_passed_in() {
    // As systemd does it: the socket is descriptor 3, and the process that LISTEN_PID names is the one that is meant.
    const SCRIPT: &str = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$; export LISTEN_FDS LISTEN_PID; exec \"$@\"";
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        let name = scene.name("passed");
        let line = ["issue", &name, "--listen", "inherited"];
        scene.fail(&line, "no socket was passed in");
        let socket = std::net::TcpListener::bind(scene.address()).expect("a listener");
        let mut command = scene.by_shell(SCRIPT, &line);
        let output = command.stdin(Stdio::from(OwnedFd::from(socket))).output().expect("run");
        assert!(output.status.success(), "{output:?}");
        scene.assert_good(&name, &[&name]);
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn every_kind_of_key() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        for (kind, shown) in [
            ("p256", "prime256v1"),
            ("p384", "secp384r1"),
            ("rsa2048", "(2048 bit)"),
            ("rsa3072", "(3072 bit)"),
            ("rsa4096", "(4096 bit)"),
        ] {
            let name = scene.name(kind);
            scene.succeed(&["issue", &name, "--key-type", kind, "--listen", &scene.address()]);
            scene.assert_good(&name, &[&name]);
            let text = openssl(&[
                "x509",
                "-noout",
                "-text",
                "-in",
                scene.live(&name).join("cert.pem").to_str().expect("text"),
            ]);
            assert!(text.contains(shown), "{kind}: {text}");
        }
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn profiles() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        let name = scene.name("profiled");
        let issue = ["issue", &name, "--listen", &scene.address()];
        let with = |options: &[&'static str]| issue.iter().chain(options).copied().collect::<Vec<_>>();
        let days_left = || {
            let ran = scene.succeed(&["--json", "status"]);
            let status: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
            status["certificates"][0]["days-left"].as_i64().expect("a number")
        };
        let ran = scene.succeed(&with(&["--preferred-profile", "none"]));
        // Pebble picks one of its own by chance, for who asks for none: nothing can be said of its days.
        assert!(ran.stderr.contains("does not have the profile none"), "{ran:?}");
        let words = "does not have the profile none; it has default, shortlived";
        scene.fail(&with(&["--required-profile", "none", "--force"]), words);
        let ran = scene.succeed(&with(&["--required-profile", "shortlived"]));
        assert!(ran.stdout.contains("its profile was changed"), "{ran:?}");
        scene.assert_good(&name, &[&name]);
        assert!(days_left() < 7);
        scene.succeed(&["renew", "--force"]);
        assert!(days_left() < 7, "it is remembered");
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn renewal() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        let (fresh, kept) = (scene.name("fresh"), scene.name("kept"));
        scene.succeed(&["issue", &fresh, "--listen", &scene.address()]);
        scene.succeed(&["issue", &kept, "--listen", &scene.address(), "--reuse-key"]);
        let key = |name: &str| fs::read(scene.live(name).join("privkey.pem")).expect("a key");
        let keys = (key(&fresh), key(&kept));

        let ran = scene.run(&["--exit-unchanged", "7", "renew"]);
        assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (Some(7), "", ""), "nothing is due");
        assert_eq!((scene.generation(&fresh), scene.generation(&kept)), (Some(1), Some(1)));

        scene.succeed(&["renew", "--force"]);
        assert_eq!((scene.generation(&fresh), scene.generation(&kept)), (Some(2), Some(2)));
        assert_ne!(key(&fresh), keys.0, "renewal makes a new key");
        assert_eq!(key(&kept), keys.1, "unless told otherwise");

        let other = scene.name("other");
        let ran = scene.succeed(&["issue", &fresh, &other]);
        assert!(ran.stdout.contains("its names were changed"), "{ran:?}");
        scene.assert_good(&fresh, &[&fresh, &other]);
        scene.assert_good(&kept, &[&kept]);
        scene.assert_tidy();
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn revocation() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        let name = scene.name("void");
        scene.succeed(&["issue", &name, "--listen", &scene.address()]);
        let certificate = scene.live(&name).join("cert.pem");
        let serial = openssl(&["x509", "-noout", "-serial", "-in", certificate.to_str().expect("text")]);
        let serial = serial.trim().trim_start_matches("serial=").to_lowercase();
        assert_eq!(pebble().status_of(&serial)["Status"], "Valid");

        scene.succeed(&["revoke", &name, "--reason", "superseded"]);
        let status = pebble().status_of(&serial);
        assert_eq!(status["Status"], "Revoked", "{status}");
        assert_eq!(status["Reason"], 4, "{status}");
        let ran = scene.succeed(&["revoke", &name]);
        assert!(ran.stdout.contains("was revoked already"), "{ran:?}");
        let ran = scene.run(&["--exit-unchanged", "7", "renew"]);
        assert_eq!(ran.status, Some(7), "what was revoked is not renewed: {ran:?}");
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn the_account_is_made_once_and_shown() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        scene.fail(&["account", "show"], "no account yet");
        let show = || -> serde_json::Value {
            serde_json::from_str(&scene.succeed(&["--json", "account", "show"]).stdout).expect("JSON")
        };
        scene.succeed(&["issue", &scene.name("first"), "--listen", &scene.address()]);
        let first = show();
        let ran = scene.succeed(&["issue", &scene.name("second"), "--listen", &scene.address()]);
        assert!(!ran.stderr.contains("terms of service"), "{ran:?}");
        assert_eq!(show(), first);
        let url = first["account"].as_str().expect("a URL");
        assert!(url.starts_with(pebble().url().trim_end_matches("dir")), "{first}");

        // The registration is only remembered: with the key alone the CA finds the same account.
        for registration in common::scene::files(&scene.program.state().join("registrations")) {
            fs::remove_file(registration).expect("removed");
        }
        scene.succeed(&["issue", &scene.name("third"), "--listen", &scene.address()]);
        assert_eq!(show(), first);
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn an_awkward_ca_with_other_chains() {
    for user in As::all() {
        let scene = Scene::new(awkward(), user);
        for label in ["a", "b", "c"] {
            let name = scene.name(label);
            let ran = scene.succeed(&["--json", "issue", &name, "--listen", &scene.address()]);
            let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
            let alternates = report["certificates"][0]["alternates"].as_array().expect("a list");
            assert_eq!(alternates.len(), 2, "{report}");
            scene.assert_good(&name, &[&name]);
        }
        scene.succeed(&["revoke", &format!("a.{}", scene.name("a").split_once('.').expect("a name").1)]);
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn thirty_certificates_in_one_run() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        // Half of them by nginx, half of them by a listener, which has to be somewhere else.
        let listening = Scene::new(pebble(), user);
        let webroot = scene.webroot();
        let _nginx = nginx(&scene.program.path("web"), &scene.address(), &webroot);
        let mut names = Vec::new();
        let mut config = String::new();
        for number in 0..15 {
            let (by_file, by_listener) = (scene.name(&format!("f{number}")), listening.name(&format!("l{number}")));
            let (webroot, address) = (webroot.display(), listening.address());
            config += &format!("[[certificate]]\nnames = [\"{by_file}\"]\nwebroot = \"{webroot}\"\n");
            config += &format!("[[certificate]]\nnames = [\"{by_listener}\"]\nlisten = [\"{address}\"]\n");
            names.extend([by_file, by_listener]);
        }
        let config = scene.program.file("config.toml", &config);
        let ran = scene.succeed(&["--config", &config, "renew"]);
        assert_eq!(ran.stdout.lines().count(), 30, "{ran:?}");
        for name in &names {
            assert_eq!(scene.generation(name), Some(1), "{name}: {ran:?}");
        }
        for name in names.iter().step_by(7) {
            scene.assert_good(name, &[name]);
        }
        scene.assert_tidy();
        let ran = scene.run(&["--config", &config, "--exit-unchanged", "7", "renew"]);
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(7), ""), "{ran:?}");
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn two_runs_at_once() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        let webroot = scene.webroot();
        let webroot = webroot.to_str().expect("text");
        for (label, patience) in [("waits", true), ("gives-up", false)] {
            let name = scene.name(label);
            let gate = Gate::new(&scene.address(), webroot.as_ref());
            let line = ["issue", &name, "--webroot", webroot];
            let mut first = scene.start(&line);
            gate.wait_for_caller(&mut first);
            let mut second = scene.start(&line);
            if patience {
                // It has begun to wait for the lock, or is about to.
                wait_until("the second run is there", || !processes::of_run(second.id()).is_empty());
                gate.open();
            } else {
                // As long as it waits at all, and for its end.
                second.wait().expect("ended");
                gate.open();
            }
            let (first, second) = (first.wait_with_output().expect("ended"), second.wait_with_output().expect("ended"));
            assert!(first.status.success(), "{first:?}");
            let said = String::from_utf8_lossy(&second.stderr);
            if patience {
                assert!(second.status.success() && second.stdout.is_empty(), "unchanged: {second:?}");
            } else {
                assert_eq!(second.status.code(), Some(1), "{second:?}");
                assert!(said.contains(&format!("another acme-client is working on {name}")), "{said}");
            }
            assert_eq!(scene.generation(&name), Some(1));
            scene.assert_good(&name, &[&name]);
            scene.assert_tidy();
        }
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn many_runs_at_once_share_an_account_and_a_webroot() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        let webroot = scene.webroot();
        let _nginx = nginx(&scene.program.path("web"), &scene.address(), &webroot);
        let webroot = webroot.to_str().expect("text");
        scene.succeed(&["issue", &scene.name("first"), "--webroot", webroot]);
        let names = [0, 1, 2, 3, 4, 5, 6, 7].map(|number| scene.name(&format!("n{number}")));
        let runs = names.each_ref().map(|name| scene.start(&["issue", name, "--webroot", webroot]));
        for (name, run) in names.iter().zip(runs) {
            let output = run.wait_with_output().expect("ended");
            assert!(output.status.success(), "{user:?} {name}: {output:?}");
            scene.assert_good(name, &[name]);
        }
        scene.assert_tidy();
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn a_proof_that_nobody_sees() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        let webroot = scene.webroot();
        let webroot = webroot.to_str().expect("text");
        let (good, bad) = (scene.name("good"), scene.name("bad"));
        scene.succeed(&["issue", &good, "--listen", &scene.address()]);

        let ran = scene.fail(&["issue", &bad, "--webroot", webroot], "connection refused");
        assert!(ran.stderr.starts_with("acme-client: ") || ran.stderr.contains(&bad), "{ran:?}");
        scene.assert_tidy();
        assert!(!scene.live(&bad).exists());

        // A web server that serves something else.
        let elsewhere = scene.program.make_directory("elsewhere");
        let server = nginx(&scene.program.path("web"), &scene.address(), elsewhere.as_ref());
        scene.fail(&["issue", &bad, "--webroot", webroot], "404");
        scene.assert_tidy();
        drop(server);

        // When it can be had, it is had.
        let _nginx = nginx(&scene.program.path("web"), &scene.address(), webroot.as_ref());
        scene.succeed(&["issue", &bad, "--webroot", webroot]);
        scene.assert_good(&bad, &[&bad]);
        scene.assert_good(&good, &[&good]);
        scene.assert_tidy();
    }
}

#[test]
#[ignore = "needs Pebble: .ci/run installs and starts it"]
fn every_process_is_sealed_while_the_ca_looks() {
    for user in As::all() {
        let scene = Scene::new(pebble(), user);
        let webroot = scene.webroot();
        let name = scene.name("sealed");
        let seen = scene.program.path("seen");
        let hook = format!("#!/bin/sh\ngrep -E '^(Uid|NoNewPrivs|Seccomp):' /proc/self/status >{}\n", seen.display());
        let hook = scene.program.file("hook", &hook);
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a mode");
        let gate = Gate::new(&scene.address(), &webroot);
        let line = ["issue", &name, "--webroot", webroot.to_str().expect("text"), "--hook", &hook];
        let mut run = scene.start(&line);
        gate.wait_for_caller(&mut run);
        let crew = processes::of_run(run.id());
        gate.open();
        let roles: BTreeSet<&str> = crew.iter().map(|process| process.role.as_str()).collect();
        let all = ["supervisor", "net", "dial", "account", "key", "challenge", "store", "hook"];
        assert_eq!(roles, BTreeSet::from(all));
        for process in crew.iter().filter(|process| process.role != "hook") {
            process.assert_sealed();
        }
        let users: BTreeSet<String> = crew.iter().map(|process| process.line("Uid")).collect();
        if user == As::Caller && is_root() {
            // Nobody shares a user. The webroot is root's, so challenge keeps its own.
            assert_eq!(users.len(), all.len(), "{users:?}");
        }
        let output = run.wait_with_output().expect("ended");
        assert!(output.status.success(), "{output:?}");
        scene.assert_good(&name, &[&name]);
        // What the hook starts is as free as whoever started the program.
        let hook = fs::read_to_string(seen).expect("the hook ran");
        assert!(hook.contains("NoNewPrivs:\t0") && hook.contains("Seccomp:\t0"), "{hook}");
        assert_eq!(hook.contains("Uid:\t0\t0"), user == As::Caller && is_root(), "{hook}");
        for process in crew {
            wait_until(&format!("{} has ended", process.role), || process.has_ended());
        }
    }
}
