//! Half of what is read from memory is only there to be overwritten.
//!
//! ## What it means
//! A store that misses the caches first reads the line that it is about to fill. For an output that is larger than
//! the last cache and written once, that read is for nothing: stores that bypass the caches do not make it.
//!
//! ## Evidence
//! Bytes that ordinary stores write to outputs larger than the last cache, bytes of the inputs, the time that
//! streaming takes, and the measured bandwidths of copies of main memory through the caches and past them.
//!
//! ## When it fires
//! The inputs and outputs do not fit the last cache; streaming them explains at least half of the time; such outputs
//! are written about once and never read back; and the copy past the caches is measurably faster, so that 10 % is to be
//! gained.
//!
//! ## Potential
//! (r + 2 w) / (r + w) for r bytes of inputs and w bytes of such outputs, at most the ratio of the two measured copy
//! bandwidths: what this machine gains by it.
//!
//! ## What to try
//! Non-temporal stores of whole cache lines (`{nontemporal = true}` on `vector.store`, `__builtin_nontemporal_store`);
//! not for outputs that the next kernel reads while they are still in the cache.

use super::{Need, Role, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::roofline::{Bound, RooflinePoint};
use crate::sites::{AccessKind, Buffer, Place};
use crate::sweeps::streaming_seconds;
use crate::work::{AccessWork, Work};

/// Stable code.
pub const CODE: &str = "KI0035";
/// Peaks and counted work.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Work];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "write-allocate-bound";
/// Least part of the time that streaming must account for.
const SHARE: f64 = 0.5;
/// An output is written about once if its stores move this many times its bytes.
const ONCE: std::ops::RangeInclusive<f64> = 0.8..=1.2;
/// Least estimated gain.
const GAIN: f64 = 1.1;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let work = workload.work.as_ref()?;
    let point = RooflinePoint::of(workload, peaks)?;
    let [.., last_cache, memory] = peaks.levels.as_slice() else { return None };
    let outputs = streamed_outputs(workload, work, last_cache.capacity_bytes);
    let written: u64 = outputs.iter().map(|output| output.bytes).sum();
    let inputs = workload.buffers.iter().filter(|buffer| buffer.role == Role::Input);
    let read: u64 = inputs.map(|buffer| buffer.bytes).sum();
    let moved = (read + written) as f64;
    let gained = peaks.bypassing_copy_bytes_per_s? / memory.copy_bytes_per_s;
    let speedup = ((moved + written as f64) / moved).min(gained);
    // What the floor takes to be one transfer is two where lines are read first.
    let share = streaming_seconds(workload, peaks, &point) / workload.seconds()? * speedup.max(1.0);
    let streams = point.bound == Bound::Memory && point.level == memory.name && share >= SHARE;
    if written == 0 || !streams || speedup < GAIN {
        return None;
    }
    let place = outputs.iter().max_by_key(|output| output.bytes).and_then(|output| output.place.clone());
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Memory,
        severity: Severity::of(speedup),
        confidence: workload.confidence(0.85, "bytes are exact, and both ways of copying are measured"),
        message: format!(
            "ordinary stores fill {:.1} MiB of outputs, more than {} holds, and so read them first; a copy past the \
             caches is {gained:.2} times as fast on this machine",
            written as f64 / f64::from(1 << 20),
            last_cache.name,
        ),
        evidence: vec![
            Evidence::new("streaming-time-share", share, "1", "kernel-counters").against(SHARE),
            Evidence::new("written-through-the-caches", written as f64, "B", "kernel-counters")
                .against(last_cache.capacity_bytes as f64),
            Evidence::new("inputs", read as f64, "B", "kernel-counters"),
            Evidence::new("bypassing-over-ordinary-copy", gained, "1", "peaks").against(GAIN),
        ],
        region: place.as_ref().and_then(|place| workload.region_at(place)).map(|region| region.name.clone()),
        place,
        potential: Potential {
            speedup,
            model: "(inputs + 2 × outputs) / (inputs + outputs), at most measured copy bandwidth past the caches / \
                    through them"
                .to_owned(),
        },
        workload: workload.index,
    })
}

/// An output that ordinary stores stream to memory.
struct Streamed {
    bytes: u64,
    place: Option<Place>,
}

/// Outputs larger than `cache` that are written about once and never read.
fn streamed_outputs(workload: &WorkloadTable, work: &Work, cache: u64) -> Vec<Streamed> {
    let large = workload.buffers.iter().filter(|buffer| buffer.role == Role::Output && buffer.bytes > cache);
    let streamed = large.filter_map(|output| {
        let buffer = Buffer::Argument(output.index);
        let of = |kind| move |row: &AccessWork| row.kind == kind;
        let bytes = |select: &dyn Fn(&AccessWork) -> bool| {
            work.per_launch(work.total.bytes_where(|row| row.buffer == buffer && select(row)))
        };
        let stored = bytes(&of(AccessKind::Store));
        let ordinary = bytes(&|row| row.kind == AccessKind::Store && !row.nontemporal);
        let once = ONCE.contains(&(stored as f64 / output.bytes as f64));
        let kept = once && bytes(&of(AccessKind::Load)) == 0 && ordinary > output.bytes / 2;
        let stores = |row: &AccessWork| row.buffer == buffer && row.kind == AccessKind::Store;
        let place = work.by_line().into_iter().find(|line| line.amounts.memory.iter().any(stores));
        kept.then(|| Streamed { bytes: ordinary, place: place.and_then(|line| line.place) })
    });
    streamed.collect()
}
