//! Moving the inputs and outputs between device memory and the chip sets the pace.
//!
//! ## What it means
//! Most of the time goes into bytes that have to move at least once, at less than the bandwidth that this device was
//! measured to reach. Arithmetic and caches are not the limit.
//!
//! ## Evidence
//! Compulsory bytes (inputs once from device memory, outputs once to it) at measured bandwidth, over the clean time.
//!
//! ## When it fires
//! They explain at least 50 % of the time and less than 75 % (above, it is `at-roofline`), and no other limit explains more.
//! `uncoalesced-access` and `occupancy-limited` are causes of it and replace it where they gain 10 %.
//!
//! ## Potential
//! Time over the time of the compulsory bytes at full measured bandwidth.
//!
//! ## What to try
//! 128-bit loads and stores, more loads under way a thread, asynchronous copies; a smaller element type; fusing the kernel
//! with its neighbours so that the bytes need not move at all.

use super::{Need, Tables, Target, at_roofline};
use crate::device::{Finding, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};

/// Stable code.
pub const CODE: &str = "KI0101";
/// Compulsory bytes are known without any probe.
pub const NEEDS: &[Need] = &[Need::Kernels, Need::Peaks];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "dram-bandwidth-bound";
/// Least part of the time that the compulsory bytes must account for.
const SHARE: f64 = 0.5;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(judge)
}

fn judge(subject: &Subject) -> Option<Diagnosis> {
    let limits = &subject.limits;
    let share = limits.share(limits.dram_ns);
    // The L2 cache is passed by these bytes too, so that it may explain as much without being the limit.
    let other = limits.share(limits.fma_ns.max(limits.tensor_ns).max(limits.shared_ns));
    if !(SHARE..at_roofline::FRACTION).contains(&share) || other > share {
        return None;
    }
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Memory,
        confidence: (0.8, "bytes are exact, bandwidth is measured; what is read more than once is not counted"),
        message: format!(
            "moving inputs and outputs once at the bandwidth of device memory explains {:.0} % of the time",
            share * 100.0
        ),
        evidence: vec![
            Evidence::new("compulsory-time-share", share, "1", "peaks").against(SHARE),
            Evidence::new("compulsory-time", limits.dram_ns, "ns", "peaks"),
            Evidence::new("other-limits-share", other, "1", "peaks").against(share),
        ],
        place: subject.device.kernels.first().and_then(|kernel| kernel.place.clone()),
        kernel: subject.device.kernels.first().map(|kernel| kernel.kernel.clone()),
        speedup: limits.headroom().min(1.0 / share),
        model: "time / time of the compulsory bytes at full measured bandwidth",
    }
    .on(subject)
}
