//! `broken`: sandboxes that lack a class of system calls that is needed, in turn. Each is noticed, on record by call, class and
//! place, and the program ends in a clear way.
//!
//! This is what shows that no records (`demo` and others) means that nothing was refused, and not that nobody looked.

use std::collections::BTreeSet;
use std::time::Instant;

use portcullis::Promise;
use serde_json::{Value, json};
use syscall_policy::Class;

use crate::doctor::declared;
use crate::program::{As, Ran};
use crate::scene::Scene;
use crate::{Told, share};

/// What is needed on every architecture, with every C library: the role that needs it, and the class. Several roles are
/// broken in one run, since each is rehearsed by itself.
const NEEDED: &[&[(&str, Class)]] = &[
    &[
        ("supervisor", Class::WaitChildren),
        ("net", Class::ReceiveDescriptors),
        ("dial", Class::SendDescriptors),
        ("account", Class::Random),
        ("key", Class::OpenPath),
        ("challenge", Class::Accept),
        ("store", Class::SyncHeld),
    ],
    &[
        ("supervisor", Class::Poll),
        ("net", Class::Memory),
        ("dial", Class::SocketCreate),
        ("account", Class::ReadHeld),
        ("key", Class::WriteHeld),
        ("challenge", Class::SocketQuery),
        ("store", Class::CloseHeld),
    ],
    &[("dial", Class::SocketConnect), ("store", Class::CreatePath)],
    &[("dial", Class::SocketIo)],
];

/// What is granted for what may happen, or for what only some libraries do: nothing is said about whether its absence shows,
/// which is told as data. All of them are withheld at once, from everybody.
const PERHAPS: &[(Class, &str)] = &[
    (Class::SeekHeld, "files are written from their start to their end"),
    (Class::StatHeld, "asked by some C libraries of files that they open"),
    (Class::ControlHeld, "asked by the standard library of what it closes, when it is built for debugging"),
    (Class::Ioctl, "asked by some C libraries of standard output"),
    (Class::SizeHeld, "no file is written over"),
    (Class::LockHeld, "locks are taken before the seal"),
    (Class::AttributesHeld, "files are made with the mode they keep"),
    (Class::Time, "clocks are read without the kernel, where it lets itself be read (vDSO)"),
    (Class::Sleep, "waiting is for descriptors"),
    (Class::SignalHandlers, "set before the seal; C libraries touch them when they give up"),
    (Class::SignalOwn, "nobody gives up"),
    (Class::SignalOther, "nobody has to be killed"),
    (Class::Futex, "nobody waits for another thread, as there is none"),
    (Class::OwnId, "asked before the seal, or by some C libraries when they give up"),
    (Class::ProcessSettings, "names for memory, given by some allocators"),
];

/// Those are looked at in every eighth cell, besides one of the others, as in all.
const PERHAPS_TURNS: usize = 8;
const PERHAPS_TURN: usize = 5;

/// What is not withheld: a process that cannot end can tell nobody, a supervisor that cannot answer is told nothing, and a role
/// that makes every socket call by one number (32-bit x86) and may not make that cannot hand over where its calls are
/// answered: it waits for an answer that nobody gives, until the supervisor gives up on it.
const NEVER: [Class; 3] = [Class::Exit, Class::Notifications, Class::SocketMultiplexer];

pub(crate) fn run() -> Result<Told, String> {
    complete()?;
    let mut rows = Vec::new();
    let mut runs = Vec::new();
    for (_, needed) in NEEDED.iter().enumerate().filter(|(at, _)| share::is_mine(*at, NEEDED.len())) {
        let broken = Broken::run(needed.iter().map(|(role, class)| format!("{role}:{class}")))?;
        if !broken.filters {
            if declared().is_some_and(|declared| declared.seccomp) {
                return Err(format!(
                    "there are filters of system calls here, and the program has none: {}",
                    broken.words()
                ));
            }
            return Ok(Told::untested("no system calls are filtered here, so no class can be missing"));
        }
        for (role, class) in *needed {
            let seen = broken.seen(|found, of| found == *role && same(*class, of));
            if seen.is_empty() {
                return Err(format!("{role} lacks {class}, and nothing is on record: {}", broken.words()));
            }
            rows.push(broken.row(Some(role), *class, &seen));
        }
        runs.push(broken.took);
    }
    let needed = rows.len();
    let mut perhaps = Vec::new();
    if share::is_mine(PERHAPS_TURN, PERHAPS_TURNS) {
        let broken = Broken::run(PERHAPS.iter().map(|(class, _)| class.to_string()))?;
        for (class, why) in PERHAPS {
            let seen = broken.seen(|_, of| same(*class, of));
            let mut row = broken.row(None, *class, &seen);
            row["granted-for"] = json!(why);
            perhaps.push(row);
        }
        runs.push(broken.took);
    }
    let shown = perhaps.iter().filter(|row| row["records"] != 0).count();
    let asked = perhaps.len();
    rows.extend(perhaps);
    let slowest = runs.iter().copied().fold(0.0, f64::max);
    Ok(Told::of(
        format!(
            "{needed} classes missing, each on record; of {} that are perhaps needed {shown} are; {} runs, the slowest {slowest:.2} s",
            asked,
            runs.len()
        ),
        json!({ "broken": rows }),
    ))
}

