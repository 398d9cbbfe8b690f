//! Moving bytes between device memory and the chip sets the pace.
//!
//! ## What it means
//! Most of the time goes into bytes on their way from or to device memory: the inputs and outputs once, or again in each kernel
//! where there are several and the L2 cache does not hold what they share. Arithmetic and caches are not the limit.
//!
//! ## Evidence
//! Compulsory bytes (inputs once from device memory, outputs once to it) at measured bandwidth; the bytes that each launch loads and
//! stores, no byte of the problem's buffers more than once a launch, where they are more than the L2 cache holds.
//!
//! ## When it fires
//! The larger of the two explains at least 50 % of the time, and the compulsory bytes less than 75 % (above, it is
//! `at-roofline`); no other limit explains more. `uncoalesced-access`, `occupancy-limited`, `barrier-stall` and `latency-bound` are causes
//! of it and replace it.
//!
//! ## Potential
//! Time over roofline floor with a launch: the compulsory bytes alone, at full measured bandwidth, or the arithmetic where that takes longer.
//!
//! ## What to try
//! One kernel in place of several sweeps; 128-bit loads and stores, more loads under way a thread, asynchronous copies; a smaller
//! element type; fusing the kernel with its neighbours so that the bytes need not move at all.

use super::{Need, Tables, Target, at_roofline};
use crate::device::{Finding, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};

/// Stable code.
pub const CODE: &str = "KI0101";
/// Compulsory bytes are known without any probe, and do where blocks were not counted.
pub const NEEDS: &[Need] = &[Need::Kernels, Need::Peaks];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "dram-bandwidth-bound";
/// Least part of the time that bytes must account for.
const SHARE: f64 = 0.5;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(judge)
}

fn judge(subject: &Subject) -> Option<Diagnosis> {
    let limits = &subject.limits;
    let (compulsory, share) = (limits.share(limits.dram_ns), limits.share(limits.traffic_ns));
    // The L2 cache is passed by these bytes too, so that it may explain as much without being the limit.
    let other = limits.share(limits.arithmetic_ns().max(limits.shared_ns));
    if share < SHARE || compulsory >= at_roofline::FRACTION || other > share {
        return None;
    }
    let repeated = limits.traffic_ns / limits.dram_ns;
    let kernel = subject.device.kernels.first();
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Memory,
        confidence: (0.8, "bytes are exact and bandwidth is measured; what a launch reads more than once is not counted"),
        message: format!(
            "moving bytes at the bandwidth of device memory explains {:.0} % of the time; the inputs and outputs once take {:.0} %",
            share * 100.0,
            compulsory * 100.0
        ),
        evidence: vec![
            Evidence::new("memory-time-share", share, "1", "kernel-counters").against(SHARE),
            Evidence::new("compulsory-time-share", compulsory, "1", "peaks").against(at_roofline::FRACTION),
            Evidence::new("moved-over-compulsory", repeated, "1", "kernel-counters"),
            Evidence::new("other-limits-share", other, "1", "peaks").against(share),
        ],
        place: kernel.and_then(|kernel| kernel.place.clone()),
        kernel: kernel.map(|kernel| kernel.kernel.clone()),
        speedup: limits.headroom(),
        model: "time / roofline floor with a launch",
    }
    .on(subject)
}
