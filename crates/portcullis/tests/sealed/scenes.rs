//! The scenes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use libc::{EACCES, EAFNOSUPPORT, EBADF, EFBIG, EINVAL, ENOSYS, ENOTTY, EPERM};
use portcullis::{Error, Identity, Layer, Namespace, Outcome, PathAccess, Promise, Report, Sandbox, sockets};
use rustix::fs::{AtFlags, Mode, OFlags};
use syscall_policy::{Arch, Class, Condition, Decision, Errno, Policy, Rule, compile};

#[path = "rehearsed.rs"]
mod rehearsed;
#[path = "surrounded.rs"]
mod surrounded;

use rehearsed::*;
use surrounded::*;

use crate::support::{
    PUBLIC, block, call, call_number, fails, fails_as_multiplexed, note, outer_filter, refused, seal, sealed, with,
};

/// A process of its own, and how it must end.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) play: fn(&[String]),
    pub(crate) expect: Expect,
    /// Whether it takes a while in which nothing is done.
    pub(crate) waits: bool,
    /// Whether it is no different for another user.
    pub(crate) once: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Expect {
    Success,
    Signal(i32),
    /// The signal, and one line on standard error that begins so.
    LastLine(i32, &'static str),
    /// Success, and what `/proc` says of it while it is sealed is as this wants it; the user is given if it is not that
    /// of the tests.
    Status(fn(&str, Option<u32>) -> bool),
}

macro_rules! scenes {
    ($($name:ident: $expect:expr,)+) => {
        vec![$(scene(stringify!($name), $name, $expect),)+]
    };
}

pub(crate) fn all() -> Vec<Scene> {
    let mut all = scenes! {
        stdio_goes_on: Expect::Success,
        stdio_refuses_paths_and_sockets: Expect::Success,
        stdio_refuses_processes_and_settings: Expect::Success,
        memory_is_not_executable_by_filter: Expect::Success,
        memory_is_not_executable_by_setting: Expect::Success,
        panic_says_one_line: Expect::LastLine(libc::SIGABRT, "this is a bug: the sky is falling"),
        panic_while_much_is_allocated: Expect::LastLine(libc::SIGABRT, "this is a bug: "),
        abort_is_an_abort: Expect::Signal(libc::SIGABRT),
        foreign_gate: Expect::Signal(libc::SIGSYS),
        descriptors_are_passed: Expect::Success,
        descriptors_are_not_passed_without_promise: Expect::Success,
        create_path: Expect::Success,
        write_path: Expect::Success,
        read_path: Expect::Success,
        paths_by_filter_alone: Expect::Success,
        connect: Expect::Success,
        accept: Expect::Success,
        children: Expect::Success,
        sleeper: Expect::Success,
        status: Expect::Status(status_is_sealed),
        nested: Expect::Success,
        without_seccomp_and_landlock: Expect::Success,
        under_an_outer_filter: Expect::Success,
        an_outer_filter_that_ends_whoever_asks: Expect::Success,
        sixteen_sandboxes_inside_each_other: Expect::Success,
        namespaces: Expect::Success,
        required_layers: Expect::Success,
        required_layer_of_another_system: Expect::Success,
        a_path_that_is_no_directory: Expect::Success,
        deadline: Expect::Signal(libc::SIGALRM),
        deadline_cannot_be_blocked: Expect::Signal(libc::SIGKILL),
        early: Expect::Success,
        inherited_descriptors: Expect::Success,
        descriptors_of_programs_started: Expect::Success,
        file_size: Expect::Success,
        threads: Expect::Success,
        machine: Expect::Success,
        switched_off: Expect::Success,
        rehearsal_of_what_works: Expect::Success,
        rehearsal_lowers_the_filter_a_step: Expect::Signal(libc::SIGSYS),
        rehearsal_lowers_what_is_in_the_way_and_nothing_else: Expect::Success,
        rehearsal_knows_what_is_not_the_sandboxs_fault: Expect::Success,
        rehearsal_names_what_is_withheld: Expect::Success,
        rehearsal_lowers_one_layer_at_most: Expect::Success,
        rehearsal_fails_where_a_layer_is_required: Expect::Success,
        outer_filter_that_kills_whoever_asks: Expect::Success,
        told_of: Expect::Success,
        listened_to_already: Expect::Success,
        named: Expect::Success,
    };
    all.iter_mut().for_each(|scene| scene.waits = scene.name.starts_with("deadline"));
    let hard = |name| Scene { once: true, ..scene(name, hard, Expect::Signal(libc::SIGSYS)) };
    all.extend(HARD.iter().map(|(name, _)| hard(name)));
    all
}

const fn scene(name: &'static str, play: fn(&[String]), expect: Expect) -> Scene {
    Scene { name, play, expect, waits: false, once: false }
}

/// What other scenes start as a process of its own.
pub(crate) fn halves() -> Vec<Scene> {
    scenes! {
        half_that_is_told_of: Expect::Success,
        half_that_is_named: Expect::Success,
        half_with_descriptors: Expect::Success,
        half_that_ends: Expect::Success,
    }
}

/// This program again, as one of those. Nothing else is sure to be on a machine.
fn half(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(["scene", name]);
    command
}

/// Does nothing.
fn half_that_ends(_: &[String]) {}

/// Succeeds if that descriptor is open.
fn half_with_descriptors(rest: &[String]) {
    assert!(std::path::Path::new("/proc/self/fd").join(&rest[0]).symlink_metadata().is_ok());
}

// What goes on.

fn stdio_goes_on(_: &[String]) {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let mut held = tempfile();
    let report = seal(&[Promise::Stdio]);
    note(&report);
    // 32-bit architectures have two of many.
    let most = if cfg!(target_pointer_width = "64") { 60 } else { 80 };
    assert!(report.calls_allowed > 20 && report.calls_allowed < most || !report.held(Layer::Seccomp), "{report}");

    writer.write_all(b"through a pipe").unwrap();
    let mut buffer = [0; 14];
    reader.read_exact(&mut buffer).unwrap();
    held.write_all(&buffer).unwrap();
    held.sync_all().unwrap();

    allocate();
    let map: HashMap<u32, String> = (0..1000).map(|n| (n, n.to_string())).collect();
    assert_eq!(map[&777], "777");
    assert!(SystemTime::now() > SystemTime::UNIX_EPOCH);
    let before = Instant::now();
    let mut wait = [rustix::event::PollFd::new(&reader, rustix::event::PollFlags::IN)];
    let timeout = rustix::time::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
    assert_eq!(rustix::event::poll(&mut wait, Some(&timeout)).unwrap(), 0);
    assert!(before.elapsed() >= Duration::from_millis(2));
    let duplicate = writer.try_clone().unwrap();
    drop(duplicate);
    assert!(std::process::id() > 0 && !rustix::process::getuid().as_raw() > 0);
    drop((reader, writer, held));
}

/// Small and large, grown, shrunk and freed: brk, mmap, mremap and munmap, or what the C library has for them.
fn allocate() {
    let mut small: Vec<Vec<u8>> = (1..600).map(|size| vec![1; size]).collect();
    small.iter_mut().step_by(2).for_each(|bytes| bytes.resize(10_000, 2));
    let mut large = vec![0_u8; 1 << 20];
    for shift in 21..23 {
        large.resize(1 << shift, 3);
    }
    large.truncate(1000);
    large.shrink_to_fit();
    assert_eq!(large.len(), 1000);
    assert_eq!(small.iter().flatten().filter(|byte| **byte == 0).count(), 0);
}

fn tempfile() -> File {
    let path = std::env::temp_dir().join(format!(
        "portcullis-file-{}-{}",
        std::process::id(),
        rustix::process::getuid().as_raw()
    ));
    let file = File::create_new(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

// What is refused.

fn stdio_refuses_paths_and_sockets(_: &[String]) {
    let report = seal(&[Promise::Stdio]);
    if cannot_be_tested(&report, Layer::Seccomp) {
        return;
    }
    fails(File::open(PUBLIC), EACCES);
    fails(File::create("/tmp/portcullis-new"), EACCES);
    fails(std::fs::create_dir("/tmp/portcullis-dir"), EACCES);
    fails(std::fs::remove_file("/etc/hostname"), EACCES);
    fails(std::fs::rename("/tmp/a", "/tmp/b"), rename_refused());
    // There statx is also what tells of a descriptor that is held (fstat came with Linux 6.11), so that all may make it.
    if cfg!(not(target_arch = "loongarch64")) {
        fails(std::fs::symlink_metadata("/tmp"), EACCES);
    }
    fails(std::env::set_current_dir("/"), EACCES);
    fails_as_multiplexed(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)), EACCES);
    fails_as_multiplexed(TcpStream::connect((Ipv4Addr::LOCALHOST, 9)), EACCES);
    fails_as_multiplexed(UnixStream::pair(), EPERM);
    fails(sockets::connect((Ipv4Addr::LOCALHOST, 9).into()), EACCES);
    fails(std::io::pipe(), EPERM);
    refused("openat2", [0; 6], ENOSYS);
    if cfg!(not(target_arch = "loongarch64")) {
        refused("statx", [0; 6], ENOSYS);
    }
    refused("memfd_create", [0; 6], ENOSYS);
    refused("socketcall", [1, 0, 0, 0, 0, 0], ENOSYS);
    for number in [3000, 0x3fff_fff0] {
        assert_eq!(call_number(number, [0; 6]), Err(ENOSYS));
    }
    if cfg!(target_arch = "x86_64") {
        // read and openat by x32's numbers.
        assert_eq!(call_number(0x4000_0000, [0; 6]), Err(ENOSYS));
        assert_eq!(call_number(0x4000_0101, [0; 6]), Err(ENOSYS));
    }
}

fn stdio_refuses_processes_and_settings(_: &[String]) {
    let parent = rustix::process::getppid().unwrap();
    let report = seal(&[Promise::Stdio]);
    if cannot_be_tested(&report, Layer::Seccomp) {
        return;
    }
    // musl has one error for whatever a thread is not to be had for.
    fails(std::thread::Builder::new().spawn(|| ()), if cfg!(target_env = "musl") { libc::EAGAIN } else { EPERM });
    fails(Command::new("/bin/true").spawn(), EPERM);
    fails(rustix::process::kill_process(parent, rustix::process::Signal::TERM).map_err(Into::into), EPERM);
    refused("kill", [usize::MAX, 0, 0, 0, 0, 0], EPERM);
    refused("tgkill", [1, 1, 0, 0, 0, 0], EPERM);
    refused("pidfd_open", [1, 0, 0, 0, 0, 0], EPERM);
    refused("fork", [0; 6], EPERM);
    refused("clone", [17, 0, 0, 0, 0, 0], EPERM);
    refused("clone3", [0; 6], ENOSYS);
    refused("setuid", [0; 6], EPERM);
    refused("capset", [0; 6], EPERM);
    refused("chroot", [0; 6], EPERM);
    refused("prlimit64", [0; 6], EPERM);
    refused("alarm", [0; 6], EPERM);
    refused("setitimer", [0; 6], EPERM);
    refused("timer_delete", [0; 6], EPERM);
    refused("timer_settime", [0; 6], EPERM);
    refused("shmget", [0; 6], EACCES);
    refused("sched_setaffinity", [0; 6], EPERM);
    refused("seccomp", [1, 0, 0, 0, 0, 0], ENOSYS);
    refused("io_setup", [1, 0, 0, 0, 0, 0], ENOSYS);
    // Dumpable again; input for somebody's terminal.
    refused("prctl", [4, 1, 0, 0, 0, 0], EINVAL);
    refused("ioctl", [0, 0x5412, 0, 0, 0, 0], ENOTTY);
    // And what of these calls is harmless.
    assert_eq!(call("prctl", [3, 0, 0, 0, 0, 0]), Some(Ok(0)), "PR_GET_DUMPABLE");
    assert_eq!(call("tgkill", own_thread_and_no_signal()), Some(Ok(0)));
}

fn own_thread_and_no_signal() -> [usize; 6] {
    let own = usize::try_from(std::process::id()).unwrap();
    [own, own, 0, 0, 0, 0]
}

/// Calls that end the process, with arguments that would be harmless.
const HARD: [(&str, [usize; 6]); 27] = [
    ("execve", [0; 6]),
    ("execveat", [0; 6]),
    ("ptrace", [0; 6]),
    ("process_vm_readv", [0; 6]),
    ("process_vm_writev", [0; 6]),
    ("pidfd_getfd", [0; 6]),
    ("kcmp", [0; 6]),
    ("bpf", [0; 6]),
    ("perf_event_open", [0; 6]),
    ("userfaultfd", [0; 6]),
    ("io_uring_setup", [0; 6]),
    ("io_uring_enter", [0; 6]),
    ("keyctl", [0; 6]),
    ("add_key", [0; 6]),
    ("request_key", [0; 6]),
    ("init_module", [0; 6]),
    ("finit_module", [0; 6]),
    ("delete_module", [0; 6]),
    ("kexec_load", [0; 6]),
    ("mount", [0; 6]),
    ("umount2", [0; 6]),
    ("pivot_root", [0; 6]),
    ("move_mount", [0; 6]),
    ("unshare", [0; 6]),
    ("setns", [usize::MAX, 0, 0, 0, 0, 0]),
    ("open_by_handle_at", [0; 6]),
    // A new user name space.
    ("clone", [0x1000_0011, 0, 0, 0, 0, 0]),
];

fn hard(_: &[String]) {
    let name = std::env::args().nth(2).unwrap();
    let (name, mut arguments) = *HARD.iter().find(|(known, _)| *known == name).unwrap();
    if name == "clone" && cfg!(target_arch = "s390x") {
        // The stack comes first there.
        arguments.swap(0, 1);
    }
    // All that could be promised, and still.
    let report = seal(&Promise::ALL);
    if cannot_be_tested(&report, Layer::Seccomp) {
        block_here(libc::SIGSYS);
    }
    match call(name, arguments) {
        Some(result) => panic!("{name} came back with {result:?}"),
        None => {
            // The process ends all the same, by another call.
            note(format!("not tested: {name}, which this architecture does not have"));
            let _ = call("ptrace", [0; 6]);
        }
    }
}

/// Ends the process as a test would have it that cannot be made here, which has been said.
fn block_here(signal: i32) -> ! {
    let own = rustix::process::getpid();
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
    let _ = rustix::process::kill_process(own, signal);
    unreachable!("the signal ends the process")
}

#[cfg(target_arch = "x86_64")]
fn foreign_gate(_: &[String]) {
    let report = seal(&Promise::ALL);
    if cannot_be_tested(&report, Layer::Seccomp) {
        block_here(libc::SIGSYS);
    }
    crate::support::foreign_gate();
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign_gate(_: &[String]) {
    note("not tested: this architecture has no other gate");
    block_here(libc::SIGSYS);
}

/// Private and anonymous; MIPS has a number of its own for that.
const ANONYMOUS: usize = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 0x802 } else { 0x22 };

fn memory_is_not_executable_by_filter(_: &[String]) {
    let report = sealed(with(&[Promise::Stdio]).without(Layer::Mdwe));
    if cannot_be_tested(&report, Layer::Seccomp) {
        return;
    }
    not_executable();
}

fn memory_is_not_executable_by_setting(_: &[String]) {
    let report = sealed(with(&[Promise::Stdio]).without(Layer::Seccomp));
    if cannot_be_tested(&report, Layer::Mdwe) {
        return;
    }
    not_executable();
}

fn not_executable() {
    let nowhere = usize::MAX;
    if cfg!(target_pointer_width = "64") && !cfg!(target_arch = "s390x") {
        assert_eq!(call("mmap", [0, 4096, 7, ANONYMOUS, nowhere, 0]), Some(Err(EACCES)));
        let page = call("mmap", [0, 4096, 3, ANONYMOUS, nowhere, 0]).unwrap().unwrap();
        let page = usize::try_from(page).unwrap();
        assert_eq!(call("mprotect", [page, 4096, 5, 0, 0, 0]), Some(Err(EACCES)));
        assert_eq!(call("mprotect", [page, 4096, 1, 0, 0, 0]), Some(Ok(0)));
    } else {
        note("not tested: how this architecture passes the arguments of mmap");
    }
}

// The end.

fn panic_says_one_line(_: &[String]) {
    portcullis::last_words();
    seal(&[Promise::Stdio]);
    panic!("the sky is falling");
}

fn panic_while_much_is_allocated(_: &[String]) {
    portcullis::last_words();
    seal(&[Promise::Stdio]);
    allocate();
    let numbers: Vec<usize> = (0..100_000).collect();
    let beyond = numbers.len() + usize::from(std::process::id() > 0);
    // An index out of bounds: the text is made by the standard library.
    let _ = numbers[beyond];
}

fn abort_is_an_abort(_: &[String]) {
    seal(&[Promise::Stdio]);
    allocate();
    std::process::abort();
}

fn deadline(_: &[String]) {
    portcullis::set_deadline(Duration::from_millis(300));
    seal(&[Promise::Stdio]);
    std::thread::sleep(Duration::from_secs(20));
}

fn deadline_cannot_be_blocked(_: &[String]) {
    portcullis::set_deadline(Duration::from_millis(300));
    seal(&[Promise::Stdio]);
    block(libc::SIGALRM);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(100));
    }
}

