//! The program with what people preload (allocators above all), and with glibc's tunables: none costs a certificate.

use std::path::{Path, PathBuf};

use crate::program::As;
use crate::scene::Scene;

/// What is preloaded, beneath the directory of libraries.
const LIBRARIES: [&str; 8] = [
    "libjemalloc.so.2",
    "libmimalloc.so.2",
    "libtcmalloc_minimal.so.4",
    // Looks at the stack of who allocates, by way of a pipe of its own.
    "libtcmalloc_debug.so.4",
    "libtcmalloc_and_profiler.so.4",
    "libtbbmalloc_proxy.so.2",
    "libeatmydata.so",
    "faketime/libfaketime.so.1",
];

/// `GLIBC_TUNABLES`, ld.so(8). What a release does not know it says on standard error, or passes over.
const TUNABLES: [&str; 9] = [
    "glibc.malloc.perturb=165",
    "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0",
    "glibc.malloc.mmap_threshold=4096:glibc.malloc.trim_threshold=4096",
    "glibc.malloc.hugetlb=1",
    "glibc.malloc.hugetlb=2",
    "glibc.malloc.top_pad=1048576",
    "glibc.pthread.rseq=0",
    "glibc.pthread.mutex_spin_count=1000:glibc.rtld.optional_static_tls=4096",
    "glibc.cpu.x86_ibt=on:glibc.cpu.x86_shstk=on:glibc.cpu.hwcaps=-AVX2,-ERMS",
];

#[test]
#[ignore = "the libraries are packages: .ci/preloads"]
fn preloads_cost_no_certificate() {
    for file in LIBRARIES {
        let library = installed(file).unwrap_or_else(|| panic!("{file} is not installed: .ci/preloads"));
        for user in As::all() {
            costs_no_certificate(user, &[("LD_PRELOAD", library.to_str().expect("text"))]);
        }
    }
    // glibc's own checks are a library to preload since 2.34, and are switched on by a tunable.
    if let Some(library) = installed("libc_malloc_debug.so.0") {
        let environment = [("LD_PRELOAD", library.to_str().expect("text")), ("GLIBC_TUNABLES", "glibc.malloc.check=3")];
        As::all().into_iter().for_each(|user| costs_no_certificate(user, &environment));
    }
    // What the machine has beyond that: .ci/preloads gives LLVM's hardened allocators.
    for library in std::env::var("ACME_TEST_PRELOAD").unwrap_or_default().split_whitespace() {
        As::all().into_iter().for_each(|user| costs_no_certificate(user, &[("LD_PRELOAD", library)]));
    }
}

#[test]
#[ignore = "what glibc takes depends on its release: .ci/preloads"]
fn tunables_cost_no_certificate() {
    for tunables in TUNABLES {
        for user in As::all() {
            costs_no_certificate(user, &[("GLIBC_TUNABLES", tunables)]);
        }
    }
}

/// dmalloc has all its memory executable, which no seal permits: the rehearsal finds out, the seal is lowered for it, and
/// both are said.
#[test]
#[ignore = "the library is a package: .ci/preloads"]
fn an_allocator_of_executable_memory_costs_layers_and_no_certificate() {
    let library = installed("libdmalloc.so.5").expect("libdmalloc.so.5 is installed: .ci/preloads");
    for user in As::all() {
        let scene = Scene::new(user);
        let ran = scene.issue_with(&["a.example"], &[("LD_PRELOAD", library.to_str().expect("text"))]);
        assert_eq!(ran.status, Some(0), "{user:?}: {ran:?}");
        scene.assert_whole("a.example");
        assert!(ran.stderr.contains("do without the layer mdwe on this machine"), "{user:?}: {ran:?}");
        assert!(!ran.stderr.contains("without the layer seccomp"), "{user:?}: {ran:?}");
    }
}

/// Gets a certificate, renews it, and has every role try itself out. Every role is sealed: nothing is left out for it.
fn costs_no_certificate(user: As, environment: &[(&str, &str)]) {
    let scene = Scene::new(user);
    let listen = scene.address.to_string();
    let value = environment.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    for (count, arguments) in
        [(1, vec!["issue", "a.example", "--key-type", "rsa2048", "--listen", &listen]), (2, vec!["renew", "--force"])]
    {
        let ran = scene.program.run_with(&scene.line(&arguments), environment);
        assert_eq!(ran.status, Some(0), "{value} {user:?}: {ran:?}");
        assert_eq!(scene.ca.issued().len(), count, "{value} {user:?}: {ran:?}");
        scene.assert_whole("a.example");
    }
    let ran = scene.program.run_with(&["--json", "doctor"], environment);
    assert_eq!(ran.status, Some(0), "{value} {user:?}: {ran:?}");
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["failed-tests"], 0, "{value} {user:?}: {report}");
    for role in report["roles"].as_array().expect("roles").iter().filter(|role| role["role"] != "hook") {
        let layers = role["layers"].as_array().expect("layers");
        let seccomp = layers.iter().find(|layer| layer[0] == "seccomp").expect("the layer");
        assert_eq!(seccomp[1], "enforced", "{value} {user:?}: {role}");
    }
    say(&format!("{value} {user:?}: a certificate"));
}

fn installed(file: &str) -> Option<PathBuf> {
    let arch = std::env::consts::ARCH;
    let directories = [format!("/usr/lib/{arch}-linux-gnu"), "/usr/lib64".to_owned(), "/usr/lib".to_owned()];
    directories.iter().map(|directory| Path::new(directory).join(file)).find(|path| path.exists())
}

#[expect(clippy::print_stdout, reason = "what was tried out is told")]
fn say(text: &str) {
    println!("{text}");
}
