//! What a role says, made safe to print.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

/// Bytes of one line that are kept. The rest of a longer line is dropped.
const LINE: usize = 1024;

/// Lines that one role may say. A broken-into role must not be able to flood the log.
const LINES: usize = 200;

/// The standard error of a role, read by its supervisor.
///
/// Whatever a sealed process has to say outside its channels (the last words of a panic, a message of the C library)
/// arrives here. Lines are bounded in length and number, and made printable.
#[derive(Debug)]
pub struct Mouth {
    descriptor: OwnedFd,
    pending: Vec<u8>,
    said: usize,
}

impl Mouth {
    pub(crate) const fn new(descriptor: OwnedFd) -> Self {
        Self { descriptor, pending: Vec::new(), said: 0 }
    }

    /// Reads what is there without waiting. `None` when the role has closed its standard error, else whole lines.
    ///
    /// # Errors
    /// The pipe cannot be read.
    pub fn listen(&mut self) -> io::Result<Option<Vec<String>>> {
        let mut buffer = [0; 4096];
        let got = match rustix::io::read(&self.descriptor, &mut buffer) {
            Ok(got) => got,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Some(Vec::new())),
            Err(error) => return Err(error.into()),
        };
        if got == 0 {
            return Ok(None);
        }
        let mut lines = Vec::new();
        for byte in buffer.iter().take(got) {
            match byte {
                b'\n' => lines.extend(self.line()),
                _ if self.pending.len() < LINE => self.pending.push(*byte),
                _ => {}
            }
        }
        Ok(Some(lines))
    }

    /// What is left of a line that was never ended.
    pub fn rest(&mut self) -> Option<String> {
        if self.pending.is_empty() { None } else { self.line() }
    }

    fn line(&mut self) -> Option<String> {
        let line = printable(&String::from_utf8_lossy(&self.pending));
        self.pending.clear();
        self.said += 1;
        match self.said {
            said if said < LINES => Some(line),
            LINES => Some(format!("(more than {LINES} lines: the rest is dropped)")),
            _ => None,
        }
    }
}

impl AsFd for Mouth {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The text with every control character escaped, so that what came from outside cannot steer a terminal or forge a
/// line of a log.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        // U+202A to U+202E and U+2066 to U+2069 reorder what a terminal shows.
        let steers = character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if steers && character != '\t' {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mouth() -> (OwnedFd, Mouth) {
        let (read, write) = rustix::pipe::pipe().expect("a pipe");
        rustix::io::ioctl_fionbio(&read, true).expect("non-blocking");
        (write, Mouth::new(read))
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\u{1b}[2Jb\rc\u{202e}d"), "a\\u{1b}[2Jb\\rc\\u{202e}d");
        assert_eq!(printable("grüße\t世界"), "grüße\t世界");
    }

    #[test]
    fn lines_are_bounded_in_length_and_number() {
        let (write, mut mouth) = mouth();
        rustix::io::write(&write, &[b'x'; 3000]).expect("written");
        rustix::io::write(&write, b"\nlast").expect("written");
        let lines = mouth.listen().expect("read").expect("open");
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [LINE]);
        for _ in 0..LINES * 2 {
            rustix::io::write(&write, b"\n").expect("written");
        }
        let heard = mouth.listen().expect("read").expect("open");
        assert_eq!(heard.len(), LINES - 1);
        assert!(heard.last().expect("some").contains("dropped"));
        drop(write);
        assert_eq!(mouth.listen().expect("read"), None);
    }
}