// Descriptors.

fn descriptors_are_passed(_: &[String]) {
    let (left, right) = UnixStream::pair().unwrap();
    let mut file = tempfile();
    file.write_all(b"held").unwrap();
    seal(&[Promise::Stdio, Promise::SendFd, Promise::RecvFd]);
    send(&left, &file).unwrap();
    let received = receive(&right).unwrap();
    let mut received = File::from(received);
    received.write_all(b"!").unwrap();
    assert_eq!(received.metadata().map(|metadata| metadata.len()).unwrap_or(5), 5);
}

fn descriptors_are_not_passed_without_promise(_: &[String]) {
    let (left, right) = UnixStream::pair().unwrap();
    let file = tempfile();
    let report = seal(&[Promise::Stdio]);
    if cannot_be_tested(&report, Layer::Seccomp) {
        return;
    }
    fails_as_multiplexed(send(&left, &file), EPERM);
    fails_as_multiplexed(receive(&right), EPERM);
}

fn send(over: &UnixStream, file: &File) -> std::io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let handles = [file.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&handles)));
    Ok(sendmsg(over, &[std::io::IoSlice::new(b"x")], &mut control, SendFlags::empty())?)
}

fn receive(over: &UnixStream) -> std::io::Result<OwnedFd> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(over, &mut [std::io::IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let handle = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut handles) => handles.next(),
        _ => None,
    });
    handle.ok_or_else(|| std::io::Error::other("no descriptor came"))
}

