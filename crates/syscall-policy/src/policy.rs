//! A policy, and what it means: the declarative side, which knows nothing of filters.

use alloc::vec::Vec;

use crate::arch::Arch;
use crate::class::{Class, Refusal};
use crate::errno::Errno;
use crate::names::{self, Name, Power};
use crate::rule::{Decision, Rule};
use crate::rules;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The kernel makes it.
    Allow,
    /// The kernel does not make it; the caller gets this error number.
    Errno(u16),
    /// The kernel asks whoever holds the filter's listener what to answer: seccomp_unotify(2).
    Notify,
    /// The kernel does not make it, and sends SIGSYS.
    Trap,
    /// The kernel ends the process.
    Kill,
}

/// A call as a filter sees it: `struct seccomp_data` of `linux/seccomp.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Data {
    /// The call's number.
    pub nr: u32,
    /// The `AUDIT_ARCH_*` token of the entry it came by.
    pub arch: u32,
    /// Where in the program it came from.
    pub instruction_pointer: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

/// What becomes of calls that are refused softly: those of [`Refusal::Soft`], those that rules refuse, and those that no
/// kernel had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Soft {
    /// The caller gets the error. What a filter says by itself.
    #[default]
    Errno,
    /// A supervisor is told, which answers with the error that this policy has with [`Soft::Errno`].
    Notify,
    /// The process is told by SIGSYS, to say which call it was. Calls of these names get their error as ever.
    Trap {
        /// Those that are known already.
        except: Vec<&'static str>,
    },
    /// They are made: only what ends the process is left of the policy. Numbers that no kernel had are still refused, and so are
    /// `clone3`, whose flags no filter sees, and timers.
    Allow,
}

/// Classes granted, and the little that rules need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    granted: u128,
    /// Not granted, even if they would follow from others.
    withheld: u128,
    own_process: Option<u32>,
    coarse: bool,
    executable: bool,
    soft: Soft,
    /// Nothing but these classes is refused: for a filter on top of another.
    taken: Option<u128>,
    replaced: Vec<(&'static str, Rule)>,
}

/// What a policy says about one call by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The same for all arguments.
    Always(Decision),
    /// Depends on the arguments.
    Checked(Rule),
}

impl Policy {
    /// A policy that grants these classes.
    ///
    /// [`Class::OpenPath`] and [`Class::OpenUnseen`] follow from what is granted of read, write and create path, and
    /// [`Class::SocketMultiplexer`] is always looked into: these three need not be named.
    #[must_use]
    pub fn new(classes: impl IntoIterator<Item = Class>) -> Self {
        let granted = classes.into_iter().fold(0, |set, class| set | bit(class));
        Self {
            granted,
            withheld: 0,
            own_process: None,
            coarse: false,
            executable: false,
            soft: Soft::Errno,
            taken: None,
            replaced: Vec::new(),
        }
    }

    /// A policy for a second filter on top of a first: takes these classes away and leaves the rest, of whatever power, to
    /// the first. Of what two filters say the kernel does the stricter.
    #[must_use]
    pub fn taking(classes: impl IntoIterator<Item = Class>) -> Self {
        let taken = classes.into_iter().fold(0, |set, class| set | bit(class));
        Self { taken: Some(taken), ..Self::new([]) }
    }

    /// Grants one more class.
    #[must_use]
    pub const fn and(mut self, class: Class) -> Self {
        self.granted |= bit(class);
        self.withheld &= !bit(class);
        self
    }

    /// Takes a class back, also one that follows from others. Its calls are refused as those of any class that was never
    /// granted.
    ///
    /// For finding out what becomes of a program that lacks it.
    #[must_use]
    pub const fn without(mut self, class: Class) -> Self {
        self.granted &= !bit(class);
        self.withheld |= bit(class);
        self
    }

    /// Lets memory be made executable by whoever may have memory: for allocators that have all of theirs so.
    #[must_use]
    pub const fn with_executable_memory(mut self) -> Self {
        self.executable = true;
        self
    }

    pub(crate) const fn executable_memory(&self) -> bool {
        self.executable
    }

    /// Says what becomes of calls that are refused softly.
    #[must_use]
    pub fn softly(mut self, soft: Soft) -> Self {
        self.soft = soft;
        self
    }

