//! What is built for: an architecture with a C library, and the recipe of each.

use crate::elf::{Head, Machine};
use crate::error::{Error, Result};

/// An architecture with a C library, and how a program for it is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// As it was asked for.
    pub(crate) name: String,
    /// Its name to the compiler.
    pub(crate) triple: String,
    /// How it is linked.
    pub(crate) link: Link,
    /// The architecture. None for systems whose programs are not looked at.
    pub(crate) arch: Option<&'static Arch>,
}

/// How a program comes to its C library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// With musl in it. These are the ones that are released.
    Static,
    /// With the library of the machine that it runs on: of at least this version, or whatever zig chooses.
    Shared(Option<String>),
    /// With musl of the machine that it runs on.
    SharedMusl,
}

/// An architecture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arch {
    /// Its name in the name of a release, and in the lab's.
    pub(crate) name: &'static str,
    /// The target of its static programs.
    pub(crate) musl: &'static str,
    /// What must be in the head of a program for it.
    machine: Machine,
    wide: bool,
    big: bool,
}

/// All of them.
pub(crate) const ARCHES: &[Arch] = &[
    arch("x86_64", "x86_64-unknown-linux-musl", 62),
    arch("aarch64", "aarch64-unknown-linux-musl", 183),
    Arch { wide: false, ..arch("i686", "i686-unknown-linux-musl", 3) },
    Arch { wide: false, ..arch("armv7", "armv7-unknown-linux-musleabihf", 40) },
    arch("riscv64", "riscv64gc-unknown-linux-musl", 243),
    arch("ppc64le", "powerpc64le-unknown-linux-musl", 21),
    Arch { big: true, ..arch("s390x", "s390x-unknown-linux-musl", 22) },
    arch("loongarch64", "loongarch64-unknown-linux-musl", 258),
    arch("mips64el", "mips64el-unknown-linux-muslabi64", 8),
];

const fn arch(name: &'static str, musl: &'static str, machine: Machine) -> Arch {
    Arch { name, musl, machine, wide: true, big: false }
}

impl Target {
    /// The target of a name: the compiler's, with the oldest version of glibc behind a dot, or [`super::DYNAMIC`] behind musl.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let unknown = || Error::new(format!("there is no recipe for the target {name}"));
        let (rest, dynamic) = name.strip_suffix(super::DYNAMIC).map_or((name, false), |rest| (rest, true));
        let (triple, version) = rest.split_once('.').map_or((rest, None), |(triple, version)| (triple, Some(version)));
        let (hardware, library) = triple.split_once("-unknown-linux-").ok_or_else(unknown)?;
        let begins = |arch: &&Arch| arch.musl.split_once('-').is_some_and(|(known, _)| known == hardware);
        let arch = ARCHES.iter().find(begins).ok_or_else(unknown)?;
        let link = match (library, version, dynamic) {
            (_, None, false) if triple == arch.musl => Link::Static,
            (_, None, true) if triple == arch.musl => Link::SharedMusl,
            (gnu, version, false) if gnu.starts_with("gnu") => Link::Shared(version.map(str::to_owned)),
            _ => return Err(unknown()),
        };
        Ok(Self { name: name.to_owned(), triple: triple.to_owned(), link, arch: Some(arch) })
    }

    /// A system that is not Linux, for which programs are checked and linked, and never run.
    pub(crate) fn other(triple: &str) -> Self {
        Self { name: triple.to_owned(), triple: triple.to_owned(), link: Link::Shared(None), arch: None }
    }

    /// What cargo-zigbuild takes for `--target`.
    pub(crate) fn argument(&self) -> String {
        match &self.link {
            Link::Shared(Some(version)) => format!("{}.{version}", self.triple),
            Link::Shared(None) | Link::Static | Link::SharedMusl => self.triple.clone(),
        }
    }

    /// Whether the machine's own toolchain builds it, which has its standard library, rather than the one with all the sources.
    pub(crate) fn is_native(&self) -> bool {
        self.triple == "x86_64-unknown-linux-gnu"
    }

    /// Flags of the compiler that are the target's own. zig brings the start files and libraries of musl, so that rustc must
    /// not look for its own.
    pub(crate) fn flags(&self) -> &'static [&'static str] {
        match self.link {
            Link::Static => &["-C", "link-self-contained=no", "-C", "target-feature=+crt-static"],
            Link::SharedMusl => &["-C", "link-self-contained=no", "-C", "target-feature=-crt-static"],
            Link::Shared(_) => &[],
        }
    }

    /// Whether a program is for this target, which cannot be told by its name.
    pub(crate) fn check(&self, head: Head) -> Result<()> {
        let Some(arch) = self.arch else { return Ok(()) };
        let wrong = if head.machine != arch.machine {
            format!("is for machine {}, and {} is {}", head.machine, arch.name, arch.machine)
        } else if (head.wide, head.big) != (arch.wide, arch.big) {
            format!("has the words or order of bytes of something else than {}", arch.name)
        } else if head.loaded && self.link == Link::Static {
            "is not static".to_owned()
        } else if !head.loaded && self.link != Link::Static {
            "is static".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::new(wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_how_a_program_is_linked() {
        let link = |name: &str| Target::parse(name).map(|target| (target.link.clone(), target.argument()));
        assert_eq!(link("s390x-unknown-linux-musl"), Ok((Link::Static, "s390x-unknown-linux-musl".into())));
        assert_eq!(
            link("x86_64-unknown-linux-musl+dynamic"),
            Ok((Link::SharedMusl, "x86_64-unknown-linux-musl".into()))
        );
        let old = "armv7-unknown-linux-gnueabihf.2.28";
        assert_eq!(link(old), Ok((Link::Shared(Some("2.28".into())), old.into())));
        let any = "mips64el-unknown-linux-gnuabi64";
        assert_eq!(link(any), Ok((Link::Shared(None), any.into())));
        for wrong in ["", "x86_64", "pdp11-unknown-linux-musl", "x86_64-unknown-linux-musl.2", "x86_64-unknown-freebsd"]
        {
            assert!(link(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn everything_that_is_run_has_a_recipe() {
        let cells = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cells.toml");
        for (name, programs) in crate::cells::Cells::read(&cells).expect("it can be read").programs {
            let musl = Target::parse(&programs.musl).expect("a recipe");
            assert_eq!(musl.arch.map(|arch| arch.name), Some(&*name));
            for other in [programs.glibc, programs.musl_dynamic].into_iter().flatten() {
                assert_eq!(Target::parse(&other).expect("a recipe").arch, musl.arch);
            }
        }
    }

    #[test]
    fn a_program_for_something_else_is_refused() {
        let alone = Target::parse("s390x-unknown-linux-musl").expect("a recipe");
        let right = Head { machine: 22, wide: true, big: true, loaded: false };
        assert_eq!(alone.check(right), Ok(()));
        for wrong in [
            Head { machine: 21, ..right },
            Head { wide: false, ..right },
            Head { big: false, ..right },
            Head { loaded: true, ..right },
        ] {
            assert!(alone.check(wrong).is_err(), "{wrong:?}");
        }
        let shared = Target::parse("s390x-unknown-linux-gnu.2.28").expect("a recipe");
        assert!(shared.check(right).is_err());
        assert_eq!(shared.check(Head { loaded: true, ..right }), Ok(()));
    }
}
