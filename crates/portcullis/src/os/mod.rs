//! The choice of the back end: the only place that asks for the operating system.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::Listener;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Plan, ask_for_listener, call_name, calls_allowed, can_become, machine, policy, threads};

#[cfg(not(target_os = "linux"))]
mod no_listener;
#[cfg(not(target_os = "linux"))]
mod none;
#[cfg(not(target_os = "linux"))]
pub use no_listener::Listener;
#[cfg(not(target_os = "linux"))]
pub(crate) use none::{Plan, ask_for_listener, call_name, calls_allowed, can_become, machine, policy, threads};
