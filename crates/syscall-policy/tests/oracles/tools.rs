//! Our programs in the tools of libseccomp's source package: a second interpreter, a second disassembler.

use std::path::{Path, PathBuf};

use syscall_policy::{Arch, Instruction, Policy, Verdict, cells, compile, interpret};

use crate::{SHARED, Scratch, answer, client, compiled, own, random, say, to_bytes};

/// Where the package is unpacked.
fn source() -> PathBuf {
    let source = std::env::var_os("LIBSECCOMP_SOURCE").expect("LIBSECCOMP_SOURCE: where libseccomp's source is");
    PathBuf::from(source).join("tools")
}

/// A tool, with what all of them share.
fn tool(scratch: &Scratch, program: &Path) -> PathBuf {
    let (include, shared) = (format!("-I{}", source().display()), source().join("util.c"));
    compiled(scratch, program, &[&include, shared.to_str().expect("a name of plain letters")])
}

/// The roles' policies and random ones, for each architecture.
fn policies() -> impl Iterator<Item = (String, Arch, Policy)> {
    let mut numbers = random::Numbers::new(4711);
    SHARED.into_iter().flat_map(move |arch| {
        let roles = client::roles(4711).into_iter().map(|(name, policy)| (name.to_owned(), policy));
        let random = (0..2).map(|at| (format!("random {at}"), random::policy(&mut numbers, arch)));
        let all: Vec<_> = roles.chain(random).map(|(name, policy)| (name, arch, policy)).collect();
        all
    })
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow => "ALLOW".to_owned(),
        Verdict::Errno(number) => format!("ERRNO({number})"),
        Verdict::Trap => "TRAP".to_owned(),
        Verdict::Kill => "KILL_PROCESS".to_owned(),
        Verdict::Notify => "nothing: the simulator does not know it".to_owned(),
    }
}

#[test]
#[ignore = "needs libseccomp's source and a C compiler: .ci/oracles"]
fn the_interpreter_agrees_with_libseccomps_simulator() {
    let scratch = Scratch::new("simulator");
    let simulator = tool(&scratch, &own("simulate.c"));
    let file = scratch.file("program.bpf");
    let (mut calls, mut programs) = (0, 0);
    for (name, arch, policy) in policies() {
        let program = compile(&policy, arch);
        std::fs::write(&file, to_bytes(&program, arch)).expect("a file");
        let asked = cells(arch, &[&program]).expect("our filters have cells");
        let mut input = format!("program {file} {:x}\n", arch.token());
        for call in &asked {
            let [a, b, c, d, e, f] = call.args;
            input += &format!("call {:x} {:x} {a:x} {b:x} {c:x} {d:x} {e:x} {f:x}\n", call.nr, call.arch);
        }
        let said = answer(&simulator, &[], input);
        assert_eq!(said.lines().count(), asked.len(), "{name} on {arch}: an answer to each call");
        for (call, theirs) in asked.iter().zip(said.lines()) {
            let ours = interpret::run(&program, arch, call).expect("our filters run").verdict;
            assert_eq!(word(ours), theirs, "{name} on {arch}: {call:x?}");
        }
        calls += asked.len();
        programs += 1;
    }
    say(&format!("the simulator says the same of {calls} calls to {programs} programs"));
}

#[test]
#[ignore = "needs libseccomp's source and a C compiler: .ci/oracles"]
fn libseccomps_disassembler_reads_what_was_written() {
    let scratch = Scratch::new("disassembler");
    let disassembler = tool(&scratch, &source().join("scmp_bpf_disasm.c"));
    let (mut instructions, mut programs) = (0, 0);
    for (name, arch, policy) in policies() {
        let program = compile(&policy, arch);
        let file = scratch.file("program.bpf");
        std::fs::write(&file, to_bytes(&program, arch)).expect("a file");
        // It takes the file's name only in the place of an option's argument.
        let said = answer(
            Path::new("sh"),
            &["-c", "exec \"$0\" -a \"$1\" <\"$2\"", disassembler.to_str().expect("plain"), their_name(arch), &file],
            String::new(),
        );
        let read: Vec<Instruction> = said.lines().skip(2).map(assembled).collect();
        assert_eq!(read, program, "{name} on {arch}:\n{said}");
        instructions += program.len();
        programs += 1;
    }
    say(&format!("the disassembler reads {instructions} instructions of {programs} programs as they were written"));
}

fn their_name(arch: Arch) -> &'static str {
    match arch {
        Arch::I386 => "x86",
        Arch::PowerPc => "ppc",
        Arch::PowerPc64 => "ppc64",
        Arch::PowerPc64Le => "ppc64le",
        Arch::Mips64El => "mipsel64",
        other => other.name(),
    }
}

/// From its text, not from the hexadecimal digits beside it: ` 0003: 0x15 0x00 0x01 0x0000003b   jeq 59   true:0004
/// false:0005`.
fn assembled(line: &str) -> Instruction {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |text: &str| -> u32 {
        let hexadecimal = text.strip_prefix("0x").map(|digits| u32::from_str_radix(digits, 16));
        hexadecimal.unwrap_or_else(|| text.parse()).unwrap_or_else(|error| panic!("{line}: {text}: {error}"))
    };
    let at = number(words[0].trim_end_matches(':'));
    let plain = |code, k| Instruction { code, jt: 0, jf: 0, k };
    let jump = |code| {
        let skip = |word: &str, prefix| {
            let target = number(word.strip_prefix(prefix).unwrap_or_else(|| panic!("{line}")));
            u8::try_from(target - at - 1).expect("a jump of 255 at most")
        };
        Instruction { code, jt: skip(words[7], "true:"), jf: skip(words[8], "false:"), k: number(words[6]) }
    };
    match words[5] {
        "ld" => plain(0x20, number(words[6].trim_start_matches("$data[").trim_end_matches(']'))),
        "and" => plain(0x54, number(words[6])),
        "jmp" => plain(0x05, number(words[6]) - at - 1),
        "jeq" => jump(0x15),
        "jgt" => jump(0x25),
        "jge" => jump(0x35),
        "ret" => plain(
            0x06,
            match words[6] {
                "ALLOW" => 0x7fff_0000,
                "KILL_PROCESS" => 0x8000_0000,
                errno => 0x0005_0000 | number(errno.trim_start_matches("ERRNO(").trim_end_matches(')')),
            },
        ),
        other => panic!("{other} in {line}"),
    }
}
