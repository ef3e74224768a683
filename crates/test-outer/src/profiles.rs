//! Sandboxes that many programs live in: container managers, service managers, kernels with less in them.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::{Answer, Outer, Test};

/// Capabilities that containers have if nothing else is asked for, as Docker's manual lists them ("Runtime privilege and
/// Linux capabilities"): `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `FSETID`, `KILL`, `SETGID`, `SETUID`, `SETPCAP`,
/// `NET_BIND_SERVICE`, `NET_RAW`, `SYS_CHROOT`, `MKNOD`, `AUDIT_WRITE`, `SETFCAP`.
pub const CONTAINER_CAPABILITIES: u64 = {
    let bits = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];
    let (mut set, mut at) = (0, 0);
    while at < bits.len() {
        set |= 1 << bits[at];
        at += 1;
    }
    set
};

/// `CAP_SYS_CHROOT` as a bit.
pub const SYS_CHROOT: u64 = 1 << 18;

/// `CLONE_NEWNS` and its like, but for `CLONE_NEWTIME`, which `clone` has no bit for.
const NEW_NAMESPACES: u32 = 0x7e02_0000;

/// Calls that Docker's default profile refuses, as its manual tells ("Significant syscalls blocked by the default profile"):
/// with `EPERM`, and `ENOSYS` for `clone3`, whose flags no filter sees.
#[must_use]
pub fn docker() -> Outer {
    const REFUSED: [&str; 46] = [
        "acct",
        "add_key",
        "bpf",
        "clock_adjtime",
        "clock_settime",
        "create_module",
        "delete_module",
        "finit_module",
        "get_kernel_syms",
        "get_mempolicy",
        "init_module",
        "ioperm",
        "iopl",
        "io_uring_enter",
        "io_uring_register",
        "io_uring_setup",
        "kcmp",
        "kexec_file_load",
        "kexec_load",
        "keyctl",
        "lookup_dcookie",
        "mbind",
        "mount",
        "move_pages",
        "nfsservctl",
        "open_by_handle_at",
        "perf_event_open",
        "pivot_root",
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        "query_module",
        "quotactl",
        "reboot",
        "request_key",
        "set_mempolicy",
        "setns",
        "settimeofday",
        "stime",
        "swapoff",
        "swapon",
        "sysfs",
        "_sysctl",
        "umount2",
        "unshare",
        "userfaultfd",
    ];
    Outer::new()
        .answer(Answer::Errno(libc::EPERM), &REFUSED)
        .answer_if(Answer::Errno(libc::EPERM), &Test::HasBit(0, NEW_NAMESPACES), &["clone"])
        .answer(Answer::Errno(libc::ENOSYS), &["clone3"])
}

/// gVisor, as far as calls go: filters by either call and without flags, so that nobody can be told of calls; nothing of
/// Landlock; no options of `prctl` that came after it (`pkg/sentry/syscalls` of its source).
#[must_use]
pub fn gvisor() -> Outer {
    const LANDLOCK: [&str; 3] = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"];
    const NEW: [&str; 6] = ["openat2", "pidfd_getfd", "process_madvise", "clone3", "mseal", "fchmodat2"];
    // PR_SET_MDWE and PR_GET_MDWE, PR_CAP_AMBIENT, PR_SET_SECUREBITS.
    let options = Test::Is(vec![65, 66, 47, 28]);
    // All flags but the one for all threads; SECCOMP_GET_ACTION_AVAIL and what came after it.
    Outer::new()
        .answer_if(Answer::Errno(libc::EINVAL), &Test::HasBit(1, !1), &["seccomp"])
        .answer_if(Answer::Errno(libc::EINVAL), &Test::Is(vec![2, 3]), &["seccomp"])
        .answer_if(Answer::Errno(libc::EINVAL), &options, &["prctl"])
        .answer(Answer::Errno(libc::ENOSYS), &LANDLOCK)
        .answer(Answer::Errno(libc::ENOSYS), &NEW)
}

/// A profile in the form that Docker, Podman and others share (`seccomp.json` of the OCI), for a container with
/// [`CONTAINER_CAPABILITIES`]. Of tests of arguments, those of `clone` and `personality` are taken for passed.
///
/// # Errors
///
/// If it cannot be read, or is none.
pub fn from_json(path: &Path) -> io::Result<Outer> {
    let profile: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
    let strings = |value: &serde_json::Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let answer = |rule: &serde_json::Value, action: &str, errno: &str| {
        let number = rule[errno].as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or(libc::EPERM);
        match rule[action].as_str() {
            Some("SCMP_ACT_ALLOW") => Ok(Answer::Allow),
            Some("SCMP_ACT_ERRNO") => Ok(Answer::Errno(number)),
            other => Err(io::Error::other(format!("an action that is not known: {other:?}"))),
        }
    };
    let mut outer = Outer::new().otherwise(answer(&profile, "defaultAction", "defaultErrnoRet")?);
    let rules = profile["syscalls"].as_array().ok_or_else(|| io::Error::other("no list of calls"))?;
    let caps = ["CAP_CHOWN", "CAP_SYS_CHROOT", "CAP_AUDIT_WRITE", "CAP_SETUID"].map(str::to_owned);
    let native = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    for rule in rules {
        let needs = strings(&rule["includes"]["caps"]);
        let unless = strings(&rule["excludes"]["caps"]);
        let arches = strings(&rule["includes"]["arches"]);
        let applies = (needs.is_empty() || needs.iter().any(|cap| caps.contains(cap)))
            && !unless.iter().any(|cap| caps.contains(cap))
            && (arches.is_empty() || arches.iter().any(|arch| arch == native));
        if applies {
            let names = strings(&rule["names"]);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            outer = outer.answer(answer(rule, "action", "errnoRet")?, &names);
        }
    }
    Ok(outer)
}

/// What a service may do with `SystemCallFilter=SET`, as systemd-analyze(1) tells; `otherwise` is the answer to the rest
/// (`SystemCallErrorNumber=`; without one the process is killed).
///
/// # Errors
///
/// If there is no systemd, or no such set.
pub fn systemd(set: &str, otherwise: Answer) -> io::Result<Outer> {
    let names = members(set, 0)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // A service is started by execve(2), which the manager adds to every list.
    Ok(Outer::new().answer(Answer::Allow, &names).answer(Answer::Allow, &["execve"]).otherwise(otherwise))
}

/// Sets may have sets in them.
fn members(set: &str, depth: usize) -> io::Result<Vec<String>> {
    let output = Command::new("systemd-analyze").args(["syscall-filter", set]).output()?;
    if !output.status.success() || depth > 8 {
        return Err(io::Error::other(format!("systemd knows no set {set}")));
    }
    let mut names = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines().skip(1).map(str::trim) {
        match line.chars().next() {
            Some('@') => names.extend(members(line, depth + 1)?),
            Some('#') | None => {}
            Some(_) => names.push(line.to_owned()),
        }
    }
    Ok(names)
}
