//! Filters that give chosen calls chosen answers.

use core::fmt;

use syscall_policy::{Arch, Instruction};

/// How a call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel makes it.
    Allow,
    /// This error number, also those that no kernel should let out: 524.
    Errno(i32),
    /// SIGSYS, which could be caught (Android). Nobody does, so it ends the process.
    Trap,
    /// The end of the process by SIGSYS (systemd's `SystemCallFilter=` without an error number).
    Kill,
    /// What the supervisor of the filter says.
    Supervised,
}

impl Answer {
    /// `SECCOMP_RET_*` of `linux/seccomp.h`.
    fn encoded(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Errno(number) => 0x0005_0000 | u32::try_from(number).expect("an error number") & 0xffff,
            Self::Trap => 0x0003_0000,
            Self::Kill => 0x8000_0000,
            Self::Supervised => 0x7fc0_0000,
        }
    }
}

/// A test of one of a call's arguments, of which 32 bits are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It is of no matter.
    Always,
    /// The first is one of these.
    Is(Vec<u32>),
    /// The one at this place (0 to 5) has one of these bits.
    HasBit(u32, u32),
}

/// A call and how it is answered.
#[derive(Clone)]
pub(crate) struct Rule {
    number: u32,
    test: Test,
    answer: Answer,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, test, answer } = self;
        write!(f, "{}", native().name_of(*number).unwrap_or("?"))?;
        if *test != Test::Always {
            write!(f, "({test:?})")?;
        }
        write!(f, " => {answer:?}")
    }
}

impl Rule {
    /// `None` if this architecture does not have the call.
    pub(crate) fn new(call: &str, test: Test, answer: Answer) -> Option<Self> {
        Some(Self { number: native().number(call)?, test, answer })
    }
}

pub(crate) fn native() -> Arch {
    Arch::native().expect("a table of system calls for this architecture")
}

/// `BPF_LD | BPF_W | BPF_ABS`.
const LOAD: u16 = 0x20;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JSET | BPF_K`.
const ANY_BIT: u16 = 0x45;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;

/// One rule after the other. Calls by another entry (those of 32-bit programs) are let through.
pub(crate) fn assemble(rules: &[Rule], otherwise: Answer) -> Vec<Instruction> {
    let one = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let argument = |at: u32| 16 + 8 * at + if native().little_endian() { 0 } else { 4 };
    let mut program = vec![
        one(LOAD, 0, 0, 4),
        one(EQUAL, 1, 0, native().token()),
        one(RETURN, 0, 0, Answer::Allow.encoded()),
        one(LOAD, 0, 0, 0),
    ];
    for Rule { number, test, answer } in rules {
        let answer = one(RETURN, 0, 0, answer.encoded());
        let (at, tests): (u32, Vec<Instruction>) = match test {
            Test::Always => (0, Vec::new()),
            Test::Is(values) => (0, values.iter().map(|value| one(EQUAL, 0, 1, *value)).collect()),
            Test::HasBit(at, bits) => (*at, vec![one(ANY_BIT, 0, 1, *bits)]),
        };
        if tests.is_empty() {
            program.extend([one(EQUAL, 0, 1, *number), answer]);
            continue;
        }
        // Two for each test, one to load the argument, one to load the number again.
        let skip = u8::try_from(2 * tests.len() + 2).expect("few tests");
        program.extend([one(EQUAL, 0, skip, *number), one(LOAD, 0, 0, argument(at))]);
        program.extend(tests.into_iter().flat_map(|test| [test, answer]));
        program.push(one(LOAD, 0, 0, 0));
    }
    program.push(one(RETURN, 0, 0, otherwise.encoded()));
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use syscall_policy::interpret::run;
    use syscall_policy::{Data, Verdict};

    #[test]
    fn calls_are_answered_by_number_and_argument() {
        let rules: Vec<Rule> = [
            ("prctl", Test::Is(vec![22, 65]), Answer::Errno(22)),
            ("close", Test::Always, Answer::Errno(524)),
            ("clone", Test::HasBit(0, 0x1000_0000), Answer::Kill),
            ("prctl", Test::Is(vec![38]), Answer::Errno(1)),
            ("write", Test::HasBit(2, 8), Answer::Errno(5)),
        ]
        .into_iter()
        .filter_map(|(call, test, answer)| Rule::new(call, test, answer))
        .collect();
        let program = assemble(&rules, Answer::Allow);
        let verdict = |call: &str, first: u64| {
            let nr = native().number(call).expect("a call of this architecture");
            let mut args = [7; 6];
            args[0] = first;
            let data = Data { nr, arch: native().token(), instruction_pointer: 0, args };
            run(&program, native(), &data).expect("a filter").verdict
        };
        assert_eq!(verdict("prctl", 22), Verdict::Errno(22));
        assert_eq!(verdict("prctl", 65), Verdict::Errno(22));
        assert_eq!(verdict("prctl", 38), Verdict::Errno(1));
        assert_eq!(verdict("prctl", 4), Verdict::Allow);
        assert_eq!(verdict("close", 22), Verdict::Errno(524));
        assert_eq!(verdict("clone", 0x1100_0011), Verdict::Kill);
        assert_eq!(verdict("clone", 0x11), Verdict::Allow);
        assert_eq!(verdict("read", 22), Verdict::Allow);
        // The others are 7.
        assert_eq!(verdict("write", 8), Verdict::Allow);
    }
}
