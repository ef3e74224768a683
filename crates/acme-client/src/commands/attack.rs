//! `attack`: what somebody would try who has taken over a role, tried in every role. Built for tests only.
//!
//! Each case has roles of its own, started and sealed for real in a directory that is removed afterwards, and looked at
//! from outside: what must not change has not changed. The supervisor is attacked in a process of its own, since it is
//! this program that would be sealed.

mod ground;
mod table;

use std::process::Command;
use std::time::Duration;

use attacks::{Attempt, Target, Tried, Verdict};

use crate::attack::{Attack, Known, forged, frames, may_tell};
use crate::cli::Attack as Options;
use crate::commands::Outcome;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::messages::{FromRole, ToRole};
use crate::roles::Role;
use crate::run::crew::{Crew, Event, SIGSYS};
use crate::run::watch;
use crate::ui::Ui;
use ground::Ground;
use table::Table;

/// The roles that are attacked from inside, besides the supervisor.
const ROLES: [Role; 6] = [Role::Net, Role::Dial, Role::Account, Role::Key, Role::Challenge, Role::Store];

/// How long a role may take for its part of a case.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is wanted of the table.
#[derive(Debug)]
struct Wanted<'a> {
    role: Option<Role>,
    name: &'a str,
    quick: bool,
    share: (usize, usize),
}

impl Wanted<'_> {
    fn roles(&self) -> impl Iterator<Item = Role> + Clone {
        let wanted = self.role;
        ROLES.into_iter().filter(move |role| wanted.is_none_or(|wanted| wanted == *role))
    }

    fn has(&self, role: Role) -> bool {
        self.role.is_none_or(|wanted| wanted == role)
    }

    fn names(&self, name: &str) -> bool {
        name.contains(self.name)
    }

    /// The attempts that must end a process, for one run of all roles after the other: which role makes which. Each role
    /// makes all of them, or they make them in turn.
    fn ended(&self) -> Vec<Vec<(Role, Attempt)>> {
        let attempts = attacks::ended().into_iter().filter(|attempt| self.names(attempt.name));
        let roles: Vec<Role> = self.roles().collect();
        if self.quick {
            // One more stays for the supervisor.
            let attempts: Vec<Attempt> = attempts.collect();
            let runs = attempts.chunks(roles.len() + 1);
            let all = runs.len();
            let runs = runs.enumerate().filter(|(at, _)| self.is_mine(*at, all)).map(|(_, run)| run);
            return runs.map(|run| roles.iter().copied().zip(run.iter().copied()).collect()).collect();
        }
        attempts.map(|attempt| roles.iter().map(|role| (*role, attempt)).collect()).collect()
    }

    /// Those that the supervisor makes.
    fn ended_in_supervisor(&self) -> Vec<Attempt> {
        let attempts = attacks::ended().into_iter().filter(|attempt| self.names(attempt.name));
        let (others, step) = if self.quick { (self.roles().count(), self.roles().count() + 1) } else { (0, 1) };
        let attempts: Vec<Attempt> = attempts.skip(others).step_by(step).collect();
        let all = attempts.len();
        attempts.into_iter().enumerate().filter(|(at, _)| self.is_mine(*at, all)).map(|(_, attempt)| attempt).collect()
    }

    /// Whether a run, of so many, is one of those that are wanted. There is one in every share.
    fn is_mine(&self, at: usize, all: usize) -> bool {
        let of = self.share.1.min(all).max(1);
        at % of == self.share.0 % of
    }
}

