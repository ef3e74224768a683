//! What promises are in the words of pledge(2), and rights beneath directories in those of unveil(2).

use crate::promise::Promise;
use crate::sandbox::PathAccess;

/// The string for pledge(2).
///
/// With "error", what was not promised fails with `ENOSYS` instead of ending the process.
pub(crate) fn pledge(promises: &[Promise]) -> String {
    let mut words = vec!["error", "stdio"];
    for promise in promises {
        for word in self::words(*promise) {
            if !words.contains(word) {
                words.push(word);
            }
        }
    }
    words.join(" ")
}

/// Words a promise stands for, beyond "stdio", which pledge(2) makes no sense without.
const fn words(promise: Promise) -> &'static [&'static str] {
    match promise {
        // There are no notifications here, and so nothing to keep for them.
        Promise::Stdio | Promise::Notifications => &[],
        Promise::RecvFd => &["recvfd"],
        Promise::SendFd => &["sendfd"],
        Promise::ReadPath => &["rpath"],
        // Looking at attributes and listing directories takes "rpath".
        Promise::WritePath => &["rpath", "wpath", "fattr", "flock"],
        Promise::CreatePath => &["rpath", "wpath", "cpath", "fattr", "flock"],
        Promise::Connect | Promise::Accept => &["inet"],
        Promise::Children => &["proc"],
    }
}

/// What these words permit beyond the promises, in a few words each.
pub(crate) fn wider(promises: &[Promise]) -> Vec<&'static str> {
    let has = |promise| promises.contains(&promise);
    let mut wider = Vec::new();
    if (has(Promise::WritePath) || has(Promise::CreatePath)) && !has(Promise::ReadPath) {
        wider.push("files that can be written can be read");
    }
    match (has(Promise::Connect), has(Promise::Accept)) {
        (true, false) => wider.push("listening is not told from connecting"),
        (false, true) => wider.push("connecting is not told from accepting"),
        (true, true) => wider.push("listening comes with accepting"),
        (false, false) => {}
    }
    if has(Promise::Children) {
        wider.push("copies of the process can be started");
    }
    wider
}

/// The letters for unveil(2).
///
/// Listing a directory takes the same letter as reading a file in it, so that whoever writes can also read.
pub(crate) const fn unveil(access: PathAccess) -> &'static str {
    match access {
        PathAccess::Read => "r",
        PathAccess::Write | PathAccess::ReadWrite => "rwc",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_of_a_typical_program_in_the_words_of_pledge() {
        let words = |promises: &[Promise]| pledge(promises);
        assert_eq!(words(&[Promise::Stdio]), "error stdio");
        assert_eq!(words(&[Promise::Stdio, Promise::SendFd, Promise::Connect]), "error stdio sendfd inet");
        assert_eq!(words(&[Promise::CreatePath, Promise::Accept]), "error stdio rpath wpath cpath fattr flock inet");
        assert_eq!(words(&[Promise::ReadPath, Promise::WritePath]), "error stdio rpath wpath fattr flock");
    }

    /// Of the words of pledge(2) none that starts programs, changes users or opens devices is ever used.
    #[test]
    fn all_promises_together_start_nothing_and_change_no_user() {
        let all = pledge(&Promise::ALL);
        for word in ["exec", "id", "prot_exec", "dns", "unix", "tty", "settime", "getpw", "unveil", "route", "dpath"] {
            assert!(!all.split(' ').any(|used| used == word), "{word} in {all:?}");
        }
    }

    #[test]
    fn what_is_wider_than_promised_is_said() {
        assert!(wider(&[Promise::Stdio, Promise::SendFd, Promise::RecvFd, Promise::ReadPath]).is_empty());
        for promise in [Promise::WritePath, Promise::CreatePath, Promise::Connect, Promise::Accept, Promise::Children] {
            assert_eq!(wider(&[promise]).len(), 1, "{promise}");
        }
    }

    #[test]
    fn a_directory_to_read_cannot_be_written() {
        assert_eq!(unveil(PathAccess::Read), "r");
        assert_eq!(unveil(PathAccess::Write), "rwc");
    }
}
