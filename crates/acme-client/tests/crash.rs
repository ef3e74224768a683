//! Runs that are killed, and disks that are full: what was in use stays in use, and the next run comes to its end.
//!
//! Needs Pebble, nginx, openssl and strace, and root for all but the first test: `.ci/run` gets them.

#![expect(clippy::print_stderr, reason = "what was cut short, and where, is what one wants to see when a test fails")]

#[expect(dead_code, reason = "each test program uses a part of it")]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::disk::{Disk, Scarce};
use common::processes;
use common::program::{As, Ran, is_root};
use common::scene::{NOBODY, Scene};
use common::servers::{PLAIN, Pebble, Server};
use common::trace::{Calls, Cut, cut_short, kill_one};
use common::web::nginx;

fn pebble() -> &'static Pebble {
    static PEBBLE: OnceLock<Pebble> = OnceLock::new();
    PEBBLE.get_or_init(|| Pebble::start(PLAIN))
}

/// A scene with a web server.
struct Stage {
    scene: Scene,
    webroot: String,
    _web: Server,
}

impl Stage {
    fn new(user: As) -> Self {
        let scene = Scene::new(pebble(), user);
        let webroot = scene.webroot();
        let web = nginx(&scene.program.path("web"), &scene.address(), &webroot);
        Self { scene, webroot: webroot.to_str().expect("text").to_owned(), _web: web }
    }

    /// The command line that has a certificate, whether or not there is one.
    fn line<'a>(&'a self, name: &'a str) -> [&'a str; 5] {
        ["issue", name, "--force", "--webroot", &self.webroot]
    }

    /// As if the program had never been here.
    fn forget(&self) {
        let _ = fs::remove_dir_all(self.scene.program.state());
    }

    /// What has to be so however a run was cut short: the certificate that was in use still is one, and the next run
    /// has the new one and leaves nothing behind.
    fn assert_recovers(&self, name: &str, before: Option<u32>, cut: &str) {
        let scene = &self.scene;
        // What was being started, or was tracing or writing, as the run was killed: a moment after it nobody is left.
        processes::assert_unlocked(&scene.program.state().join("lock").join(name), cut);
        let after = scene.generation(name);
        assert!(after >= before, "{cut}: generation {after:?} after {before:?}");
        if after.is_some() {
            scene.assert_good(name, &[name]);
        }
        let ran = scene.run(&self.line(name));
        assert_eq!(ran.status, Some(0), "after a run that was cut short {cut}: {ran:?}");
        assert!(scene.generation(name) > before, "{cut}: {ran:?}");
        scene.assert_good(name, &[name]);
        eprintln!("  {cut}: generation {before:?}, {after:?}, {:?}", scene.generation(name));
        scene.assert_tidy();
    }
}

/// Numbers that look random and are the same each time (splitmix64, Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    /// Below 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let top = u32::try_from((mixed ^ (mixed >> 31)) >> 32).expect("32 bits");
        f64::from(top) / f64::from(u32::MAX)
    }
}

#[test]
#[ignore = "needs Pebble and nginx: .ci/run installs and starts them"]
fn killed_at_fifty_random_moments() {
    let mut random = Random(20_251_125);
    let stages: Vec<Stage> = As::all().into_iter().map(Stage::new).collect();
    let lengths: Vec<Duration> = stages.iter().map(length).collect();
    for moment in 0..50 {
        let at = moment % stages.len();
        let stage = &stages[at];
        let everybody = (moment / stages.len()).is_multiple_of(2);
        let renewal = (moment / stages.len() / 2).is_multiple_of(2);
        let name = stage.scene.name(if renewal { "renewed" } else { "first" });
        if !renewal {
            stage.forget();
        } else if stage.scene.generation(&name).is_none() {
            stage.scene.succeed(&stage.line(&name));
        }
        let before = stage.scene.generation(&name);
        let time = lengths[at].mul_f64(random.next());
        let mut command = stage.scene.command(&stage.line(&name));
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        std::thread::sleep(time);
        if everybody {
            processes::kill_all(run.id());
        } else {
            kill_one(run.id());
        }
        run.wait().expect("ended");
        let who = if everybody { "everybody" } else { "the supervisor" };
        let user = stage.scene.user;
        stage.assert_recovers(&name, before, &format!("({user:?}) by killing {who} after {time:?}"));
    }
}

