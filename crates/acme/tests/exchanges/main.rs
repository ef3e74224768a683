//! Whole exchanges with a small CA, under a clock that only moves when a task waits.

mod driving;
mod faults;
mod hostile;
mod issuing;
mod random;
mod registering;
mod renewing;
mod revoking;
mod wire;
mod world;
