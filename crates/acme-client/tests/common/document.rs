//! Documents that hold what a test has found out.

use std::fs;
use std::path::Path;

/// What stands before and after it.
const MARKS: [&str; 2] =
    ["<!-- What follows is printed by a test, and checked by it. -->\n\n", "\n<!-- End of what is printed. -->\n"];

/// That the document has this text between its marks. With `ACME_TEST_WRITE_DOCS` set it is written there.
pub(crate) fn holds(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    let document = fs::read_to_string(&path).unwrap_or_else(|error| panic!("docs/{name}: {error}"));
    let (head, rest) = document.split_once(MARKS[0]).unwrap_or_else(|| panic!("docs/{name} has no {:?}", MARKS[0]));
    let (held, tail) = rest.split_once(MARKS[1]).unwrap_or_else(|| panic!("docs/{name} has no {:?}", MARKS[1]));
    if held == text {
        return;
    }
    if std::env::var_os("ACME_TEST_WRITE_DOCS").is_some() {
        fs::write(&path, [head, MARKS[0], text, MARKS[1], tail].concat()).expect("written");
        return;
    }
    panic!(
        "docs/{name} is not what is printed any more. If that is meant, run this test once with ACME_TEST_WRITE_DOCS=1. \
         The document has\n{held}\nand should have\n{text}"
    );
}
