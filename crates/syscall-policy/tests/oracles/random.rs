//! Random policies, of which both compilers can make a filter.

use syscall_policy::{Arch, Class, Condition, Policy, Rule};

use crate::said::DEFAULT;

/// Numbers that look random, and are the same in each run (xorshift64*, Vigna 2016).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % end
    }

    pub(crate) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// Classes by chance, and rules for a few calls.
pub(crate) fn policy(numbers: &mut Numbers, arch: Arch) -> Policy {
    let classes: Vec<Class> = Class::ALL.iter().copied().filter(|_| numbers.below(3) == 0).collect();
    let granted = Policy::new(classes).for_process(4711);
    let calls: Vec<&'static str> = arch.table().iter().map(|(name, _)| name).collect();
    (0..4).fold(granted, |policy, _| {
        let name = numbers.one_of(&calls);
        policy.with_rule(name, rule(numbers))
    })
}

/// What no condition is about gets the default of libseccomp's filter.
fn rule(numbers: &mut Numbers) -> Rule {
    let arms = 1 + numbers.below(3);
    (0..arms).fold(Rule::otherwise(DEFAULT), |rule, _| {
        let conditions: Vec<Condition> = (0..=numbers.below(3)).map(|_| condition(numbers)).collect();
        rule.allow(conditions)
    })
}

fn condition(numbers: &mut Numbers) -> Condition {
    let argument = numbers.one_of(&[0, 1, 2, 5]);
    let count = 1 + numbers.below(3);
    if numbers.below(2) == 0 {
        let mask = numbers.one_of(&[u32::MAX, 0xff, 1, 0x8000_0000, 0x7e02_0000]);
        let values: Vec<u32> = (0..count).map(|_| numbers.one_of(&[0, 1, 7, 0x200, u32::MAX]) & mask).collect();
        Condition::low(argument, mask, &values)
    } else {
        let mask = numbers.one_of(&[u64::MAX, 0xffff_ffff_0000_0000, 0x1_0000_0001, 0xffff_ffff]);
        let values: Vec<u64> =
            (0..count).map(|_| numbers.one_of(&[0, 1, 1 << 32, 5 << 32 | 5, u64::MAX]) & mask).collect();
        Condition::full(argument, mask, &values)
    }
}
