//! The layers of each system, in the order of the report.

use crate::report::Layer;

#[cfg(any(test, target_os = "linux"))]
pub(crate) const LINUX: [Layer; 10] = [
    Layer::NoNewPrivileges,
    Layer::NotDumpable,
    Layer::Identity,
    Layer::Capabilities,
    Layer::Root,
    Layer::Namespaces,
    Layer::Limits,
    Layer::Mdwe,
    Layer::Landlock,
    Layer::Seccomp,
];

#[cfg(any(test, target_os = "openbsd"))]
pub(crate) const OPENBSD: [Layer; 5] = [Layer::Identity, Layer::Root, Layer::Limits, Layer::Unveil, Layer::Pledge];

#[cfg(any(test, target_os = "freebsd"))]
pub(crate) const FREEBSD: [Layer; 6] =
    [Layer::NoNewPrivileges, Layer::NotDumpable, Layer::Identity, Layer::Root, Layer::Limits, Layer::Capsicum];

#[cfg(any(test, target_os = "macos"))]
pub(crate) const MACOS: [Layer; 5] = [Layer::NotDumpable, Layer::Identity, Layer::Root, Layer::Limits, Layer::Seatbelt];

/// Those of all systems: whichever is asked for, the report says that it does not hold.
#[cfg(not(any(target_os = "linux", target_os = "openbsd", target_os = "freebsd", target_os = "macos")))]
pub(crate) const ELSEWHERE: [Layer; Layer::ALL.len()] = Layer::ALL;
