//! The kernel is at the measured limit of this machine.
//!
//! ## What it means
//! Moving every input and output once, or doing the counted arithmetic once at the vector peak, takes
//! nearly the whole time already. No rewrite of this kernel alone gains much on this machine.
//!
//! ## Evidence
//! Roofline floor (compulsory bytes at the measured bandwidth of the level that holds them, counted
//! flops at the measured vector FMA rate; the larger of the two) over the clean time. On a GPU the bytes come from device
//! memory, and the flops of tensor cores go at their own rate.
//!
//! ## When it fires
//! The floor is at least 75 % of the time, and no other rule is sure (confidence 0.5) of a gain of 10 %.
//! A time well under the floor fires it too, with low confidence: then a peak or the byte count is off.
//!
//! ## Potential
//! Time over floor: what is left up to the roof, at least 1.
//!
//! ## What to try
//! Nothing inside the kernel. Fuse it with its neighbours, use a smaller element type, more
//! threads, or an algorithm that moves or computes less.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::roofline::{Bound, RooflinePoint};

/// Stable code.
pub const CODE: &str = "KI0006";
/// Without counted work the point rests on the compulsory bytes alone, which is sound but lower.
pub const NEEDS: &[Need] = &[Need::Peaks];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu, Target::Gpu];
const NAME: &str = "at-roofline";
/// A kernel this near its floor is at the roof: measured peaks vary by some percent from run to run,
/// and a loop with any arithmetic beside its loads stays some percent under a pure stream.
pub(super) const FRACTION: f64 = 0.75;
/// Above this, the floor itself is in doubt.
const BEYOND: f64 = 1.15;
/// Above this, the kernel does not touch all its buffers, or does not do its work: that is a finding of its own (a
/// note of the synthesis), and no praise.
pub(super) const IMPOSSIBLE: f64 = 1.6;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    let points = tables.workloads.iter().filter_map(|workload| Some((workload, tables.roofline(workload)?)));
    points.filter_map(|(workload, point)| judge(workload, &point)).collect()
}

fn judge(workload: &WorkloadTable, point: &RooflinePoint) -> Option<Diagnosis> {
    if !(FRACTION..=IMPOSSIBLE).contains(&point.fraction) {
        return None;
    }
    let speedup = (1.0 / point.fraction).max(1.0);
    let (limit, rate) = match point.bound {
        Bound::Memory => (
            format!("{} bandwidth", point.level),
            format!("{:.1} GB/s", point.achieved_bytes_per_s / 1e9),
        ),
        Bound::Compute | Bound::Tensor => (
            if point.bound == Bound::Tensor { "tensor cores" } else { "vector arithmetic" }.to_owned(),
            format!("{:.1} GFLOP/s", point.achieved_flops_per_s / 1e9),
        ),
    };
    let (value, why) = match point.fraction {
        f if f > BEYOND => (0.5, "faster than the floor: a peak or the byte count is off"),
        _ => (0.9, "floor and time are both measured on this machine"),
    };
    let left = match speedup {
        s if s > 1.1 => format!("at most {s:.2}× left to gain in this kernel"),
        _ => "nothing left to gain in this kernel".to_owned(),
    };
    let (place, region) = workload.hot_spot();
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::None,
        severity: Severity::Info,
        confidence: workload.confidence(value, why),
        message: format!(
            "at {:.0} % of the roof set by {limit}: {rate}, {left}",
            point.fraction * 100.0
        ),
        evidence: vec![
            Evidence::new("roofline-fraction", point.fraction, "1", "peaks").against(FRACTION),
            Evidence::new("floor", point.floor_ns, "ns", "peaks"),
            Evidence::new("time", workload.clean.median_ns, "ns", "performance"),
        ],
        place,
        region,
        potential: Potential { speedup, model: "time / roofline floor".to_owned() },
        workload: workload.index,
    })
}
