//! `probe`: every number of a system call, tried against each role's filters as this kernel runs them.
//!
//! Nothing of what is tried is ever done. Before a process is sealed as the role is, by the same code, it puts a filter of
//! its own in force, which lets everything pass but calls that bear a mark in their sixth argument, which no policy looks at.
//! Of what several filters say the kernel does the strictest, and the mark says what this filter answers:
//!
//! - `Mark::Refused`: an error that no policy uses. If it comes back the role's filters allow the call, or notify of it;
//!   otherwise their own error does.
//! - `Mark::Skipped`: to ask a tracer, which there is none of, so that the call is not made and fails with `ENOSYS`. That is
//!   less strict than to notify: a call that is notified of is one that the listener has heard of.
//!
//! A call that ends the process takes a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis::{Layer, Listener, Outcome, Sandbox};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Pid, Resource, Rlimit, WaitOptions, WaitStatus};
use serde_json::json;
use syscall_policy::{Answer, Arch, Instruction, Policy, Rule, Verdict};

use crate::policies::{Promised, promised};
use crate::raw;
use crate::{Told, share};

/// Tries them all.
pub(crate) fn run() -> Result<Told, String> {
    if crate::doctor::declared().is_some_and(|declared| !declared.seccomp) {
        return Ok(Told::untested("there are no filters of system calls"));
    }
    let roles = promised();
    let mut probe = Probe::new(&roles);
    let mut kills: BTreeMap<u32, Vec<(usize, Try)>> = BTreeMap::new();
    let (mut verdicts, mut notified, mut numbers) = (0, 0, BTreeSet::new());
    for (at, role) in roles.iter().enumerate().filter(|(at, _)| share::is_mine(*at, roles.len())) {
        for form in [Form::Plain, Form::Notifying] {
            let played = probe.play(role, form)?;
            verdicts += played.verdicts;
            notified += played.notified;
            numbers.extend(played.tries.iter().map(|tried| tried.number));
        }
        for fatal in parted(role, 0, Form::Notifying).1 {
            let same = kills.entry(fatal.number).or_default();
            if same.last().is_none_or(|(role, _)| *role != at) {
                same.push((at, fatal));
            }
        }
    }
    // Each of them once: all roles get their share, and both forms.
    let mut died = BTreeSet::new();
    let all = kills.len();
    for (turn, (number, same)) in kills.iter().enumerate().filter(|(turn, _)| share::is_mine(*turn, all)) {
        let (at, fatal) = &same[turn % same.len()];
        let form = if turn / same.len() % 2 == 0 { Form::Plain } else { Form::Notifying };
        probe.play_death(&roles[*at], form, fatal)?;
        died.insert(*number);
    }
    numbers.extend(&died);
    let wrong = probe.wrong;
    if !wrong.is_empty() {
        let first: Vec<&str> = wrong.iter().take(8).map(String::as_str).collect();
        return Err(format!("{} verdicts are not the policy's: {}", wrong.len(), first.join("; ")));
    }
    let listeners = probe.listeners;
    let data = json!({
        "numbers": numbers.len(), "verdicts": verdicts + died.len(), "killed": died.len(), "notified": notified,
        "listeners": listeners,
    });
    let detail = format!(
        "{} numbers, {} verdicts as the policies have them, {} of them deadly, {notified} answered by {listeners} listeners",
        numbers.len(),
        verdicts + died.len(),
        died.len()
    );
    Ok(Told::of(detail, data))
}

/// How a role is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// By one filter, which answers by itself: where no listener is to be had.
    Plain,
    /// By two, with a listener that is handed over in between.
    Notifying,
}

/// What the filter beneath those of the role does about a call.
#[derive(Clone, Copy, Debug)]
enum Mark {
    Refused = 0x6c61_6231,
    Skipped = 0x6c61_6232,
}

impl Mark {
    /// The error of `Refused`: the largest number that the kernel lets a filter return.
    const ERROR: u32 = 4095;

    /// The filter.
    fn filter(arch: Arch) -> Vec<Instruction> {
        let one = |code, jt, jf, k| Instruction { code, jt, jf, k };
        let sixth = 16 + 8 * 5 + if arch.little_endian() { 0 } else { 4 };
        // BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K; SECCOMP_RET_ERRNO, _TRACE, _ALLOW.
        vec![
            one(0x20, 0, 0, sixth),
            one(0x15, 2, 0, Self::Refused as u32),
            one(0x15, 2, 0, Self::Skipped as u32),
            one(0x06, 0, 0, 0x7fff_0000),
            one(0x06, 0, 0, 0x0005_0000 | Self::ERROR),
            one(0x06, 0, 0, 0x7ff0_0000),
        ]
    }
}

/// A call to be tried. Its sixth argument is for the mark.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Try {
    number: u32,
    arguments: [usize; 6],
}

