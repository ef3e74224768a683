//! What falls to this cell of what is done in turn.
//!
//! An emulated machine is twenty times slower than the one it is on, and there are a score of cells for an architecture. So
//! what has many alike parts (scenes, attempts, errors) is dealt out: every cell does something of everything, and all cells
//! of an architecture together do all of it. `ACME_TEST_SHARE` is `K/N`: of each N parts the one that is number K. Without it,
//! everything is done.

use std::sync::LazyLock;

use crate::program::As;

static SHARE: LazyLock<(usize, usize)> = LazyLock::new(|| {
    let text = std::env::var("ACME_TEST_SHARE").unwrap_or_default();
    let share = text.split_once('/').and_then(|(turn, of)| Some((turn.parse().ok()?, of.parse().ok()?)));
    share.filter(|(turn, of)| turn < of).unwrap_or((0, 1))
});

/// Whether part number `at`, of `all`, is this cell's. Somebody's it always is, and each cell has one.
pub(crate) fn is_mine(at: usize, all: usize) -> bool {
    let (turn, of) = *SHARE;
    let of = of.min(all).max(1);
    at % of == turn % of
}

/// Everybody who has to do something: root and an ordinary user, or one of them in turn. Root has the first half of the parts,
/// so that each of what is dealt out in two or four falls to both.
pub(crate) fn users() -> Vec<As> {
    let all = As::all();
    let (turn, of) = *SHARE;
    if of < 2 {
        return all;
    }
    all.get(turn * all.len() / of).copied().into_iter().collect()
}

/// The share, for programs that deal out their own, if it is not the whole.
pub(crate) fn text() -> Option<String> {
    let (turn, of) = *SHARE;
    (of > 1).then(|| format!("{turn}/{of}"))
}
