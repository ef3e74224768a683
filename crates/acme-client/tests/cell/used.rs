//! `used`: which calls each role makes once it is sealed, while certificates are had, renewed and revoked.
//!
//! The program is traced (ptrace(2)), but stands still only where it has to: a filter beneath those of its own has the kernel
//! tell when a process is about to put a filter in force, and from there on every call of that process is looked at, before
//! any filter has its say. Whatever the policy does not grant is told of, and fails the case.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, WaitOptions, WaitStatus};
use serde_json::json;
use syscall_policy::{Instruction, Verdict};

use crate::policies::{Promised, promised};
use crate::program::As;
use crate::raw::{self, native};
use crate::scene::{Scene, WebServer};
use crate::{Told, share};

/// By a listener of the program's own and by a web server.
pub(crate) fn run() -> Result<Told, String> {
    if crate::doctor::declared().is_some_and(|declared| !declared.seccomp) {
        return Ok(Told::untested("without filters of system calls nobody is sealed by one"));
    }
    let scene = Scene::new(As::Caller);
    let mut roles: BTreeMap<String, Role> = BTreeMap::new();
    for promised in promised() {
        roles.insert(promised.name.clone(), Role { promised, used: BTreeSet::new(), outside: BTreeMap::new() });
    }
    let webroot = scene.program.make_directory("www");
    let listen = scene.address.to_string();
    // One of these in turn, where emulated machines share the work: each stop of a process costs them much.
    let turn = |at: usize| share::is_mine(at, 4);
    let issue = ["issue", "a.example", "--listen", &listen];
    if turn(0) {
        trace(&scene, &issue, &mut roles)?;
    } else if scene.run(&issue).status != Some(0) {
        return Err("there is no certificate to begin with".to_owned());
    }
    if turn(1) {
        trace(&scene, &["renew", "--force"], &mut roles)?;
    }
    if turn(2) {
        trace(&scene, &["revoke", "a.example"], &mut roles)?;
    }
    if turn(3) {
        let server = WebServer::serve(scene.address, PathBuf::from(&webroot));
        trace(&scene, &["issue", "b.example", "--webroot", &webroot], &mut roles)?;
        drop(server);
    }

    // To revoke takes nobody who proves names or makes keys; everything else takes all.
    let some = ["supervisor", "net", "dial", "account", "store"];
    let all = turn(0) || turn(1) || turn(3);
    let expected = |name: &str| all || some.contains(&name);
    let unseen: Vec<&str> = roles
        .iter()
        .filter(|(name, role)| role.used.is_empty() && expected(name))
        .map(|(name, _)| name.as_str())
        .collect();
    if !unseen.is_empty() {
        return Err(format!("never seen sealed and at work: {}", unseen.join(", ")));
    }
    let outside: Vec<String> = roles
        .iter()
        .flat_map(|(name, role)| role.outside.values().map(move |call| format!("{name}: {call}")))
        .collect();
    let of = |what: &dyn Fn(&Role) -> Vec<&'static str>| -> BTreeMap<&String, Vec<&'static str>> {
        roles.iter().map(|(name, role)| (name, what(role))).collect()
    };
    let used = of(&|role| role.used.iter().copied().collect());
    let granted = of(&|role| role.policy(1).allowed(native()));
    if !outside.is_empty() {
        return Err(format!("made after the seal, and not granted: {}", outside.join("; ")));
    }
    let count = |lists: &BTreeMap<&String, Vec<&str>>| lists.values().map(Vec::len).sum::<usize>();
    let detail = format!("{} of {} grants used", count(&used), count(&granted));
    Ok(Told::of(detail, json!({ "used": used, "granted": granted, "outside": outside })))
}

/// A role, and what has been seen of it.
struct Role {
    promised: Promised,
    used: BTreeSet<&'static str>,
    /// Calls that its policy does not grant, each as it was made first.
    outside: BTreeMap<u32, String>,
}

impl Role {
    fn policy(&self, pid: u32) -> syscall_policy::Policy {
        portcullis::policy(&self.promised.promises).expect("calls are filtered on Linux").for_process(pid)
    }

