//! Random policies with random rules, on random architectures: the filter passes the kernel's checks, is proved to do what
//! the policy says, and does so for calls that the proof's cells did not choose.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use syscall_policy::{
    Arch, Class, Condition, Data, Decision, Errno, Policy, Rule, Soft, compile, disassemble, interpret, prove,
};

fuzz_target!(|bytes: &[u8]| {
    // Bytes that run out leave the rest of the policy as it is.
    let _ = attempt(&mut Unstructured::new(bytes));
});

fn attempt(input: &mut Unstructured<'_>) -> Result<()> {
    let arch = *input.choose(&Arch::ALL)?;
    let policy = policy(input, arch)?;
    let filter = compile(&policy, arch);
    interpret::check(&filter).unwrap_or_else(|invalid| panic!("{invalid}: {policy:?} on {arch}"));
    if let Err(refuted) = prove(&policy, arch, &filter) {
        panic!("{refuted}: {policy:?} on {arch}\n{}", disassemble(&filter, arch));
    }
    for _ in 0..16 {
        let known = arch.table().get(input.int_in_range(0..=arch.table().len())?);
        let nr = known.map_or_else(|| input.arbitrary(), |(_, number)| Ok(number))?;
        let token = if input.ratio(7_u8, 8)? { arch.token() } else { input.arbitrary()? };
        let data = Data { nr, arch: token, instruction_pointer: input.arbitrary()?, args: input.arbitrary()? };
        let outcome = interpret::run(&filter, arch, &data).expect("it was checked");
        assert_eq!(outcome.verdict, policy.verdict_on(arch, &data), "{data:x?}: {policy:?} on {arch}");
        if interpret::always_allowed(&filter, token, nr) {
            assert_eq!(outcome.verdict, syscall_policy::Verdict::Allow, "{data:x?}: {policy:?} on {arch}");
        }
    }
    Ok(())
}

fn policy(input: &mut Unstructured<'_>, arch: Arch) -> Result<Policy> {
    let granted: u128 = input.arbitrary()?;
    let classes = Class::ALL.iter().enumerate().filter(|(bit, _)| granted >> bit & 1 == 1).map(|(_, class)| *class);
    let mut policy = if input.ratio(1_u8, 8)? { Policy::taking(classes) } else { Policy::new(classes) };
    policy = policy.for_process(input.arbitrary()?).softly(match input.int_in_range(0..=7)? {
        0 => Soft::Notify,
        1 => Soft::Trap { except: vec!["read", "openat"] },
        2 => Soft::Allow,
        _ => Soft::Errno,
    });
    if input.arbitrary()? {
        policy = policy.coarse();
    }
    for _ in 0..input.int_in_range(0..=5)? {
        let at = input.choose_index(arch.table().len())?;
        if let Some((name, _)) = arch.table().get(at) {
            policy = policy.with_rule(name, rule(input)?);
        }
    }
    Ok(policy)
}

/// Few and small enough for the cells of the proof not to be millions.
fn rule(input: &mut Unstructured<'_>) -> Result<Rule> {
    let mut rule = Rule::otherwise(decision(input)?);
    for _ in 0..input.int_in_range(0..=2)? {
        let mut conditions = Vec::new();
        for _ in 0..input.int_in_range(0..=2)? {
            conditions.push(condition(input)?);
        }
        rule = rule.arm(decision(input)?, conditions);
    }
    Ok(rule)
}

fn decision(input: &mut Unstructured<'_>) -> Result<Decision> {
    Ok(match input.int_in_range(0..=5)? {
        0 | 1 => Decision::Allow,
        2 => Decision::Kill,
        3 => Decision::Notify,
        4 => Decision::Trap,
        _ => Decision::Refuse(*input.choose(&Errno::ALL)?),
    })
}

fn condition(input: &mut Unstructured<'_>) -> Result<Condition> {
    let argument = input.int_in_range(0..=5)?;
    let count = input.int_in_range(0..=2)?;
    if input.arbitrary()? {
        let mask = if input.ratio(1_u8, 4)? { input.arbitrary()? } else { *input.choose(&[u32::MAX, 0, 1, 0xff00])? };
        let values = (0..count).map(|_| Ok(input.arbitrary::<u32>()? & mask)).collect::<Result<Vec<u32>>>()?;
        Ok(Condition::low(argument, mask, &values))
    } else {
        let mask = *input.choose(&[u64::MAX, 0, 1 << 32, 0xffff_ffff, 0xffff_ffff_0000_0000])?;
        let values = (0..count).map(|_| input.arbitrary()).collect::<Result<Vec<u64>>>()?;
        Ok(Condition::full(argument, mask, &values))
    }
}
