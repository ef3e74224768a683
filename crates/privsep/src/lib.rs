//! Roles as processes.
//!
//! A program that must not be trusted as a whole is cut into *roles*. Each role is a process of its own, started by
//! executing the program's own binary again, so that it shares no memory with the others, and it is given one end of
//! each channel it needs and nothing else.
//!
//! * [`Launcher`] starts a role; [`Startup`] is the first thing that role does.
//! * [`Channel`] carries typed, bounded messages: what may be sent one way does not compile the other way, and what
//!   arrives is checked for length before it is read and for form before it is used.
//! * [`Descriptors`](Channel::send_with) travel beside a message.
//! * [`Mouth`] is what a role says on its standard error, made safe to print.
//!
//! Channels are stream sockets used with `read` and `write` alone (`sendmsg` and `recvmsg` only where a descriptor is
//! passed), and all waiting is `poll` with a timeout, so that a role needs the same few system calls on every C library
//! and architecture. This crate knows nothing of sandboxes, nor of what the roles are for.
#![forbid(unsafe_code)]

mod channel;
mod error;
mod frame;
mod log;
mod process;

pub use channel::{Channel, Message, Never, pair, wait_readable};
pub use error::{ChannelError, Fault};
pub use log::{Mouth, printable};
pub use process::{Ended, Launcher, Process, Role, Startup, own_program, spawn};
