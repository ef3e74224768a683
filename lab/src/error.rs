//! What goes wrong, in words.

use std::fmt;
use std::path::Path;

/// An error of the lab: one line that says what failed, and on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error(String);

/// What everything returns.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with these words. Only their first line is kept: there is a log for the others.
    pub(crate) fn new(words: impl Into<String>) -> Self {
        let words: String = words.into();
        Self(words.trim().lines().next().unwrap_or("no reason was given").to_owned())
    }

    /// An error about a file.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::new(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Says which file an error of input and output is about.
pub(crate) trait At<T> {
    /// Says so.
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|error| Error::file(path, &error))
    }
}
