//! What made the calls, made to make them again by a sealed process: it gets an answer, and goes on.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::ptr::{from_mut, from_ref};
use std::sync::{Condvar, Mutex, RwLock, mpsc};
use std::time::{Duration, Instant, SystemTime};

use libc::{EACCES, EAFNOSUPPORT, EBADF, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, ETIMEDOUT};
use portcullis::{Layer, Outcome, Promise};
use syscall_policy::{Arch, Class, Condition, Decision, Errno, Policy, Rule, compile};

use crate::libc_calls;
use crate::support::{call, call_number, fails_as_multiplexed, note, outer_filter, refused, seal};

/// A process of its own, and how it must end.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) play: fn(),
    pub(crate) ends: Ends,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ends {
    Well,
    By(i32),
    With(i32),
}

macro_rules! scenes {
    ($($name:ident: $ends:expr,)+) => {
        /// All of them.
        pub(crate) const ALL: &[Scene] = &[$(Scene { name: stringify!($name), play: $name, ends: $ends },)+];
    };
}

scenes! {
    abort: Ends::By(libc::SIGABRT),
    bare_exit: Ends::Well,
    c_streams: Ends::Well,
    clocks: Ends::Well,
    commands: Ends::Well,
    descriptors_of_others: Ends::Well,
    files_by_path: Ends::Well,
    heap: Ends::Well,
    heap_of_threads: Ends::Well,
    held_files: Ends::Well,
    interest_lists: Ends::Well,
    kernel_that_answers_524: Ends::Well,
    kernel_without_filters: Ends::Well,
    locks: Ends::Well,
    lookups: Ends::Well,
    machine: Ends::Well,
    mask: Ends::Well,
    newer_forms: Ends::Well,
    numbers_nobody_has: Ends::Well,
    own_numbers: Ends::Well,
    panics: Ends::With(101),
    probes_of_libraries: Ends::Well,
    randomness: Ends::Well,
    second_filter: Ends::Well,
    shared_memory: Ends::Well,
    signal_at_exit: Ends::Well,
    sockets: Ends::Well,
    stopped_and_continued: Ends::Well,
    terminals: Ends::Well,
    threads: Ends::Well,
    waiting: Ends::Well,
}

/// Seals the process, and says so if what is tried will meet no filter.
fn sealed() {
    sealed_with(&[Promise::Stdio]);
}

fn sealed_with(promises: &[Promise]) {
    let report = seal(promises);
    if !report.held(Layer::Seccomp) {
        note(format!("not under a filter, which does not hold here: {:?}", report.outcome(Layer::Seccomp)));
    }
}

/// That a call gets through, or one of these errors; no other, and no end.
#[track_caller]
fn made_or(name: &str, arguments: [usize; 6], errors: &[i32]) {
    match call(name, arguments) {
        None | Some(Ok(_)) => {}
        Some(Err(errno)) => assert!(errors.contains(&errno), "{name}{arguments:?} is answered with {errno}"),
    }
}

fn number(address: *const impl Sized) -> usize {
    address.expose_provenance()
}

// Memory, time, waiting, randomness, locks: made.

/// Whether constants of the kernel are those of MIPS, which has its own.
const MIPS: bool = cfg!(any(target_arch = "mips", target_arch = "mips64"));
const PRIVATE: usize = 2;
const ANONYMOUS: usize = if MIPS { 0x800 } else { 0x20 };

