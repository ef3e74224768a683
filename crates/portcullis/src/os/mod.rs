//! The choice of the back end: the only place that asks for the operating system.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Plan, calls_allowed, machine, threads};

#[cfg(not(target_os = "linux"))]
mod none;
#[cfg(not(target_os = "linux"))]
pub(crate) use none::{Plan, calls_allowed, machine, threads};
