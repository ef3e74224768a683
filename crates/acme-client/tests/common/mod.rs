//! What the tests with real servers have in common.

#[path = "../whole/program.rs"]
pub(crate) mod program;

pub(crate) mod disk;
pub(crate) mod processes;
pub(crate) mod scene;
pub(crate) mod servers;
pub(crate) mod trace;
pub(crate) mod web;
