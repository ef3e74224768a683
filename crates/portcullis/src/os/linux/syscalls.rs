//! System calls: promises to classes, classes to a filter, the filter into the kernel.

use std::io;

use syscall_policy::{Arch, Class, Condition, Decision, Errno, Instruction, Policy, Rule, Soft, compile};

use super::unavailable;
use crate::errno;
use crate::promise::Promise;
use crate::report::{NOTIFIES, Outcome};
use crate::sandbox::{HandOff, Sandbox, Strength};
use crate::sys;

/// The kernel's own number, which it lets out here: `ENOTSUPP`. Some 32-bit Arm kernels must compile filters, and
/// cannot compile a large one.
const ENOTSUPP: i32 = 524;

/// `SECCOMP_RET_USER_NOTIF` of `linux/seccomp.h`.
const NOTIFY: u32 = 0x7fc0_0000;

/// A filter for this process.
#[derive(Debug)]
pub(super) struct Filter {
    arch: Arch,
    policy: Policy,
    process: u32,
    program: Vec<Instruction>,
}

/// What a process needs to send a listener away and to put a second filter on top of the first.
const HANDING_OFF: [Class; 2] = [Class::SendDescriptors, Class::RestrictSelf];

impl Filter {
    pub(super) fn new(sandbox: &Sandbox) -> Result<Self, Outcome> {
        let Some(arch) = Arch::native() else {
            return Err(Outcome::Unavailable("there is no table of system calls for this architecture".to_owned()));
        };
        let process = own_process();
        let soft = match (&sandbox.naming, sandbox.strength) {
            (Some(known), _) => Soft::Trap { except: known.clone() },
            (None, Strength::HardOnly) => Soft::Allow,
            (None, Strength::Full | Strength::Executable) => Soft::Errno,
        };
        let mut policy = narrowed(policy(&sandbox.promises), &sandbox.withheld).for_process(process).softly(soft);
        if sandbox.naming.is_some() && !policy.grants(Class::WriteHeld) {
            // What is refused must be told of all the same, in lines of this length and no others.
            let line = Condition::is(2, &[sys::TRAPPED_LINE]);
            policy = policy
                .and(Class::WriteHeld)
                .with_rule("write", Rule::otherwise(Decision::Refuse(Errno::NotPermitted)).allow([line]));
        }
        if sandbox.strength == Strength::Executable {
            policy = policy.with_executable_memory();
        }
        let program = compile(&policy, arch);
        Ok(Self { arch, policy, process, program })
    }

    /// Puts it in force. Says what holds, and how many calls are left.
    pub(super) fn install(self, sandbox: &Sandbox, hand_off: Option<HandOff<'_>>) -> (Outcome, usize) {
        let silent = if sandbox.no_listener && hand_off.is_some() {
            "; refused calls are not told of: whoever asks for that here is ended"
        } else {
            ""
        };
        let hand_off = hand_off.filter(|_| !sandbox.no_listener);
        // The filter knows its process by number: a copy of it is another.
        let current = if self.process == own_process() { Ok(self) } else { Self::new(sandbox) };
        let filter = match current {
            Ok(filter) => filter,
            Err(outcome) => return (outcome, 0),
        };
        let outcome = match (&sandbox.naming, sandbox.strength, hand_off) {
            (Some(_), _, _) => filter.install_naming(),
            (None, Strength::Full | Strength::Executable, Some(hand_off)) => filter.install_notifying(&hand_off),
            (None, Strength::Full | Strength::Executable, None) => filter.install_plain(silent),
            (None, Strength::HardOnly, _) => match filter.install_plain("") {
                Outcome::Enforced(text) => Outcome::Partial(format!(
                    "only what no honest library does is refused, as a rehearsal showed: {text}"
                )),
                outcome => outcome,
            },
        };
        let outcome = match outcome {
            Outcome::Enforced(text) if sandbox.strength == Strength::Executable => {
                Outcome::Partial(format!("memory can be made executable, as a rehearsal showed: {text}"))
            }
            outcome => outcome,
        };
        let calls = filter.policy.allowed(filter.arch).len();
        match outcome {
            Outcome::Enforced(_) | Outcome::Partial(_) => (outcome, calls),
            Outcome::Unavailable(_) | Outcome::Skipped(_) => (outcome, 0),
        }
    }