    fn note(&mut self, pid: u32, call: &Call) {
        let number = low(call.words[0]);
        let arguments: [u64; 6] = std::array::from_fn(|at| call.words[at + 1]);
        let name = native().name_of(number);
        let native = call.arch == native().token();
        if native && self.policy(pid).verdict(raw::native(), number, &arguments) == Verdict::Allow {
            self.used.extend(name);
        } else {
            let (name, kind) = (name.unwrap_or("no call"), if native { "" } else { " by another entry" });
            self.outside.entry(number).or_insert_with(|| format!("{name} ({number}){kind} {arguments:x?}"));
        }
    }
}

/// Requests of ptrace(2), the same everywhere (`linux/ptrace.h`).
mod request {
    pub(super) const CONTINUE: usize = 7;
    pub(super) const CONTINUE_TO_CALL: usize = 24;
    pub(super) const SET_OPTIONS: usize = 0x4200;
    pub(super) const GET_CALL: usize = 0x420e;
}

/// Options of ptrace(2): calls can be told from signals; children are traced as well, and programs that they start; filters
/// can ask; nobody survives the tracer.
const OPTIONS: usize = 1 | 2 | 4 | 8 | 0x10 | 0x80 | 0x10_0000;
/// `PTRACE_EVENT_EXEC`, `PTRACE_EVENT_SECCOMP`.
const STARTED: i32 = 4;
const ASKED: i32 = 7;

/// `struct ptrace_syscall_info`: the words are the number and the arguments, or the result and whether it is an error.
#[repr(C)]
#[derive(Default)]
struct Call {
    kind: u8,
    unused: [u8; 3],
    arch: u32,
    pointers: [u64; 2],
    words: [u64; 8],
}

impl Call {
    const ENTRY: u8 = 1;
    const EXIT: u8 = 2;

    fn of(pid: Pid) -> std::io::Result<Self> {
        let mut call = Self::default();
        let size = size_of::<Self>();
        ptrace(request::GET_CALL, pid, size, raw::address(&raw mut call))?;
        Ok(call)
    }

    fn failed(&self) -> bool {
        self.words[1].to_ne_bytes()[0] != 0
    }
}

fn ptrace(request: usize, pid: Pid, address: usize, data: usize) -> std::io::Result<()> {
    let pid = usize::try_from(pid.as_raw_nonzero().get()).expect("positive");
    raw::call_named("ptrace", [request, pid, address, data, 0, 0]).map(drop)
}

/// Asks the tracer when a process is about to put a filter in force, and lets everything else pass.
fn filter() -> Vec<Instruction> {
    let one = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let number = |name| native().number(name).expect("a call of this architecture");
    let first = 16 + if native().little_endian() { 0 } else { 4 };
    // BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K; SECCOMP_RET_TRACE, _ALLOW.
    vec![
        one(0x20, 0, 0, 0),
        one(0x15, 0, 2, number("seccomp")),
        one(0x20, 0, 0, first),
        // SECCOMP_SET_MODE_FILTER.
        one(0x15, 3, 4, 1),
        one(0x15, 0, 3, number("prctl")),
        one(0x20, 0, 0, first),
        // PR_SET_SECCOMP.
        one(0x15, 0, 1, 22),
        one(0x06, 0, 0, 0x7ff0_0000),
        one(0x06, 0, 0, 0x7fff_0000),
    ]
}

/// What is known of a process.
#[derive(Default)]
struct Process {
    /// A role, or the supervisor. What they fork to rehearse is none.
    role: Option<String>,
    /// It has stopped once, as new ones do.
    started: bool,
    sealed: bool,
    /// It is putting a filter in force.
    sealing: bool,
    /// Calls since the last filter, which will have been its own if there is no further one.
    calls: Vec<Call>,
}

