//! `panic`: roles come to grief once they are sealed, and their words reach the user with any C library's `abort`.

use crate::scene::Scene;
use crate::{Told, share};

const ROLES: [&str; 6] = ["net", "dial", "account", "key", "challenge", "store"];

/// Who is to come to grief how, whether the program succeeds, and the words for it (`ROLE` stands for each).
const DRILLS: [(&str, &str, bool, &[&str]); 2] = [
    (
        "all",
        "panic",
        false,
        &["ROLE says: this is a bug: a drill: this role was asked to panic", "the ROLE process gave up (SIGABRT)"],
    ),
    // One alone: a small machine does not have the memory for all.
    ("key", "allocate", true, &["ROLE says: a drill: 64 MiB allocated, 16384 pages touched"]),
];

/// In all roles at a time; as root and as an ordinary user.
pub(crate) fn run() -> Result<Told, String> {
    let filtered = super::doctor::declared().is_none_or(|declared| declared.seccomp);
    for user in share::users() {
        // With the root of a CA: a cell has none of its own.
        let scene = Scene::new(user);
        for (_, (roles, drill, succeeds, words)) in DRILLS.iter().enumerate().filter(|(at, _)| share::is_mine(*at, 3)) {
            judge(&scene, roles, drill, *succeeds, words).map_err(|why| format!("{user:?}: {why}"))?;
        }
        if filtered && share::is_mine(2, 3) {
            let words = ["the ROLE process made a system call that no honest library makes"];
            judge(&scene, "all", "forbidden", false, &words).map_err(|why| format!("{user:?}: {why}"))?;
        }
    }
    let forbidden = if filtered { "" } else { "; nothing ends who makes a forbidden call, without filters" };
    Ok(Told::words(format!("{} roles{forbidden}", ROLES.len())))
}

fn judge(scene: &Scene, roles: &str, drill: &str, succeeds: bool, words: &[&str]) -> Result<(), String> {
    let ran = scene.run(&["doctor", "--role", roles, "--drill", drill]);
    if ran.status != Some(i32::from(!succeeds)) || ran.stderr.contains('\u{1b}') {
        return Err(format!("{drill}: {ran:?}"));
    }
    for role in ROLES.iter().filter(|role| roles == "all" || roles == **role) {
        let expected = words.iter().map(|words| words.replace("ROLE", role));
        if let Some(missing) = expected.into_iter().find(|expected| !ran.stderr.contains(expected.as_str())) {
            return Err(format!("{drill}: no {missing:?} in {ran:?}"));
        }
    }
    Ok(())
}
