//! What the machine offers: each layer is asked for in a throw-away child, which may lose what it likes.
//!
//! Some outer sandboxes end whoever makes a call that they do not know; and that a setting can be read does not mean that
//! it can be changed.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use super::super::posix::{identity, limits};
use super::{capabilities, namespaces, paths, root, settings, syscalls, threads};
use crate::child;
use crate::report::{Layer, LayerReport, Outcome};

/// How long a child may take: it makes a few calls.
const PATIENCE: Duration = Duration::from_secs(5);

/// Comes before what the child has found out.
const MARK: u8 = 0x1e;

/// What this kernel offers of these layers, found out without taking anything from the caller.
pub(crate) fn machine(layers: &[Layer]) -> Vec<LayerReport> {
    // With several threads a copy could be of a moment in which one of them holds a lock.
    let alone = threads().is_none_or(|count| count == 1);
    let ask = |layer| if alone { in_a_child(layer) } else { offered(layer) };
    layers.iter().map(|layer| LayerReport::new(*layer, ask(*layer))).collect()
}

fn in_a_child(layer: Layer) -> Outcome {
    let ended = child::try_out(PATIENCE, |said| {
        let found = match offered(layer) {
            // What it says goes for the real thing as well, unless that fails.
            outcome @ (Outcome::Enforced(_) | Outcome::Partial(_)) => match really(layer) {
                less @ (Outcome::Partial(_) | Outcome::Unavailable(_)) => less,
                _ => outcome,
            },
            outcome => outcome,
        };
        let _ = rustix::io::write(said, &told(&found));
    });
    match ended {
        Ok(ended) => heard(&ended.said).unwrap_or_else(|| {
            let how = ended.status.map_or_else(|| "does not end".to_owned(), |status| ended_by(status.signal()));
            Outcome::Unavailable(format!("whoever asks for it here {how}"))
        }),
        // No process is to be had: what can be seen from here has to do.
        Err(_) => offered(layer),
    }
}

fn ended_by(signal: Option<i32>) -> String {
    match signal {
        Some(libc::SIGSYS) => "is ended by an outer sandbox (SIGSYS)".to_owned(),
        Some(signal) => format!("is ended by signal {signal}"),
        None => "ends without a word".to_owned(),
    }
}

/// As far as it can be told from outside.
fn offered(layer: Layer) -> Outcome {
    match layer {
        Layer::NoNewPrivileges => settings::no_new_privileges_offered(),
        Layer::NotDumpable => settings::not_dumpable_offered(),
        Layer::Identity => identity::change_offered(),
        Layer::Capabilities => capabilities::offered(),
        Layer::Root => root::offered(),
        Layer::Namespaces => namespaces::offered(),
        Layer::Limits => limits::offered(),
        Layer::Mdwe => settings::never_executable_offered(),
        Layer::Landlock => paths::offered(),
        Layer::Seccomp => syscalls::offered(),
        _ => foreign(),
    }
}

/// As far as it takes doing it.
fn really(layer: Layer) -> Outcome {
    match layer {
        Layer::NoNewPrivileges => settings::no_new_privileges(),
        Layer::NotDumpable => settings::not_dumpable(),
        Layer::Mdwe => settings::never_executable(),
        Layer::Landlock => {
            settings::no_new_privileges();
            paths::try_rules()
        }
        Layer::Seccomp => {
            settings::no_new_privileges();
            syscalls::try_filter()
        }
        Layer::Root => root::try_root(),
        Layer::Namespaces => namespaces::try_one(),
        Layer::Identity | Layer::Capabilities | Layer::Limits => Outcome::Enforced(String::new()),
        _ => foreign(),
    }
}

fn foreign() -> Outcome {
    Outcome::Unavailable("this operating system has no such layer".to_owned())
}

fn told(outcome: &Outcome) -> Vec<u8> {
    [&[MARK], outcome.word().as_bytes(), b" ", outcome.text().as_bytes()].concat()
}

fn heard(said: &[u8]) -> Option<Outcome> {
    let at = said.iter().rposition(|byte| *byte == MARK)?;
    let text = String::from_utf8_lossy(said.get(at + 1..)?).into_owned();
    let (word, text) = text.split_once(' ')?;
    let kinds = [Outcome::Enforced, Outcome::Partial, Outcome::Unavailable, Outcome::Skipped];
    kinds.into_iter().map(|kind| kind(text.to_owned())).find(|outcome| outcome.word() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_tells_is_heard() {
        for outcome in [Outcome::Enforced("a b".to_owned()), Outcome::Skipped(String::new())] {
            assert_eq!(heard(&[b"noise\n", told(&outcome).as_slice()].concat()), Some(outcome));
        }
        assert_eq!(heard(b"this is a bug"), None);
    }
}