/// Runs the program, which must do well, and adds what its roles do.
fn trace(scene: &Scene, arguments: &[&str], roles: &mut BTreeMap<String, Role>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{arguments:?} cannot be traced: {error}");
    let mut command = scene.program.command(&scene.line(arguments));
    let output = scene.program.path("output");
    let file = File::create(&output).map_err(failed)?;
    command.stdout(Stdio::null()).stderr(file);
    raw::traced(&mut command, filter());
    let status = follow(&mut command, roles).map_err(failed)?;
    if status.exit_status() == Some(0) {
        return Ok(());
    }
    Err(format!("{arguments:?} ended {status:?}: {}", std::fs::read_to_string(output).unwrap_or_default()))
}

/// Starts it and follows it until nobody is left; how it ended.
fn follow(command: &mut Command, roles: &mut BTreeMap<String, Role>) -> std::io::Result<WaitStatus> {
    let child = command.spawn()?;
    let main = Pid::from_child(&child);
    let mut processes: HashMap<Pid, Process> = HashMap::new();
    let mut ended = None;
    loop {
        let (pid, status) = match rustix::process::wait(WaitOptions::from_bits_retain(libc::__WALL.cast_unsigned())) {
            Ok(Some(found)) => found,
            Ok(None) | Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::CHILD) => return ended.ok_or_else(|| rustix::io::Errno::CHILD.into()),
            Err(error) => return Err(error.into()),
        };
        let process = processes.entry(pid).or_default();
        if !status.stopped() {
            if let (true, Some(role)) = (process.sealed, process.role.as_ref().and_then(|role| roles.get_mut(role))) {
                let number = pid.as_raw_nonzero().get().unsigned_abs();
                process.calls.iter().for_each(|call| role.note(number, call));
            }
            processes.remove(&pid);
            if pid == main {
                ended = Some(status);
            }
            continue;
        }
        if pid == main && !process.started {
            ptrace(request::SET_OPTIONS, pid, 0, OPTIONS)?;
            process.started = true;
            process.role = Some("supervisor".to_owned());
            go_on(pid, process, 0)?;
            continue;
        }
        let signal = process.stopped(pid, status)?;
        go_on(pid, process, signal)?;
    }
}

/// Whoever was ended meanwhile cannot go on, and will be heard of.
fn go_on(pid: Pid, process: &Process, signal: i32) -> std::io::Result<()> {
    let until = if process.sealed || process.sealing { request::CONTINUE_TO_CALL } else { request::CONTINUE };
    match ptrace(until, pid, 0, usize::try_from(signal).unwrap_or(0)) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => other,
    }
}

impl Process {
    /// Why it has stopped, and which signal it is to get.
    fn stopped(&mut self, pid: Pid, status: WaitStatus) -> std::io::Result<i32> {
        let raw = status.as_raw();
        let signal = raw >> 8 & 0xff;
        match (raw >> 16, signal) {
            (STARTED, _) => {
                *self = Self { role: role_of(pid), started: true, ..Self::default() };
                Ok(0)
            }
            (ASKED, _) => {
                self.sealing = self.role.is_some();
                Ok(0)
            }
            (0, signal) if signal == libc::SIGTRAP | 0x80 => {
                match Call::of(pid) {
                    Ok(call) => self.called(call),
                    // Ended meanwhile.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    Err(error) => return Err(error),
                }
                Ok(0)
            }
            // So children start that are traced from the start.
            (0, libc::SIGSTOP) if !self.started => {
                self.started = true;
                Ok(0)
            }
            (0, signal) => Ok(signal),
            _ => Ok(0),
        }
    }

    fn called(&mut self, call: Call) {
        match call.kind {
            Call::EXIT if self.sealing => {
                self.sealing = false;
                if !call.failed() {
                    self.sealed = true;
                    self.calls.clear();
                }
            }
            Call::ENTRY if self.sealed => self.calls.push(call),
            _ => {}
        }
    }
}

/// What a program was started as.
fn role_of(pid: Pid) -> Option<String> {
    let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
    let mut words = line.split(|byte| *byte == 0).skip_while(|word| *word != b"role");
    Some(String::from_utf8_lossy(words.nth(1)?).into_owned())
}

#[expect(clippy::cast_possible_truncation, reason = "numbers of calls are extended to 64 bits here")]
const fn low(value: u64) -> u32 {
    value as u32
}
