//! Where things are: the checkout, and what is kept between runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::{At, Error, Result};

/// The directories of a run.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The checkout.
    pub(crate) source: PathBuf,
    /// Packages, kernels, C libraries, programs. All of it can be removed: it is fetched and made again.
    pub(crate) cache: PathBuf,
}

/// What is kept between runs, as far as it is changed by one lab at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept {
    /// Programs, and what they are built from.
    Builds,
    /// Packages of Debian, and what was made of them.
    Packages,
    /// Compilers.
    Tools,
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

    /// Keeps others from removing what is kept, until it is dropped.
    pub(crate) fn used(&self) -> Result<File> {
        let path = self.cache.join("lock-use");
        let file = File::create(&path).at(&path)?;
        flock(&file, FlockOperation::LockShared).map_err(|error| Error::file(&path, &error.into()))?;
        Ok(file)
    }

    /// Makes sure that nobody else uses what is kept, until it is dropped.
    pub(crate) fn alone(&self) -> Result<File> {
        let path = self.cache.join("lock-use");
        let file = File::create(&path).at(&path)?;
        let wrong = |_| {
            Error::new(format!("another lab uses what is in {}: --refresh would take it away", self.cache.display()))
        };
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(wrong)?;
        Ok(file)
    }

    /// Lets only one lab at a time change what is kept of something. Held until it is dropped. Who builds takes that of its tools
    /// meanwhile, and nobody the other way round.
    pub(crate) fn lock(&self, what: Kept) -> Result<File> {
        let path = self.cache.join(match what {
            Kept::Builds => "lock-builds",
            Kept::Packages => "lock-packages",
            Kept::Tools => "lock-tools",
        });
        let file = File::create(&path).at(&path)?;
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).or_else(|_| {
            crate::complain(&format!("waiting for another lab, which uses {}", self.cache.display()));
            flock(&file, FlockOperation::LockExclusive)
        });
        locked.map_err(|error| Error::file(&path, &error.into()))?;
        Ok(file)
    }
}