impl Try {
    /// As the filter sees it.
    fn verdict(&self, policy: &Policy) -> Verdict {
        policy.verdict(raw::native(), self.number, &self.arguments.map(|argument| argument as u64))
    }

    /// Makes the call with that mark: the error, or 0 if there is none.
    fn make(&self, mark: Mark) -> u32 {
        let mut arguments = self.arguments;
        arguments[5] = mark as usize;
        raw::call(self.number, arguments).err().unwrap_or(0).unsigned_abs()
    }

    fn name(&self) -> Option<&'static str> {
        raw::native().name_of(self.number)
    }

    fn shown(&self) -> String {
        let name = self.name().unwrap_or("no call");
        format!("{name} ({:#x}) {:x?}", self.number, &self.arguments[..5])
    }
}

/// All numbers that there are, those around them, those of other ways into the kernel, and ends of the range.
fn numbers(form: Form) -> BTreeSet<u32> {
    let arch = raw::native();
    let table: Vec<u32> = arch.table().iter().map(|(_, number)| number).collect();
    let mut numbers: BTreeSet<u32> = table.iter().copied().collect();
    // Some architectures look at the lower 16 or 20 bits alone, which are nobody's number either.
    numbers.extend([u32::MAX, u32::MAX - 1, u32::MAX / 2, 0x8000_ffff, 0xffff, 0x7fff]);
    if form == Form::Notifying {
        // Nobody has these: what is notified of takes its time.
        let last = table.iter().rev().find(|number| **number < 0x8000).copied().unwrap_or(0);
        numbers.extend(last + 1..last + 4);
        return numbers;
    }
    for number in table {
        numbers.extend(number.saturating_sub(64)..number + 64);
    }
    match arch {
        // With __X32_SYSCALL_BIT, and its own calls.
        Arch::X86_64 => numbers.extend(0x4000_0000..0x4000_0000 + 560),
        // Those of o32, n64 and n32 have bases of their own.
        Arch::Mips | Arch::MipsEl | Arch::Mips64 | Arch::Mips64El => {
            numbers.extend((0..64).chain(4000..4500).chain(5000..5500).chain(6000..6500));
        }
        _ => numbers.extend(0..64),
    }
    numbers
}

/// Calls that the kernel makes past all filters (`seccomp_uprobe_exception`, x86_64): they are of use where it has
/// put them itself, and end whoever else makes them with SIGILL. They are not tried.
const EXEMPT: [&str; 2] = ["uprobe", "uretprobe"];

/// What is tried of a policy.
fn tries(policy: &Policy, form: Form) -> Vec<Try> {
    let arch = raw::native();
    let mut tries = Vec::new();
    for number in numbers(form) {
        if arch.name_of(number).is_some_and(|name| EXEMPT.contains(&name)) {
            continue;
        }
        let mut arguments = BTreeSet::from([[0; 5]]);
        if form == Form::Plain {
            arguments.insert([usize::MAX; 5]);
        }
        if let Some(Answer::Checked(rule)) = arch.name_of(number).map(|name| policy.answer(arch, name)) {
            add_arguments(&rule, form, &mut arguments);
        }
        tries.extend(arguments.into_iter().map(|[a, b, c, d, e]| Try { number, arguments: [a, b, c, d, e, 0] }));
    }
    tries
}

/// What is tried in a process of that number, and what would end it.
fn parted(role: &Promised, pid: u32, form: Form) -> (Vec<Try>, Vec<Try>) {
    let policy = policy(role, pid);
    tries(&policy, form).into_iter().partition(|tried| tried.verdict(&policy) != Verdict::Kill)
}

/// Arguments that fit the arms of a rule, and those that barely do not.
fn add_arguments(rule: &Rule, form: Form, all: &mut BTreeSet<[usize; 5]>) {
    for arm in rule.arms() {
        let mut fits = [0; 5];
        for condition in arm.conditions() {
            let value = condition.values().first().copied().unwrap_or(0);
            fits[usize::from(condition.argument())] |= word(value);
        }
        all.insert(fits);
        if form == Form::Notifying {
            continue;
        }
        for condition in arm.conditions() {
            let mask = condition.mask();
            // Each value, what is beside it, and it with bits that must and with bits that must not matter.
            let of = |value: &u64| {
                [*value, value + 1, value ^ 1 << 31, value | 1 << 32, value | !mask, value | mask & mask.wrapping_neg()]
            };
            for value in condition.values().iter().flat_map(of) {
                let mut near = fits;
                near[usize::from(condition.argument())] = word(value);
                all.insert(near);
            }
        }
    }
}

/// As much of it as a register holds.
#[expect(clippy::cast_possible_truncation, reason = "registers of 32-bit machines hold half of it")]
const fn word(value: u64) -> usize {
    value as usize
}

