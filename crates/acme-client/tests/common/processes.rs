//! The processes of a run, as the kernel sees them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::web::wait_until;

/// A process of the program.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Its role.
    pub(crate) role: String,
    /// Its `/proc/PID/status`.
    pub(crate) status: String,
}

/// The supervisor and every role of its.
pub(crate) fn of_run(supervisor: u32) -> Vec<Process> {
    let supervisor = i32::try_from(supervisor).expect("a number");
    let mut found: Vec<Process> = fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| Process::look_at(entry.file_name().to_str()?.parse().ok()?))
        .filter(|process| process.line("PPid") == supervisor.to_string() && !process.role.is_empty())
        .collect();
    if let Some(process) = Process::look_at(supervisor) {
        found.push(Process { role: "supervisor".to_owned(), ..process });
    }
    found
}

/// Ends all of them at one time: none has an instant to notice that another one is gone.
pub(crate) fn kill_all(supervisor: u32) {
    let processes = of_run(supervisor);
    for signal in [Signal::STOP, Signal::KILL] {
        // The supervisor first: it is the one that starts more of them.
        processes.iter().rev().for_each(|process| send(process.pid, signal));
    }
    // One that was being started meanwhile ends by itself, for want of a supervisor.
    wait_until("they have ended", || processes.iter().all(Process::has_ended));
}

/// Waits until nobody has locked a file; there may be none. Who still has it after half a minute is told.
pub(crate) fn assert_unlocked(lock: &Path, when: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    while fs::File::open(lock).is_ok_and(|file| file.try_lock().is_err()) {
        assert!(Instant::now() < until, "{when}: {} is still locked, by {:?}", lock.display(), holders(lock));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Who has a file open: number, name and state.
fn holders(file: &Path) -> Vec<String> {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").expect("/proc").flatten() {
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        if descriptors.filter_map(|one| fs::read_link(one.path()).ok()).any(|to| to == file) {
            let line = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            found.push(line.split(' ').take(4).collect::<Vec<_>>().join(" "));
        }
    }
    found
}

/// Sends a signal to a process that may be gone.
pub(crate) fn send(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).expect("a process"), signal);
}

impl Process {
    fn look_at(pid: i32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let title = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let title = title.split('\0').next().unwrap_or_default();
        let role = title.strip_prefix("acme-client: ").unwrap_or_default().to_owned();
        Some(Self { pid, role, status })
    }

    /// A line of its status.
    pub(crate) fn line(&self, key: &str) -> String {
        let line = self.status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Whether it is gone, or waits for nothing but its parent.
    pub(crate) fn has_ended(&self) -> bool {
        Self::look_at(self.pid).is_none_or(|now| now.line("State").starts_with('Z') || now.role != self.title())
    }

    fn title(&self) -> &str {
        if self.role == "supervisor" { "" } else { &self.role }
    }

    /// That the kernel holds it as it should: by a filter, without privileges, and as root's own only where that is
    /// the user's.
    pub(crate) fn assert_sealed(&self) {
        let Self { role, status, .. } = self;
        for (key, value) in
            [("Seccomp", "2"), ("NoNewPrivs", "1"), ("CapEff", "0000000000000000"), ("CapPrm", "0000000000000000")]
        {
            assert_eq!(self.line(key), value, "{key} of {role}: {status}");
        }
        for key in ["Uid", "Gid"] {
            assert!(!self.line(key).split(' ').any(|number| number == "0"), "{role} is root's: {status}");
        }
        assert_eq!(self.line("Threads"), "1", "{role}: {status}");
    }
}
