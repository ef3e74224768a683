//! `sandbox`: what it did, and what it is made of.

pub(crate) mod report;
mod symbol;