fn inherited_descriptors(_: &[String]) {
    let file = tempfile();
    let raw = file.as_raw_fd();
    // The file's owner gives it up without closing it, as a parent does.
    std::mem::forget(file);
    let mut taken = File::from(portcullis::fd::inherited(raw).unwrap());
    taken.write_all(b"mine").unwrap();
    fails(portcullis::fd::inherited(raw + 500), EBADF);
    fails(portcullis::fd::inherited(-1), EBADF);
    std::mem::forget(taken);
    portcullis::fd::close_from(3);
    fails(portcullis::fd::inherited(raw), EBADF);
    assert!(File::open("/dev/null").is_ok());
}

fn descriptors_of_programs_started(_: &[String]) {
    let file = tempfile();
    // Without the flag, as a library or whoever started this process may have left it.
    let left = rustix::io::dup(&file).unwrap();
    let is_there =
        |raw: i32| half("half_with_descriptors").arg(raw.to_string()).stderr(Stdio::null()).status().unwrap().success();
    assert!(is_there(left.as_raw_fd()), "otherwise there is nothing to be tested");
    portcullis::fd::close_on_exec_from(left.as_raw_fd());
    assert!(!is_there(left.as_raw_fd()), "it is open in a program started since");
    let mut left = File::from(left);
    left.write_all(b"still open here").unwrap();
}

