//! What the program says that its roles may do.

use std::process::Command;

use portcullis::Promise;
use syscall_policy::{Arch, Policy};

/// Stands for the number of the process.
pub(crate) const ITS_NUMBER: u32 = 4711;

/// A role that is sealed.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) policy: Policy,
}

/// All of them, from the program's own table.
pub(crate) fn roles() -> Vec<Role> {
    let roles = promised().into_iter().map(|Promised { name, promises, calls }| {
        let policy = portcullis::policy(&promises).expect("calls are filtered on Linux").for_process(ITS_NUMBER);
        // What is counted here is what the program counts.
        assert_eq!(policy.allowed(Arch::X86_64).len(), calls, "{name}");
        Role { name, policy }
    });
    roles.collect()
}

/// What a role promises, and how many calls that leaves it on x86_64.
#[derive(Debug)]
pub(crate) struct Promised {
    pub(crate) name: String,
    pub(crate) promises: Vec<Promise>,
    calls: usize,
}

/// That of all roles, from the program's own table.
pub(crate) fn promised() -> Vec<Promised> {
    let built = std::env::var_os("ACME_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_acme-client").into());
    let mut command = Command::new(built);
    command.args(["--config", "/dev/null", "sandbox", "policy", "--arch", Arch::X86_64.name(), "--json"]);
    let output = command.output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {said}"));
    let views = told["policies"].as_array().expect("a list");
    let roles = views.iter().map(|view| {
        let number = |name: &str| usize::try_from(view[name].as_u64().expect("a number")).expect("small");
        let promises = view["promises"].as_array().expect("a list").iter();
        Promised {
            name: view["role"].as_str().expect("text").to_owned(),
            promises: promises.map(|name| promise(name.as_str().expect("text"))).collect(),
            calls: number("always") + number("by-argument"),
        }
    });
    roles.collect()
}

fn promise(name: &str) -> Promise {
    let promise = Promise::ALL.into_iter().find(|promise| promise.name() == name);
    promise.unwrap_or_else(|| panic!("there is no promise called {name}"))
}
