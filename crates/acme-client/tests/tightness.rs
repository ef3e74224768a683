//! How tight the filters of the roles are, in numbers, beside those of others.
//!
//! `cargo test -p acme-client --test tightness -- --nocapture` prints all of it. `docs/tightness.md` holds what is
//! printed; with `ACME_TEST_WRITE_DOCS=1` it is written there instead of compared.

#![expect(clippy::print_stdout, reason = "the numbers are what one wants to see")]

#[path = "../../syscall-policy/tests/support/client.rs"]
mod client;
#[path = "common/document.rs"]
mod document;
#[path = "common/policies.rs"]
mod policies;
#[path = "tightness/scores.rs"]
mod scores;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use syscall_policy::{Arch, Class, calls, compile, prove};

use policies::Role;
use scores::{Corpus, Filter, Peer, Score};

/// The architectures that are shown. All others are in `acme-client sandbox policy`.
const SHOWN: [Arch; 6] = [Arch::X86_64, Arch::Aarch64, Arch::I386, Arch::Arm, Arch::Riscv64, Arch::S390x];

/// Figures of others that were counted in their sources in 2026, and whose lists are not kept here: later versions of those
/// above, and one that has no list of its own. By architecture, in the order of those shown.
const QUOTED: [(&str, [&str; SHOWN.len()]); 5] = [
    ("OpenSSH of August 2026, the same", ["35", "32", "46", "42", "33", "37"]),
    ("systemd 255, `@system-service`", ["302", "262", "364", "350", "–", "–"]),
    ("Docker of June 2026, default", ["309", "267", "359", "353", "–", "–"]),
    ("Firecracker of 2026, machine", ["50", "50", "–", "–", "–", "–"]),
    ("pledge(\"stdio\") on Linux (jart/pledge)", ["121", "–", "–", "–", "–", "–"]),
];

#[test]
fn the_roles_are_as_tight_as_the_document_says() {
    let roles = policies::roles();
    let peers = Peer::all();
    let filters: Vec<(String, Filter)> = roles
        .iter()
        .map(|role| (role.name.clone(), Filter::Ours(role.policy.clone())))
        .chain(peers.into_iter().map(|peer| (peer.name.to_owned(), Filter::Theirs(peer))))
        .collect();
    let corpus = Corpus::read();
    let scores: Vec<(&str, Score)> =
        filters.iter().map(|(name, filter)| (name.as_str(), corpus.score(filter))).collect();
    let text = format!("{}\n{}\n{}", counts(&filters), attacks(&corpus, &scores), classes(&roles));
    println!("{text}");

    for (name, score) in &scores[..roles.len()] {
        assert_eq!(
            score.rop.with_arguments,
            corpus.rop.len(),
            "{name}: a payload of return-oriented programming works"
        );
        assert!(
            score.cves.with_arguments <= 3,
            "{name}: {} flaws of the kernel are in reach",
            score.cves.with_arguments
        );
        // By name alone dial reaches more, since it sets an option of its sockets, and the supervisor, which waits.
        let most = match *name {
            "dial" => 9,
            "supervisor" => 5,
            _ => 4,
        };
        assert!(score.cves.by_name <= most, "{name}: {}", score.cves.by_name);
    }
    document::holds("tightness.md", &text);
}

/// The proof that is for every combination of promises elsewhere, for those that are in use on every architecture.
#[test]
fn the_filter_of_each_role_is_proved_on_every_architecture() {
    for role in policies::roles() {
        for arch in Arch::ALL {
            let filter = compile(&role.policy, arch);
            if let Err(refuted) = prove(&role.policy, arch, &filter) {
                panic!("{} on {arch}: {refuted}", role.name);
            }
        }
    }
}

/// What filters are compared with libseccomp's for, and measured, are the filters of the roles.
#[test]
fn the_policies_that_are_measured_are_those_of_the_roles() {
    let roles = policies::roles();
    for (name, measured) in client::roles(policies::ITS_NUMBER) {
        let role = roles.iter().find(|role| role.name == name).unwrap_or_else(|| panic!("there is no role {name}"));
        for arch in Arch::ALL {
            assert_eq!(compile(&measured, arch), compile(&role.policy, arch), "{name} on {arch}");
        }
    }
}

/// Calls allowed, all of them or for some arguments, by architecture.
fn counts(filters: &[(String, Filter)]) -> String {
    let mut text = format!("| calls allowed | {} |\n", SHOWN.map(|arch| arch.name()).join(" | "));
    writeln!(text, "|---|{}", "--:|".repeat(SHOWN.len())).expect("text");
    for (name, filter) in filters {
        let counted = SHOWN.map(|arch| match filter {
            Filter::Theirs(peer) if peer.x86_only && arch != Arch::X86_64 => "–".to_owned(),
            _ => filter.count(arch).to_string(),
        });
        writeln!(text, "| {name} | {} |", counted.join(" | ")).expect("text");
    }
    for (name, counted) in QUOTED {
        writeln!(text, "| *{name}* | {} |", counted.join(" | ")).expect("text");
    }
    text
}

/// Attacks broken and flaws in reach, on x86_64.
fn attacks(corpus: &Corpus, scores: &[(&str, Score)]) -> String {
    let (rop, cves) = (corpus.rop.len(), corpus.cves.len());
    let mut text = format!(
        "| on x86_64 | ROP payloads broken, of {rop}: by name | with arguments | kernel CVEs in reach, of {cves}: by name | \
         with arguments | shellcodes broken, of {} |\n|---|--:|--:|--:|--:|--:|\n",
        corpus.shellcodes.len(),
    );
    for (name, Score { rop, cves, shellcodes }) in scores {
        writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {shellcodes} |",
            rop.by_name, rop.with_arguments, cves.by_name, cves.with_arguments
        )
        .expect("text");
    }
    text
}

/// The powers of each role: what a list of calls does not show.
fn classes(roles: &[Role]) -> String {
    let of = |role: &Role| -> BTreeSet<Class> {
        let granted = role.policy.allowed(Arch::X86_64).into_iter().filter_map(|name| Some(calls::call(name)?.class));
        granted.collect()
    };
    let shared = roles.iter().map(of).reduce(|some, other| &some & &other).expect("roles");
    let names = |classes: &BTreeSet<Class>| {
        let names: Vec<String> = classes.iter().map(|class| format!("`{class}`")).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    };
    let mut text = format!("| role | classes, of {} | beside those that all have |\n|---|--:|---|\n", Class::ALL.len());
    for role in roles {
        let granted = of(role);
        writeln!(text, "| {} | {} | {} |", role.name, granted.len(), names(&(&granted - &shared))).expect("text");
    }
    let sum: usize = roles.iter().map(|role| of(role).len()).sum();
    let all = roles.iter().map(of).reduce(|some, other| &some | &other).expect("roles");
    writeln!(text, "| all together | {sum}, {} different ones | all have {} |", all.len(), names(&shared))
        .expect("text");
    text
}
