//! Errors of the operating system, by the names that manual pages use.

use std::io;

/// Names that a sandbox meets; the numbers differ from system to system.
const NAMES: [(i32, &str); 20] = [
    (libc::E2BIG, "E2BIG"),
    (libc::EACCES, "EACCES"),
    (libc::EBADF, "EBADF"),
    (libc::EBUSY, "EBUSY"),
    (libc::EEXIST, "EEXIST"),
    (libc::EFAULT, "EFAULT"),
    (libc::EINVAL, "EINVAL"),
    (libc::EIO, "EIO"),
    (libc::ELOOP, "ELOOP"),
    (libc::EMFILE, "EMFILE"),
    (libc::ENFILE, "ENFILE"),
    (libc::ENOENT, "ENOENT"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::ENOSYS, "ENOSYS"),
    (libc::ENOTDIR, "ENOTDIR"),
    (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    (libc::EPERM, "EPERM"),
    (libc::EROFS, "EROFS"),
    (libc::ESRCH, "ESRCH"),
];

/// The name of an error and what it means (`EPERM: Operation not permitted`); what has no name is as the standard library
/// has it.
pub(crate) fn described(error: &io::Error) -> String {
    let text = error.to_string();
    let name = error.raw_os_error().and_then(|number| NAMES.iter().find(|(known, _)| *known == number));
    match name {
        Some((number, name)) => {
            let text = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
            format!("{name}: {text}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_name_and_its_meaning() {
        assert_eq!(described(&io::Error::from_raw_os_error(libc::EPERM)), "EPERM: Operation not permitted");
        assert_eq!(described(&io::Error::from_raw_os_error(524)), io::Error::from_raw_os_error(524).to_string());
        assert_eq!(described(&io::Error::other("no number")), "no number");
    }

    #[test]
    fn no_number_has_two_names() {
        let mut numbers = NAMES.map(|(number, _)| number).to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), NAMES.len());
    }
}
