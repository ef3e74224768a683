//! `sandbox policy`: what each role may ask of the kernel, on any architecture, from the table of roles alone.
//!
//! Nothing is started and nothing is sealed. What holds on this machine is for `doctor` to find out.

use serde::Serialize;
use syscall_policy::{Answer, Arch, Decision, Policy, calls, compile, disassemble};

use crate::cli::SandboxPolicy;
use crate::commands::Outcome;
use crate::error::{Error, Result};
use crate::roles::{self, Role};
use crate::ui::Ui;

/// Stands for the number of the process, which a filter knows and a table does not: 0x1267 where filters are shown.
const ITS_NUMBER: u32 = 4711;

/// What a role may do on one architecture.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct View {
    role: &'static str,
    promises: Vec<&'static str>,
    arch: &'static str,
    /// Calls allowed whatever their arguments are.
    always: usize,
    /// Calls allowed for some arguments.
    by_argument: usize,
    /// Length of the filter.
    instructions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<Vec<Row>>,
    /// The filter, one instruction a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Vec<String>>,
}

/// One call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    name: &'static str,
    number: u32,
    class: &'static str,
    /// `allow`, `by-argument`, the errno that is the answer, or `kill`.
    answer: String,
    /// How arguments decide, where they do.
    rule: Option<String>,
    /// Why the call is in its class.
    reason: &'static str,
}

/// Shows it.
pub(crate) fn run(options: &SandboxPolicy, ui: &Ui) -> Result<Outcome> {
    let sealed = roles::TABLE.iter().filter(|spec| spec.promises.is_some()).map(|spec| spec.role);
    let roles: Vec<Role> = options.role.map_or_else(|| sealed.collect(), |role| vec![role]);
    let native = || Arch::native().ok_or_else(|| Error::usage("say for which architecture, by --arch"));
    let arches = match options.arch {
        Some(arch) => vec![arch],
        None if options.calls || options.filter => vec![native()?],
        None => Arch::ALL.to_vec(),
    };
    let pairs = arches.iter().flat_map(|arch| roles.iter().map(move |role| (*role, *arch)));
    let views: Vec<View> = pairs.map(|(role, arch)| view(role, arch, options)).collect::<Result<_>>()?;
    if ui.json() {
        ui.print(&serde_json::json!({ "version": 1, "command": "sandbox policy", "policies": views }).to_string());
    } else if options.calls || options.filter {
        views.iter().for_each(|view| print(view, ui));
    } else {
        table(&roles, &views, ui);
    }
    Ok(Outcome::Done)
}

fn view(role: Role, arch: Arch, options: &SandboxPolicy) -> Result<View> {
    let promises = role.spec().promises.unwrap_or_default();
    let policy = portcullis::policy(promises)
        .ok_or_else(|| Error::failed("on this system promises are not held by filtering system calls"))?
        .for_process(ITS_NUMBER);
    let allowed: Vec<Answer> = policy.allowed(arch).iter().map(|name| policy.answer(arch, name)).collect();
    let always = allowed.iter().filter(|answer| **answer == Answer::Always(Decision::Allow)).count();
    let filter = compile(&policy, arch);
    Ok(View {
        role: role.name(),
        promises: promises.iter().map(|promise| promise.name()).collect(),
        arch: arch.name(),
        always,
        by_argument: allowed.len() - always,
        instructions: filter.len(),
        calls: options.calls.then(|| rows(&policy, arch)),
        filter: options.filter.then(|| disassemble(&filter, arch).lines().map(str::to_owned).collect()),
    })
}

/// All calls of an architecture: what is allowed first, then what is refused, by answer and number.
fn rows(policy: &Policy, arch: Arch) -> Vec<Row> {
    let row = |(name, number)| {
        let call = calls::call(name)?;
        let answer = policy.answer(arch, name);
        let (word, rule) = match &answer {
            Answer::Always(decision) => (decision.to_string(), None),
            Answer::Checked(rule) => ("by-argument".to_owned(), Some(rule.to_string())),
        };
        let row = Row { name, number, class: call.class.name(), answer: word, rule, reason: call.reason };
        Some((!answer.allows(), row))
    };
    let mut rows: Vec<(bool, Row)> = arch.table().iter().filter_map(row).collect();
    rows.sort_by(|(refused, one), (other_refused, other)| {
        (refused, &one.answer, one.number).cmp(&(other_refused, &other.answer, other.number))
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

/// A line for each architecture, a column for each role: calls allowed always, and for some arguments.
fn table(roles: &[Role], views: &[View], ui: &Ui) {
    let wide = |role: Role| role.name().len().max(6);
    let heads = roles.iter().map(|role| format!("  {:>width$}", role.name(), width = wide(*role)));
    ui.print(&format!("{:<11}{}", "ARCH", heads.collect::<String>()));
    for line in views.chunks(roles.len()) {
        let cell = |(role, view): (&Role, &View)| {
            let count = format!("{}+{}", view.always, view.by_argument);
            format!("  {count:>width$}", width = wide(*role))
        };
        let arch = line.first().map_or("", |view| view.arch);
        ui.print(&format!("{arch:<11}{}", roles.iter().zip(line).map(cell).collect::<String>()));
    }
    ui.print("");
    ui.print("System calls allowed whatever their arguments are + allowed for some arguments.");
    ui.print("hook is not sealed: what it starts would inherit the seal.");
}

fn print(view: &View, ui: &Ui) {
    ui.print(&format!(
        "{} on {} ({}): {} calls allowed, {} more for some arguments, by {} instructions",
        view.role,
        view.arch,
        view.promises.join(", "),
        view.always,
        view.by_argument,
        view.instructions
    ));
    for row in view.calls.iter().flatten() {
        ui.print(&format!("  {:<24} {:<19} {:<12} {}", row.name, row.class, row.answer, row.reason));
        if let Some(rule) = &row.rule {
            ui.print(&format!("  {:<24} {rule}", ""));
        }
    }
    for line in view.filter.iter().flatten() {
        ui.print(line);
    }
    if view.filter.is_some() {
        ui.print(&format!("  ({ITS_NUMBER:#x} stands for the number of the process)"));
    }
    ui.print("");
}
