//! What a sealed process was refused.

use core::fmt;

use syscall_policy::calls;

/// A system call that a sealed process made, and was refused softly.
///
/// Arguments are shapes, not values: what a pointer leads to is never looked at, and large numbers are not told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Refused {
    /// The process.
    pub pid: u32,
    /// The call's number.
    pub number: u32,
    /// Its name. `None`: no kernel had this number when this crate was made.
    pub call: Option<String>,
    /// The class it is in, by name.
    pub class: Option<String>,
    /// Its arguments: small numbers and known flags as they are, of others only how many bits they have.
    pub arguments: Vec<String>,
    /// The error it was answered with, by its name in C.
    pub answer: String,
    /// Where in the process's memory it was made.
    pub address: u64,
}

/// A system call that a copy of a process was refused in a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Trapped {
    /// The call's number.
    pub number: u32,
    /// Its name. `None`: no kernel had this number when this crate was made.
    pub call: Option<String>,
    /// The class it is in, by name.
    pub class: Option<String>,
    /// Where in the copy's memory it was made, which is where it would be in the process's own.
    pub address: u64,
}

impl Trapped {
    pub(crate) fn new(number: u32, call: Option<&str>, address: u64) -> Self {
        let class = call.and_then(calls::call).map(|call| call.class.name().to_owned());
        Self { number, call: call.map(str::to_owned), class, address }
    }
}

impl fmt::Display for Trapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.call, &self.class) {
            (Some(call), Some(class)) => write!(f, "{call} ({class})"),
            (Some(call), None) => f.write_str(call),
            (None, _) => write!(f, "system call {}", self.number),
        }
    }
}

/// A line that a process sealed with [`Sandbox::naming`](crate::Sandbox::naming) ended with: the call's number, its name if
/// it has one, and the address it was made at.
#[must_use]
pub fn trapped_call(line: &str) -> Option<(u32, Option<&'static str>, u64)> {
    let (number, address) = line.trim().strip_prefix("TRAPPED ")?.split_once(' ')?;
    let number = u32::from_str_radix(number, 16).ok()?;
    let address = u64::from_str_radix(address, 16).ok()?;
    Some((number, crate::os::call_name(number), address))
}
