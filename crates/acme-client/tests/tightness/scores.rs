//! Filters against attacks of public collections (`corpora/README.md`).
//!
//! By name: a payload is broken if a call it makes is refused whatever its arguments are; a flaw is in reach if one of the
//! calls that lead to it is allowed. With arguments: the same, but a call counts as refused too if it is for the arguments
//! that the attack needs, as far as the attack tells: memory made executable for `mmap` and `mprotect`, and everybody for
//! `kill`, since payloads need these for nothing else; and for each flaw of a call that is checked, what its description names.

use std::collections::BTreeMap;

use syscall_policy::{Arch, Policy, Verdict};

/// A filter, ours or that of others.
#[derive(Debug)]
pub(crate) enum Filter {
    Ours(Policy),
    Theirs(Peer),
}

/// What others allow: names, and for some of them what arguments may not ask for.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// The list is for x86_64 alone.
    pub(crate) x86_only: bool,
    calls: BTreeMap<&'static str, Vec<&'static str>>,
}

/// What arguments ask for.
#[derive(Clone, Copy, Debug)]
struct Wish {
    args: [u64; 6],
    /// How `corpora/peers` says that it is refused.
    mark: &'static str,
}

const fn wish(first: u64, second: u64, third: u64, mark: &'static str) -> Wish {
    Wish { args: [first, second, third, 0, 0, 0], mark }
}

/// `PROT_READ | PROT_WRITE | PROT_EXEC`.
const EXECUTABLE: Wish = wish(0, 4096, 7, "not-exec");

/// SIGKILL for every process there is.
const EVERYBODY: Wish = wish(u64::MAX, 9, 0, "not-others");

/// What flaws need of calls that are checked by argument.
const WISHES: [(&str, &str, Wish); 8] = [
    // CLOCK_REALTIME_ALARM: an overflow in alarm_timer_nsleep.
    ("CVE-2018-13053", "clock_nanosleep", wish(8, 0, 0x1000, "not-alarm")),
    // MADV_REMOVE: races in madvise_remove.
    ("CVE-2012-3511", "madvise", wish(0, 4096, 9, "not-remove")),
    // MADV_WILLNEED: an endless loop in madvise_willneed.
    ("CVE-2017-18208", "madvise", wish(0, 4096, 3, "not-willneed")),
    // IPT_SO_SET_REPLACE of SOL_IP.
    ("CVE-2016-4997", "setsockopt", wish(3, 0, 64, "not-netfilter")),
    // PACKET_VERSION of SOL_PACKET.
    ("CVE-2016-8655", "setsockopt", wish(3, 263, 10, "not-packet")),
    // SO_SNDBUFFORCE of SOL_SOCKET.
    ("CVE-2016-9793", "setsockopt", wish(3, 1, 32, "not-force")),
    // IPV6_RECVPKTINFO of SOL_IPV6, on a socket of DCCP.
    ("CVE-2017-6074", "setsockopt", wish(3, 41, 49, "not-ipv6")),
    // PACKET_RX_RING of SOL_PACKET.
    ("CVE-2017-7308", "setsockopt", wish(3, 263, 5, "not-packet")),
];

impl Filter {
    /// Calls allowed, all of them or for some arguments.
    pub(crate) fn count(&self, arch: Arch) -> usize {
        match self {
            Self::Ours(policy) => policy.allowed(arch).len(),
            Self::Theirs(peer) => arch.table().iter().filter(|(name, _)| peer.calls.contains_key(name)).count(),
        }
    }

    fn allows(&self, call: &str) -> bool {
        match self {
            Self::Ours(policy) => policy.answer(Arch::X86_64, call).allows(),
            Self::Theirs(peer) => peer.calls.contains_key(call),
        }
    }

    fn grants(&self, call: &str, wish: Wish) -> bool {
        match (self, Arch::X86_64.number(call)) {
            (Self::Ours(policy), Some(number)) => policy.verdict(Arch::X86_64, number, &wish.args) == Verdict::Allow,
            (Self::Ours(_), None) => false,
            (Self::Theirs(peer), _) => peer.calls.get(call).is_some_and(|marks| !marks.contains(&wish.mark)),
        }
    }