fn file_size(_: &[String]) {
    let mut file = tempfile();
    let report = sealed(with(&[Promise::Stdio]).max_file_size(1000));
    if cannot_be_tested(&report, Layer::Limits) {
        return;
    }
    file.write_all(&[1; 1000]).unwrap();
    fails(file.write_all(&[1; 1]), EFBIG);
}

// Paths.

/// A directory with `old` in it and `secret` beside it, and a handle to it.
fn directory() -> (PathBuf, OwnedFd) {
    let own = std::process::id();
    let outer = std::env::temp_dir().join(format!("portcullis-{own}-{}", rustix::process::getuid().as_raw()));
    let inner = outer.join("inner");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(inner.join("old"), "old").unwrap();
    std::fs::write(outer.join("secret"), "secret").unwrap();
    let handle = open_directory(&inner);
    (inner, handle)
}

fn open_directory(path: &std::path::Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn openat(directory: &OwnedFd, name: &str, flags: OFlags) -> std::io::Result<File> {
    Ok(File::from(rustix::fs::openat(directory, name, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))?))
}

fn create_path(_: &[String]) {
    let (path, handle) = directory();
    let sandbox = with(&[Promise::Stdio, Promise::CreatePath]).path(open_directory(&path), PathAccess::Write);
    let report = sealed(sandbox.max_open_files(16));
    note(&report);

    let mut new = openat(&handle, "new", OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL).unwrap();
    new.write_all(b"new").unwrap();
    new.sync_all().unwrap();
    rustix::fs::fchmod(&new, Mode::from_raw_mode(0o640)).unwrap();
    rustix::fs::renameat(&handle, "new", &handle, "newer").unwrap();
    rustix::fs::symlinkat("newer", &handle, "link").unwrap();
    rustix::fs::mkdirat(&handle, "sub", Mode::from_raw_mode(0o700)).unwrap();
    rustix::fs::renameat(&handle, "newer", &handle, "sub/newer").unwrap();
    rustix::fs::linkat(&handle, "sub/newer", &handle, "twin", AtFlags::empty()).unwrap();
    let sub = openat(&handle, "sub", OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    rustix::fs::fsync(&sub).unwrap();
    // By its number: some C libraries ask for what is held by way of an empty path, which a filter cannot tell from others.
    let mut stat = [0_u64; 64];
    let held = usize::try_from(sub.as_raw_fd()).unwrap();
    let looked = call("fstat", [held, (&raw mut stat).addr(), 0, 0, 0, 0]);
    assert!(matches!(looked, None | Some(Ok(0))), "{looked:?}");
    rustix::fs::unlinkat(&handle, "twin", AtFlags::empty()).unwrap();
    rustix::fs::unlinkat(&handle, "sub/newer", AtFlags::empty()).unwrap();
    rustix::fs::unlinkat(&handle, "sub", AtFlags::REMOVEDIR).unwrap();
    rustix::fs::unlinkat(&handle, "link", AtFlags::empty()).unwrap();
    openat(&handle, "old", OFlags::WRONLY | OFlags::TRUNC).unwrap().write_all(b"changed").unwrap();

    if !cannot_be_tested(&report, Layer::Seccomp) {
        fails(openat(&handle, "old", OFlags::RDONLY), EACCES);
        fails(openat(&handle, "old", OFlags::RDWR), EACCES);
        let set_id = Mode::from_raw_mode(0o4700);
        fails(rustix::fs::fchmod(&new, set_id).map_err(Into::into), EPERM);
        fails(rustix::fs::openat(&handle, "id", OFlags::WRONLY | OFlags::CREATE, set_id).map_err(Into::into), EACCES);
        refused("openat2", [0; 6], ENOSYS);
        refused("getdents64", [0; 6], EPERM);
        refused("faccessat", [0; 6], EACCES);
        refused("mknodat", [0; 6], EPERM);
        refused("fchmodat", [0; 6], EACCES);
    }
    outside(&report, &handle, OFlags::WRONLY);
}

/// What renaming is answered with where it is not granted. Architectures that have but the newer call are told that it is not
/// there, as everywhere.
fn rename_refused() -> i32 {
    let older = Arch::native().is_some_and(|arch| arch.number("renameat").is_some());
    if older { EACCES } else { ENOSYS }
}

fn write_path(_: &[String]) {
    let (path, handle) = directory();
    let sandbox = with(&[Promise::Stdio, Promise::WritePath]).path(open_directory(&path), PathAccess::Write);
    let report = sealed(sandbox);
    openat(&handle, "old", OFlags::WRONLY).unwrap().write_all(b"changed").unwrap();
    if !cannot_be_tested(&report, Layer::Seccomp) {
        fails(openat(&handle, "new", OFlags::WRONLY | OFlags::CREATE), EACCES);
        fails(openat(&handle, "old", OFlags::RDONLY), EACCES);
        fails(rustix::fs::unlinkat(&handle, "old", AtFlags::empty()).map_err(Into::into), EACCES);
        fails(rustix::fs::renameat(&handle, "old", &handle, "other").map_err(Into::into), rename_refused());
    }
    outside(&report, &handle, OFlags::WRONLY);
}

fn read_path(_: &[String]) {
    let (path, handle) = directory();
    let sandbox = with(&[Promise::Stdio, Promise::ReadPath]).path(open_directory(&path), PathAccess::Read);
    let report = sealed(sandbox);
    let mut text = String::new();
    openat(&handle, "old", OFlags::RDONLY).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "old");
    let listed = openat(&handle, ".", OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    let mut names = rustix::fs::Dir::new(listed).unwrap().map(|entry| entry.unwrap().file_name().to_owned());
    assert!(names.any(|name| name.as_bytes() == b"old"), "the directory is listed");
    assert!(rustix::fs::statat(&handle, "old", AtFlags::empty()).is_ok());
    if !cannot_be_tested(&report, Layer::Seccomp) {
        fails(openat(&handle, "old", OFlags::WRONLY), EACCES);
        fails(openat(&handle, "old", OFlags::RDONLY | OFlags::TRUNC), EACCES);
        fails(openat(&handle, "new", OFlags::RDONLY | OFlags::CREATE), EACCES);
    }
    outside(&report, &handle, OFlags::RDONLY);
}

/// What is outside of the directory stays shut, by whatever way.
#[track_caller]
fn outside(report: &Report, handle: &OwnedFd, flags: OFlags) {
    // In part is enough for this: files are what the first version is about.
    if cannot_be_tested_in_part(report, Layer::Landlock) {
        return;
    }
    fails(openat(handle, "../secret", flags), EACCES);
    fails(openat(handle, PUBLIC, flags), EACCES);
    fails(openat(handle, "/proc/self/mem", flags), EACCES);
    if flags == OFlags::WRONLY {
        let _ = rustix::fs::symlinkat("../secret", handle, "way-out");
        assert!(openat(handle, "way-out", flags).is_err());
        let moved = rustix::fs::renameat(handle, "old", handle, "../old");
        assert!(moved.is_err());
    }
}

fn paths_by_filter_alone(_: &[String]) {
    let (_, handle) = directory();
    let report = sealed(with(&[Promise::Stdio, Promise::ReadPath]).without(Layer::Landlock));
    assert_eq!(report.outcome(Layer::Landlock), Some(&Outcome::Skipped("switched off by option".to_owned())));
    assert!(std::fs::read("/proc/self/status").is_ok());
    if !cannot_be_tested(&report, Layer::Seccomp) {
        fails(openat(&handle, "old", OFlags::WRONLY), EACCES);
    }
}

// Sockets.

fn connect(_: &[String]) {
    /// `SOCK_DGRAM` is another number on MIPS; `SOCK_RAW` is not.
    const DGRAM: usize = libc::SOCK_DGRAM as usize;
    const RAW: usize = libc::SOCK_RAW as usize;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let names = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let report = sealed(with(&[Promise::Stdio, Promise::Connect]).connect_ports(&[port]));
    note(&report);

    let mut stream = sockets::connect((Ipv4Addr::LOCALHOST, port).into()).unwrap();
    sockets::send_at_once(&stream).unwrap();
    stream.write_all(b"hello").unwrap();
    let socket = sockets::datagrams(Ipv4Addr::LOCALHOST.into()).unwrap();
    rustix::net::sendto(&socket, b"?", rustix::net::SendFlags::empty(), &names.local_addr().unwrap()).unwrap();
    let mut byte = [0];
    assert_eq!(names.recv_from(&mut byte).unwrap().0, 1);

    if !cannot_be_tested(&report, Layer::Seccomp) {
        for unwanted in [1, 16, 17, 38, 40] {
            refused("socket", [unwanted, DGRAM, 0, 0, 0, 0], EAFNOSUPPORT);
        }
        refused("socket", [2, RAW, 0, 0, 0, 0], EACCES);
        refused("socketcall", [1, 0, 0, 0, 0, 0], ENOSYS);
        fails_as_multiplexed(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), EACCES);
        fails_as_multiplexed(listener.accept(), EPERM);
        // Past rules for ports, a connection can be opened by sending.
        refused("sendto", [0, 0, 0, 0x2000_0000, 0, 0], EPERM);
    }
    match report.outcome(Layer::Landlock) {
        Some(Outcome::Enforced(_)) => {
            fails(sockets::connect(other.local_addr().unwrap()), EACCES);
        }
        _ => note("not tested: limits to ports, which this kernel does not have"),
    }
}

