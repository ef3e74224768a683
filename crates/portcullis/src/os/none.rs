//! Systems without a back end: nothing is held, and the report says so.

use syscall_policy::Policy;

use crate::error::Error;
use crate::promise::Promise;
use crate::report::{Layer, LayerReport, Outcome, Report};
use crate::sandbox::{HandOff, Identity, Sandbox};

/// Nothing to be done.
#[derive(Debug)]
pub(crate) struct Plan;

impl Plan {
    #[expect(clippy::unnecessary_wraps, reason = "other back ends can fail")]
    pub(crate) fn new(_: &Sandbox, _: &mut dyn FnMut(Layer)) -> Result<Self, Error> {
        Ok(Self)
    }

    pub(crate) fn apply(self, sandbox: &Sandbox, _: &mut dyn FnMut(Layer), _: Option<HandOff<'_>>) -> Report {
        let mut report = Report::new(&sandbox.name);
        report.layers = machine(&Layer::ALL);
        report
    }
}

/// No layer is offered.
pub(crate) fn machine(layers: &[Layer]) -> Vec<LayerReport> {
    let missing = || Outcome::Unavailable("there is no sandbox for this operating system".to_owned());
    layers.iter().map(|layer| LayerReport::new(*layer, missing())).collect()
}

/// System calls are not filtered, so none can be listed.
pub(crate) fn calls_allowed(_: &[Promise]) -> Vec<&'static str> {
    Vec::new()
}

/// There is none.
pub(crate) fn ask_for_listener() {}

/// Calls have no names here.
pub(crate) fn call_name(_: u32) -> Option<&'static str> {
    None
}

/// Promises stand for nothing that this system could be told.
pub(crate) fn policy(_: &[Promise]) -> Option<Policy> {
    None
}

/// By what is common to all systems.
pub(crate) fn can_become(_: Identity) -> Result<(), &'static str> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err("it does not run as root") }
}

/// Not known, and of no matter.
pub(crate) fn threads() -> Option<usize> {
    None
}
