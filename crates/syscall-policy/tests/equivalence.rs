//! Filters do what policies say: for all roles, all architectures, all numbers and all arguments.

#[path = "support/roles.rs"]
mod roles;

use std::io::Write as _;
use syscall_policy::{Arch, Class, Data, Instruction, Policy, Refuted, compile, interpret, prove};

#[test]
fn every_role_on_every_architecture() {
    let (mut cells, mut longest, mut steps) = (0, 0, 0);
    for arch in Arch::ALL {
        for (name, policy) in roles::all() {
            let filter = compile(&policy, arch);
            let proof = prove(&policy, arch, &filter).unwrap_or_else(|refuted| panic!("{name} on {arch}: {refuted}"));
            cells += proof.cells;
            longest = longest.max(filter.len());
            steps = steps.max(proof.most_steps);
        }
    }
    say(&format!(
        "{cells} cells for {} policies on {} architectures; the longest filter has {longest} instructions, \
         the most instructions for one call are {steps}",
        roles::all().len(),
        Arch::ALL.len()
    ));
    assert!(cells > 250_000, "the space was cut into {cells} cells only");
}

#[test]
fn plain_allowed_calls_are_kept_by_the_kernel() {
    for (name, policy) in roles::all() {
        let filter = compile(&policy, Arch::X86_64);
        let kept: Vec<_> = Arch::X86_64
            .table()
            .iter()
            .filter(|(_, number)| interpret::always_allowed(&filter, Arch::X86_64.token(), *number))
            .map(|(name, _)| name)
            .collect();
        // By name, so that a rule on a call that needs none would show.
        for needed in ["read", "write", "poll", "clock_gettime", "exit_group"] {
            assert_eq!(kept.contains(&needed), !name.starts_with("nothing"), "{needed} for {name}: {kept:?}");
        }
        assert!(!kept.contains(&"mmap"));
        assert!(!interpret::always_allowed(&filter, Arch::I386.token(), 3));
    }
}

#[test]
fn a_sealed_workers_filter_is_small_and_its_calls_are_quick() {
    let (_, policy) = roles::all().swap_remove(0);
    let filter = compile(&policy, Arch::X86_64);
    assert!(filter.len() < 350, "{} instructions", filter.len());
    let coarse = compile(&policy.coarse(), Arch::X86_64);
    say(&format!("{} instructions for a worker, {} in the smaller form", filter.len(), coarse.len()));
    assert!(coarse.len() < filter.len() * 9 / 10, "{} instructions", coarse.len());
    for name in ["read", "write", "poll"] {
        let call = Data {
            nr: Arch::X86_64.number(name).unwrap(),
            arch: Arch::X86_64.token(),
            instruction_pointer: 0,
            args: [0; 6],
        };
        let outcome = interpret::run(&filter, Arch::X86_64, &call).unwrap();
        assert!(outcome.steps <= 10, "{name} takes {} steps", outcome.steps);
    }
}

/// A proof that cannot fail proves nothing: every change of a single jump, constant or answer is found out, but for
/// those that make no difference.
#[test]
fn a_wrong_filter_is_found_out() {
    let policy = Policy::new([Class::ReadHeld, Class::Memory, Class::ProcessSettings, Class::OwnId]);
    let arch = Arch::Aarch64;
    let filter = compile(&policy, arch);
    let mut found = 0;
    let mut alive = Vec::new();
    for at in 0..filter.len() {
        for change in changes(filter[at]) {
            let mut wrong = filter.clone();
            wrong[at] = change;
            match prove(&policy, arch, &wrong) {
                Ok(_) => alive.push((at, filter[at], change)),
                Err(Refuted::Invalid(_) | Refuted::Differs { .. } | Refuted::NotKept(_) | Refuted::Undecided(_)) => {
                    found += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    say(&format!("{found} wrong filters found out, {} make no difference", alive.len()));
    assert!(alive.len() * 20 < found, "{alive:#?}");
}

fn changes(instruction: Instruction) -> Vec<Instruction> {
    let Instruction { code, jt, jf, k } = instruction;
    let mut all = vec![Instruction { k: k ^ 1, ..instruction }, Instruction { k: k.wrapping_add(4), ..instruction }];
    if jt != jf {
        all.push(Instruction { jt: jf, jf: jt, ..instruction });
        all.push(Instruction { jt, jf: jt, code, k });
    }
    all
}

/// Figures are shown whether or not the test fails.
fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").expect("standard output takes what is written");
}
