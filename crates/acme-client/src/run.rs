//! The supervisor: starts the roles, seals itself, watches what they do, and ends them.

pub(crate) mod crew;
pub(crate) mod kernel;
pub(crate) mod plan;
pub(crate) mod records;
pub(crate) mod watch;
