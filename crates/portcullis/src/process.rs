//! What a process does to itself before it is sealed: first thing, and for the end.

use std::fmt::Write as _;
use std::io;
use std::panic::PanicHookInfo;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

use crate::sys;

/// Keeps the memory of the process from core dumps and, as far as the system can, from debuggers. For the first line
/// of `main`, long before there is anything to seal.
///
/// # Errors
///
/// If the limit cannot be set, or the kernel refuses; nothing depends on it.
pub fn harden_early() -> io::Result<()> {
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Has the kernel end the process when this time is over, whatever it is doing then.
///
/// First by SIGALRM, which tells the parent why; on Linux by SIGKILL two seconds later, which code that took the
/// process over can neither block nor ignore. Once the process is sealed neither can be taken back, since no promise includes timers.
/// Rounded up to seconds, at least one. To be called once: a later call moves the alarm, but not what comes after it.
///
/// # Errors
///
/// If the kernel has no timer to give. The alarm holds all the same.
pub fn set_deadline(after: Duration) -> io::Result<()> {
    const GRACE: u32 = 2;
    let whole = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)).max(1);
    // Some kernels keep alarms in 31 bits.
    let seconds = u32::try_from(whole).unwrap_or(u32::MAX).min(i32::MAX.unsigned_abs() - GRACE);
    sys::alarm(seconds);
    #[cfg(target_os = "linux")]
    sys::kill_timer(seconds + GRACE)?;
    Ok(())
}

/// Makes a panic end the process with one plain line on standard error, and SIGABRT.
///
/// The standard library's own hook may look for a backtrace, and for that open files and start to lock and allocate,
/// none of which a sealed process should depend on. This one formats into a buffer of fixed size, writes once and aborts,
/// in builds that unwind as well.
pub fn last_words() {
    std::panic::set_hook(Box::new(|info| {
        let mut line = Line::new();
        // A line takes all that is written, and cuts off what is too long.
        let _ = write!(line, "{}", Words(info));
        let _ = rustix::io::write(rustix::stdio::stderr(), line.finished());
        std::process::abort();
    }));
}

/// What a panic says, with the place.
struct Words<'a, 'b>(&'a PanicHookInfo<'b>);

impl std::fmt::Display for Words<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this is a bug: ")?;
        let payload = self.0.payload();
        let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref().map(String::as_str));
        f.write_str(text.unwrap_or("no reason given"))?;
        match self.0.location() {
            Some(place) => write!(f, " ({}:{})", place.file(), place.line()),
            None => Ok(()),
        }
    }
}

/// One line of bounded length.
struct Line {
    bytes: [u8; 512],
    length: usize,
}

impl Line {
    const fn new() -> Self {
        Self { bytes: [0; 512], length: 0 }
    }

    /// The line with its end.
    fn finished(&mut self) -> &[u8] {
        self.bytes[self.length] = b'\n';
        &self.bytes[..=self.length]
    }
}

impl std::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            // The last byte is for the end of the line.
            if self.length == self.bytes.len() - 1 {
                break;
            }
            // A panic's text can contain what somebody else sent.
            self.bytes[self.length] = if byte.is_ascii_control() { b' ' } else { byte };
            self.length += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_bounded() {
        let mut line = Line::new();
        write!(line, "one\ntwo\x1b[31m").unwrap();
        assert_eq!(line.finished(), b"one two [31m\n");
        let mut line = Line::new();
        write!(line, "{}", "x".repeat(10_000)).unwrap();
        assert_eq!(line.finished().len(), 512);
        assert!(line.finished().ends_with(b"x\n"));
    }
}