fn heap() {
    sealed();
    let mut small: Vec<Vec<u8>> = (1..600).map(|size| vec![1; size]).collect();
    small.iter_mut().step_by(2).for_each(|bytes| bytes.resize(20_000, 2));
    let mut large = vec![0_u8; 1 << 20];
    for shift in 21..23 {
        large.resize(1 << shift, 3);
    }
    large.truncate(1000);
    large.shrink_to_fit();
    drop((small, large));
    libc_calls::trim();

    if cfg!(target_pointer_width = "64") && !cfg!(target_arch = "s390x") {
        let page = call("mmap", [0, 16384, 3, PRIVATE | ANONYMOUS, usize::MAX, 0]).unwrap().unwrap();
        let page = usize::try_from(page).unwrap();
        assert_eq!(call("mprotect", [page, 4096, 0, 0, 0, 0]), Some(Ok(0)));
        assert_eq!(call("mprotect", [page, 4096, 3, 0, 0, 0]), Some(Ok(0)));
        for advice in [4, 8, 102, 103] {
            // Freeing needs Linux 4.5, guard pages 6.13; an older kernel says that it does not know them.
            made_or("madvise", [page, 4096, advice, 0, 0, 0], &[EINVAL]);
        }
        let name = c"arena";
        // Without CONFIG_ANON_VMA_NAME the kernel says that it does not know the option.
        made_or("prctl", [0x5356_4d41, 0, page, 4096, number(name.as_ptr()), 0], &[EINVAL]);
    }
}

/// Freeing what a thread has left shrinks an arena of its own, for which glibc reads a setting of the kernel's.
fn heap_of_threads() {
    let left =
        std::thread::spawn(|| (0..2000).map(|_| Vec::<u8>::with_capacity(60_000)).collect::<Vec<_>>()).join().unwrap();
    sealed();
    drop(left);
    libc_calls::trim();
    assert_eq!(vec![1_u8; 100_000].iter().filter(|byte| **byte == 1).count(), 100_000);
}

fn clocks() {
    sealed();
    let year_2020 = Duration::from_secs(1_577_836_800);
    assert!(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() > year_2020, "it is not 1900");
    assert!(u64::try_from(libc_calls::time()).unwrap() > year_2020.as_secs());
    let before = Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(libc_calls::nanosleep(1_000_000), 0);
    assert!(before.elapsed() >= Duration::from_millis(3));
    // Past the vDSO, as on machines whose clock cannot be read from user space.
    let mut time = [0_i64; 2];
    made_or("clock_gettime", [0, number(&raw mut time), 0, 0, 0, 0], &[]);
    made_or("clock_gettime64", [0, number(&raw mut time), 0, 0, 0, 0], &[]);
    made_or("gettimeofday", [number(&raw mut time), 0, 0, 0, 0, 0], &[]);
}

fn waiting() {
    sealed();
    assert_eq!((libc_calls::select(1000), libc_calls::pselect(1000), libc_calls::poll(1)), (0, 0, 0));
    made_or("ppoll", [0, 0, number(from_ref(&[0_i64, 1000])), 0, 8, 0], &[]);
    made_or("pselect6", [0, 0, 0, 0, number(from_ref(&[0_i64, 1000])), 0], &[]);
}

fn randomness() {
    let set = [0_u64; 2];
    let (block, size) = if MIPS { (1, 16) } else { (0, 8) };
    sealed();
    let mut bytes = [0_u8; 16];
    made_or("getrandom", [number(&raw mut bytes), 16, 0, 0, 0, 0], &[]);
    assert_ne!(bytes, [0; 16]);
    assert_eq!((0..100).map(|n| (n, n)).collect::<HashMap<_, _>>().len(), 100);
    // As the vDSO's getrandom does: signals are blocked while pages are mapped that the kernel may drop.
    made_or("rt_sigprocmask", [block, number(&raw const set), 0, size, 0, 0], &[]);
    // On s390x mmap takes where its arguments are.
    if cfg!(all(target_pointer_width = "64", not(target_arch = "s390x"))) {
        const DROPPABLE: usize = 8 | ANONYMOUS;
        // Linux 6.11; an older kernel does not know the kind of mapping.
        made_or("mmap", [0, 4096, 3, DROPPABLE, usize::MAX, 0], &[EINVAL, EOPNOTSUPP]);
    }
    made_or("sched_getaffinity", [0, 8, number(&raw mut bytes), 0, 0, 0], &[EPERM]);
}