    fn held(&self, program: &[Instruction], how: &str) -> Outcome {
        let calls = self.policy.allowed(self.arch).len();
        Outcome::Enforced(format!("{calls} calls, {} instructions{how}", program.len()))
    }

    fn install_plain(&self, how: &str) -> Outcome {
        match sys::set_filter(&sys::Program::new(&self.program)) {
            Ok(()) => self.held(&self.program, how),
            Err(error) if is_too_large(&error) => {
                let smaller = compile(&self.policy.clone().coarse(), self.arch);
                match sys::set_filter(&sys::Program::new(&smaller)) {
                    Ok(()) => self.held(&smaller, &format!(", refused calls answered alike{how}")),
                    Err(error) => not_filtered(error),
                }
            }
            Err(error) => not_filtered(error),
        }
    }

    fn install_naming(&self) -> Outcome {
        match sys::name_trapped_call() {
            Ok(()) => self.install_plain(", the first refused call ends the process"),
            Err(error) => unavailable("refused calls cannot be named", error),
        }
    }

    /// Two filters: the first with a listener, open only for that to be sent away, and a second that closes it.
    ///
    /// Between the two nobody answers yet: a call that is refused there would wait forever. So everything is made
    /// beforehand, and nothing is asked of an allocator that may be somebody else's.
    fn install_notifying(&self, hand_off: &HandOff<'_>) -> Outcome {
        let open = HANDING_OFF.into_iter().fold(self.policy.clone(), Policy::and).softly(Soft::Notify);
        let taken = HANDING_OFF.into_iter().filter(|class| !self.policy.grants(*class));
        let (first, second) = (compile(&open, self.arch), compile(&Policy::taking(taken), self.arch));
        let programs = (sys::Program::new(&first), sys::Program::new(&second));
        let listener = match sys::set_filter_with_listener(&programs.0) {
            Ok(listener) => listener,
            Err(error) => {
                return self.install_plain(&format!("; refused calls are not told of: {}", no_listener(&error)));
            }
        };
        let handed = super::listener::hand_off(&listener, hand_off);
        // If nobody has it the kernel answers from here on.
        drop(listener);
        match (sys::set_filter_by_call(&programs.1), handed) {
            (Ok(()), Ok(())) => self.held(&[first, second].concat(), "; refused calls are told to the supervisor"),
            (Ok(()), Err(error)) => {
                self.held(&[first, second].concat(), &format!("; refused calls are answered ENOSYS: {error}"))
            }
            (Err(error), _) => {
                Outcome::Partial(format!("descriptors can be sent, for want of a second filter: {error}"))
            }
        }
    }
}

fn no_listener(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EBUSY) => "an outer sandbox listens already".to_owned(),
        Some(libc::EINVAL | libc::ENOSYS) => "the kernel does not notify (Linux 5.0)".to_owned(),
        _ => error.to_string(),
    }
}

fn not_filtered(error: io::Error) -> Outcome {
    if rustix::thread::secure_computing_mode() == Ok(rustix::thread::SecureComputingMode::Filter) {
        return Outcome::Unavailable(format!(
            "seccomp(2): an outer sandbox filters system calls, and permits no filter in it ({})",
            errno::described(&error)
        ));
    }
    unavailable("seccomp(2)", error)
}

fn is_too_large(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENOTSUPP | libc::ENOMEM))
}

/// The names of the calls that promises allow on this architecture, all of them or for some arguments.
pub(crate) fn calls_allowed(promises: &[Promise]) -> Vec<&'static str> {
    Arch::native().map_or_else(Vec::new, |arch| policy(promises).for_process(own_process()).allowed(arch))
}

