//! Traces of strace(1), one file a process, with all arguments but those of `execve` as numbers.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A sealed process of the program.
#[derive(Debug)]
pub(crate) struct Process {
    /// The test that started it, and the how manieth start that was.
    pub(crate) scene: String,
    pub(crate) pid: u32,
    pub(crate) role: String,
    /// The calls after the seal.
    pub(crate) calls: Vec<Call>,
}

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) args: [u64; 6],
    /// What stands in the trace.
    pub(crate) line: String,
}

/// One file.
#[derive(Debug)]
struct Trace {
    lines: Vec<String>,
    parent: Option<u32>,
}

/// Reads all of them. Processes that are not sealed in the end are left out.
pub(crate) fn read(directory: &Path) -> Vec<Process> {
    let mut traces: HashMap<(String, u32), Trace> = HashMap::new();
    for entry in fs::read_dir(directory).expect("a directory of traces") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let (scene, pid) = name.rsplit_once('.').expect("a name with a number");
        let lines = finished(&path).lines().map(str::to_owned).collect();
        traces.insert((scene.to_owned(), pid.parse().expect("a number")), Trace { lines, parent: None });
    }
    let parents: Vec<((String, u32), u32)> = traces
        .iter()
        .flat_map(|((scene, pid), trace)| {
            let children = trace.lines.iter().filter_map(|line| child(line));
            children.map(move |child| ((scene.clone(), child), *pid))
        })
        .collect();
    for (child, parent) in parents {
        if let Some(trace) = traces.get_mut(&child) {
            trace.parent = Some(parent);
        }
    }
    let sealed = traces.iter().filter_map(|((scene, pid), trace)| {
        let seal = trace.lines.iter().rposition(|line| seals(line))?;
        let role = role(&traces, scene, *pid)?;
        let calls = trace.lines[seal + 1..].iter().filter_map(|line| Call::parse(line)).collect();
        Some(Process { scene: scene.clone(), pid: *pid, role, calls })
    });
    sealed.collect()
}

/// What is in the file when the process has ended, of which the tracer writes a little later than it happens.
fn finished(path: &Path) -> String {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let text = String::from_utf8_lossy(&fs::read(path).expect("a trace")).into_owned();
        if text.lines().last().is_some_and(|line| line.starts_with("+++ ")) {
            return text;
        }
        assert!(Instant::now() < until, "{}: the process does not end", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The child that a call has made.
fn child(line: &str) -> Option<u32> {
    let forks = ["clone(", "clone3(", "fork(", "vfork("].iter().any(|call| line.starts_with(call));
    let (_, result) = line.rsplit_once(" = ").filter(|_| forks)?;
    number(result.split(' ').next()?).and_then(|pid| u32::try_from(pid).ok())
}

/// Whether a filter is put in force: `SECCOMP_SET_MODE_FILTER`, with or without a listener, or `PR_SET_SECCOMP`.
fn seals(line: &str) -> bool {
    let sets = line.starts_with("seccomp(0x1,") || line.starts_with("prctl(0x16, 0x2,");
    sets && line.rsplit_once(" = ").is_some_and(|(_, result)| !result.starts_with('-') && !result.starts_with('?'))
}

/// The role of a process, by the command line that it or, if it is a copy, its parent was started with.
fn role(traces: &HashMap<(String, u32), Trace>, scene: &str, pid: u32) -> Option<String> {
    let trace = traces.get(&(scene.to_owned(), pid))?;
    let Some(started) = trace.lines.iter().rfind(|line| line.starts_with("execve(") && line.ends_with(" = 0")) else {
        return role(traces, scene, trace.parent?);
    };
    // Every second piece is between quotation marks: the program, then its arguments.
    let words: Vec<&str> = started.split('"').skip(1).step_by(2).collect();
    Some(match words.as_slice() {
        [_, _, "role", name, ..] => (*name).to_owned(),
        _ => "supervisor".to_owned(),
    })
}

impl Call {
    /// A line of a trace. `None` for one that is about a signal or an end.
    fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once('(')?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        let mut args = [0; 6];
        let given = rest.split(')').next().unwrap_or_default().split(", ").map(|word| number(word).unwrap_or(0));
        args.iter_mut().zip(given).for_each(|(arg, given)| *arg = given);
        Some(Self { name: name.to_owned(), args, line: line.to_owned() })
    }
}

fn number(word: &str) -> Option<u64> {
    word.strip_prefix("0x").map_or_else(|| word.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
}
