//! Systems without a back end: nothing is held, and the report says so.

use crate::error::Error;
use crate::report::{Layer, LayerReport, Outcome, Report};
use crate::sandbox::{HandOff, Identity, Sandbox};

pub(crate) use super::layers::ELSEWHERE as LAYERS;
/// Unavailable, like all others.
pub(crate) const PATHS: Layer = Layer::Landlock;
/// Unavailable, like all others.
pub(crate) const CALLS: Layer = Layer::Seccomp;

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
        report.layers = machine(&LAYERS);
        report
    }
}

/// No layer is offered.
pub(crate) fn machine(layers: &[Layer]) -> Vec<LayerReport> {
    let missing = || Outcome::Unavailable("there is no sandbox for this operating system".to_owned());
    layers.iter().map(|layer| LayerReport::new(*layer, missing())).collect()
}

/// By what is common to all systems.
pub(crate) fn can_become(_: Identity) -> Result<(), &'static str> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err("it does not run as root") }
}
