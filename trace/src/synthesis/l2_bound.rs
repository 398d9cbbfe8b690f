//! What warps ask for beyond the SMs takes the bandwidth of the L2 cache.
//!
//! ## What it means
//! The kernel asks the L2 cache for many more bytes than its inputs and outputs have: the same data is fetched again and
//! again, and reaches the threads neither from shared memory nor from registers.
//!
//! ## Evidence
//! Sectors of 32 bytes that warps touched outside of shared memory (bytes that threads asked for, where single accesses
//! were not observed), at the measured bandwidth of the L2 cache, over the clean time.
//!
//! ## When it fires
//! They explain at least 50 % of the time, are at least twice the compulsory bytes, and explain more than device memory and
//! arithmetic do. `uncoalesced-access` and `register-spill` are causes of it and replace it where they gain 10 %.
//!
//! ## Potential
//! Time over time without the sectors beyond the compulsory bytes, at most time over roofline floor with a launch.
//!
//! ## What to try
//! Tiles in shared memory, larger tiles, more results a thread, so that each byte is fetched once a tile; an order of
//! blocks in which neighbours share what they read.

use super::{Need, Tables, Target};
use crate::device::{Finding, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};

/// Stable code.
pub const CODE: &str = "KI0102";
/// Observed sectors are better than counted bytes, which do as well.
pub const NEEDS: &[Need] = &[Need::Kernels, Need::Peaks, Need::Work];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "l2-bound";
/// Least part of the time that the sectors must account for.
const SHARE: f64 = 0.5;
/// Below this multiple of the compulsory bytes there is little to save.
const REPEATED: f64 = 2.0;
/// Above this share the L1 cache must have served a part of them, and how large a part is not known.
const SERVED_BEFORE: f64 = 1.2;
/// No more than this part of the time is taken to be saved.
const MOST: f64 = 0.95;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(judge)
}

fn judge(subject: &Subject) -> Option<Diagnosis> {
    let limits = &subject.limits;
    let share = limits.share(limits.l2_ns);
    let repeated = limits.l2_ns / limits.l2_floor_ns;
    let other = limits.share(limits.traffic_ns.max(limits.arithmetic_ns()));
    if share < SHARE || repeated.is_nan() || repeated < REPEATED || other > share {
        return None;
    }
    let confidence = match share {
        share if share > SERVED_BEFORE => (0.55, "sectors are exact; the L1 cache serves a part of them that is not known"),
        _ => (0.7, "sectors are exact and bandwidth is measured; what the L1 cache serves is not known"),
    };
    let kernel = subject.device.kernels.first();
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Memory,
        confidence,
        message: format!(
            "warps ask the L2 cache for {repeated:.1} times the bytes of inputs and outputs, which at its bandwidth \
             explains {:.0} % of the time",
            share * 100.0
        ),
        evidence: vec![
            Evidence::new("l2-time-share", share, "1", "intra-kernel").against(SHARE),
            Evidence::new("sectors-over-compulsory", repeated, "1", "intra-kernel").against(REPEATED),
            Evidence::new("other-limits-share", other, "1", "peaks").against(share),
        ],
        place: kernel.and_then(|kernel| kernel.place.clone()),
        kernel: kernel.map(|kernel| kernel.kernel.clone()),
        speedup: limits.speedup_without(limits.l2_ns.min(MOST * limits.time_ns) - limits.l2_floor_ns),
        model: "time / time without the sectors beyond the compulsory bytes, at most time / roofline floor with a launch",
    }
    .on(subject)
}