pub(super) fn offered() -> Outcome {
    if Arch::native().is_none() {
        return Outcome::Unavailable("there is no table of system calls for this architecture".to_owned());
    }
    /// `SECCOMP_RET_KILL_PROCESS` of `linux/seccomp.h`.
    const KILL_PROCESS: u32 = 0x8000_0000;
    if sys::knows_action(KILL_PROCESS).is_ok() {
        let notifies = if sys::knows_action(NOTIFY).is_ok() { NOTIFIES } else { "" };
        return Outcome::Enforced(format!("offered{notifies}"));
    }
    match sys::has_filters() {
        Ok(()) => Outcome::Enforced("offered, in an older form".to_owned()),
        Err(error) => not_filtered(error),
    }
}

/// Makes seccomp(2) ask whether calls can be told of, as it will when a process is sealed with a listener: some outer
/// sandboxes end whoever makes that call.
pub(crate) fn ask_for_listener() {
    // The answers are of no matter: the call that is to come finds out for itself.
    let _ = sys::knows_action(NOTIFY);
    let _ = sys::ask_for_listener();
}

/// Puts a filter in force that permits everything: whether there can be any.
pub(super) fn try_filter() -> Outcome {
    let all = Policy::taking([]);
    let filter = Arch::native().map(|arch| compile(&all, arch));
    match filter.map(|filter| sys::set_filter(&sys::Program::new(&filter))) {
        Some(Err(error)) => not_filtered(error),
        Some(Ok(())) | None => Outcome::Enforced(String::new()),
    }
}

/// What promises mean, on whatever architecture, less the number of the process.
pub(super) fn policy(promises: &[Promise]) -> Policy {
    Policy::new(promises.iter().flat_map(|promise| classes(*promise)).copied().chain(ALWAYS))
}

/// The same less what is withheld.
pub(super) fn narrowed(policy: Policy, withheld: &[Class]) -> Policy {
    withheld.iter().fold(policy, |policy, class| policy.without(*class))
}

fn own_process() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get().unsigned_abs()
}

/// Whoever is sealed may end, and return from a signal's handler.
const ALWAYS: [Class; 2] = [Class::Exit, Class::SignalHandlers];

/// Writing beneath directories, of whatever kind. To look at the attributes of what a path names, or to list a
/// directory, is to read.
macro_rules! write_classes {
    ($class:ident) => {
        &[Class::$class, Class::SeekHeld, Class::SyncHeld, Class::SizeHeld, Class::LockHeld, Class::AttributesHeld]
    };
}

