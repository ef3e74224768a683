//! The authority as a client sees it, over TLS: what it does, what it refuses, and each of its faults.

#![expect(dead_code, unused_imports, reason = "the client can do more than is tested yet: RSA accounts")]
#![forbid(unsafe_code)]

mod client;
mod command;
mod faults;
mod flow;
mod refusals;
mod web;
