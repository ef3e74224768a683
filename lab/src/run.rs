//! Runs: what is missing is fetched and built, machines are started, what they tell is collected.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use crate::cells::{Cell, Cells, Machine};
use crate::child::{self, Ended, Limit};
use crate::cross::{self, Artifacts};
use crate::error::{At as _, Error, Result};
use crate::kernel::{self, Kernel};
use crate::library::{self, Root};
use crate::outcome::{Outcome, Told};
use crate::place::Place;
use crate::plan::Plan;
use crate::qemu::{self, Qemu};

/// What is wanted of a run.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// The cases.
    pub(crate) cases: Vec<&'a str>,
    /// Whether each cell does everything, also what others do in turn.
    pub(crate) whole: bool,
    /// How many machines at a time.
    pub(crate) jobs: usize,
    /// A file that is to be found beside the programs, as `report.json`.
    pub(crate) report: Option<&'a Path>,
}

/// What came of a cell.
#[derive(Clone, Debug)]
pub(crate) struct CellResult {
    /// The cell.
    pub(crate) cell: Cell,
    /// The version of its C library.
    pub(crate) c_library: String,
    /// What came of its cases, by their names.
    pub(crate) outcomes: BTreeMap<String, Outcome>,
}

/// What came of a machine.
#[derive(Clone, Debug)]
pub(crate) struct MachineResult {
    /// The machine.
    pub(crate) machine: Machine,
    /// Its kernel, as it names itself.
    pub(crate) kernel: String,
    /// The package it is from.
    pub(crate) package: String,
    /// From its start to its end, in seconds.
    pub(crate) seconds: f64,
    /// From its start to the work of its first process, by its own clock.
    pub(crate) up: Option<f64>,
    /// What was wrong with it as a whole: it did not come to its end, say.
    pub(crate) wrong: Option<String>,
    /// Its cells.
    pub(crate) cells: Vec<CellResult>,
}

impl CellResult {
    /// Cases that did not go as they must.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.values().filter(|outcome| !outcome.ok)
    }
}

/// Everything that machines need, by what they need.
#[derive(Debug, Default)]
struct Stock {
    kernels: BTreeMap<String, Result<(Kernel, Qemu)>>,
    roots: BTreeMap<(String, String), Result<Root>>,
    programs: BTreeMap<String, Result<Artifacts>>,
    agents: BTreeMap<String, Result<PathBuf>>,
}

/// Runs cells, and tells of each machine when it is done.
pub(crate) fn run(
    place: &Place,
    cells: &Cells,
    machines: &[Machine],
    wanted: &Wanted<'_>,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Vec<MachineResult>> {
    let stock = stock(place, cells, machines, tell);
    // Those that take longest first, so that no core is without work in the end.
    let mut order: Vec<usize> = (0..machines.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(machines[*at].cells.len()));
    let queue = Mutex::new(order.into_iter());
    let results: Mutex<BTreeMap<usize, MachineResult>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..wanted.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().map(|mut queue| queue.next());
                    let Ok(Some(at)) = next else { return };
                    let result = machine(place, cells, &machines[at], &stock, wanted);
                    tell(&summary(&result));
                    if let Ok(mut results) = results.lock() {
                        results.insert(at, result);
                    }
                }
            });
        }
    });
    let results =
        results.into_inner().map_err(|_| Error::new("a machine's thread panicked; this is a bug of the lab"))?;
    Ok(results.into_values().collect())
}

/// A machine in a line.
fn summary(result: &MachineResult) -> String {
    let cases: usize = result.cells.iter().map(|cell| cell.outcomes.len()).sum();
    let failed: usize = result.cells.iter().map(|cell| cell.failures().count()).sum();
    let wrong = result.wrong.as_ref().map(|wrong| format!(": {wrong}")).unwrap_or_default();
    format!(
        "{:<22} {:>3} cells {:>4} cases {:>3} failed {:>7.1} s   {}{wrong}",
        result.machine.name,
        result.cells.len(),
        cases,
        failed,
        result.seconds,
        result.kernel
    )
}

