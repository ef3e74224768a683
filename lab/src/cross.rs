//! Programs for other machines and C libraries: what the lab runs, and what is released.
//!
//! Everything is built on this machine, by one recipe: a rustc that builds its standard library from source, and zig as C compiler and
//! linker, which brings musl and the names of every version of glibc. What was built is kept by content: nothing is built twice from
//! the same sources, tools and recipe.

mod source;
mod target;
mod toolchain;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::child;
use crate::elf::Head;
use crate::error::{At as _, Error, Result};
use crate::place::{Kept, Place};

pub(crate) use source::Source;
pub(crate) use target::{ARCHES, Arch, Link, Target};
pub(crate) use toolchain::Toolchain;

/// Behind a target of musl: linked to the musl of the machine that the program runs on.
pub(crate) const DYNAMIC: &str = "+dynamic";

/// After which a build is ended. A whole one takes some minutes.
pub(crate) const LIMIT: Duration = Duration::from_secs(30 * 60);

/// How things are built is a part of what they are built from.
const RECIPE: [&str; 4] = [
    include_str!("cross.rs"),
    include_str!("cross/dlfo.c"),
    include_str!("cross/target.rs"),
    include_str!("cross/toolchain.rs"),
];

/// How many builds of a target are kept: this one, and the one before, for whoever goes to and fro.
const KEPT: usize = 2;

/// What a cell runs.
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    /// Where the programs are, and nothing else: `acme-client` (as it is released, where it is static), `acme-client-attacks`
    /// with the attacks in it, and the tests `cell`, `sealed` and `breakages`.
    pub(crate) directory: PathBuf,
}

/// Where a build happens: nothing of these paths is in what comes of it.
#[derive(Debug)]
pub(crate) struct Site {
    /// The sources, which are copied there.
    pub(crate) source: PathBuf,
    /// Where objects are kept.
    pub(crate) objects: PathBuf,
    /// Where zig keeps what it has built of C libraries.
    pub(crate) zig: PathBuf,
}

impl Site {
    /// The usual one. What is linked to another musl has a place for its objects, since it has the triple of the static one.
    pub(crate) fn usual(place: &Place, target: &Target) -> Self {
        let objects = if target.link == Link::SharedMusl { "target-shared" } else { "target" };
        let at = |name| place.cache.join(name);
        Self { source: at("src"), objects: at(objects), zig: at("zigcache") }
    }
}

/// A run of Cargo, and what is kept of it: Cargo's name for a program, its kind, and ours.
#[derive(Debug)]
struct Build {
    workspace: &'static str,
    profile: &'static str,
    arguments: &'static [&'static str],
    kept: &'static [(&'static str, &'static str, &'static str)],
}

/// The program that is released.
const RELEASE: Build = Build {
    workspace: "",
    profile: "release",
    arguments: &["-p", "acme-client", "--bin", "acme-client"],
    kept: &[("acme-client", "bin", "acme-client")],
};

/// The program as somebody might build it for another C library: linked in seconds.
const PROGRAM: Build = Build { profile: "lab", ..RELEASE };

/// The program when somebody has taken over one of its roles, and tests, which have to unwind.
const TESTS: Build = Build {
    workspace: "",
    profile: "lab",
    arguments: &[
        "-p",
        "acme-client",
        "-p",
        "portcullis",
        "--features",
        "acme-client/attacks",
        "--bin",
        "acme-client",
        "--test",
        "cell",
        "--test",
        "sealed",
        "--test",
        "breakages",
    ],
    kept: &[
        ("acme-client", "bin", "acme-client-attacks"),
        ("cell", "test", "cell"),
        ("sealed", "test", "sealed"),
        ("breakages", "test", "breakages"),
    ],
};

/// The first process of a machine.
const AGENT: Build = Build {
    workspace: "lab",
    profile: "release",
    arguments: &["-p", "agent", "--bin", "agent"],
    kept: &[("agent", "bin", "agent")],
};

