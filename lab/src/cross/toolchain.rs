//! The compilers: a rustc with the source of its standard library, zig as C compiler and linker for everything, and what
//! Debian's musl lacks to be linked to.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::target::{Link, Target};
use crate::child;
use crate::error::{At as _, Error, Result};
use crate::place::{Kept, Place};

/// zig and its way into Cargo, from PyPI: these very files, for x86_64 and for aarch64.
const ZIG: &[&str] = &[
    "ziglang==0.17.1 \
     --hash=sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54 \
     --hash=sha256:b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e",
    "cargo-zigbuild==0.24.1 \
     --hash=sha256:238a1ab54a95053a4eadc34775c81f795a8ad75f80bfed63f3f445f518102375 \
     --hash=sha256:07c5e3dcddf208500462ec927c556bb306cca2b533b0abe29446bffb63767b85",
];

/// The rustc that goes with the source of its standard library, in Debian.
const DEBIAN: &str = "/usr/bin/rustc";

/// What links to musl, in Debian.
const MUSL_GCC: &str = "/usr/bin/musl-gcc";

/// What builds for a target.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// Another rustc than Cargo's own, with the source that it builds the standard library from.
    pub(crate) rustc: Option<(PathBuf, PathBuf)>,
    /// What it says of itself, and the versions of all others.
    pub(crate) version: String,
    /// Directories of programs, to be found before others.
    pub(crate) programs: Vec<PathBuf>,
}

impl Toolchain {
    /// What there is for a target. What can be fetched and made is.
    pub(crate) fn find(place: &Place, target: &Target) -> Result<Self> {
        let rustc = if target.is_native() { None } else { Some(with_source()?) };
        let program = rustc.as_ref().map_or_else(|| Path::new("rustc"), |(rustc, _)| rustc);
        let mut version = said(Command::new(program).arg("-vV"))?;
        version += &said(Command::new("cargo").arg("-vV"))?;
        if let Some((_, source)) = &rustc {
            // It comes in a package of its own, which may be a newer one than the compiler's.
            let version_of = source.join("library/Cargo.lock");
            version += &fs::read_to_string(&version_of).at(&version_of)?;
        }
        let mut programs = Vec::new();
        if target.link == Link::SharedMusl {
            programs.push(shared_musl(place)?);
            version += &said(Command::new(MUSL_GCC).arg("--version"))?;
            let library = PathBuf::from(said(Command::new(MUSL_GCC).arg("-print-file-name=libc.a"))?);
            version += &super::hex(&Sha256::digest(fs::read(&library).at(&library)?));
        } else {
            programs.push(zig(place)?);
            version += &ZIG.join(" ");
        }
        Ok(Self { rustc, version, programs })
    }
}

/// A rustc, and the source of its standard library.
fn with_source() -> Result<(PathBuf, PathBuf)> {
    for rustc in [DEBIAN, "rustc"] {
        let Ok(root) = said(Command::new(rustc).args(["--print", "sysroot"])) else { continue };
        let source = Path::new(&root).join("lib/rustlib/src/rust");
        if source.join("library/std/Cargo.toml").exists() {
            return Ok((rustc.into(), source));
        }
    }
    let wanted = "apt-get install rustc-web rust-web-src, or rustup component add rust-src";
    Err(Error::new(format!("no rustc has the source of its standard library, which other machines need: {wanted}")))
}

/// The directory of zig and cargo-zigbuild, which are fetched when they are not there in these very versions.
fn zig(place: &Place) -> Result<PathBuf> {
    let (home, wanted) = (place.cache.join("venv"), ZIG.join("\n"));
    let (programs, mark, files) = (home.join("bin"), home.join("versions"), home.join("requirements.txt"));
    let there = || fs::read_to_string(&mark).is_ok_and(|there| there == wanted);
    if there() {
        return Ok(programs);
    }
    let _lock = place.lock(Kept::Tools)?;
    if there() {
        return Ok(programs);
    }
    let log = place.log("zig")?;
    let limit = Duration::from_secs(600);
    let mut venv = Command::new("python3");
    child::succeeds(venv.args(["-m", "venv"]).arg(&home), &log, limit)
        .map_err(|error| Error::new(format!("zig needs an environment of Python (python3-venv of Debian): {error}")))?;
    fs::write(&files, &wanted).at(&files)?;
    let mut pip = Command::new(programs.join("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--require-hashes", "-r"]);
    child::succeeds(pip.arg(&files), &log, limit)
        .map_err(|error| Error::new(format!("zig and cargo-zigbuild cannot be had from PyPI: {error}")))?;
    fs::write(&mark, wanted).at(&mark)?;
    Ok(programs)
}

/// A musl-gcc that can link what Rust builds to Debian's shared musl. There is no `libgcc_s` for musl in Debian, so it is
/// a script of the linker that names the static libraries; and GCC's unwinder, built for glibc, asks for `_dl_find_object`, and for
/// nothing else if that finds no object: panics could not be caught.
fn shared_musl(place: &Place) -> Result<PathBuf> {
    if !Path::new(MUSL_GCC).exists() {
        return Err(Error::new(format!("{MUSL_GCC} is not there: apt-get install musl-tools")));
    }
    let _lock = place.lock(Kept::Tools)?;
    let home = place.cached("wrap")?;
    let put = |name: &str, content: &str| -> Result<PathBuf> {
        let path = home.join(name);
        if fs::read_to_string(&path).is_ok_and(|there| there == content) {
            return Ok(path);
        }
        fs::write(&path, content).at(&path)?;
        Ok(path)
    };
    put("libgcc_s.so", "GROUP ( -lgcc_eh -ldlfo -lgcc )\n")?;
    let stub = put("dlfo.c", include_str!("dlfo.c"))?;
    let script = put("musl-gcc", &format!("#!/bin/sh\nexec {MUSL_GCC} -L '{}' \"$@\"\n", home.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).at(&script)?;
    let (object, library) = (home.join("dlfo.o"), home.join("libdlfo.a"));
    let made_from = home.join("dlfo.made-from");
    if fs::read_to_string(&made_from).ok().as_deref() != Some(include_str!("dlfo.c")) {
        said(Command::new(MUSL_GCC).args(["-O2", "-c", "-o"]).arg(&object).arg(&stub))?;
        said(Command::new("ar").args(["rcD"]).arg(&library).arg(&object))?;
        fs::write(&made_from, include_str!("dlfo.c")).at(&made_from)?;
    }
    Ok(home)
}

/// What a short command says.
fn said(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&child::output(command)?).trim_end().to_owned())
}
