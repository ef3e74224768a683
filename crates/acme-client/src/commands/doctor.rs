//! `doctor`: what holds each process on this machine.
//!
//! Nothing here is taken from a table: the roles are started and sealed for real, in a directory of their own, the
//! kernel is asked what it makes of them, and each tries out what it is for and what it must not do.

use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use acme::{Identifier, Url};
use portcullis::{Layer, LayerReport, Outcome as LayerOutcome};
use serde::Serialize;

use crate::cli::{Doctor, DrillKind};
use crate::commands::Outcome;
use crate::config::{Config, Definition, Method};
use crate::crypto::key::KeyType;
use crate::error::{Error, Result};
use crate::messages::{Check, Drill, Failed, FromRole, SandboxMode, ToRole};
use crate::roles::{self, Role};
use crate::run::crew::{Crew, Event, Terms};
use crate::run::kernel::{self, KernelView};
use crate::run::plan::{Job, Scene, deadline};
use crate::run::records::Machine;
use crate::run::watch;
use crate::state::State;
use crate::ui::Ui;

/// What is found out about one role.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RoleView {
    role: &'static str,
    job: &'static str,
    pid: i32,
    calls_allowed: Option<usize>,
    layers: Vec<(String, String, String)>,
    /// What its rehearsal took back: layer, what is left, why.
    lowered: Vec<(String, String, String)>,
    /// With `--trace`: calls that it is refused at its work.
    refused: Option<Vec<String>>,
    kernel: Option<KernelView>,
    tests: Vec<(bool, String, String)>,
}

/// Starts the roles, asks the kernel and them.
pub(crate) fn run(config: &Config, options: &Doctor, ui: &Ui) -> Result<Outcome> {
    let drill = match (&options.role, options.drill) {
        (Some(name), Some(kind)) => Some((drilled(name)?, kind)),
        _ => None,
    };
    let Some(place) = &options.place else { return from_outside() };
    // Before anything is given up: afterwards this process could not tell.
    let machine = portcullis::machine();
    examine(config, options, drill, place, &machine, ui)
}

/// Has a process of its own do all this: it is sealed in the end, and could not clear up after itself.
fn from_outside() -> Result<Outcome> {
    let place = Place::make()?;
    let failed = |error| Error::failed(format!("doctor cannot start: {error}"));
    let program = privsep::own_program().map_err(failed)?;
    let mut inside = Command::new(program);
    inside.args(std::env::args_os().skip(1)).arg("--place").arg(&place.0);
    let status = privsep::spawn(&mut inside).and_then(|mut child| child.wait());
    match status.map_err(failed)?.code() {
        Some(0) => Ok(Outcome::Done),
        Some(_) => Ok(Outcome::Failed),
        None => Err(Error::failed("the supervisor was killed")),
    }
}

fn examine(
    config: &Config,
    options: &Doctor,
    drill: Option<(Vec<Role>, DrillKind)>,
    place: &Path,
    machine: &[LayerReport],
    ui: &Ui,
) -> Result<Outcome> {
    // dial is to connect to something that is there: a listener of our own, on loopback.
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| Error::failed(format!("no loopback: {error}")))?;
    let address = listener.local_addr().map_err(|error| Error::failed(error.to_string()))?;
    let directory = Url::parse(&format!("https://{address}/")).map_err(|error| Error::failed(error.to_string()))?;
    let config = Config {
        state: place.join("state"),
        directory: directory.clone(),
        allow_hosts: Vec::new(),
        contact: Vec::new(),
        certificates: Vec::new(),
        sandbox: SandboxMode { trace: options.trace, ..config.sandbox.clone() },
        path: None,
        ca_file: config.ca_file.clone(),
        ..*config
    };
    let state = State::new(&config.state, config.uid_base);
    state.prepare(&directory)?;
    let definition = definition(place)?;
    let lock =
        state.lock(&definition.name, State::patience())?.ok_or_else(|| Error::failed("a lock nobody holds is held"))?;
    let pending = state.begin(&definition, &directory)?;
    let jobs = [Job { definition, live: None, pending, lock }];
    let scene = Scene::new(&config, &state)?;
    let terms = Terms {
        state: &state,
        sandbox: &config.sandbox,
        command: "doctor",
        verbose: ui.verbose(),
        deadline: deadline(1),
    };
    // A command that every machine has, for hook to look whether it is there: some have no /bin/true.
    let own = privsep::own_program().map_err(|error| Error::failed(format!("doctor cannot start: {error}")))?;
    let hooks = [vec![std::fs::canonicalize(&own).unwrap_or(own).to_string_lossy().into_owned()]];
    let mut crew = Crew::start(scene.issue(&jobs, &hooks)?, &terms)?;

    if let Some((roles, kind)) = drill {
        let patience = Duration::from_secs(30);
        let mut mishaps = Vec::new();
        match roles[..] {
            [role] => {
                crew.tell(role, &ToRole::Drill(kind.into()))?;
                watch::ask(&mut crew, role, patience, |told| matches!(told, FromRole::Drilled))?;
            }
            _ => mishaps = drill_together(&mut crew, roles.clone(), kind, patience)?,
        }
        crew.end()?;
        if !mishaps.is_empty() {
            return Err(Error::failed(mishaps.join("; ")));
        }
        roles.iter().for_each(|role| ui.print(&format!("{role}: nothing came of it")));
        return Ok(Outcome::Done);
    }

    let mut views = views(&crew);
    for view in &mut views {
        let role = Role::named(view.role).ok_or_else(|| Error::failed("a role without a name"))?;
        let sealed = role.spec().promises.is_some();
        view.refused = (options.trace && sealed).then(|| crew.named(role).to_vec());
        if role == Role::Dial {
            // dial is tested by net as well, which would talk to both at a time.
            continue;
        }
        view.tests = test(&mut crew, role)?;
    }
    if let Some(view) = views.iter_mut().find(|view| view.role == Role::Dial.name()) {
        view.tests = test(&mut crew, Role::Dial)?;
    }
    // The supervisor last: after that nothing can be looked up any more.
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    let status = crew.seal_supervisor(&terms)?;
    views.insert(0, view(Role::Supervisor, me, Some(&status), None));
    crew.end()?;
    show(machine, &views, ui)
}