    /// Names the process that the policy is for: the one that may be signalled (by `abort`, say).
    #[must_use]
    pub const fn for_process(mut self, pid: u32) -> Self {
        self.own_process = Some(pid);
        self
    }

    /// No more powers in about half a program: every call not granted is answered with `ENOSYS`, the hard ones among them, and
    /// so are those that a process can do without and that take many comparisons (`prctl`, `madvise`, `ioctl`).
    ///
    /// For kernels that refuse big filters (32-bit Arm with a compiler for filters and no interpreter): what it makes of an
    /// instruction takes several of Arm's, and must not be longer than its loads reach, 4 KiB.
    #[must_use]
    pub const fn coarse(mut self) -> Self {
        self.coarse = true;
        self
    }

    /// Replaces the rule of a call: it applies if the call's class is granted.
    #[must_use]
    pub fn with_rule(mut self, name: &'static str, rule: Rule) -> Self {
        self.replaced.retain(|(known, _)| *known != name);
        self.replaced.push((name, rule));
        self
    }

    /// Whether a class is granted.
    #[must_use]
    pub const fn grants(&self, class: Class) -> bool {
        let (read, write) = (bit(Class::ReadPath), bit(Class::WritePath));
        let create = bit(Class::CreatePath);
        match class {
            _ if has_any(self.withheld, bit(class)) => false,
            Class::OpenPath => has_any(self.granted, read | write | create),
            Class::OpenUnseen => self.granted & (read | write | create) == read | write | create,
            Class::SocketMultiplexer => true,
            _ => has_any(self.granted, bit(class)),
        }
    }

    /// What the policy says about a call of an architecture, by name. A name in no table is a call no kernel has.
    #[must_use]
    pub fn answer(&self, arch: Arch, name: &str) -> Answer {
        names::find(name).map_or_else(|| self.unknown(), |call| self.answer_about(arch, call))
    }

    /// What the policy says about a call already looked up.
    pub(crate) fn answer_about(&self, arch: Arch, call: Name) -> Answer {
        let (name, power) = (call.text(), call.power());
        if let Some(taken) = self.taken {
            return Self::answer_taking(taken, power);
        }
        // With nothing but a call that takes a path, the one power cannot be had without the other.
        let held_by_path = arch.only_statx() && name == "statx" && self.grants(Class::StatHeld);
        let granted = self.grants(power.class) || held_by_path;
        if granted && !(self.coarse && rules::is_dispensable(name)) {
            let replaced = self.replaced.iter().find(|(known, _)| *known == name).map(|(_, rule)| rule.clone());
            let rule = replaced.or_else(|| rules::granted(self, arch, name));
            return rule.map_or(Answer::Always(Decision::Allow), |rule| self.softened(name, rule));
        }
        if self.coarse && self.soft != Soft::Allow {
            return self.softened(name, Rule::otherwise(Decision::Refuse(Errno::NoSuchCall)));
        }
        if let Some(rule) = rules::withheld(arch, name) {
            return self.softened(name, rule);
        }
        let decision = match power.refusal() {
            Refusal::Hard => Decision::Kill,
            Refusal::Soft(errno) => Decision::Refuse(errno),
        };
        if self.soft == Soft::Allow && (name == "clone3" || power.class == Class::Timers) {
            // Namespaces by flags that no filter sees, and the timers of a deadline: these stay refused.
            return Answer::Always(decision);
        }
        self.softened(name, Rule::otherwise(decision))
    }

    /// What a policy made by [`Policy::taking`] says.
    fn answer_taking(taken: u128, power: &Power) -> Answer {
        if power.class == Class::SocketMultiplexer {
            return simplified(rules::socket_numbers_without(|class| taken & bit(class) != 0));
        }
        let errno = match power.refusal() {
            Refusal::Soft(errno) => errno,
            Refusal::Hard => Errno::NotPermitted,
        };
        Answer::Always(if taken & bit(power.class) == 0 { Decision::Allow } else { Decision::Refuse(errno) })
    }

