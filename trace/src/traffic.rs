//! What the misses of each load and store cost at most and at least: the lines it misses, at the measured latency and
//! bandwidth of the levels they come from.

use crate::misses::{StackDistances, caches};
use crate::observed::{AccessRow, LINE_BYTES};
use crate::peaks::Peaks;
use crate::sites::AddressSource;
use crate::synthesis::WorkloadTable;

/// Misses of one load or store in one launch, and their seconds on one thread.
#[derive(Debug, Clone, PartialEq)]
pub struct RowTraffic<'a> {
    /// The access.
    pub row: &'a AccessRow,
    /// Bytes it moved.
    pub used_bytes: f64,
    /// Lines that were not in the nearest cache.
    pub missed_lines: f64,
    /// Position in [`Peaks::levels`] of the level that costs it most.
    pub level: usize,
    /// Seconds of its lines if they come in an order that prefetchers foresee.
    pub streamed: f64,
    /// Seconds of its lines if they come in no such order, as many at once as the core can wait for.
    pub scattered: f64,
    /// Seconds of its loads if each waits for the one before.
    pub chained: f64,
    /// Whether the accesses to its buffer together use whole lines.
    pub together: bool,
}

impl RowTraffic<'_> {
    /// Whether its far moves come in no constant step: its order is that of the data, not of a loop.
    pub fn is_irregular(&self) -> bool {
        let strides = &self.row.strides;
        let far = strides.beyond_line();
        far > 0 && 2 * self.row.irregular() >= far && far as f64 >= IRREGULAR_SHARE * strides.total() as f64
    }

    /// Whether most of its moves leave the cache line.
    pub fn is_far(&self) -> bool {
        2 * self.row.strides.beyond_line() > self.row.strides.total()
    }

    /// Whether its far moves are those of a loop that was unrolled over vectors: constant steps within a page, where
    /// prefetchers follow, and neighbours that use what it leaves out.
    fn is_unrolled(&self) -> bool {
        self.together && 2 * self.row.strides.beyond <= self.row.strides.beyond_line()
    }

    /// Its seconds, by how it walks.
    pub fn seconds(&self) -> f64 {
        match self.row.address {
            AddressSource::Chased => self.chained,
            _ if self.is_irregular() || (self.is_far() && !self.is_unrolled()) => self.scattered,
            _ => self.streamed,
        }
    }
}

/// Least part of all moves that must be far and irregular: one jump in sixteen, which is a row of sixteen vectors at each.
const IRREGULAR_SHARE: f64 = 1.0 / 16.0;

/// Traffic of every observed access of a workload, in the order of the code; empty without observed lines.
pub fn traffic<'a>(workload: &'a WorkloadTable, peaks: &Peaks) -> Vec<RowTraffic<'a>> {
    let Some(accesses) = &workload.accesses else { return vec![] };
    let Some(distances) = StackDistances::of(accesses) else { return vec![] };
    if !peaks.usable() {
        return vec![];
    }
    let of_row = |row: &'a AccessRow| {
        let touches = row.lines.as_ref()?;
        let missed = |cache| accesses.per_launch(distances.misses(touches, cache));
        let missed: Vec<f64> = caches(&peaks.levels, workload.threads()).into_iter().map(missed).collect();
        let executions = accesses.per_launch(row.executions as f64);
        Some(cost(row, accesses.per_launch(row.bytes()), executions, &missed, peaks, workload.threads()))
    };
    let mut all: Vec<RowTraffic<'_>> = accesses.rows.iter().filter_map(of_row).collect();
    let together: Vec<bool> = all.iter().map(|row| line_use(&all, row.row) >= WHOLE_LINES).collect();
    all.iter_mut().zip(together).for_each(|(row, together)| row.together = together);
    all
}

/// Part of the bytes of its lines from which on a buffer is taken to be walked line by line.
const WHOLE_LINES: f64 = 0.75;

/// `missed[i]` lines are not in level `i` and come from a later one.
fn cost<'a>(
    row: &'a AccessRow,
    used_bytes: f64,
    executions: f64,
    missed: &[f64],
    peaks: &Peaks,
    threads: f64,
) -> RowTraffic<'a> {
    let missed_lines = missed.first().copied().unwrap_or(0.0);
    let mut traffic = RowTraffic {
        row,
        used_bytes,
        missed_lines,
        level: 0,
        streamed: 0.0,
        scattered: 0.0,
        chained: 0.0,
        together: false,
    };
    let nearest = peaks.levels.first().map_or(0.0, |level| level.latency_ns * 1e-9);
    traffic.chained = (executions - missed_lines).max(0.0) * nearest / threads;
    let mut most = 0.0;
    for (index, from) in missed.iter().enumerate() {
        let served = (from - missed.get(index + 1).copied().unwrap_or(0.0)).max(0.0) / threads;
        let Some(level) = peaks.levels.get(index + 1) else { continue };
        traffic.streamed += served * level.streamed_line_seconds();
        traffic.scattered += served * level.scattered_line_seconds();
        traffic.chained += served * level.latency_ns * 1e-9;
        if served * level.latency_ns > most {
            (most, traffic.level) = (served * level.latency_ns, index + 1);
        }
    }
    traffic
}

/// Part of the bytes of the lines fetched for `row`'s buffer that accesses to this buffer used, at most 1: fields of one record
/// that are read apart share their lines.
pub fn line_use(all: &[RowTraffic<'_>], row: &AccessRow) -> f64 {
    let same =
        all.iter().filter(|other| other.row.buffer == row.buffer && other.row.function == row.function);
    let (used, fetched) = same.fold((0.0, 0.0), |(used, fetched), other| {
        (used + other.used_bytes, fetched + other.missed_lines * LINE_BYTES as f64)
    });
    if fetched > 0.0 { (used / fetched).min(1.0) } else { 1.0 }
}

/// Most that misses are taken to cost more than modelled: conflicts between lines and misses of the address translation
/// come on top of latency and bandwidth.
const BEYOND_MODEL: f64 = 4.0;

/// Part of a workload's time that goes into misses which cost `seconds` by the model, where all its misses cost `all` and its
/// arithmetic `issue`: time is shared out in proportion, to at most `BEYOND_MODEL` times the modelled cost.
pub fn time_share(seconds: f64, all: f64, issue: f64, time: f64) -> f64 {
    if seconds <= 0.0 || time <= 0.0 {
        return 0.0;
    }
    (seconds / (all + issue).max(seconds)).min(BEYOND_MODEL * seconds / time).min(1.0)
}