    /// Whether a payload can make a call for what payloads make it for.
    fn serves(&self, call: &str) -> bool {
        match call {
            "mmap" | "mprotect" => self.grants(call, EXECUTABLE),
            "kill" => self.grants(call, EVERYBODY),
            _ => self.allows(call),
        }
    }
}

impl Peer {
    /// Those whose lists are at hand.
    pub(crate) fn all() -> Vec<Self> {
        [
            ("OpenSSH 10.0, before authentication", false, include_str!("../corpora/peers/openssh.txt")),
            ("C acme-client, keys and certificates", false, include_str!("../corpora/peers/acme-client-c-stdio.txt")),
            ("C acme-client, network", false, include_str!("../corpora/peers/acme-client-c-net.txt")),
            ("Firecracker, interface", true, include_str!("../corpora/peers/firecracker-api.txt")),
            ("Firecracker, machine", true, include_str!("../corpora/peers/firecracker-vmm.txt")),
            ("systemd 252, `@system-service`", false, include_str!("../corpora/peers/systemd.txt")),
            ("Docker 20.10, default", false, include_str!("../corpora/peers/docker.txt")),
        ]
        .into_iter()
        .map(|(name, x86_only, list)| {
            let calls = lines(list).map(|line| {
                let mut words = line.split(' ');
                (words.next().unwrap_or_default(), words.collect())
            });
            Self { name, x86_only, calls: calls.collect() }
        })
        .collect()
    }
}

/// The attacks.
#[derive(Debug)]
pub(crate) struct Corpus {
    /// The calls of each.
    pub(crate) shellcodes: Vec<Vec<&'static str>>,
    pub(crate) rop: Vec<Vec<&'static str>>,
    /// Each with its name.
    pub(crate) cves: Vec<(&'static str, Vec<&'static str>)>,
}

/// How many, by name and with arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    pub(crate) by_name: usize,
    pub(crate) with_arguments: usize,
}

/// How a filter does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Score {
    /// Payloads broken.
    pub(crate) rop: Count,
    /// Flaws in reach.
    pub(crate) cves: Count,
    /// Shellcodes broken. To know the arguments changes nothing here.
    pub(crate) shellcodes: usize,
}

impl Corpus {
    pub(crate) fn read() -> Self {
        let entry = |line: &'static str, mark| {
            let (name, calls) = line.split_once(mark)?;
            let calls: Vec<&str> = calls.split(',').map(str::trim).filter(|call| !call.is_empty()).collect();
            Some((name, calls))
        };
        let payloads = |list| {
            let entries = lines(list).filter_map(|line| entry(line, ' '));
            entries.map(|(_, calls)| calls).filter(|calls| !calls.is_empty()).collect::<Vec<_>>()
        };
        let cves = lines(include_str!("../corpora/cve.txt")).map(|line| {
            let (name, calls) = entry(line, ';').unwrap_or_else(|| panic!("no flaw: {line:?}"));
            (name, calls.into_iter().map(|call| call.trim_start_matches("__x64_sys_")).collect())
        });
        Self {
            shellcodes: payloads(include_str!("../corpora/shellcode.txt")),
            rop: payloads(include_str!("../corpora/rop.txt")),
            cves: cves.collect(),
        }
    }

    pub(crate) fn score(&self, filter: &Filter) -> Score {
        let broken = |payloads: &[Vec<&str>]| {
            let by_name = payloads.iter().filter(|calls| !calls.iter().all(|call| filter.allows(call))).count();
            let with_arguments = payloads.iter().filter(|calls| !calls.iter().all(|call| filter.serves(call))).count();
            Count { by_name, with_arguments }
        };
        let reaches = |cve: &str, call: &str| {
            let wish = WISHES.iter().find(|(name, of, _)| *name == cve && *of == call);
            wish.map_or_else(|| filter.allows(call), |(_, _, wish)| filter.grants(call, *wish))
        };
        let in_reach = Count {
            by_name: self.cves.iter().filter(|(_, calls)| calls.iter().any(|call| filter.allows(call))).count(),
            with_arguments: self.cves.iter().filter(|(cve, calls)| calls.iter().any(|call| reaches(cve, call))).count(),
        };
        Score { rop: broken(&self.rop), cves: in_reach, shellcodes: broken(&self.shellcodes).with_arguments }
    }
}

fn lines(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}
