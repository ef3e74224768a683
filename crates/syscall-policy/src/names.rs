//! The table of calls as the program has it: names in order, each with the number of its line; and the lines.
//!
//! The table as people write it is lists of names, which would be as many pointers in the program, and pointers are what
//! a dynamic linker has to write to at each start: a copy of all names in every process. So it is sorted and packed into
//! one text and numbers when this crate is compiled, which is also when names are checked. Nothing is built at run time.

use crate::calls::{LINES, Line};
use crate::class::{Class, Refusal};
use crate::errno::Errno;

/// The name of a call: its place in the order of all names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(u16);

/// What a line of the table says about its calls.
#[derive(Debug)]
pub(crate) struct Power {
    pub(crate) class: Class,
    errno: Option<Errno>,
    /// Where the text of the line's reason ends.
    reason_end: u16,
}

/// How many names there are.
const COUNT: usize = {
    let (mut count, mut at) = (0, 0);
    while at < LINES.len() {
        count += LINES[at].names.len();
        at += 1;
    }
    count
};

/// Names in order, with the number of their line, and their keys. For the compiler only.
const SORTED: &([(&str, u8); COUNT], [Key; COUNT]) = &sorted(LINES);

const BYTES: [u8; bytes(&SORTED.0)] = text(&SORTED.0);
const TEXT: &str = ascii(&BYTES);
static NAMES: [(u16, u8); COUNT] = ends(&SORTED.0);

const REASONS: &[(&str, u8); LINES.len()] = &{
    let (mut reasons, mut at) = ([("", 0); LINES.len()], 0);
    while at < LINES.len() {
        reasons[at] = (LINES[at].reason, 0);
        at += 1;
    }
    reasons
};
const REASON_BYTES: [u8; bytes(REASONS)] = text(REASONS);
const REASON_TEXT: &str = ascii(&REASON_BYTES);
static POWERS: [Power; LINES.len()] = {
    let ends: [_; LINES.len()] = ends(REASONS);
    let mut powers = [const { Power { class: Class::Obsolete, errno: None, reason_end: 0 } }; LINES.len()];
    let mut at = 0;
    while at < LINES.len() {
        powers[at] = Power { class: LINES[at].class, errno: LINES[at].errno, reason_end: ends[at].0 };
        at += 1;
    }
    powers
};

/// One of them, for arrays that are about to be filled.
pub(crate) const FIRST: Name = Name(0);

/// Looks a name up.
pub(crate) fn find(name: &str) -> Option<Name> {
    let place = |at: &u16| Name(*at).text();
    let (mut low, mut high) = (0, LAST + 1);
    while low < high {
        let middle = low.midpoint(high);
        match place(&middle).cmp(name) {
            core::cmp::Ordering::Less => low = middle + 1,
            core::cmp::Ordering::Equal => return Some(Name(middle)),
            core::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

/// All of them, in order.
pub(crate) fn all() -> impl Iterator<Item = Name> {
    (0..=LAST).map(Name)
}

/// The name of an architecture's call, which must be in the table.
///
/// # Panics
///
/// If it is not, which for the tables of numbers is when this crate is compiled.
pub(crate) const fn known(name: &str) -> Name {
    match place(&SORTED.1, COUNT, key(name)) {
        Ok(at) => Name(short(at)),
        Err(_) => complain("no class in calls.rs for the call ", name),
    }
}

impl Name {
    /// The name itself.
    pub(crate) fn text(self) -> &'static str {
        let at = usize::from(self.0);
        let start = at.checked_sub(1).map_or(0, |before| NAMES[before].0);
        &TEXT[usize::from(start)..usize::from(NAMES[at].0)]
    }

    /// What its line says.
    pub(crate) fn power(self) -> &'static Power {
        &POWERS[usize::from(NAMES[usize::from(self.0)].1)]
    }
}

impl Power {
    /// What becomes of the line's calls when the class is not granted.
    pub(crate) fn refusal(&self) -> Refusal {
        self.errno.map_or_else(|| self.class.refusal(), Refusal::Soft)
    }

    /// Why they are in the class.
    pub(crate) fn reason(&self) -> &'static str {
        let before = POWERS.iter().take_while(|power| power.reason_end < self.reason_end).last();
        let start = before.map_or(0, |power| power.reason_end);
        &REASON_TEXT[usize::from(start)..usize::from(self.reason_end)]
    }
}

/// The greatest place a name has.
const LAST: u16 = short(COUNT - 1);

/// A name as two numbers that compare as the name does: to the compiler, a comparison of bytes is hundreds of steps.
type Key = (u128, u128);