/// Attacks, and shows what came of it.
pub(crate) fn run(config: &Config, options: &Options, ui: &Ui) -> Result<Outcome> {
    let role = options.role.as_deref().map(|name| {
        Role::named(name)
            .filter(|role| *role != Role::Hook)
            .ok_or_else(|| Error::usage(format!("there is no role {name} to be attacked")))
    });
    let wanted = Wanted {
        role: role.transpose()?,
        name: &options.name,
        quick: options.quick,
        share: options.share.unwrap_or((0, 1)),
    };
    if let Some(place) = &options.place {
        return supervisor(&Ground::again(config, place)?, &wanted, ui);
    }
    let ground = Ground::new(config)?;
    let mut table = Table::default();
    // Keys and directories that every run makes are made before anything is compared.
    ground.crew()?.end()?;
    let before = ground.snapshot();

    calls(&ground, &wanted, &mut table)?;
    table.unchanged("after attacks by system calls", &before, &ground.snapshot());
    if config.sandbox.off {
        // The rest would be no different: it is not the sandbox that holds it.
        return Ok(table.show(ui));
    }
    ended(&ground, &wanted, &mut table)?;
    if wanted.quick {
        if wanted.has(Role::Supervisor) {
            from_outside(&ground, &wanted, &mut table)?;
        }
        table.unchanged("after attacks by system calls", &before, &ground.snapshot());
        return Ok(table.show(ui));
    }
    forge(&ground, &wanted, &mut table)?;
    sideways(&ground, &wanted, &mut table)?;
    if wanted.has(Role::Net) {
        rounds_of_frames(&ground, &wanted, &mut table)?;
        table.unchanged("after calls, forged messages and frames", &before, &ground.snapshot());
        peers(&ground, &wanted, Attack::Peers(ground.known()), &mut table)?;
        table.unchanged("after requests to the other roles", &before, &ground.snapshot().without_new_keys());
    } else {
        table.unchanged("after calls and forged messages", &before, &ground.snapshot());
    }
    if wanted.has(Role::Supervisor) {
        let before = ground.snapshot();
        from_outside(&ground, &wanted, &mut table)?;
        table.unchanged("after attacks from the supervisor", &before, &ground.snapshot());
    }
    if wanted.has(Role::Net) {
        // Last, since these may change something.
        peers(&ground, &wanted, Attack::Powers(ground.known()), &mut table)?;
    }
    Ok(table.show(ui))
}

/// All attempts by system calls that leave a role alive: one role after the other, in one run.
fn calls(ground: &Ground, wanted: &Wanted<'_>, table: &mut Table) -> Result<()> {
    let mut crew = ground.crew()?;
    for role in wanted.roles() {
        let attack = Attack::Calls(ground.target(role, &crew), wanted.name.to_owned());
        crew.tell(role, &ToRole::Attack(Box::new(attack)))?;
        collect(&mut crew, role, table)?;
    }
    // Whoever was harmed would not end in order.
    crew.end()
}

/// What a role tells until it is done.
fn collect(crew: &mut Crew, role: Role, table: &mut Table) -> Result<()> {
    loop {
        match crew.next(Some(PATIENCE))? {
            Event::Told(from, FromRole::Attacked(tried)) if from == role => table.add(role, tried),
            Event::Told(from, FromRole::Drilled) if from == role => return Ok(()),
            Event::Told(Role::Account, FromRole::Thumbprint(_)) | Event::Told(_, FromRole::Log(..)) => {}
            // Only where nothing is claimed: it is told of by net as well.
            Event::Told(Role::Store, FromRole::Committed(..)) => {}
            Event::Said(from, line) => crate::ui::said(from, &line),
            Event::Nothing => return Err(Error::failed(format!("the {role} process does not finish its attack"))),
            event => return Err(crew.end_badly(event)),
        }
    }
}

/// Attempts that must end the process: one in each role at a time.
fn ended(ground: &Ground, wanted: &Wanted<'_>, table: &mut Table) -> Result<()> {
    for run in wanted.ended() {
        let mut crew = ground.crew()?;
        for (role, attempt) in &run {
            let attack = Attack::Call(ground.target(*role, &crew), attempt.name.to_owned());
            crew.tell(*role, &ToRole::Attack(Box::new(attack)))?;
        }
        let mut going: Vec<Role> = run.iter().map(|(role, _)| *role).collect();
        let mut survived: Vec<(Role, Tried)> = Vec::new();
        while !going.is_empty() {
            match crew.next(Some(PATIENCE))? {
                Event::Gone(role) | Event::Told(role, FromRole::Drilled) => going.retain(|other| *other != role),
                Event::Told(role, FromRole::Attacked(tried)) => survived.push((role, tried)),
                Event::Said(..) | Event::Told(_, FromRole::Log(..)) => {}
                event => return Err(crew.end_badly(event)),
            }
        }
        let words = crew.end().err().map(|error| error.to_string()).unwrap_or_default();
        for (role, attempt) in run {
            let ended = words.contains(&format!("the {role} process made a system call that no honest library makes"));
            let tried = match survived.iter().find(|(survivor, _)| *survivor == role) {
                Some((_, tried)) => tried.clone(),
                None if ended => attempt.told("ended by SIGSYS".to_owned(), Verdict::Held),
                None if words.contains(role.name()) => attempt.told(words.clone(), Verdict::Odd),
                None => attempt.told("there is no such call on this architecture".to_owned(), Verdict::NotHere),
            };
            table.add(role, tried);
        }
    }
    Ok(())
}

