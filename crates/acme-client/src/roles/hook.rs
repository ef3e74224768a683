//! hook: runs the configured commands, after a new certificate is in place.
//!
//! The one role that is not sealed, since what it starts would inherit the seal. It reads nothing that comes from
//! outside: from the supervisor alone, and of that an index into its commands and names of certificates.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis::Sandbox;
use serde::{Deserialize, Serialize};

use crate::messages::{Check, FromRole, RoleSetup, ToRole, fitting};
use crate::role::{Actor, Control, Links, Stop, Wake};
use crate::roles::Role;

/// What hook is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HookSetup {
    /// The commands: a program and its arguments each.
    pub(crate) commands: Vec<Vec<String>>,
    /// Names of the certificates of this run. No other is passed on to a command.
    pub(crate) names: Vec<String>,
    /// Where the certificates in use are.
    pub(crate) live: String,
    /// The environment of the commands.
    pub(crate) environment: Vec<(String, String)>,
}

/// The role.
#[derive(Debug)]
pub(crate) struct Hook(HookSetup);

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of what a command says is kept.
const MAX_OUTPUT: usize = 4096;

impl Actor for Hook {
    const ROLE: Role = Role::Hook;

    fn acquire(setup: RoleSetup, _: &mut Links, sandbox: Sandbox) -> Result<(Self, Sandbox), Stop> {
        let RoleSetup::Hook(setup) = setup else { return Err(Stop::own("was set up as another role")) };
        Ok((Self(setup), sandbox))
    }

    fn serve(self, control: &Control) -> Result<(), Stop> {
        loop {
            match control.wait(&[], None)? {
                Wake::Order(ToRole::Run(index, names)) => {
                    let (ok, text) = match self.run(index, &names) {
                        Ok(text) => (true, text),
                        Err(text) => (false, text),
                    };
                    control.tell(&FromRole::Ran(index, ok, fitting(&text)))?;
                }
                Wake::Order(order) => return Err(Control::unexpected(&order)),
                Wake::Ready(_) | Wake::Nothing => {}
            }
        }
    }

    fn canary(&mut self) -> Result<(), String> {
        // It is not sealed, so there is nothing to be tried out.
        Ok(())
    }

    fn self_test(&mut self) -> Vec<Check> {
        self.0
            .commands
            .iter()
            .filter_map(|command| command.first())
            .map(|program| Check {
                what: "its command is there".into(),
                ok: std::path::Path::new(program).exists(),
                detail: program.clone(),
            })
            .collect()
    }
}

impl Hook {
    fn run(&self, index: u32, names: &[String]) -> Result<String, String> {
        let command = usize::try_from(index).ok().and_then(|at| self.0.commands.get(at));
        let [program, arguments @ ..] = command.ok_or("there is no such command")?.as_slice() else {
            return Err("the command is empty".to_owned());
        };
        if let Some(foreign) = names.iter().find(|name| !self.0.names.contains(name)) {
            return Err(format!("{foreign} is not a certificate of this run"));
        }
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.0.environment.iter().map(|(name, value)| (name, value)))
            .env("ACME_CLIENT_NAMES", names.join(" "))
            .env("ACME_CLIENT_LIVE", &self.0.live)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // So that it can be ended together with what it starts.
            .process_group(0);
        let mut child = privsep::spawn(&mut command)
            .map_err(|error| format!("{program} cannot be started: {}", crate::error::reason(&error)))?;
        wait(&mut child, program)
    }
}

/// Waits for a command, and ends it when it takes too long.
fn wait(child: &mut Child, program: &str) -> Result<String, String> {
    let until = Instant::now() + PATIENCE;
    let mut said = Said { stderr: child.stderr.take(), bytes: Vec::new() };
    let status = loop {
        said.listen(Duration::from_millis(10));
        match child.try_wait().map_err(|error| format!("{program}: {error}"))? {
            Some(status) => break status,
            None if Instant::now() < until => {}
            None => {
                if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
                    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                }
                let _ = child.wait();
                return Err(format!("{program} took longer than {} seconds and was ended", PATIENCE.as_secs()));
            }
        }
    };
    if status.success() {
        return Ok(String::new());
    }
    // A command may leave something in the background that holds its standard error: its end is not waited for.
    said.listen(Duration::ZERO);
    let text = String::from_utf8_lossy(&said.bytes);
    let text = text.trim();
    Err(format!("{program} failed ({status}){}{text}", if text.is_empty() { "" } else { ": " }))
}

/// What a command says on standard error, as far as it is kept. Without a thread to read it: some sandboxes have none to
/// give.
struct Said {
    stderr: Option<ChildStderr>,
    bytes: Vec<u8>,
}

impl Said {
    /// Waits for more, at most for so long, and takes what there is.
    fn listen(&mut self, patience: Duration) {
        let Some(stderr) = &mut self.stderr else { return std::thread::sleep(patience) };
        let mut patience = patience;
        let mut buffer = [0; 4096];
        // Not for ever: the command's time is limited.
        for _ in 0..16 {
            if !privsep::wait_readable(&[stderr.as_fd()], Some(patience)).is_ok_and(|ready| !ready.is_empty()) {
                return;
            }
            match stderr.read(&mut buffer) {
                Ok(0) | Err(_) => {
                    self.stderr = None;
                    return;
                }
                Ok(got) => {
                    // Read on, so that a talkative command is not ended by a closed pipe.
                    let room = MAX_OUTPUT.saturating_sub(self.bytes.len());
                    self.bytes.extend_from_slice(&buffer[..got.min(room)]);
                    patience = Duration::ZERO;
                }
            }
        }
    }
}
