//! What a process does to itself before it is sealed: first thing, and for the end.

use std::fmt::Write as _;
use std::io;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

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
    #[cfg(target_os = "freebsd")]
    sys::set_not_traceable()?;
    Ok(())
}

/// Ends the process with this status, at once.
///
/// What a C library does at the end of a process that returns from `main` (functions registered by libraries, the positions of
/// streams set right) is not what the process was made for, differs between libraries, and is asked of the kernel under the
/// seal: glibc 2.43 on i686 moves the position of standard output. A sealed process that is done has nothing to put in order,
/// and ends by this. What it has buffered it has to write before.
pub fn leave(status: u8) -> ! {
    sys::exit_now(status)
}

/// Has the kernel end the process when this time is over, whatever it is doing then.
///
/// First by SIGALRM, which tells the parent why; on Linux, from the seal on, by SIGKILL two seconds later, which code that
/// took the process over can neither block nor ignore. Once the process is sealed neither can be taken back, since no promise
/// includes timers. Rounded up to seconds, at least one. To be called once, before the sandbox is
/// [rehearsed](crate::Sandbox::rehearse) or prepared: a later call moves the alarm, but not what comes after it.
///
/// Where the kernel has no timer to give, or an outer sandbox none to be had, there is the alarm alone, and the report of the
/// seal says so with the [limits](crate::Layer::Limits).
pub fn set_deadline(after: Duration) {
    let whole = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)).max(1);
    // Some kernels keep alarms in 31 bits.
    let seconds = u32::try_from(whole).unwrap_or(u32::MAX).min(i32::MAX.unsigned_abs() - GRACE);
    sys::alarm(seconds);
    let _ = KILL_AT.set(Instant::now() + Duration::from_secs(u64::from(seconds + GRACE)));
}

/// Seconds from the alarm to the kill.
const GRACE: u32 = 2;

/// When the process is to be killed, if ever.
static KILL_AT: OnceLock<Instant> = OnceLock::new();

/// Why the deadline of this process is an alarm alone.
#[cfg(target_os = "linux")]
static ALARM_ALONE: OnceLock<String> = OnceLock::new();

/// Has the kernel keep to the deadline by a kill, unless a rehearsal showed that whoever asks for that is ended.
#[cfg(target_os = "linux")]
pub(crate) fn arm_kill(ends_who_asks: bool) {
    let Some(at) = KILL_AT.get() else { return };
    let left = at.saturating_duration_since(Instant::now()).as_secs().max(1);
    let armed = match ends_who_asks {
        true => Err("whoever asks for a timer here is ended (SIGSYS)".to_owned()),
        false => sys::kill_timer(u32::try_from(left).unwrap_or(u32::MAX)).map_err(|error| error.to_string()),
    };
    if let Err(why) = armed {
        let _ = ALARM_ALONE.set(why);
    }
}

/// Why the deadline is an alarm alone, if it is so.
#[cfg(target_os = "linux")]
pub(crate) fn alarm_alone() -> Option<&'static str> {
    ALARM_ALONE.get().map(String::as_str)
}

/// Elsewhere it always is.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn alarm_alone() -> Option<&'static str> {
    None
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
