//! Scenes of rehearsals, and of calls that are told of.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use libc::{EACCES, EPERM};
use portcullis::{Error, Layer, Listener, Outcome, Promise, Refused, Report, Sandbox};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use syscall_policy::{Arch, Class, Decision, Policy, Rule, compile};

use super::{allocate, cannot_be_tested, receive, send};
use crate::support::{PUBLIC, call, fails, note, outer_filter, refused, seal, with};

fn rehearsed(sandbox: Sandbox, script: &mut dyn FnMut() -> Result<(), String>) -> Report {
    let sandbox = sandbox.rehearse(script).expect("a rehearsal");
    sandbox.prepare().expect("the sandbox can be prepared").seal().expect("the process can be sealed")
}

fn socket() -> Result<(), String> {
    let socket = portcullis::sockets::stream(std::net::Ipv4Addr::LOCALHOST.into());
    socket.map(drop).map_err(|error| format!("no socket: {error}"))
}

pub(crate) fn rehearsal_of_what_works(_: &[String]) {
    let mut played = 0;
    let report = rehearsed(with(&[Promise::Stdio]), &mut || {
        played += 1;
        allocate();
        Ok(())
    });
    assert_eq!(played, 0, "the script is played by a copy");
    assert!(report.lowered.is_empty(), "{report:?}");
    fails(File::open(PUBLIC), EACCES);
}

pub(crate) fn rehearsal_lowers_the_filter_a_step(_: &[String]) {
    let report = rehearsed(with(&[Promise::Stdio]), &mut socket);
    if matches!(report.outcome(Layer::Seccomp), Some(Outcome::Unavailable(_))) {
        note("not tested: what a rehearsal does with a filter");
        super::block_here(libc::SIGSYS);
    }
    let [lowered] = report.lowered.as_slice() else { panic!("one layer is lowered: {report:?}") };
    assert_eq!(lowered.layer, Layer::Seccomp);
    // i386 has sockets by another call, whose name is as good.
    assert!(lowered.why.contains("no socket") && lowered.why.contains("refused: "), "{lowered:?}");
    assert!(lowered.why.contains("socket"), "{lowered:?}");
    assert!(matches!(report.outcome(Layer::Seccomp), Some(Outcome::Partial(_))), "{report}");
    socket().expect("what was rehearsed works");
    note(report);
    // What no honest library does still ends the process, which is how this scene ends.
    call("ptrace", [0; 6]);
}

pub(crate) fn rehearsal_lowers_what_is_in_the_way_and_nothing_else(_: &[String]) {
    let mut reads = || File::open(PUBLIC).map(drop).map_err(|error| error.to_string());
    let report = rehearsed(with(&[Promise::Stdio, Promise::ReadPath]), &mut reads);
    if report.lowered.is_empty() {
        return note("not tested: rehearsals with Landlock, which does not hold here");
    }
    let layers: Vec<Layer> = report.lowered.iter().map(|lowered| lowered.layer).collect();
    assert_eq!(layers, [Layer::Landlock], "{report:?}");
    reads().expect("what was rehearsed works");
    if !cannot_be_tested(&report, Layer::Seccomp) {
        fails(File::create("/tmp/not-promised"), EACCES);
    }
}

pub(crate) fn rehearsal_knows_what_is_not_the_sandboxs_fault(_: &[String]) {
    let report = rehearsed(with(&[Promise::Stdio]), &mut || Err("the disk is full".to_owned()));
    assert!(report.lowered.is_empty(), "{report:?}");
}

/// What every process needs and this one lacks, by call, class and place. That it cannot write does not keep it from telling.
pub(crate) fn rehearsal_names_what_is_withheld(_: &[String]) {
    let permitted = |tried: Result<(), Errno>| match tried {
        Err(Errno::PERM) => Err("not permitted".to_owned()),
        _ => Ok(()),
    };
    let mut script = || {
        permitted(rustix::io::read(rustix::stdio::stderr(), &mut [0; 0]).map(drop))?;
        permitted(portcullis::fd::close_nothing())?;
        permitted(rustix::io::write(rustix::stdio::stderr(), b"").map(drop))
    };
    for (call, class) in [("read", Class::ReadHeld), ("close", Class::CloseHeld), ("write", Class::WriteHeld)] {
        let sandbox = with(&[Promise::Stdio]).withhold(class).rehearse(&mut script).expect("a rehearsal");
        if sandbox.lowered().is_empty() && !portcullis::machine().iter().any(is_enforced_seccomp) {
            return note("not tested: classes that are withheld, for calls are not filtered");
        }
        let [lowered] = sandbox.lowered() else { panic!("{class}: one layer is lowered: {:?}", sandbox.lowered()) };
        let refused = lowered.refused.first().expect("a call");
        assert_eq!(
            (refused.call.as_deref(), refused.class.as_deref()),
            (Some(call), Some(class.name())),
            "{lowered:?}"
        );
        assert_ne!(refused.address, 0, "{lowered:?}");
        assert!(lowered.why.contains(&format!("refused: {call} ({class})")), "{lowered:?}");
        note(lowered.why.clone());
    }
    let report = rehearsed(with(&[Promise::Stdio]), &mut script);
    assert!(report.lowered.is_empty(), "{report:?}");
}

