//! Why a process was not sealed.

use core::fmt;
use std::io;

use crate::report::{Layer, Outcome};

/// Why a process was not sealed. After an error from [`seal`](crate::Prepared::seal) some layers may hold and others
/// not: the process should end.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A layer that is required cannot be had.
    Required {
        /// The sandbox's name.
        name: String,
        /// The layer.
        layer: Layer,
        /// What became of it instead.
        outcome: Outcome,
    },
    /// The process has more than one thread; a seal would hold for the calling one only.
    Threads {
        /// The sandbox's name.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// What the process does works without a sandbox, and with no single layer left out.
    Rehearsal {
        /// The sandbox's name.
        name: String,
        /// What went wrong with all layers.
        why: String,
    },
    /// A directory handle cannot be used in a rule.
    Path {
        /// The sandbox's name.
        name: String,
        /// Why.
        cause: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required { name, layer, outcome } => write!(
                f,
                "cannot seal {name}: the layer {layer} is required but {}: {}",
                outcome.word(),
                outcome.text()
            ),
            Self::Threads { name, count } => write!(
                f,
                "cannot seal {name}: the process has {count} threads, and a seal holds for one; seal before starting any"
            ),
            Self::Rehearsal { name, why } => write!(
                f,
                "cannot seal {name}: more than one layer of the sandbox is in its way on this machine ({why})"
            ),
            Self::Path { name, cause } => {
                write!(f, "cannot seal {name}: one of its directories cannot be put under a rule: {cause}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Path { cause, .. } => Some(cause),
            Self::Required { .. } | Self::Threads { .. } | Self::Rehearsal { .. } => None,
        }
    }
}
