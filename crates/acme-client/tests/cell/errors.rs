//! `errors`: what users get when something is wrong that is no fault of theirs.

use std::process::Child;

use test_ca::{BadCertificate, Fault, Faults};

use crate::program::{As, Ran};
use crate::scene::{Scene, files, free_port};
use crate::{Told, share};

/// The certificate that is in use, and must stay so.
const NAME: &str = "a.example";

/// What a CA does, and words that must be in what the user is told of it. Some of them as an ordinary user as well.
fn wrongs() -> [(bool, &'static str, Faults, &'static str); 4] {
    [
        (false, "a proof that fails", Fault::Invalid.into(), "a.example"),
        (false, "rate limits", Fault::rate_limited(3600).at("/new-order").into(), "wait"),
        (true, "another host to finalize", Fault::foreign_url("finalize").into(), "not the CA's"),
        (true, "a certificate for another key", Fault::Certificate(BadCertificate::ForeignKey).into(), "another key"),
    ]
}

/// As root and as an ordinary user.
pub(crate) fn run() -> Result<Told, String> {
    // These are tried again after a while, as they should be. Others come to grief meanwhile.
    let patient: Vec<Patient> = Patient::all();
    let mut count = patient.len();
    for user in share::users() {
        count += wrong(user).map_err(|why| format!("{user:?}: {why}"))?;
    }
    patient.into_iter().try_for_each(Patient::judge)?;
    Ok(Told::words(format!("{count} errors, each told in a line")))
}

fn wrong(user: As) -> Result<usize, String> {
    let scene = Scene::new(user);
    let ran = scene.issue(&[NAME]);
    if ran.status != Some(0) {
        return Err(format!("{ran:?}"));
    }
    let before = scene.live(NAME, "cert.pem");
    let (wrongs, alone) = (wrongs(), share::users().len() == 1);
    let wrongs = wrongs.into_iter().enumerate().filter(|(at, _)| share::is_mine(*at, 4)).map(|(_, wrong)| wrong);
    let wrongs = wrongs.filter(|(everybody, ..)| *everybody || alone || user == As::Caller);
    let mut count = 0;
    for (_, what, faults, words) in wrongs {
        // Not with the order of the one before, whose names are proven already.
        for record in files(&scene.program.state().join("journal")) {
            std::fs::remove_file(record).map_err(|error| error.to_string())?;
        }
        scene.faults(faults);
        let ran = scene.run(&["renew", "--force"]);
        told_clearly(&ran, &[&format!("{NAME}: failed: "), words]).map_err(|why| format!("{what}: {why}"))?;
        if scene.live(NAME, "cert.pem") != before {
            return Err(format!("{what}: the certificate in use was touched"));
        }
        scene.assert_whole(NAME);
        count += 1;
    }
    Ok(count)
}

/// One line for people, with these words in it, and nothing of the sandbox, which has nothing to do with it.
fn told_clearly(ran: &Ran, words: &[&str]) -> Result<(), String> {
    let lines = ran.stderr.lines().count();
    let has_words = words.iter().all(|words| ran.stderr.contains(words));
    if ran.status != Some(1) || !has_words || !(1..=2).contains(&lines) || ran.stderr.contains("sandbox: ") {
        return Err(format!("should fail with the words {words:?}: {ran:?}"));
    }
    Ok(())
}

/// A run that takes its time.
struct Patient {
    /// Keeps its directory.
    _scene: Scene,
    child: Child,
    words: &'static str,
}

impl Patient {
    /// A CA that is not there, by address and by name. There is no resolver in a cell; elsewhere the name is one that nobody
    /// can have (RFC 2606).
    fn all() -> Vec<Self> {
        let nobody = free_port();
        let unreachable = format!("https://{nobody}/directory");
        let user = |number: usize| *As::all().get(number).unwrap_or(&As::Caller);
        let all = [
            (user(0), unreachable.as_str(), "cannot connect to 127.0.0.1"),
            (user(1), "https://ca.invalid/directory", "ca.invalid"),
        ];
        let mine = all.into_iter().enumerate().filter(|(at, _)| share::is_mine(*at, 2));
        mine.map(|(_, (user, directory, words))| Self::start(user, directory, words)).collect()
    }

    fn start(user: As, directory: &str, words: &'static str) -> Self {
        let scene = Scene::new(user);
        let root = scene.program.path("root.pem");
        let root = root.to_str().expect("text");
        let listen = free_port().to_string();
        let line = ["--directory", directory, "--ca-file", root, "issue", NAME, "--listen", &listen];
        let mut command = scene.program.command(&line);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        Self { child: command.spawn().expect("started"), _scene: scene, words }
    }

    fn judge(self) -> Result<(), String> {
        let output = self.child.wait_with_output().map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ran = Ran { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        told_clearly(&ran, &["a.example: failed: fetching the directory failed", self.words])
    }
}
