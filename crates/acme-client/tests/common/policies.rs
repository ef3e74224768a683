//! What the program says that its roles may do.

use std::process::Command;

use portcullis::Promise;
use syscall_policy::Policy;

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
    let output = Command::new(env!("CARGO_BIN_EXE_acme-client"))
        .args(["sandbox", "policy", "--arch", "x86_64", "--json"])
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {said}"));
    let views = told["policies"].as_array().expect("a list");
    let roles = views.iter().map(|view| {
        let promises =
            view["promises"].as_array().expect("a list").iter().map(|name| promise(name.as_str().expect("text")));
        let promises: Vec<Promise> = promises.collect();
        let policy = portcullis::policy(&promises).expect("calls are filtered on Linux").for_process(ITS_NUMBER);
        // What is counted here is what the program counts.
        let count = view["always"].as_u64().expect("a number") + view["by-argument"].as_u64().expect("a number");
        assert_eq!(u64::try_from(policy.allowed(syscall_policy::Arch::X86_64).len()).expect("small"), count, "{view}");
        Role { name: view["role"].as_str().expect("text").to_owned(), policy }
    });
    roles.collect()
}

fn promise(name: &str) -> Promise {
    let promise = Promise::ALL.into_iter().find(|promise| promise.name() == name);
    promise.unwrap_or_else(|| panic!("there is no promise called {name}"))
}
