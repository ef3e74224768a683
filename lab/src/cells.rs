//! `cells.toml`: which machines and cells there are, and what each is said to be able to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::Deserialize;

use crate::error::{At as _, Error, Result};

/// Everything that the lab can run.
#[derive(Debug)]
pub(crate) struct Cells {
    /// What can be built.
    pub(crate) programs: BTreeMap<String, Programs>,
    /// What can be started, in the file's order.
    pub(crate) machines: Vec<Machine>,
}

/// What is built for an architecture.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Programs {
    /// Debian's name of the architecture.
    pub(crate) debian: String,
    /// The target of static programs.
    pub(crate) musl: String,
    /// The target of programs for glibc, with the oldest version they run with behind a dot.
    pub(crate) glibc: Option<String>,
    /// The target of programs that are linked to musl when they are started.
    pub(crate) musl_dynamic: Option<String>,
}

/// A kernel, and what runs on it.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// Its name.
    pub(crate) name: String,
    /// How it is started. `None` is the machine that the lab is run on.
    pub(crate) boot: Option<Boot>,
    /// What it is said to be able to do. `None`: it is what it is.
    pub(crate) declared: Option<Declared>,
    /// Its cells.
    pub(crate) cells: Vec<Cell>,
}

/// An emulated machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boot {
    /// The architecture, by the name of its programs.
    pub(crate) arch: String,
    /// Debian's name of it.
    pub(crate) debian: String,
    /// The suite that has the kernel.
    pub(crate) suite: String,
    /// The package, which may depend on the one that has the kernel.
    pub(crate) package: String,
    /// Parameters of the kernel.
    pub(crate) append: String,
}

/// What a kernel is said to be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    /// The version of Landlock's interface; 0 is none.
    pub(crate) landlock: u32,
    /// Whether memory can be kept from becoming executable (`PR_SET_MDWE`, Linux 6.3).
    pub(crate) mdwe: bool,
    /// Whether there are filters of system calls.
    pub(crate) seccomp: bool,
    /// Whether these can notify (Linux 5.0).
    pub(crate) user_notification: bool,
}

/// A C library on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// `MACHINE/ARCH-LIBRARY`.
    pub(crate) name: String,
    /// The architecture of the programs, which may be the 32-bit one of a 64-bit machine.
    pub(crate) arch: String,
    /// The C library.
    pub(crate) c_library: Library,
    /// Whether it is one of the handful that every change has to pass.
    pub(crate) smoke: bool,
    /// Which part, of how many, it does of what all cells of its architecture do together.
    pub(crate) share: (usize, usize),
}

/// Into how many parts things are dealt out that the cells of an architecture do together, if there are so many.
const PARTS: usize = 8;

/// A C library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Library {
    /// musl, in the program.
    Musl,
    /// musl of this suite.
    DynamicMusl(String),
    /// glibc of this suite.
    Glibc(String),
}

impl Library {
    /// The target to build programs for.
    pub(crate) fn target<'a>(&self, programs: &'a Programs) -> Option<&'a str> {
        match self {
            Self::Musl => Some(&programs.musl),
            Self::DynamicMusl(_) => programs.musl_dynamic.as_deref(),
            Self::Glibc(_) => programs.glibc.as_deref(),
        }
    }

    /// The suite it is from.
    pub(crate) fn suite(&self) -> Option<&str> {
        match self {
            Self::Musl => None,
            Self::DynamicMusl(suite) | Self::Glibc(suite) => Some(suite),
        }
    }

    /// `musl` or `glibc`.
    pub(crate) fn family(&self) -> &'static str {
        match self {
            Self::Musl | Self::DynamicMusl(_) => "musl",
            Self::Glibc(_) => "glibc",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (family, suite) = text.split_once('@').map_or((text, None), |(family, suite)| (family, Some(suite)));
        match (family, suite) {
            ("musl", None) => Some(Self::Musl),
            ("musl", Some(suite)) => Some(Self::DynamicMusl(suite.to_owned())),
            ("glibc", Some(suite)) => Some(Self::Glibc(suite.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Musl => f.write_str("musl"),
            Self::DynamicMusl(suite) => write!(f, "musl@{suite}"),
            Self::Glibc(suite) => write!(f, "glibc@{suite}"),
        }
    }
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    programs: BTreeMap<String, Programs>,
    #[serde(default)]
    sets: BTreeMap<String, Vec<String>>,
    machine: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    name: String,
    qemu: Option<String>,
    kernel: Option<Kernel>,
    landlock: Option<u32>,
    #[serde(default)]
    mdwe: bool,
    #[serde(default = "yes")]
    seccomp: bool,
    #[serde(default = "yes")]
    user_notification: bool,
    cells: Names,
    #[serde(default)]
    smoke: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Kernel {
    suite: String,
    package: String,
    #[serde(default)]
    append: String,
}

/// The name of a set, or the names of cells.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    Set(String),
    These(Vec<String>),
}

fn yes() -> bool {
    true
}

impl Cells {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).at(path)?;
        Self::parse(&text).map_err(|error| Error::new(format!("{}: {error}", path.display())))
    }

    fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].lines().count().max(1));
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            Error::new(format!("{line}{}", error.message()))
        })?;
        let mut known = BTreeSet::new();
        let machines = file.machine.iter().map(|entry| {
            if !known.insert(entry.name.as_str()) {
                return Err(Error::new(format!("there are two machines called {}", entry.name)));
            }
            file.machine(entry).map_err(|error| Error::new(format!("machine {}: {error}", entry.name)))
        });
        let mut machines: Vec<Machine> = machines.collect::<Result<_>>()?;
        deal(&mut machines);
        Ok(Self { programs: file.programs, machines })
    }
}

