//! The breakages: what is publicly known to have broken programs under filters for system calls, and what replays it.
//!
//! Numbers are for referring to cases and are never given twice. Sources are commits and threads of the project named,
//! or of the one they name themselves.

/// One breakage.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) number: u8,
    pub(crate) kind: Kind,
    /// Whose filter it was, and what it had to do with.
    pub(crate) what: &'static str,
    /// Where that is told.
    pub(crate) source: &'static str,
    pub(crate) replays: &'static [Replay],
}

/// Where the change came from that a filter did not foresee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Library,
    Architecture,
    Time64,
    Allocator,
    Names,
    Crypto,
    Rust,
    Kernel,
    Outer,
    Arguments,
    Compiler,
    Instruments,
    Own,
}

impl Kind {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Library => "C library",
            Self::Architecture => "architecture",
            Self::Time64 => "64-bit time",
            Self::Allocator => "allocator",
            Self::Names => "name lookup",
            Self::Crypto => "cryptography",
            Self::Rust => "Rust",
            Self::Kernel => "kernel",
            Self::Outer => "outer sandbox",
            Self::Arguments => "arguments",
            Self::Compiler => "filter compiler",
            Self::Instruments => "instruments",
            Self::Own => "own code",
        }
    }
}

/// What shows that a breakage is harmless.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Replay {
    /// These calls are answered well on every architecture, under all promises.
    Calls(&'static [&'static str]),
    /// A scene: a sealed process on this machine does what caused it, and goes on.
    Live(&'static str),
    /// What rules it out.
    Rule(&'static str),
    /// A test of the whole program, in this file.
    Program(&'static str),
    /// Nothing, for this reason.
    Not(&'static str),
}

use Kind::*;
use Replay::*;

const fn case(number: u8, kind: Kind, what: &'static str, source: &'static str, replays: &'static [Replay]) -> Case {
    Case { number, kind, what, source, replays }
}

/// Numbers that no case has.
pub(crate) const FREE: [u8; 6] = [12, 36, 37, 50, 58, 62];

/// The last number given.
pub(crate) const LAST: u8 = 74;

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    case(1, Own, "acme-client (2016): a umask of its own, added after the sandbox", "acme-client-portable#16, 4ecff6e", &[Calls(&["umask"]), Live("mask")]),
    case(2, Library, "acme-client (2016): glibc's stdio asks fstat for a buffer size", "acme-client-portable#11, b4a1d9e", &[Calls(&["fstat", "fstat64"]), Live("c_streams")]),
    case(3, Architecture, "OpenSSH: 32-bit Arm has mmap2 only", "OpenSSH 91f40d8", &[Calls(&["mmap", "mmap2"]), Rule("every_power_everywhere"), Live("heap")]),
    case(4, Library, "OpenSSH (2013): the C library's time is a system call on some machines", "OpenSSH e9887d1", &[Calls(&["clock_gettime", "gettimeofday", "time"]), Live("clocks")]),
    case(5, Architecture, "OpenSSH (2014): shutdown is socketcall where it has no number", "OpenSSH 7e5cec6, 6434cb2", &[Calls(&["shutdown", "socketcall(SHUTDOWN)"]), Rule("multiplexers_follow"), Live("sockets")]),
    case(6, Library, "OpenSSH: dietlibc uses mremap and exit", "OpenSSH 0fa0ed0", &[Calls(&["mremap", "exit", "exit_group"]), Live("heap"), Live("bare_exit")]),
    case(7, Architecture, "OpenSSH (2015): aarch64 has no select, poll or open", "OpenSSH 99f33d7, bc20205", &[Calls(&["pselect6", "ppoll", "openat"]), Rule("every_power_everywhere"), Live("waiting")]),
    case(8, Crypto, "OpenSSH: Kerberos looks for files with lstat", "OpenSSH f64062b", &[Calls(&["lstat", "lstat64"]), Live("files_by_path")]),
    case(9, Arguments, "OpenSSH (2017): the low half of an argument is elsewhere on big-endian machines", "OpenSSH 9e96b41", &[Rule("halves_of_arguments"), Rule("every_filter_is_proved")]),
    case(10, Architecture, "OpenSSH: the vDSO of x32 makes a call by its x86_64 number", "OpenSSH f86586b, Debian 849923", &[Rule("numbers_of_x32"), Live("numbers_nobody_has")]),
    case(11, Crypto, "OpenSSH: OpenSSL with FIPS creates a socket, by socketcall on ppc64le", "OpenSSH 8b0eee1", &[Calls(&["socket(AF_ALG)", "socketcall(SOCKET)"]), Live("sockets")]),
    case(13, Library, "OpenSSH (2018): locks of glibc and OpenSSL", "OpenSSH 149519b", &[Calls(&["futex(WAIT)", "futex(WAKE)", "futex_time64(WAIT)"]), Live("locks")]),
    case(14, Allocator, "OpenSSH: hardened allocators protect pages", "OpenSSH f6906f9, openssh-portable#142", &[Calls(&["mprotect(NONE)", "mprotect(READ|WRITE)"]), Live("heap"), Program("crates/acme-client/tests/whole/preloads.rs")]),
    case(15, Crypto, "OpenSSH (2019): OpenSSL 1.1.1d has a System V segment for its seed; all logins failed", "openssl#9984, OpenSSH 3ef92a6, 30f704e", &[Calls(&["shmget", "shmat", "shmdt", "ipc"]), Live("shared_memory")]),
    case(16, Library, "OpenSSH, dhcpcd, ntpsec, sn0int, Electron (2020): nanosleep of glibc 2.31 makes clock_nanosleep", "OpenSSH b1c82f4, void-packages#18737, dhcpcd#128, electron#22291", &[Calls(&["clock_nanosleep", "nanosleep"]), Live("clocks")]),
    case(17, Time64, "OpenSSH, Tor, lldpd, chrony: calls with 64-bit time, one after the other until 2025", "OpenSSH 5af6fd5, ccd3b24, 0f90440, 1bb130e, 284b6e5, a00f5b0; lldpd 206e14a", &[Calls(&["clock_gettime64", "clock_nanosleep_time64", "pselect6_time64", "futex_time64(WAIT)", "ppoll_time64"]), Rule("twins_share_an_answer")]),
    case(18, Library, "OpenSSH, chrony, xwallpaper, dhcpcd: statx and fstatat64 for stat on 32-bit machines", "OpenSSH 2e0beff, 82fef71; chrony ae2e031, xwallpaper#35, dhcpcd#349", &[Calls(&["statx", "fstatat64"]), Live("held_files")]),
    case(19, Library, "Tor, kcgi, Cloud Hypervisor (2021): fstat of glibc 2.33 is newfstatat with an empty path", "Tor f5acfe6, kcgi 8d5b3e2, cloud-hypervisor 17072e9", &[Calls(&["newfstatat(AT_EMPTY_PATH)"]), Live("held_files"), Live("c_streams")]),
    case(20, Allocator, "OpenSSH: Scudo asks for the thread's number", "OpenSSH 8a0848c, nixpkgs#157451", &[Calls(&["gettid"]), Live("own_numbers")]),
    case(21, Library, "OpenSSH, rdrview, memcached: stdio of musl, and of newer glibc, uses readv and writev", "OpenSSH 6283f4b, rdrview#10, memcached#349", &[Calls(&["readv", "writev"]), Live("c_streams")]),
    case(22, Crypto, "OpenSSH (2025, 2026): zlib-ng asks for the machine on RISC-V", "OpenSSH ec41739, fd7d4b2", &[Calls(&["uname", "riscv_hwprobe"]), Live("machine")]),
    case(23, Kernel, "OpenSSH 10.4 on 32-bit Arm (2026): the kernel cannot compile a large filter and answers 524", "void-packages#61578, #61582, #61389", &[Rule("coarse_filters_are_small"), Live("kernel_that_answers_524")]),
    case(24, Library, "Tor, chrony, ntpsec, snapd, Cloud Hypervisor, systemd, file (2022): glibc 2.35 registers rseq", "Tor d422a66, chrony 8bb8f15, snapd#11357, cloud-hypervisor 4a04d1f, systemd#12127, file 339bdef", &[Calls(&["rseq"]), Live("threads")]),
    case(25, Library, "Docker, Chromium, Tor, chrony (2021): threads of glibc 2.34 start by clone3, and EPERM is final", "moby#42680, runner-images#3812, electron#31091, Tor de38726", &[Calls(&["clone3", "clone(thread)"]), Live("threads")]),
    case(26, Library, "systemd-nspawn, Docker (2020): faccessat2 of glibc 2.33 and musl 1.2.2", "systemd#16739, rhbz#1869030, libseccomp#314, moby#41381", &[Calls(&["faccessat2"]), Live("newer_forms")]),
    case(27, Library, "crun, cap-std under systemd-nspawn: EPERM for openat2, so that nobody fell back", "crun#545, cap-std#147, systemd#18342", &[Calls(&["openat2"]), Live("newer_forms")]),
    case(28, Time64, "Docker on Raspbian (2021): EPERM for clock_gettime64, and it was 1900", "moby#40734, gerbera#2485, raspberrypi/userland#675", &[Calls(&["clock_gettime64"]), Live("clocks")]),
    case(29, Library, "Tor: open is open or openat by release of glibc", "Tor d28bfb2, d2d6a1b", &[Calls(&["open(RDONLY)", "openat(RDONLY)"]), Rule("open_and_openat_agree")]),
    case(30, Arguments, "Tor: AT_FDCWD is sign-extended or not by compiler and C library", "Tor a350f21, d75e7da, 531275b, eb0749d; libseccomp#69", &[Rule("halves_of_arguments"), Rule("open_and_openat_agree")]),
    case(31, Architecture, "Tor: aarch64 has chown, chmod and rename in the `*at` form only", "Tor 8fd13f7", &[Calls(&["chown", "fchownat", "chmod", "fchmodat", "rename", "renameat"]), Rule("twins_share_an_answer")]),
    case(32, Architecture, "chrony: riscv64 has renameat2 only", "chrony 994409a", &[Calls(&["renameat2"]), Rule("every_power_everywhere")]),
    case(33, Architecture, "ntpsec, file: aarch64 and riscv64 have no access", "ntpsec 0f94870, file abcd583", &[Calls(&["access", "faccessat"]), Rule("every_power_everywhere")]),
    case(34, Library, "memcached, Tor: epoll_wait is epoll_pwait in glibc 2.26 and musl", "memcached#349, Tor d2d6a1b", &[Calls(&["epoll_pwait", "epoll_wait"]), Rule("twins_share_an_answer"), Live("interest_lists")]),
    case(35, Names, "Tor: getpwnam waits for nscd with poll", "Tor 070eda5", &[Calls(&["poll"]), Live("lookups")]),
    case(38, Names, "chrony: modules for names make calls of many kinds on Fedora", "chrony bdb1650, 54c8732", &[Calls(&["socket(AF_UNIX)", "connect"]), Live("lookups")]),
    case(39, Names, "acme-client-openbsd-portable: the resolver of glibc 2.30 sets IP_RECVERR; systemd's asks more", "acme-client-openbsd-portable 2ba1177, 038c565", &[Calls(&["setsockopt", "prctl(CAPBSET_READ)", "uname", "ppoll", "connect"]), Live("lookups")]),
    case(40, Crypto, "chrony: p11-kit in GnuTLS reads the link /proc/self/exe", "chrony 9ca2507, adebb02, 934b871", &[Calls(&["readlink", "readlinkat", "getuid", "getuid32"]), Live("files_by_path")]),
    case(41, Library, "chrony, file (2025): isatty of glibc 2.42 asks TCGETS2", "chrony 03875f1, file f55b2c0", &[Calls(&["ioctl(TCGETS2)", "ioctl(TCGETS)"]), Live("terminals")]),
    case(42, Library, "chrony, Firefox: membarrier and TIOCGWINSZ of musl", "chrony e16bcca, ca10b9e; void-packages#11270", &[Calls(&["membarrier", "ioctl(TIOCGWINSZ)"]), Live("terminals"), Live("threads")]),
    case(43, Library, "dhcpcd (2024): getrandom of glibc 2.41 blocks signals and maps droppable pages", "dhcpcd#421, #450; systemd#20191", &[Calls(&["rt_sigprocmask", "mmap(MAP_DROPPABLE)", "getrandom", "sched_getaffinity"]), Live("randomness")]),
    case(44, Library, "file (2024): malloc of glibc names its arenas", "file be5fac4", &[Calls(&["prctl(SET_VMA)"]), Live("heap")]),
    case(45, Library, "tracker: a signal during exit; shadow stacks switched off", "tracker 2f1ed4b, e10fa5e", &[Calls(&["rt_sigreturn", "sigreturn", "arch_prctl"]), Live("signal_at_exit")]),
    case(46, Architecture, "dhcpcd, wob: no audit token for the architecture; no poll on aarch64", "dhcpcd cb1ec1a, wob#131", &[Rule("audit_tokens"), Rule("every_power_everywhere")]),
    case(47, Kernel, "sandstorm, vsftpd: EINVAL from kernels built without filters", "sandstorm#1759, scaleway-torrents#34", &[Live("kernel_without_filters")]),
    case(48, Outer, "xz on Termux: Android ends whoever asks for Landlock", "termux-packages#19347", &[Calls(&["landlock_create_ruleset"]), Live("probes_of_libraries")]),
    case(49, Outer, "file, bun on Termux (2026): Android ends whoever makes newer calls", "termux-packages#30082, bun#39084, opencode-termux#17", &[Calls(&["landlock_create_ruleset", "close_range", "openat2", "fchmodat2"]), Live("probes_of_libraries")]),
    case(51, Compiler, "Tor, xwallpaper: libseccomp 2.4 merged rules otherwise; 2.5 loaded a filter only once", "Tor 0d64baf, xwallpaper#23, libseccomp#273", &[Rule("every_filter_is_proved"), Live("second_filter")]),
    case(52, Compiler, "all users of libseccomp before 2.6.1 (2026): merged 64-bit comparisons let too much through", "libseccomp GHSA-4q85-33p6-j5g6", &[Rule("every_filter_is_proved"), Rule("halves_of_arguments")]),
    case(53, Compiler, "Nix: a rule for a call that the installed libseccomp does not know, and no build succeeds", "nix#10585", &[Rule("unknown_calls_are_answered"), Calls(&["fchmodat2"])]),
    case(54, Compiler, "Tor: a refusal takes precedence over a permission given elsewhere", "Tor ea8e9f1, bug 25115", &[Rule("order_does_not_matter")]),
    case(55, Rust, "Cloud Hypervisor, Firecracker (2025): UnixStream writes by sendto as of Rust 1.90", "rust#140005, cloud-hypervisor#7477, #7497; firecracker b61c671", &[Calls(&["sendto", "recvfrom"]), Live("sockets")]),
    case(56, Rust, "Cloud Hypervisor, Firecracker (2023): channels of Rust 1.67 give the processor up", "cloud-hypervisor 612a8df, firecracker 01a3b57", &[Calls(&["sched_yield"]), Live("locks")]),
    case(57, Rust, "Firecracker: locks of std wait by bit set", "firecracker 0874aba", &[Calls(&["futex(WAIT_BITSET)", "futex_time64(WAIT_BITSET)"]), Live("locks")]),
    case(59, Allocator, "Firecracker, Cloud Hypervisor: advice on freed memory, mremap, flags of mmap", "firecracker c96aab0, a0702dd; cloud-hypervisor beed5e5, 6219613", &[Calls(&["madvise(FREE)", "madvise(DONTNEED)", "mmap(NORESERVE|STACK)", "mremap"]), Live("heap")]),
    case(60, Allocator, "Cloud Hypervisor: free of glibc reads a file, now and then", "cloud-hypervisor 53caa56, 660b18e", &[Calls(&["openat(RDONLY)"]), Live("heap_of_threads")]),
    case(61, Rust, "librefang (2026): close_range and getresuid when a command is started", "librefang#6221", &[Calls(&["close_range", "getresuid", "getresuid32"]), Live("commands")]),
    case(63, Library, "Cloud Hypervisor: musl, old C libraries and old kernels use the other of two calls", "cloud-hypervisor 8abe8c6, cb826aa, 8b3f004, 3c0b389", &[Calls(&["brk", "mmap", "getdents64"]), Rule("twins_share_an_answer")]),
    case(64, Crypto, "Firecracker: an update of aws-lc looks whether a file is there, on aarch64", "firecracker b83640c, cce210a", &[Calls(&["faccessat"]), Live("files_by_path")]),
    case(65, Kernel, "Firecracker (2025): who is stopped and goes on makes restart_syscall", "firecracker 5cf6525", &[Calls(&["restart_syscall"]), Live("stopped_and_continued")]),
    case(66, Rust, "sn0int, tr1pd (2018 to 2022): fifteen calls on Alpine, Arm and newer glibc", "sn0int, log of src/sandbox", &[Calls(&["readv", "writev", "mremap", "membarrier", "poll", "ppoll", "clock_nanosleep", "statx", "lseek", "_llseek", "fstat", "rseq", "clone3"]), Live("held_files"), Live("panics")]),
    case(67, Instruments, "file on Gentoo: a preloaded libsandbox looks at paths", "file b2e55e9, Gentoo 784857", &[Calls(&["newfstatat(AT_EMPTY_PATH)", "stat", "getcwd"]), Program("crates/acme-client/tests/whole/otherwise.rs")]),
    case(68, Instruments, "man-db: preloaded allocators advise, and send signals", "gentoo/musl#100, mimalloc#249", &[Calls(&["madvise(FREE)", "kill(own)", "tgkill(own)"]), Live("abort"), Program("crates/acme-client/tests/whole/preloads.rs")]),
    case(69, Instruments, "Tor, localsearch, kcgi: address sanitizers, valgrind, coverage", "Tor fbf2e7e, 7883693; kcgi's workflow", &[Not("they watch the process from within by what a seal is there to refuse. GCC's address sanitizer, preloaded, cost no certificate when it was tried, but its check for leaks traces the process at its end, cannot, and makes the exit status 1; valgrind does not follow a program that starts itself again")]),
    case(70, Own, "usbguard, xwallpaper: options of the program's own make calls that nobody foresaw", "usbguard#266, xwallpaper#10", &[Calls(&["getpid", "getuid", "umask", "clone(process)"]), Live("own_numbers"), Live("commands")]),
    case(71, Architecture, "virtiofsd: fstatfs is fstatfs64 on ppc64le", "coreos-assembler#3636", &[Calls(&["fstatfs", "fstatfs64"]), Rule("twins_share_an_answer")]),
    case(72, Architecture, "Docker on 32-bit x86: socketcall refused, and reverted within six days", "moby/profiles 3c28324", &[Calls(&["socketcall(SHUTDOWN)"]), Rule("multiplexers_follow")]),
    case(73, Instruments, "acme-client 0.1 (2026): roles closed every descriptor from 3 on when they started, a preloaded library's own pipe among them, which then wrote to the role's channel", "google-perftools 2.10, libtcmalloc_debug", &[Live("descriptors_of_others"), Program("crates/acme-client/tests/whole/otherwise.rs"), Program("crates/acme-client/tests/whole/preloads.rs")]),
    case(74, Allocator, "acme-client 0.1 (2026): dmalloc maps all its memory executable", "dmalloc 5.5.2", &[Calls(&["mmap(EXEC)"]), Program("crates/acme-client/tests/whole/preloads.rs")]),
];

/// What a release began to do, which sooner or later met every filter made before it.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) name: &'static str,
    pub(crate) calls: &'static [&'static str],
}

