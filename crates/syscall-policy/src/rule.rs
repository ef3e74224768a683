//! Rules on arguments: the form they have. Which calls have one is in [`crate::rules`].

use alloc::vec::Vec;
use core::fmt;

use crate::errno::Errno;

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// The call is made.
    Allow,
    /// The caller gets this error.
    Refuse(Errno),
    /// A supervisor is told and answers in the kernel's place ([`Soft::Notify`](crate::Soft::Notify)).
    Notify,
    /// The process is told by SIGSYS ([`Soft::Trap`](crate::Soft::Trap)).
    Trap,
    /// The process ends.
    Kill,
}

/// How much of an argument the kernel reads, and so the filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// The low 32 bits: the kernel's parameter is an `int` or `unsigned int`, and what is above is noise that depends
    /// on the C library and compiler.
    Low,
    /// All 64 bits: the kernel's parameter is a `long` or a pointer.
    Full,
}

/// `argument & mask` is one of `values`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Condition {
    pub(crate) argument: u8,
    pub(crate) width: Width,
    pub(crate) mask: u64,
    pub(crate) values: Vec<u64>,
}

impl Condition {
    /// On the low 32 bits of an argument (0 to 5): `argument & mask` is one of `values`.
    ///
    /// # Panics
    ///
    /// If there is no such argument.
    #[must_use]
    pub fn low(argument: u8, mask: u32, values: &[u32]) -> Self {
        assert!(argument < 6, "calls have six arguments");
        let values = values.iter().map(|value| u64::from(*value)).collect();
        Self { argument, width: Width::Low, mask: u64::from(mask), values }
    }

    /// On all 64 bits of an argument (0 to 5): `argument & mask` is one of `values`.
    ///
    /// # Panics
    ///
    /// If there is no such argument.
    #[must_use]
    pub fn full(argument: u8, mask: u64, values: &[u64]) -> Self {
        assert!(argument < 6, "calls have six arguments");
        Self { argument, width: Width::Full, mask, values: values.to_vec() }
    }

    /// The low 32 bits of an argument are one of `values`.
    #[must_use]
    pub fn is(argument: u8, values: &[u32]) -> Self {
        Self::low(argument, u32::MAX, values)
    }

    /// These bits of an argument's low half are all clear.
    #[must_use]
    pub fn clear(argument: u8, bits: u32) -> Self {
        Self::low(argument, bits, &[0])
    }

    /// Which argument it is on.
    #[must_use]
    pub const fn argument(&self) -> u8 {
        self.argument
    }

    /// How much of the argument it looks at.
    #[must_use]
    pub const fn width(&self) -> Width {
        self.width
    }

    /// The bits of the argument that are compared.
    #[must_use]
    pub const fn mask(&self) -> u64 {
        self.mask
    }

    /// What these bits may be.
    #[must_use]
    pub fn values(&self) -> &[u64] {
        &self.values
    }

    fn holds(&self, args: &[u64; 6]) -> bool {
        let argument = args[usize::from(self.argument)];
        let seen = match self.width {
            Width::Low => argument & 0xffff_ffff,
            Width::Full => argument,
        };
        self.values.contains(&(seen & self.mask))
    }
}

/// A decision, and the conditions that must all hold for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arm {
    pub(crate) when: Vec<Condition>,
    pub(crate) then: Decision,
}

impl Arm {
    /// The conditions, which must all hold.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        &self.when
    }

    /// What is decided if they do.
    #[must_use]
    pub const fn decision(&self) -> Decision {
        self.then
    }
}

/// What becomes of a call by its arguments: the first arm whose conditions all hold decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    pub(crate) arms: Vec<Arm>,
    pub(crate) otherwise: Decision,
}

impl Rule {
    /// A rule that decides the same whatever the arguments are, for arms to be added to.
    #[must_use]
    pub const fn otherwise(decision: Decision) -> Self {
        Self { arms: Vec::new(), otherwise: decision }
    }

    /// Adds an arm after those there are.
    #[must_use]
    pub fn arm(mut self, then: Decision, when: impl Into<Vec<Condition>>) -> Self {
        self.arms.push(Arm { when: when.into(), then });
        self
    }

    /// Adds an arm that allows.
    #[must_use]
    pub fn allow(self, when: impl Into<Vec<Condition>>) -> Self {
        self.arm(Decision::Allow, when)
    }

    /// The arms, in order.
    #[must_use]
    pub fn arms(&self) -> &[Arm] {
        &self.arms
    }

    /// What is decided if no arm holds.
    #[must_use]
    pub const fn default_decision(&self) -> Decision {
        self.otherwise
    }

    /// What the rule decides for these arguments.
    #[must_use]
    pub fn decide(&self, args: &[u64; 6]) -> Decision {
        let arm = self.arms.iter().find(|arm| arm.when.iter().all(|condition| condition.holds(args)));
        arm.map_or(self.otherwise, |arm| arm.then)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("allow"),
            Self::Refuse(errno) => errno.fmt(f),
            Self::Notify => f.write_str("notify"),
            Self::Trap => f.write_str("trap"),
            Self::Kill => f.write_str("kill"),
        }
    }
}

/// As in `argument 2 & 0x4 is 0x0`. Arguments count from 0, and of those that the kernel reads as 32 bits the rest is not
/// mentioned.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = match self.width {
            Width::Low => u64::from(u32::MAX),
            Width::Full => u64::MAX,
        };
        write!(f, "argument {}", self.argument)?;
        if self.mask != all {
            write!(f, " & {:#x}", self.mask)?;
        }
        for (at, value) in self.values.iter().enumerate() {
            write!(f, "{} {value:#x}", if at == 0 { " is" } else { " or" })?;
        }
        Ok(())
    }
}

/// As in `allow if argument 2 & 0x4 is 0x0; else EACCES`: the first that holds decides.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for arm in &self.arms {
            write!(f, "{}", arm.then)?;
            for (at, condition) in arm.when.iter().enumerate() {
                write!(f, " {} {condition}", if at == 0 { "if" } else { "and" })?;
            }
            f.write_str("; else ")?;
        }
        write!(f, "{}", self.otherwise)
    }
}
