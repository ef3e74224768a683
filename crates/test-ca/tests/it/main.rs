//! The authority as a client sees it, over TLS: what it does, what it refuses, and each of its faults.
#![forbid(unsafe_code)]

mod client;
mod command;
mod faults;
mod flow;
mod refusals;
mod web;