/// How long a run takes: the middle one of a few, and a bit more.
fn length(stage: &Stage) -> Duration {
    let name = stage.scene.name("measured");
    let run = || {
        let started = Instant::now();
        stage.scene.succeed(&stage.line(&name));
        started.elapsed()
    };
    let mut lengths = [(); 9].map(|()| run());
    lengths.sort_unstable();
    lengths[4].mul_f64(1.05)
}

#[test]
#[ignore = "needs root, strace, Pebble and nginx: .ci/run installs and starts them"]
fn killed_at_every_call_that_changes_a_file() {
    assert!(is_root(), "this test has to be run by root: it looks into processes that nobody else can look into");
    for user in As::all() {
        let stage = Stage::new(user);
        for cut in [Cut::One, Cut::All] {
            for renewal in [false, true] {
                let points = sweep(&stage, cut, renewal);
                eprintln!("{user:?}, {cut:?}, renewal {renewal}: cut short at {points} calls");
                assert!(
                    points >= if renewal { 40 } else { 30 },
                    "only {points} calls were found: are they others now?"
                );
            }
        }
    }
}

/// Cuts runs short at each call, one after the other. Returns how many there are.
fn sweep(stage: &Stage, cut: Cut, renewal: bool) -> u32 {
    let scene = &stage.scene;
    let name = scene.name(&format!("{cut:?}-{renewal}").to_lowercase());
    stage.forget();
    if renewal {
        scene.succeed(&stage.line(&name));
    }
    let mut points = 0;
    for at in 0..calls(stage, &name).len() {
        let names = calls(stage, &name)[at].names;
        for call in names {
            for count in 1.. {
                if !renewal {
                    stage.forget();
                }
                // The directory of the generation is another one each time.
                let calls = &calls(stage, &name)[at];
                let before = scene.generation(&name);
                if !cut_short(scene, &stage.line(&name), calls, call, count, cut) {
                    assert!(
                        scene.generation(&name) > before,
                        "{} {call} {count}: the run failed by itself",
                        calls.role
                    );
                    break;
                }
                points += 1;
                let user = scene.user;
                let what = format!("({user:?}, {cut:?}) at {call} number {count} of {}", calls.role);
                stage.assert_recovers(&name, before, &what);
            }
        }
    }
    points
}

/// The calls that change files, by role. A renewal does not make the account's.
fn calls(stage: &Stage, name: &str) -> Vec<Calls> {
    let state = stage.scene.program.state();
    let url = stage.scene.pebble.url();
    let ca = url.trim_start_matches("https://").replace([':', '/'], "_");
    let next = stage.scene.generation(name).unwrap_or(0) + 1;
    let generation = state.join("archive").join(name).join(next.to_string());
    let account = state.join("accounts").join(&ca);
    let new = |path: PathBuf| PathBuf::from(format!("{}.new", path.display()));
    let mut store: Vec<PathBuf> = ["live", "journal", "registrations"].map(|part| state.join(part)).into();
    store.push(new(state.join("journal").join(format!("{name}.json"))));
    store.push(new(state.join("registrations").join(format!("{ca}.json"))));
    for part in ["cert.pem", "chain.pem", "fullchain.pem", "settings.json"] {
        // Once as what a descriptor leads to, once as what stands in a call.
        store.extend([new(generation.join(part)), new(part.into())]);
    }
    let supervisor = ["accounts", "archive", "lock", "live", "journal", "registrations"].map(|part| state.join(part));
    let supervisor = supervisor.into_iter().chain([state, account.clone(), generation.clone()]);
    vec![
        Calls { role: "supervisor", names: &["mkdir", "lchown"], paths: supervisor.collect() },
        Calls {
            role: "account",
            names: &["write", "fsync", "rename"],
            paths: vec![new(account.join("key.pem")), account],
        },
        // Store renames and syncs in this directory too, after key.
        Calls {
            role: "key, and store",
            names: &["write", "fsync", "renameat"],
            paths: vec![new(generation.join("privkey.pem")), generation],
        },
        Calls { role: "store", names: &["write", "fsync", "renameat", "symlinkat", "unlinkat"], paths: store },
        Calls {
            role: "challenge",
            names: &["openat", "unlinkat"],
            paths: vec![Path::new(&stage.webroot).join(".well-known/acme-challenge")],
        },
    ]
}

