//! When the blocks of a kernel ran, from the headers of its warps.
//!
//! Each SM has a clock of its own; all share a timer whose steps are coarser (32 ns on an H200). A line through the
//! earliest and the latest pair of both that the SM's warps read in a launch maps the one to the other, so that the
//! steps count once a launch and not once a warp.

use super::build::Of;
use super::{BlockTimeline, DeviceRecords};
use crate::tables::{Clock, Unit};
use std::collections::BTreeMap;

/// Part of the blocks' time in which as many of them or more must run for them to count as running at once: clocks that
/// are off a little make two blocks overlap that follow each other.
const AT_ONCE: f64 = 0.05;

/// The clock of one SM in one launch.
#[derive(Debug, Clone, Copy)]
pub(super) struct SmClock {
    line: Clock,
}

impl SmClock {
    fn of(unit: &Unit) -> Self {
        Self { line: unit.clock }
    }

    fn add(&mut self, unit: &Unit) {
        let (line, clock) = (&mut self.line, &unit.clock);
        if clock.begin_ticks < line.begin_ticks {
            (line.begin_ticks, line.begin_ns) = (clock.begin_ticks, clock.begin_ns);
        }
        if clock.end_ticks > line.end_ticks {
            (line.end_ticks, line.end_ns) = (clock.end_ticks, clock.end_ns);
        }
    }

    /// Nanoseconds of the timer at `ticks`; `None` if the pairs are too close to tell.
    fn ns(&self, ticks: u64) -> Option<f64> {
        self.line.ns_at(ticks)
    }

    /// Length of a tick in ns.
    pub(super) fn ns_per_tick(&self) -> Option<f64> {
        self.line.ns_per_tick()
    }
}

/// The clocks of all SMs by launch and SM, from the warps that wrote their headers.
pub(super) fn clocks<'u>(units: impl Iterator<Item = &'u Unit>) -> BTreeMap<(u32, u32), SmClock> {
    let mut clocks: BTreeMap<(u32, u32), SmClock> = BTreeMap::new();
    for unit in units.filter(|unit| has_header(unit)) {
        clocks
            .entry((unit.launch, unit.core))
            .and_modify(|clock| clock.add(unit))
            .or_insert_with(|| SmClock::of(unit));
    }
    clocks
}

/// Whether the warp wrote when it ran; a unit that warps share has no header.
pub(super) fn has_header(unit: &Unit) -> bool {
    unit.clock.end_ticks > unit.clock.begin_ticks
}

/// A block that recorded.
#[derive(Debug, Clone, Copy)]
struct Run {
    sm: u32,
    begin: f64,
    end: f64,
}

/// The blocks of the kernel; `None` if none of its warps wrote a header, or clocks do not tell.
pub(super) fn of(records: &DeviceRecords, of: &Of) -> Option<BlockTimeline> {
    let numbers: BTreeMap<u32, u64> = records
        .launches
        .iter()
        .filter(|launch| of.launch(launch))
        .map(|launch| (launch.number, 1 << launch.block_shift.min(31)))
        .collect();
    let units =
        || records.trace.units.iter().filter(|unit| numbers.contains_key(&unit.launch) && has_header(unit));
    let clocks = clocks(units());
    let mut launches: BTreeMap<u32, BTreeMap<u64, Run>> = BTreeMap::new();
    for unit in units() {
        let clock = clocks.get(&(unit.launch, unit.core))?;
        let (begin, end) = (clock.ns(unit.clock.begin_ticks)?, clock.ns(unit.clock.end_ticks)?);
        let blocks = launches.entry(unit.launch).or_default();
        let run = blocks.entry(unit.block).or_insert(Run { sm: unit.core, begin, end });
        (run.begin, run.end) = (run.begin.min(begin), run.end.max(end));
    }
    let launches: Vec<Vec<Run>> =
        launches.into_values().map(|blocks| blocks.into_values().collect()).collect();
    let rates: Vec<f64> = clocks.values().filter_map(SmClock::ns_per_tick).collect();
    let one_in = numbers.values().copied().max().unwrap_or(1);
    (!launches.is_empty()).then(|| BlockTimeline {
        one_in,
        clock_hz: 1e9 * rates.len() as f64 / rates.iter().sum::<f64>(),
        ..summary(&launches)
    })
}

