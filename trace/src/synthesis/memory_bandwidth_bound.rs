//! Time goes into moving bytes, and few of them could be saved.
//!
//! ## What it means
//! The kernel streams its buffers about as often as it has to, and the memory level that holds them
//! sets its pace. Arithmetic is not the limit.
//!
//! ## Evidence
//! Time that the kernel's whole sweeps over buffers take at the measured bandwidth, the kernel's clean
//! time, the roofline point.
//!
//! ## When it fires
//! The roofline point is on the memory side and below 75 % of its roof (above, it is
//! `at-roofline`); the sweeps at full bandwidth account for at least 50 % of the time, and for more
//! than issuing the vector instructions does; and no two redundant sweeps take 20 % of the streaming (else
//! `redundant-passes` names the cause).
//!
//! ## Potential
//! Time now over the time the same sweeps take at full measured bandwidth, at most time over
//! roofline floor.
//!
//! ## What to try
//! Wider and contiguous accesses, software prefetch, fewer concurrent streams, non-temporal
//! stores for outputs that are not read again; a smaller element type; fusing the kernel with its
//! neighbours so that the bytes need not move at all.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::roofline::{Bound, RooflinePoint, issue_seconds};
use crate::sweeps::{redundant_sweeps, streaming_seconds};

/// Stable code.
pub const CODE: &str = "KI0001";
/// Work is optional: without it the compulsory bytes stand for the sweeps.
pub const NEEDS: &[Need] = &[Need::Peaks];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "memory-bandwidth-bound";
/// Least part of the time that streaming must account for.
const SHARE: f64 = 0.5;
/// Part of the streaming time from which on two or more redundant sweeps are the cause.
const REDUNDANT: f64 = 0.2;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let point = RooflinePoint::of(workload, peaks)?;
    let seconds = workload.seconds()?;
    let redundant = redundant_sweeps(workload, peaks);
    let extra: f64 = redundant.iter().map(|sweep| sweep.seconds).sum();
    let streaming = streaming_seconds(workload, peaks, &point);
    let share = streaming / seconds;
    let bound = point.bound == Bound::Memory && point.fraction < super::at_roofline::FRACTION;
    let repeated = redundant.len() > 1 && extra >= REDUNDANT * streaming * workload.threads();
    if !bound || share < SHARE || repeated || streaming < issue_seconds(workload, peaks) {
        return None;
    }
    let speedup = (1.0 / share).clamp(1.0, (1.0 / point.fraction).max(1.0));
    let gigabytes = point.achieved_bytes_per_s / 1e9;
    let (place, region) = workload.hot_spot();
    let value = if share >= 0.65 { 0.8 } else { 0.6 };
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Memory,
        severity: Severity::of(speedup),
        confidence: workload.confidence(value, "bytes are exact, bandwidth is measured"),
        message: format!(
            "moving data at {} bandwidth explains {:.0} % of the time: {gigabytes:.1} GB/s of \
             compulsory traffic, {:.0} % of the roof",
            point.level,
            share * 100.0,
            point.fraction * 100.0,
        ),
        evidence: vec![
            Evidence::new("streaming-time-share", share, "1", "kernel-counters").against(SHARE),
            Evidence::new("roofline-fraction", point.fraction, "1", "peaks")
                .against(super::at_roofline::FRACTION),
            Evidence::new("achieved-bandwidth", gigabytes, "GB/s", "performance"),
            Evidence::new("redundant-sweeps", redundant.len() as f64, "sweeps", "kernel-counters"),
        ],
        place,
        region,
        potential: Potential {
            speedup,
            model: "time / time of the same sweeps at full measured bandwidth, at most time / \
                    roofline floor"
                .to_owned(),
        },
        workload: workload.index,
    })
}
