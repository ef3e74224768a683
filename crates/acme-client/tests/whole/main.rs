//! The program as a whole, run as its users run it.

mod drills;
mod program;
