//! When the blocks of a kernel ran, from the headers of its warps.
//!
//! Each SM has a clock of its own; all share a timer whose steps are coarser (32 ns on an H200). A line through the
//! earliest and the latest pair of both that the SM's warps read in a launch maps the one to the other, so that the
//! steps count once a launch and not once a warp.

use super::build::Of;
use super::{BlockTimeline, DeviceRecords};
use crate::tables::{Clock, Unit};
use std::collections::{BTreeMap, BTreeSet};

/// Stretches that a launch's span is divided into to tell how many blocks ran at once: enough to see a tail, and few enough
/// for each to average over many blocks where a sample of them recorded.
const STRETCHES: usize = 32;

/// Maps the clock of one SM to the timer, in one launch.
#[derive(Debug, Clone, Copy)]
pub(super) struct SmClock {
    begin_ticks: u64,
    begin_ns: f64,
    /// Length of a tick in ns.
    pub(super) ns_per_tick: f64,
}

impl SmClock {
    /// `None` if the two pairs are too close to tell. The timer counts since years ago, and a number of that size has no
    /// digits left for what lies between two blocks: times are from `base` on.
    fn through(line: &Clock, base: u64) -> Option<Self> {
        let ns_per_tick = line.ns_per_tick()?;
        let begin_ns = line.begin_ns.wrapping_sub(base).cast_signed() as f64;
        Some(Self { begin_ticks: line.begin_ticks, begin_ns, ns_per_tick })
    }

    /// Nanoseconds of the timer at `ticks`, from the base on.
    fn ns(&self, ticks: u64) -> f64 {
        self.begin_ns + ticks.wrapping_sub(self.begin_ticks).cast_signed() as f64 * self.ns_per_tick
    }
}

/// The clocks of all SMs by launch and SM, from the warps that wrote their headers.
pub(super) struct SmClocks {
    lines: BTreeMap<(u32, u32), Clock>,
    /// When the first of these warps began.
    base: u64,
}

impl SmClocks {
    pub(super) fn of<'u>(units: impl Iterator<Item = &'u Unit>) -> Self {
        let mut lines: BTreeMap<(u32, u32), Clock> = BTreeMap::new();
        // The warps of a block follow each other and share an SM, so that a search for each block is enough.
        let mut last: Option<((u32, u32), Clock)> = None;
        let mut keep = |(key, clock): ((u32, u32), Clock)| {
            lines.entry(key).and_modify(|line| widen(line, &clock)).or_insert(clock);
        };
        for unit in units {
            match &mut last {
                Some((key, line)) if *key == sm_of(unit) => widen(line, &unit.clock),
                _ => last.replace((sm_of(unit), unit.clock)).into_iter().for_each(&mut keep),
            }
        }
        last.into_iter().for_each(keep);
        let base = lines.values().map(|line| line.begin_ns).min().unwrap_or(0);
        Self { lines, base }
    }

    /// Hands each of `units` with its SM's clock to `take`; `None` if a clock does not tell.
    pub(super) fn with_each<'u>(
        &self,
        units: impl Iterator<Item = &'u Unit>,
        mut take: impl FnMut(&Unit, &SmClock),
    ) -> Option<()> {
        let mut last: Option<((u32, u32), SmClock)> = None;
        for unit in units {
            let key = sm_of(unit);
            let clock = match last {
                Some((known, clock)) if known == key => clock,
                _ => SmClock::through(self.lines.get(&key)?, self.base)?,
            };
            last = Some((key, clock));
            take(unit, &clock);
        }
        Some(())
    }

    /// Mean rate in Hz; 0 if there is no clock.
    fn mean_hz(&self) -> f64 {
        let rates: Vec<f64> = self.lines.values().filter_map(Clock::ns_per_tick).collect();
        if rates.is_empty() { 0.0 } else { 1e9 * rates.len() as f64 / rates.iter().sum::<f64>() }
    }
}

fn sm_of(unit: &Unit) -> (u32, u32) {
    (unit.launch, unit.core)
}