fn locks() {
    sealed();
    let (mutex, condition, both) = (Mutex::new(1), Condvar::new(), RwLock::new(2));
    let (guard, waited) = condition.wait_timeout(mutex.lock().unwrap(), Duration::from_millis(2)).unwrap();
    assert!(waited.timed_out());
    drop(guard);
    *both.write().unwrap() += *both.read().map(|number| *number).as_ref().unwrap();
    let (sender, receiver) = mpsc::channel();
    sender.send(3).unwrap();
    assert_eq!(receiver.recv().unwrap(), 3);
    assert_eq!(receiver.recv_timeout(Duration::from_millis(2)), Err(mpsc::RecvTimeoutError::Timeout));
    // std gives the processor up when it spins, and does not care for the answer.
    std::thread::yield_now();
    let word = 0_u32;
    let time = [0_i64, 1000];
    const WAIT: usize = 128;
    const WAIT_BITSET: usize = 128 | 9;
    made_or("futex", [number(&raw const word), WAIT, 0, number(&raw const time), 0, 0], &[ETIMEDOUT]);
    made_or("futex", [number(&raw const word), WAIT_BITSET, 0, number(&raw const time), 0, 1], &[ETIMEDOUT]);
}

/// A process that is stopped in the middle of waiting waits on by a call of its own when it is continued.
fn stopped_and_continued() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let own = std::process::id();
    // Somebody else has to do it, as soon as this process is about to wait.
    let mut other = Command::new("/proc/self/exe");
    other.args(["stop", &own.to_string()]).stdin(reader);
    let mut other = other.spawn().unwrap();
    sealed_with(&[Promise::Stdio, Promise::Children]);
    writer.write_all(b"!").unwrap();
    let started = Instant::now();
    while libc_calls::poll(300) != 0 {
        // Kernels may also have the caller do it over.
        let error = std::io::Error::last_os_error();
        assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "{error}");
    }
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    assert!(other.wait().unwrap().success());
    // Made from elsewhere it has nothing to go on with, and says so.
    made_or("restart_syscall", [0; 6], &[libc::EINTR]);
}

/// Stops that process once it says so, when it has been waiting for a while, and has it go on.
pub(crate) fn stop_and_continue(process: &str) {
    let process = rustix::process::Pid::from_raw(process.parse().unwrap()).unwrap();
    assert_eq!(std::io::stdin().read(&mut [0]).unwrap(), 1);
    for signal in [rustix::process::Signal::STOP, rustix::process::Signal::CONT] {
        std::thread::sleep(Duration::from_millis(80));
        rustix::process::kill_process(process, signal).unwrap();
    }
}

// Files and streams.