fn is_enforced_seccomp(layer: &portcullis::LayerReport) -> bool {
    layer.layer == Layer::Seccomp && matches!(layer.outcome, Outcome::Enforced(_))
}

pub(crate) fn rehearsal_lowers_one_layer_at_most(_: &[String]) {
    let sandbox = with(&[Promise::Stdio]);
    // Two layers are in the way: the filter refuses the call, and Landlock the file.
    let tried = sandbox.rehearse(&mut || File::open(PUBLIC).map(drop).map_err(|error| error.to_string()));
    match tried {
        Err(Error::Rehearsal { why, .. }) => note(why),
        Err(other) => panic!("{other}"),
        Ok(sandbox) => {
            let report = sandbox.prepare().expect("prepared").seal().expect("sealed");
            assert!(report.lowered.len() <= 1, "{report:?}");
            let one = |layer| matches!(report.outcome(layer), Some(Outcome::Enforced(_) | Outcome::Partial(_)));
            // Where there is but one it may have been lowered.
            let two = !matches!(report.outcome(Layer::Seccomp), Some(Outcome::Unavailable(_)));
            assert!(one(Layer::Seccomp) || one(Layer::Landlock) || !two, "{report}");
            note("not tested: two layers in the way, for there are not two here");
        }
    }
}

pub(crate) fn rehearsal_fails_where_a_layer_is_required(_: &[String]) {
    let sandbox = with(&[Promise::Stdio]).require(Layer::Seccomp).rehearse(&mut socket).expect("a rehearsal");
    let sealed = sandbox.prepare().expect("prepared").seal();
    assert!(matches!(sealed, Err(Error::Required { layer: Layer::Seccomp, .. })), "{sealed:?}");
}

/// Android and some container managers end whoever makes a call that they do not know.
pub(crate) fn outer_filter_that_kills_whoever_asks(_: &[String]) {
    let Some(arch) = Arch::native() else { return };
    let kill = Rule::otherwise(Decision::Kill);
    let policy = Policy::new(Class::ALL.iter().copied())
        .with_rule("seccomp", kill.clone())
        .with_rule("landlock_create_ruleset", kill.clone())
        .with_rule("capset", kill)
        // The copy that rehearses has to be made.
        .with_rule("clone", Rule::otherwise(Decision::Allow));
    if !outer_filter(&compile(&policy, arch)) {
        return;
    }
    let report = rehearsed(with(&[Promise::Stdio]), &mut || {
        allocate();
        Ok(())
    });
    for layer in [Layer::Seccomp, Layer::Landlock, Layer::Capabilities] {
        assert!(matches!(report.outcome(layer), Some(Outcome::Unavailable(_))), "{report}");
        assert!(report.lowered.iter().any(|lowered| lowered.layer == layer), "{report:?}");
    }
    assert!(report.held(Layer::NoNewPrivileges) && report.held(Layer::Limits), "{report}");
    note(report);
}

// Calls that are told of.

/// What [`told_of`] has in another process, with its standard input as the channel.
pub(crate) fn half_that_is_told_of(_: &[String]) {
    let channel = UnixStream::from(rustix::io::dup(rustix::stdio::stdin()).expect("the channel"));
    let any = File::from(rustix::io::dup(rustix::stdio::stdin()).expect("any descriptor"));
    let sandbox = with(&[Promise::Stdio]).prepare().expect("prepared");
    let report = sandbox.seal_notifying(channel.as_fd(), b"x").expect("sealed");
    let text = report.outcome(Layer::Seccomp).map_or("", Outcome::text).to_owned();
    if !text.contains("told to the supervisor") {
        // The other half gets any descriptor, and then no calls.
        return note(format!("not tested: {text}"));
    }
    fails(File::open(PUBLIC), EACCES);
    refused("socket", [2, 1, 0, 0, 0, 0], EACCES);
    refused("prctl", [4, 1, 0, 0, 0, 0], libc::EINVAL);
    if let Some(result) = call("statx", [0; 6]) {
        assert!(result.is_err());
    }
    // What was left open for the listener to be sent is closed, and not told of.
    refused("sendmsg", [0; 6], EPERM);
    refused("seccomp", [1, 0, 0, 0, 0, 0], libc::ENOSYS);
    assert!(send(&channel, &any).is_err());
    allocate();
}

