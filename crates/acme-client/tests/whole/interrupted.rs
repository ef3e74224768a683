//! Runs that do not come to their end.

use std::fs;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use test_ca::{Config, Fault, Faults};

use crate::program::{As, is_root};
use crate::scene::{Scene, WebServer, files, wait_until};

/// The roles that a run has started, by name.
fn roles(supervisor: &Child) -> Vec<(String, i32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        if !status.contains(&format!("\nPPid:\t{}\n", supervisor.id())) {
            continue;
        }
        let title = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let title = title.split('\0').next().unwrap_or_default();
        if let Some(name) = title.strip_prefix("acme-client: ") {
            found.push((name.to_owned(), pid));
        }
    }
    found
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a process"), signal).expect("signalled");
}

/// A run that hangs, with everybody sealed.
fn hanging(scene: &Scene, webroot: &str) -> Child {
    scene.faults(Fault::Hang.at("/challenge"));
    let child = scene.start(&["issue", "a.example", "--webroot", webroot]);
    // A file that is there before the CA has been asked is the role's, trying whether it can write.
    wait_until("the proof is there", || scene.asked("/authz") > 0 && !files(webroot.as_ref()).is_empty());
    child
}

#[test]
fn every_process_is_sealed_while_it_works() {
    for user in As::all() {
        let scene = Scene::new(user);
        let webroot = scene.program.make_directory("www");
        let child = hanging(&scene, &webroot);
        let mut processes = roles(&child);
        assert_eq!(processes.len(), 6, "{processes:?}");
        processes.push(("supervisor".to_owned(), i32::try_from(child.id()).expect("a number")));
        for (role, pid) in &processes {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
            for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"] {
                let bounding_needs_root = line.starts_with("CapBnd") && !(user == As::Caller && is_root());
                assert!(status.contains(line) || bounding_needs_root, "{user:?} {role}: no {line:?} in {status}");
            }
            let users = status.lines().find_map(|line| line.strip_prefix("Uid:\t")).expect("users");
            assert!(!users.split('\t').any(|uid| uid == "0"), "{user:?} {role}: {users}");
            // What it holds is channels, its standard error, directories and locks: nothing else.
            if let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) {
                for descriptor in descriptors.flatten() {
                    let target = fs::read_link(descriptor.path()).unwrap_or_default();
                    let target = target.to_string_lossy();
                    assert!(!target.ends_with(".pem"), "{role} holds {target}");
                }
            }
        }
        let supervisor = i32::try_from(child.id()).expect("a number");
        signal(supervisor, Signal::TERM);
        let output = child.wait_with_output().expect("ended");
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(said.contains("interrupted; no certificate in use was changed"), "{said}");
        assert_eq!(files(webroot.as_ref()), [] as [std::path::PathBuf; 0], "the proof was left");
        for (role, pid) in processes {
            wait_until(&format!("{role} has ended"), || !fs::exists(format!("/proc/{pid}")).expect("/proc"));
        }
    }
}

#[test]
fn a_role_that_dies_is_named_and_the_rest_ends_in_order() {
    for role in ["net", "dial", "account", "key", "challenge", "store"] {
        let scene = Scene::new(As::Caller);
        let webroot = scene.program.make_directory("www");
        let child = hanging(&scene, &webroot);
        let pid = roles(&child).into_iter().find(|(name, _)| name == role).expect("the role").1;
        signal(pid, Signal::KILL);
        let output = child.wait_with_output().expect("ended");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("the {role} process was killed (SIGKILL)")), "{role}: {said}");
        if role != "challenge" {
            assert_eq!(files(webroot.as_ref()), [] as [std::path::PathBuf; 0], "{role}: the proof was left");
        }
        scene.faults(Faults::none());
    }
}