#[test]
#[ignore = "needs root, Pebble and nginx: .ci/run installs and starts them"]
fn a_full_disk() {
    assert!(is_root(), "this test has to be run by root: it mounts a disk of its own");
    for user in As::all() {
        let (stage, disk) = on_a_disk(user);
        for scarce in [Scarce::Blocks, Scarce::Files] {
            let failures = (0..40).take_while(|left| !fits(&stage, &disk, scarce(*left))).count();
            eprintln!("{user:?}: {failures} sizes that are too small");
            assert!((3..40).contains(&failures), "{failures} sizes were too small");
        }
    }
}

/// A certificate that is in use on a disk of its own.
fn on_a_disk(user: As) -> (Stage, Disk) {
    let stage = Stage::new(user);
    let state = stage.scene.program.state();
    fs::create_dir(&state).expect("made");
    let disk = Disk::mount(&state, if user == As::Nobody { NOBODY } else { 0 });
    stage.scene.succeed(&stage.line(&stage.scene.name("old")));
    (stage, disk)
}

/// Whether a renewal and a new certificate fit on a disk with so little room. If not, nothing is lost, one line says so,
/// and it is done as soon as there is room.
fn fits(stage: &Stage, disk: &Disk, scarce: Scarce) -> bool {
    let scene = &stage.scene;
    let (old, new) = (scene.name("old"), scene.name("new"));
    for part in ["archive", "journal", "lock", "live"] {
        let path = scene.program.state().join(part).join(&new);
        let _ = if part == "archive" { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    let mut all = true;
    for name in [&old, &new] {
        let before = scene.generation(name);
        disk.leave(scarce);
        let ran = scene.run(&stage.line(name));
        if ran.status == Some(0) {
            disk.restore();
            scene.assert_good(name, &[name]);
            continue;
        }
        all = false;
        assert_one_error(&ran, "no space left on device; make room and run again");
        assert_eq!(scene.generation(name), before);
        scene.assert_good(&old, &[&old]);
        scene.assert_tidy();
        disk.restore();
        stage.assert_recovers(name, before, &format!("by a disk with no more than {scarce:?}"));
    }
    all
}

fn assert_one_error(ran: &Ran, words: &str) {
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "more than one error: {ran:?}");
    assert!(ran.stderr.contains(words), "no {words:?} in {ran:?}");
}

#[test]
#[ignore = "needs root, Pebble and nginx: .ci/run installs and starts them"]
fn a_state_directory_that_cannot_be_written_to() {
    assert!(is_root(), "this test has to be run by root: it mounts a disk of its own");
    for user in As::all() {
        let (stage, disk) = on_a_disk(user);
        let scene = &stage.scene;
        let (old, new) = (scene.name("old"), scene.name("new"));
        disk.write_protect();
        for name in [&old, &new] {
            assert_one_error(&scene.run(&stage.line(name)), "read-only file system; choose another directory");
            assert_one_error(&scene.run(&["revoke", &old]), "read-only file system");
        }
        scene.assert_good(&old, &[&old]);
        scene.succeed(&["status"]);
        scene.succeed(&["account", "show"]);
        disk.restore();
        for name in [&old, &new] {
            scene.succeed(&stage.line(name));
            scene.assert_good(name, &[name]);
        }
        scene.assert_tidy();
    }
}
