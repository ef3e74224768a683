//! Certificates are had, renewed and revoked.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use test_ca::Config;

use crate::program::{As, is_root};
use crate::scene::{Scene, WebServer, files, free_port, pem, wait_until};

#[test]
fn the_main_job_in_as_few_requests_as_possible() {
    for user in As::all() {
        let scene = Scene::new(user);
        let ran = scene.issue(&["a.example"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert!(ran.stdout.starts_with("a.example: renewed"), "{ran:?}");
        scene.assert_whole("a.example");
        let asked: Vec<String> = scene.ca.requests();
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        assert!(asked.len() <= 10, "{asked:#?}");
        assert!(scene.asked("new-nonce") <= 1, "{asked:#?}");
        assert!(scene.ca.violations().is_empty(), "{:?}", scene.ca.violations());
        assert_eq!(scene.ca.issued().len(), 1);
        assert_eq!(pem(&scene.live("a.example", "cert.pem")), scene.ca.issued()[0]);

        let ran = scene.run(&["--exit-unchanged", "7", "renew"]);
        assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (Some(7), "", ""), "nothing is due");
        let ran = scene.run(&["--json", "status"]);
        let status: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(status["certificates"][0]["days-left"], 89, "{status}");
        assert_eq!(scene.ca.requests().len(), asked.len(), "nobody was asked");
    }
}

#[test]
fn files_have_their_modes_and_owners() {
    for user in As::all() {
        let scene = Scene::new(user);
        assert_eq!(scene.issue(&["a.example"]).status, Some(0));
        let live = scene.program.state().join("live/a.example");
        let mode = |path: &std::path::Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
        assert_eq!(mode(&live.join("privkey.pem")), 0o600);
        assert_eq!(mode(&live.join("fullchain.pem")), 0o644);
        for key in files(&scene.program.state().join("accounts")) {
            assert_eq!(mode(&key), 0o600, "{}", key.display());
        }
        if user == As::Caller && is_root() {
            let owner = |name: &str| fs::metadata(live.join(name)).expect("metadata").uid();
            assert_ne!(owner("privkey.pem"), owner("cert.pem"), "key and store are different users");
            assert_ne!(owner("privkey.pem"), 0);
            // store may write into the generation, and yet cannot take away what key has put there.
            let directory = fs::metadata(&live).expect("metadata");
            assert_eq!((directory.mode() & 0o1000, directory.uid()), (0o1000, owner("privkey.pem")));
        }
    }
}

#[test]
fn a_webroot_is_used_and_left_clean() {
    for user in As::all() {
        let scene = Scene::new(user);
        let webroot = scene.program.make_directory("www");
        let server = WebServer::serve(scene.address, webroot.clone().into());
        let ran = scene.run(&["issue", "a.example", "b.example", "c.example", "--webroot", &webroot]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        scene.assert_whole("a.example");
        assert_eq!(files(webroot.as_ref()), [] as [std::path::PathBuf; 0], "tokens were left");
        drop(server);

        // Nobody serves it any more: the proof fails, and still nothing is left.
        let ran = scene.run(&["renew", "--force"]);
        assert_eq!(ran.status, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("a.example: failed: validating"), "{ran:?}");
        assert_eq!(files(webroot.as_ref()), [] as [std::path::PathBuf; 0], "tokens were left after a failure");
        scene.assert_whole("a.example");
        let ran = scene.run(&["status"]);
        assert!(ran.stdout.contains("last failure"), "{ran:?}");
    }
}

#[test]
fn addresses_are_certified_like_names() {
    for user in As::all() {
        let scene = Scene::new(user);
        let ran = scene.issue(&["192.0.2.1", "[2001:db8::1]", "a.example"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert!(ran.stdout.starts_with("192.0.2.1: renewed"), "{ran:?}");
        scene.assert_whole("192.0.2.1");
        let ran = scene.issue(&["2001:DB8:0::2"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        scene.assert_whole("2001_db8__2");
        let ran = scene.run(&["--exit-unchanged", "7", "renew"]);
        assert_eq!(ran.status, Some(7), "they are what was asked for: {ran:?}");
        assert_eq!(scene.run(&["revoke", "2001_db8__2"]).status, Some(0));
        assert!(scene.ca.violations().is_empty(), "{:?}", scene.ca.violations());

        let ran = scene.issue(&["::ffff:192.0.2.1"]);
        assert_eq!(ran.status, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("give the IPv4 address alone"), "{ran:?}");
    }
}

#[test]
fn a_profile_of_a_ca_that_has_none() {
    for user in As::all() {
        let scene = Scene::new(user);
        let ran = scene.issue(&["a.example", "--required-profile", "tlsserver"]);
        assert_eq!(ran.status, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("the CA has no profiles, so not tlsserver either"), "{ran:?}");
        assert_eq!(scene.asked("/new-order"), 0, "the CA is asked nothing that it does not offer");
        let ran = scene.issue(&["a.example", "--preferred-profile", "tlsserver"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert!(ran.stderr.contains("a.example: the CA does not have the profile tlsserver"), "{ran:?}");
        scene.assert_whole("a.example");
        assert_eq!(scene.run(&["--exit-unchanged", "7", "renew"]).status, Some(7), "it is not asked for again");
    }
}

#[test]
fn every_kind_of_key() {
    let scene = Scene::new(As::Caller);
    for kind in ["p256", "p384", "rsa2048", "rsa3072"] {
        let name = format!("{kind}.example");
        let ran = scene.issue(&[&name, "--key-type", kind]);
        assert_eq!(ran.status, Some(0), "{kind}: {ran:?}");
        scene.assert_whole(&name);
    }
}

#[test]
fn renewal_makes_a_new_key_unless_told_otherwise() {
    for user in As::all() {
        let scene = Scene::new(user);
        for (name, options, same) in [("new.example", &[][..], false), ("kept.example", &["--reuse-key"][..], true)] {
            let mut line = vec![name];
            line.extend(options);
            assert_eq!(scene.issue(&line).status, Some(0));
            let before = scene.live(name, "privkey.pem");
            let ran = scene.run(&["renew", name, "--force"]);
            assert_eq!(ran.status, Some(0), "{ran:?}");
            scene.assert_whole(name);
            assert_eq!(before == scene.live(name, "privkey.pem"), same, "{name}");
        }
    }
}

#[test]
fn changed_names_are_noticed_and_the_old_generation_stays() {
    let scene = Scene::new(As::Caller);
    assert_eq!(scene.issue(&["a.example"]).status, Some(0));
    let ran = scene.issue(&["a.example", "b.example"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("its names were changed"), "{ran:?}");
    assert!(scene.program.state().join("archive/a.example/1/privkey.pem").exists());
    let ran = scene.issue(&["a.example", "b.example"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(0), ""), "no need for another one");
    assert_eq!(scene.ca.issued().len(), 2);
}

#[test]
fn a_configuration_with_a_certificate_that_cannot_be_had() {
    for user in As::all() {
        let scene = Scene::new(user);
        let touched = scene.program.path("touched");
        let directory = scene.program.make_directory("hooks");
        let hook = scene
            .program
            .file("hooks/hook.sh", &format!("#!/bin/sh\necho \"$ACME_CLIENT_NAMES\" >> {}\n", touched.display()));
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a mode");
        let listen = scene.address;
        let config = format!(
            "[[certificate]]\nnames = [\"a.example\"]\nwebroot = \"/no/such/directory\"\nhooks = [[\"{hook}\"]]\n\
             [[certificate]]\nnames = [\"b.example\"]\nlisten = [\"{listen}\"]\nhooks = [[\"{hook}\"]]\n\
             [[certificate]]\nnames = [\"c.example\", \"d.example\"]\nlisten = [\"{listen}\"]\nhooks = [[\"{hook}\"]]\n"
        );
        let config = scene.program.file("config.toml", &config);
        if user == As::Nobody {
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        let ran = scene.run(&["--config", &config, "renew"]);
        assert_eq!(ran.status, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("a.example: failed: cannot use the webroot /no/such/directory"), "{ran:?}");
        scene.assert_whole("b.example");
        scene.assert_whole("c.example");
        assert_eq!(scene.asked("/new-order"), 2, "the CA was asked for what could not be proven");
        let ran_once = fs::read_to_string(&touched).expect("the hook ran");
        assert_eq!(ran_once, "b.example c.example\n", "once, with what is new");
        let ran = scene.run(&["--config", &config, "check"]);
        assert_eq!(ran.status, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("/no/such/directory"), "{ran:?}");
    }
}

#[test]
fn a_failing_hook_is_told_and_costs_nothing() {
    let scene = Scene::new(As::Caller);
    let ran = scene.issue(&["a.example", "--hook", "/bin/false"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("/bin/false failed"), "{ran:?}");
    scene.assert_whole("a.example");
}

/// A cron job's lock, a shell's log: what is open in the caller is not in what the program starts.
#[test]
fn what_the_caller_has_open_reaches_no_hook() {
    let scene = Scene::new(As::Caller);
    let found = scene.program.path("found");
    let hook =
        format!("#!/bin/sh\nif test -e /proc/self/fd/7; then echo there; else echo gone; fi > {}\n", found.display());
    let hook = scene.program.file("hook.sh", &hook);
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a mode");
    let listen = scene.address.to_string();
    let program = scene.program.command(&scene.line(&["issue", "a.example", "--listen", &listen, "--hook", &hook]));
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "exec 7</dev/null; exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
    let output = shell.output().expect("run");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(&found).expect("the hook ran"), "gone\n");
}

#[test]
fn revocation() {
    for user in As::all() {
        let scene = Scene::new(user);
        assert_eq!(scene.issue(&["a.example"]).status, Some(0));
        let ran = scene.run(&["revoke", "a.example", "--reason", "superseded"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert_eq!(scene.ca.revoked().len(), 1);
        let ran = scene.run(&["revoke", "a.example"]);
        assert!(ran.status == Some(0) && ran.stdout.contains("was revoked already"), "{ran:?}");
        let ran = scene.run(&["renew"]);
        assert_eq!((ran.status, scene.asked("/new-order")), (Some(0), 1), "what was revoked is not renewed: {ran:?}");
        let ran = scene.run(&["revoke", "b.example"]);
        assert!(ran.status == Some(1) && ran.stderr.contains("no certificate called b.example"), "{ran:?}");
        let ran = scene.run(&["revoke", "a.example", "--reason", "spite"]);
        assert!(ran.status == Some(2) && ran.stderr.contains("keyCompromise"), "{ran:?}");
    }
}

#[test]
fn the_account_is_found_again_and_shown() {
    for user in As::all() {
        let scene = Scene::new(user);
        let ran = scene.run(&["account", "show"]);
        assert!(ran.status == Some(1) && ran.stderr.contains("no account yet"), "{ran:?}");
        assert_eq!(scene.issue(&["a.example"]).status, Some(0));
        assert_eq!(scene.issue(&["b.example"]).status, Some(0));
        assert_eq!(scene.asked("/new-account"), 1, "the account is known from then on");
        let ran = scene.run(&["--json", "account", "show"]);
        let shown: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(shown["thumbprint"].as_str().map(str::len), Some(43), "{shown}");
        assert!(shown["account"].as_str().is_some_and(|url| url.starts_with("https://localhost:")), "{shown}");

        // Another CA at the same place, which knows nobody.
        let registrations = files(&scene.program.state().join("registrations"));
        let path = registrations.first().expect("a registration");
        let text = fs::read_to_string(path).expect("text");
        fs::write(
            path,
            text.replace(shown["account"].as_str().expect("a URL"), &format!("{}x", scene.ca.directory_url())),
        )
        .expect("written");
        let ran = scene.issue(&["c.example"]);
        assert_eq!(ran.status, Some(0), "an account that is not known is asked for anew: {ran:?}");
    }
}

#[test]
fn two_runs_at_once_have_one_certificate() {
    let scene = Scene::with(
        As::Caller,
        Config { validation_delay: std::time::Duration::from_millis(300), ..Config::default() },
    );
    let listen = scene.address.to_string();
    let line = ["issue", "a.example", "--listen", &listen];
    let first = scene.start(&line);
    wait_until("the first run has its order", || scene.asked("/new-order") > 0);
    let second = scene.start(&line);
    let first = first.wait_with_output().expect("ended");
    let second = second.wait_with_output().expect("ended");
    assert!(first.status.success() && second.status.success(), "{first:?} {second:?}");
    assert_eq!(scene.ca.issued().len(), 1);
    scene.assert_whole("a.example");
}

#[test]
fn other_chains_are_listed() {
    let scene = Scene::with(As::Caller, Config { alternates: 2, ..Config::default() });
    let ran = scene.issue(&["--json", "a.example"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["certificates"][0]["alternates"].as_array().map(Vec::len), Some(2), "{report}");
}

#[test]
fn listens_on_ipv6_too() {
    let scene = Scene::new(As::Caller);
    let port = free_port().port();
    let v6 = format!("[::1]:{port}");
    let v4 = format!("127.0.0.1:{port}");
    let ran =
        scene.run(&["issue", "six.example", "--listen", &v6, "--listen", &v4, "--listen", &scene.address.to_string()]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
}

#[test]
fn bad_input_has_one_clear_error() {
    let scene = Scene::new(As::Caller);
    let no_pem = scene.program.file("no.pem", "hello");
    let listen = scene.address.to_string();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let taken = taken.local_addr().expect("an address").to_string();
    for (line, status, words) in [
        (&["issue", "exa mple.org", "--standalone"][..], 1, "exa mple.org"),
        (&["issue", "a..example", "--standalone"], 1, "a..example: empty label"),
        (&["issue", "*.a.example", "--standalone"], 1, "wildcard"),
        (&["issue", "::ffff:192.0.2.1", "--standalone"], 1, "give the IPv4 address alone"),
        (&["issue", "[192.0.2.1]", "--standalone"], 1, "leave out the brackets"),
        (
            &["issue", "a.example", "--standalone", "--required-profile", "a b"],
            2,
            "cannot stand in the name of a profile",
        ),
        (&["issue", "a.example"], 2, "--webroot DIR"),
        (&["issue", "a.example", "--webroot", "/no/such"], 1, "cannot use the webroot /no/such"),
        (&["issue", "a.example", "--webroot", &no_pem], 1, "is no directory"),
        (&["issue", "a.example", "--listen", &taken], 1, "another program has this port"),
        (&["issue", "a.example", "--listen", "port 80"], 1, "no address to listen on"),
        (&["renew", "nobody.example"], 1, "no certificate called nobody.example"),
        (&["--config", "/no/such.toml", "check"], 1, "/no/such.toml: no such file"),
        (&["frobnicate"], 2, "frobnicate"),
    ] {
        let ran = scene.run(line);
        assert_eq!(ran.status, Some(status), "{line:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{line:?}: {ran:?}");
        assert!(!ran.stderr.contains("backtrace") && !ran.stderr.contains("panicked"), "{ran:?}");
    }
    let other = Scene::new(As::Caller);
    for (file, words) in [(no_pem.as_str(), "has no certificate in it"), ("/no/such.pem", "no such file")] {
        let directory = other.ca.directory_url();
        let line = ["--directory", &directory, "--ca-file", file, "issue", "a.example", "--listen", &listen];
        let ran = scene.program.run(&line);
        assert!(ran.status == Some(1) && ran.stderr.contains(words), "{ran:?}");
    }
    let foreign = scene.program.file("foreign.pem", &other.ca.root_pem());
    let directory = scene.ca.directory_url();
    let line = ["--directory", &directory, "--ca-file", &foreign, "issue", "a.example", "--listen", &listen];
    let ran = scene.program.run(&line);
    assert!(ran.status == Some(1) && ran.stderr.contains("not from an authority that this machine trusts"), "{ran:?}");
    assert_eq!(scene.asked("/new-order"), 0, "nobody was bothered");
}

#[test]
fn an_account_key_that_is_none_is_left_alone() {
    let scene = Scene::new(As::Caller);
    assert_eq!(scene.issue(&["a.example"]).status, Some(0));
    let key = files(&scene.program.state().join("accounts")).remove(0);
    fs::write(&key, "rubbish").expect("written");
    let ran = scene.issue(&["b.example"]);
    assert!(ran.status == Some(1) && ran.stderr.contains("left as it is"), "{ran:?}");
    assert_eq!(fs::read_to_string(&key).expect("text"), "rubbish");
    scene.assert_whole("a.example");
}
