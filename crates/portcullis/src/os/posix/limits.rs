//! Resource limits: what a process that is taken over cannot use up.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{has_children, unavailable};
use crate::errno;
use crate::process::alarm_alone;
use crate::promise::Promise;
use crate::report::Outcome;
use crate::sandbox::Sandbox;
use crate::sys::{self, Limited};

/// Descriptors beyond those held, for a role that opens none: what C libraries may want for a moment. Never none:
/// poll(2) takes no more descriptors than the limit.
const SPARE: u64 = 4;
/// For a role that receives, accepts or opens.
const SPARE_FOR_MORE: u64 = 64;

pub(in crate::os) fn set(sandbox: &Sandbox) -> Outcome {
    let files = open_files(sandbox);
    let mut wanted = vec![
        (Limited::Core, 0, "no core files".to_owned()),
        (Limited::Descriptors, files, format!("{files} descriptors")),
    ];
    if !has_children(sandbox) {
        wanted.push((Limited::Processes, 0, "no processes".to_owned()));
    }
    if let Some(bytes) = sandbox.max_file_size {
        // Without this the kernel would end the process for a log that has grown too long.
        sys::ignore_file_size_signal();
        wanted.push((Limited::FileSize, bytes, format!("files up to {bytes} bytes")));
    }
    let mut set = Vec::new();
    for (resource, limit, text) in wanted {
        match lower(resource, limit) {
            Ok(()) => set.push(text),
            Err(error) if set.is_empty() => return unavailable("setrlimit(2)", error),
            Err(error) => {
                return Outcome::Partial(format!("{}; not {text}: {}", set.join(", "), errno::described(&error)));
            }
        }
    }
    if let Some(why) = alarm_alone() {
        return Outcome::Partial(format!("{}; the deadline is an alarm, not a kill: {why}", set.join(", ")));
    }
    Outcome::Enforced(set.join(", "))
}

pub(in crate::os) fn offered() -> Outcome {
    // Setting a limit to what it is changes nothing, and shows whether it may be set.
    let unchanged = sys::limit(Limited::Core)
        .and_then(|(current, maximum)| setrlimit(Resource::Core, Rlimit { current, maximum }).map_err(io::Error::from));
    match unchanged {
        Ok(()) => Outcome::Enforced("offered".to_owned()),
        Err(error) => unavailable("setrlimit(2)", error),
    }
}

/// Limits are lowered, never raised: both values, so that there is no way back.
fn lower(limited: Limited, limit: u64) -> io::Result<()> {
    let (current, maximum) = sys::limit(limited)?;
    let least = |now: Option<u64>| Some(now.map_or(limit, |now| now.min(limit)));
    let resource = match limited {
        Limited::Core => Resource::Core,
        Limited::Descriptors => Resource::Nofile,
        Limited::Processes => Resource::Nproc,
        Limited::FileSize => Resource::Fsize,
    };
    Ok(setrlimit(resource, Rlimit { current: least(current), maximum: least(maximum) })?)
}

fn open_files(sandbox: &Sandbox) -> u64 {
    // Descriptors above this are not looked for; they stay open, only no new one gets so high a number.
    const HIGHEST: u64 = 4096;
    let current = sys::limit(Limited::Descriptors).ok().and_then(|(current, _)| current);
    let current = current.unwrap_or(HIGHEST).clamp(1, HIGHEST);
    let last = i32::try_from(current - 1).unwrap_or(i32::MAX);
    let highest = sys::open_descriptors(0, last).into_iter().max();
    let held = highest.and_then(|highest| u64::try_from(highest).ok()).map_or(0, |highest| highest + 1);
    let more = [Promise::RecvFd, Promise::Accept, Promise::Connect, Promise::ReadPath];
    let opens = sandbox.writes_paths() || more.iter().any(|promise| sandbox.keeps(*promise));
    match sandbox.max_open_files {
        Some(count) => count.max(held).max(1),
        None => held + if opens { SPARE_FOR_MORE } else { SPARE },
    }
}