/// What the cells of a target run. One build at a time: they share what they are made of, and memory is finite.
pub(crate) fn built(place: &Place, target: &str, tell: &(dyn Fn(&str) + Sync)) -> Result<Artifacts> {
    // What is released are the static ones.
    let program = if Target::parse(target)?.link == Link::Static { RELEASE } else { PROGRAM };
    let directory = kept(place, target, "", &[program, TESTS], tell)?;
    Ok(Artifacts { directory })
}

/// The first process of a machine, for a target of static programs, since there is no C library where it runs.
pub(crate) fn agent(place: &Place, target: &str, tell: &(dyn Fn(&str) + Sync)) -> Result<PathBuf> {
    Ok(kept(place, target, "agent-", &[AGENT], tell)?.join("agent"))
}

/// Only the program that is released, built at a site. The path is one of Cargo's, which may replace what is there.
pub(crate) fn release(place: &Place, site: &Site, target: &Target, source: &Source) -> Result<PathBuf> {
    let toolchain = Toolchain::find(place, target)?;
    source.stage(&site.source)?;
    let programs = cargo(place, site, target, &toolchain, "dist", &RELEASE)?;
    let program = programs.into_iter().next();
    program.map(|(_, path)| path).ok_or_else(|| Error::new("Cargo has built no program"))
}

/// A directory with what builds make, which are run only if it has not been made from the same before.
fn kept(place: &Place, name: &str, kind: &str, builds: &[Build], tell: &(dyn Fn(&str) + Sync)) -> Result<PathBuf> {
    let make = || {
        let target = Target::parse(name)?;
        let toolchain = Toolchain::find(place, &target)?;
        let source = Source::read(&place.source)?;
        let lab = builds.iter().all(|build| build.workspace == "lab");
        let what = format!("{target:?}{builds:?}");
        let recipe = [&[what.as_str(), &toolchain.version][..], &RECIPE].concat();
        let key = source.key(lab, &recipe);
        let (home, family) = (place.cached("built")?, format!("{kind}{name}"));
        let finished = home.join(format!("{family}-{key}"));
        if used(&finished) {
            return Ok(finished);
        }
        let _lock = place.lock(Kept::Builds)?;
        // Whoever had the lock may have built it.
        if !used(&finished) {
            tell(&format!("building {family}"));
            let started = Instant::now();
            // Whole or not there: it is renamed when everything is in it.
            let unfinished = home.join(format!("{family}-unfinished"));
            let _ = fs::remove_dir_all(&unfinished);
            fs::create_dir(&unfinished).at(&unfinished)?;
            let site = Site::usual(place, &target);
            source.stage(&site.source)?;
            let run = |index: usize, build: &Build| {
                for (name, path) in cargo(place, &site, &target, &toolchain, &format!("{kind}{}", index + 1), build)? {
                    let to = unfinished.join(name);
                    // At once: the next build may replace it.
                    fs::copy(&path, &to).at(&to)?;
                }
                Ok(())
            };
            side_by_side(builds, run)?;
            fs::rename(&unfinished, &finished).at(&finished)?;
            tell(&format!("built {family} in {} s", started.elapsed().as_secs()));
            prune(&home, &family)?;
        }
        Ok(finished)
    };
    make().map_err(|error: Error| Error::new(format!("{kind}{name}: {error}")))
}

/// Runs builds at the same time if each has a profile, and so a place for its objects, to itself: to link is work for one core.
fn side_by_side(builds: &[Build], run: impl Fn(usize, &Build) -> Result<()> + Sync) -> Result<()> {
    let profiles: BTreeSet<&str> = builds.iter().map(|build| build.profile).collect();
    if profiles.len() < builds.len() {
        return builds.iter().enumerate().try_for_each(|(index, build)| run(index, build));
    }
    std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> =
            builds.iter().enumerate().map(|(index, build)| scope.spawn(move || run(index, build))).collect();
        let panicked = |_| Err(Error::new("a build's thread panicked; this is a bug of the lab"));
        let results: Vec<Result<()>> =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect();
        results.into_iter().collect()
    })
}

