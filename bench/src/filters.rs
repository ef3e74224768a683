//! What a call costs beneath our filter and beneath libseccomp's: instructions, and nanoseconds on this kernel.
//!
//! All filters are of the same policy, and the calls are made in turn beneath each.

use core::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;
use syscall_policy::{Arch, Data, Instruction, Policy, compare, compile, interpret};

use crate::Result;
use crate::report::median;

#[path = "../../crates/syscall-policy/tests/support/client.rs"]
mod client;
#[path = "../../crates/syscall-policy/tests/oracles/said.rs"]
mod said;

/// The word that has this measured.
pub(crate) const WORD: &str = "filters";

/// Measures filters for system calls beside those of libseccomp, in one run.
#[derive(Debug, Parser)]
#[command(name = "bench filters")]
struct Options {
    /// How often each is timed
    #[arg(long, default_value_t = 25, value_name = "TIMES")]
    rounds: usize,
    /// How many calls are made each time
    #[arg(long, default_value_t = 20_000, value_name = "COUNT")]
    calls: u32,
}

/// A call that is made: what it is, its number, and arguments for which it is allowed and does nothing.
struct Call {
    what: String,
    number: u32,
    args: [u64; 6],
    /// Which argument points to some memory, in the process that makes the call.
    buffer: Option<usize>,
}

struct Filter {
    name: &'static str,
    program: Vec<Instruction>,
    file: PathBuf,
    /// Nanoseconds, by call and round.
    times: Vec<Vec<f64>>,
}

