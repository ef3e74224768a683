//! Linux system calls in classes of power, and a compiler from granted classes to seccomp filters.
//!
//! Lists of calls made from what one machine was seen to do break when the C library, architecture, kernel or
//! toolchain changes. Here a policy names *powers* ([`Class`]) instead: each call of each architecture is in one class
//! ([`calls`]), all variants of a call are in the class of their power, and numbers ([`Arch::table`]) are a matter of
//! their own. From a [`Policy`] comes a filter ([`compile`]), and a [proof](prove) that the filter does what the policy
//! says, for every number and all arguments.
//!
//! ```
//! use syscall_policy::{Arch, Class, Policy, Verdict, compile, prove};
//!
//! let policy = Policy::new([Class::ReadHeld, Class::WriteHeld, Class::Memory, Class::Exit]);
//! // The same policy on two architectures: other numbers, the same powers.
//! for arch in [Arch::X86_64, Arch::Aarch64] {
//!     let filter = compile(&policy, arch);
//!     prove(&policy, arch, &filter).expect("the filter does what the policy says");
//!     let read = arch.number("read").unwrap();
//!     assert_eq!(policy.verdict(arch, read, &[0; 6]), Verdict::Allow);
//! }
//! ```
//!
//! This crate never asks the operating system anything: it is data in, data out, runs anywhere, and is `no_std`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod arch;
pub mod bpf;
pub mod calls;
mod class;
mod compare;
mod compile;
mod disassemble;
mod errno;
pub mod interpret;
mod names;
mod policy;
mod proof;
mod rule;
mod rules;
mod tables;

pub use arch::Arch;
pub use bpf::Instruction;
pub use class::{Class, Refusal};
pub use compare::{Comparison, Difference, cells, compare};
pub use compile::compile;
pub use disassemble::disassemble;
pub use errno::Errno;
pub use policy::{Answer, Data, Policy, Soft, Verdict};
pub use proof::{Proof, Refuted, prove};
pub use rule::{Arm, Condition, Decision, Rule, Width};
pub use tables::Table;

/// The README, run as it is shown.
#[cfg(doctest)]
mod shown {
    #[doc = include_str!("../README.md")]
    struct Readme;
}
