//! Work by source line and time by region.

use kinstr_trace::report::{HotLine, RegionRow, Report};
use kinstr_trace::sites::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A source line that is hot in either report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineChange {
    /// Source line.
    pub place: Place,
    /// Before; absent if it was not among the hot lines.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<HotLine>,
    /// After; absent if it is not among the hot lines.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<HotLine>,
}

/// A region that was timed in either report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionChange {
    /// Region's name.
    pub name: String,
    /// Workload: its index after, or before if it is gone.
    pub workload: usize,
    /// Source line before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place_before: Option<Place>,
    /// Source line after.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place_after: Option<Place>,
    /// Time of one launch before, in ns; absent if it was not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ns_before: Option<f64>,
    /// Time of one launch after, in ns; absent if it is not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ns_after: Option<f64>,
}

/// Whether two indices mean the same workload: it has the same axes.
pub(super) fn twins<'r>(before: &'r Report, after: &'r Report) -> impl Fn(usize, usize) -> bool + 'r {
    move |old, new| match (before.workloads.get(old), after.workloads.get(new)) {
        (Some(old), Some(new)) => old.axes == new.axes,
        _ => false,
    }
}

/// Lines by workload and place, largest change in executed instructions first.
pub(super) fn hot_lines(before: &Report, after: &Report) -> Vec<LineChange> {
    let twins = twins(before, after);
    let same = |old: &HotLine, new: &HotLine| twins(old.workload, new.workload) && old.place == new.place;
    let rows = matched(&before.hot_lines, &after.hot_lines, same, |_, _| false);
    let change = |(before, after): (Option<&HotLine>, Option<&HotLine>)| {
        let place = after.or(before).map(|line| line.place.clone())?;
        Some(LineChange { place, before: before.cloned(), after: after.cloned() })
    };
    let mut changes: Vec<_> = rows.into_iter().filter_map(change).collect();
    let instructions = |line: &Option<HotLine>| line.as_ref().map_or(0, |line| line.instructions);
    let size = |change: &LineChange| instructions(&change.before).abs_diff(instructions(&change.after));
    changes.sort_by_key(|change| std::cmp::Reverse(size(change)));
    changes
}

/// Regions by workload, name and place, else by workload and name; largest change in time first.
pub(super) fn regions(before: &Report, after: &Report) -> Vec<RegionChange> {
    let twins = twins(before, after);
    let named = |old: &RegionRow, new: &RegionRow| {
        twins(old.workload, new.workload) && old.time.name == new.time.name
    };
    let same = |old: &RegionRow, new: &RegionRow| named(old, new) && old.time.place == new.time.place;
    let rows = matched(&before.regions, &after.regions, same, named);
    let mut changes: Vec<_> = rows.into_iter().filter_map(region).collect();
    let size =
        |change: &RegionChange| (change.ns_before.unwrap_or(0.0) - change.ns_after.unwrap_or(0.0)).abs();
    changes.sort_by(|a, b| size(b).total_cmp(&size(a)));
    changes
}

fn region((before, after): (Option<&RegionRow>, Option<&RegionRow>)) -> Option<RegionChange> {
    let either = after.or(before)?;
    let ns = |row: &RegionRow| row.time.ns_total / f64::from(row.time.launches.max(1));
    Some(RegionChange {
        name: either.time.name.clone(),
        workload: either.workload,
        place_before: before.and_then(|row| row.time.place.clone()),
        place_after: after.and_then(|row| row.time.place.clone()),
        ns_before: before.map(ns),
        ns_after: after.map(ns),
    })
}

/// Whether two rows are of the same thing.
type Rule<'f, T> = &'f dyn Fn(&T, &T) -> bool;
/// Rows of two lists side by side.
type Matched<'r, T> = Vec<(Option<&'r T>, Option<&'r T>)>;

/// Rows of both lists, paired by `same`, what is left by `similar`; the rest stands alone.
fn matched<'r, T>(
    before: &'r [T],
    after: &'r [T],
    same: impl Fn(&T, &T) -> bool,
    similar: impl Fn(&T, &T) -> bool,
) -> Matched<'r, T> {
    let mut old: Vec<&T> = before.iter().collect();
    let mut new: Vec<&T> = after.iter().collect();
    let mut rows = vec![];
    let rules: [Rule<'_, T>; 2] = [&same, &similar];
    for rule in rules {
        new.retain(|is| {
            let Some(position) = old.iter().position(|was| rule(was, is)) else { return true };
            rows.push((Some(old.remove(position)), Some(*is)));
            false
        });
    }
    rows.extend(old.into_iter().map(|was| (Some(was), None)));
    rows.extend(new.into_iter().map(|is| (None, Some(is))));
    rows
}