fn held_file() -> File {
    let path =
        std::env::temp_dir().join(format!("breakages-{}-{}", std::process::id(), rustix::process::getuid().as_raw()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

fn held_files() {
    let (mut from, mut to) = (held_file(), held_file());
    from.write_all(&[b'x'; 100_000]).unwrap();
    from.rewind().unwrap();
    sealed();
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    assert_eq!(text.len(), 100_000);
    // What std learns of the file are hints, which it does without.
    let _ = (from.metadata().map(|metadata| metadata.len()), from.stream_position());
    assert_eq!(std::io::copy(&mut text.as_bytes(), &mut to).unwrap(), 100_000);
    assert_eq!(std::io::copy(&mut from, &mut to).unwrap(), 0);
    to.sync_all().unwrap();
    match libc_calls::size(to.as_raw_fd()) {
        Ok(size) => assert_eq!(size, 100_000),
        Err(error) => assert_eq!(error.raw_os_error(), Some(EACCES), "{error}"),
    }
    made_or("fstat", [usize::try_from(to.as_raw_fd()).unwrap(), number(from_mut(&mut [0_u8; 512])), 0, 0, 0, 0], &[]);
}

fn c_streams() {
    let (reader, writer) = std::io::pipe().unwrap();
    let (reader_too, writer_too) = std::io::pipe().unwrap();
    sealed();
    assert!(libc_calls::line_through_streams(reader.into(), writer.into(), c"through streams\n"));
    // And by the calls that musl's streams make.
    let (reader, writer) = (OwnedFd::from(reader_too), OwnedFd::from(writer_too));
    let parts = [std::io::IoSlice::new(b"in two "), std::io::IoSlice::new(b"parts")];
    assert_eq!(rustix::io::writev(&writer, &parts).unwrap(), 12);
    let (mut one, mut other) = ([0; 7], [0; 5]);
    let mut parts = [std::io::IoSliceMut::new(&mut one), std::io::IoSliceMut::new(&mut other)];
    assert_eq!(rustix::io::readv(&reader, &mut parts).unwrap(), 12);
    assert_eq!((&one, &other), (b"in two ", b"parts"));
}

fn files_by_path() {
    sealed();
    for path in ["/etc/krb5.conf", "/proc/self/exe", "/dev/urandom", "/etc/localtime"] {
        let errors = [std::fs::symlink_metadata(path).err(), std::fs::read_link(path).err(), File::open(path).err()];
        for error in errors.into_iter().flatten() {
            assert!(matches!(error.raw_os_error(), Some(EACCES | libc::ENOENT | EINVAL)), "{path}: {error}");
        }
    }
    assert!(!libc_calls::is_readable(c"/etc/none-such"));
    let _ = std::env::current_dir();
}

fn mask() {
    sealed();
    libc_calls::umask_twice();
    made_or("umask", [0o077, 0, 0, 0, 0, 0], &[EACCES]);
}

fn newer_forms() {
    sealed();
    let path = number(c"/etc/passwd".as_ptr());
    for (name, arguments) in [
        ("openat2", [0, path, 0, 24, 0, 0]),
        ("faccessat2", [0, path, 4, 0, 0, 0]),
        ("statx", [0, path, 0, 0x7ff, 0, 0]),
        ("fchmodat2", [0, path, 0, 0, 0, 0]),
        ("clone3", [0, 88, 0, 0, 0, 0]),
        ("pwritev2", [usize::MAX, 0, 0, 0, 0, 0]),
    ] {
        // There it is also what tells of a descriptor that is held, so that all may make it.
        if cfg!(target_arch = "loongarch64") && name == "statx" {
            continue;
        }
        made_or(name, arguments, &[ENOSYS]);
    }
    // Whose caller then falls back on the older form, and gets an answer about the file.
    assert!(!libc_calls::is_readable(c"/etc/none-such"));
    made_or("openat", [0xffff_ff9c, path, 0, 0, 0, 0], &[EACCES]);
}

// Processes, threads, signals.

fn threads() {
    sealed();
    let refused = std::thread::Builder::new().spawn(|| ()).map(|thread| thread.join().unwrap());
    // musl says EAGAIN whatever the reason is.
    let expected = if cfg!(target_env = "musl") { libc::EAGAIN } else { EPERM };
    let refused = refused.unwrap_err().raw_os_error();
    // glibc of MIPS wants a stack whose content can be executed, and is refused that first.
    let stack = cfg!(all(target_arch = "mips64", target_env = "gnu")) && refused == Some(EACCES);
    assert!(stack || refused == Some(expected), "{refused:?}");
    made_or("rseq", [0; 6], &[ENOSYS, EINVAL]);
    made_or("membarrier", [0; 6], &[ENOSYS]);
    made_or("set_robust_list", [number(from_ref(&[0_usize; 3])), 24, 0, 0, 0, 0], &[EPERM]);
}

fn commands() {
    sealed();
    let refused = Command::new("/bin/true").status().unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(EPERM), "{refused}");
    made_or("getresuid", [0; 6], &[EPERM, libc::EFAULT]);
    made_or("close_range", [900, 1000, 0, 0, 0, 0], &[ENOSYS]);
    made_or("clone", [17, 0, 0, 0, 0, 0], &[EPERM]);
}

/// What a library has opened for itself stays its own when the process is told apart from those it starts, and sealed.
fn descriptors_of_others() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    portcullis::fd::close_on_exec_from(3);
    sealed();
    let mut byte = [0];
    writer.write_all(b"x").unwrap();
    reader.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

fn own_numbers() {
    let known = (std::process::id(), rustix::process::getuid());
    sealed();
    assert_eq!((std::process::id(), rustix::process::getuid()), known);
    assert_eq!(call("gettid", [0; 6]).map(|result| result.map(i128::from)), Some(Ok(known.0.into())));
    let _ = format!("{:?}", std::thread::current().id());
}

fn bare_exit() {
    sealed();
    let _ = call("exit", [0; 6]);
    unreachable!("exit does not return");
}

fn signal_at_exit() {
    sealed();
    libc_calls::signal_at_exit();
    made_or("arch_prctl", [0x5002, 1, 0, 0, 0, 0], &[ENOSYS]);
}

fn abort() {
    sealed();
    let own = usize::try_from(std::process::id()).unwrap();
    made_or("kill", [own, 0, 0, 0, 0, 0], &[]);
    made_or("tgkill", [own, own, 0, 0, 0, 0], &[]);
    std::process::abort();
}

/// With RUST_BACKTRACE set and std's own hook, which looks for the program's symbols.
fn panics() {
    assert!(std::env::var_os("RUST_BACKTRACE").is_some());
    sealed();
    let caught = std::panic::catch_unwind(|| panic!("caught"));
    assert!(caught.is_err());
    panic!("not caught");
}

// What libraries try.

fn lookups() {
    sealed();
    // The names of users and hosts are known from files and daemons that are out of reach. root is known to some C
    // libraries without asking.
    let _ = libc_calls::has_user(0);
    assert!(!libc_calls::has_user(4_000_000_000));
    assert!(!libc_calls::has_host(c"host.example"));
    libc_calls::syslog(c"a line that nobody hears");
    assert!((0..24).contains(&libc_calls::local_hour()));
    made_or("prctl", [23, 0, 0, 0, 0, 0], &[]);
}

fn sockets() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    sealed();
    // std writes by sendto as of Rust 1.90; before, by write.
    if let Err(error) = ours.write_all(b"std") {
        fails_as_multiplexed(Err::<(), _>(error), EPERM);
    }
    assert_eq!(rustix::io::write(&ours, b"write").unwrap(), 5);
    assert!(rustix::io::read(&theirs, &mut [0; 8]).unwrap() >= 5);
    for result in [ours.shutdown(std::net::Shutdown::Both), ours.set_read_timeout(Some(Duration::from_secs(1)))] {
        fails_as_multiplexed(result, EPERM);
    }
    for family in [1, 2, 10, 16, 38] {
        made_or("socket", [family, 1, 0, 0, 0, 0], &[EACCES, EAFNOSUPPORT]);
    }
    made_or("socketcall", [1, 0, 0, 0, 0, 0], &[ENOSYS]);
}

fn interest_lists() {
    sealed();
    made_or("epoll_create1", [0; 6], &[EPERM]);
    made_or("epoll_wait", [usize::MAX, 0, 0, 0, 0, 0], &[EPERM]);
    made_or("epoll_pwait", [usize::MAX, 0, 0, 0, 0, 0], &[EPERM]);
    made_or("epoll_pwait2", [usize::MAX, 0, 0, 0, 0, 0], &[ENOSYS]);
}

fn shared_memory() {
    sealed();
    made_or("shmget", [0, 4096, 0o600, 0, 0, 0], &[EACCES]);
    made_or("shmat", [usize::MAX, 0, 0, 0, 0, 0], &[EACCES]);
    made_or("shmdt", [0; 6], &[EACCES]);
}

/// `TCGETS` of `asm/ioctls.h`.
const GET_SETTINGS: usize = if MIPS {
    0x540d
} else if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64")) {
    0x402c_7413
} else {
    0x5401
};

