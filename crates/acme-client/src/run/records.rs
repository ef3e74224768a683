//! Records: what the sandbox refused, took back or ended, for whoever wants to know or to report it.
//!
//! A line of JSON each, in a file that the supervisor opens before it is sealed. Bounded in number and size, whatever a role
//! does; nothing of a role's memory is in them, and addresses only as places in files.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use portcullis::{Lowered, Refused};
use serde::{Deserialize, Serialize};

use crate::roles::Role;

/// Records of refused calls that one run writes at most; at its end, those of them once more that happened again.
const MOST: usize = 100;

/// The first line of the file: what it is.
const HEAD: &[u8] = b"{\"sandbox-records\":\"acme-client\",\"version\":1}\n";

/// A file larger than this is put aside.
const LARGE: u64 = 256 * 1024;

/// Something that the sandbox did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum What {
    /// A system call was refused, and the run went on.
    Refused {
        /// The call, `None` for a number that no kernel had when this program was made.
        call: Option<String>,
        /// Its number.
        number: u32,
        /// Its class.
        class: Option<String>,
        /// The shapes of its arguments.
        arguments: Vec<String>,
        /// The error it was answered with.
        answer: String,
        /// Where it was made.
        from: Option<Place>,
        /// How often.
        count: u64,
    },
    /// A rehearsal showed that a layer is in the way on this machine.
    Lowered {
        /// The layer.
        layer: String,
        /// What is left of it.
        left: String,
        /// What went wrong.
        why: String,
        /// The calls that were refused, where the layer filters calls.
        #[serde(default)]
        refused: Vec<Missed>,
    },
    /// The process was ended for a call that no honest library makes.
    Ended,
}

/// A call that a rehearsal was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Missed {
    /// The call, `None` for a number that no kernel had when this program was made.
    pub(crate) call: Option<String>,
    /// Its number.
    pub(crate) number: u32,
    /// Its class.
    pub(crate) class: Option<String>,
    /// Where it was made.
    pub(crate) from: Option<Place>,
    /// The function that made it, as far as the file's symbols say. In reports, not in records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) symbol: Option<String>,
}

/// A place in a file that is mapped into memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The file.
    pub(crate) file: String,
    /// Bytes from its start.
    pub(crate) offset: u64,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Seconds since 1970.
    pub(crate) time: u64,
    /// The role.
    pub(crate) role: String,
    /// What happened.
    #[serde(flatten)]
    pub(crate) what: What,
    /// In which command.
    #[serde(default)]
    pub(crate) command: String,
    /// What roles did not get, in a run that was broken on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) withheld: Vec<String>,
    /// On what.
    pub(crate) machine: Machine,
}

/// What decides which calls are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The program's version.
    pub(crate) version: String,
    /// The architecture.
    pub(crate) arch: String,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The C library and its version.
    pub(crate) libc: String,
}

impl Machine {
    /// This one. Asked once, for which there is time before the seal: the kernel does not tell its name afterwards.
    pub(crate) fn here() -> Self {
        static HERE: OnceLock<Machine> = OnceLock::new();
        let ask = || Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            libc: portcullis::c_library(),
        };
        HERE.get_or_init(ask).clone()
    }
}

/// A part of a file that is mapped to be executed (`/proc/PID/maps`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    file: String,
}

/// Where code of this process comes from. Empty where `/proc` does not say.
pub(crate) fn mappings() -> Vec<Mapping> {
    const ENOUGH: usize = 64;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter_map(mapping).take(ENOUGH).collect()
}

/// A line such as `7f…-7f… r-xp 00026000 08:01 1234   /lib/x86_64-linux-gnu/libc.so.6`.
fn mapping(line: &str) -> Option<Mapping> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let mut words = rest.split_whitespace();
    let executable = words.next()?.as_bytes().get(2) == Some(&b'x');
    let offset = words.next()?;
    let file = words.nth(2).filter(|_| executable)?;
    let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping {
        start: hexadecimal(start)?,
        end: hexadecimal(end)?,
        offset: hexadecimal(offset)?,
        file: file.chars().take(256).collect(),
    })
}

fn place(mappings: &[Mapping], address: u64) -> Option<Place> {
    let mapping = mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&address))?;
    Some(Place { file: mapping.file.clone(), offset: address - mapping.start + mapping.offset })
}

/// Where records are kept in a state directory.
pub(crate) fn path(state: &Path) -> PathBuf {
    state.join("sandbox-records.jsonl")
}

/// What is recorded in a run.
#[derive(Debug)]
pub(crate) struct Records {
    file: Option<OwnedFd>,
    command: &'static str,
    withheld: Vec<String>,
    machine: Machine,
    /// Those of calls that were refused, with how often that was on the disk.
    refused: Vec<(Record, u64)>,
    written: usize,
}

