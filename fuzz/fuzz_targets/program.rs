//! Random programs: checking, running and writing them down never panics, and a second evaluator, which knows nothing but
//! bytes in memory and `struct sock_filter`, agrees with the first.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use syscall_policy::{Arch, Class, Data, Instruction, Policy, Verdict, compare, disassemble, interpret, prove};

fuzz_target!(|bytes: &[u8]| {
    let _ = attempt(&mut Unstructured::new(bytes));
});

fn attempt(input: &mut Unstructured<'_>) -> Result<()> {
    let arch = *input.choose(&Arch::ALL)?;
    let call = Data {
        nr: small(input)?,
        arch: if input.arbitrary()? { arch.token() } else { input.arbitrary()? },
        instruction_pointer: input.arbitrary()?,
        args: input.arbitrary()?,
    };
    let proved = input.ratio(1_u8, 64)?;
    let mut program = Vec::new();
    while !input.is_empty() && program.len() < 5000 {
        program.push(instruction(input, arch)?);
    }
    let _ = disassemble(&program, arch);
    let checked = interpret::check(&program);
    assert_eq!(checked.is_ok(), may_be_loaded(&program), "{checked:?}: {program:?}");
    let kept = interpret::always_allowed(&program, call.arch, call.nr);
    let outcome = interpret::run(&program, arch, &call);
    assert_eq!(outcome.is_ok(), checked.is_ok(), "{outcome:?}: {program:?}");
    if let Ok(outcome) = outcome {
        assert_eq!(word(outcome.verdict), evaluate(&program, arch, &call), "{call:x?} on {arch}: {program:?}");
        assert!(!kept || outcome.verdict == Verdict::Allow, "{call:x?} on {arch}: {program:?}");
    }
    // The cells of a program are as many as the combinations of what it compares: few if it is short, and never quick.
    if proved && program.len() <= 8 {
        let _ = prove(&Policy::new([Class::ReadHeld]), arch, &program);
        if let Ok(comparison) = compare(arch, &program, &program) {
            assert!(comparison.differences.is_empty(), "a program differs from itself: {program:?}");
        }
    }
    Ok(())
}

fn small(input: &mut Unstructured<'_>) -> Result<u32> {
    if input.arbitrary()? { Ok(input.int_in_range(0..=20)?) } else { input.arbitrary() }
}

fn instruction(input: &mut Unstructured<'_>, arch: Arch) -> Result<Instruction> {
    const CODES: [u16; 8] = [0x20, 0x05, 0x15, 0x25, 0x35, 0x45, 0x54, 0x06];
    let code = if input.ratio(31_u8, 32)? { *input.choose(&CODES)? } else { input.arbitrary()? };
    let k = match (code, input.int_in_range(0..=7)?) {
        (_, 0) => input.arbitrary()?,
        (0x06, which) => [0x7fff_0000, 0x0005_0001, 0x8000_0000, 0x7fc0_0000, 0x0003_0000][which % 5],
        (0x20, _) => 4 * input.int_in_range(0..=15)?,
        (_, 1) => arch.token(),
        _ => input.int_in_range(0..=20)?,
    };
    let (jt, jf) = if code & 7 == 5 { (input.int_in_range(0..=9)?, input.int_in_range(0..=9)?) } else { (0, 0) };
    Ok(Instruction { code, jt, jf, k })
}

/// Whether the kernel would take it, said in another way: no way through it leaves it, and all it does is known.
fn may_be_loaded(program: &[Instruction]) -> bool {
    let length = program.len() as u64;
    let ends = |at: u64, skip: u32| at + 1 + u64::from(skip) < length;
    (1..=4096).contains(&length)
        && program.last().is_some_and(|last| last.code == 0x06)
        && program.iter().zip(0_u64..).all(|(instruction, at)| match instruction.code {
            0x20 => instruction.k % 4 == 0 && instruction.k < 64,
            0x54 => true,
            0x05 => ends(at, instruction.k),
            0x15 | 0x25 | 0x35 | 0x45 => ends(at, instruction.jt.into()) && ends(at, instruction.jf.into()),
            0x06 => {
                let (action, data) = (instruction.k >> 16, instruction.k & 0xffff);
                action == 5 || data == 0 && matches!(action, 0x7fff | 0x7fc0 | 3 | 0x8000)
            }
            _ => false,
        })
}

/// What the program returns, from `struct seccomp_data` as bytes in the memory of such a machine.
fn evaluate(program: &[Instruction], arch: Arch, call: &Data) -> u32 {
    let mut memory = Vec::new();
    let halves = [call.nr, call.arch];
    let wholes = [call.instruction_pointer].into_iter().chain(call.args);
    if arch.little_endian() {
        memory.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
        memory.extend(wholes.flat_map(u64::to_le_bytes));
    } else {
        memory.extend(halves.iter().flat_map(|half| half.to_be_bytes()));
        memory.extend(wholes.flat_map(u64::to_be_bytes));
    }
    let (mut a, mut pc) = (0_u32, 0_usize);
    loop {
        let Instruction { code, jt, jf, k } = program[pc];
        pc += 1;
        let held = match code & 0xf0 {
            0x10 => a == k,
            0x20 => a > k,
            0x30 => a >= k,
            _ => a & k != 0,
        };
        match code & 7 {
            0 => {
                let bytes: [u8; 4] = memory[k as usize..][..4].try_into().expect("four bytes");
                a = if arch.little_endian() { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
            }
            4 => a &= k,
            5 if code == 0x05 => pc += k as usize,
            5 => pc += usize::from(if held { jt } else { jf }),
            _ => return k,
        }
    }
}

fn word(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Allow => 0x7fff_0000,
        Verdict::Errno(number) => 0x0005_0000 | u32::from(number),
        Verdict::Notify => 0x7fc0_0000,
        Verdict::Trap => 0x0003_0000,
        Verdict::Kill => 0x8000_0000,
    }
}