/// Who is to come to grief.
fn drilled(name: &str) -> Result<Vec<Role>> {
    if name == "all" {
        let sealed = roles::TABLE.iter().filter(|spec| spec.promises.is_some()).map(|spec| spec.role);
        return Ok(sealed.filter(|role| *role != Role::Supervisor).collect());
    }
    let role = Role::named(name).filter(|role| *role != Role::Supervisor);
    role.map(|role| vec![role]).ok_or_else(|| Error::usage(format!("there is no role {name} to be drilled")))
}

/// All at a time, and each is heard out: that others notice who is gone is no part of it. What there was besides what the
/// ends of the processes tell.
fn drill_together(crew: &mut Crew, mut going: Vec<Role>, kind: DrillKind, patience: Duration) -> Result<Vec<String>> {
    let mut mishaps = Vec::new();
    going.iter().try_for_each(|role| crew.tell(*role, &ToRole::Drill(kind.into())))?;
    while !going.is_empty() {
        match crew.next(Some(patience))? {
            Event::Told(from, FromRole::Log(_, text)) => crate::ui::said(from, &privsep::printable(&text)),
            Event::Said(from, line) => crate::ui::said(from, &line),
            Event::Told(role, FromRole::Drilled) => going.retain(|other| *other != role),
            Event::Gone(role) if going.contains(&role) => {
                mishaps.push(format!("the {role} process ended without a word"));
                going.retain(|other| *other != role);
            }
            Event::Told(role, FromRole::Failed(Failed::Own(text))) => {
                mishaps.push(format!("{role}: {}", privsep::printable(&text)));
                going.retain(|other| *other != role);
            }
            Event::Gone(_) => {}
            Event::Told(_, FromRole::Failed(Failed::Peer(_))) => {}
            Event::Interrupted => return Err(crew.interrupted()),
            Event::Nothing => return Err(Error::failed("some roles do not answer")),
            event @ (Event::Told(..) | Event::Misbehaved(_)) => return Err(crew.end_badly(event)),
        }
    }
    Ok(mishaps)
}

fn definition(place: &Path) -> Result<Definition> {
    let name = Identifier::parse("doctor.example").map_err(|error| Error::failed(error.to_string()))?;
    Ok(Definition {
        name: name.to_string(),
        names: vec![name],
        method: Method::Webroot(place.join("webroot")),
        key_type: KeyType::P256,
        reuse_key: false,
        profile: None,
        hooks: Vec::new(),
    })
}

fn test(crew: &mut Crew, role: Role) -> Result<Vec<(bool, String, String)>> {
    crew.tell(role, &ToRole::SelfTest)?;
    match watch::ask(crew, role, Duration::from_secs(150), |told| matches!(told, FromRole::Tested(_)))? {
        FromRole::Tested(checks) => {
            Ok(checks.into_iter().map(|Check { what, ok, detail }| (ok, what, detail)).collect())
        }
        _ => Err(Error::failed(format!("the {role} process told something else than asked"))),
    }
}

/// What each role reported, and what the kernel says.
fn views(crew: &Crew) -> Vec<RoleView> {
    crew.reports().map(|(role, pid, report)| view(role, pid, report, kernel::view(pid))).collect()
}

fn view(role: Role, pid: i32, report: Option<&portcullis::Report>, kernel: Option<KernelView>) -> RoleView {
    let layers = report.map(|report| report.layers.as_slice()).unwrap_or_default();
    RoleView {
        role: role.name(),
        job: role.spec().job,
        pid,
        calls_allowed: report.map(|report| report.calls_allowed),
        layers: layers
            .iter()
            .map(|layer| (layer.layer.to_string(), layer.outcome.word().to_owned(), layer.outcome.text().to_owned()))
            .collect(),
        lowered: report
            .iter()
            .flat_map(|report| &report.lowered)
            .map(|lowered| (lowered.layer.to_string(), lowered.left.clone(), privsep::printable(&lowered.why)))
            .collect(),
        refused: None,
        kernel,
        tests: Vec::new(),
    }
}