impl Records {
    /// Opens the file. Without one records are shown all the same.
    pub(crate) fn open(state: &Path, command: &'static str, withheld: Vec<String>) -> Self {
        let path = path(state);
        if std::fs::metadata(&path).is_ok_and(|file| file.len() > LARGE) {
            let _ = std::fs::rename(&path, path.with_extension("old.jsonl"));
        }
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).ok();
        if let Some(file) = file.as_mut().filter(|file| file.metadata().is_ok_and(|file| file.len() == 0)) {
            let _ = file.write_all(HEAD);
        }
        Self {
            file: file.map(OwnedFd::from),
            command,
            withheld,
            machine: Machine::here(),
            refused: Vec::new(),
            written: 0,
        }
    }

    /// A call that a role was refused. Returns the line for people if it is the first of its kind.
    pub(crate) fn refused(&mut self, role: Role, refused: &Refused, mappings: &[Mapping]) -> Option<String> {
        let from = place(mappings, refused.address);
        let same = |record: &Record| match &record.what {
            What::Refused { number, from: known, arguments, .. } => {
                // The same flags from the same place; other arguments may well differ.
                *number == refused.number
                    && *known == from
                    && record.role == role.name()
                    && (known.is_some() || *arguments == refused.arguments)
            }
            _ => false,
        };
        if let Some((record, _)) = self.refused.iter_mut().find(|(record, _)| same(record)) {
            if let What::Refused { count, .. } = &mut record.what {
                *count += 1;
            }
            return None;
        }
        let what = What::Refused {
            call: refused.call.clone(),
            number: refused.number,
            class: refused.class.clone(),
            arguments: refused.arguments.clone(),
            answer: refused.answer.clone(),
            from,
            count: 1,
        };
        let record = self.record(role, what)?;
        let line = line(&record);
        self.refused.push((record, 1));
        Some(line)
    }

    /// A layer that a role does without.
    pub(crate) fn lowered(&mut self, role: Role, lowered: &Lowered, mappings: &[Mapping]) {
        let (left, why) = (lowered.left.clone(), privsep::printable(&lowered.why));
        let missed = lowered.refused.iter().map(|trapped| Missed {
            call: trapped.call.clone(),
            number: trapped.number,
            class: trapped.class.clone(),
            from: place(mappings, trapped.address),
            symbol: None,
        });
        let what = What::Lowered { layer: lowered.layer.to_string(), left, why, refused: missed.collect() };
        self.record(role, what);
    }

    /// A role that its filter ended.
    pub(crate) fn ended(&mut self, role: Role) {
        self.record(role, What::Ended);
    }

    /// The first of what was refused, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        const ENOUGH: usize = 3;
        self.refused.iter().take(ENOUGH).map(|(record, _)| line(record)).collect()
    }

    /// Brings the numbers up to date. For the end of a run.
    pub(crate) fn finish(&mut self) {
        let mut changed = Vec::new();
        for (record, written) in &mut self.refused {
            if let What::Refused { count, .. } = &record.what
                && *count > *written
            {
                *written = *count;
                changed.push(record.clone());
            }
        }
        changed.iter().for_each(|record| self.write(record));
    }

    fn record(&mut self, role: Role, what: What) -> Option<Record> {
        // What is lowered or ended happens once to each role, and is never left out.
        if matches!(what, What::Refused { .. }) {
            if self.written >= MOST {
                return None;
            }
            self.written += 1;
        }
        let record = Record {
            time: crate::commands::now(),
            role: role.name().to_owned(),
            what,
            command: self.command.to_owned(),
            withheld: self.withheld.clone(),
            machine: self.machine.clone(),
        };
        self.write(&record);
        Some(record)
    }

    /// One line in one write, so that runs at the same time do not mix theirs.
    fn write(&self, record: &Record) {
        let (Some(file), Ok(mut line)) = (&self.file, serde_json::to_vec(record)) else { return };
        line.push(b'\n');
        // A full disk is no reason to stop a renewal.
        let _ = rustix::io::write(file, &line);
    }
}

