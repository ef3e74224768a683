//! hook: runs the configured commands, after a new certificate is in place.
//!
//! The one role that is not sealed, since what it starts would inherit the seal. It reads nothing that comes from
//! outside: from the supervisor alone, and of that an index into its commands and names of certificates.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
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
const MAX_OUTPUT: u64 = 4096;

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
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.0.environment.iter().map(|(name, value)| (name, value)))
            .env("ACME_CLIENT_NAMES", names.join(" "))
            .env("ACME_CLIENT_LIVE", &self.0.live)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // So that it can be ended together with what it starts.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{program} cannot be started: {}", crate::error::reason(&error)))?;
        wait(&mut child, program)
    }
}

/// Waits for a command, and ends it when it takes too long.
fn wait(child: &mut Child, program: &str) -> Result<String, String> {
    let until = Instant::now() + PATIENCE;
    let stderr = child.stderr.take();
    let said = std::thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.by_ref().take(MAX_OUTPUT).read_to_end(&mut said);
            // Read on, so that a talkative command is not ended by a closed pipe.
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        }
        String::from_utf8_lossy(&said).trim().to_owned()
    });
    let status = loop {
        match child.try_wait().map_err(|error| format!("{program}: {error}"))? {
            Some(status) => break status,
            None if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
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
    // A command may leave something in the background that holds its standard error: what it said is not waited for.
    let said = if said.is_finished() { said.join().unwrap_or_default() } else { String::new() };
    Err(format!("{program} failed ({status}){}{said}", if said.is_empty() { "" } else { ": " }))
}