/// What a role has no business to tell the supervisor: one run each.
fn forge(ground: &Ground, wanted: &Wanted<'_>, table: &mut Table) -> Result<()> {
    for role in wanted.roles() {
        for (number, (what, _)) in forged().iter().enumerate() {
            let name = format!("tell-supervisor-{what}");
            if may_tell(role, what) || !wanted.names(&name) {
                continue;
            }
            let crew = ground.crew()?;
            crew.tell(role, &ToRole::Attack(Box::new(Attack::Forge(number))))?;
            let (happened, verdict) = must_fail(ground, crew, "out of turn");
            table.add(
                role,
                Tried {
                    name,
                    wants: "the supervisor to believe it".to_owned(),
                    must: "the supervisor ends the run".to_owned(),
                    happened,
                    verdict,
                },
            );
        }
    }
    Ok(())
}

/// What roles other than net send to their peers: one run each, in which everybody else works.
fn sideways(ground: &Ground, wanted: &Wanted<'_>, table: &mut Table) -> Result<()> {
    for (number, (role, peer, what, wants)) in frames::SIDEWAYS.iter().enumerate() {
        if !wanted.has(*role) || !wanted.names(what) {
            continue;
        }
        let crew = ground.crew()?;
        crew.tell(*role, &ToRole::Attack(Box::new(Attack::Sideways(number))))?;
        for other in ROLES.iter().filter(|other| *other != role) {
            crew.tell(*other, &ToRole::Go)?;
        }
        let (happened, verdict) = must_fail(ground, crew, &format!("{peer}: "));
        let must = format!("{peer} ends the run");
        table.add(
            *role,
            Tried { name: format!("{what}-from-{role}"), wants: (*wants).to_owned(), must, happened, verdict },
        );
    }
    Ok(())
}

/// Watches a run as the supervisor does: it must fail, in words that contain these.
fn must_fail(ground: &Ground, mut crew: Crew, words: &str) -> (String, Verdict) {
    let mut quiet = Ui::new(false, true);
    match watch::watch(&mut crew, &ground.names(), &mut quiet) {
        Err(error) if error.to_string().contains(words) => (error.to_string(), Verdict::Held),
        Err(error) => (error.to_string(), Verdict::Odd),
        Ok(_) => ("SUCCEEDED: the run went on".to_owned(), Verdict::Succeeded),
    }
}

/// Bytes that are no message, from net to each of the others: one run for each round.
fn rounds_of_frames(ground: &Ground, wanted: &Wanted<'_>, table: &mut Table) -> Result<()> {
    if !wanted.name.is_empty() {
        return Ok(());
    }
    for number in 0..frames::rounds(&ground.known()) {
        let mut crew = ground.crew()?;
        crew.tell(Role::Net, &ToRole::Attack(Box::new(Attack::Frames(ground.known(), number))))?;
        for other in ROLES.iter().filter(|other| **other != Role::Net) {
            crew.tell(*other, &ToRole::Go)?;
        }
        loop {
            match crew.next(Some(PATIENCE))? {
                Event::Told(Role::Net, FromRole::Attacked(tried)) => table.add(Role::Net, tried),
                Event::Told(Role::Net, FromRole::Drilled) => break,
                // The others end, and say why.
                Event::Told(_, FromRole::Failed(_) | FromRole::Thumbprint(_) | FromRole::Log(..)) => {}
                Event::Gone(role) if role != Role::Net => {}
                Event::Said(from, line) => crate::ui::said(from, &line),
                event => return Err(crew.end_badly(event)),
            }
        }
        crew.end()?;
    }
    Ok(())
}