    /// What the policy says about a number in no table.
    pub(crate) const fn unknown(&self) -> Answer {
        Answer::Always(match (self.taken, &self.soft) {
            (Some(_), _) => Decision::Allow,
            (None, Soft::Notify) => Decision::Notify,
            (None, Soft::Trap { .. }) => Decision::Trap,
            (None, Soft::Errno | Soft::Allow) => Decision::Refuse(Errno::NoSuchCall),
        })
    }

    /// A call's rule, with what becomes of refused calls in it.
    fn softened(&self, name: &str, mut rule: Rule) -> Answer {
        let refused = match &self.soft {
            Soft::Errno => None,
            Soft::Trap { except } if except.contains(&name) => None,
            Soft::Trap { .. } => Some(Decision::Trap),
            Soft::Notify => Some(Decision::Notify),
            Soft::Allow => Some(Decision::Allow),
        };
        if let Some(instead) = refused {
            let decisions = rule.arms.iter_mut().map(|arm| &mut arm.then).chain([&mut rule.otherwise]);
            decisions
                .filter(|decision| matches!(decision, Decision::Refuse(_)))
                .for_each(|decision| *decision = instead);
        }
        simplified(rule)
    }

    /// What becomes of a call made by way of `arch`, the entry the policy is for.
    ///
    /// A number in no table is a call that no kernel had when this crate was made: `ENOSYS`. That includes the numbers
    /// of x32, which are those of x86_64 with one more bit.
    #[must_use]
    pub fn verdict(&self, arch: Arch, nr: u32, args: &[u64; 6]) -> Verdict {
        let call = arch.table().call_of(nr);
        call.map_or_else(|| self.unknown(), |call| self.answer_about(arch, call)).decide(args).on(arch)
    }

    /// What becomes of a call made by whatever entry: by another than that of `arch`, the process ends.
    #[must_use]
    pub fn verdict_on(&self, arch: Arch, data: &Data) -> Verdict {
        if data.arch == arch.token() { self.verdict(arch, data.nr, &data.args) } else { Verdict::Kill }
    }

    /// The calls of an architecture that are allowed, all of them or for some arguments, by number.
    #[must_use]
    pub fn allowed(&self, arch: Arch) -> Vec<&'static str> {
        let allows = |call: Name| self.answer_about(arch, call).allows();
        arch.table().known().filter(|(call, _)| allows(*call)).map(|(call, _)| call.text()).collect()
    }

    pub(crate) const fn own_process(&self) -> Option<u32> {
        self.own_process
    }
}

impl Answer {
    /// What is decided for these arguments.
    #[must_use]
    pub fn decide(&self, args: &[u64; 6]) -> Decision {
        match self {
            Self::Always(decision) => *decision,
            Self::Checked(rule) => rule.decide(args),
        }
    }

    /// Whether the call is allowed for some arguments at least.
    #[must_use]
    pub fn allows(&self) -> bool {
        match self {
            Self::Always(decision) => *decision == Decision::Allow,
            Self::Checked(rule) => {
                rule.otherwise == Decision::Allow || rule.arms.iter().any(|arm| arm.then == Decision::Allow)
            }
        }
    }
}

impl Decision {
    /// The verdict, with the architecture's error number.
    #[must_use]
    pub const fn on(self, arch: Arch) -> Verdict {
        match self {
            Self::Allow => Verdict::Allow,
            Self::Refuse(errno) => Verdict::Errno(errno.number(arch)),
            Self::Notify => Verdict::Notify,
            Self::Trap => Verdict::Trap,
            Self::Kill => Verdict::Kill,
        }
    }
}

/// A rule whose arms cannot hold, or do not matter, is no rule.
fn simplified(mut rule: Rule) -> Answer {
    rule.arms.retain(|arm| arm.when.iter().all(|condition| !condition.values.is_empty()));
    while rule.arms.last().is_some_and(|arm| arm.then == rule.otherwise) {
        rule.arms.pop();
    }
    if rule.arms.is_empty() { Answer::Always(rule.otherwise) } else { Answer::Checked(rule) }
}

const fn bit(class: Class) -> u128 {
    1 << class as u32
}

const fn has_any(set: u128, bits: u128) -> bool {
    set & bits != 0
}

const _: () = assert!(Class::ALL.len() <= 128, "the set of classes has 128 bits");
