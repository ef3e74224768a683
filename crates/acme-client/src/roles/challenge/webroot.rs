//! http-01 by files beneath a directory that a web server serves.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use acme::{KeyAuthorization, Thumbprint, Token};
use portcullis::Identity;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat};

use crate::durable;
use crate::error::{file, reason};
use crate::messages::Check;

/// Where the CA looks (RFC 8555 section 8.3).
const WELL_KNOWN: &str = ".well-known/acme-challenge";

/// The directory for challenges beneath a web server's root.
#[derive(Debug)]
pub(crate) struct Webroot {
    path: PathBuf,
    directory: OwnedFd,
    owner: (u32, u32),
    /// With their files, whose locks say that somebody still needs them.
    published: Vec<(Token, Option<OwnedFd>)>,
    /// What was there already, and may be of a run that was killed.
    found: Vec<(Token, OwnedFd)>,
}

/// How many files of earlier runs are looked at, and proofs are published at a time (a certificate has a hundred names
/// at most): each takes a descriptor.
pub(crate) const MAX_FILES: u64 = 256;

/// Readable by the web server, whoever that is.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::ROTH);

impl Webroot {
    /// Opens (and makes, if need be) the directory for challenges.
    ///
    /// `owner` is the role's user where it has one of its own. A directory that is root's becomes the role's; one that
    /// is somebody else's stays so, and the role works as that user: see [`identity`].
    pub(crate) fn acquire(webroot: &Path, owner: Option<(u32, u32)>) -> Result<Self, String> {
        if !fs::metadata(webroot).map_err(|error| file("use the webroot", webroot, error))?.is_dir() {
            return Err(format!("the webroot {} is no directory", webroot.display()));
        }
        let path = webroot.join(WELL_KNOWN);
        fs::create_dir_all(&path).map_err(|error| file("create the directory", &path, error))?;
        let directory = durable::directory(&path).map_err(|error| file("open", &path, error))?;
        let stat = fstat(&directory).map_err(|error| file("look at", &path, error))?;
        let mut owned = (stat.st_uid, stat.st_gid);
        if let Some(owner) = owner
            && owned.0 == 0
        {
            let user = Some(rustix::fs::Uid::from_raw(owner.0));
            rustix::fs::fchown(&directory, user, None).map_err(|error| file("take over", &path, error))?;
            owned = owner;
        }
        let found = found(&path, &directory);
        let webroot = Self { path, directory, owner: owned, published: Vec::new(), found };
        if owner.is_none() {
            webroot.try_out()?;
        }
        Ok(webroot)
    }

    /// A second handle on the directory.
    pub(crate) fn handle(&self) -> io::Result<OwnedFd> {
        self.directory.try_clone()
    }

    /// The key authorization under the name of the token.
    pub(crate) fn publish(&mut self, token: &Token, authorization: &KeyAuthorization) -> Result<(), String> {
        // Before there is a file, so that it is taken back whatever happens.
        self.published.push((token.clone(), None));
        let written = durable::create(self.directory.as_fd(), token.as_str(), MODE).and_then(|file| {
            // Where files cannot be locked nobody clears away what is not.
            let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
            durable::write_all(&file, authorization.as_str().as_bytes())?;
            Ok(file)
        });
        let file = written.map_err(|error| file("write the challenge", &self.path.join(token.as_str()), error))?;
        if let Some((_, held)) = self.published.last_mut() {
            *held = Some(file);
        }
        Ok(())
    }

    /// Removes the token's file.
    pub(crate) fn withdraw(&mut self, token: &Token) -> Result<(), String> {
        let at = self.published.iter().position(|(published, _)| published == token);
        drop(self.published.swap_remove(at.ok_or("that token was not published")?));
        if self.is_published(token) {
            // Certificates with a name in common may share a token.
            return Ok(());
        }
        durable::remove(self.directory.as_fd(), token.as_str())
            .map_err(|error| file("remove the challenge", &self.path.join(token.as_str()), error))
    }

    /// Removes what is there, as far as it goes.
    pub(crate) fn withdraw_all(&mut self) {
        while let Some((token, _)) = self.published.pop() {
            let _ = durable::remove(self.directory.as_fd(), token.as_str());
        }
    }

    /// Removes proofs of this account that runs have left which were killed. A file that is locked is needed by a run
    /// that is under way; one with other content is not ours.
    pub(crate) fn clear_away(&mut self, thumbprint: &Thumbprint) {
        for (token, file) in core::mem::take(&mut self.found) {
            let ours = KeyAuthorization::new(&token, thumbprint);
            if !self.is_published(&token) && is_left(&file, ours.as_str()) {
                let _ = durable::remove(self.directory.as_fd(), token.as_str());
            }
        }
    }

    fn is_published(&self, token: &Token) -> bool {
        self.published.iter().any(|(published, _)| published == token)
    }

    /// Sees that a file can be made, before the CA is asked anything.
    pub(crate) fn try_out(&self) -> Result<(), String> {
        durable::try_out(self.directory.as_fd()).map_err(|error| file("write to", &self.path, error))
    }

    /// The same in a copy of the process.
    pub(crate) fn canary(&self) -> Result<(), String> {
        durable::canary(self.directory.as_fd())
    }

    /// Writes and removes a file.
    pub(crate) fn self_test(&mut self) -> Check {
        let tried = self.try_out();
        Check {
            what: "writes and removes a file beneath the webroot".into(),
            ok: tried.is_ok(),
            detail: tried.err().unwrap_or_else(|| self.path.display().to_string()),
        }
    }
}

