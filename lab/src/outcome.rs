//! What came of the cases of a machine: lines of its console, and nothing else, are believed.

use serde::Deserialize;
use serde_json::Value;

/// What came of a case in a cell.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Outcome {
    /// The cell.
    pub(crate) cell: String,
    /// The case.
    pub(crate) case: String,
    /// Whether all is well.
    pub(crate) ok: bool,
    /// Whether there was nothing to try, for want of something that the cell does not have.
    #[serde(default)]
    pub(crate) untested: bool,
    /// How long it took, by the clock of the machine.
    pub(crate) seconds: f64,
    /// In words.
    #[serde(default)]
    pub(crate) detail: String,
    /// What is collected from all cells.
    #[serde(default)]
    pub(crate) data: Value,
    /// If not all is well: the last that it said.
    #[serde(default)]
    pub(crate) log: Vec<String>,
}

/// Everything that a machine told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What it is.
    pub(crate) kernel: Option<String>,
    /// Seconds until its first process began to work.
    pub(crate) up: Option<f64>,
    /// Case by case.
    pub(crate) outcomes: Vec<Outcome>,
    /// Whether it came to its end.
    pub(crate) done: bool,
    /// What the agent could not do.
    pub(crate) wrong: Option<String>,
    /// Lines that did not come through whole.
    pub(crate) garbled: usize,
}

impl Told {
    /// Reads a console.
    pub(crate) fn read(console: &str) -> Self {
        let mut told = Self::default();
        for line in console.lines() {
            let Some(rest) = line.trim_end_matches('\r').strip_prefix("LAB ") else { continue };
            let whole = rest.split_once(' ').and_then(|(length, json)| {
                let length: usize = length.parse().ok()?;
                let json = (json.len() == length).then_some(json)?;
                serde_json::from_str::<Value>(json).ok()
            });
            match whole {
                Some(line) => told.take(&line),
                None => told.garbled += 1,
            }
        }
        told
    }

    fn take(&mut self, line: &Value) {
        if let Some(machine) = line.get("machine") {
            self.kernel = machine["kernel"].as_str().map(str::to_owned);
            self.up = machine["up"].as_f64();
        } else if line["done"] == true {
            self.done = true;
        } else if let Some(wrong) = line["wrong"].as_str() {
            self.wrong = Some(wrong.to_owned());
        } else if let Ok(outcome) = serde_json::from_value(line.clone()) {
            self.outcomes.push(outcome);
        } else {
            self.garbled += 1;
        }
    }

    /// What is wrong with what a machine told, beyond what it told of its cases.
    pub(crate) fn wrong(&self, console: &str, late: Option<String>) -> Option<String> {
        if !self.done {
            return Some(self.why_not_done(console, late));
        }
        (self.garbled > 0).then(|| format!("{} lines for the lab did not come through whole", self.garbled))
    }

    /// Why a machine did not come to its end.
    fn why_not_done(&self, console: &str, late: Option<String>) -> String {
        let panic = console.lines().find(|line| line.contains("Kernel panic"));
        if let Some(panic) = panic {
            return panic.trim().to_owned();
        }
        if let Some(wrong) = &self.wrong {
            return wrong.clone();
        }
        let last = console.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing");
        let last: String = last.chars().filter(|char| !char.is_control()).take(200).collect();
        match late {
            Some(late) => format!("the machine {late}; the last it said: {last}"),
            None => format!("the machine stopped; the last it said: {last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> String {
        format!("LAB {} {json}\r\n", json.len())
    }

    #[test]
    fn only_whole_lines_count() {
        let good = r#"{"cell":"a/b","case":"demo","ok":true,"seconds":1.5,"detail":"é","data":null}"#;
        let console = format!(
            "[    0.1] LAB 4 null\n{}{}{}LAB 3 {{}}\nLAB x {{}}\n",
            line(r#"{"machine":{"kernel":"6.1.0","up":1.25}}"#),
            line(good),
            line(good).replace("true", "tru"),
        );
        let told = Told::read(&console);
        assert_eq!((told.outcomes.len(), told.garbled, told.done), (1, 3, false));
        assert_eq!((told.kernel.as_deref(), told.up), (Some("6.1.0"), Some(1.25)));
        assert!(told.outcomes[0].ok && told.outcomes[0].detail == "é");
        assert!(Told::read(&line(r#"{"done":true}"#)).done);
    }

    #[test]
    fn it_is_said_why_a_machine_did_not_end() {
        let panic = "LAB x\n[    1.2] Kernel panic - not syncing: no init\n---\n";
        let late = || Some("was silent for 9 s".to_owned());
        assert!(Told::read(panic).why_not_done(panic, late()).contains("Kernel panic - not syncing"));
        assert!(Told::default().why_not_done("\n", late()).contains("silent for 9 s"));
        assert!(Told::default().why_not_done("oops\x1b[0m\n", None).ends_with("oops[0m"));
        let wrong = line(r#"{"wrong":"no plan"}"#);
        assert_eq!(Told::read(&wrong).wrong(&wrong, None).as_deref(), Some("no plan"));
        // The end is no excuse for what was lost on the way.
        let done = line(r#"{"done":true}"#);
        assert_eq!(Told::read(&done).wrong(&done, None), None);
        let lost = format!("{done}LAB 9 {{\n");
        assert!(Told::read(&lost).wrong(&lost, None).is_some_and(|wrong| wrong.starts_with("1 lines")));
    }
}
