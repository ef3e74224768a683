//! `sandbox`: what it permits, and what it did.

pub(crate) mod policy;
pub(crate) mod report;
mod symbol;