/// Runs Cargo, and gives the programs that it made.
fn cargo(
    place: &Place,
    site: &Site,
    target: &Target,
    toolchain: &Toolchain,
    step: &str,
    build: &Build,
) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut command = command(place, site, target, toolchain, "build")?;
    command.args(["--locked", "--profile", build.profile, "--message-format=json-render-diagnostics"]);
    command.args(["--target", &target.argument()]).args(build.arguments);
    command.current_dir(site.source.join(build.workspace));
    let log = place.log(&format!("build-{}-{step}", target.name))?;
    child::succeeds(&mut command, &log, LIMIT)?;
    let messages = fs::read(&log).at(&log)?;
    let messages = String::from_utf8_lossy(&messages);
    let programs = build.kept.iter().map(|&(name, kind, ours)| {
        let path = program(&messages, name, kind).ok_or_else(|| Error::new(format!("Cargo has built no {name}")))?;
        let fits = Head::read(&path).and_then(|head| target.check(head));
        fits.map_err(|error| Error::new(format!("{name}: {error}")))?;
        Ok((ours, path))
    });
    programs.collect()
}

/// Cargo for a target (to `build` or `check`), with nothing in its environment that could make another program of the same
/// sources.
pub(crate) fn command(
    place: &Place,
    site: &Site,
    target: &Target,
    toolchain: &Toolchain,
    what: &str,
) -> Result<Command> {
    let shared = target.link == Link::SharedMusl;
    // By its path: Cargo would look for a command of this name in its own directory first.
    let zigbuild = || place.cache.join("venv/bin/cargo-zigbuild");
    let mut command = Command::new(if shared { "cargo".into() } else { zigbuild() });
    command.arg(if what == "build" && !shared { "zigbuild" } else { what });
    clean(&mut command);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(toolchain.programs.iter().cloned().chain(std::env::split_paths(&path)))
        .map_err(|error| Error::new(format!("PATH: {error}")))?;
    command.env("PATH", path).env("CARGO_TERM_COLOR", "never").env("CARGO_TARGET_DIR", &site.objects);
    command.env("CARGO_ZIGBUILD_CACHE_DIR", &site.zig).env("ZIG_GLOBAL_CACHE_DIR", site.zig.join("zig"));
    if shared {
        let linker = format!("CARGO_TARGET_{}_LINKER", target.triple.to_uppercase().replace('-', "_"));
        command.env(linker, "musl-gcc").env(format!("CC_{}", target.triple.replace('-', "_")), "musl-gcc");
    }
    if let Some((rustc, _)) = &toolchain.rustc {
        // Building the standard library is not a stable feature of Cargo.
        command.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
    }
    let mut flags = remaps(site, toolchain)?;
    flags.extend(target.flags().iter().map(|&flag| flag.to_owned()));
    // Separated as Cargo does it, so that a path may have spaces.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    Ok(command)
}

/// Takes away what the environment of a developer, or of the Cargo that runs the lab, would change about a build.
fn clean(command: &mut Command) {
    const NAMES: &[&str] = &["AR", "CARGO_INCREMENTAL", "CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "LD_LIBRARY_PATH"];
    const BEGINNINGS: &[&str] = &[
        "AR_",
        "CARGO_BUILD_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "CARGO_UNSTABLE_",
        "CC_",
        "CFLAGS_",
        "RUSTC",
        "RUSTFLAGS",
    ];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if NAMES.contains(&&*text) || BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) {
            command.env_remove(&name);
        }
    }
}

/// Flags that put names in place of paths, which are in a program where it panics: the same bytes come from every place. The last
/// that fits counts.
fn remaps(site: &Site, toolchain: &Toolchain) -> Result<Vec<String>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let home = home.ok_or_else(|| Error::new("HOME is not set, nor CARGO_HOME"))?;
    let mut all = vec![(home, "/cargo")];
    if let Some((_, source)) = &toolchain.rustc {
        // Debian has a link at the usual place.
        all.extend([(fs::canonicalize(source).at(source)?, "/rustc"), (source.clone(), "/rustc")]);
    }
    all.extend([(site.objects.clone(), "/target"), (site.source.clone(), "/src")]);
    let flags = all.into_iter().map(|(path, name)| match path.to_str() {
        Some(path) if !path.contains(['=', '\x1f']) => Ok(format!("--remap-path-prefix={path}={name}")),
        _ => Err(Error::new(format!("{} is not a path that a compiler can be told", path.display()))),
    });
    flags.collect()
}