/// Moves the ends of `line` to those of `clock` that lie beyond them.
fn widen(line: &mut Clock, clock: &Clock) {
    if clock.begin_ticks < line.begin_ticks {
        (line.begin_ticks, line.begin_ns) = (clock.begin_ticks, clock.begin_ns);
    }
    if clock.end_ticks > line.end_ticks {
        (line.end_ticks, line.end_ns) = (clock.end_ticks, clock.end_ns);
    }
}

/// The warps of the kernel that wrote their headers.
pub(super) fn warps<'r>(records: &DeviceRecords<'r>, of: &Of) -> impl Iterator<Item = &'r Unit> + Clone {
    let launches = records.launches.iter().filter(|launch| of.launch(launch));
    let numbers: BTreeSet<u32> = launches.map(|launch| launch.number).collect();
    let units = records.trace.units.iter();
    units.filter(move |unit| numbers.contains(&unit.launch) && has_header(unit))
}

/// Whether the warp wrote when it ran; a unit that warps share has no header.
fn has_header(unit: &Unit) -> bool {
    unit.clock.end_ticks > unit.clock.begin_ticks
}

/// A block that recorded.
#[derive(Debug, Clone, Copy)]
struct Run {
    launch: u32,
    block: u64,
    sm: u32,
    begin: f64,
    end: f64,
}

/// The blocks of the kernel; `None` if none of its warps wrote a header, or clocks do not tell.
pub(super) fn of(records: &DeviceRecords, of: &Of) -> Option<BlockTimeline> {
    let warps = warps(records, of);
    let clocks = SmClocks::of(warps.clone());
    let mut runs: Vec<Run> = Vec::new();
    clocks.with_each(warps, |unit, clock| {
        let (begin, end) = (clock.ns(unit.clock.begin_ticks), clock.ns(unit.clock.end_ticks));
        add(&mut runs, Run { launch: unit.launch, block: unit.block, sm: unit.core, begin, end });
    })?;
    if !runs.is_sorted_by_key(|run| (run.launch, run.block)) {
        let mut apart = std::mem::take(&mut runs);
        apart.sort_by_key(|run| (run.launch, run.block));
        apart.into_iter().for_each(|run| add(&mut runs, run));
    }
    let launches: Vec<&[Run]> = runs.chunk_by(|a, b| a.launch == b.launch).collect();
    let own = records.launches.iter().filter(|launch| of.launch(launch));
    let one_in = own.map(|launch| 1 << launch.block_shift.min(31)).max().unwrap_or(1);
    (!launches.is_empty()).then(|| BlockTimeline { one_in, clock_hz: clocks.mean_hz(), ..summary(&launches) })
}

/// Adds a warp's time to the block at the end of `runs`, if it is of that one.
fn add(runs: &mut Vec<Run>, warp: Run) {
    match runs.last_mut() {
        Some(run) if (run.launch, run.block) == (warp.launch, warp.block) => {
            (run.begin, run.end) = (run.begin.min(warp.begin), run.end.max(warp.end));
        }
        _ => runs.push(warp),
    }
}

fn summary(launches: &[&[Run]]) -> BlockTimeline {
    let mut durations: Vec<f64> = launches.iter().copied().flatten().map(|run| run.end - run.begin).collect();
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
        let tail = running.iter().rev().take_while(|running| 2.0 * **running < at_once).count();
        let (sms, sm_imbalance) = by_sm(runs, begin);
        Self {
            span,
            at_once,
            idle: drain(&running, at_once),
            tail: tail as f64 / STRETCHES as f64,
            sms,
            sm_imbalance,
        }
    }
}

/// Places left empty at the end, as part of all: from where `running` falls below what chance leaves of `at_once` and does not
/// come back. Places that are empty before are no want of blocks: an SM takes a while to start the next one.
fn drain(running: &[f64; STRETCHES], at_once: f64) -> f64 {
    // Of few blocks that recorded, the number that runs at once varies by its root.
    let full = (1.0 - 2.0 / at_once.sqrt()).clamp(0.5, 0.9) * at_once;
    let draining = running.iter().rev().take_while(|running| **running < full);
    draining.fold(0.0, |empty, running| empty + 1.0 - running / at_once) / STRETCHES as f64
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
