//! The canary: everything is tried in a throw-away child before it is done for good.
//!
//! A layer can break a program on a machine that nobody has seen: a C library that needs what was taken, an outer sandbox that
//! ends whoever asks for a layer. The child is sealed exactly as the process will be and plays its script. What it dies of is
//! left out, and said; since nothing has been read from anybody by then, no input can bring that about.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use crate::child::{self, Ended};
use crate::error::Error;
use crate::os;
use crate::refused::{Trapped, trapped_call};
use crate::report::Layer;
use crate::sandbox::{Sandbox, Strength};

/// What a rehearsal took back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Lowered {
    /// The layer.
    pub layer: Layer,
    /// What is left of it.
    pub left: String,
    /// What went wrong with all of it.
    pub why: String,
    /// The calls that were refused, where calls are filtered.
    pub refused: Vec<Trapped>,
}

/// How long a child may take. Scripts take milliseconds.
const PATIENCE: Duration = Duration::from_secs(4);

/// The most calls that are named.
const NAMED: usize = 16;

/// Comes before the byte that says how far the child is.
const MARK: u8 = 0x1e;
const AT_SCRIPT: u8 = b'S';
const AT_PANIC: u8 = b'P';
const FAILED: u8 = b'F';
const AT_LISTENER: u8 = b'L';
const AT_TIMER: u8 = b'T';

/// What the child that panics on purpose says.
const LAST_WORDS: &str = "a rehearsal of a panic";

/// How a child came out.
#[derive(Debug)]
enum Came {
    /// To the end, with its last words heard.
    Through,
    /// It died when it asked whether there can be a listener.
    DiedAtListener,
    /// It died when it asked for a timer, for the deadline.
    DiedAtTimer,
    /// It was ended for asking for this layer.
    DiedAt(Layer, String),
    /// Somebody killed it, which no layer does.
    Killed,
    /// The script failed, died or did not end.
    Failed(String),
}

impl Sandbox {
    /// Tries the sandbox out in a copy of this process, which is sealed and then plays the `script`: what the process will do
    /// later, done once. Its panic path is tried as well. A layer that ends the copy is left out of this sandbox, and one that
    /// the script cannot do with is lowered a step, one at most:
    /// system calls to those that end the process only, and then to none; any other layer to none. The
    /// [report](crate::Report::lowered) says so, and a layer that is [required](Sandbox::require) fails.
    ///
    /// To be called before anything is read from whoever could be hostile. The script's changes to memory are lost; what it
    /// writes to descriptors is written. Without a process to be had the sandbox stays as it is.
    ///
    /// # Errors
    ///
    /// If the process has several threads, or the script works without a sandbox and no single layer is in its way.
    pub fn rehearse(mut self, script: &mut dyn FnMut() -> Result<(), String>) -> Result<Self, Error> {
        if let Some(count) = os::threads().filter(|count| *count > 1) {
            return Err(Error::Threads { name: self.name, count });
        }
        // Every turn leaves a layer out, so this ends.
        loop {
            match self.play(script) {
                Ok(Came::Through | Came::Killed) | Err(_) => return Ok(self),
                Ok(Came::DiedAtTimer) => self.no_kill_timer = true,
                Ok(Came::DiedAtListener) => self.no_listener = true,
                Ok(Came::DiedAt(layer, how)) if !self.is_left_out(layer) => {
                    self.leave_out(layer, "nothing", &format!("whoever asks for it here {how}"));
                }
                Ok(Came::DiedAt(_, why) | Came::Failed(why)) => return self.lower(&why, script),
            }
        }
    }

    /// Finds the one layer that the script cannot do with.
    fn lower(self, why: &str, script: &mut dyn FnMut() -> Result<(), String>) -> Result<Self, Error> {
        let calls = self.calls_refused(script);
        let names: Vec<String> = calls.iter().map(ToString::to_string).collect();
        let why = if names.is_empty() { why.to_owned() } else { format!("{why}; refused: {}", names.join(", ")) };
        let mut milder = Vec::new();
        let native = Layer::native();
        if native.contains(&Layer::Mdwe) && !self.is_left_out(Layer::Mdwe) && !self.is_left_out(Layer::Seccomp) {
            // One power, which two layers keep.
            let mut candidate = self.clone_of();
            candidate.strength = Strength::Executable;
            candidate.leave_out(Layer::Mdwe, "all but that memory is never executable", &why);
            milder.push(candidate);
        }
        if native.contains(&Layer::Seccomp) && !self.is_left_out(Layer::Seccomp) {
            let mut hard_only = self.clone_of();
            hard_only.strength = Strength::HardOnly;
            hard_only.note(Layer::Seccomp, "only calls that no honest library makes are refused", &why);
            milder.push(hard_only);
        }
        // Without no-new-privileges the kernel refuses the strongest layers too: to leave it out would leave out three.
        let single = |layer: &Layer| *layer != Layer::NoNewPrivileges && !self.is_left_out(*layer);
        for layer in native.iter().rev().copied().filter(single) {
            let mut without = self.clone_of();
            without.leave_out(layer, "nothing", &why);
            milder.push(without);
        }
        for candidate in milder {
            if matches!(candidate.play(script), Ok(Came::Through)) {
                // What fails once may be somebody else's doing, in a directory that is shared, say: a layer is lowered for
                // what it does every time.
                let again = matches!(self.play(script), Ok(Came::Through));
                return Ok(if again { self } else { candidate.because_of(calls) });
            }
        }
        let mut nothing = self.clone_of();
        Layer::ALL.into_iter().for_each(|layer| nothing.leave_out(layer, "nothing", ""));
        match nothing.play(script) {
            Ok(Came::Through) => Err(Error::Rehearsal { name: self.name, why }),
            // It does not work without a sandbox either: whatever the matter is, the process will say it better.
            _ => Ok(self),
        }
    }

