//! Temporary.
use crate::error::Result;
use crate::place::Place;
use std::path::PathBuf;
pub(crate) const DYNAMIC: &str = "+dynamic";
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    pub(crate) directory: PathBuf,
}
pub(crate) fn built(place: &Place, target: &str, _tell: &(dyn Fn(&str) + Sync)) -> Result<Artifacts> {
    Ok(Artifacts { directory: place.cached(&format!("hand/{target}"))? })
}
pub(crate) fn agent(place: &Place, target: &str, _tell: &(dyn Fn(&str) + Sync)) -> Result<PathBuf> {
    Ok(place.cached("hand")?.join(format!("agent-{target}")))
}