/// That every class which any role is granted is in one of the tables.
fn complete() -> Result<(), String> {
    let program = crate::program::Program::new(As::Caller);
    let ran = program.run(&["sandbox", "policy", "--json", "--arch", "x86_64"]);
    let told: Value = serde_json::from_str(&ran.stdout).map_err(|_| format!("no JSON: {ran:?}"))?;
    let mut granted = BTreeSet::new();
    for view in told["policies"].as_array().into_iter().flatten() {
        let names: Vec<&str> = view["promises"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let promises: Vec<Promise> =
            Promise::ALL.into_iter().filter(|promise| names.contains(&promise.name())).collect();
        let Some(policy) = portcullis::policy(&promises).filter(|_| promises.len() == names.len()) else {
            return Err(format!("promises that nobody knows: {view}"));
        };
        granted.extend(Class::ALL.iter().copied().filter(|class| policy.grants(*class)));
    }
    let needed = NEEDED.iter().flat_map(|run| run.iter()).map(|(_, class)| *class);
    let listed: BTreeSet<Class> = needed.chain(PERHAPS.iter().map(|(class, _)| *class)).chain(NEVER).collect();
    if granted == listed {
        return Ok(());
    }
    let difference: Vec<String> = granted.symmetric_difference(&listed).map(ToString::to_string).collect();
    Err(format!("granted to roles or listed in this test, but not both: {}", difference.join(", ")))
}

/// Whether a record of that class is one about this: paths are opened by one call, whatever for; and what is done with sockets
/// goes by one call on 32-bit x86, of which as much is granted as classes of sockets are.
fn same(withheld: Class, class: &str) -> bool {
    let by_multiplexer = matches!(
        withheld,
        Class::ReceiveDescriptors
            | Class::SendDescriptors
            | Class::SocketConnect
            | Class::SocketIo
            | Class::SocketQuery
            | Class::Accept
    );
    class == withheld.name()
        || withheld == Class::CreatePath && class == Class::OpenPath.name()
        || by_multiplexer && class == Class::SocketMultiplexer.name()
}

/// A run with classes withheld.
struct Broken {
    ran: Ran,
    /// What is on record: role, and what was refused.
    records: Vec<(String, Value)>,
    /// Whether calls are filtered here at all.
    filters: bool,
    took: f64,
}

impl Broken {
    fn run(withheld: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut scene = Scene::new(As::Caller);
        scene.program.binary = crate::attacks()?;
        let options: Vec<String> = withheld.map(|what| format!("--withhold={what}")).collect();
        let mut line = vec!["www.example"];
        line.extend(options.iter().map(String::as_str));
        let started = Instant::now();
        let ran = scene.issue(&line);
        let took = started.elapsed().as_secs_f64();
        let told = scene.program.run(&["sandbox", "report", "--json"]);
        let report: Value = serde_json::from_str(&told.stdout).map_err(|_| format!("no JSON: {told:?}"))?;
        let layers = report["layers"].as_array().ok_or("a report without layers")?;
        let filters = layers.iter().any(|layer| layer[0] == "seccomp" && layer[1] == "enforced");
        let records = report["records"].as_array().ok_or("a report without records")?;
        let records = records.iter().flat_map(refused).collect();
        let broken = Self { ran, records, filters, took };
        broken.ended_clearly()?;
        if broken.ran.status == Some(0) {
            scene.assert_whole("www.example");
        }
        Ok(broken)
    }

    /// It went well, or it failed and the sandbox is what is named.
    fn ended_clearly(&self) -> Result<(), String> {
        match self.ran.status {
            Some(0) => Ok(()),
            Some(1) if self.ran.stderr.contains("sandbox") => Ok(()),
            _ => Err(format!("did not end in a clear way: {}", self.words())),
        }
    }

    fn seen(&self, wanted: impl Fn(&str, &str) -> bool) -> Vec<&Value> {
        let of =
            |(role, refused): &&(String, Value)| refused["class"].as_str().is_some_and(|class| wanted(role, class));
        self.records.iter().filter(of).map(|(_, refused)| refused).collect()
    }

    fn row(&self, role: Option<&str>, class: Class, seen: &[&Value]) -> Value {
        let calls: BTreeSet<&str> = seen.iter().filter_map(|refused| refused["call"].as_str()).collect();
        json!({
            "role": role,
            "class": class.name(),
            "records": seen.len(),
            "calls": calls,
            "status": self.ran.status,
        })
    }

    fn words(&self) -> String {
        let records: Vec<String> = self.records.iter().map(|(role, refused)| format!("{role}: {refused}")).collect();
        format!("status {:?}, {}; on record: {}", self.ran.status, self.ran.stderr, records.join("; "))
    }
}

/// The calls that a record is about, each with its role.
fn refused(record: &Value) -> Vec<(String, Value)> {
    let role = record["role"].as_str().unwrap_or_default().to_owned();
    let calls = match record["kind"].as_str() {
        Some("lowered") => record["refused"].as_array().cloned().unwrap_or_default(),
        _ => vec![record.clone()],
    };
    calls.into_iter().map(|call| (role.clone(), call)).collect()
}
