//! What promises are in the language of Seatbelt profiles, which is Apple's own and a kind of Scheme.
//!
//! What a profile does not allow is refused with `EPERM`. What is held when it is put in force can be used on.

use std::fmt::Write as _;

use crate::promise::Promise;
use crate::sandbox::PathAccess;

/// The profile. Directories are given by absolute path, without links in it.
pub(crate) fn profile(promises: &[Promise], ports: Option<&[u16]>, directories: &[(String, PathAccess)]) -> String {
    let has = |promise| promises.contains(&promise);
    let mut text = String::from("(version 1)\n(deny default)\n");
    let mut rule = |rule: &str| {
        text.push_str(rule);
        text.push('\n');
    };
    // To abort, and to ask about itself: libraries ask for the number of processors.
    rule("(allow signal (target self))");
    rule("(allow process-info* (target self))");
    rule("(allow sysctl-read)");
    let reads = has(Promise::ReadPath);
    let writes = has(Promise::WritePath) || has(Promise::CreatePath);
    if reads || writes {
        // Directories on the way to others are looked up one by one.
        rule("(allow file-read-metadata (vnode-type DIRECTORY))");
    }
    for (path, access) in directories {
        let place = format!("(subpath {})", quoted(path));
        let may = |wanted: PathAccess| *access == wanted || *access == PathAccess::ReadWrite;
        if reads && may(PathAccess::Read) {
            rule(&format!("(allow file-read* {place})"));
        }
        if writes && may(PathAccess::Write) {
            rule(&format!("(allow file-read-metadata {place})"));
            rule(&format!("(allow file-read-data (require-all {place} (vnode-type DIRECTORY)))"));
            rule(&format!("(allow file-write-data file-write-mode file-write-times {place})"));
        }
        if has(Promise::CreatePath) && may(PathAccess::Write) {
            rule(&format!("(allow file-write-create file-write-unlink file-link {place})"));
        }
    }
    if has(Promise::Connect) {
        match ports {
            None => rule("(allow network-outbound (remote ip \"*:*\"))"),
            Some(ports) => {
                // Names are asked for by UDP.
                rule("(allow network-outbound (remote udp \"*:*\"))");
                for port in ports {
                    rule(&format!("(allow network-outbound (remote tcp \"*:{port}\"))"));
                }
            }
        }
    }
    if has(Promise::Accept) {
        rule("(allow network-inbound (local ip \"*:*\"))");
    }
    if has(Promise::Children) {
        rule("(allow signal (target children))");
    }
    text
}

/// A string of the language.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            // Writing to a string does not fail.
            control if control.is_control() => {
                let _ = write!(quoted, "\\x{:02x};", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: [Promise; 3] = [Promise::Stdio, Promise::SendFd, Promise::RecvFd];

    #[test]
    fn stdio_reaches_no_path_and_no_address() {
        let text = profile(&HELD, None, &[("/var/db".to_owned(), PathAccess::ReadWrite)]);
        assert!(text.starts_with("(version 1)\n(deny default)\n"));
        for word in ["file-", "network", "process-exec", "process-fork", "mach-lookup", "default)\n(allow default"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }

    #[test]
    fn a_writer_reads_no_files_of_its_directory() {
        let text = profile(&[Promise::CreatePath], None, &[("/var/db".to_owned(), PathAccess::Write)]);
        assert!(text.contains("(allow file-write-create file-write-unlink file-link (subpath \"/var/db\"))"), "{text}");
        assert!(text.contains("(allow file-read-data (require-all (subpath \"/var/db\") (vnode-type DIRECTORY)))"));
        assert!(!text.contains("file-read*"), "{text}");
        let text = profile(&[Promise::ReadPath], None, &[("/var/db".to_owned(), PathAccess::Read)]);
        assert!(text.contains("(allow file-read* (subpath \"/var/db\"))") && !text.contains("file-write"), "{text}");
    }

    #[test]
    fn ports_are_limited_when_given() {
        let text = profile(&[Promise::Connect], Some(&[443]), &[]);
        assert!(text.contains("(remote tcp \"*:443\")") && !text.contains("(remote ip"), "{text}");
        assert!(!text.contains("network-inbound"));
    }

    #[test]
    fn parentheses_match_and_no_path_can_add_a_rule() {
        let hostile = "/tmp/\"))(allow default)(\\\n";
        let text = profile(&Promise::ALL, Some(&[1, 2]), &[(hostile.to_owned(), PathAccess::ReadWrite)]);
        let (mut depth, mut within, mut escaped) = (0_i32, false, false);
        let mut outside = String::new();
        for character in text.chars() {
            match (within, escaped, character) {
                (true, true, _) => escaped = false,
                (true, false, '\\') => escaped = true,
                (_, false, '"') => within = !within,
                (false, _, '(') => depth += 1,
                (false, _, ')') => depth -= 1,
                _ => {}
            }
            if !within {
                outside.push(character);
            }
            assert!(depth >= 0, "{text}");
        }
        assert_eq!((depth, within), (0, false), "{text}");
        assert!(!outside.contains("allow default"), "{outside}");
    }
}