fn terminals() {
    sealed();
    assert!(!libc_calls::isatty(1), "this test writes to a pipe");
    for request in [GET_SETTINGS, 0x5413, 0x802c_542a] {
        made_or("ioctl", [1, request, number(from_mut(&mut [0_u8; 64])), 0, 0, 0], &[libc::ENOTTY]);
    }
    made_or("ioctl", [usize::MAX, GET_SETTINGS, 0, 0, 0, 0], &[EBADF]);
}

fn machine() {
    sealed();
    made_or("uname", [number(from_mut(&mut [0_u8; 512])), 0, 0, 0, 0, 0], &[EPERM]);
    made_or("sysinfo", [number(from_mut(&mut [0_u8; 512])), 0, 0, 0, 0, 0], &[EPERM]);
    made_or("riscv_hwprobe", [0; 6], &[ENOSYS]);
    made_or("fstatfs", [0, number(from_mut(&mut [0_u8; 512])), 0, 0, 0, 0], &[EPERM]);
    let _ = std::thread::available_parallelism();
}

fn probes_of_libraries() {
    sealed();
    refused("landlock_create_ruleset", [0, 0, 1, 0, 0, 0], ENOSYS);
    refused("seccomp", [2, 0, 0, 0, 0, 0], ENOSYS);
    made_or("openat2", [0; 6], &[ENOSYS]);
    made_or("fchmodat2", [0; 6], &[ENOSYS]);
    made_or("close_range", [900, 1000, 0, 0, 0, 0], &[ENOSYS]);
}

