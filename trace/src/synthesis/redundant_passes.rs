//! Separate loops go over the same data again although once would do.
//!
//! ## What it means
//! Several loops each sweep a whole buffer: an input is read again, an output is written twice,
//! or a temporary as large as an input is written and read back. When the data no longer fits the
//! nearer caches by the time it is needed again, every further sweep pays for memory once more.
//!
//! ## Evidence
//! Bytes by buffer and loop body from the block counters: a loop that moves about the buffer's size
//! once is a sweep (a loop nest that moves it many times, as a matmul does, is reuse and no sweep).
//! The working set between two sweeps, and the memory level that holds it.
//!
//! ## When it fires
//! At least one sweep is beyond the compulsory ones (inputs read once, outputs written once) and does
//! not find its data in L1, and saving the redundant ones would gain 10 %. With a single redundant sweep
//! the confidence is low: a reduction followed by a use of its result needs two sweeps unless the data
//! fits a cache.
//!
//! ## Potential
//! Time over time without the redundant sweeps. Each costs its bytes at the measured bandwidth of the
//! level that holds its working set; where all sweeps together explain only part of the time, each
//! is taken to run slower than that bandwidth in the same proportion, at most twice. At most time over
//! roofline floor.
//!
//! ## What to try
//! Fuse the loops; keep running values instead of a pass of their own (online softmax, Welford or
//! sum and sum of squares for a variance); work on blocks that stay in L2 through all passes.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::roofline::RooflinePoint;
use crate::sites::{AccessKind, Buffer};
use crate::sweeps::{RedundantSweep, Sweep, redundant_sweeps, sweeps};

/// Stable code.
pub const CODE: &str = "KI0004";
/// Peaks and counted work.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Work];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "redundant-passes";
/// Least estimated gain.
const GAIN: f64 = 1.1;
/// Most that a sweep is taken to be slower than a pure stream: loads that share their loop with
/// arithmetic reach about half the streaming bandwidth.
const SLOWDOWN: f64 = 2.0;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let point = RooflinePoint::of(workload, peaks)?;
    let time = workload.seconds()?;
    let redundant = redundant_sweeps(workload, peaks);
    let worst = redundant.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds))?;
    let share = saved_share(workload, &point, &redundant, time);
    let speedup = (1.0 / (1.0 - share)).min(1.0 / point.fraction);
    if speedup < GAIN {
        return None;
    }
    let all = sweeps(workload);
    let of_worst = |sweep: &&Sweep| sweep.buffer == worst.sweep.buffer;
    let count = all.iter().filter(of_worst).count();
    let bytes: u64 = redundant.iter().map(|sweep| sweep.sweep.bytes).sum();
    let (value, why) = match redundant.len() {
        1 => (0.4, "a single redundant sweep may be inherent to the algorithm"),
        _ => (0.9, "bytes are exact, and so many sweeps are never inherent"),
    };
    let place = worst.sweep.place.clone();
    let region = place.as_ref().and_then(|place| workload.region_at(place));
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Memory,
        severity: Severity::of(speedup),
        confidence: workload.confidence(value, why),
        message: format!(
            "separate loops sweep {} {count} times; {} of all {} sweeps are redundant, move {} through \
             {} again and cost about {:.0} % of the time",
            buffer_name(workload, worst),
            redundant.len(),
            all.len(),
            mebibytes(bytes),
            worst.level,
            share * 100.0,
        ),
        evidence: vec![
            Evidence::new("redundant-sweeps", redundant.len() as f64, "sweeps", "kernel-counters")
                .against(0.0),
            Evidence::new("redundant-bytes", bytes as f64, "B", "kernel-counters"),
            Evidence::new("working-set", worst.working_set as f64, "B", "kernel-counters"),
            Evidence::new("redundant-time-share", share, "1", "peaks").against(1.0 - 1.0 / GAIN),
        ],
        region: region.map(|region| region.name.clone()),
        place,
        potential: Potential {
            speedup,
            model: "time / time without the redundant sweeps, each at its level's measured \
                    bandwidth, at most time / roofline floor"
                .to_owned(),
        },
        workload: workload.index,
    })
}

/// Part of the time that goes into redundant sweeps.
fn saved_share(
    workload: &WorkloadTable,
    point: &RooflinePoint,
    redundant: &[RedundantSweep],
    time: f64,
) -> f64 {
    let saved = redundant.iter().map(|sweep| sweep.seconds).sum::<f64>() / workload.threads();
    let streaming = saved + point.memory_floor_ns * 1e-9;
    let slowdown = (time / streaming).clamp(1.0, SLOWDOWN);
    // Never all of the time: the floor stays.
    (saved * slowdown / time).min(1.0 - point.fraction.min(1.0)).max(0.0)
}

fn buffer_name(workload: &WorkloadTable, sweep: &RedundantSweep) -> String {
    match &sweep.sweep.buffer {
        Buffer::Argument(index) => {
            let known = workload.buffers.iter().find(|buffer| buffer.index == *index);
            known.map_or(format!("argument {index}"), |buffer| format!("`{}`", buffer.name))
        }
        Buffer::Allocation(number) => format!("temporary {number}"),
        _ => match sweep.sweep.kind {
            AccessKind::Load => "a buffer it reads".to_owned(),
            AccessKind::Store => "a buffer it writes".to_owned(),
        },
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
