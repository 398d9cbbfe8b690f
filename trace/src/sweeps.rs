//! Sweeps: loops that each go over a whole buffer once, and what repeating them costs.
//!
//! A kernel that reads its input in one loop nest many times (a matmul) reuses it; that is no sweep.
//! A kernel that has several loops, each of which reads the whole input once, sweeps it several times. Loops that share
//! one buffer out among them make one sweep.

use crate::peaks::Peaks;
use crate::roofline::RooflinePoint;
use crate::sites::{AccessKind, Buffer, Place};
use crate::synthesis::{Role, WorkloadTable};
use crate::work::{BlockWork, Work};
use std::collections::BTreeMap;

/// A block that moves this part of a buffer or more goes over all of it; the rest of the buffer
/// is in the remainder loop of a vectorised one.
const WHOLE_MIN: f64 = 0.5;
/// A block that moves more than this goes over the buffer more than once, which is reuse.
const WHOLE_MAX: f64 = 1.5;
/// A block that moves at most this may leave the rest to another one: two of these are one sweep.
const PART_MAX: f64 = 0.75;
/// A temporary below this part of the largest argument (a row's maxima) is no data that sweeps are about.
const TEMPORARY_MIN: f64 = 1.0 / 64.0;

/// One loop that goes over one buffer once per launch.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The buffer.
    pub buffer: Buffer,
    /// Whether it is read or written.
    pub kind: AccessKind,
    /// Index into [`Work::blocks`] of the loop's body.
    pub block: usize,
    /// Source line of the access.
    pub place: Option<Place>,
    /// Bytes moved per launch.
    pub bytes: u64,
}

/// A sweep that no kernel for the problem has to make.
#[derive(Debug, Clone, PartialEq)]
pub struct RedundantSweep {
    /// The sweep.
    pub sweep: Sweep,
    /// Bytes touched since the loop went over the same data before (or until it does again).
    pub working_set: u64,
    /// Memory level that holds them.
    pub level: String,
    /// Time the sweep takes at that level's bandwidth.
    pub seconds: f64,
}

/// All sweeps of one launch of `workload`, in block order.
pub fn sweeps(workload: &WorkloadTable) -> Vec<Sweep> {
    let Some(work) = &workload.work else {
        return vec![];
    };
    let sizes = buffer_sizes(workload, work);
    let candidates = work.blocks.iter().enumerate().flat_map(|(index, block)| {
        moved(work, block).into_iter().map(move |((buffer, kind), (bytes, place))| Sweep {
            buffer,
            kind,
            block: index,
            place,
            bytes,
        })
    });
    let part_of = |sweep: &Sweep| sizes.get(&sweep.buffer).map(|&size| sweep.bytes as f64 / size as f64);
    let is_part = |sweep: &Sweep| part_of(sweep).is_some_and(|part| part <= PART_MAX);
    let mut sweeps: Vec<Sweep> = Vec::new();
    for sweep in candidates {
        if part_of(&sweep).is_none_or(|part| !(WHOLE_MIN..=WHOLE_MAX).contains(&part)) {
            continue;
        }
        let other = sweeps.iter_mut().find(|other| is_same(other, &sweep) && is_part(other));
        match other.filter(|_| is_part(&sweep)) {
            Some(other) => other.bytes += sweep.bytes,
            None => sweeps.push(sweep),
        }
    }
    sweeps
}

/// Whether both go over one buffer in one direction.
fn is_same(a: &Sweep, b: &Sweep) -> bool {
    a.buffer == b.buffer && a.kind == b.kind
}

/// Bytes per launch by buffer and direction; where several lines of one loop body touch the same
/// buffer, the later ones find it in L1, so the line with the most bytes stands for all.
fn moved(work: &Work, block: &BlockWork) -> BTreeMap<(Buffer, AccessKind), (u64, Option<Place>)> {
    let mut moved = BTreeMap::new();
    for line in &block.lines {
        let mut by_buffer: BTreeMap<(Buffer, AccessKind), u64> = BTreeMap::new();
        for row in &line.amounts.memory {
            *by_buffer.entry((row.buffer.clone(), row.kind)).or_default() += row.bytes;
        }
        for (key, bytes) in by_buffer {
            let bytes = work.per_launch(bytes);
            let most: &mut (u64, Option<Place>) = moved.entry(key).or_default();
            if bytes > most.0 {
                *most = (bytes, line.place.clone());
            }
        }
    }
    moved
}

/// Bytes of every buffer that can be swept. A temporary is as large as the largest part of it that
/// one loop writes, and none that is tiny beside the arguments.
fn buffer_sizes(workload: &WorkloadTable, work: &Work) -> BTreeMap<Buffer, u64> {
    let arguments = workload.buffers.iter().filter(|buffer| buffer.bytes > 0);
    let mut sizes: BTreeMap<_, _> =
        arguments.map(|buffer| (Buffer::Argument(buffer.index), buffer.bytes)).collect();
    let all_arguments_seen =
        sizes.keys().all(|argument| work.total.memory.iter().any(|row| row.buffer == *argument));
    let largest = sizes.values().copied().max().unwrap_or(0);
    let least = (largest as f64 * TEMPORARY_MIN) as u64;
    for block in &work.blocks {
        for ((buffer, kind), (bytes, _)) in moved(work, block) {
            let temporary = match buffer {
                Buffer::Allocation(_) => true,
                // With every argument accounted for, what is not recoverable is not one of them.
                Buffer::Unknown => all_arguments_seen,
                _ => false,
            };
            if temporary && kind == AccessKind::Store && bytes > least {
                let size = sizes.entry(buffer).or_default();
                *size = bytes.max(*size);
            }
        }
    }
    sizes
}

