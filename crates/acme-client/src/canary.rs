//! What every role does before it is sealed for good, in a copy of itself that is: the work that all of them have in common.
//!
//! What only one of them does it adds itself ([`Actor::canary`](crate::role::Actor::canary)). Nothing is sent to anybody, and
//! nothing is left behind.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant, SystemTime};

use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::io::Errno;

/// Memory, randomness, clocks, waiting, and the words for a line of the log.
pub(crate) fn play(channel: BorrowedFd<'_>) -> Result<(), String> {
    // Within the heap, and more than any allocator has at hand; grown, so that it is moved.
    let mut bytes: Vec<u8> = Vec::new();
    for size in [1, 100, 10_000, 300_000, 2_000_000] {
        bytes.try_reserve_exact(size).map_err(|error| format!("no memory: {error}"))?;
        bytes.resize(size, 1);
    }
    let mut random = [0; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| "no random numbers".to_owned())?;
    let words: HashMap<u8, usize> = random.iter().copied().zip(0..).collect();
    let (started, now) = (Instant::now(), SystemTime::now());
    privsep::wait_readable(&[channel], Some(Duration::from_micros(1)))
        .map_err(|error| format!("cannot wait: {error}"))?;
    let line = format!("{} {:?} {:?} {}", words.len(), started.elapsed(), now, bytes.len());
    // Nothing is read, nor is anything closed that is open.
    permitted("read", rustix::io::read(channel, &mut [0; 0]))?;
    permitted("close", portcullis::fd::close_nothing())?;
    // Nothing is said, but by the call that says things.
    permitted("write", rustix::io::write(rustix::stdio::stderr(), line.get(..0).unwrap_or_default().as_bytes()))
}

/// Whether a call was made, of which it does not matter what came of it. Calls that would do something are tried on what they
/// do nothing to, and fail; not with these errors though.
pub(crate) fn permitted<T>(what: &str, tried: Result<T, Errno>) -> Result<(), String> {
    match tried {
        Err(error @ (Errno::PERM | Errno::ACCESS | Errno::NOSYS)) => Err(format!("cannot {what}: {error}")),
        _ => Ok(()),
    }
}
