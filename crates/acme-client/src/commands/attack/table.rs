//! What came of attacks, as a table.

use std::collections::BTreeMap;

use attacks::{Tried, Verdict};

use super::ground::Snapshot;
use crate::commands::Outcome;
use crate::roles::Role;
use crate::ui::Ui;

/// All attempts, by role.
#[derive(Debug, Default)]
pub(super) struct Table {
    roles: BTreeMap<Role, Vec<Tried>>,
    /// What was found changed that must not have.
    damage: Vec<String>,
    looked: usize,
}

impl Table {
    /// One more.
    pub(super) fn add(&mut self, role: Role, tried: Tried) {
        self.roles.entry(role).or_default().push(tried);
    }

    /// What is there now is what was there before.
    pub(super) fn unchanged(&mut self, when: &str, before: &Snapshot, now: &Snapshot) {
        self.looked += 1;
        self.damage.extend(before.differences(now).into_iter().map(|difference| format!("{when}: {difference}")));
    }

    /// Shows everything. Not done, if something succeeded or was not as it must be.
    pub(super) fn show(&self, ui: &Ui) -> Outcome {
        for (role, tried) in &self.roles {
            ui.print(&format!("\n{role}:"));
            tried.iter().for_each(|tried| show(tried, ui));
        }
        ui.print("");
        self.roles.iter().for_each(|(role, tried)| summary(*role, tried, ui));
        for damage in &self.damage {
            ui.print(&ui.bad(&format!("CHANGED {damage}")));
        }
        ui.print(&format!(
            "files were looked at {} times, {} changes that must not be",
            self.looked,
            self.damage.len()
        ));
        let bad = |tried: &Tried| matches!(tried.verdict, Verdict::Succeeded | Verdict::Odd);
        let good = self.damage.is_empty() && !self.roles.values().flatten().any(bad);
        if good { Outcome::Done } else { Outcome::Failed }
    }
}

fn show(tried: &Tried, ui: &Ui) {
    let Tried { name, wants, must, happened, verdict } = tried;
    let word = match verdict {
        Verdict::Held => ui.good("ok"),
        Verdict::NotHere => "--".to_owned(),
        Verdict::Unclaimed(_) => "power".to_owned(),
        Verdict::Odd => ui.bad("ODD"),
        _ => ui.bad("SUCCEEDED"),
    };
    let why = match verdict {
        Verdict::Unclaimed(why) => format!(" ({why})"),
        _ => String::new(),
    };
    ui.print(&format!("  {word:<5} {name}: {wants} | must be: {must} | was: {happened}{why}"));
}

fn summary(role: Role, tried: &[Tried], ui: &Ui) {
    let count = |is: fn(&Verdict) -> bool| tried.iter().filter(|tried| is(&tried.verdict)).count();
    let made = count(|verdict| !matches!(verdict, Verdict::NotHere));
    let succeeded = count(|verdict| matches!(verdict, Verdict::Succeeded));
    let odd = count(|verdict| matches!(verdict, Verdict::Odd));
    let powers = count(|verdict| matches!(verdict, Verdict::Unclaimed(_)));
    let line = format!(
        "{:<10} {made} attempts, {succeeded} succeeded, {odd} refused otherwise than they must be; {powers} powers that \
         are documented, {} that cannot be tried here",
        role.name(),
        tried.len() - made
    );
    ui.print(&if succeeded + odd == 0 { ui.good(&line) } else { ui.bad(&line) });
}
