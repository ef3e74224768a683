//! The same policy through libseccomp, on every architecture that both have.

use std::collections::{BTreeMap, BTreeSet};

use syscall_policy::{Arch, Difference, Instruction, Policy, Verdict, compare, compile, disassemble, prove};

use crate::said::{sayable, text};
use crate::{SHARED, Scratch, answer, client, compiled, from_bytes, own, random, say};

/// What libseccomp said of a program: its instructions, and the calls it could not be told of.
struct Theirs {
    program: Vec<Instruction>,
    untold: BTreeMap<String, String>,
}

/// Has libseccomp compile all of these.
fn built(scratch: &Scratch, policies: &[(String, Arch, Policy)], optimize: u32) -> Vec<Theirs> {
    let builder = compiled(scratch, &own("libseccomp.c"), &["-lseccomp"]);
    let file = |at: usize| scratch.file(&format!("{at}.bpf"));
    let input = policies.iter().enumerate().map(|(at, (_, arch, policy))| text(policy, *arch, &file(at), optimize));
    let said = answer(&builder, &[], input.collect());
    let mut untold = BTreeMap::new();
    let mut all = Vec::new();
    for line in said.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["end", _] => {
                let bytes = std::fs::read(file(all.len())).expect("the program that it wrote");
                let arch = policies[all.len()].1;
                let program = mended(from_bytes(&bytes, arch), arch);
                all.push(Theirs { program, untold: std::mem::take(&mut untold) });
            }
            [how, name, ..] => {
                assert_ne!(how, "refused", "libseccomp on {}: {line}", policies[all.len()].0);
                untold.insert(name.to_owned(), line.to_owned());
            }
            _ => panic!("libseccomp said {line:?}"),
        }
    }
    assert_eq!(all.len(), policies.len(), "libseccomp ended early");
    all
}

/// libseccomp (2.5.4, `gen_bpf.c`) swaps the bytes of a verdict once too often where it repeats a `RET` to keep it within
/// a jump's reach, and the filter is for a machine of another byte order than the one it is made on.
fn mended(mut program: Vec<Instruction>, arch: Arch) -> Vec<Instruction> {
    const RETURN: u16 = 0x06;
    const VERDICTS: [u32; 3] = [0x7fff_0000, 0x8000_0000, 0x0005_0000];
    let foreign = arch.little_endian() != cfg!(target_endian = "little");
    for instruction in program.iter_mut().filter(|instruction| foreign && instruction.code == RETURN) {
        if !VERDICTS.contains(&(instruction.k & 0xffff_0000)) {
            instruction.k = instruction.k.swap_bytes();
        }
    }
    program
}

/// Why filters may differ on a call.
fn excuse(arch: Arch, untold: &BTreeMap<String, String>, difference: &Difference) -> Option<&'static str> {
    let nr = difference.call.nr;
    let name = arch.name_of(nr).unwrap_or_default();
    let to_default = difference.right == Verdict::Errno(syscall_policy::Errno::NoSuchCall.number(arch));
    if difference.call.arch != arch.token() {
        return None;
    }
    if arch == Arch::X86_64 && nr >= 0x4000_0000 && difference.right == Verdict::Kill {
        return Some("numbers of x32: it ends the process as for another architecture, where ours says ENOSYS");
    }
    if matches!(name, "socketcall" | "ipc") {
        return Some("socketcall and ipc: it adds rules for them of its own accord, where ours has its own rule");
    }
    if name == "sys_debug_setcontext" && to_default {
        return Some("sys_debug_setcontext: it has the number, and ignores rules about it");
    }
    (untold.contains_key(name) && to_default).then_some("calls that its table does not have, or by another number")
}

fn agree(what: &str, policies: &[(String, Arch, Policy)], optimize: u32) {
    let scratch = Scratch::new(&format!("libseccomp-{what}-{optimize}"));
    let (mut cells, mut excused) = (0, BTreeMap::<&str, usize>::new());
    let (mut lengths, mut wrong) = ((0, 0), Vec::new());
    let mut untold = BTreeMap::<_, BTreeSet<_>>::new();
    for ((name, arch, policy), theirs) in policies.iter().zip(built(&scratch, policies, optimize)) {
        let ours = compile(policy, *arch);
        prove(policy, *arch, &ours).unwrap_or_else(|refuted| panic!("{name} on {arch}: {refuted}"));
        let comparison = compare(*arch, &ours, &theirs.program);
        let comparison = comparison
            .unwrap_or_else(|refuted| panic!("{name} on {arch}: {refuted}\n{}", disassemble(&theirs.program, *arch)));
        cells += comparison.cells;
        lengths = (lengths.0 + ours.len(), lengths.1 + theirs.program.len());
        for line in theirs.untold.values() {
            untold.entry(line.clone()).or_default().insert(*arch);
        }
        for difference in &comparison.differences {
            match excuse(*arch, &theirs.untold, difference) {
                Some(why) => *excused.entry(why).or_default() += 1,
                None => wrong.push(format!("{name} on {arch}: {:?} {difference:x?}", arch.name_of(difference.call.nr))),
            }
        }
    }
    say(&format!(
        "{what}, level {optimize}: {cells} cells of {} policies on {} architectures; our programs have {} instructions, \
         libseccomp's {}",
        policies.len(),
        SHARED.len(),
        lengths.0,
        lengths.1,
    ));
    for (why, count) in excused {
        say(&format!("  {count} cells, {why}"));
    }
    for (line, archs) in untold {
        say(&format!("  not told on {} architectures: {line}", archs.len()));
    }
    assert!(wrong.is_empty(), "{} cells differ:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

#[test]
#[ignore = "needs libseccomp-dev and a C compiler: .ci/oracles"]
fn the_roles_filters_agree_with_libseccomps() {
    let policies: Vec<_> = SHARED
        .iter()
        .flat_map(|arch| client::roles(4711).into_iter().map(|(name, policy)| (name, *arch, policy)))
        .flat_map(|(name, arch, policy)| {
            [(format!("{name}, coarse"), policy.clone().coarse()), (name.to_owned(), policy)]
                .map(|(name, policy)| (name, arch, sayable(&policy, arch)))
        })
        .collect();
    for optimize in [1, 2] {
        agree("roles", &policies, optimize);
    }
}

#[test]
#[ignore = "needs libseccomp-dev and a C compiler: .ci/oracles"]
fn filters_of_random_policies_agree_with_libseccomps() {
    let mut numbers = random::Numbers::new(20_261_125);
    let policies: Vec<_> = (0..SHARED.len() * 20)
        .map(|at| {
            let arch = SHARED[at % SHARED.len()];
            (format!("random {at}"), arch, sayable(&random::policy(&mut numbers, arch), arch))
        })
        .collect();
    for optimize in [1, 2] {
        agree("random", &policies, optimize);
    }
}
