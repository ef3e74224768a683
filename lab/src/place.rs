//! Where things are: the checkout, and what is kept between runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{At, Error, Result};

/// The directories of a run.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The checkout.
    pub(crate) source: PathBuf,
    /// Packages, kernels, C libraries, programs. All of it can be removed: it is fetched and made again.
    pub(crate) cache: PathBuf,
}

impl Place {
    /// The checkout that the lab was built from, and `$ACME_LAB_CACHE`, `$XDG_CACHE_HOME/acme-client-lab` or
    /// `~/.cache/acme-client-lab`.
    pub(crate) fn find() -> Result<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned);
        let source = source.ok_or_else(|| Error::new("the lab is not in a checkout"))?;
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = variable("ACME_LAB_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|at| at.join("acme-client-lab")))
            .or_else(|| variable("HOME").map(|at| at.join(".cache/acme-client-lab")))
            .ok_or_else(|| Error::new("there is no place for a cache: set ACME_LAB_CACHE"))?;
        fs::create_dir_all(&cache).at(&cache)?;
        Ok(Self { source, cache })
    }

    /// A directory of the cache, made if it is missing.
    pub(crate) fn cached(&self, name: &str) -> Result<PathBuf> {
        let path = self.cache.join(name);
        fs::create_dir_all(&path).at(&path)?;
        Ok(path)
    }

    /// A log, for more than a line of words.
    pub(crate) fn log(&self, name: &str) -> Result<PathBuf> {
        Ok(self.cached("logs")?.join(format!("{name}.log")))
    }

    /// Lets only one lab at a time change what is kept. Held until it is dropped.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.cache.join("lock");
        let file = File::create(&path).at(&path)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|error| Error::file(&path, &error.into()))?;
        Ok(file)
    }
}
