//! A parser worker: bytes that nobody vouches for are parsed by a process that can do nothing else.
//!
//! The program starts itself again as the worker, writes to its standard input and reads its answer. Whatever the bytes
//! make of the worker, it holds two pipes, and can open nothing: `cargo run -p portcullis --example parser`.

use std::error::Error;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use portcullis::{Promise, Sandbox};

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return worker();
    }
    let mut child =
        Command::new(std::env::current_exe()?).arg("worker").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(b"width=640\nheight=480\nname=\xff\xff\n")?;
    }
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "the worker ended with {}", output.status);
    assert_eq!(String::from_utf8(output.stdout)?, "2 numbers, the largest is 640\n");
    Ok(())
}

fn worker() -> Result<(), Box<dyn Error>> {
    portcullis::last_words();
    let report = Sandbox::new("parser").promise(Promise::Stdio).prepare()?.seal()?;
    writeln!(std::io::stderr(), "{report}")?;

    let mut bytes = Vec::new();
    std::io::stdin().take(1 << 20).read_to_end(&mut bytes)?;
    let numbers: Vec<u32> = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok()?.split_once('=')?.1.parse().ok())
        .collect();
    let largest = numbers.iter().max().copied().unwrap_or_default();
    writeln!(std::io::stdout(), "{} numbers, the largest is {largest}", numbers.len())?;
    Ok(())
}
