//! The compiler and the interpreter beside those of others: libseccomp, and the simulator and the disassembler of its
//! source package. None of it is a dependency; `.ci/oracles` installs what these tests need, and runs them.

#[path = "../support/client.rs"]
mod client;
mod libseccomp;
mod random;
mod said;
mod tools;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use syscall_policy::{Arch, Instruction};

/// Those of our architectures that libseccomp 2.5 has.
const SHARED: [Arch; 13] = [
    Arch::X86_64,
    Arch::I386,
    Arch::Aarch64,
    Arch::Arm,
    Arch::Riscv64,
    Arch::S390x,
    Arch::PowerPc64Le,
    Arch::PowerPc64,
    Arch::PowerPc,
    Arch::Mips,
    Arch::MipsEl,
    Arch::Mips64,
    Arch::Mips64El,
];

/// A directory of its own for files of a test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("syscall-policy-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for files");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().expect("a name of plain letters")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Compiles a C program of this directory, or of the tools.
fn compiled(scratch: &Scratch, source: &Path, more: &[&str]) -> PathBuf {
    let program = scratch.0.join(source.file_stem().expect("a file"));
    let done = Command::new("cc").args(["-O1", "-w", "-o"]).arg(&program).arg(source).args(more).output();
    let done = done.expect("a C compiler: cc");
    assert!(done.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&done.stderr));
    program
}

/// Where the C programs of these tests are.
fn own(source: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles").join(source)
}

/// What a program says to an input.
fn answer(program: &Path, arguments: &[&str], input: String) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{} ended with {}", program.display(), output.status);
    writer.join().expect("the writer ends").expect("the program reads all its input");
    String::from_utf8(output.stdout).expect("text")
}

/// `struct sock_filter` as a machine of that architecture has it in memory.
fn to_bytes(program: &[Instruction], arch: Arch) -> Vec<u8> {
    let little = arch.little_endian();
    let bytes = |instruction: &Instruction| {
        let Instruction { code, jt, jf, k } = *instruction;
        let (code, k) =
            if little { (code.to_le_bytes(), k.to_le_bytes()) } else { (code.to_be_bytes(), k.to_be_bytes()) };
        [code[0], code[1], jt, jf, k[0], k[1], k[2], k[3]]
    };
    program.iter().flat_map(bytes).collect()
}

fn from_bytes(bytes: &[u8], arch: Arch) -> Vec<Instruction> {
    let instruction = |bytes: &[u8; 8]| {
        let [c0, c1, jt, jf, k0, k1, k2, k3] = *bytes;
        if arch.little_endian() {
            Instruction { code: u16::from_le_bytes([c0, c1]), jt, jf, k: u32::from_le_bytes([k0, k1, k2, k3]) }
        } else {
            Instruction { code: u16::from_be_bytes([c0, c1]), jt, jf, k: u32::from_be_bytes([k0, k1, k2, k3]) }
        }
    };
    let (whole, rest) = bytes.as_chunks();
    assert!(rest.is_empty(), "a program has whole instructions");
    whole.iter().map(instruction).collect()
}

/// Figures are shown whether or not the test fails.
fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").expect("standard output takes what is written");
}
