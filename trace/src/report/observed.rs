//! What the observing build saw, as rows of a report.

use crate::misses::{StackDistances, caches};
use crate::observed::{AccessRow, Branches};
use crate::peaks::Peaks;
use crate::sites::{AccessKind, Buffer, Place};
use crate::synthesis::WorkloadTable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Loads or stores of one buffer on one source line, in one launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HotAccess {
    /// Workload.
    pub workload: usize,
    /// Source line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Memory object.
    pub buffer: Buffer,
    /// Load or store.
    pub kind: AccessKind,
    /// Accesses; a gather counts once a lane.
    pub executions: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Part of the moves from one address to the next that leave the cache line, 0 to 1.
    pub beyond_line: f64,
    /// Part of the moves that are not as long as the one before, 0 to 1.
    pub irregular: f64,
    /// Distinct bytes that it was the first to touch, in whole lines, estimated from a sample.
    pub first_touched_bytes: u64,
    /// Lines that were not in each level but the last, estimated; empty without peaks.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub missed: Vec<Misses>,
}

/// Lines that one level did not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Misses {
    /// The level, as in the peaks.
    pub level: String,
    /// Lines.
    pub lines: u64,
}

/// One branch of the optimised code, in one launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HotBranch {
    /// Workload.
    pub workload: usize,
    /// `function:block`, with ` back-edge` where it closes a loop.
    pub name: String,
    /// Source line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Times it ran.
    pub executions: u64,
    /// Part of them in which the condition held; absent for a switch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub taken: Option<f64>,
    /// Part of them in which the outcome differed from the one before.
    pub transitions: f64,
    /// Part of them that a predictor with two levels guessed wrongly.
    pub mispredicted: f64,
}

impl HotAccess {
    /// What a workload's accesses did, by line, direction and buffer; most bytes of missed lines first, else most bytes.
    pub fn of(workload: &WorkloadTable, peaks: Option<&Peaks>) -> Vec<Self> {
        let Some(accesses) = &workload.accesses else { return vec![] };
        let distances = StackDistances::of(accesses);
        let mut groups: BTreeMap<_, Vec<&AccessRow>> = BTreeMap::new();
        for row in accesses.rows.iter().filter(|row| row.executions > 0 || row.lines.is_some()) {
            groups.entry((&row.place, &row.buffer, row.kind)).or_default().push(row);
        }
        let caches = peaks.map(|peaks| caches(&peaks.levels, workload.threads())).unwrap_or_default();
        let missed = |rows: &[&AccessRow], cache| -> f64 {
            let lines = rows.iter().filter_map(|row| row.lines.as_ref());
            lines.map(|lines| distances.as_ref().map_or(0.0, |known| known.misses(lines, cache))).sum()
        };
        let mut hot: Vec<Self> = groups
            .into_iter()
            .map(|((place, buffer, kind), rows)| {
                let sum = |of: &dyn Fn(&AccessRow) -> f64| rows.iter().map(|row| of(row)).sum::<f64>();
                let moves = sum(&|row| row.strides.total() as f64).max(1.0);
                let first = sum(&|row| row.lines.as_ref().map_or(0.0, |lines| lines.first as f64));
                let levels = caches.iter().map(|cache| Misses {
                    level: cache.level.name.clone(),
                    lines: accesses.per_launch(missed(&rows, *cache)) as u64,
                });
                Self {
                    workload: workload.index,
                    place: place.clone(),
                    buffer: buffer.clone(),
                    kind,
                    executions: accesses.per_launch(sum(&|row| row.executions as f64)) as u64,
                    bytes: accesses.per_launch(sum(&AccessRow::bytes)) as u64,
                    beyond_line: sum(&|row| row.strides.beyond_line() as f64) / moves,
                    irregular: sum(&|row| row.irregular() as f64) / moves,
                    first_touched_bytes: accesses.per_launch(first * LINE) as u64,
                    missed: levels.collect(),
                }
            })
            .filter(|access| access.executions > 0)
            .collect();
        let lines = |access: &Self| access.missed.first().map_or(0, |nearest| nearest.lines);
        hot.sort_by_key(|access| std::cmp::Reverse((lines(access), access.bytes)));
        hot
    }
}

const LINE: f64 = crate::observed::LINE_BYTES as f64;

impl HotBranch {
    /// The branches that ran, most wrong guesses first.
    pub fn of(workload: usize, branches: &Branches) -> Vec<Self> {
        let launches = u64::from(branches.launches.max(1));
        let mut rows: Vec<_> = branches.rows.iter().filter(|row| row.executions > 0).collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.mispredictions, row.executions)));
        let row = |row: &crate::observed::BranchRow| {
            let part = |count: u64| count as f64 / row.executions as f64;
            Self {
                workload,
                name: row.name.clone(),
                place: row.place.clone(),
                executions: row.executions / launches,
                taken: (!row.switch).then(|| part(row.taken)),
                transitions: part(row.transitions),
                mispredicted: part(row.mispredictions),
            }
        };
        rows.into_iter().map(row).collect()
    }
}
