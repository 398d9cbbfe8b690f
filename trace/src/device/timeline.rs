//! When the blocks of a kernel ran, from the headers of its warps.
//!
//! Each SM has a clock of its own; all share a timer whose steps are coarser (32 ns on an H200). A line through the
//! earliest and the latest pair of both that the SM's warps read in a launch maps the one to the other, so that the
//! steps count once a launch and not once a warp.

use super::build::Of;
use super::{BlockTimeline, DeviceRecords};
use crate::tables::{Clock, Unit};
use std::collections::BTreeMap;

/// Stretches that a launch's span is divided into to tell how many blocks ran at once: enough to see a tail, and few enough
/// for each to average over many blocks where a sample of them recorded.
const STRETCHES: usize = 32;

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
        let running = running(runs, begin, span);
        let at_once = running.iter().copied().fold(1.0, f64::max);
        let busy: f64 = runs.iter().map(|run| run.end - run.begin).sum();
        let tail = running.iter().rev().take_while(|running| 2.0 * **running < at_once).count();
        let (sms, sm_imbalance) = by_sm(runs, begin);
        Self {
            span,
            at_once,
            idle: (1.0 - busy / (at_once * span)).max(0.0),
            tail: tail as f64 / STRETCHES as f64,
            sms,
            sm_imbalance,
        }
    }
}

/// Mean number of blocks that ran in each stretch of the span.
fn running(runs: &[Run], begin: f64, span: f64) -> [f64; STRETCHES] {
    let stretch = span / STRETCHES as f64;
    let mut running = [0.0; STRETCHES];
    for run in runs {
        let (from, to) = ((run.begin - begin) / stretch, (run.end - begin) / stretch);
        let touched = from as usize..(to.ceil() as usize).min(STRETCHES);
        for (index, sum) in running.iter_mut().enumerate().take(touched.end).skip(touched.start) {
            *sum += (to.min(index as f64 + 1.0) - from.max(index as f64)).max(0.0);
        }
    }
    running
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