pub(crate) fn run(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<ExitCode> {
    let options = Options::parse_from([WORD.into()].into_iter().chain(arguments));
    let arch = Arch::native().ok_or("there is no table of calls for this architecture")?;
    let directory = tempfile::tempdir()?;
    let caller = compiled(directory.path(), "calls", include_str!("filters/calls.c"), &[])?;
    let source = include_str!("../../crates/syscall-policy/tests/oracles/libseccomp.c");
    let builder = compiled(directory.path(), "libseccomp", source, &["-lseccomp"])?;
    crate::say(&format!("{}\n", crate::machine()))?;
    for (role, policy) in client::roles(std::process::id()) {
        if matches!(role, "account" | "dial") {
            let policy = said::sayable(&policy, arch);
            let filters = filters(directory.path(), &builder, &policy, arch)?;
            crate::say(&measured(&options, &caller, arch, role, filters)?)?;
            crate::say(&compiling(&policy, arch))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Ours and theirs, shown to say the same of every call but those of x32.
fn filters(directory: &Path, builder: &Path, policy: &Policy, arch: Arch) -> Result<Vec<Filter>> {
    let filter = |name, file: &str, program| Filter { name, program, file: directory.join(file), times: Vec::new() };
    let ours = filter("ours", "ours.bpf", compile(policy, arch));
    std::fs::write(&ours.file, to_bytes(&ours.program))?;
    let mut all = vec![filter("none", "-", Vec::new()), ours];
    all[0].file = "-".into();
    for (name, file, level) in [("libseccomp", "plain.bpf", 1), ("libseccomp, tree", "tree.bpf", 2)] {
        let file = directory.join(file);
        let text = said::text(policy, arch, &file.to_string_lossy(), level);
        let input = directory.join("policy");
        std::fs::write(&input, text)?;
        let output = Command::new(builder).stdin(std::fs::File::open(input)?).stderr(Stdio::inherit()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || said.lines().count() != 1 {
            return Err(format!("libseccomp does not take the policy: {said}").into());
        }
        let program = from_bytes(&std::fs::read(&file)?);
        let comparison = compare(arch, &all[1].program, &program)?;
        if let Some(difference) = comparison.differences.iter().find(|difference| difference.call.nr < 0x4000_0000) {
            return Err(format!("libseccomp's filter is not of the same policy: {difference:x?}").into());
        }
        all.push(Filter { name, program, file, times: Vec::new() });
    }
    Ok(all)
}

/// What processes make most, with and without a rule on arguments, and what they may not.
fn calls(arch: Arch) -> Result<Vec<Call>> {
    const NONE: u64 = u64::MAX;
    let mut calls = Vec::new();
    let wait = if arch.number("poll").is_some() { ("poll", [0; 6]) } else { ("ppoll", [0, 0, 1, 0, 0, 0]) };
    for (name, args, buffer) in [
        ("read", [NONE, 0, 0, 0, 0, 0], None),
        ("write", [NONE, 0, 0, 0, 0, 0], None),
        (wait.0, wait.1, (wait.0 == "ppoll").then_some(2)),
        ("clock_gettime", [1, 0, 0, 0, 0, 0], Some(1)),
        ("getppid", [0; 6], None),
        // FUTEX_WAKE | FUTEX_PRIVATE_FLAG of a word that nobody waits for.
        ("futex", [0, 129, 0, 0, 0, 0], Some(0)),
        // Of no length, which is an error.
        ("mmap", [0, 0, 1, 2, NONE, 0], None),
        // F_GETFD
        ("fcntl", [NONE, 1, 0, 0, 0, 0], None),
    ] {
        let number = arch.number(name).ok_or("a call that all architectures have")?;
        calls.push(Call { what: name.to_owned(), number, args, buffer });
    }
    let (last, number) = arch.table().iter().last().ok_or("a table with calls")?;
    calls.push(Call { what: format!("the last, {last}"), number, args: [0; 6], buffer: None });
    calls.push(Call { what: "unknown".to_owned(), number: 100_000, args: [0; 6], buffer: None });
    Ok(calls)
}

fn measured(options: &Options, caller: &Path, arch: Arch, role: &str, mut filters: Vec<Filter>) -> Result<String> {
    let calls = calls(arch)?;
    for filter in &mut filters {
        filter.times = vec![Vec::new(); calls.len()];
    }
    for round in 0..options.rounds {
        // Who goes first changes.
        let all = filters.len();
        for at in round..round + all {
            let filter = &mut filters[at % all];
            let times = timed(options, caller, &filter.file, &calls)?;
            filter.times.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
        }
    }
    let mut out = format!(
        "\n## {role}: instructions, and ns per call (medians of {} rounds of the best of 16 batches)\n\n| call |",
        options.rounds
    );
    for filter in &filters {
        let _ = write!(out, " {} |", filter.name);
    }
    out.push_str("\n|---|");
    out.push_str(&"---|".repeat(filters.len()));
    for (at, call) in calls.iter().enumerate() {
        let kept = interpret::always_allowed(&filters[1].program, arch.token(), call.number);
        let _ = write!(out, "\n| {}{} |", call.what, if kept { "*" } else { "" });
        for filter in &filters {
            let time = median(filter.times[at].iter().copied());
            let _ = match steps(filter, arch, call)? {
                None => write!(out, " {time:.0} ns |"),
                Some(steps) => write!(out, " {steps}, {time:.0} ns |"),
            };
        }
    }
    out.push_str("\n| all instructions |");
    for filter in &filters {
        let _ = write!(out, " {} |", filter.program.len());
    }
    out.push_str("\n\n\\* the kernel keeps the answer, and runs no filter (Linux 5.11 and later)\n");
    Ok(out)
}

/// Instructions run for a call.
fn steps(filter: &Filter, arch: Arch, call: &Call) -> Result<Option<usize>> {
    if filter.program.is_empty() {
        return Ok(None);
    }
    let data = Data { nr: call.number, arch: arch.token(), instruction_pointer: 0, args: call.args };
    Ok(Some(interpret::run(&filter.program, arch, &data)?.steps))
}

/// Nanoseconds for each of the calls.
fn timed(options: &Options, caller: &Path, file: &Path, calls: &[Call]) -> Result<Vec<f64>> {
    let mut command = Command::new(caller);
    command.arg(file).arg(options.calls.to_string());
    for call in calls {
        let argument = |(at, value): (usize, &u64)| match call.buffer {
            Some(buffer) if buffer == at => "buffer".to_owned(),
            _ => value.cast_signed().to_string(),
        };
        command.arg(call.number.to_string()).args(call.args.iter().enumerate().map(argument));
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    let times: Vec<f64> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect();
    if !output.status.success() || times.len() != calls.len() {
        return Err(format!("calls beneath {} ended with {}", file.display(), output.status).into());
    }
    Ok(times)
}

/// How long our compiler takes.
fn compiling(policy: &Policy, arch: Arch) -> String {
    let times = (0..1000).map(|_| {
        let start = Instant::now();
        core::hint::black_box(compile(policy, arch));
        start.elapsed().as_secs_f64() * 1e6
    });
    format!("\nOurs is compiled in {:.1} µs (median of 1000).\n", median(times))
}

fn compiled(directory: &Path, name: &str, source: &str, more: &[&str]) -> Result<PathBuf> {
    let (file, program) = (directory.join(name).with_extension("c"), directory.join(name));
    std::fs::write(&file, source)?;
    let status = Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(file).args(more).status();
    match status {
        Ok(status) if status.success() => Ok(program),
        _ => Err(format!("cc does not compile {name}.c: a C compiler is needed, and libseccomp-dev").into()),
    }
}

/// `struct sock_filter`, as this machine has it in memory.
fn to_bytes(program: &[Instruction]) -> Vec<u8> {
    let bytes = |instruction: &Instruction| {
        let ([a, b], [c, d, e, f]) = (instruction.code.to_ne_bytes(), instruction.k.to_ne_bytes());
        [a, b, instruction.jt, instruction.jf, c, d, e, f]
    };
    program.iter().flat_map(bytes).collect()
}

fn from_bytes(bytes: &[u8]) -> Vec<Instruction> {
    let instruction = |[a, b, jt, jf, c, d, e, f]: [u8; 8]| Instruction {
        code: u16::from_ne_bytes([a, b]),
        jt,
        jf,
        k: u32::from_ne_bytes([c, d, e, f]),
    };
    bytes.as_chunks().0.iter().copied().map(instruction).collect()
}