/// Deals out what is done in turn, over the cells of each architecture. Machines that have as many cells as there are parts
/// begin with another one each, so that no C library has the same part on all of them.
fn deal(machines: &mut [Machine]) {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for cell in machines.iter().flat_map(|machine| &machine.cells) {
        *all.entry(cell.arch.clone()).or_default() += 1;
    }
    let mut dealt: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for machine in machines {
        let mut here = BTreeSet::new();
        for cell in &mut machine.cells {
            let (count, turn) = dealt.entry(cell.arch.clone()).or_default();
            let of = all[&cell.arch].min(PARTS);
            if here.insert(cell.arch.clone()) && *count > 0 && *count % of == 0 {
                *turn += 1;
            }
            cell.share = ((*count + *turn) % of, of);
            *count += 1;
        }
    }
}

impl File {
    fn machine(&self, entry: &Entry) -> Result<Machine> {
        let names = match &entry.cells {
            Names::These(names) => names,
            Names::Set(name) => {
                self.sets.get(name).ok_or_else(|| Error::new(format!("there is no set of cells {name}")))?
            }
        };
        if let Some(name) = entry.smoke.iter().find(|name| !names.contains(name)) {
            return Err(Error::new(format!("{name} is to be run for every change, and is none of its cells")));
        }
        let cells = names.iter().map(|name| self.cell(entry, name)).collect::<Result<_>>()?;
        let boot = match (&entry.qemu, &entry.kernel) {
            (None, None) => None,
            (Some(arch), Some(kernel)) => Some(Boot {
                arch: arch.clone(),
                debian: self.programs(arch)?.debian.clone(),
                suite: kernel.suite.clone(),
                package: kernel.package.clone(),
                append: kernel.append.clone(),
            }),
            _ => {
                return Err(Error::new(
                    "an emulated machine has `qemu` and `kernel`, and the machine itself has neither",
                ));
            }
        };
        let declared = match (&boot, entry.landlock) {
            (None, None) => None,
            (Some(_), Some(landlock)) => Some(Declared {
                landlock,
                mdwe: entry.mdwe,
                seccomp: entry.seccomp,
                user_notification: entry.user_notification && entry.seccomp,
            }),
            (None, Some(_)) => return Err(Error::new("nothing is declared of the machine that the lab is run on")),
            (Some(_), None) => return Err(Error::new("`landlock` has to be declared, 0 if there is none")),
        };
        Ok(Machine { name: entry.name.clone(), boot, declared, cells })
    }

    fn programs(&self, arch: &str) -> Result<&Programs> {
        self.programs.get(arch).ok_or_else(|| Error::new(format!("there are no programs for {arch}")))
    }

