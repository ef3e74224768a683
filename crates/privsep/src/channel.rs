//! Typed channels between two roles.

use core::marker::PhantomData;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{ChannelError, Fault};
use crate::frame::{self, Deadline};

/// A message that may travel on a channel.
pub trait Message: Serialize + DeserializeOwned {
    /// Bytes that one message of this type may have at most. Announced lengths above it are refused before anything is
    /// read or allocated.
    const MAX: usize;

    /// What kind of message this is, in a word, for errors that name it.
    fn word(&self) -> &'static str;
}

/// A direction in which nothing is ever sent.
#[derive(Debug, Serialize, Deserialize)]
pub enum Never {}

impl Message for Never {
    const MAX: usize = 0;

    fn word(&self) -> &'static str {
        match *self {}
    }
}

/// One end of a channel that sends `S` and receives `R`.
///
/// The other end is a `Channel<R, S>`.
///
/// ```
/// use privsep::{pair, Channel, Message, Never};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Greeting(String);
/// impl Message for Greeting {
///     const MAX: usize = 64;
///     fn word(&self) -> &'static str { "greeting" }
/// }
///
/// let (left, right) = pair()?;
/// let left: Channel<Greeting, Never> = Channel::new(left, "right");
/// let right: Channel<Never, Greeting> = Channel::new(right, "left");
/// left.send(&Greeting("hello".into()))?;
/// assert_eq!(right.receive(None)?.0, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Channel<S, R> {
    descriptor: OwnedFd,
    peer: &'static str,
    carries: PhantomData<fn(S) -> R>,
}

/// How long the other end may leave a message unread. Roles read at once; one that does not is stuck.
const UNREAD: Duration = Duration::from_secs(30);

impl<S, R> Channel<S, R> {
    /// Makes one end of a channel out of a stream socket; `peer` names the other end in errors.
    ///
    /// The socket is one of a [`pair`], so that it does not block.
    #[must_use]
    pub const fn new(descriptor: OwnedFd, peer: &'static str) -> Self {
        Self { descriptor, peer, carries: PhantomData }
    }

    /// The role at the other end.
    #[must_use]
    pub const fn peer(&self) -> &'static str {
        self.peer
    }

    /// The same channel for the next part of the conversation, in which other messages are allowed.
    #[must_use]
    pub fn then<S2, R2>(self) -> Channel<S2, R2> {
        Channel::new(self.descriptor, self.peer)
    }

    /// The socket, to be given to a process that makes its own end of it.
    #[must_use]
    pub fn into_descriptor(self) -> OwnedFd {
        self.descriptor
    }

    const fn error(&self, fault: Fault) -> ChannelError {
        ChannelError { peer: self.peer, fault }
    }

    /// The error for a well-formed message that may not be sent now.
    #[must_use]
    pub const fn out_of_turn(&self, message: &'static str) -> ChannelError {
        ChannelError::out_of_turn(self.peer, message)
    }
}

impl<S: Message, R: Message> Channel<S, R> {
    /// Sends one message.
    ///
    /// # Errors
    /// The other end is gone, does not read for half a minute, or the message is longer than its own type allows.
    pub fn send(&self, message: &S) -> Result<(), ChannelError> {
        let payload = self.encode(message)?;
        frame::write(self.descriptor.as_fd(), &payload, Deadline::after(Some(UNREAD)))
            .map_err(|fault| self.error(fault))
    }

    /// Sends one message with descriptors beside it (at most 253, unix(7)). The other end receives them with
    /// [`receive_with`](Self::receive_with).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_with(&self, message: &S, descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        let payload = self.encode(message)?;
        frame::write_with(self.descriptor.as_fd(), &payload, descriptors, Deadline::after(Some(UNREAD)))
            .map_err(|fault| self.error(fault))
    }

    /// The bytes that [`send`](Self::send) would write, for whoever has to write them without taking memory.
    ///
    /// # Errors
    /// The message is longer than its own type allows.
    pub fn framed(&self, message: &S) -> Result<Vec<u8>, ChannelError> {
        frame::framed(&self.encode(message)?).map_err(|fault| self.error(fault))
    }

    /// Waits for one message, at most for `timeout` (without end if `None`).
    ///
    /// # Errors
    /// The other end is gone, silent, or sent what is no `R`.
    pub fn receive(&self, timeout: Option<Duration>) -> Result<R, ChannelError> {
        let payload = frame::read(self.descriptor.as_fd(), R::MAX, Deadline::after(timeout))
            .map_err(|fault| self.error(fault))?;
        self.decode(&payload)
    }

    /// Waits for one message and takes the descriptors sent with it.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_with(&self, timeout: Option<Duration>) -> Result<(R, Vec<OwnedFd>), ChannelError> {
        let (payload, descriptors) = frame::read_with(self.descriptor.as_fd(), R::MAX, Deadline::after(timeout))
            .map_err(|fault| self.error(fault))?;
        Ok((self.decode(&payload)?, descriptors))
    }

    /// Whether something has come (or the other end is closed), without waiting.
    ///
    /// # Errors
    /// The operating system refused to look.
    pub fn is_ready(&self) -> Result<bool, ChannelError> {
        let ready = frame::poll_readable(&[self.descriptor.as_fd()], Deadline::after(Some(Duration::ZERO)));
        ready.map(|ready| !ready.is_empty()).map_err(|error| self.error(Fault::Io(error)))
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`receive`](Self::receive).
    pub fn call(&self, request: &S, timeout: Duration) -> Result<R, ChannelError> {
        self.send(request)?;
        self.receive(Some(timeout))
    }

    fn encode(&self, message: &S) -> Result<Vec<u8>, ChannelError> {
        let payload = postcard::to_allocvec(message).map_err(|_| self.error(Fault::Malformed))?;
        if payload.len() > S::MAX {
            return Err(self.error(Fault::TooLong { announced: payload.len(), allowed: S::MAX }));
        }
        Ok(payload)
    }

    /// Exactly one message: bytes left over are as wrong as bytes missing.
    fn decode(&self, payload: &[u8]) -> Result<R, ChannelError> {
        match postcard::take_from_bytes(payload) {
            Ok((message, [])) => Ok(message),
            Ok(_) | Err(_) => Err(self.error(Fault::Malformed)),
        }
    }
}

