//! Having certificates: what `issue` and `renew` have in common.

use std::time::Instant;

use serde::Serialize;

use crate::commands::due::due;
use crate::commands::{Outcome, now};
use crate::config::{Config, Definition};
use crate::error::{Error, Result};
use crate::messages::ToRole;
use crate::run::crew::{Crew, Terms};
use crate::run::plan::{Job, Scene, deadline};
use crate::run::watch::{self, JobResult, Results};
use crate::state::State;
use crate::ui::{self, Ui};

/// How a certificate came out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Report {
    name: String,
    result: Kind,
    /// Why it was had, or why not.
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alternates: Vec<String>,
    directory: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Renewed,
    Unchanged,
    Failed,
}

/// Has those of the certificates that are due. One that fails never stops the others.
pub(crate) fn obtain(
    config: &Config,
    definitions: Vec<Definition>,
    force: bool,
    command: &'static str,
    mut ui: Ui,
) -> Result<Outcome> {
    let state = State::new(&config.state, config.uid_base);
    let mut reports = Vec::new();
    let mut wanted = Vec::new();
    for definition in definitions {
        match state.live(&definition.name) {
            Ok(live) if due(&definition, live.as_ref(), force, now()).is_none() => {
                reports.push(unchanged(&state, &definition, live.as_ref()));
            }
            Ok(_) => wanted.push(definition),
            Err(error) => reports.push(failed(&state, &definition.name, &error.to_string())),
        }
    }
    let mut hooks = Vec::new();
    if !wanted.is_empty() {
        let scene = Scene::new(config, &state)?;
        state.prepare(&scene.ca.directory)?;
        let (jobs, reasons) = begin(&state, &scene, wanted, force, &mut reports);
        if !jobs.is_empty() {
            hooks = run(&scene, (&jobs, &reasons), command, &mut reports, &mut ui)?;
        }
    }
    show(&reports, &hooks, command, &ui)
}

/// Takes the locks and prepares the generations. Those that cannot be prepared are reported.
fn begin(
    state: &State,
    scene: &Scene<'_>,
    wanted: Vec<Definition>,
    force: bool,
    reports: &mut Vec<Report>,
) -> (Vec<Job>, Vec<String>) {
    // Each certificate of a run needs some descriptors. Without more there is room for those of most machines.
    let _ = portcullis::fd::raise_limit();
    let mut jobs = Vec::new();
    let mut reasons = Vec::new();
    let until = State::patience();
    for definition in wanted {
        match prepare(state, scene, &definition, force, until) {
            Ok(Some((job, reason))) => {
                jobs.push(job);
                reasons.push(reason);
            }
            Ok(None) => reports.push(unchanged(state, &definition, None)),
            Err(error) => reports.push(failed(state, &definition.name, &error.to_string())),
        }
    }
    (jobs, reasons)
}

fn prepare(
    state: &State,
    scene: &Scene<'_>,
    definition: &Definition,
    force: bool,
    until: Instant,
) -> Result<Option<(Job, String)>> {
    let name = &definition.name;
    let lock = state.lock(name, until)?.ok_or_else(|| {
        Error::failed(format!("another acme-client is working on {name} right now; wait for it, nothing was changed"))
    })?;
    // Another run may have had it while this one waited for nothing but its turn.
    let live = state.live(name)?;
    let Some(reason) = due(definition, live.as_ref(), force, now()) else { return Ok(None) };
    let pending = state.begin(definition, &scene.ca.directory)?;
    Ok(Some((Job { definition: definition.clone(), live, pending, lock }, reason.to_string())))
}

