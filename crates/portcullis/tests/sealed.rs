//! Sealed processes, as the kernel sees them.
//!
//! Each scene is a process of its own with one thread: this program started again. A scene says what must be, and ends
//! with success, or with the signal that is expected of it. Scenes run as the user the tests run as and, if that is root,
//! once more as an ordinary user. What cannot be tested on this machine is said.

#[path = "sealed/scenes.rs"]
mod scenes;
#[path = "sealed/support.rs"]
mod support;

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use scenes::{Expect, Scene};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, name, rest @ ..] = arguments.as_slice()
        && word == "scene"
    {
        return play(name, rest);
    }
    let filter = arguments.iter().skip(1).find(|argument| !argument.starts_with('-'));
    let mut users = vec![("", None)];
    if rustix::process::geteuid().is_root() {
        users = vec![("root", None), ("user", Some(65_534))];
    } else {
        say("not tested: what root can do, since these tests do not run as root");
    }
    let wanted: Vec<Scene> = scenes::all()
        .into_iter()
        .enumerate()
        .filter(|(at, scene)| is_mine(*at) && filter.is_none_or(|text| scene.name.contains(text.as_str())))
        .map(|(_, scene)| scene)
        .collect();
    // A filter is the same whoever is in it.
    let of_user = |at: usize| wanted.iter().filter(move |scene| at == 0 || !scene.once);
    let (mut passed, mut failed) = (0, 0);
    let mut tell = |scene: &Scene, user: &str, judged: Result<String, String>| match judged {
        Ok(notes) => {
            passed += 1;
            say(&format!("scene {} {user} ... ok", scene.name));
            notes.lines().for_each(|note| say(&format!("    {note}")));
        }
        Err(why) => {
            failed += 1;
            say(&format!("scene {} {user} ... FAILED\n{why}", scene.name));
        }
    };
    std::thread::scope(|threads| {
        // Those that wait for a deadline do so while the others are played.
        let waiting: Vec<_> = users
            .iter()
            .flat_map(|(user, uid)| wanted.iter().filter(|scene| scene.waits).map(move |scene| (scene, *user, *uid)))
            .map(|(scene, user, uid)| (scene, user, threads.spawn(move || judge(scene, uid))))
            .collect();
        for (at, (user, uid)) in users.iter().enumerate() {
            of_user(at).filter(|scene| !scene.waits).for_each(|scene| tell(scene, user, judge(scene, *uid)));
        }
        for (scene, user, judging) in waiting {
            let judged = judging.join().unwrap_or_else(|_| Err("  its judge panicked".to_owned()));
            tell(scene, user, judged);
        }
    });
    say(&format!("{passed} passed, {failed} failed"));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether a scene is one of those that are asked for: of each `N` the one that is number `K`, if the environment has `K/N` for
/// `ACME_TEST_SHARE`. So many machines that are slow play them all together.
fn is_mine(at: usize) -> bool {
    let text = std::env::var("ACME_TEST_SHARE").unwrap_or_default();
    let share = text.split_once('/').and_then(|(turn, of)| Some((turn.parse().ok()?, of.parse().ok()?)));
    share.is_none_or(|(turn, of): (usize, usize)| of == 0 || at % of == turn)
}

fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").expect("standard output takes what is written");
}

fn play(name: &str, rest: &[String]) -> ExitCode {
    let scene = scenes::all().into_iter().chain(scenes::halves()).find(|scene| scene.name == name);
    (scene.expect("a scene of that name").play)(rest);
    ExitCode::SUCCESS
}

/// Plays a scene in a process of its own. Lines that it writes after "note: " are for whoever reads the result.
fn judge(scene: &Scene, uid: Option<u32>) -> Result<String, String> {
    let (output, status) = run(scene, uid)?;
    let shown = || {
        format!(
            "  ended with {:?}\n  stdout: {}\n  stderr: {}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    let good = match scene.expect {
        Expect::Success => output.status.success(),
        Expect::Signal(signal) => output.status.signal() == Some(signal),
        Expect::LastLine(signal, line) => {
            output.status.signal() == Some(signal) && errors.starts_with(line) && { errors.lines().count() == 1 }
        }
        Expect::Status(check) => output.status.success() && status.as_deref().is_some_and(|s| check(s, uid)),
    };
    if !good {
        return Err(format!("{}\n{}", shown(), status.unwrap_or_default()));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter_map(|line| line.strip_prefix("note: ")).collect::<Vec<_>>().join("\n"))
}

/// What became of the scene, and what `/proc` said of it while it was sealed.
fn run(scene: &Scene, uid: Option<u32>) -> Result<(Output, Option<String>), String> {
    // By way of /proc: the program may be in a directory that others cannot enter.
    let mut command = Command::new("/proc/self/exe");
    command.args(["scene", scene.name]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let place = Place::new(uid).map_err(|error| format!("  no place to play in: {error}"))?;
    command.env_remove("RUST_BACKTRACE").env("LANG", "C").env("TMPDIR", &place.0);
    if let Some(id) = uid {
        command.uid(id).gid(id);
    }
    let mut child = command.spawn().map_err(|error| format!("  cannot be started: {error}"))?;
    let status = matches!(scene.expect, Expect::Status(_)).then(|| status_of(&mut child));
    drop(child.stdin.take());
    let output = child.wait_with_output().map_err(|error| format!("  cannot be waited for: {error}"))?;
    Ok((output, status))
}

/// A directory of the scene's own, removed afterwards.
struct Place(std::path::PathBuf);

impl Place {
    fn new(uid: Option<u32>) -> std::io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let path = std::env::temp_dir().join(format!(
            "portcullis-scene-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir(&path)?;
        let place = Self(path);
        std::os::unix::fs::chown(&place.0, uid, uid)?;
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits for the scene to say that it is sealed, by one byte, and looks.
fn status_of(child: &mut Child) -> String {
    let mut byte = [0];
    let read = child.stdout.as_mut().map(|stdout| stdout.read_exact(&mut byte));
    assert!(matches!(read, Some(Ok(()))), "the scene ended before it was sealed");
    let path = format!("/proc/{}", child.id());
    let root = std::fs::read_link(format!("{path}/root"))
        .map_or_else(|error| error.to_string(), |root| root.display().to_string());
    let limits = std::fs::read_to_string(format!("{path}/limits")).unwrap_or_default();
    let status = std::fs::read_to_string(format!("{path}/status")).unwrap_or_default();
    format!("{status}Root:\t{root}\n{limits}")
}