fn half(name: &str, channel: OwnedFd) -> Child {
    let mut command = super::half(name);
    command.stdin(Stdio::from(channel)).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the other half")
}

pub(crate) fn told_of(_: &[String]) {
    let (here, there) = UnixStream::pair().expect("a pair");
    let child = half("half_that_is_told_of", there.into());
    let Ok(descriptor) = receive(&here) else {
        let output = child.wait_with_output().expect("the other half ends");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("not tested"), "no listener came: {output:?}");
        return note(text.trim_start_matches("note: ").trim());
    };
    let promises = [Promise::Stdio, Promise::Children, Promise::Notifications];
    let listener = Listener::new(descriptor, &[Promise::Stdio], child.id()).expect("a listener");
    let report = seal(&promises);
    let mut told: Vec<Refused> = Vec::new();
    loop {
        let patience = Timespec::try_from(Duration::from_secs(5)).expect("five seconds");
        let mut entry = [PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
        rustix::event::poll(&mut entry, Some(&patience)).expect("poll");
        if !entry[0].revents().contains(PollFlags::IN) {
            break;
        }
        match listener.answer() {
            Ok(Some(refused)) => told.push(refused),
            Ok(None) => {}
            Err(_) => break,
        }
    }
    let output = child.wait_with_output().expect("the other half ends");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}\n{text}{errors}", output.status);
    if text.contains("not tested") {
        return note(text.trim_start_matches("note: ").trim());
    }
    told.iter().for_each(|refused| note(format!("{refused:?}")));
    let of = |name: &str| told.iter().find(|refused| refused.call.as_deref() == Some(name));
    let open = of("openat").or_else(|| of("open")).expect("the file");
    assert_eq!((open.answer.as_str(), open.class.as_deref()), ("EACCES", Some("open-path")));
    assert_ne!(open.address, 0);
    assert_eq!(of("prctl").expect("the setting").arguments[0], "4");
    assert!(of("sendmsg").is_none() && of("seccomp").is_none(), "{told:?}");
    if of("socket").is_none() {
        assert!(cannot_be_tested(&report, Layer::Seccomp), "{told:?}");
    }
}

/// There may be one listener in a tree of filters.
pub(crate) fn listened_to_already(_: &[String]) {
    let Some(arch) = Arch::native() else { return };
    let program = compile(&Policy::new(Class::ALL.iter().copied()), arch);
    // Made first, since the outer filter may refuse what the C library makes it by.
    let (here, there) = UnixStream::pair().expect("a pair");
    here.set_nonblocking(true).expect("a socket that does not block");
    if crate::support::outer_listener(&program).is_err() {
        return note("not tested: two listeners, for there is not even one");
    }
    let sandbox = with(&[Promise::Stdio]).prepare().expect("prepared");
    let report = sandbox.seal_notifying(there.as_fd(), b"x").expect("sealed");
    assert!(rustix::io::read(&here, &mut [0]).is_err(), "nothing is sent where there is no listener");
    let text = report.outcome(Layer::Seccomp).map_or("", Outcome::text);
    assert!(text.contains("an outer sandbox listens already"), "{report}");
    assert!(report.held(Layer::Seccomp));
    fails(File::open(PUBLIC), EACCES);
}

/// What [`named`] has in another process.
pub(crate) fn half_that_is_named(_: &[String]) {
    let report = with(&[Promise::Stdio]).naming(&["socket"]).prepare().expect("prepared").seal().expect("sealed");
    assert!(!cannot_be_tested(&report, Layer::Seccomp));
    refused("socket", [2, 1, 0, 0, 0, 0], EACCES);
    let _ = File::open(PUBLIC);
    panic!("the process should have ended");
}

pub(crate) fn named(_: &[String]) {
    let (_here, there) = UnixStream::pair().expect("a pair");
    let output = half("half_that_is_named", there.into()).wait_with_output().expect("the other half ends");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if text.contains("not tested") {
        return note("not tested: naming refused calls");
    }
    let line = errors.lines().last().unwrap_or_default();
    let (number, name, address) = portcullis::trapped_call(line).expect(line);
    assert_eq!(output.status.code(), Some(159), "{:?}", output.status.signal());
    assert!(matches!(name, Some("openat" | "open")), "{name:?}");
    assert_eq!(Arch::native().and_then(|arch| arch.number(name?)), Some(number));
    assert_ne!(address, 0);
}
