//! The program under test, run as whoever runs the tests and, where that is root, as an ordinary user too.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A user that every system has, and that owns nothing.
const NOBODY: u32 = 65_534;

/// Who runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// Whoever runs the tests.
    Caller,
    /// An ordinary user, where the tests are run by root.
    Nobody,
}

impl As {
    /// Everybody that can be had.
    #[expect(clippy::print_stderr, reason = "what is not tested is said")]
    pub(crate) fn all() -> Vec<Self> {
        if is_root() {
            vec![Self::Caller, Self::Nobody]
        } else {
            eprintln!("not run by root: only the part for ordinary users is tested");
            vec![Self::Caller]
        }
    }
}

/// Whether the tests are run by root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The program, and a directory of its own for its state and whatever else.
#[derive(Debug)]
pub(crate) struct Program {
    user: As,
    directory: TempDir,
    /// What is started.
    pub(crate) binary: PathBuf,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new(user: As) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let program = Self { user, directory, binary: binary().to_owned() };
        program.own(program.directory.path());
        program
    }

    /// The directory of its own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file that belongs to the user.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("written");
        self.own(&path);
        path.to_str().expect("text").to_owned()
    }

    /// A directory that belongs to the user.
    pub(crate) fn make_directory(&self, name: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("made");
        self.own(&path);
        path.to_str().expect("text").to_owned()
    }

    fn own(&self, path: &Path) {
        if self.user == As::Nobody {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("owned");
        }
    }

    /// The state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The command line so far: with no configuration but what is given, and the state directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = start(self.user, &self.binary);
        if !arguments.contains(&"--config") {
            command.args(["--config", "/dev/null"]);
        }
        command.arg("--state").arg(self.state()).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs it with more in its environment.
    pub(crate) fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let roles = arguments.first() == Some(&"role");
        let mut command = if roles { Command::new(binary()) } else { self.command(arguments) };
        if roles {
            command.args(arguments).stdin(Stdio::null());
        }
        command.env_remove("RUST_BACKTRACE").env_remove("SSL_CERT_FILE");
        let output = command.envs(environment.iter().copied()).output().expect("run");
        Ran {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// The program, to be started by that user. If the environment names a directory for traces, then under strace(1): the
/// calls of each process, their arguments as numbers, go to a file there that is called after the test (`.ci/drift`).
fn start(user: As, binary: &Path) -> Command {
    static NUMBER: AtomicUsize = AtomicUsize::new(1);
    let Some(traces) = std::env::var_os("ACME_TEST_TRACES") else {
        let mut command = Command::new(binary);
        if user == As::Nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
        return command;
    };
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unnamed").replace("::", ".");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut command = Command::new("strace");
    // The tracer is no parent, so the process that is started is the program.
    command.args(["-D", "-ff", "-q", "-e", "raw=!execve", "-o"]);
    command.arg(Path::new(&traces).join(format!("{test}-{number}")));
    if user == As::Nobody {
        command.args(["-u", "nobody"]);
    }
    command.arg(binary);
    command
}

/// The program as it was built: cargo's, or the one that the environment names, for tests that are run where nothing is
/// built.
pub(crate) fn built() -> PathBuf {
    std::env::var_os("ACME_TEST_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_acme-client").into(), PathBuf::from)
}

/// The program where everybody can start it.
pub(crate) fn binary() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        remove_stale_copies();
        for_everybody(built(), "acme-client")
    })
}

/// A program where everybody can start it: as it is, or a copy, for the directory it is built in may be private.
///
/// Copies are made only where they have to be: to an emulator each is another program, to be translated from the start.
pub(crate) fn for_everybody(program: PathBuf, name: &str) -> PathBuf {
    let open = |path: &Path| fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o005 == 0o005);
    if program.is_absolute() && program.ancestors().all(open) {
        return program;
    }
    let copy = shared_directory().join(name);
    fs::copy(&program, &copy).expect("copied");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("a mode");
    copy
}

/// A directory for what everybody has to be able to read.
pub(crate) fn shared_directory() -> PathBuf {
    let path = std::env::temp_dir().join(format!("acme-client-test-{}", std::process::id()));
    fs::create_dir_all(&path).expect("made");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    path
}

/// Nobody is there to remove the copy when tests end, so the next ones do.
fn remove_stale_copies() {
    for entry in fs::read_dir(std::env::temp_dir()).expect("a directory").flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix("acme-client-test-")) else { continue };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// All files beneath a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else { return found };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Waits until something is so, and not for ever.
pub(crate) fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
