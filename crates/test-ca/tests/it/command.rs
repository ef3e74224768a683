//! The program `test-ca`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_test-ca"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What it wrote to standard error, and its exit status.
fn end(mut child: Child) -> (String, i32) {
    drop(child.stdin.take());
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (text, child.wait().unwrap().code().unwrap())
}

#[test]
fn serves_until_its_input_ends() {
    let root = std::env::temp_dir().join(format!("test-ca-root-{}.pem", std::process::id()));
    let mut child = start(&["--fault", "bad-nonce=5", "--verbose", "--write-root", root.to_str().unwrap()]);
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    assert!(url.starts_with("https://localhost:") && url.ends_with("/directory\n"), "{url}");
    assert!(std::fs::read_to_string(&root).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    std::fs::remove_file(root).unwrap();
    assert_eq!(end(child), (String::new(), 0));
}

#[test]
fn says_what_is_wrong_with_its_arguments() {
    let wrong = |arguments: &[&str]| {
        let (text, status) = end(start(arguments));
        assert!(text.starts_with("test-ca: ") && text.lines().count() == 1, "{text}");
        (text, status)
    };
    for (arguments, words) in [
        (&["--fault", "odd"][..], "there is no fault \"odd\""),
        (&["--listen", "here"], "--listen here: "),
        (&["--odd", "1"], "--odd is no option"),
        (&["--listen"], "needs a value"),
        (&["--name", "a"], "NAME=ADDRESS:PORT"),
    ] {
        let (text, status) = wrong(arguments);
        assert!(text.contains(words) && status == 2, "{text}");
    }
    let (text, status) = wrong(&["--write-root", "/nonexistent/root.pem"]);
    assert!(text.contains("cannot write /nonexistent/root.pem") && status == 1, "{text}");
    let help = start(&["--help"]).wait_with_output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("bad-nonce"));
}