const fn key(name: &str) -> Key {
    let mut bytes = [[0; 16]; 2];
    assert!(name.len() <= 32, "the name of a call has 32 bytes at most");
    bytes.as_flattened_mut().split_at_mut(name.len()).0.copy_from_slice(name.as_bytes());
    (u128::from_be_bytes(bytes[0]), u128::from_be_bytes(bytes[1]))
}

/// By insertion, where binary search says.
const fn sorted<const COUNT: usize>(lines: &[Line]) -> ([(&'static str, u8); COUNT], [Key; COUNT]) {
    let (mut sorted, mut keys) = ([("", 0); COUNT], [(0, 0); COUNT]);
    let (mut count, mut line) = (0, 0);
    while line < lines.len() {
        let names = lines[line].names;
        let mut at = 0;
        while at < names.len() {
            let key = key(names[at]);
            let Err(place) = place(&keys, count, key) else {
                complain("two classes in calls.rs for the call ", names[at])
            };
            let mut moved = count;
            while moved > place {
                sorted[moved] = sorted[moved - 1];
                keys[moved] = keys[moved - 1];
                moved -= 1;
            }
            (sorted[place], keys[place]) = ((names[at], byte(line)), key);
            count += 1;
            at += 1;
        }
        line += 1;
    }
    (sorted, keys)
}

/// Where among the first `count` the key is, or else where it belongs.
const fn place(keys: &[Key], count: usize, key: Key) -> Result<usize, usize> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = usize::midpoint(low, high);
        let (first, second) = keys[middle];
        if first == key.0 && second == key.1 {
            return Ok(middle);
        }
        if first < key.0 || first == key.0 && second < key.1 {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Err(low)
}

/// A panic that names the name, which in a constant is a compiler's error.
const fn complain(what: &str, name: &str) -> ! {
    let mut message = [0; 128];
    message.split_at_mut(what.len()).0.copy_from_slice(what.as_bytes());
    message.split_at_mut(what.len()).1.split_at_mut(name.len()).0.copy_from_slice(name.as_bytes());
    panic!("{}", ascii(message.split_at(what.len() + name.len()).0))
}

const fn bytes(texts: &[(&str, u8)]) -> usize {
    let (mut bytes, mut at) = (0, 0);
    while at < texts.len() {
        bytes += texts[at].0.len();
        at += 1;
    }
    bytes
}

/// All texts, one after the other.
const fn text<const BYTES: usize>(texts: &[(&str, u8)]) -> [u8; BYTES] {
    let mut all = [0; BYTES];
    let (mut written, mut at) = (0, 0);
    while at < texts.len() {
        let bytes = texts[at].0.as_bytes();
        all.split_at_mut(written).1.split_at_mut(bytes.len()).0.copy_from_slice(bytes);
        written += bytes.len();
        at += 1;
    }
    all
}

/// Where in that text each of them ends.
const fn ends<const COUNT: usize>(texts: &[(&str, u8)]) -> [(u16, u8); COUNT] {
    let mut ends = [(0, 0); COUNT];
    let (mut end, mut at) = (0, 0);
    while at < COUNT {
        end += texts[at].0.len();
        ends[at] = (short(end), texts[at].1);
        at += 1;
    }
    ends
}

const fn ascii(bytes: &[u8]) -> &str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("names of calls and reasons are ASCII"),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked, when this crate is compiled")]
const fn short(number: usize) -> u16 {
    assert!(number <= u16::MAX as usize, "places in the table and its texts have 16 bits");
    number as u16
}

#[expect(clippy::cast_possible_truncation, reason = "checked, when this crate is compiled")]
const fn byte(line: usize) -> u8 {
    assert!(line <= u8::MAX as usize, "the number of a line has 8 bits");
    line as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same function makes the tables of numbers, where its panic is an error of the compiler.
    #[test]
    #[should_panic(expected = "no class in calls.rs for the call frobnicate")]
    fn a_call_without_a_class_is_named() {
        let _ = known("frobnicate");
    }

    #[test]
    #[should_panic(expected = "two classes in calls.rs for the call read")]
    fn a_call_in_two_lines_is_named() {
        let line = |class, names| Line { class, reason: "", names, errno: None };
        let _ = sorted::<3>(&[line(Class::ReadHeld, &["readv", "read"]), line(Class::WriteHeld, &["read"])]);
    }

    #[test]
    fn the_packed_table_says_what_the_written_one_says() {
        for line in LINES {
            for name in line.names {
                let found = find(name).unwrap_or_else(|| panic!("{name} is not found"));
                assert_eq!((found, found.text()), (known(name), *name));
                let power = found.power();
                assert_eq!((power.class, power.errno, power.reason()), (line.class, line.errno, line.reason), "{name}");
            }
        }
        assert_eq!(all().count(), COUNT);
        for name in ["", "rea", "reads", "zzz", "\u{fc}"] {
            assert_eq!(find(name), None, "{name}");
        }
    }
}