/// The sweeps beyond the compulsory ones (each input read once, each output written once).
///
/// A sweep over data that is still in the nearest cache is what that cache is for, and not among them.
pub fn redundant_sweeps(workload: &WorkloadTable, peaks: &Peaks) -> Vec<RedundantSweep> {
    let Some(work) = &workload.work else {
        return vec![];
    };
    let all = sweeps(workload);
    let mut redundant = vec![];
    for (position, sweep) in all.iter().enumerate() {
        if is_compulsory(workload, &all, position) {
            continue;
        }
        let Some(neighbour) = neighbour(&all, position) else {
            continue;
        };
        let (first, last) = (neighbour.min(sweep.block), neighbour.max(sweep.block));
        let working_set = working_set(workload, work, &all, first, last);
        let Some(level) = peaks.level_for(working_set) else { continue };
        if peaks.levels.len() > 1 && peaks.levels.first() == Some(level) {
            continue;
        }
        let seconds = match sweep.kind {
            AccessKind::Load => level.stream_seconds(sweep.bytes, 0),
            AccessKind::Store => level.stream_seconds(0, sweep.bytes),
        };
        let (sweep, level) = (sweep.clone(), level.name.clone());
        redundant.push(RedundantSweep { sweep, working_set, level, seconds });
    }
    redundant
}

/// Seconds that all sweeps of one launch take at measured bandwidth: the compulsory ones of `point`
/// and the redundant ones, each at the level that holds its data.
pub fn streaming_seconds(workload: &WorkloadTable, peaks: &Peaks, point: &RooflinePoint) -> f64 {
    let extra: f64 = redundant_sweeps(workload, peaks).iter().map(|sweep| sweep.seconds).sum();
    point.memory_floor_ns * 1e-9 + extra / workload.threads()
}

/// The first read of an input and the last write of an output are compulsory.
fn is_compulsory(workload: &WorkloadTable, all: &[Sweep], position: usize) -> bool {
    let sweep = &all[position];
    let Buffer::Argument(index) = sweep.buffer else {
        return false;
    };
    let same = |other: &Sweep| other.buffer == sweep.buffer && other.kind == sweep.kind;
    match workload.buffers.iter().find(|buffer| buffer.index == index).map(|b| b.role) {
        Some(Role::Input) => sweep.kind == AccessKind::Load && !all[..position].iter().any(same),
        Some(Role::Output) => sweep.kind == AccessKind::Store && !all[position + 1..].iter().any(same),
        None => true,
    }
}

/// Block of the sweep of the same buffer before this one, else of the one after it; `None` if
/// it is the only one, as for a temporary that nothing reads whole.
fn neighbour(all: &[Sweep], position: usize) -> Option<usize> {
    let sweep = &all[position];
    let same = |other: &&Sweep| other.buffer == sweep.buffer && other.block != sweep.block;
    let before = all[..position].iter().rev().find(same);
    before.or_else(|| all[position + 1..].iter().find(same)).map(|other| other.block)
}

/// Bytes touched from one run of block `first` to the matching run of block `last`.
fn working_set(workload: &WorkloadTable, work: &Work, all: &[Sweep], first: usize, last: usize) -> u64 {
    let between = all.iter().filter(|sweep| (first..=last).contains(&sweep.block));
    let mut touched: BTreeMap<&Buffer, u64> = BTreeMap::new();
    for sweep in between {
        let bytes = touched.entry(&sweep.buffer).or_default();
        *bytes = sweep.bytes.max(*bytes);
    }
    let bytes: u64 = touched.values().sum();
    bytes / shared_runs(workload, work, first, last).max(1)
}

/// Times per launch that blocks `first` and `last` run after one another: the iterations of the
/// loop around both, one if there is none.
///
/// Timed regions tell it best: a loop nest is one region, so blocks of one region share a loop, and
/// blocks of two regions run as often as the regions. Without regions the blocks in between tell it: in
/// code layout the loop around both is as deep as the shallowest block between them.
fn shared_runs(workload: &WorkloadTable, work: &Work, first: usize, last: usize) -> u64 {
    let (a, b) = (&work.blocks[first], &work.blocks[last]);
    if a.function != b.function {
        return 1;
    }
    let depth = a.loop_depth.min(b.loop_depth);
    let function: Vec<_> = work.blocks.iter().filter(|block| block.function == a.function).collect();
    let region_of = |block: &BlockWork| workload.region_at(block.hottest_line()?);
    if let (Some(of_a), Some(of_b)) = (region_of(a), region_of(b)) {
        return match std::ptr::eq(of_a, of_b) {
            true => runs_at(work, &function, depth.saturating_sub(1)),
            false => of_a.runs_per_launch().min(of_b.runs_per_launch()),
        };
    }
    let between: Vec<_> = work.blocks[first..=last].iter().filter(|b| b.function == a.function).collect();
    let shallowest = between.iter().map(|block| block.loop_depth).min().unwrap_or(0);
    match shallowest < depth {
        true => runs_at(work, &between, shallowest),
        // Two loop bodies in a row with nothing between: the loop around them is one level out.
        false => runs_at(work, &function, depth.saturating_sub(1)),
    }
}

/// Most that any of `blocks` at this loop depth runs per launch; outside of loops, once.
fn runs_at(work: &Work, blocks: &[&BlockWork], depth: u32) -> u64 {
    let at_depth = blocks.iter().filter(|block| depth > 0 && block.loop_depth == depth);
    work.per_launch(at_depth.map(|block| block.executions).max().unwrap_or(0)).max(1)
}
