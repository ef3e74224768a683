//! What is said to the user when something cannot be done.

use core::fmt;
use std::path::Path;

/// An error in the words it is shown in: what failed, on what, and what to do about it.
#[derive(Debug)]
pub(crate) enum Error {
    /// The program was called in a way that makes no sense. Exit status 2.
    Usage(String),
    /// Something could not be done. Exit status 1.
    Failed(String),
}

/// The result of what the supervisor does itself.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Something could not be done.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// The program was called in a way that makes no sense.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// An operation on a file failed.
    pub(crate) fn file(doing: &str, path: &Path, error: impl Into<std::io::Error>) -> Self {
        Self::Failed(file(doing, path, error))
    }
}

/// The words for an operation on a file that failed.
pub(crate) fn file(doing: &str, path: &Path, error: impl Into<std::io::Error>) -> String {
    let error = error.into();
    format!("cannot {doing} {}: {}{}", path.display(), reason(&error), remedy(&error))
}

/// The system's words for an error, without its number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "; run as another user, or choose another directory",
        std::io::ErrorKind::StorageFull => "; make room and run again, nothing was replaced",
        std::io::ErrorKind::ReadOnlyFilesystem => "; choose another directory, or mount it for writing",
        _ => "",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}
