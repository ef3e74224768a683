//! The choice of the back end: the only place that asks for the operating system.
//!
//! A back end is a `Plan` (what [`prepare`](crate::Sandbox::prepare) makes, and how it is applied), the list of its layers,
//! and what the machine offers. What it makes of promises is data, and tested on every system.

pub(crate) mod layers;
#[cfg(any(target_os = "linux", target_os = "openbsd", target_os = "freebsd", target_os = "macos"))]
mod posix;
pub(crate) mod words;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::Listener;
#[cfg(target_os = "linux")]
pub(crate) use linux::{
    CALLS, LAYERS, PATHS, Plan, ask_for_listener, call_name, calls_allowed, can_become, machine, policy, threads,
};

#[cfg(not(target_os = "linux"))]
mod no_listener;
#[cfg(not(target_os = "linux"))]
pub use no_listener::Listener;
#[cfg(not(target_os = "linux"))]
pub(crate) use no_listener::{ask_for_listener, call_name, calls_allowed, policy, threads};

#[cfg(target_os = "openbsd")]
mod openbsd;
#[cfg(target_os = "openbsd")]
pub(crate) use openbsd::{CALLS, LAYERS, PATHS, Plan, machine};

#[cfg(target_os = "freebsd")]
mod freebsd;
#[cfg(target_os = "freebsd")]
pub(crate) use freebsd::{CALLS, LAYERS, PATHS, Plan, machine};

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub(crate) use macos::{CALLS, LAYERS, PATHS, Plan, machine};

#[cfg(any(target_os = "openbsd", target_os = "freebsd", target_os = "macos"))]
pub(crate) use posix::identity::can_become;

#[cfg(not(any(target_os = "linux", target_os = "openbsd", target_os = "freebsd", target_os = "macos")))]
mod none;
#[cfg(not(any(target_os = "linux", target_os = "openbsd", target_os = "freebsd", target_os = "macos")))]
pub(crate) use none::{CALLS, LAYERS, PATHS, Plan, can_become, machine};
