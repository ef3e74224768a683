//! What becomes of softly refused calls is one thing, what is refused another: errno, notification, trap and nothing at all
//! are the same policy.

#[path = "support/roles.rs"]
mod roles;

use syscall_policy::{Answer, Arch, Class, Decision, Policy, Soft, Verdict, compile, prove};

/// Arguments that tell the arms of rules apart, well enough to compare policies with themselves.
const ARGS: [[u64; 6]; 6] = [
    [0; 6],
    [1; 6],
    [3; 6],
    [16; 6],
    [0x10, 0x5401, 4, 0, 0, 0],
    [u64::MAX, 0xffff_ffff_c050_2100, 0x0100_0000, 0x241, 0, 0],
];

/// One of each kind: 32 and 64 bits, either byte order, with and without multiplexers.
const ARCHES: [Arch; 5] = [Arch::X86_64, Arch::I386, Arch::Arm, Arch::S390x, Arch::Mips];

fn modes() -> [Soft; 3] {
    [Soft::Notify, Soft::Trap { except: vec!["openat", "prctl", "futex"] }, Soft::Allow]
}

fn is_timer(call: &str) -> bool {
    syscall_policy::calls::call(call).is_some_and(|call| call.class == Class::Timers)
}

/// What ends a process ends it, however little else is left of the policy.
#[test]
fn nothing_makes_hard_calls_soft() {
    for arch in Arch::ALL {
        let number = arch.number("ptrace").unwrap();
        for policy in [Policy::new([]), Policy::new([]).coarse()] {
            let left = policy.softly(Soft::Allow);
            assert_eq!(left.verdict(arch, number, &[0; 6]), Verdict::Kill, "{arch}");
        }
    }
}

#[test]
fn filters_of_all_modes_do_what_the_policy_says() {
    for arch in ARCHES {
        for (name, policy) in roles::all().into_iter().step_by(2) {
            for soft in modes() {
                let policy = policy.clone().softly(soft.clone());
                let filter = compile(&policy, arch);
                let proof = prove(&policy, arch, &filter);
                assert!(proof.is_ok(), "{name} on {arch}, {soft:?}: {}", proof.unwrap_err());
            }
        }
    }
}

#[test]
fn what_is_made_and_what_ends_the_process_is_the_same_in_all_modes() {
    for arch in ARCHES {
        for (name, policy) in roles::all().into_iter().step_by(3) {
            for soft in modes() {
                if soft == Soft::Allow && name.ends_with("coarse") {
                    // Where nothing is refused there is nothing to be answered alike: it is the other policy.
                    continue;
                }
                let other = policy.clone().softly(soft.clone());
                let numbers = arch.table().iter().map(|(_, number)| number).chain([9_999, 0x4000_0000]);
                for (number, args) in numbers.flat_map(|number| ARGS.iter().map(move |args| (number, args))) {
                    let plain = policy.verdict(arch, number, args);
                    let call = arch.name_of(number).unwrap_or("unknown");
                    let expected = match (plain, &soft) {
                        (Verdict::Allow | Verdict::Kill, _) => plain,
                        (_, Soft::Notify) => Verdict::Notify,
                        (_, Soft::Trap { except }) if except.contains(&call) => plain,
                        (_, Soft::Trap { .. }) => Verdict::Trap,
                        // Refused all the same, whichever error says so.
                        (_, Soft::Allow) if call == "clone3" || is_timer(call) => {
                            assert!(matches!(other.verdict(arch, number, args), Verdict::Errno(_)), "{call} on {arch}");
                            continue;
                        }
                        (_, Soft::Allow) if call != "unknown" => Verdict::Allow,
                        _ => plain,
                    };
                    assert_eq!(other.verdict(arch, number, args), expected, "{call} for {name} on {arch}, {soft:?}");
                }
            }
        }
    }
}

/// A filter with a listener needs to be left open for the listener to be sent away and a second filter to be put on top. The
/// two together are the policy.
#[test]
fn two_filters_on_top_of_each_other_are_one_policy() {
    for arch in Arch::ALL {
        for (name, policy) in roles::all().into_iter().step_by(5) {
            let handing = [Class::SendDescriptors, Class::RestrictSelf];
            let first = handing.iter().fold(policy.clone(), |policy, class| policy.and(*class)).softly(Soft::Notify);
            let taken: Vec<_> = handing.into_iter().filter(|class| !policy.grants(*class)).collect();
            let second = Policy::taking(taken);
            for policy in [&first, &second] {
                let proof = prove(policy, arch, &compile(policy, arch));
                assert!(proof.is_ok(), "{name} on {arch}: {}", proof.unwrap_err());
            }
            let wanted = policy.softly(Soft::Notify);
            for (call, number) in arch.table().iter() {
                match (second.answer(arch, call), wanted.answer(arch, call)) {
                    (Answer::Always(Decision::Allow), wanted) => assert_eq!(first.answer(arch, call), wanted, "{call}"),
                    (Answer::Always(Decision::Refuse(_)), Answer::Always(Decision::Notify | Decision::Refuse(_))) => {}
                    (second, wanted) => {
                        assert_eq!(call, "socketcall", "{name} on {arch}: {second:?} and {wanted:?}");
                        for sub in 0..40 {
                            let args = [sub, 0, 0, 0, 0, 0];
                            let made = wanted.decide(&args) == Decision::Allow;
                            let first = first.verdict(arch, number, &args) == Verdict::Allow;
                            assert_eq!(
                                first && second.decide(&args) == Decision::Allow,
                                made,
                                "{call} {sub} on {arch}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn only_who_holds_a_listener_may_ask_it() {
    for request in [0xc050_2100, 0xc018_2101] {
        for arch in Arch::ALL {
            let number = arch.number("ioctl").unwrap();
            let args = [7, request, 0, 0, 0, 0];
            let without = Policy::new([Class::Ioctl]);
            assert!(matches!(without.verdict(arch, number, &args), Verdict::Errno(_)), "{arch}");
            assert_eq!(without.and(Class::Notifications).verdict(arch, number, &args), Verdict::Allow, "{arch}");
        }
    }
}

/// A class taken back is as one never granted, also one that follows from others.
#[test]
fn what_is_taken_back_is_not_granted() {
    for class in Class::ALL.iter().copied() {
        assert_eq!(Class::named(class.name()), Some(class));
        for arch in ARCHES {
            let policy = Policy::new(Class::ALL.iter().copied()).for_process(7).without(class);
            assert!(!policy.grants(class));
            assert!(policy.clone().and(class).grants(class));
            for (name, number) in arch.table().iter() {
                let of_it = syscall_policy::calls::call(name).is_some_and(|call| call.class == class);
                let allowed = policy.verdict(arch, number, &[0; 6]) == Verdict::Allow;
                assert!(!(of_it && allowed), "{name} on {arch} without {class}");
            }
        }
    }
    let policy = Policy::new([Class::ReadPath, Class::StatHeld]).without(Class::OpenPath);
    for arch in ARCHES {
        prove(&policy, arch, &compile(&policy, arch)).unwrap();
    }
    assert_eq!(Class::named("nothing"), None);
}