/// Memory shared with the process that tries: where it is, what it was told when it was sealed, and what has come of each
/// call, by either mark.
const PLACE: usize = 0;
const LENGTH: usize = 1;
const TEXT: usize = 2;
const LONGEST: usize = 400;
const RESULTS: usize = TEXT + LONGEST;
/// For calls that have not come back.
const NOT_BACK: u32 = u32::MAX;

/// What came of a process.
struct Played {
    tries: Vec<Try>,
    verdicts: usize,
    notified: usize,
}

struct Probe {
    shared: &'static [AtomicU32],
    listeners: usize,
    wrong: Vec<String>,
}

impl Probe {
    fn new(roles: &[Promised]) -> Self {
        let most = roles.iter().map(|role| tries(&policy(role, 1), Form::Plain).len()).max().unwrap_or(0);
        // The number of the process is one value among others, which may be one of them.
        Self { shared: raw::shared(RESULTS + 2 * (most + 100)), listeners: 0, wrong: Vec::new() }
    }

    /// Has a role's process try all calls that do not end it, and compares.
    fn play(&mut self, role: &Promised, form: Form) -> Result<Played, String> {
        self.shared.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let (tries, answers, status, pid) = self.start(role, form, |pid| parted(role, pid, form).0)?;
        let who = format!("{}, {form:?}", role.name);
        let text = self.text();
        if !text.starts_with("enforced ") {
            return Err(format!("{who}: no filters hold: {text}"));
        }
        let place = usize::try_from(self.shared[PLACE].load(Ordering::Relaxed)).unwrap_or(0);
        if status.exit_status() != Some(0) {
            let last = tries.get(place).map(Try::shown).unwrap_or_default();
            return Err(format!("{who}: ended by {status:?} at {last}"));
        }
        let policy = policy(role, pid);
        // A kernel that cannot take the filter gets a shorter one.
        let policy = if text.contains("answered alike") { policy.coarse() } else { policy };
        for (at, tried) in tries.iter().enumerate() {
            let found = match (self.result(at, Mark::Refused), self.result(at, Mark::Skipped), answers.get(&at)) {
                (Mark::ERROR, _, None) => Verdict::Allow,
                (Mark::ERROR, error, Some(answer)) if *answer == Some(error) => Verdict::Errno(small(error)),
                (error, _, None) => Verdict::Errno(small(error)),
                (first, second, told) => {
                    self.wrong.push(format!("{who}: {} came to {first}, {second}, {told:?}", tried.shown()));
                    continue;
                }
            };
            let expected = tried.verdict(&policy);
            if found != expected {
                self.wrong.push(format!("{who}: {} is {found:?}, not {expected:?}", tried.shown()));
            }
        }
        Ok(Played { verdicts: tries.len(), notified: answers.len(), tries })
    }

    /// Has a role's process make a call that must end it.
    fn play_death(&mut self, role: &Promised, form: Form, fatal: &Try) -> Result<(), String> {
        self.shared[PLACE].store(0, Ordering::Relaxed);
        self.shared[RESULTS].store(0, Ordering::Relaxed);
        let (_, _, status, _) = self.start(role, form, |_| vec![fatal.clone()])?;
        let died = status.terminating_signal() == Some(libc::SIGSYS);
        if !died || self.result(0, Mark::Refused) != NOT_BACK {
            let answer = self.result(0, Mark::Refused);
            self.wrong.push(format!("{}, {form:?}: {} ended {status:?} ({answer})", role.name, fatal.shown()));
        }
        Ok(())
    }

    fn result(&self, at: usize, mark: Mark) -> u32 {
        self.shared[RESULTS + 2 * at + usize::from(matches!(mark, Mark::Skipped))].load(Ordering::Relaxed)
    }

    fn text(&self) -> String {
        let length = usize::try_from(self.shared[LENGTH].load(Ordering::Relaxed)).unwrap_or(0).min(LONGEST);
        let bytes = self.shared[TEXT..TEXT + length].iter();
        let bytes: Vec<u8> = bytes.map(|word| word.load(Ordering::Relaxed).to_le_bytes()[0]).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Starts a process that is sealed as the role is and makes the calls; answers for it until it ends. Tells which calls were
    /// answered, and how.
    #[expect(clippy::type_complexity, reason = "the parts have names where it is called")]
    fn start(
        &mut self,
        role: &Promised,
        form: Form,
        make: impl Fn(u32) -> Vec<Try>,
    ) -> Result<(Vec<Try>, BTreeMap<usize, Option<u32>>, WaitStatus, u32), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", role.name);
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let Some(pid) = raw::fork().map_err(failed)? else {
            drop(ours);
            let end = catch_unwind(AssertUnwindSafe(|| self.try_all(role, form, &make, &theirs)));
            raw::end(end.map_or(101, |()| 0));
        };
        drop(theirs);
        let number = pid.as_raw_nonzero().get().unsigned_abs();
        let tries = make(number);
        let mut answers = BTreeMap::new();
        if form == Form::Notifying
            && let Some(descriptor) = received(&ours)
        {
            self.listeners += 1;
            let listener = Listener::new(descriptor, &role.promises, number).map_err(failed)?;
            self.answer_all(&listener, &ours, &tries, &mut answers);
        }
        let (_, status) = wait(pid).ok_or_else(|| format!("{}: nobody to wait for", role.name))?;
        Ok((tries, answers, status, number))
    }

