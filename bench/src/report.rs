//! Numbers as tables.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use crate::measure::{Memory, Timing, Trace};

/// All runs of one contestant.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Runs that were timed, by round.
    pub(crate) timings: Vec<Timing>,
    /// Runs whose memory was looked at.
    pub(crate) memory: Vec<Memory>,
    /// The run that was traced.
    pub(crate) trace: Option<Trace>,
}

/// The middle one, or the mean of the two in the middle. Of nothing: NaN.
pub(crate) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_unstable_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match (numbers.len() % 2, numbers.get(half)) {
        (0, Some(upper)) => numbers.get(half.wrapping_sub(1)).map_or(f64::NAN, |lower| f64::midpoint(*lower, *upper)),
        (_, Some(middle)) => *middle,
        (_, None) => f64::NAN,
    }
}

/// One row for each contestant, each compared with the first.
pub(crate) fn table(runs: &[Runs]) -> String {
    let mut out = String::from(
        "| client | runs | wall ms (min–max) | × | CPU ms (min–max) | × | largest process MiB RSS | all processes MiB \
         PSS (min–max) | × | processes / programs started | system calls, different ones |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let Some(first) = runs.first() else { return out };
    for one in runs {
        let name = if one.version.is_empty() { one.name.clone() } else { format!("{} {}", one.name, one.version) };
        let trace = one.trace.map_or_else(
            || "– | –".to_owned(),
            |trace| format!("{} / {} | {}, {}", trace.processes, trace.programs, trace.calls, trace.distinct),
        );
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {:.2} | {} | {:.2} | {} | {} | {:.2} | {trace} |",
            one.timings.len(),
            spread(one.timings.iter().map(|timing| timing.wall * 1e3)),
            ratio(one, first, |timing| timing.wall),
            spread(one.timings.iter().map(|timing| timing.cpu * 1e3)),
            ratio(one, first, |timing| timing.cpu),
            figure(median(one.timings.iter().map(|timing| timing.rss / 1024.0))),
            spread(one.memory.iter().map(|memory| memory.peak / 1024.0)),
            median(one.memory.iter().map(|memory| memory.peak)) / median(first.memory.iter().map(|memory| memory.peak)),
        );
    }
    out
}

/// The median of the ratios within a round: what was slow for one was slow for the other.
pub(crate) fn ratio(one: &Runs, other: &Runs, of: fn(&Timing) -> f64) -> f64 {
    median(one.timings.iter().zip(&other.timings).map(|(one, other)| of(one) / of(other)))
}

/// What each process has when all together have most.
pub(crate) fn roles(runs: &Runs) -> String {
    let mut each: BTreeMap<&str, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for (name, (pss, private)) in runs.memory.iter().flat_map(|memory| &memory.each) {
        let of = each.entry(name.as_str()).or_default();
        of.0.push(*pss);
        of.1.push(*private);
    }
    let mut out = String::from("| process | PSS KiB (min–max) | its alone, KiB |\n|---|---|---|\n");
    for (name, (pss, private)) in each {
        let _ = writeln!(out, "| {name} | {} | {} |", spread(pss), figure(median(private)));
    }
    out
}

fn spread(numbers: impl IntoIterator<Item = f64>) -> String {
    let numbers: Vec<f64> = numbers.into_iter().collect();
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match numbers.len() {
        0 => "–".to_owned(),
        1 => figure(least),
        _ => format!("**{}** ({}–{})", figure(median(numbers)), figure(least), figure(most)),
    }
}

/// Three figures, which is more than measurements of this kind are worth.
fn figure(number: f64) -> String {
    match number {
        number if number.is_nan() => "–".to_owned(),
        number if number < 10.0 => format!("{number:.2}"),
        number if number < 100.0 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
        assert_eq!(spread([1.0, 300.0, 20.0]), "**20.0** (1.00–300)");
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let runs = |walls: [f64; 3]| Runs {
            timings: walls.map(|wall| Timing { wall, cpu: 1.0, rss: 1.0 }).to_vec(),
            ..Runs::default()
        };
        assert_eq!(ratio(&runs([2.0, 40.0, 6.0]), &runs([1.0, 10.0, 3.0]), |timing| timing.wall), 2.0);
    }
}
