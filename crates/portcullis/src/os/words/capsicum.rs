//! What may be done with a held directory, and what was opened through it, in the words of rights(4).

use crate::promise::Promise;
use crate::sandbox::PathAccess;

/// A right on a descriptor: `CAP_READ` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Read,
    Write,
    Seek,
    Map,
    Lookup,
    Stat,
    StatSystem,
    Control,
    Events,
    Lock,
    Create,
    Truncate,
    Sync,
    Mode,
    Times,
    MakeDirectory,
    Unlink,
    RenameFrom,
    RenameTo,
    LinkFrom,
    LinkTo,
    Symlink,
}

use Right::{
    Control, Create, Events, LinkFrom, LinkTo, Lock, Lookup, MakeDirectory, Map, Mode, Read, RenameFrom, RenameTo,
    Seek, Stat, StatSystem, Symlink, Sync, Times, Truncate, Unlink, Write,
};

/// For a directory that was given to the sandbox.
///
/// What is opened through it has the same rights. Opening a directory to list it takes `CAP_READ`, so that whoever writes
/// can also read.
pub(crate) const fn given(access: PathAccess) -> &'static [Right] {
    match access {
        PathAccess::Read => &[Read, Seek, Map, Lookup, Stat, StatSystem, Control, Events, Lock],
        PathAccess::Write | PathAccess::ReadWrite => &[
            Read,
            Seek,
            Map,
            Lookup,
            Stat,
            StatSystem,
            Control,
            Events,
            Lock,
            Write,
            Create,
            Truncate,
            Sync,
            Mode,
            Times,
            MakeDirectory,
            Unlink,
            RenameFrom,
            RenameTo,
            LinkFrom,
            LinkTo,
            Symlink,
        ],
    }
}

/// For a directory that is held, and was not given: nothing leads from it anywhere.
pub(crate) const NOT_GIVEN: &[Right] = &[Stat, Control];

/// Whether capability mode leaves what a promise is for: connect(2) is refused in it, and so are kill(2) of others and
/// wait4(2).
pub(crate) const fn keeps(promise: Promise) -> bool {
    !matches!(promise, Promise::Connect | Promise::Children)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_to_read_cannot_be_changed() {
        let changing = [
            Write,
            Create,
            Truncate,
            Mode,
            Times,
            MakeDirectory,
            Unlink,
            RenameFrom,
            RenameTo,
            LinkFrom,
            LinkTo,
            Symlink,
        ];
        assert!(given(PathAccess::Read).iter().all(|right| !changing.contains(right)));
        assert!(changing.iter().all(|right| given(PathAccess::Write).contains(right)));
    }

    #[test]
    fn nothing_is_found_through_a_directory_that_was_not_given() {
        assert!(!NOT_GIVEN.contains(&Lookup) && !NOT_GIVEN.contains(&Read));
    }
}
