//! One run of a client, measured in one of three ways. They exclude each other, since each disturbs what the others see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::Result;
use crate::clients::Task;

/// The word that makes this program the parent of a run that is timed.
pub(crate) const TIMED: &str = "timed";

/// Time and memory of a run, as its parent sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of CPU, of user and system, of all its processes.
    pub(crate) cpu: f64,
    /// KiB that the largest process had in memory.
    pub(crate) rss: f64,
}

/// How long the sampler rests between two looks.
const REST: Duration = Duration::from_millis(1);

/// Runs the task beneath a process that does nothing but time it, so that what it and its descendants used is exactly
/// what getrusage(2) has for that process's children.
pub(crate) fn timed(task: &Task) -> Result<Timing> {
    let output =
        Command::new("/proc/self/exe").arg(TIMED).arg(&task.log).args(&task.argv).envs(task.envs()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, cpu, rss] = numbers[..] else { return Err(task.failure(&String::from_utf8_lossy(&output.stderr))) };
    task.check()?;
    Ok(Timing { wall, cpu, rss })
}

/// The life of that process.
pub(crate) fn time(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<ExitCode> {
    let log = File::create(arguments.next().ok_or("no log")?)?;
    let program = arguments.next().ok_or("no program")?;
    // Who loses a parent is waited for as well.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let start = Instant::now();
    let status = command.status()?;
    let wall = start.elapsed();
    while rustix::process::wait(rustix::process::WaitOptions::empty()).is_ok() {}
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let cpu = Duration::from_micros(u64::try_from(cpu)?);
    let line = format!("{} {} {}\n", wall.as_secs_f64(), cpu.as_secs_f64(), usage.max_rss());
    if !status.success() {
        return Err(status.to_string().into());
    }
    std::io::stdout().write_all(line.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Memory of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// KiB of all processes together (PSS, proc(5)) at the moment when they had most.
    pub(crate) peak: f64,
    /// What each process had at that moment, KiB of PSS and of memory that is its alone, by name.
    pub(crate) each: BTreeMap<String, (f64, f64)>,
    /// How often all processes were looked at.
    pub(crate) looks: usize,
}

/// Runs the task and looks at the memory of all its processes every millisecond or two.
pub(crate) fn sampled(task: &Task) -> Result<Memory> {
    let log = File::create(&task.log)?;
    let (program, arguments) = task.argv.split_first().ok_or("nothing to run")?;
    let mut tree = Tree { strangers: pids().collect(), family: BTreeSet::new() };
    let mut child = Command::new(program)
        .args(arguments)
        .envs(task.envs())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    tree.family.insert(child.id());
    let mut memory = Memory::default();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tree.grow();
        look(&tree, &mut memory);
        thread::sleep(REST);
    };
    if !status.success() {
        return Err(task.failure(&status.to_string()));
    }
    task.check()?;
    Ok(memory)
}

fn look(tree: &Tree, memory: &mut Memory) {
    let now: Vec<(u32, (f64, f64))> = tree.family.iter().filter_map(|pid| Some((*pid, rollup(*pid)?))).collect();
    let sum = now.iter().map(|(_, (pss, _))| pss).sum();
    memory.looks += 1;
    if sum > memory.peak {
        memory.peak = sum;
        memory.each = now.into_iter().map(|(pid, of)| (name(pid), of)).collect();
    }
}

/// The processes of a run. Kernels need not list a process's children (CONFIG_PROC_CHILDREN), so new processes are
/// asked for their parent, each once.
struct Tree {
    strangers: BTreeSet<u32>,
    family: BTreeSet<u32>,
}

impl Tree {
    fn grow(&mut self) {
        let mut new: Vec<(u32, u32)> = pids()
            .filter(|pid| !self.strangers.contains(pid) && !self.family.contains(pid))
            .filter_map(|pid| Some((pid, parent(pid)?)))
            .collect();
        // A child may have a lower number than its parent, once numbers have come round.
        loop {
            let before = new.len();
            new.retain(|(pid, parent)| !(self.family.contains(parent) && self.family.insert(*pid)));
            if new.len() == before {
                break;
            }
        }
        self.strangers.extend(new.into_iter().map(|(pid, _)| pid));
    }
}

fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is in parentheses, and may have anything in it.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// KiB of PSS, and KiB that are the process's alone.
fn rollup(pid: u32) -> Option<(f64, f64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |name: &str| -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    Some((field("Pss:")?, field("Private_Clean:")? + field("Private_Dirty:")?))
}

fn name(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let first = String::from_utf8_lossy(line.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
    Path::new(&first).file_name().map_or_else(|| first.clone(), |name| name.to_string_lossy().into_owned())
}

/// What a run asks of the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace {
    /// Processes, the first one included.
    pub(crate) processes: usize,
    /// Programs started.
    pub(crate) programs: usize,
    /// System calls.
    pub(crate) calls: usize,
    /// Different ones.
    pub(crate) distinct: usize,
}

/// Runs the task under strace(1). `None` if there is none.
pub(crate) fn traced(task: &Task) -> Result<Option<Trace>> {
    let file = task.log.with_extension("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "signal=none", "-s", "0", "-o"]).arg(&file).args(&task.argv).envs(task.envs());
    let log = File::create(&task.log)?;
    match command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).status() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    task.check()?;
    let trace = count(&fs::read_to_string(&file)?);
    fs::remove_file(&file)?;
    Ok(Some(trace))
}

fn count(text: &str) -> Trace {
    let mut trace = Trace { processes: 1, programs: 0, calls: 0, distinct: 0 };
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let Some((_, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if call.starts_with(['<', '+', '-']) {
            // The second half of a call that another one interrupted, or no call.
            if call.starts_with("<... clone") || call.starts_with("<... vfork") || call.starts_with("<... fork") {
                trace.processes += usize::from(made_a_process(call));
            }
            trace.programs += usize::from(call.starts_with("<... execve") && call.ends_with("= 0"));
            continue;
        }
        let name = call.split('(').next().unwrap_or_default();
        names.insert(name);
        trace.calls += 1;
        if matches!(name, "clone" | "clone3" | "fork" | "vfork") {
            trace.processes += usize::from(made_a_process(call) && !call.contains("CLONE_THREAD"));
        }
        trace.programs += usize::from(name == "execve" && call.ends_with("= 0"));
    }
    trace.distinct = names.len();
    trace
}

fn made_a_process(call: &str) -> bool {
    let result = call.rsplit_once("= ").map(|(_, result)| result.split(' ').next().unwrap_or_default());
    !call.contains("CLONE_THREAD") && result.is_some_and(|result| result.parse::<u32>().is_ok_and(|pid| pid > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_counted_and_threads_are_not() {
        let trace = count(
            "1 execve(\"/a\", [...], 0x1 /* 3 vars */) = 0\n1 clone3({flags=CLONE_VM|CLONE_VFORK}, 88 <unfinished ...>\n\
             2 execve(\"/b\", [...], 0x1) = -1 ENOENT (No such file or directory)\n2 execve(\"/c\", [...], 0x1) = 0\n\
             1 <... clone3 resumed>) = 2\n1 clone(child_stack=0x1, flags=CLONE_THREAD) = 3\n1 fork() = 4\n1 +++ exited\n",
        );
        assert_eq!((trace.processes, trace.programs, trace.calls, trace.distinct), (3, 2, 6, 4));
    }

    #[test]
    fn this_process_is_in_proc() {
        let own = std::process::id();
        assert!(pids().any(|pid| pid == own));
        assert!(parent(own).is_some_and(|parent| parent > 0));
        assert!(rollup(own).is_some_and(|(pss, private)| pss >= private && private > 0.0));
    }
}
