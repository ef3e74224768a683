//! The program as a whole, run as its users run it, against a CA of its own.

mod drills;
mod hostile;
mod interrupted;
mod issuing;
mod program;
mod records;
mod scene;