#[rustfmt::skip]
pub(crate) const RELEASES: &[Release] = &[
    Release { name: "glibc 2.26", calls: &["openat(RDONLY)", "epoll_pwait"] },
    Release { name: "glibc 2.28", calls: &["futex(WAIT)", "sysinfo", "statx"] },
    Release { name: "glibc 2.30", calls: &["setsockopt"] },
    Release { name: "glibc 2.31", calls: &["clock_nanosleep", "clock_gettime64", "clock_nanosleep_time64"] },
    Release { name: "glibc 2.33", calls: &["newfstatat(AT_EMPTY_PATH)", "statx", "faccessat2", "fstatat64"] },
    Release { name: "glibc 2.34", calls: &["clone3", "pselect6_time64", "futex_time64(WAIT)", "ppoll_time64", "getrandom", "sched_getaffinity"] },
    Release { name: "glibc 2.35", calls: &["rseq"] },
    Release { name: "glibc 2.36 to 2.41", calls: &["getrandom", "rt_sigprocmask", "mmap(MAP_DROPPABLE)", "prctl(SET_VMA)"] },
    Release { name: "glibc 2.42", calls: &["ioctl(TCGETS2)", "madvise(GUARD_INSTALL)"] },
    Release { name: "musl", calls: &["readv", "writev", "membarrier", "mremap", "ioctl(TIOCGWINSZ)"] },
    Release { name: "musl 1.2", calls: &["clock_gettime64", "futex_time64(WAIT)", "ppoll_time64", "clock_nanosleep_time64"] },
    Release { name: "musl 1.2.6", calls: &["pwritev2"] },
    Release { name: "Rust 1.73", calls: &["mmap(NORESERVE|STACK)", "madvise(DONTNEED)"] },
    Release { name: "Rust 1.90", calls: &["sendto"] },
];
