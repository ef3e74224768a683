//! Why a process was not sealed: the operation, the layer, the cause.

use core::fmt;
use std::io;

use crate::errno;
use crate::report::{Layer, Outcome};

/// Why a process was not sealed. After an error from [`seal`](crate::Prepared::seal) some layers may hold and others
/// not: the process should end.
///
/// The text names the operation, the layer if it is about one, and the cause, with the name of the operating system's error
/// (`EPERM`) where there is one.
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
        /// The layer that the rule is of.
        layer: Layer,
        /// Which of the handles given to [`Sandbox::path`](crate::Sandbox::path), counted from 0.
        index: usize,
        /// Why.
        cause: io::Error,
    },
}

impl Error {
    /// The layer that could not be had, if it is about one.
    #[must_use]
    pub const fn layer(&self) -> Option<Layer> {
        match self {
            Self::Required { layer, .. } | Self::Path { layer, .. } => Some(*layer),
            Self::Threads { .. } | Self::Rehearsal { .. } => None,
        }
    }
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
            Self::Path { name, layer, index, cause } => write!(
                f,
                "cannot prepare {name}: the layer {layer} takes directories, and handle {index} of those given: {}",
                errno::described(cause)
            ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_operation_layer_and_cause() {
        let cause = io::Error::from_raw_os_error(libc::ENOTDIR);
        let error = Error::Path { name: "store".to_owned(), layer: Layer::Landlock, index: 1, cause };
        assert_eq!(
            error.to_string(),
            "cannot prepare store: the layer landlock takes directories, and handle 1 of those given: ENOTDIR: Not a \
             directory"
        );
        assert_eq!(error.layer(), Some(Layer::Landlock));
        let outcome =
            Outcome::Unavailable("seccomp(2): the kernel does not know it (EINVAL: Invalid argument)".to_owned());
        let error = Error::Required { name: "key".to_owned(), layer: Layer::Seccomp, outcome };
        assert_eq!(
            error.to_string(),
            "cannot seal key: the layer seccomp is required but unavailable: seccomp(2): the kernel does not know it \
             (EINVAL: Invalid argument)"
        );
    }
}