fn run(
    scene: &Scene<'_>,
    (jobs, reasons): (&[Job], &[String]),
    command: &'static str,
    reports: &mut Vec<Report>,
    ui: &mut Ui,
) -> Result<Vec<String>> {
    let names: Vec<String> = jobs.iter().map(|job| job.definition.name.clone()).collect();
    let mut commands: Vec<Vec<String>> = jobs.iter().flat_map(|job| job.definition.hooks.clone()).collect();
    commands.sort();
    commands.dedup();
    let terms = Terms {
        state: scene.state,
        sandbox: &scene.config.sandbox,
        command,
        verbose: ui.verbose(),
        deadline: deadline(jobs.len()),
    };
    let mut crew = Crew::start(scene.issue(jobs, &commands)?, &terms)?;
    ui.crew(&crew);
    crew.seal_supervisor(&terms)?;
    crew.tell_all(&ToRole::Go)?;
    let mut results = watch::watch(&mut crew, &names, ui)?;
    let due = commands_due(&commands, jobs, &results);
    if !due.is_empty() {
        watch::run_hooks(&mut crew, &due, &mut results)?;
    }
    for ((job, result), reason) in jobs.iter().zip(&results.jobs).zip(reasons) {
        reports.push(report(scene.state, job, result, reason));
    }
    if results.jobs.iter().any(|job| job.committed.is_none())
        && let Some(suspicion) = crew.suspicion()
    {
        ui.note(&suspicion);
    }
    if let Err(error) = crew.end() {
        // What was done is done, and is reported as done.
        ui.note(&error.to_string());
    }
    Ok(results.hooks)
}

/// Each command once, with the certificates of its that are new.
fn commands_due(commands: &[Vec<String>], jobs: &[Job], results: &Results) -> Vec<(u32, Vec<String>)> {
    let renewed = |command: &Vec<String>| -> Vec<String> {
        let of_it = jobs
            .iter()
            .zip(&results.jobs)
            .filter(|(job, result)| result.committed.is_some() && job.definition.hooks.contains(command));
        of_it.map(|(job, _)| job.definition.name.clone()).collect()
    };
    (0..).zip(commands).map(|(at, command)| (at, renewed(command))).filter(|(_, names)| !names.is_empty()).collect()
}

fn report(state: &State, job: &Job, result: &JobResult, reason: &str) -> Report {
    let name = &job.definition.name;
    let mut report = match (result.committed, &result.failed) {
        (Some(until), _) => Report {
            result: Kind::Renewed,
            reason: reason.to_owned(),
            not_after: Some(ui::date(until)),
            ..failed(state, name, "")
        },
        (None, Some(text)) => failed(state, name, text),
        (None, None) => failed(state, name, "the run ended before it was its turn"),
    };
    report.alternates = result.alternates.iter().map(ToString::to_string).collect();
    report
}

fn failed(state: &State, name: &str, text: &str) -> Report {
    Report {
        name: name.to_owned(),
        result: Kind::Failed,
        reason: text.to_owned(),
        not_after: None,
        alternates: Vec::new(),
        directory: state.root.join("live").join(name).display().to_string(),
    }
}

fn unchanged(state: &State, definition: &Definition, live: Option<&crate::state::Live>) -> Report {
    Report {
        result: Kind::Unchanged,
        reason: "not due".to_owned(),
        not_after: live.map(|live| ui::date(live.facts.not_after)),
        ..failed(state, &definition.name, "")
    }
}

fn show(reports: &[Report], hooks: &[String], command: &str, ui: &Ui) -> Result<Outcome> {
    let any = |kind: Kind| reports.iter().any(|report| report.result == kind);
    if ui.json() {
        let json =
            serde_json::json!({ "version": 1, "command": command, "certificates": reports, "failed-hooks": hooks });
        ui.print(&json.to_string());
    } else {
        reports.iter().for_each(|report| line(report, ui));
    }
    for text in hooks {
        ui.note(&format!("hook: {text}. The certificate is in place all the same"));
    }
    if any(Kind::Failed) || !hooks.is_empty() {
        Ok(Outcome::Failed)
    } else if any(Kind::Renewed) {
        Ok(Outcome::Done)
    } else {
        Ok(Outcome::Unchanged)
    }
}

fn line(report: &Report, ui: &Ui) {
    let Report { name, reason, directory, .. } = report;
    let until = report.not_after.as_deref().map(|date| format!(", valid until {date}")).unwrap_or_default();
    match report.result {
        Kind::Renewed => ui.print(&format!("{name}: {} ({reason}){until}, in {directory}", ui.good("renewed"))),
        Kind::Unchanged => ui.detail(&format!("{name}: unchanged ({reason}){until}")),
        Kind::Failed => ui.failed(name, reason),
    }
    for alternate in &report.alternates {
        ui.detail(&format!("{name}: the CA offers another chain: {alternate}"));
    }
}