#[test]
fn a_run_that_was_killed_is_gone_on_with() {
    for user in As::all() {
        let scene = Scene::new(user);
        scene.faults(Fault::Hang.at("/certificate"));
        let listen = scene.address.to_string();
        let line = ["issue", "a.example", "--listen", &listen];
        let mut child = scene.start(&line);
        wait_until("the certificate is asked for", || scene.asked("/finalize") > 0 && !scene.ca.issued().is_empty());
        child.kill().expect("killed");
        child.wait().expect("ended");
        scene.faults(Faults::none());
        let ran = scene.run(&line);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        scene.assert_whole("a.example");
        assert_eq!(scene.asked("/new-order"), 1, "the order of the first run was gone on with");
        assert_eq!(scene.ca.issued().len(), 1, "and so was its certificate");
        assert_eq!(files(&scene.program.state().join("journal")), [] as [std::path::PathBuf; 0]);
    }
}

#[test]
fn a_run_that_was_killed_before_it_had_a_key_is_gone_on_with() {
    for user in As::all() {
        let scene = Scene::new(user);
        let webroot = scene.program.make_directory("www");
        // Before the CA looks for a proof: one that it does not find would be the end of the order.
        scene.faults(Fault::Hang.at("/authz"));
        let mut child = scene.start(&["issue", "a.example", "--webroot", &webroot]);
        wait_until("the authorization is asked for", || scene.asked("/authz") > 0);
        child.kill().expect("killed");
        child.wait().expect("ended");
        scene.faults(Faults::none());
        let _server = WebServer::serve(scene.address, webroot.clone().into());
        let ran = scene.run(&["issue", "a.example", "--webroot", &webroot]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        scene.assert_whole("a.example");
        assert_eq!(scene.asked("/new-order"), 1, "the order of the first run was gone on with");
        assert_eq!(files(webroot.as_ref()), [] as [std::path::PathBuf; 0], "a proof was left");
    }
}

#[test]
fn a_proof_that_a_killed_run_has_left_is_cleared_away() {
    for user in As::all() {
        let scene = Scene::new(user);
        let webroot = scene.program.make_directory("www");
        let mut child = hanging(&scene, &webroot);
        // Nobody is left to take it back, and the next run has nothing to do with this order.
        let processes = roles(&child);
        // The supervisor last: the kernel wakes what is stopped when nobody is left to do so.
        let supervisor = i32::try_from(child.id()).expect("a number");
        signal(supervisor, Signal::STOP);
        for way in [Signal::STOP, Signal::KILL] {
            processes.iter().for_each(|(_, pid)| signal(*pid, way));
        }
        signal(supervisor, Signal::KILL);
        child.wait().expect("ended");
        scene.faults(Faults::none());
        let _server = WebServer::serve(scene.address, webroot.clone().into());
        assert_eq!(files(webroot.as_ref()).len(), 1, "the proof is there");
        let ran = scene.run(&["issue", "b.example", "--webroot", &webroot]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert_eq!(files(webroot.as_ref()), [] as [std::path::PathBuf; 0], "a proof was left");
    }
}

#[test]
fn a_key_that_was_lost_in_between_does_not_matter() {
    let scene = Scene::new(As::Caller);
    scene.faults(Fault::Hang.at("/certificate"));
    let listen = scene.address.to_string();
    let line = ["issue", "a.example", "--listen", &listen];
    let mut child = scene.start(&line);
    wait_until("the certificate is asked for", || !scene.ca.issued().is_empty());
    child.kill().expect("killed");
    child.wait().expect("ended");
    std::thread::sleep(Duration::from_millis(200));
    fs::remove_file(scene.program.state().join("archive/a.example/1/privkey.pem")).expect("removed");
    scene.faults(Faults::none());
    let ran = scene.run(&line);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    scene.assert_whole("a.example");
}

#[test]
fn an_authority_that_drips_does_not_hold_us_for_ever() {
    let scene = Scene::with(As::Caller, Config::default());
    scene.faults(Fault::Drip(Duration::from_secs(5)).at("/directory"));
    let listen = scene.address.to_string();
    let mut child = scene.start(&["issue", "a.example", "--listen", &listen]);
    wait_until("the directory is asked for", || scene.asked("/directory") > 0);
    signal(i32::try_from(child.id()).expect("a number"), Signal::INT);
    assert_eq!(child.wait().expect("ended").code(), Some(1));
}