impl<S, R> AsFd for Channel<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The two ends of a channel-to-be: connected stream sockets, closed on exec, that do not block.
///
/// # Errors
/// No descriptors are left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    // The standard library knows which systems can open them closed on exec, and what to do on the others.
    let (one, other) = UnixStream::pair()?;
    one.set_nonblocking(true)?;
    other.set_nonblocking(true)?;
    Ok((one.into(), other.into()))
}

/// Waits until one of `descriptors` can be read or was closed by the other end, at most for `timeout`.
///
/// Returns the indices of those, none of them when the time is up.
///
/// # Errors
/// The operating system refused to wait.
pub fn wait_readable(descriptors: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
    frame::poll_readable(descriptors, Deadline::after(timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Word {
        One(String),
        Two { number: u64 },
    }

    impl Message for Word {
        const MAX: usize = 32;

        fn word(&self) -> &'static str {
            match self {
                Self::One(_) => "one",
                Self::Two { .. } => "two",
            }
        }
    }

    fn ends() -> (Channel<Word, Word>, Channel<Word, Word>) {
        let (left, right) = pair().expect("a socket pair");
        (Channel::new(left, "right"), Channel::new(right, "left"))
    }

    const SOON: Option<Duration> = Some(Duration::from_millis(20));

    #[test]
    fn messages_arrive_in_order_and_whole() {
        let (left, right) = ends();
        left.send(&Word::One("a".into())).expect("sent");
        left.send(&Word::Two { number: u64::MAX }).expect("sent");
        assert_eq!(right.receive(SOON).expect("received"), Word::One("a".into()));
        assert_eq!(right.receive(SOON).expect("received"), Word::Two { number: u64::MAX });
    }

    #[test]
    fn silence_is_a_timeout_that_names_the_peer() {
        let (left, _right) = ends();
        let error = left.receive(SOON).expect_err("nothing was sent");
        assert_eq!(error.to_string(), "the right process did not answer in time");
    }

    #[test]
    fn a_vanished_peer_is_told_apart() {
        let (left, right) = ends();
        drop(right);
        assert!(left.receive(SOON).expect_err("gone").is_vanished());
        assert!(left.send(&Word::Two { number: 1 }).expect_err("gone").is_vanished());
    }

    #[test]
    fn a_message_may_not_be_longer_than_its_type_says() {
        let (left, right) = ends();
        let long = Word::One("x".repeat(64));
        assert!(matches!(left.send(&long).expect_err("too long").fault, Fault::TooLong { allowed: 32, .. }));
        // What a hostile peer writes past the typed interface is refused by length alone, before it is read.
        rustix::io::write(left.as_fd(), &4_000_000_000_u32.to_le_bytes()).expect("written");
        let error = right.receive(SOON).expect_err("too long");
        assert!(matches!(error.fault, Fault::TooLong { announced: 4_000_000_000, allowed: 32 }), "{error}");
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        for payload in [&[9_u8, 9, 9][..], &[], &[0, 200, b'x'], &[1, 1, 1, 1]] {
            let (left, right) = ends();
            frame::write(left.as_fd(), payload, Deadline::after(SOON)).expect("written");
            let error = right.receive(SOON).expect_err("no message");
            assert!(matches!(error.fault, Fault::Malformed), "{payload:?}: {error}");
        }
    }

    #[test]
    fn a_peer_that_dies_in_mid_message_is_vanished() {
        let (left, right) = ends();
        rustix::io::write(left.as_fd(), &[10, 0, 0, 0, 1, 2]).expect("written");
        drop(left);
        assert!(right.receive(SOON).expect_err("cut short").is_vanished());
    }

    #[test]
    fn descriptors_travel_beside_a_message() {
        let (left, right) = ends();
        let (mine, yours) = pair().expect("a socket pair");
        left.send_with(&Word::Two { number: 7 }, &[yours.as_fd()]).expect("sent");
        drop(yours);
        let (message, descriptors) = right.receive_with(SOON).expect("received");
        assert_eq!(message, Word::Two { number: 7 });
        assert_eq!(descriptors.len(), 1);
        rustix::io::write(&mine, b"ping").expect("written");
        let mut buffer = [0; 8];
        assert_eq!(rustix::io::read(descriptors.first().expect("one"), &mut buffer).expect("read"), 4);
    }

    #[test]
    fn every_truncation_of_a_message_is_refused_without_panic() {
        let whole = postcard::to_allocvec(&Word::One("truncate me".into())).expect("encoded");
        for length in 0..whole.len() {
            let (left, right) = ends();
            let cut = whole.get(..length).expect("shorter");
            frame::write(left.as_fd(), cut, Deadline::after(SOON)).expect("written");
            assert!(right.receive(SOON).is_err(), "{length} bytes of {}", whole.len());
        }
    }
}
