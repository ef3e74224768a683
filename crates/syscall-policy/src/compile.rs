//! From a policy to a filter.
//!
//! The filter checks the entry's architecture, then finds the number in a tree of comparisons in which calls that
//! sealed processes make most are near the root, and only then looks at arguments. So a call that is allowed whatever
//! its arguments are is decided from architecture and number alone, and the kernel can keep the answer.
//!
//! Code is laid out from its end: a target is always there before the jump to it, and jumps of classic BPF only go
//! forward. What is out of a jump's reach (255 instructions) gets a copy nearby, or a longer jump.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::arch::Arch;
use crate::bpf::{self, Half, Instruction, argument_offset, high_half, low_half};
use crate::policy::{Answer, Policy, Verdict};
use crate::rule::{Arm, Condition, Decision, Rule, Width};

/// Compiles a policy for calls made by way of `arch`.
///
/// The result passes the kernel's checks ([`check`](crate::interpret::check)) unless rules of the caller's own make it
/// longer than [`MAX_INSTRUCTIONS`](crate::bpf::MAX_INSTRUCTIONS).
#[must_use]
pub fn compile(policy: &Policy, arch: Arch) -> Vec<Instruction> {
    let mut code = Code::new(arch);
    let ranges = ranges(policy, arch);
    let root = code.tree(&ranges);
    code.fall_to(root);
    code.push(bpf::LOAD, 0, 0, bpf::NUMBER);
    let number = code.here();
    let kill = code.verdict(Verdict::Kill);
    code.branch(bpf::EQUAL, arch.token(), number, kill);
    code.push(bpf::LOAD, 0, 0, bpf::ARCH);
    code.reversed.reverse();
    code.reversed
}

/// What happens to all numbers from `start` to the next range's start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    start: u32,
    answer: Answer,
    /// How often the range is asked for, roughly: it is to be found in fewer steps.
    weight: u32,
}

fn ranges(policy: &Policy, arch: Arch) -> Vec<Range> {
    let unknown = policy.unknown();
    let mut ranges = Vec::new();
    let mut next = 0;
    for (name, number) in arch.table().known() {
        if number > next {
            append(&mut ranges, next, unknown.clone(), 1);
        }
        let answer = policy.answer_about(arch, name);
        let weight = if answer.allows() { weight(arch, name.text()) } else { 1 };
        append(&mut ranges, number, answer, weight);
        next = number + 1;
    }
    append(&mut ranges, next, unknown, 1);
    ranges
}

fn append(ranges: &mut Vec<Range>, start: u32, answer: Answer, weight: u32) {
    match ranges.last_mut() {
        Some(last) if last.answer == answer => last.weight += weight,
        _ => ranges.push(Range { start, answer, weight }),
    }
}

/// What a sealed process spends its calls on, roughly: reading, writing and waiting, and then memory. What it may not
/// do it hardly does.
fn weight(arch: Arch, name: &str) -> u32 {
    match name {
        "read" | "write" => 512,
        "poll" => 256,
        // Where there is no other, it is how all C libraries wait.
        "ppoll" if arch.number("poll").is_none() => 256,
        "ppoll" | "ppoll_time64" => 64,
        "clock_gettime" | "clock_gettime64" | "futex" | "futex_time64" | "munmap" | "brk" | "close" => 32,
        "mmap" | "mmap2" | "recvmsg" | "sendmsg" | "recvfrom" | "sendto" => 32,
        _ => 1,
    }
}

/// A place in the code, counted from its end.
type Label = usize;

/// How far back a target may be for the next instruction to reach it; one less than a jump can do, because the other
/// target of the same instruction may need one more instruction in between.
const REACH: usize = 254;

struct Code {
    arch: Arch,
    /// The instructions so far, the last one first.
    reversed: Vec<Instruction>,
    /// The nearest `RET` of each verdict.
    returns: BTreeMap<Verdict, Label>,
    /// Where each rule starts: calls with the same rule share it.
    rules: BTreeMap<Rule, Label>,
}

impl Code {
    const fn new(arch: Arch) -> Self {
        Self { arch, reversed: Vec::new(), returns: BTreeMap::new(), rules: BTreeMap::new() }
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) {
        self.reversed.push(Instruction { code, jt, jf, k });
    }

    /// The instruction pushed last, which the next one falls through to.
    fn here(&self) -> Label {
        self.reversed.len() - 1
    }

    /// How many instructions the next one has to skip to get to a label.
    fn distance(&self, label: Label) -> usize {
        self.here() - label
    }

    /// Makes the next instruction's fall-through lead to the label.
    fn fall_to(&mut self, label: Label) {
        if label != self.here() {
            let distance = u32::try_from(self.distance(label)).unwrap_or(u32::MAX);
            self.push(bpf::JUMP, 0, 0, distance);
        }
    }

    /// A label within reach that leads to the same.
    fn near(&mut self, label: Label) -> Label {
        if self.distance(label) <= REACH {
            return label;
        }
        let target = self.reversed[label];
        if target.code == bpf::RETURN {
            self.reversed.push(target);
        } else {
            self.fall_to(label);
        }
        self.here()
    }