fn accept(_: &[String]) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let report = seal(&[Promise::Stdio, Promise::Accept]);
    let accepted = rustix::net::accept_with(&listener, rustix::net::SocketFlags::CLOEXEC).unwrap();
    rustix::io::write(&accepted, b"hello").unwrap();
    let mut buffer = [0; 5];
    assert_eq!(rustix::io::read(&client, &mut buffer).unwrap(), 5);
    assert_eq!(client.peer_addr().unwrap(), address);
    client.shutdown(std::net::Shutdown::Both).unwrap();
    if !cannot_be_tested(&report, Layer::Seccomp) {
        fails_as_multiplexed(TcpStream::connect(address), EACCES);
        fails_as_multiplexed(client.write_all(b"by sendto"), EPERM);
    }
}

// Processes.

fn children(_: &[String]) {
    let start = || half("sleeper").stdin(Stdio::piped()).spawn().unwrap();
    let (mut killed, mut finished) = (start(), start());
    let report = seal(&[Promise::Stdio, Promise::Children]);
    killed.kill().unwrap();
    assert!(!killed.wait().unwrap().success());
    drop(finished.stdin.take());
    assert!(finished.wait().unwrap().success());
    if !cannot_be_tested(&report, Layer::Seccomp) {
        for everybody in [0, usize::MAX, usize::MAX - 5] {
            refused("kill", [everybody, 0, 0, 0, 0, 0], EPERM);
        }
        let refused = Command::new("/bin/true").spawn().unwrap_err().raw_os_error();
        // glibc of MIPS wants a stack whose content can be executed, and is refused that first.
        let stack = cfg!(all(target_arch = "mips64", target_env = "gnu")) && refused == Some(EACCES);
        assert!(stack || refused == Some(EPERM), "{refused:?}");
    }
}

