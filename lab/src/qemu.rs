//! Emulated machines.
//!
//! Without hardware virtualisation, which is not to be had everywhere and is no faster for what takes two seconds to start.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::child::{self, Ended, Limit};
use crate::debian::{self, Suite};
use crate::error::{At as _, Error, Result};
use crate::initramfs::Archive;
use crate::place::{Kept, Place};

/// The oldest QEMU whose machines for these architectures start a kernel of Debian.
const NEW_ENOUGH: u32 = 9;

/// What every kernel is told. Programs have the same addresses in every process: an emulator translates code by its address,
/// which takes it more time than all else, and can do it once so.
const BOOT: &str = "quiet loglevel=1 panic=-1 mitigations=off norandmaps random.trust_cpu=on rdinit=/init";

/// How an architecture is emulated.
#[derive(Clone, Copy, Debug)]
struct Emulator {
    program: &'static str,
    arguments: &'static [&'static str],
    console: &'static str,
    /// In MiB.
    memory: u32,
    /// Whether Debian 12's own is too old.
    new: bool,
    /// Firmware that is not the emulator's own, from where that is.
    firmware: Option<&'static str>,
}

const fn emulator(program: &'static str, arguments: &'static [&'static str], console: &'static str) -> Emulator {
    Emulator { program, arguments, console, memory: 768, new: false, firmware: None }
}

/// The emulator for an architecture.
fn of(arch: &str) -> Option<Emulator> {
    Some(match arch {
        "x86_64" => emulator("qemu-system-x86_64", &["-M", "pc", "-cpu", "max"], "ttyS0"),
        "i686" => emulator("qemu-system-i386", &["-M", "pc", "-cpu", "max"], "ttyS0"),
        "aarch64" => emulator("qemu-system-aarch64", &["-M", "virt", "-cpu", "cortex-a57"], "ttyAMA0"),
        "armv7" => emulator("qemu-system-arm", &["-M", "virt,highmem=off", "-cpu", "cortex-a15"], "ttyAMA0"),
        "riscv64" => emulator("qemu-system-riscv64", &["-M", "virt", "-bios", "default"], "ttyS0"),
        "ppc64le" => {
            const ARGUMENTS: &[&str] =
                &["-M", "pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken", "-cpu", "power9", "-vga", "none"];
            emulator("qemu-system-ppc64", ARGUMENTS, "hvc0")
        }
        "s390x" => emulator("qemu-system-s390x", &["-M", "s390-ccw-virtio", "-cpu", "max"], "ttysclp0"),
        "mips64el" => {
            let emulator = emulator("qemu-system-mips64el", &["-M", "loongson3-virt"], "ttyS0");
            Emulator { new: true, memory: 1024, ..emulator }
        }
        "loongarch64" => {
            let emulator = emulator("qemu-system-loongarch64", &["-M", "virt", "-cpu", "la464"], "ttyS0");
            Emulator { new: true, memory: 1024, firmware: Some("../qemu-efi-loongarch64/QEMU_EFI.fd"), ..emulator }
        }
        _ => return None,
    })
}

/// A machine that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Qemu {
    emulator: Emulator,
    /// The program.
    program: PathBuf,
    /// Where its firmware is, if that is not where it looks by itself.
    data: Option<PathBuf>,
}

impl Qemu {
    /// Has what emulates an architecture: the system's own or, where that is too old, a newer one that is unpacked and not
    /// installed.
    pub(crate) fn have(place: &Place, arch: &str) -> Result<Self> {
        let emulator = of(arch).ok_or_else(|| Error::new(format!("nothing here emulates {arch}")))?;
        let version = version(Path::new(emulator.program));
        if !emulator.new {
            version.map_err(|_| {
                Error::new(format!("{} is missing: install the package of QEMU for {arch}", emulator.program))
            })?;
            return Ok(Self { emulator, program: emulator.program.into(), data: None });
        }
        if emulator.firmware.is_none() && version.is_ok_and(|version| version >= NEW_ENOUGH) {
            return Ok(Self { emulator, program: emulator.program.into(), data: None });
        }
        let unpacked = unpacked(place)?;
        let program = unpacked.join("usr/bin").join(emulator.program);
        self::version(&program)?;
        Ok(Self { emulator, program, data: Some(unpacked.join("usr/share/qemu")) })
    }

    /// Starts a machine with this kernel and file system, and waits until it is switched off. Whatever it writes to its
    /// console is in the log.
    pub(crate) fn run(&self, kernel: &Path, initramfs: &Path, append: &str, log: &Path, limit: Limit) -> Result<Ended> {
        let Emulator { arguments, console, memory, firmware, .. } = self.emulator;
        let mut command = child::bound(&self.program);
        command.args(arguments).args(["-accel", "tcg", "-smp", "1", "-nodefaults", "-nographic", "-serial", "stdio"]);
        command.args(["-no-reboot", "-nic", "none", "-m", &memory.to_string(), "-kernel"]).arg(kernel);
        command.arg("-initrd").arg(initramfs);
        if let Some(data) = &self.data {
            command.arg("-L").arg(data);
            if let Some(firmware) = firmware {
                command.arg("-bios").arg(data.join(firmware));
            }
        }
        command.arg("-append").arg(format!("console={console} {BOOT} {append}"));
        child::logged(&mut command, log, limit)
    }
}

/// The first number of its version.
fn version(program: &Path) -> Result<u32> {
    let said = child::output(Command::new(program).arg("--version"))?;
    let text = String::from_utf8_lossy(&said).into_owned();
    let number = text.split(' ').find_map(|word| word.split('.').next()?.parse().ok());
    number.ok_or_else(|| Error::new(format!("{} does not tell its version", program.display())))
}

/// QEMU of a later suite, unpacked. The libraries it needs are those of the system's own.
fn unpacked(place: &Place) -> Result<PathBuf> {
    let path = place.cache.join("qemu");
    if path.exists() {
        return Ok(path);
    }
    let _lock = place.lock(Kept::Packages)?;
    if path.exists() {
        return Ok(path);
    }
    let scratch = tempfile::tempdir_in(&place.cache).at(&place.cache)?;
    let suite = Suite::new(place, "bookworm-backports", "amd64");
    for package in ["qemu-system-misc", "qemu-system-common", "qemu-system-data", "qemu-system-mips"] {
        debian::unpack(&suite.package(package)?, scratch.path(), &[])?;
    }
    let firmware = Suite::new(place, "trixie", "amd64").package("qemu-efi-loongarch64")?;
    debian::unpack(&firmware, scratch.path(), &[])?;
    std::fs::rename(scratch.keep(), &path).at(&path)?;
    Ok(path)
}

/// What is in a machine besides the agent: directories by the names they have in it.
pub(crate) fn initramfs(path: &Path, agent: &Path, plan: &[u8], trees: &[(String, PathBuf)]) -> Result<()> {
    let file = File::create(path).at(path)?;
    let mut archive = Archive::begin(BufWriter::new(file))?;
    archive.file("init", 0o755, &std::fs::read(agent).at(agent)?)?;
    for directory in ["proc", "sys", "tmp", "lab", "roots", "programs"] {
        archive.directory(directory)?;
    }
    archive.file("lab/plan.json", 0o644, plan)?;
    for (name, tree) in trees {
        archive.tree(name, tree)?;
    }
    archive.end()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_has_an_emulator() {
        for arch in ["x86_64", "i686", "aarch64", "armv7", "riscv64", "ppc64le", "s390x", "loongarch64", "mips64el"] {
            assert!(of(arch).is_some(), "{arch}");
        }
        assert!(of("vax").is_none());
    }
}