    fn branch(&mut self, code: u16, k: u32, holds: Label, fails: Label) {
        let holds = self.near(holds);
        let fails = self.near(fails);
        let skip = |distance: usize| u8::try_from(distance).expect("near() keeps targets within reach");
        let (jt, jf) = (skip(self.distance(holds)), skip(self.distance(fails)));
        self.push(code, jt, jf, k);
    }

    fn verdict(&mut self, verdict: Verdict) -> Label {
        if let Some(label) = self.returns.get(&verdict).filter(|label| self.distance(**label) <= REACH) {
            return *label;
        }
        self.push(bpf::RETURN, 0, 0, bpf::encode(verdict));
        let label = self.here();
        self.returns.insert(verdict, label);
        label
    }

    fn decision(&mut self, decision: Decision) -> Label {
        self.verdict(decision.on(self.arch))
    }

    /// Code that finds the range of the number in the accumulator.
    fn tree(&mut self, ranges: &[Range]) -> Label {
        match ranges {
            [] => self.verdict(Verdict::Kill),
            [only] => self.answer(&only.answer),
            _ if let Some(at) = heavy(ranges) => {
                let fails = self.tree(&without(ranges, at));
                let holds = self.answer(&ranges[at].answer);
                self.branch(bpf::EQUAL, ranges[at].start, holds, fails);
                self.here()
            }
            _ => {
                let (lower, upper) = ranges.split_at(middle(ranges));
                let holds = self.tree(upper);
                let fails = self.tree(lower);
                self.branch(bpf::AT_LEAST, upper[0].start, holds, fails);
                self.here()
            }
        }
    }

    fn answer(&mut self, answer: &Answer) -> Label {
        match answer {
            Answer::Always(decision) => self.decision(*decision),
            Answer::Checked(rule) => self.rule(rule),
        }
    }

    fn rule(&mut self, rule: &Rule) -> Label {
        if let Some(label) = self.rules.get(rule) {
            return *label;
        }
        let mut label = self.decision(rule.otherwise);
        for arm in rule.arms.iter().rev() {
            label = self.arm(arm, label);
        }
        self.rules.insert(rule.clone(), label);
        label
    }

    fn arm(&mut self, arm: &Arm, fails: Label) -> Label {
        let holds = self.decision(arm.then);
        arm.when.iter().rev().fold(holds, |holds, condition| self.condition(condition, holds, fails))
    }

    fn condition(&mut self, condition: &Condition, holds: Label, fails: Label) -> Label {
        match condition.width {
            Width::Low => {
                let values: Vec<u32> = condition.values.iter().map(|value| low_half(*value)).collect();
                self.word(condition, Half::Low, &values, holds, fails)
            }
            // One value after the other: each needs both halves.
            Width::Full => condition.values.iter().rev().fold(fails, |fails, value| {
                let low = self.word(condition, Half::Low, &[low_half(*value)], holds, fails);
                self.word(condition, Half::High, &[high_half(*value)], low, fails)
            }),
        }
    }

    /// Loads one half of an argument and compares what the mask leaves of it.
    fn word(&mut self, condition: &Condition, half: Half, values: &[u32], holds: Label, fails: Label) -> Label {
        let mut next = fails;
        for value in values.iter().rev() {
            self.branch(bpf::EQUAL, *value, holds, next);
            next = self.here();
        }
        if values.is_empty() {
            self.fall_to(fails);
        }
        let mask = match half {
            Half::Low => low_half(condition.mask),
            Half::High => high_half(condition.mask),
        };
        if mask != u32::MAX {
            self.push(bpf::AND, 0, 0, mask);
        }
        self.push(bpf::LOAD, 0, 0, argument_offset(self.arch, condition.argument, half));
        self.here()
    }
}

/// A range of a single number among others that weighs so much that it is asked for first: one comparison, where finding
/// it between its neighbours takes two.
fn heavy(ranges: &[Range]) -> Option<usize> {
    let total: u32 = ranges.iter().map(|range| range.weight).sum();
    let inner = ranges.windows(3).enumerate().filter(|(_, three)| three[2].start - three[1].start == 1);
    let (at, weight) = inner.map(|(at, three)| (at + 1, three[1].weight)).max_by_key(|(_, weight)| *weight)?;
    (3 * weight >= total || ranges.len() == 3).then_some(at)
}

/// The others: what is not that number is in the range before it, or in one with the range after it.
fn without(ranges: &[Range], at: usize) -> Vec<Range> {
    let mut rest = ranges.to_vec();
    rest.remove(at);
    if rest[at - 1].answer == rest[at].answer {
        rest[at - 1].weight += rest[at].weight;
        rest.remove(at);
    }
    rest
}

/// Where to cut so that both sides weigh about the same: from 1 to one less than the number of ranges.
fn middle(ranges: &[Range]) -> usize {
    let total: u32 = ranges.iter().map(|range| range.weight).sum();
    let mut before = 0;
    let best = ranges[..ranges.len() - 1].iter().enumerate().min_by_key(|(_, range)| {
        before += range.weight;
        (2 * before).abs_diff(total)
    });
    best.map_or(1, |(at, _)| at + 1)
}