/// Files that are called like tokens. Whether they are ours is seen when the account is known, and read by then: what
/// another run is writing at this moment is finished, and locked.
fn found(path: &Path, directory: &OwnedFd) -> Vec<(Token, OwnedFd)> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let tokens = entries.filter_map(|entry| Token::parse(entry.ok()?.file_name().to_str()?).ok());
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = tokens.filter_map(|token| {
        let file = rustix::fs::openat(directory, token.as_str(), flags, Mode::empty()).ok()?;
        Some((token, file))
    });
    opened.take(usize::try_from(MAX_FILES).unwrap_or(usize::MAX)).collect()
}

/// Whether a file is what a killed run has left: nobody holds its lock, it has not been replaced, and it holds our proof
/// as far as that was written.
fn is_left(file: &OwnedFd, proof: &str) -> bool {
    let mut content = [0; 512];
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && fstat(file).is_ok_and(|stat| stat.st_nlink > 0)
        && rustix::io::read(file, &mut content)
            .is_ok_and(|got| content.get(..got).is_some_and(|content| proof.as_bytes().starts_with(content)))
}

/// The user that the role has to be to write to the webroots, if there are any. Those that belong to another user than
/// the first one cannot be written to.
pub(crate) fn identity(webroots: &mut [Result<Webroot, String>]) -> Option<Identity> {
    let (user, group, path) = {
        let first = webroots.iter().flatten().next()?;
        (first.owner.0, first.owner.1, first.path.clone())
    };
    for webroot in webroots {
        let other = webroot.as_ref().ok().filter(|other| other.owner.0 != user).map(|other| {
            format!(
                "{} and {} belong to different users, and one process cannot write to both; give both to one user",
                other.path.display(),
                path.display()
            )
        });
        if let Some(text) = other {
            *webroot = Err(text);
        }
    }
    Some(Identity { uid: user, gid: group })
}

/// Whether a webroot is there, for `check`.
pub(crate) fn exists(webroot: &Path) -> Result<(), String> {
    let metadata =
        fs::metadata(webroot).map_err(|error| format!("webroot {}: {}", webroot.display(), reason(&error)))?;
    let root = rustix::process::geteuid();
    let mine = root.is_root() || metadata.uid() == root.as_raw() || metadata.mode() & 0o022 != 0;
    match (metadata.is_dir(), mine) {
        (false, _) => Err(format!("webroot {} is no directory", webroot.display())),
        (true, false) => Err(format!("webroot {} belongs to another user", webroot.display())),
        (true, true) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn published(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory.join(WELL_KNOWN)).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
    }

    #[test]
    fn a_token_is_published_for_everybody_and_taken_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut webroot = Webroot::acquire(directory.path(), None).expect("a webroot");
        let token: Token = Token::parse("abc-_123").expect("a token");
        let thumbprint = Thumbprint::parse("0123456789012345678901234567890123456789012").expect("a thumbprint");
        let authorization = KeyAuthorization::new(&token, &thumbprint);
        webroot.publish(&token, &authorization).expect("published");
        let path = directory.path().join(WELL_KNOWN).join("abc-_123");
        assert_eq!(fs::read_to_string(&path).expect("a file"), format!("abc-_123.{}", thumbprint.as_str()));
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o644);
        webroot.withdraw(&token).expect("withdrawn");
        assert!(published(directory.path()).is_empty());
        assert!(webroot.withdraw(&token).is_err());

        webroot.publish(&token, &authorization).expect("published");
        webroot.publish(&token, &authorization).expect("published again over what was left");
        webroot.withdraw_all();
        assert!(published(directory.path()).is_empty());
    }

    #[test]
    fn what_a_killed_run_has_left_is_cleared_away_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let thumbprint = Thumbprint::parse("0123456789012345678901234567890123456789012").expect("a thumbprint");
        let mut running = Webroot::acquire(directory.path(), None).expect("a webroot");
        let token: Token = Token::parse("still-needed").expect("a token");
        running.publish(&token, &KeyAuthorization::new(&token, &thumbprint)).expect("published");
        for (name, content) in [
            ("left", format!("left.{thumbprint}")),
            ("begun", "begun.0123".to_owned()),
            ("empty", String::new()),
            ("of-another", "of-another.1123456789012345678901234567890123456789012".to_owned()),
            ("longer", format!("longer.{thumbprint}\n")),
            ("a.page", format!("a.page.{thumbprint}")),
        ] {
            fs::write(directory.path().join(WELL_KNOWN).join(name), content).expect("written");
        }
        let mut webroot = Webroot::acquire(directory.path(), None).expect("a webroot");
        webroot.clear_away(&thumbprint);
        let mut left = published(directory.path());
        left.sort_unstable();
        assert_eq!(left, ["a.page", "longer", "of-another", "still-needed"]);

        // A token that is published again meanwhile is needed.
        drop(running);
        let mut webroot = Webroot::acquire(directory.path(), None).expect("a webroot");
        webroot.publish(&token, &KeyAuthorization::new(&token, &thumbprint)).expect("published");
        webroot.clear_away(&thumbprint);
        assert!(published(directory.path()).contains(&"still-needed".to_owned()));
    }

    #[test]
    fn a_webroot_that_cannot_be_used_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("missing");
        let error = Webroot::acquire(&missing, None).expect_err("missing");
        assert!(error.contains("missing") && error.contains("no such file"), "{error}");
        fs::write(&missing, "").expect("written");
        assert!(Webroot::acquire(&missing, None).expect_err("a file").contains("no directory"));
    }
}
