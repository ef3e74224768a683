//! What can go wrong between two roles.

use core::fmt;
use std::io;

/// A channel failed. Always names the other end.
#[derive(Debug)]
pub struct ChannelError {
    /// The role at the other end.
    pub peer: &'static str,
    /// What happened.
    pub fault: Fault,
}

/// How a channel failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The other end is closed: its process is gone.
    Vanished,
    /// The other end announced a message longer than its type allows.
    TooLong {
        /// Bytes announced.
        announced: usize,
        /// Bytes allowed.
        allowed: usize,
    },
    /// The bytes are no message of the type this channel carries.
    Malformed,
    /// A well-formed message that may not be sent now.
    OutOfTurn {
        /// What it was, in a word.
        message: &'static str,
    },
    /// Descriptors came where none belong, or are missing where some belong.
    Descriptors {
        /// How many came.
        got: usize,
        /// How many the message announces.
        expected: usize,
    },
    /// The other end did not answer, or did not read, in time.
    Timeout,
    /// The operating system refused.
    Io(io::Error),
}

impl ChannelError {
    /// A well-formed message that the protocol does not allow at this point.
    #[must_use]
    pub const fn out_of_turn(peer: &'static str, message: &'static str) -> Self {
        Self { peer, fault: Fault::OutOfTurn { message } }
    }

    /// Whether the other end is simply gone, which is how roles learn that the run is over.
    #[must_use]
    pub const fn is_vanished(&self) -> bool {
        matches!(self.fault, Fault::Vanished)
    }
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.peer;
        match &self.fault {
            Fault::Vanished => write!(f, "the {peer} process is gone"),
            Fault::TooLong { announced, allowed } => {
                write!(f, "the {peer} process sent a message of {announced} bytes where {allowed} are allowed")
            }
            Fault::Malformed => write!(f, "the {peer} process sent bytes that are no message"),
            Fault::OutOfTurn { message } => write!(f, "the {peer} process sent \"{message}\" out of turn"),
            Fault::Descriptors { got, expected } => {
                write!(f, "the {peer} process sent {got} descriptors where {expected} belong")
            }
            Fault::Timeout => write!(f, "the {peer} process did not answer in time"),
            Fault::Io(error) => write!(f, "the channel to the {peer} process failed: {error}"),
        }
    }
}

impl std::error::Error for ChannelError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Io(error) => Some(error),
            _ => None,
        }
    }
}