/// The classes a promise stands for.
const fn classes(promise: Promise) -> &'static [Class] {
    match promise {
        Promise::Stdio => &[
            Class::ReadHeld,
            Class::WriteHeld,
            Class::CloseHeld,
            Class::SyncHeld,
            Class::StatHeld,
            Class::ControlHeld,
            Class::Ioctl,
            Class::Poll,
            Class::Memory,
            Class::Time,
            Class::Sleep,
            Class::Random,
            Class::SignalHandlers,
            Class::SignalOwn,
            Class::Futex,
            Class::OwnId,
            Class::ProcessSettings,
        ],
        Promise::RecvFd => &[Class::ReceiveDescriptors],
        Promise::SendFd => &[Class::SendDescriptors],
        Promise::ReadPath => &[Class::ReadPath, Class::StatPath, Class::ListHeld, Class::SeekHeld],
        Promise::WritePath => write_classes!(WritePath),
        Promise::CreatePath => write_classes!(CreatePath),
        Promise::Connect => &[Class::SocketCreate, Class::SocketConnect, Class::SocketIo, Class::SocketQuery],
        Promise::Accept => &[Class::Accept, Class::SocketQuery],
        Promise::Notifications => &[Class::Ioctl, Class::Notifications],
        Promise::Children => &[Class::WaitChildren, Class::SignalOwn, Class::SignalOther],
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use syscall_policy::{Verdict, prove};

    /// Every combination of promises, each on one architecture, so that each architecture sees many.
    #[test]
    fn every_combination_of_promises_is_proved() {
        let mut cells = 0;
        let mut longest = 0;
        for set in 0..1_usize << Promise::ALL.len() {
            let promises: Vec<_> =
                Promise::ALL.into_iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).collect();
            let promises: Vec<_> = promises.into_iter().map(|(_, promise)| promise).collect();
            let policy = policy(&promises).for_process(4711);
            let arch = Arch::ALL[set % Arch::ALL.len()];
            let program = compile(&policy, arch);
            longest = longest.max(program.len());
            match prove(&policy, arch, &program) {
                Ok(proof) => cells += proof.cells,
                Err(refuted) => panic!("{promises:?} on {arch}: {refuted}"),
            }
        }
        writeln!(io::stdout(), "{cells} cells; the longest filter has {longest} instructions").unwrap();
        assert!(longest < 512);
    }

    /// What kernels get that cannot take the whole filter. Prints the lengths: the sets are those that programs use.
    #[test]
    fn the_coarse_filter_is_short() {
        let sets: [&[Promise]; 6] = [
            &[Promise::Stdio],
            &[Promise::Stdio, Promise::Children],
            &[Promise::Stdio, Promise::RecvFd],
            &[Promise::Stdio, Promise::SendFd, Promise::Connect],
            &[Promise::Stdio, Promise::CreatePath],
            &[Promise::Stdio, Promise::CreatePath, Promise::Accept],
        ];
        for promises in sets {
            let names: Vec<_> = promises.iter().map(|promise| promise.name()).collect();
            let mut line = format!("{}:", names.join(" "));
            for arch in Arch::ALL {
                let policy = policy(promises).for_process(4711);
                let (fine, coarse) = (compile(&policy, arch).len(), compile(&policy.coarse(), arch).len());
                line += &format!(" {} {fine}/{coarse}", arch.name());
                // Where paths are opened, or sockets made, what is looked at is the power itself, and takes its comparisons.
                let most = if promises == [Promise::Stdio] { 50 } else { 66 };
                assert!(coarse * 100 < fine * most, "{line}");
            }
            writeln!(io::stdout(), "{line}").unwrap();
        }
    }

    #[test]
    fn every_promise_allows_something_of_its_own() {
        for promise in Promise::ALL {
            let all: Vec<_> = Promise::ALL.into_iter().filter(|other| *other != promise).collect();
            let without = policy(&all);
            let with = policy(&Promise::ALL);
            let arch = Arch::X86_64;
            let differs = arch.table().iter().any(|(name, _)| with.answer(arch, name) != without.answer(arch, name));
            // What Stdio shares with the others it has from them: the rest is reading, memory, time and waiting.
            assert!(differs, "{promise} is of no use beside the others");
        }
    }

    #[test]
    fn stdio_is_small_and_keeps_to_what_is_held() {
        let policy = policy(&[Promise::Stdio]);
        for (arch, most) in [(Arch::X86_64, 48), (Arch::Aarch64, 45), (Arch::I386, 70), (Arch::S390x, 50)] {
            let allowed = policy.clone().for_process(1).allowed(arch);
            assert!(allowed.len() <= most, "{} calls on {arch}: {allowed:?}", allowed.len());
            for name in
                ["openat", "open", "socket", "connect", "recvmsg", "sendmsg", "clone", "execve", "timer_settime"]
            {
                assert!(!allowed.contains(&name), "{name} on {arch}");
            }
        }
        // Setting a deadline aside would need a timer.
        for name in ["alarm", "setitimer", "timer_delete", "timer_settime"] {
            let number = Arch::X86_64.number(name).unwrap();
            assert_eq!(policy.verdict(Arch::X86_64, number, &[0; 6]), Verdict::Errno(1));
        }
    }

    /// The kernel itself has a process make these, after a handler or a stop: to refuse them is to end it.
    #[test]
    fn whoever_is_sealed_may_return_from_a_handler_and_go_on_after_a_stop() {
        for promises in Promise::ALL.iter().map(core::slice::from_ref).chain([&[][..]]) {
            for arch in Arch::ALL {
                for name in ["rt_sigreturn", "sigreturn", "restart_syscall", "exit", "exit_group"] {
                    let Some(number) = arch.number(name) else { continue };
                    let verdict = policy(promises).verdict(arch, number, &[0; 6]);
                    assert_eq!(verdict, Verdict::Allow, "{name} on {arch} with {promises:?}");
                }
            }
        }
    }
}