/// What programs may want to know of the machine, without reading words for people.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Abilities {
    /// Whether calls can be filtered.
    seccomp: bool,
    /// Whether somebody else can be told of refused calls, and answer them.
    user_notification: bool,
    /// The version of Landlock.
    landlock: Option<u32>,
    /// Whether memory can be kept from becoming executable.
    mdwe: bool,
}

impl Abilities {
    fn of(machine: &[LayerReport]) -> Self {
        let outcome = |layer| machine.iter().find(|report| report.layer == layer).map(|report| &report.outcome);
        let has = |layer| matches!(outcome(layer), Some(LayerOutcome::Enforced(_) | LayerOutcome::Partial(_)));
        Self {
            seccomp: has(Layer::Seccomp),
            user_notification: outcome(Layer::Seccomp).is_some_and(LayerOutcome::notifies),
            landlock: outcome(Layer::Landlock).and_then(LayerOutcome::version),
            mdwe: has(Layer::Mdwe),
        }
    }
}

fn show(machine: &[LayerReport], views: &[RoleView], ui: &Ui) -> Result<Outcome> {
    let failed = views.iter().flat_map(|view| &view.tests).filter(|(ok, _, _)| !ok).count();
    if ui.json() {
        let abilities = Abilities::of(machine);
        let machine: Vec<_> = machine
            .iter()
            .map(|layer| (layer.layer.to_string(), layer.outcome.word(), layer.outcome.text().to_owned()))
            .collect();
        let json = serde_json::json!({
            "version": 1,
            "command": "doctor",
            "on": Machine::here(),
            "abilities": abilities,
            "machine": machine,
            "roles": views,
            "failed-tests": failed,
        });
        ui.print(&json.to_string());
    } else {
        ui.print("What this machine offers:");
        machine.iter().for_each(|layer| ui.print(&format!("  {layer}")));
        views.iter().for_each(|view| print(view, ui));
        ui.print("");
        ui.print(&match failed {
            0 => ui.good("Every test went as it should."),
            failed => ui.bad(&format!("{failed} tests did not go as they should.")),
        });
    }
    Ok(if failed == 0 { Outcome::Done } else { Outcome::Failed })
}

fn print(view: &RoleView, ui: &Ui) {
    ui.print("");
    ui.print(&format!("{} (process {}): {}", view.role, view.pid, view.job));
    match view.calls_allowed {
        None => ui.print("  not sealed: what it starts would inherit the seal"),
        Some(0) => ui.print("  system calls are not filtered"),
        Some(count) => ui.print(&format!("  {count} system calls allowed")),
    }
    for (layer, word, text) in &view.layers {
        ui.print(&format!("  {layer:<17}  {word:<11}  {text}"));
    }
    for (layer, left, why) in &view.lowered {
        ui.print(&format!("  {} {layer}; what is left of it: {left}. {why}", ui.bad("does without")));
    }
    if let Some(refused) = &view.refused {
        let none = || "none".to_owned();
        let names = if refused.is_empty() { none() } else { refused.join(", ") };
        ui.print(&format!("  calls that it is refused at its work: {names}"));
    }
    if let Some(kernel) = &view.kernel {
        ui.print(&format!(
            "  the kernel says: Seccomp {}, NoNewPrivs {}, CapEff {}, Uid {}, root {}",
            kernel.seccomp, kernel.no_new_privs, kernel.capabilities, kernel.uid, kernel.root
        ));
    }
    for (ok, what, detail) in &view.tests {
        let word = if *ok { ui.good("ok") } else { ui.bad("NOT OK") };
        ui.print(&format!("  {word}: {what} ({detail})"));
    }
}

impl From<DrillKind> for Drill {
    fn from(kind: DrillKind) -> Self {
        match kind {
            DrillKind::Panic => Self::Panic,
            DrillKind::Allocate => Self::Allocate,
            DrillKind::Log => Self::Log,
            DrillKind::Fail => Self::Fail,
            DrillKind::Forbidden => Self::Forbidden,
            DrillKind::Vanish => Self::Vanish,
            DrillKind::OutOfTurn => Self::OutOfTurn,
            DrillKind::Garbage => Self::Garbage,
            DrillKind::TooLong => Self::TooLong,
        }
    }
}

/// A directory for as long as something is tried out.
#[derive(Debug)]
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    /// Makes it, with an empty webroot in it.
    pub(crate) fn make() -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("acme-client-{}-{}", std::process::id(), now.as_nanos());
        let path = std::env::temp_dir().join(name);
        let make = |path: &Path, mode| {
            let made = std::fs::DirBuilder::new().mode(mode).create(path);
            made.map_err(|error| Error::file("create the directory", path, error))
        };
        make(&path, 0o711)?;
        let place = Self(path);
        make(&place.0.join("webroot"), 0o755)?;
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