/// The program of a name and kind in Cargo's messages.
fn program(messages: &str, name: &str, kind: &str) -> Option<PathBuf> {
    // Other lines are for people.
    let messages = messages.lines().filter(|line| line.starts_with('{'));
    messages.filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let target = &message["target"];
        let right = message["reason"] == "compiler-artifact" && target["name"] == name && target["kind"][0] == kind;
        if right { message["executable"].as_str().map(PathBuf::from) } else { None }
    })
}

/// Whether a build is there. If so it is the newest from now on: which one is used counts, not which one was built.
fn used(finished: &Path) -> bool {
    File::open(finished).and_then(|file| file.set_modified(SystemTime::now())).is_ok()
}

/// Removes builds of a family but the newest.
fn prune(home: &Path, family: &str) -> Result<()> {
    let mut builds = Vec::new();
    for entry in fs::read_dir(home).at(home)? {
        let entry = entry.at(home)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // The name of a family may begin that of another; a key has no hyphens.
        let key = name.rsplit_once('-').filter(|(other, _)| *other == family).map(|(_, key)| key);
        if key.is_some_and(|key| key.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            builds.push((entry.metadata().and_then(|data| data.modified()).at(home)?, entry.path()));
        }
    }
    builds.sort();
    builds.reverse();
    for (_, old) in builds.iter().skip(KEPT) {
        fs::remove_dir_all(old).at(old)?;
    }
    Ok(())
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_builds_of_a_target_stay_and_others_are_left_alone() {
        let home = tempfile::tempdir().expect("a directory");
        let at = |name: &str| home.path().join(name);
        let names =
            ["x-musl-1a", "x-musl-2b", "x-musl-3c", "x-musl+dynamic-1a", "agent-x-musl-1a", "x-musl-unfinished"];
        for (age, name) in (1..).zip(names) {
            fs::create_dir(at(name)).expect("made");
            fs::write(at(name).join("acme-client"), "a program").expect("written");
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(age);
            File::open(at(name)).and_then(|file| file.set_modified(time)).expect("aged");
        }
        // The oldest is what is wanted now.
        assert!(used(&at("x-musl-1a")) && !used(&at("x-musl-9f")));
        prune(home.path(), "x-musl").expect("pruned");
        let there: Vec<_> = names.into_iter().filter(|name| at(name).exists()).collect();
        assert_eq!(there, ["x-musl-1a", "x-musl-3c", "x-musl+dynamic-1a", "agent-x-musl-1a", "x-musl-unfinished"]);
    }

    #[test]
    fn programs_are_found_by_name_and_kind_in_messages() {
        let messages = r#"
   Compiling cell
{"reason":"compiler-artifact","target":{"name":"cell","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"cell","kind":["test"]},"executable":"/t/cell-1"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(program(messages, "cell", "test"), Some("/t/cell-1".into()));
        assert_eq!(program(messages, "cell", "lib"), None);
        assert_eq!(program(messages, "sealed", "test"), None);
    }

    #[test]
    fn the_last_remap_that_fits_is_the_most_exact() {
        let at = |source: &str| Site { source: source.into(), objects: "/a b/target".into(), zig: "/zig".into() };
        let toolchain = Toolchain { rustc: None, version: String::new(), programs: Vec::new() };
        let flags = remaps(&at("/home/a/.cargo/src"), &toolchain).expect("flags");
        assert!(flags.ends_with(&[
            "--remap-path-prefix=/a b/target=/target".to_owned(),
            "--remap-path-prefix=/home/a/.cargo/src=/src".to_owned(),
        ]));
        assert!(remaps(&at("/a=b"), &toolchain).expect_err("refused").to_string().contains("/a=b"));
    }

    #[test]
    fn what_is_not_known_is_an_error_about_it() {
        let cache = tempfile::tempdir().expect("a directory");
        let place = Place { source: cache.path().join("none"), cache: cache.path().to_owned() };
        let error = built(&place, "pdp11-unknown-linux-musl", &|_| {}).expect_err("refused").to_string();
        assert_eq!(error, "there is no recipe for the target pdp11-unknown-linux-musl");
    }
}