/// Ends when its standard input does.
fn sleeper(_: &[String]) {
    let mut byte = [0];
    let _ = std::io::stdin().read(&mut byte).unwrap();
}

fn threads(_: &[String]) {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || receiver.recv());
    match with(&[Promise::Stdio]).prepare() {
        Err(error @ Error::Threads { count: 2, .. }) => note(error),
        other => panic!("{other:?}"),
    }
    drop(sender);
    let _ = other.join();
}

// What holds, from outside.

const USER: u32 = 54_321;
const GROUP: u32 = 54_322;

fn status(_: &[String]) {
    let _ = portcullis::harden_early();
    let sandbox = with(&[Promise::Stdio]).identity(Identity { uid: USER, gid: GROUP }).empty_root();
    let report = sealed(sandbox);
    std::io::stdout().write_all(b"!").unwrap();
    std::io::stdout().flush().unwrap();
    let mut byte = [0];
    let _ = rustix::io::read(rustix::stdio::stdin(), &mut byte).unwrap();
    std::io::stdout().write_all(b"\n").unwrap();
    note(&report);
    assert_eq!(report.layers.len(), Layer::native().len());
    if rustix::process::getuid().as_raw() == USER {
        assert!(
            report.held(Layer::Root) && report.held(Layer::Identity) && report.held(Layer::Capabilities),
            "{report}"
        );
        assert_eq!(std::fs::metadata("/tmp").unwrap_err().raw_os_error(), Some(EACCES));
    }
}

