//! `doctor`: the machine offers exactly what the cell declares, and every role holds all of that.
//!
//! What is declared and absent fails, and so does what is there and was not declared: a layer that goes unnoticed is one
//! that nobody tests.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::program::{As, Ran, is_root};
use crate::scene::Scene;
use crate::{Told, keep};

/// What a cell is said to be able to do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Declared {
    pub(crate) seccomp: bool,
    pub(crate) user_notification: bool,
    pub(crate) landlock: Option<u32>,
    pub(crate) mdwe: bool,
    #[serde(default)]
    pub(crate) arch: Option<String>,
    #[serde(default)]
    pub(crate) libc: Option<String>,
}

/// What the environment declares.
pub(crate) fn declared() -> Option<Declared> {
    let text = std::env::var("ACME_TEST_DECLARES").ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("ACME_TEST_DECLARES: {error}: {text}")))
}

/// As root and as an ordinary user.
pub(crate) fn run() -> Result<Told, String> {
    let mut words = String::new();
    for user in As::all() {
        words = examine(user).map_err(|why| format!("{user:?}: {why}"))?;
    }
    Ok(Told::words(words))
}

fn examine(user: As) -> Result<String, String> {
    // With the root of a CA: a cell has none of its own.
    let ran = Scene::new(user).run(&["doctor", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).map_err(|error| format!("{error}: {ran:?}"))?;
    let found = json!({ "abilities": report["abilities"], "on": report["on"], "machine": report["machine"] });
    keep(&format!("{user:?}").to_lowercase(), found);
    let offered: Declared =
        serde_json::from_value(report["abilities"].clone()).map_err(|error| format!("abilities: {error}: {report}"))?;
    let declared = declared().unwrap_or_else(|| offered.clone());
    compare(&declared, &offered, &report["on"])?;
    let roles: Vec<&Value> = report["roles"].as_array().into_iter().flatten().collect();
    if roles.len() != 8 {
        return Err(format!("there are 8 roles, and not {}: {report}", roles.len()));
    }
    for role in roles.iter().filter(|role| role["role"] != "hook") {
        holds(role, &declared, user).map_err(|why| format!("{why}: {role}"))?;
    }
    tests_passed(&ran, &report, &declared)?;
    Ok(format!(
        "seccomp {}, notification {}, Landlock {}, MDWE {}",
        word(offered.seccomp),
        word(offered.user_notification),
        offered.landlock.map_or_else(|| "none".to_owned(), |version| version.to_string()),
        word(offered.mdwe)
    ))
}

const fn word(has: bool) -> &'static str {
    if has { "yes" } else { "no" }
}

