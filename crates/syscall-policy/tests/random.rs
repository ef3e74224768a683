//! Filters do what policies say, also policies nobody thought of.

use proptest::prelude::*;
use syscall_policy::{
    Arch, Class, Condition, Data, Decision, Errno, Policy, Rule, compile, disassemble, interpret, prove,
};

fn decision() -> impl Strategy<Value = Decision> {
    prop_oneof![
        Just(Decision::Allow),
        Just(Decision::Kill),
        (0..Errno::ALL.len()).prop_map(|at| Decision::Refuse(Errno::ALL[at])),
    ]
}

/// Masks and values that overlap, so that blocks of bits are cut in odd ways.
fn condition() -> impl Strategy<Value = Condition> {
    let word = prop_oneof![Just(u32::MAX), Just(0), 0..64_u32, any::<u32>(), Just(0x8000_0000)];
    let values = prop::collection::vec(prop_oneof![0..8_u32, any::<u32>()], 0..4);
    (0..6_u8, any::<bool>(), word.clone(), word, values).prop_map(|(argument, full, mask, high, values)| {
        if full {
            let values: Vec<_> = values.iter().map(|value| u64::from(*value) << 16 | u64::from(value & 3)).collect();
            Condition::full(argument, u64::from(high) << 32 | u64::from(mask), &values)
        } else {
            Condition::low(argument, mask, &values)
        }
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let arms = prop::collection::vec((decision(), prop::collection::vec(condition(), 0..3)), 0..3);
    (decision(), arms).prop_map(|(otherwise, arms)| {
        arms.into_iter().fold(Rule::otherwise(otherwise), |rule, (then, when)| rule.arm(then, when))
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    const NAMES: [&str; 6] = ["read", "openat", "ioctl", "sendmsg", "getpid", "execve"];
    let rules = prop::collection::vec((0..NAMES.len(), rule()), 0..3);
    (prop::collection::vec(any::<bool>(), Class::ALL.len()), any::<u32>(), any::<bool>(), rules).prop_map(
        |(granted, pid, coarse, rules)| {
            let classes = Class::ALL.iter().zip(granted).filter(|(_, granted)| *granted).map(|(class, _)| *class);
            let policy = Policy::new(classes).for_process(pid);
            let policy = if coarse { policy.coarse() } else { policy };
            rules.into_iter().fold(policy, |policy, (at, rule)| policy.with_rule(NAMES[at], rule))
        },
    )
}

fn arch() -> impl Strategy<Value = Arch> {
    (0..Arch::ALL.len()).prop_map(|at| Arch::ALL[at])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_policies_are_proved(policy in policy(), arch in arch()) {
        let filter = compile(&policy, arch);
        if let Err(refuted) = prove(&policy, arch, &filter) {
            panic!("{refuted}\n{}", disassemble(&filter, arch));
        }
    }

    /// The proof's own cells are not the only calls there are.
    #[test]
    fn random_calls_get_the_policys_verdict(
        policy in policy(),
        arch in arch(),
        calls in prop::collection::vec((0..1000_usize, any::<[u64; 6]>(), any::<bool>()), 200),
    ) {
        let filter = compile(&policy, arch);
        for (at, args, small) in calls {
            let nr = arch.table().get(at).map_or_else(|| u32::try_from(at).unwrap(), |(_, nr)| nr);
            let args = if small { args.map(|value| value & 0x0000_0001_0000_0007) } else { args };
            let data = Data { nr, arch: arch.token(), instruction_pointer: 1, args };
            prop_assert_eq!(interpret::run(&filter, arch, &data).unwrap().verdict, policy.verdict_on(arch, &data));
        }
    }
}