fn numbers_nobody_has() {
    sealed();
    assert_eq!(call_number(3000, [0; 6]), Err(ENOSYS));
    if cfg!(target_arch = "x86_64") {
        // clock_gettime by the number of x32, and by its own.
        assert_eq!(call_number(0x4000_0000 | 228, [0; 6]), Err(ENOSYS));
        assert_eq!(call_number(228, [0, number(from_mut(&mut [0_i64; 2])), 0, 0, 0, 0]), Ok(0));
    }
}

// Kernels and sandboxes around.

fn kernel_that_answers_524() {
    let Some(arch) = Arch::native() else { return };
    if !outer_filter(&libc_calls::answer_filters_with(arch, 524)) {
        return;
    }
    let report = seal(&[Promise::Stdio]);
    assert!(matches!(report.outcome(Layer::Seccomp), Some(Outcome::Unavailable(_))), "{report}");
    assert!(report.held(Layer::NoNewPrivileges) && report.held(Layer::NotDumpable), "{report}");
}

fn kernel_without_filters() {
    let Some(arch) = Arch::native() else { return };
    let unknown = Decision::Refuse(Errno::Invalid);
    let policy = Policy::new(Class::ALL.iter().copied())
        .with_rule("prctl", Rule::otherwise(Decision::Allow).arm(unknown, [Condition::is(0, &[22])]))
        .with_rule("seccomp", Rule::otherwise(unknown));
    if !outer_filter(&compile(&policy, arch)) {
        return;
    }
    let report = seal(&[Promise::Stdio]);
    assert!(matches!(report.outcome(Layer::Seccomp), Some(Outcome::Unavailable(_))), "{report}");
    assert!(report.held(Layer::NoNewPrivileges), "{report}");
}

fn second_filter() {
    let Some(number) = Arch::native().and_then(|arch| arch.number("acct")) else { return };
    for _ in 0..3 {
        if !outer_filter(&libc_calls::answer_with(number, 1)) {
            return;
        }
    }
    sealed();
    made_or("getpid", [0; 6], &[]);
    made_or("openat2", [0; 6], &[ENOSYS]);
}
