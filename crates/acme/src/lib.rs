//! The ACME protocol (RFC 8555), the client's side, without anything that touches the world.
//!
//! There is no clock here, no socket, no key and no randomness. A [`Task`] says what has to be done ([`Action`]) and is
//! told what came of it; time ([`Now`]), replies and signatures are its inputs. So the whole protocol, sixty days of it
//! if need be, runs in a test without waiting, and the process that parses what a server sends needs to hold nothing.
//!
//! Any number of tasks share one [`Session`]: [`Register`] finds or creates the account, [`Issue`] gets a certificate,
//! [`Revoke`] revokes one, [`FetchRenewalInfo`] asks when to renew one. All are driven in the same way:
//!
//! ```
//! use acme::{Action, Error, Now, Outcome, Reply, Request, Session, Task, ToSign};
//!
//! /// What the caller can do.
//! trait World {
//!     fn now(&self) -> Now;
//!     fn sleep(&mut self, time: core::time::Duration);
//!     fn send(&mut self, request: Request) -> Result<Reply, String>;
//!     fn sign(&mut self, request: &ToSign) -> Vec<u8>;
//!     fn csr(&mut self) -> Vec<u8>;
//!     /// Remember, publish or withdraw something.
//!     fn act(&mut self, action: &Action) -> Result<(), String>;
//! }
//!
//! fn drive(task: &mut dyn Task, session: &mut Session, world: &mut dyn World) -> Result<Outcome, Error> {
//!     loop {
//!         match task.poll(session, world.now()) {
//!             Action::Send(request) => match world.send(request) {
//!                 Ok(reply) => task.reply(session, reply, world.now()),
//!                 Err(text) => task.transport_failed(session, &text, world.now()),
//!             },
//!             Action::Sign(request) => task.signed(session, world.sign(&request)),
//!             Action::Csr => task.csr(world.csr()),
//!             Action::Wait(time) => world.sleep(time),
//!             Action::Done(outcome) => return Ok(outcome),
//!             Action::Failed(error) => return Err(error),
//!             action => match world.act(&action) {
//!                 Ok(()) => task.done(),
//!                 Err(text) => task.refused(&text),
//!             },
//!         }
//!     }
//! }
//! ```
//!
//! What a server sends is believed as little as possible: every reply has a limit in bytes, every list one in elements,
//! every wait one in time; every URL is https and on a host that is allowed; tokens are base64url; texts are escaped
//! before anybody sees them. What is not known is ignored, what is not needed may be missing.
//!
//! The types that cross from one process to another ([`ToSign`] and what it is made of, [`Publication`]) check
//! themselves when they are deserialized, so whoever holds one holds a good one. [`jws`] is for the holder of the
//! account key, who builds every request from its fields and signs nothing else.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod base64url;
mod certificate;
mod error;
mod exchange;
mod identifier;
mod issue;
mod json;
pub mod jws;
mod link;
mod name;
mod objects;
mod payload;
mod pem;
mod problem;
mod profile;
mod register;
mod renewal_info;
pub mod retry_after;
mod revoke;
mod run;
mod session;
mod task;
mod text;
mod token;
mod url;
mod validate;

pub use error::{Advice, Error, ErrorKind, Failure, Stage};
pub use identifier::Identifier;
pub use issue::{Issue, IssueConfig};
pub use name::DnsName;
pub use objects::{
    Authorization, AuthorizationStatus, Challenge, ChallengeKind, ChallengeStatus, Directory, Meta, Order, OrderStatus,
};
pub use payload::{Payload, RevocationReason, Signer, ToSign};
pub use problem::{Problem, ProblemType, Subproblem};
pub use profile::{Profile, ProfileName};
pub use register::{Register, RegisterConfig};
pub use renewal_info::{CertId, FetchRenewalInfo, FetchRenewalInfoConfig, RenewalInfo};
pub use revoke::{Revoke, RevokeConfig};
pub use session::{Limits, Now, Reply, Session, SessionConfig};
pub use task::{Action, Method, Outcome, Publication, Request, Task};
pub use text::ParseError;
pub use token::{KeyAuthorization, Nonce, Thumbprint, Token};
pub use url::{MAX_URL, Origins, Url};
pub use validate::FIRST_POLL;