fn status_is_sealed(status: &str, uid: Option<u32>) -> bool {
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line[name.len().min(line.len())..].split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let capabilities = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"].iter().all(|set| field(set) == "0000000000000000");
    // A kernel without filters has no such line.
    let filtered = matches!(field("Seccomp:").as_str(), "2" | "");
    let sealed = field("NoNewPrivs:") == "1" && filtered && field("Threads:") == "1";
    let limits = field("Max core file size") == "0 0 bytes" && field("Max processes").starts_with("0 0");
    let as_root = rustix::process::geteuid().is_root() && uid.is_none();
    let identity = !as_root
        || (field("Uid:") == [USER.to_string().as_str(); 4].join(" ")
            && field("Gid:") == [GROUP.to_string().as_str(); 4].join(" ")
            && field("Groups:").is_empty()
            && field("CapBnd:") == "0000000000000000"
            && field("Root:").ends_with("(deleted)"));
    capabilities && sealed && limits && identity
}

fn early(_: &[String]) {
    portcullis::harden_early().unwrap();
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
    let core = rustix::process::getrlimit(rustix::process::Resource::Core);
    assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
}

/// The same for a layer that is of use in an older version.
fn cannot_be_tested_in_part(report: &Report, layer: Layer) -> bool {
    !matches!(report.outcome(layer), Some(Outcome::Partial(_))) && cannot_be_tested(report, layer)
}

/// Says so if a layer does not hold on this machine, so that what depends on it is not taken for tested.
fn cannot_be_tested(report: &Report, layer: Layer) -> bool {
    let held = report.held(layer);
    if !held {
        note(format!("not tested: {layer}, which does not hold here: {:?}", report.outcome(layer)));
    }
    !held
}