/// Requests of net to the others, which go on working.
fn peers(ground: &Ground, wanted: &Wanted<'_>, attack: Attack, table: &mut Table) -> Result<()> {
    if !wanted.name.is_empty() {
        return Ok(());
    }
    let mut crew = ground.crew()?;
    for other in ROLES.iter().filter(|other| **other != Role::Net) {
        crew.tell(*other, &ToRole::Go)?;
    }
    crew.tell(Role::Net, &ToRole::Attack(Box::new(attack)))?;
    collect(&mut crew, Role::Net, table)?;
    crew.end()
}

/// The supervisor's part, in processes of its own: one for the attempts that leave it alive, one each for the others.
fn from_outside(ground: &Ground, wanted: &Wanted<'_>, table: &mut Table) -> Result<()> {
    let line = |name: &str| {
        let program = std::env::current_exe().map_err(|error| Error::failed(format!("cannot start again: {error}")))?;
        let mut command = Command::new(program);
        command.args(["attack", "--json", "--role", Role::Supervisor.name(), "--name", name, "--config", "/dev/null"]);
        command.args(["--directory", ground.known().directory.as_str()]).arg("--place").arg(ground.place());
        if let Some(roots) = ground.ca_file() {
            command.arg("--ca-file").arg(roots);
        }
        command.output().map_err(|error| Error::failed(format!("cannot start again: {error}")))
    };
    let failed = |output: &std::process::Output| {
        Error::failed(format!("the supervisor's part failed: {}", String::from_utf8_lossy(&output.stderr)))
    };
    let output = line(&format!("={}", wanted.name))?;
    if !output.status.success() {
        return Err(failed(&output));
    }
    for told in String::from_utf8_lossy(&output.stdout).lines() {
        let tried = serde_json::from_str(told);
        table.add(Role::Supervisor, tried.map_err(|error| Error::failed(format!("the supervisor's part: {error}")))?);
    }
    for attempt in wanted.ended_in_supervisor() {
        use std::os::unix::process::ExitStatusExt as _;
        let output = line(attempt.name)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let tried = match (output.status.signal(), serde_json::from_str::<Tried>(said.trim())) {
            (Some(SIGSYS), _) => attempt.told("ended by SIGSYS".to_owned(), Verdict::Held),
            (_, Ok(tried)) => tried,
            (_, Err(_)) => attempt.told(format!("{} {}", output.status, failed(&output)), Verdict::Odd),
        };
        table.add(Role::Supervisor, tried);
    }
    Ok(())
}

/// In the process that is to be attacked: seals itself as the supervisor does, with a child, and attacks. A name with
/// `=` before it is of attempts that leave it alive.
fn supervisor(ground: &Ground, wanted: &Wanted<'_>, ui: &Ui) -> Result<Outcome> {
    let mut crew = ground.crew_of_one()?;
    let target: Target = ground.target(Role::Supervisor, &crew);
    crew.seal_supervisor(&ground.terms())?;
    let print = |tried: &Tried| {
        let json = serde_json::to_string(tried).map_err(|error| Error::failed(error.to_string()))?;
        ui.print(&json);
        Ok(())
    };
    match wanted.name.strip_prefix('=') {
        Some(name) => attacks::batch(&target)
            .iter()
            .filter(|attempt| attempt.name.contains(name))
            .try_for_each(|attempt| print(&attempt.tried(&target)))?,
        None => attacks::named(wanted.name, &target).iter().try_for_each(|attempt| print(&attempt.tried(&target)))?,
    }
    crew.end()?;
    Ok(Outcome::Done)
}

/// What is known of the run inside it.
impl Ground {
    fn known(&self) -> Known {
        let [first, second] = self.definitions();
        Known { directory: self.directory().clone(), names: first.names.clone(), others: second.names.clone() }
    }
}