/// The records of a state directory, the same ones once, the newest last. Lines that are none are left out.
pub(crate) fn read(state: &Path) -> std::io::Result<Vec<Record>> {
    let text = match std::fs::read_to_string(path(state)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let mut records: Vec<Record> = Vec::new();
    for record in text.lines().filter_map(|line| serde_json::from_str::<Record>(line).ok()) {
        // A later line about the same call has a later count.
        let same = |known: &Record| {
            known.time == record.time
                && known.role == record.role
                && matches!((&known.what, &record.what),
                (What::Refused { number: a, from: b, .. }, What::Refused { number: c, from: d, .. }) if a == c && b == d)
        };
        records.retain(|known| !same(known));
        records.push(record);
    }
    Ok(records)
}

/// A record in a line for people.
pub(crate) fn line(record: &Record) -> String {
    let role = &record.role;
    match &record.what {
        What::Refused { call, number, class, answer, from, count, .. } => {
            let call = call.clone().unwrap_or_else(|| format!("system call {number}, which is not known here"));
            let class = class.as_ref().map(|class| format!(" ({class})")).unwrap_or_default();
            let place = from.as_ref().map(|place| format!(", from {}+{:#x}", place.file, place.offset));
            let times = if *count > 1 { format!(", {count} times") } else { String::new() };
            format!("{role} was refused {call}{class} with {answer}{times}{}", place.unwrap_or_default())
        }
        What::Lowered { layer, left, why, .. } => {
            format!("{role} does without {layer} here; what is left of it: {left}. {why}")
        }
        What::Ended => format!("{role} was ended for a system call that no honest library makes (SIGSYS)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "7f0000001000-7f0000005000 r-xp 00026000 08:01 1234                       /lib/libc.so.6";

    fn refused(number: u32, address: u64) -> Refused {
        let text = format!(
            r#"{{"pid":1,"number":{number},"call":"statx","class":"stat-path","arguments":["0"],"answer":"ENOSYS","address":{address}}}"#
        );
        serde_json::from_str(&text).expect("a refused call")
    }

    #[test]
    fn lines_of_maps_are_understood() {
        let mapping = mapping(LINE).expect("a mapping");
        assert_eq!((mapping.offset, mapping.file.as_str()), (0x26000, "/lib/libc.so.6"));
        let place = place(&[mapping], 0x7f00_0000_1010).expect("a place");
        assert_eq!(place.offset, 0x26010);
        for other in [LINE.replace("r-xp", "rw-p"), "7f00-7f10 r-xp 0 0:0 0".to_owned(), String::new()] {
            assert_eq!(super::mapping(&other), None, "{other}");
        }
        assert!(!mappings().is_empty());
    }

    #[test]
    fn the_same_call_is_recorded_once_and_counted() {
        let state = tempfile::tempdir().expect("a directory");
        let mappings: Vec<Mapping> = mapping(LINE).into_iter().collect();
        let mut records = Records::open(state.path(), "issue", Vec::new());
        let line = records.refused(Role::Net, &refused(332, 0x7f00_0000_1010), &mappings).expect("the first");
        assert_eq!(line, "net was refused statx (stat-path) with ENOSYS, from /lib/libc.so.6+0x26010");
        assert_eq!(records.refused(Role::Net, &refused(332, 0x7f00_0000_1010), &mappings), None);
        assert!(records.refused(Role::Dial, &refused(332, 0x7f00_0000_1010), &mappings).is_some());
        // Before the end of the run it is known to have happened, after it also how often.
        assert_eq!(read(state.path()).expect("records").len(), 2);
        records.finish();
        let counts: Vec<u64> = read(state.path())
            .expect("records")
            .into_iter()
            .map(|record| if let What::Refused { count, .. } = record.what { count } else { 0 })
            .collect();
        assert_eq!(counts, [1, 2]);
    }

    /// What was written by an earlier version of the program is still read.
    #[test]
    fn what_is_lowered_is_told_by_call_and_place() {
        let state = tempfile::tempdir().expect("a directory");
        let mappings: Vec<Mapping> = mapping(LINE).into_iter().collect();
        let lowered: Lowered = serde_json::from_str(
            r#"{"layer":"Seccomp","left":"little","why":"no memory","refused":
                [{"number":9,"call":"mmap","class":"memory","address":139637976731664}]}"#,
        )
        .expect("a layer");
        Records::open(state.path(), "renew", vec!["net:memory".to_owned()]).lowered(Role::Net, &lowered, &mappings);
        let [record] = read(state.path()).expect("records").try_into().expect("one");
        assert_eq!((record.command.as_str(), record.withheld.as_slice()), ("renew", &["net:memory".to_owned()][..]));
        let What::Lowered { refused, .. } = record.what else { panic!("{record:?}") };
        let [missed] = refused.try_into().expect("one call");
        assert_eq!((missed.call.as_deref(), missed.class.as_deref()), (Some("mmap"), Some("memory")));
        assert_eq!(missed.from, Some(Place { file: "/lib/libc.so.6".to_owned(), offset: 0x26010 }));

        let earlier = r#"{"time":1,"role":"net","kind":"lowered","layer":"seccomp","left":"","why":"",
            "machine":{"version":"0","arch":"x86_64","kernel":"6.1","libc":"glibc 2.36"}}"#;
        let record: Record = serde_json::from_str(earlier).expect("a record");
        assert_eq!((record.command.as_str(), record.withheld.len()), ("", 0));
    }

    #[test]
    fn a_role_cannot_fill_the_disk() {
        let state = tempfile::tempdir().expect("a directory");
        let mut records = Records::open(state.path(), "issue", Vec::new());
        for number in 0..10_000 {
            records.refused(Role::Net, &refused(number, 0), &[]);
        }
        records.finish();
        assert_eq!(read(state.path()).expect("records").len(), MOST);
    }
}