fn compare(declared: &Declared, offered: &Declared, on: &Value) -> Result<(), String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, declared: String, found: String| {
        if declared != found {
            wrong.push(format!("{what} is declared {declared} and found {found}"));
        }
    };
    same("seccomp", declared.seccomp.to_string(), offered.seccomp.to_string());
    same("user notification", declared.user_notification.to_string(), offered.user_notification.to_string());
    same("Landlock", format!("{:?}", declared.landlock), format!("{:?}", offered.landlock));
    same("MDWE", declared.mdwe.to_string(), offered.mdwe.to_string());
    let text = |field: &str| on[field].as_str().unwrap_or_default().to_owned();
    if let Some(arch) = &declared.arch {
        same("the architecture", plain_arch(arch).to_owned(), plain_arch(&text("arch")).to_owned());
    }
    if let Some(libc) = &declared.libc {
        let first = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        same("the C library", first(libc), first(&text("libc")));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// Compilers, kernels and packages have names of their own for architectures; the compiler's is taken.
fn plain_arch(name: &str) -> &str {
    match name {
        "i686" | "i386" | "i586" => "x86",
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "armv7" | "armhf" => "arm",
        "riscv64gc" => "riscv64",
        "powerpc64le" | "ppc64le" | "ppc64el" => "powerpc64",
        "mips64el" => "mips64",
        "loong64" => "loongarch64",
        other => other,
    }
}

/// That a role holds every layer that was declared, by its own word and by the kernel's.
fn holds(role: &Value, declared: &Declared, user: As) -> Result<(), String> {
    let layers = role["layers"].as_array().ok_or("no layers")?;
    let layer = |name: &str| {
        let found = layers.iter().find(|layer| layer[0] == name);
        let text = |at: usize| found.and_then(|layer| layer[at].as_str()).unwrap_or_default();
        (text(1), text(2))
    };
    let wanted = |name: &str, offered: bool| {
        let (word, text) = layer(name);
        let expected = if offered { "enforced" } else { "unavailable" };
        if word == expected { Ok(()) } else { Err(format!("{name} must be {expected}, and is {word}: {text}")) }
    };
    wanted("no-new-privileges", true)?;
    wanted("seccomp", declared.seccomp)?;
    wanted("mdwe", declared.mdwe)?;
    let (word, text) = layer("landlock");
    match declared.landlock {
        None => wanted("landlock", false)?,
        // Older versions hold in part.
        Some(version) => {
            let held = text.strip_prefix("version ").and_then(|rest| rest.split(':').next()?.parse::<u32>().ok());
            // Of a kernel that is newer than this program all is held that the program knows of.
            let all = held == Some(version) || word == "enforced" && held.is_some_and(|held| held < version);
            if !matches!(word, "enforced" | "partial") || !all {
                return Err(format!("Landlock {version} must be held, and it is {word}: {text}"));
            }
        }
    }
    if role["lowered"].as_array().is_none_or(|lowered| !lowered.is_empty()) {
        return Err("a layer was lowered".to_owned());
    }
    if role["role"] == "supervisor" {
        // It cannot look itself up any more, and nobody listens to it.
        return Ok(());
    }
    if layer("seccomp").1.contains("are told to the supervisor") != declared.user_notification {
        return Err(format!("refused calls can be told of: {}", declared.user_notification));
    }
    let kernel = |field: &str| role["kernel"][field].as_str().unwrap_or_default();
    // Where there are none a role has no more filters than this process, which may be in one that makes it so.
    let of_all = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of_all = of_all.lines().find_map(|line| line.strip_prefix("Seccomp_filters:")).unwrap_or_default().trim();
    let filtered = if declared.seccomp { kernel("seccomp") == "2" } else { kernel("filters") == of_all };
    let users_apart = !kernel("uid").split(' ').any(|uid| uid == "0");
    let empty_root = user != As::Caller || !is_root() || kernel("root").contains("(deleted)");
    let bare = kernel("no-new-privs") == "1" && kernel("capabilities") == "0000000000000000";
    if filtered && users_apart && empty_root && bare { Ok(()) } else { Err("the kernel says otherwise".to_owned()) }
}

/// That the roles could do their work and nothing else. Without filters some of it cannot be refused, and is said.
fn tests_passed(ran: &Ran, report: &Value, declared: &Declared) -> Result<(), String> {
    let roles = report["roles"].as_array().into_iter().flatten();
    let tests = roles.flat_map(|role| role["tests"].as_array().into_iter().flatten());
    let failed: Vec<&Value> = tests.filter(|test| test[0] != true).collect();
    if ran.status != Some(i32::from(!failed.is_empty())) || report["failed-tests"] != failed.len() {
        return Err(format!("it ended with {:?}: {ran:?}", ran.status));
    }
    let honest = |test: &&Value| !declared.seccomp && test[1].as_str().is_some_and(|what| what.starts_with("cannot "));
    match failed.iter().find(|test| !honest(test)) {
        Some(test) => Err(format!("{test}")),
        None if !declared.seccomp && failed.is_empty() => {
            Err("nothing is filtered, and doctor finds no fault".to_owned())
        }
        None => Ok(()),
    }
}