    fn cell(&self, entry: &Entry, name: &str) -> Result<Cell> {
        let (arch, library) = name.split_once('-').unwrap_or((name, ""));
        let programs = self.programs(arch)?;
        let library = Library::parse(library)
            .ok_or_else(|| Error::new(format!("{name} is not ARCH-musl, ARCH-musl@SUITE or ARCH-glibc@SUITE")))?;
        if library.target(programs).is_none() {
            return Err(Error::new(format!("{name}: no program for {} is built for {arch}", library)));
        }
        let smoke = entry.smoke.iter().any(|smoke| smoke == name);
        Ok(Cell {
            name: format!("{}/{name}", entry.name),
            arch: arch.to_owned(),
            c_library: library,
            smoke,
            share: (0, 1),
        })
    }
}

impl Machine {
    /// The machine with those of its cells that are wanted, if there is one.
    pub(crate) fn with(&self, wanted: impl Fn(&Cell) -> bool) -> Option<Self> {
        let cells: Vec<Cell> = self.cells.iter().filter(|cell| wanted(cell)).cloned().collect();
        (!cells.is_empty()).then(|| Self { cells, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAMS: &str = "[programs.x]\ndebian = \"amd64\"\nmusl = \"x-musl\"\nglibc = \"x-gnu.2.28\"\n";

    fn refused(machine: &str) -> String {
        Cells::parse(&format!("{PROGRAMS}[[machine]]\n{machine}")).expect_err("has to be refused").to_string()
    }

    #[test]
    fn what_is_run_is_large_enough() {
        let cells = Cells::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cells.toml")).expect("it can be read");
        let all: Vec<&Cell> = cells.machines.iter().flat_map(|machine| &machine.cells).collect();
        let names: BTreeSet<&str> = all.iter().map(|cell| cell.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.len() >= 150, "{} cells", all.len());
        let arches: BTreeSet<&str> = all.iter().map(|cell| cell.arch.as_str()).collect();
        assert!(arches.len() >= 9, "{arches:?}");
        let emulated = cells.machines.iter().filter(|machine| machine.boot.is_some());
        assert!(emulated.clone().count() >= 24);
        let landlock: BTreeSet<u32> = emulated.filter_map(|machine| machine.declared).map(|it| it.landlock).collect();
        assert_eq!(landlock.into_iter().collect::<Vec<_>>(), [0, 2, 6, 7, 8, 9, 10, 11]);
        // Together they do everything.
        for arch in arches {
            let shares: BTreeSet<_> = all.iter().filter(|cell| cell.arch == arch).map(|cell| cell.share).collect();
            let of = shares.first().map_or(0, |share| share.1);
            assert_eq!(shares.into_iter().collect::<Vec<_>>(), (0..of).map(|turn| (turn, of)).collect::<Vec<_>>());
        }
        // And no library has the same part everywhere.
        let mut parts: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for cell in all.iter().filter(|cell| cell.share.1 > 1) {
            parts.entry((&cell.arch, &cell.c_library)).or_default().push(cell.share.0);
        }
        for (library, parts) in parts.iter().filter(|(_, parts)| parts.len() > 1) {
            assert!(parts.iter().any(|part| *part != parts[0]), "{library:?}: {parts:?}");
        }
        let smoke: Vec<&str> = all.iter().filter(|cell| cell.smoke).map(|cell| cell.arch.as_str()).collect();
        for arch in ["x86_64", "i686", "aarch64", "s390x"] {
            assert!(smoke.contains(&arch), "{arch} is not run for every change");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (machine, says) in [
            ("name = \"a\"\ncells = \"none\"", "machine a: there is no set of cells none"),
            ("name = \"a\"\ncells = [\"y-musl\"]", "machine a: there are no programs for y"),
            ("name = \"a\"\ncells = [\"x-bionic\"]", "x-bionic is not ARCH-musl"),
            ("name = \"a\"\ncells = [\"x-musl@sid\"]", "no program for musl@sid is built for x"),
            ("name = \"a\"\ncells = []\nsmoke = [\"x-musl\"]", "none of its cells"),
            ("name = \"a\"\nqemu = \"x\"\ncells = []", "has `qemu` and `kernel`"),
            ("name = \"a\"\ncells = []\nlandlock = 1", "nothing is declared"),
            ("name = \"a\"\ncells = []\n[[machine]]\nname = \"a\"\ncells = []", "two machines called a"),
            (
                "name = \"a\"\nqemu = \"x\"\nkernel = { suite = \"s\", package = \"p\" }\ncells = []",
                "`landlock` has to",
            ),
            ("name = \"a\"\ncolls = []", "line 6: "),
        ] {
            let error = refused(machine);
            assert!(error.contains(says), "{machine}: {error}");
        }
    }
}
