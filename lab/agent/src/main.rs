//! The first process of a machine of the lab, and the one that runs the cells of the machine the lab itself is on.
//!
//! It reads a plan, has each case of each cell run in the cell's own root directory, ends what takes too long, and writes what
//! came of it in lines that stand the way through a serial console: `LAB LENGTH JSON`. Nothing else of the system is there:
//! no shell, no init, no tools.
//!
//!     agent                     as process 1: /lab/plan.json, and the machine is switched off in the end
//!     agent native PLAN         in a mount, network and process namespace that somebody made for it
//!     agent enter ROOT PROGRAM  (for itself) a program in another root directory
//!     agent enter-without-seccomp ROOT PROGRAM

mod absent;
mod machine;
mod plan;
mod run;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use plan::Plan;

/// Where the plan of a machine of its own is.
const PLAN: &str = "/lab/plan.json";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["enter", root, program, ..] => enter(root, program, &arguments[3..]),
        ["enter-without-seccomp", root, program, ..] => match absent::seccomp() {
            Ok(()) => enter(root, program, &arguments[3..]),
            Err(error) => {
                run::say(&serde_json::json!({ "wrong": format!("the kernel cannot be made poorer: {error}") }));
                ExitCode::from(126)
            }
        },
        ["native", plan] => {
            let ran = machine::prepare_namespaces().and_then(|()| follow(Path::new(plan)));
            told(ran)
        }
        [] if std::process::id() == 1 => {
            let ran = machine::prepare().and_then(|()| follow(Path::new(PLAN)));
            told(ran);
            machine::switch_off()
        }
        _ => {
            run::say(&serde_json::json!({ "wrong": "the agent is started by the lab alone" }));
            ExitCode::FAILURE
        }
    }
}

fn told(ran: Result<(), String>) -> ExitCode {
    match ran {
        Ok(()) => {
            run::say(&serde_json::json!({ "done": true }));
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            run::say(&serde_json::json!({ "wrong": wrong }));
            ExitCode::FAILURE
        }
    }
}

fn follow(path: &Path) -> Result<(), String> {
    let plan = Plan::read(path)?;
    machine::set_clock(plan.time);
    run::say(&serde_json::json!({ "machine": machine::describe() }));
    for cell in &plan.cells {
        let root = match machine::furnish(cell) {
            Ok(root) => root,
            Err(wrong) => {
                cell.cases.iter().for_each(|case| run::failed(cell, case, &wrong));
                continue;
            }
        };
        for case in &cell.cases {
            run::case(cell, case, &root);
        }
        machine::clear(&root);
    }
    Ok(())
}

/// Becomes a program in another root directory: what is tested is a C library that has to be found where that library is
/// installed.
fn enter(root: &str, program: &str, arguments: &[String]) -> ExitCode {
    let entered = machine::make_root(root);
    if let Err(error) = entered {
        run::say(&serde_json::json!({ "wrong": format!("{root} cannot be entered: {error}") }));
        return ExitCode::from(126);
    }
    let error = Command::new(program).args(arguments).exec();
    // For whoever reads the log of the case.
    let _ = rustix::io::write(rustix::stdio::stdout(), format!("{program} cannot be run: {error}\n").as_bytes());
    ExitCode::from(127)
}
