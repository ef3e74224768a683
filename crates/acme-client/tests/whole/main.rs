//! The program as a whole, run as its users run it, against a CA of its own.

mod drills;
mod hostile;
mod interrupted;
mod issuing;
mod otherwise;
#[cfg(target_os = "linux")]
mod outer;
mod policy;
mod preloads;
mod program;
mod records;
mod resolving;
mod scene;
