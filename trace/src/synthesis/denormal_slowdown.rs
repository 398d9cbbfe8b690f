//! Numbers too small for the normal form make the arithmetic slow.
//!
//! ## What it means
//! Results or operands are denormal, between zero and the smallest normal number, which most cores handle in microcode
//! at many times the cost. Decaying filters, products of probabilities and masked-out tails get there.
//!
//! ## Evidence
//! The clean build timed as it is and with denormals flushed to zero by the processor, in turns, on the same inputs.
//!
//! ## When it fires
//! Flushing them makes the kernel 1.4 times as fast or more.
//!
//! ## Potential
//! The measured ratio of the two times, at most time over roofline floor.
//!
//! ## What to try
//! Scale the values away from the limit; add and subtract a small normal number; cut off what is below the tolerance;
//! work with logarithms; flush denormals, if the tolerance permits the change.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::roofline::RooflinePoint;

/// Stable code.
pub const CODE: &str = "KI0033";
/// Peaks and the time without denormals.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Flushed];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "denormal-slowdown";
/// Least ratio of the times: above what two short runs of one kernel differ by.
const RATIO: f64 = 1.4;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let point = RooflinePoint::of(workload, peaks)?;
    let times = workload.flushed.as_ref().filter(|times| times.in_turns && times.flushed_ns > 0.0)?;
    let ratio = times.plain_ns / times.flushed_ns;
    let speedup = ratio.min(1.0 / point.fraction).max(1.0);
    if ratio < RATIO {
        return None;
    }
    let (place, region) = workload.hot_spot();
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Compute,
        severity: Severity::of(speedup),
        confidence: workload.confidence(0.95, "the same code on the same inputs, with denormals and without"),
        message: format!(
            "with denormal numbers flushed to zero the same code is {ratio:.1} times as fast: they cost {:.0} % of \
             the time",
            (1.0 - 1.0 / ratio) * 100.0
        ),
        evidence: vec![
            Evidence::new("time-over-flushed-time", ratio, "1", "performance").against(RATIO),
            Evidence::new("time", times.plain_ns, "ns", "performance"),
            Evidence::new("flushed-time", times.flushed_ns, "ns", "performance"),
        ],
        place,
        region,
        potential: Potential {
            speedup,
            model: "measured time / measured time with denormals flushed, at most time / roofline floor".to_owned(),
        },
        workload: workload.index,
    })
}