fn summary(launches: &[Vec<Run>]) -> BlockTimeline {
    let mut durations: Vec<f64> = launches.iter().flatten().map(|run| run.end - run.begin).collect();
    durations.sort_by(f64::total_cmp);
    let shapes: Vec<Shape> = launches.iter().map(|runs| Shape::of(runs)).collect();
    let mean = |of: fn(&Shape) -> f64| shapes.iter().map(of).sum::<f64>() / shapes.len() as f64;
    BlockTimeline {
        blocks: durations.len() as u64,
        one_in: 1,
        span_ns: mean(|shape| shape.span),
        mean_ns: durations.iter().sum::<f64>() / durations.len() as f64,
        median_ns: durations[durations.len() / 2],
        longest_ns: durations[durations.len() - 1],
        at_once: mean(|shape| shape.at_once),
        idle: mean(|shape| shape.idle),
        tail: mean(|shape| shape.tail),
        sms: shapes.iter().map(|shape| shape.sms).max().unwrap_or(0),
        sm_imbalance: shapes.iter().map(|shape| shape.sm_imbalance).fold(0.0, f64::max),
        clock_hz: 0.0,
    }
}

/// How the blocks of one launch fill its time.
struct Shape {
    span: f64,
    at_once: f64,
    idle: f64,
    tail: f64,
    sms: u32,
    sm_imbalance: f64,
}

impl Shape {
    fn of(runs: &[Run]) -> Self {
        let begin = runs.iter().map(|run| run.begin).fold(f64::INFINITY, f64::min);
        let end = runs.iter().map(|run| run.end).fold(f64::NEG_INFINITY, f64::max);
        let span = (end - begin).max(1.0);
        let levels = levels(runs);
        let busy: f64 = runs.iter().map(|run| run.end - run.begin).sum();
        let at_once = at_once(&levels, busy);
        let half = levels.iter().rev().find(|level| 2.0 * level.running as f64 >= at_once);
        let (sms, sm_imbalance) = by_sm(runs, begin);
        Self {
            span,
            at_once,
            idle: (1.0 - busy / (at_once * span)).max(0.0),
            tail: half.map_or(0.0, |level| (end - level.until).max(0.0) / span),
            sms,
            sm_imbalance,
        }
    }
}

/// A stretch of time in which the number of running blocks did not change.
struct Level {
    running: usize,
    ns: f64,
    until: f64,
}

fn levels(runs: &[Run]) -> Vec<Level> {
    let mut changes: Vec<(f64, bool)> =
        runs.iter().flat_map(|run| [(run.begin, true), (run.end, false)]).collect();
    // At the same instant a block ends before the next begins.
    changes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut running = 0_usize;
    let mut levels = Vec::with_capacity(changes.len());
    for pair in changes.windows(2) {
        running = if pair[0].1 { running + 1 } else { running.saturating_sub(1) };
        levels.push(Level { running, ns: pair[1].0 - pair[0].0, until: pair[1].0 });
    }
    levels
}

/// The most blocks that ran at once for [`AT_ONCE`] of the time of all, `busy`.
fn at_once(levels: &[Level], busy: f64) -> f64 {
    let mut by_number: Vec<(f64, f64)> =
        levels.iter().map(|level| (level.running as f64, level.ns)).collect();
    by_number.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut above = 0.0;
    let reached = by_number.iter().find(|(running, ns)| {
        above += running * ns;
        above >= AT_ONCE * busy
    });
    reached.map_or(1.0, |(running, _)| *running).max(1.0)
}

/// SMs that ran a block, and how much later the last of them was done than their mean, from the launch's beginning.
fn by_sm(runs: &[Run], begin: f64) -> (u32, f64) {
    let mut ends: BTreeMap<u32, f64> = BTreeMap::new();
    for run in runs {
        let end = ends.entry(run.sm).or_default();
        *end = end.max(run.end - begin);
    }
    let mean = ends.values().sum::<f64>() / ends.len().max(1) as f64;
    let longest = ends.values().copied().fold(0.0, f64::max);
    (ends.len() as u32, if mean > 0.0 { longest / mean } else { 1.0 })
}
