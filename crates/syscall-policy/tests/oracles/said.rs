//! Policies as libseccomp can be told them.
//!
//! It has no "otherwise" for a single call: whatever no rule of a call is about gets the default of the whole filter.
//! And where two rules of a call hold, which one decides is not for its user to say. So a policy is first made sayable:
//! what is not allowed by a rule is answered with the default, `ENOSYS`. Both compilers then get the same policy.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use syscall_policy::{Answer, Arch, Condition, Decision, Errno, Policy, Rule, Verdict, Width};

/// The default.
pub(crate) const DEFAULT: Decision = Decision::Refuse(Errno::NoSuchCall);

/// The policy with rules that can be said: what they allow, and the default for the rest.
pub(crate) fn sayable(policy: &Policy, arch: Arch) -> Policy {
    arch.table().iter().fold(policy.clone(), |sayable, (name, _)| match policy.answer(arch, name) {
        Answer::Checked(rule) => {
            let allows = rule.arms().iter().filter(|arm| arm.decision() == Decision::Allow);
            let rule = allows.fold(Rule::otherwise(DEFAULT), |rule, arm| rule.allow(arm.conditions()));
            sayable.with_rule(name, rule)
        }
        Answer::Always(_) => sayable,
    })
}

/// The policy as text for `libseccomp.c`.
pub(crate) fn text(policy: &Policy, arch: Arch, file: &str, optimize: u32) -> String {
    let mut text = format!("program {file} {:x} {:x} {optimize}\n", arch.token(), action(DEFAULT, arch));
    for (name, number) in arch.table().iter() {
        match policy.answer(arch, name) {
            Answer::Always(decision) => add(&mut text, arch, (name, number), decision, &BTreeMap::new()),
            Answer::Checked(rule) => {
                for arm in rule.arms() {
                    for comparisons in alternatives(arm.conditions(), arch) {
                        add(&mut text, arch, (name, number), arm.decision(), &comparisons);
                    }
                }
                // Only what is withheld has another: `clone` as a way into name spaces, which ends the process.
                if rule.default_decision() != DEFAULT {
                    for comparisons in others(&rule) {
                        add(&mut text, arch, (name, number), rule.default_decision(), &comparisons);
                    }
                }
            }
        }
    }
    text.push_str("end\n");
    text
}

/// By argument: the bits that are compared, and what they are to be.
type Comparisons = BTreeMap<u8, (u64, u64)>;

fn add(text: &mut String, arch: Arch, (name, number): (&str, u32), decision: Decision, comparisons: &Comparisons) {
    // A rule that says what the default says is an error to the library.
    if decision == DEFAULT {
        return;
    }
    let _ = write!(text, "rule {name} {number} {:x} {}", action(decision, arch), comparisons.len());
    for (argument, (mask, value)) in comparisons {
        let _ = write!(text, " {argument} {mask:x} {value:x}");
    }
    text.push('\n');
}

/// All ways in which the conditions can hold: one value for each, and no argument compared twice.
///
/// Where registers have 32 bits the library does not look at the rest, which is 0.
fn alternatives(conditions: &[Condition], arch: Arch) -> Vec<Comparisons> {
    let bits = if arch.is_64_bit() { u64::MAX } else { 0xffff_ffff };
    conditions.iter().fold(vec![Comparisons::new()], |ways, condition| {
        let with = |way: &Comparisons, value: u64| {
            (value & !bits == 0).then(|| joined(way, condition.argument(), seen(condition) & bits, value))?
        };
        ways.iter().flat_map(|way| condition.values().iter().filter_map(|value| with(way, *value))).collect()
    })
}

/// With one more equation, if it can hold together with the others.
fn joined(way: &Comparisons, argument: u8, mask: u64, value: u64) -> Option<Comparisons> {
    let (before, is) = way.get(&argument).copied().unwrap_or_default();
    if value & !mask != 0 || (value ^ is) & mask & before != 0 {
        return None;
    }
    let mut way = way.clone();
    way.insert(argument, (mask | before, value | is));
    Some(way)
}

/// The bits of an argument that a condition looks at.
fn seen(condition: &Condition) -> u64 {
    match condition.width() {
        Width::Low => condition.mask() & 0xffff_ffff,
        Width::Full => condition.mask(),
    }
}

/// The ways in which the one equation of the one arm does not hold: bit by bit.
fn others(rule: &Rule) -> Vec<Comparisons> {
    let [arm] = rule.arms() else { panic!("{rule:?} has more than one arm") };
    let [condition] = arm.conditions() else { panic!("{rule:?} has more than one condition") };
    let [value] = condition.values() else { panic!("{rule:?} has more than one value") };
    let bits = (0..64).map(|bit| 1_u64 << bit).filter(|bit| seen(condition) & bit != 0);
    bits.map(|bit| Comparisons::from([(condition.argument(), (bit, !value & bit))])).collect()
}

/// `SECCOMP_RET_*`.
fn action(decision: Decision, arch: Arch) -> u32 {
    match decision.on(arch) {
        Verdict::Allow => 0x7fff_0000,
        Verdict::Errno(number) => 0x0005_0000 | u32::from(number),
        Verdict::Notify => 0x7fc0_0000,
        Verdict::Trap => 0x0003_0000,
        Verdict::Kill => 0x8000_0000,
    }
}