    /// What is lowered is so for the sake of these calls.
    fn because_of(mut self, calls: Vec<Trapped>) -> Self {
        if let Some(lowered) = self.lowered.last_mut() {
            lowered.refused = calls;
        }
        self
    }

    /// Has a copy do it all.
    fn play(&self, script: &mut dyn FnMut() -> Result<(), String>) -> io::Result<Came> {
        let ended = child::try_out(PATIENCE, |said| {
            let tell = |what: u8| {
                let _ = rustix::io::write(said, &[MARK, what]);
            };
            // Layers are told by their place in the list.
            let mut at = |layer: Layer| {
                child::end_with_parent();
                tell(u8::try_from(layer as usize).unwrap_or(0));
            };
            if !self.no_listener && !self.is_left_out(Layer::Seccomp) {
                tell(AT_LISTENER);
                os::ask_for_listener();
            }
            let plan = os::Plan::new(self, &mut at);
            if !self.no_kill_timer {
                tell(AT_TIMER);
            }
            let sealed = plan.map(|plan| plan.apply(self, &mut at, None));
            tell(AT_SCRIPT);
            if let Err(why) = sealed.map_err(|error| error.to_string()).and_then(|_| script()) {
                tell(FAILED);
                let _ = rustix::io::write(said, why.as_bytes());
                crate::sys::exit_now(1);
            }
            tell(AT_PANIC);
            crate::last_words();
            panic!("{LAST_WORDS}");
        })?;
        Ok(judge(&ended))
    }

    /// The calls that the script is refused: copies of this process play it until they meet no new one. Where
    /// there is no [`Listener`](crate::Listener) this is how to find out; it changes nothing.
    #[must_use]
    pub fn calls_refused(&self, script: &mut dyn FnMut() -> Result<(), String>) -> Vec<Trapped> {
        let mut naming = self.clone_of();
        let (mut names, mut refused) = (Vec::new(), Vec::new());
        if os::threads().is_some_and(|count| count > 1) {
            return refused;
        }
        while names.len() < NAMED {
            naming.naming = Some(names.clone());
            let Ok(ended) = naming.play_raw(script) else { break };
            let text = String::from_utf8_lossy(&ended.said);
            let trapped = text.lines().find_map(|line| {
                let at = line.find("TRAPPED ")?;
                trapped_call(line.get(at..)?)
            });
            let Some((number, name, address)) = trapped else { break };
            if name.is_some_and(|name| names.contains(&name)) {
                break;
            }
            refused.push(Trapped::new(number, name, address));
            // What has no name cannot be let by.
            let Some(name) = name else { break };
            names.push(name);
        }
        refused
    }

    fn play_raw(&self, script: &mut dyn FnMut() -> Result<(), String>) -> io::Result<Ended> {
        child::try_out(PATIENCE, |_| {
            let mut quiet = |_: Layer| ();
            if let Ok(plan) = os::Plan::new(self, &mut quiet) {
                plan.apply(self, &mut quiet, None);
                let _ = script();
            }
            crate::sys::exit_now(0);
        })
    }
}

/// What a child's marks and end say.
fn judge(ended: &Ended) -> Came {
    let mark = ended.said.iter().rposition(|byte| *byte == MARK).and_then(|at| {
        let step = *ended.said.get(at + 1)?;
        Some((step, String::from_utf8_lossy(ended.said.get(at + 2..).unwrap_or_default()).trim().to_owned()))
    });
    let how = match ended.status {
        None => "does not end".to_owned(),
        Some(status) => status.signal().map_or_else(
            || format!("ended with status {}", status.code().unwrap_or(-1)),
            |signal| format!("is ended by {}", signal_name(signal)),
        ),
    };
    let with = |text: &str| if text.is_empty() { how.clone() } else { format!("{how}: {text}") };
    let signal = ended.status.and_then(|status| status.signal());
    if signal == Some(libc::SIGKILL) {
        return Came::Killed;
    }
    let for_asking = signal == Some(libc::SIGSYS);
    match mark {
        Some((FAILED, text)) => Came::Failed(text),
        Some((AT_PANIC, text)) => {
            let spoken = text.contains(LAST_WORDS);
            match signal {
                Some(signal) if spoken && signal != libc::SIGSYS => Came::Through,
                _ => Came::Failed(format!("its panic path {}", with(&text))),
            }
        }
        Some((AT_LISTENER, _)) if for_asking => Came::DiedAtListener,
        Some((AT_TIMER, _)) if for_asking => Came::DiedAtTimer,
        Some((AT_SCRIPT, text)) => Came::Failed(format!("its work {}", with(&text))),
        Some((step, text)) => match Layer::ALL.get(usize::from(step)) {
            Some(layer) if for_asking => Came::DiedAt(*layer, with(&text)),
            Some(layer) => Came::Failed(format!("{} with the layer {layer}", with(&text))),
            None => Came::Failed(with(&text)),
        },
        None => Came::Failed(format!("it {}", with(&String::from_utf8_lossy(&ended.said)))),
    }
}

fn signal_name(signal: i32) -> String {
    match signal {
        libc::SIGSYS => "SIGSYS, a system call that is not permitted".to_owned(),
        libc::SIGSEGV => "SIGSEGV".to_owned(),
        libc::SIGABRT => "SIGABRT".to_owned(),
        other => format!("signal {other}"),
    }
}