/// Has what is needed. What cannot be had is said once, and the cells without it are the only ones that suffer.
fn stock(place: &Place, cells: &Cells, machines: &[Machine], tell: &(dyn Fn(&str) + Sync)) -> Stock {
    let mut stock = Stock::default();
    let say = |result: Result<()>| {
        if let Err(error) = result {
            tell(&format!("missing: {error}"));
        }
    };
    for machine in machines {
        let Some(boot) = &machine.boot else { continue };
        let had = Qemu::have(place, &boot.arch).and_then(|qemu| Ok((kernel::have(place, boot)?, qemu)));
        let had = had.map_err(|error| Error::new(format!("machine {}: {error}", machine.name)));
        say(had.as_ref().map(drop).map_err(Clone::clone));
        stock.kernels.insert(machine.name.clone(), had);
    }
    for cell in machines.iter().flat_map(|machine| &machine.cells) {
        let key = (cell.arch.clone(), cell.c_library.to_string());
        if stock.roots.contains_key(&key) {
            continue;
        }
        let debian = &cells.programs[&cell.arch].debian;
        let had = library::have(place, &cell.c_library, debian);
        let had = had.map_err(|error| library::missing(&cell.c_library, debian, &error));
        say(had.as_ref().map(drop).map_err(Clone::clone));
        stock.roots.insert(key, had);
    }
    for cell in machines.iter().flat_map(|machine| &machine.cells) {
        let name = recipe(cells, cell);
        if let Entry::Vacant(vacant) = stock.programs.entry(name) {
            let had = cross::built(place, vacant.key(), tell);
            say(had.as_ref().map(drop).map_err(Clone::clone));
            vacant.insert(had);
        }
    }
    for machine in machines {
        let target = agent_target(cells, machine);
        if let Entry::Vacant(vacant) = stock.agents.entry(target) {
            let had = cross::agent(place, vacant.key(), tell);
            say(had.as_ref().map(drop).map_err(Clone::clone));
            vacant.insert(had);
        }
    }
    stock
}

/// The target of a cell's programs. What is linked to musl when it is started is another program than what has it inside.
fn recipe(cells: &Cells, cell: &Cell) -> String {
    let target = cell.c_library.target(&cells.programs[&cell.arch]).unwrap_or_default();
    match cell.c_library {
        crate::cells::Library::DynamicMusl(_) => format!("{target}{}", cross::DYNAMIC),
        _ => target.to_owned(),
    }
}

/// The target of a machine's first process, which needs no library.
fn agent_target(cells: &Cells, machine: &Machine) -> String {
    let arch = machine.boot.as_ref().map_or(std::env::consts::ARCH, |boot| &boot.arch);
    cells.programs.get(arch).map(|programs| programs.musl.clone()).unwrap_or_default()
}

/// Runs a machine with its cells. It always has a result for each case of each of them.
fn machine(place: &Place, cells: &Cells, machine: &Machine, stock: &Stock, wanted: &Wanted<'_>) -> MachineResult {
    let started = Instant::now();
    let mut ready = Vec::new();
    let mut why_not: BTreeMap<String, String> = BTreeMap::new();
    for cell in &machine.cells {
        let root = &stock.roots[&(cell.arch.clone(), cell.c_library.to_string())];
        match (root, &stock.programs[&recipe(cells, cell)]) {
            (Ok(root), Ok(programs)) => ready.push((cell, root, programs)),
            (Err(error), _) | (_, Err(error)) => {
                why_not.insert(cell.name.clone(), format!("not run: {error}"));
            }
        }
    }
    let (told, wrong) = match started_and_ended(place, cells, machine, stock, wanted, &ready) {
        Ok((told, wrong)) => (told, wrong),
        Err(error) => (Told::default(), Some(error.to_string())),
    };
    let results = machine.cells.iter().map(|cell| {
        let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
        for outcome in told.outcomes.iter().filter(|outcome| outcome.cell == cell.name) {
            outcomes.insert(outcome.case.clone(), outcome.clone());
        }
        for case in &wanted.cases {
            let silent = || Outcome {
                cell: cell.name.clone(),
                case: (*case).to_owned(),
                ok: false,
                seconds: 0.0,
                untested: false,
                detail: match (why_not.get(&cell.name), &wrong) {
                    (Some(error), _) => error.clone(),
                    (None, Some(_)) => "not run, or not to its end, for what became of the machine".to_owned(),
                    (None, None) => "nothing was told".to_owned(),
                },
                data: serde_json::Value::Null,
                log: Vec::new(),
            };
            outcomes.entry((*case).to_owned()).or_insert_with(silent);
        }
        let root = &stock.roots[&(cell.arch.clone(), cell.c_library.to_string())];
        let library = root.as_ref().map(|root| root.version.clone()).unwrap_or_default();
        CellResult { cell: cell.clone(), c_library: library, outcomes }
    });
    let results = results.collect();
    let package = match stock.kernels.get(&machine.name) {
        Some(Ok((kernel, _))) => kernel.version.clone(),
        Some(Err(_)) => "not to be had".to_owned(),
        None => "the lab's own".to_owned(),
    };
    MachineResult {
        machine: machine.clone(),
        kernel: told.kernel.clone().unwrap_or_else(|| "not started".to_owned()),
        package,
        seconds: started.elapsed().as_secs_f64(),
        up: told.up,
        wrong,
        cells: results,
    }
}

