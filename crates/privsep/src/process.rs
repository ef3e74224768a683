//! Starting roles and seeing them end.

use core::fmt;
#[cfg(target_os = "linux")]
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, WaitOptions};

use crate::channel::{Channel, Message, pair};
use crate::log::Mouth;

/// Starts roles: the program's own binary, executed again.
#[derive(Debug)]
pub struct Launcher {
    title: &'static str,
    program: PathBuf,
    keep: Vec<(OsString, OsString)>,
}

/// Variables that decide whether and how a dynamically linked program starts at all. Everything else in the
/// environment is of no use to a role, and may be a secret.
const LINKER: [&str; 3] = ["LD_LIBRARY_PATH", "LD_PRELOAD", "GLIBC_TUNABLES"];

impl Launcher {
    /// A launcher for the program that is running. Its roles show as `TITLE: NAME` in a list of processes.
    ///
    /// # Errors
    /// The program cannot find its own file.
    pub fn new(title: &'static str) -> io::Result<Self> {
        let keep = LINKER.iter().filter_map(|name| Some((OsString::from(*name), std::env::var_os(name)?))).collect();
        Ok(Self { title, program: own_program()?, keep })
    }

    /// Starts the role `name`, with `arguments`, one channel (its standard input) and a pipe for its last words.
    ///
    /// The role is in a process group of its own, so that a `Ctrl-C` reaches the supervisor alone, which then ends the
    /// others in order. Its environment is empty but for what the dynamic linker needs.
    ///
    /// # Errors
    /// The operating system refuses a process or a descriptor.
    pub fn start<S: Message, R: Message>(&self, name: &'static str, arguments: &[&str]) -> io::Result<Role<S, R>> {
        let (ours, theirs) = pair()?;
        let (mouth, stderr) = io::pipe()?;
        rustix::io::ioctl_fionbio(&mouth, true)?;
        let mut command = Command::new(&self.program);
        command
            .arg0(format!("{}: {name}", self.title))
            .args(arguments)
            .env_clear()
            .envs(self.keep.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(stderr.try_clone()?))
            .stderr(Stdio::from(stderr))
            .process_group(0);
        let child = spawn(&mut command)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Role {
            process: Process { name, pid, mouth: Mouth::new(mouth.into()), ended: None },
            control: Channel::new(ours, name),
        })
    }
}

/// The file of the program that is running, to start it once more.
///
/// # Errors
/// Neither `/proc` nor the kernel's own note of it (`AT_EXECFN`) says which it is.
pub fn own_program() -> io::Result<PathBuf> {
    // The link and not what it points to: it stays right when the file is replaced by an upgrade in mid-run.
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() {
        return Ok(link);
    }
    #[cfg(target_os = "linux")]
    {
        // As it was given to execve(2), so that it is no name to be searched for, but perhaps a path from here.
        let path = std::path::Path::new(OsStr::from_bytes(rustix::param::linux_execfn().to_bytes()));
        if !path.as_os_str().is_empty() && path.exists() {
            return std::path::absolute(path);
        }
    }
    std::env::current_exe()
}

/// Starts a command, also where processes can be had by `fork` alone.
///
/// The standard library starts most commands by posix_spawn(3), which tries `clone3` first, and takes no other answer than
/// `ENOSYS` for a reason to try `clone`; older container managers answer `EPERM`.
///
/// # Errors
/// Those of [`Command::spawn`].
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    match command.spawn() {
        Err(error) if matches!(error.raw_os_error(), Some(EPERM | EINVAL)) => {
            // With a group to change to, if only to one's own, the library forks.
            command.gid(rustix::process::getegid().as_raw()).spawn()
        }
        other => other,
    }
}

const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();
const EINVAL: i32 = rustix::io::Errno::INVAL.raw_os_error();

/// A running role, as its supervisor sees it.
#[derive(Debug)]
pub struct Role<S, R> {
    /// Its process.
    pub process: Process,
    /// The channel between supervisor and role. A role ends when it is closed.
    pub control: Channel<S, R>,
}

impl<S, R> Role<S, R> {
    /// Says goodbye: closes the control channel and leaves the process, to be waited for.
    #[must_use]
    pub fn hang_up(self) -> Process {
        self.process
    }
}

/// A role's process, with or without a channel to it.
#[derive(Debug)]
pub struct Process {
    /// The role's name.
    pub name: &'static str,
    /// Its number.
    pub pid: Pid,
    /// What it says on standard error.
    pub mouth: Mouth,
    ended: Option<Ended>,
}

impl Process {
    /// How the process ended, if it has. Does not wait.
    ///
    /// # Errors
    /// The process is not (or no longer) a child of this one.
    pub fn ended(&mut self) -> io::Result<Option<Ended>> {
        if self.ended.is_none()
            && let Some((_, status)) = rustix::process::waitpid(Some(self.pid), WaitOptions::NOHANG)?
        {
            self.ended = Some(Ended(ExitStatus::from_raw(status.as_raw())));
        }
        Ok(self.ended)
    }

    /// Ends the process by force. Without the right to (it has a user of its own by then) this does nothing: such a
    /// process ends because its channels close, or by the deadline it was started with.
    pub fn kill(&self) {
        if self.ended.is_none() {
            // Best effort, see above; a process that is gone already is as good.
            let _ = rustix::process::kill_process(self.pid, rustix::process::Signal::KILL);
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended(ExitStatus);

impl Ended {
    /// Whether it ended by itself, with status 0.
    #[must_use]
    pub fn success(self) -> bool {
        self.0.success()
    }

    /// The exit status, unless a signal ended it.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        self.0.code()
    }

    /// The signal that ended it.
    #[must_use]
    pub fn signal(self) -> Option<i32> {
        self.0.signal()
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code(), self.signal()) {
            (Some(code), _) => write!(f, "ended with status {code}"),
            (None, Some(signal)) => write!(f, "was ended by signal {signal}"),
            (None, None) => write!(f, "ended"),
        }
    }
}

/// What a role finds when it starts: the channel to its supervisor.
#[derive(Debug)]
pub struct Startup<S, R> {
    /// The channel to the supervisor.
    pub control: Channel<S, R>,
}

impl<S: Message, R: Message> Startup<S, R> {
    /// Takes the control channel out of standard input, which becomes `/dev/null`.
    ///
    /// # Errors
    /// Standard input is not what [`Launcher::start`] makes it: the process was started by hand.
    pub fn take() -> io::Result<Self> {
        let stdin = rustix::stdio::stdin();
        Self::check(stdin)?;
        let control = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
        let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
        // Without /dev/null (an empty root) the end of a stream nobody writes to does as well.
        let null = null.or_else(|_| rustix::pipe::pipe().map(|(read, _write)| read))?;
        rustix::stdio::dup2_stdin(&null)?;
        Ok(Self { control: Channel::new(control, "supervisor") })
    }

    fn check(stdin: BorrowedFd<'_>) -> io::Result<()> {
        match rustix::net::sockopt::socket_type(stdin.as_fd()) {
            Ok(rustix::net::SocketType::STREAM) => Ok(()),
            Ok(_) | Err(_) => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "a role is started by its supervisor, not by hand"))
            }
        }
    }
}
