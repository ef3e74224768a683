//! What the kernel says a process holds (proc_pid_status(5)).

use std::fs;

use serde::Serialize;

/// The lines of `/proc/PID/status` that say how a process is confined, and where its root directory is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct KernelView {
    /// `Uid`: real, effective, saved, filesystem.
    pub(crate) uid: String,
    /// `Gid`.
    pub(crate) gid: String,
    /// `CapEff`, in hexadecimal digits.
    pub(crate) capabilities: String,
    /// `NoNewPrivs`: 0 or 1.
    pub(crate) no_new_privs: String,
    /// `Seccomp`: 0 none, 2 a filter.
    pub(crate) seccomp: String,
    /// `Seccomp_filters`: how many.
    pub(crate) filters: String,
    /// The root directory, where this user may know.
    pub(crate) root: String,
}

/// What the kernel says. `None` if the process is gone or `/proc` is not there.
pub(crate) fn view(pid: i32) -> Option<KernelView> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let root = fs::read_link(format!("/proc/{pid}/root"));
    let root = root.map_or_else(|_| "not for this user to know".to_owned(), |path| path.display().to_string());
    Some(parse(&status, root))
}

fn parse(status: &str, root: String) -> KernelView {
    let line = |key: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        found.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    KernelView {
        uid: line("Uid"),
        gid: line("Gid"),
        capabilities: line("CapEff"),
        no_new_privs: line("NoNewPrivs"),
        seccomp: line("Seccomp"),
        filters: line("Seccomp_filters"),
        root,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_found() {
        let status =
            "Name:\tx\nUid:\t1\t2\t3\t4\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let view = parse(status, "/".into());
        assert_eq!((view.uid.as_str(), view.seccomp.as_str(), view.filters.as_str()), ("1 2 3 4", "2", "1"));
    }
}
