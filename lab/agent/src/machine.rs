//! What a machine needs before anything can run on it, and what each cell needs.

use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::system::RebootCommand;
use serde_json::{Value, json};

use crate::plan::Cell;

/// Makes a machine that has nothing but a kernel fit to run programs.
pub(crate) fn prepare() -> Result<(), String> {
    for (kind, at) in [(c"proc", "/proc"), (c"sysfs", "/sys"), (c"devtmpfs", "/dev"), (c"tmpfs", "/tmp")] {
        mount(kind, Path::new(at))?;
    }
    let console = fs::OpenOptions::new().read(true).write(true).open("/dev/console");
    if let Ok(console) = console {
        let _ = rustix::stdio::dup2_stdin(&console);
        let _ = rustix::stdio::dup2_stdout(&console);
        let _ = rustix::stdio::dup2_stderr(&console);
    }
    loopback()
}

/// The same where somebody else made name spaces for it: a network with nothing in it, mounts that nobody else sees.
pub(crate) fn prepare_namespaces() -> Result<(), String> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(|error| format!("mounts cannot be made private: {error}"))?;
    loopback()
}

/// Sets the clock of a machine that was started without one. Where it is right it is left alone.
pub(crate) fn set_clock(seconds: u64) {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    let Ok(wanted) = rustix::time::Secs::try_from(seconds) else { return };
    if now.abs_diff(wanted) > 3600 {
        let time = rustix::time::Timespec { tv_sec: wanted, tv_nsec: 0 };
        let _ = rustix::time::clock_settime(rustix::time::ClockId::Realtime, time);
    }
}

/// The kernel, and how long it took to get here.
pub(crate) fn describe() -> Value {
    let name = rustix::system::uname();
    let up = fs::read_to_string("/proc/uptime").unwrap_or_default();
    json!({
        "kernel": name.release().to_string_lossy(),
        "hardware": name.machine().to_string_lossy(),
        "up": up.split(' ').next().and_then(|seconds| seconds.parse::<f64>().ok()),
    })
}

/// Makes the root directory of a cell from its C library and its programs. Nothing in them can be changed: the next cell is
/// to find them as this one did.
pub(crate) fn furnish(cell: &Cell) -> Result<PathBuf, String> {
    let root = cell.root.clone();
    bind(&root, &root)?;
    bind(&cell.programs, &root.join("t"))?;
    mount(c"proc", &root.join("proc"))?;
    bind(Path::new("/dev"), &root.join("dev"))?;
    mount(c"tmpfs", &root.join("tmp"))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    fs::set_permissions(root.join("tmp"), mode).map_err(|error| format!("{}: {error}", root.display()))?;
    for fixed in [root.clone(), root.join("t")] {
        rustix::mount::mount_remount(&fixed, MountFlags::BIND | MountFlags::RDONLY, c"")
            .map_err(|error| format!("{} cannot be made read-only: {error}", fixed.display()))?;
    }
    Ok(root)
}

/// Takes apart what [`furnish`] made.
pub(crate) fn clear(root: &Path) {
    for at in ["tmp", "dev", "proc", "t", ""] {
        let _ = rustix::mount::unmount(root.join(at), rustix::mount::UnmountFlags::DETACH);
    }
}

/// Makes a directory where something is mounted the root of this process, and of its name space for mounts. By `chroot(2)`
/// alone there would be something above it, where those arrive who change the root once more and climb out: attacks would miss
/// what they are after, and not because of what is tested.
#[expect(unsafe_code, reason = "no library has a safe way to do this")]
pub(crate) fn make_root(root: &str) -> rustix::io::Result<()> {
    // SAFETY: only mounts are no longer shared with other processes; descriptors and memory are as they were.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    rustix::process::chdir(root)?;
    rustix::mount::mount_move(".", "/")?;
    rustix::process::chroot(".")?;
    rustix::process::chdir("/")
}

/// Switches the machine off. Whoever is told waits for that.
pub(crate) fn switch_off() -> ! {
    rustix::fs::sync();
    // Serial lines of some machines still have to send what was written, some of them after the kernel takes it for sent.
    let _ = rustix::termios::tcdrain(rustix::stdio::stdout());
    std::thread::sleep(std::time::Duration::from_millis(300));
    loop {
        let _ = rustix::system::reboot(RebootCommand::PowerOff);
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

fn mount(kind: &CStr, at: &Path) -> Result<(), String> {
    fs::create_dir_all(at).map_err(|error| format!("{}: {error}", at.display()))?;
    match rustix::mount::mount(kind, at, kind, MountFlags::empty(), None) {
        // The kernel may have done so itself.
        Ok(()) | Err(rustix::io::Errno::BUSY) => Ok(()),
        Err(error) => Err(format!("{} cannot be mounted on {}: {error}", kind.to_string_lossy(), at.display())),
    }
}

fn bind(what: &Path, at: &Path) -> Result<(), String> {
    fs::create_dir_all(at).map_err(|error| format!("{}: {error}", at.display()))?;
    rustix::mount::mount_bind(what, at)
        .map_err(|error| format!("{} cannot be mounted on {}: {error}", what.display(), at.display()))
}

/// Brings the loopback interface up (netdevice(7)).
fn loopback() -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("the loopback interface cannot be brought up: {error}");
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").map_err(|error| failed(&error))?;
    up(&socket).map_err(|error| failed(&error))
}

#[expect(unsafe_code, reason = "no library has a safe way to do this")]
fn up(socket: &std::net::UdpSocket) -> std::io::Result<()> {
    // `SIOCSIFFLAGS`, which is the same number on all architectures.
    type SetFlags = rustix::ioctl::Setter<0x8914, libc::ifreq>;
    // SAFETY: all zeros is a valid ifreq: names and addresses of no bytes.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (at, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *at = libc::c_char::from_ne_bytes([byte]);
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(libc::c_short::MAX);
    // SAFETY: the number takes an ifreq, whose flags are set; the kernel only reads it.
    unsafe { rustix::ioctl::ioctl(socket, SetFlags::new(request)) }.map_err(Into::into)
}