    /// In the other process.
    fn try_all(&self, role: &Promised, form: Form, make: &impl Fn(u32) -> Vec<Try>, over: &UnixStream) {
        raw::end_in(300);
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        rustix::process::setrlimit(Resource::Core, none).expect("no core is left behind");
        let tries = make(std::process::id());
        raw::install(&Mark::filter(raw::native())).expect("a filter");
        let others = Layer::native().iter().filter(|layer| !matches!(layer, Layer::Seccomp | Layer::NoNewPrivileges));
        let bare = others.fold(Sandbox::new(&role.name), |sandbox, layer| sandbox.without(*layer));
        let sandbox = role.promises.iter().fold(bare, |sandbox, promise| sandbox.promise(*promise));
        let prepared = sandbox.prepare().expect("a sandbox");
        let report = match form {
            Form::Plain => prepared.seal(),
            Form::Notifying => prepared.seal_notifying(over.as_fd(), b"!"),
        };
        let report = report.expect("sealed");
        let outcome = report.outcome(Layer::Seccomp).cloned().unwrap_or(Outcome::Skipped(String::new()));
        let words = [outcome.word(), " ", outcome.text()];
        let text = words.into_iter().flat_map(str::bytes).take(LONGEST);
        for (length, (byte, place)) in (1..).zip(text.zip(&self.shared[TEXT..])) {
            place.store(byte.into(), Ordering::Relaxed);
            self.shared[LENGTH].store(length, Ordering::Relaxed);
        }
        if !report.held(Layer::Seccomp) {
            return;
        }
        for (at, tried) in (0..).zip(&tries) {
            self.shared[PLACE].store(at, Ordering::Relaxed);
            let at = usize::try_from(at).unwrap_or(0);
            let place = &self.shared[RESULTS + 2 * at..];
            place[0].store(NOT_BACK, Ordering::Relaxed);
            let error = tried.make(Mark::Refused);
            place[0].store(error, Ordering::Relaxed);
            if error == Mark::ERROR && form == Form::Notifying {
                place[1].store(tried.make(Mark::Skipped), Ordering::Relaxed);
            }
        }
        // The last mark may be where the next call's sixth argument would be.
        let _ = raw::call_named("getpid", [0; 6]);
    }

    /// Answers until the process is gone, as the supervisor would. Its socket tells: before Linux 6.11 the listener does not
    /// until the process has been waited for.
    fn answer_all(
        &self,
        listener: &Listener,
        socket: &UnixStream,
        tries: &[Try],
        answers: &mut BTreeMap<usize, Option<u32>>,
    ) {
        let soon = Timespec { tv_sec: 1, tv_nsec: 0 };
        loop {
            let mut entries = [
                PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::empty()),
            ];
            let _ = rustix::event::poll(&mut entries, Some(&soon));
            if entries[1].revents().contains(PollFlags::HUP) {
                return;
            }
            let place = usize::try_from(self.shared[PLACE].load(Ordering::Relaxed)).unwrap_or(0);
            match listener.answer() {
                // By name: some architectures cut numbers that nobody has.
                Ok(Some(refused)) if tries.get(place).is_some_and(|tried| tried.name() == refused.call.as_deref()) => {
                    answers.insert(place, errno(&refused.answer));
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// The number of an error that a record has by name.
fn errno(name: &str) -> Option<u32> {
    let arch = raw::native();
    let known = (1..200).find(|number| {
        syscall_policy::Errno::from_number(arch, *number).is_some_and(|errno| errno.to_string() == name)
    });
    known.map(u32::from)
}

fn small(error: u32) -> u16 {
    u16::try_from(error).unwrap_or(u16::MAX)
}

fn policy(role: &Promised, pid: u32) -> Policy {
    portcullis::policy(&role.promises).expect("calls are filtered on Linux").for_process(pid)
}

fn wait(pid: Pid) -> Option<(Pid, WaitStatus)> {
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.ok().flatten(),
        }
    }
}

/// A descriptor that came with a byte; `None` if whoever was to send one has none, or ended.
fn received(over: &UnixStream) -> Option<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(over, &mut [IoSliceMut::new(&mut byte)], &mut beside, RecvFlags::CMSG_CLOEXEC).ok()?;
    beside.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    })
}