/// Starts a machine, and reads what it told when it has ended; with the reason, if it did not come to its end.
fn started_and_ended(
    place: &Place,
    cells: &Cells,
    machine: &Machine,
    stock: &Stock,
    wanted: &Wanted<'_>,
    ready: &[(&Cell, &Root, &Artifacts)],
) -> Result<(Told, Option<String>)> {
    if ready.is_empty() {
        return Ok((Told::default(), None));
    }
    let agent = stock.agents[&agent_target(cells, machine)].clone()?;
    let work = tempfile::tempdir_in(place.cached("work")?).at(&place.cache)?;
    let mut plan = Plan::new();
    let mut trees: Vec<(String, PathBuf)> = Vec::new();
    for (cell, root, programs) in ready {
        let programs = with_report(&programs.directory, wanted.report, work.path())?;
        let mut inside = |name: &str, path: &Path| {
            let name = format!("{name}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            if !trees.iter().any(|(known, _)| *known == name) {
                trees.push((name.clone(), path.to_owned()));
            }
            Path::new("/").join(name)
        };
        let (root, programs) = match machine.boot {
            Some(_) => (inside("roots", &root.path), inside("programs", &programs)),
            None => (root.path.clone(), programs),
        };
        plan.add(cell, machine.declared, &root, &programs, &wanted.cases, wanted.whole);
    }
    // Two labs may have the same machine: what each reads is its own, and the log is for people.
    let console = work.path().join("console");
    let limit = plan.limit();
    let ended = match (&machine.boot, stock.kernels.get(&machine.name)) {
        (Some(boot), Some(kernel)) => {
            let (kernel, qemu) = kernel.as_ref().map_err(Clone::clone)?;
            let initramfs = work.path().join("initramfs");
            qemu::initramfs(&initramfs, &agent, &plan.to_json(), &trees)?;
            qemu.run(&kernel.image, &initramfs, &boot.append, &console, limit)?
        }
        _ => natively(&agent, &plan, work.path(), &console, limit)?,
    };
    let log = place.log(&format!("machine-{}", machine.name))?;
    fs::copy(&console, &log).at(&log)?;
    let said = fs::read(&console).at(&console)?;
    let said = String::from_utf8_lossy(&said);
    let told = Told::read(&said);
    let late = if let Ended::Late(how) = ended { Some(how) } else { None };
    let wrong = told.wrong(&said, late).map(|wrong| format!("{wrong} (more in {})", log.display()));
    Ok((told, wrong))
}

/// The directory of programs with a report among them.
fn with_report(programs: &Path, report: Option<&Path>, work: &Path) -> Result<PathBuf> {
    let Some(report) = report else { return Ok(programs.to_owned()) };
    let copy = work.join("t");
    fs::create_dir_all(&copy).at(&copy)?;
    for entry in fs::read_dir(programs).at(programs)? {
        let entry = entry.at(programs)?;
        let to = copy.join(entry.file_name());
        if !to.exists() {
            fs::copy(entry.path(), &to).at(&to)?;
        }
    }
    let to = copy.join("report.json");
    fs::copy(report, &to).at(report)?;
    Ok(copy)
}

/// Runs cells on the kernel that there is, by change of root, with mounts, network and processes of their own.
fn natively(agent: &Path, plan: &Plan, work: &Path, log: &Path, limit: Limit) -> Result<Ended> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::new("cells of the machine itself are run by root, who alone can change the root directory"));
    }
    let path = work.join("plan.json");
    fs::write(&path, plan.to_json()).at(&path)?;
    let mut command = child::bound("unshare");
    command
        .args(["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child=SIGKILL"])
        .arg(agent)
        .arg("native")
        .arg(path);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    child::logged(&mut command, log, limit)
}
