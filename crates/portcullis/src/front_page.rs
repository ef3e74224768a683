//! That the tables of the front page agree with the code.

use crate::os::layers;
use crate::os::words::{capsicum, pledge, seatbelt};
use crate::promise::Promise;
use crate::report::Layer;
use crate::sandbox::PathAccess;

const PAGE: &str = include_str!("lib.rs");

/// The cells of the table whose first column has this head, without the head.
fn table(head: &str) -> Vec<Vec<&'static str>> {
    let rows = PAGE.lines().skip_while(|line| !line.starts_with(&format!("//! | {head} |"))).skip(2);
    rows.map_while(|line| line.strip_prefix("//! |")?.strip_suffix('|'))
        .map(|row| row.split('|').map(str::trim).collect())
        .collect()
}

/// What is in code quotes, without them.
fn quoted(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.split('`').next()
}

#[test]
fn every_promise_has_its_row() {
    let names: Vec<_> = table("promise").iter().filter_map(|row| quoted(row[0])).collect();
    assert_eq!(names, Promise::ALL.map(Promise::name));
}

#[test]
fn promises_are_what_the_back_ends_make_of_them() {
    for (promise, row) in Promise::ALL.into_iter().zip(table("promise")) {
        let [_, _, openbsd, freebsd, macos] = row[..] else { panic!("{promise}: five columns, not {row:?}") };
        assert_eq!(quoted(openbsd), Some(pledge_words(promise).as_str()), "{promise} on OpenBSD");
        assert_eq!(openbsd.ends_with(['¹', '²']), !pledge::wider(&[promise]).is_empty(), "{promise} on OpenBSD");
        assert_eq!(!freebsd.starts_with("lost"), capsicum::keeps(promise), "{promise} on FreeBSD");
        if let Some(operation) = quoted(macos) {
            let profile = seatbelt::profile(&[promise], None, &[("/".to_owned(), PathAccess::ReadWrite)]);
            assert!(profile.contains(operation), "{promise} on macOS is {operation}, but:\n{profile}");
        }
    }
}

/// What a promise adds to "stdio", which comes with all.
fn pledge_words(promise: Promise) -> String {
    let all = pledge::pledge(&[promise]);
    match all.strip_prefix("error stdio ") {
        Some(own) => own.to_owned(),
        None => "stdio".to_owned(),
    }
}

#[test]
fn every_layer_has_its_row() {
    let names: Vec<_> = table("layer").iter().filter_map(|row| quoted(row[0])).collect();
    assert_eq!(names, Layer::ALL.map(Layer::name));
}

#[test]
fn layers_are_those_of_the_systems() {
    let systems: [&[Layer]; 4] = [&layers::LINUX, &layers::OPENBSD, &layers::FREEBSD, &layers::MACOS];
    for (layer, row) in Layer::ALL.into_iter().zip(table("layer")) {
        assert_eq!(row.len(), 2 + systems.len(), "{row:?}");
        for (system, cell) in systems.iter().zip(&row[2..]) {
            assert_eq!(system.contains(&layer), !cell.is_empty(), "{layer}: {row:?}");
        }
    }
    assert!(systems.iter().all(|system| system.is_sorted()), "reports are in the order of Layer::ALL");
}

#[test]
fn the_rust_version_is_that_of_the_manifest() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    assert!(PAGE.contains(&format!("//! Rust {version}.")), "the front page names another Rust than {version}");
    assert!(include_str!("../README.md").contains(&format!("Rust {version}")), "the README names another Rust");
}
