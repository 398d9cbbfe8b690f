//! Copies or matrix operations that should run beside the arithmetic are waited for.
//!
//! ## What it means
//! An asynchronous copy hides its latency only if there is other work until its result is needed. Here warps reach the wait long
//! before the copy is done.
//!
//! ## Evidence
//! `async-wait` times each wait (`cp.async.wait_group`, an mbarrier's try-wait loop, `wgmma.wait_group`) in each warp: the time in
//! them as part of the warps' time in the kernel.
//!
//! ## When it fires
//! It is at least 20 %.
//!
//! ## Potential
//! Time over time without the waits, at most time over roofline floor with a launch.
//!
//! ## What to try
//! One more stage of the pipeline, so that the copy for a later trip is under way; the copy issued before the arithmetic of the trip,
//! not after it; warps that only copy.

use super::{Need, Tables, Target, barrier_stall::{PILOTED, SHARE, Waits}};
use crate::device::{Finding, KernelTable, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};
use crate::sites::SiteKind;

/// Stable code.
pub const CODE: &str = "KI0110";
/// Times of warps.
pub const NEEDS: &[Need] = &[Need::WarpTimes];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "exposed-async-wait";

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let waits = Waits::of(kernel, SiteKind::AsyncWait)?;
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Memory,
        confidence: match waits.piloted {
            false => (0.75, "the waits of all recording warps were timed; bandwidth may be what they wait for"),
            true => (PILOTED, "the waits were timed in a build that the probes slow down; in the one within the overhead budget there are none"),
        },
        message: format!(
            "warps spend {:.0} % of their time waiting for what runs beside them, {:.0} ns each time at the place that takes most",
            waits.share * 100.0,
            waits.longest.ns_per_entry
        ),
        evidence: vec![
            Evidence::new("async-wait-share", waits.share, "1", "intra-kernel").against(SHARE),
            Evidence::new("mean-wait", waits.longest.ns_per_entry, "ns", "intra-kernel"),
            Evidence::new("places", waits.sites as f64, "1", "intra-kernel"),
        ],
        place: waits.longest.place.clone(),
        kernel: Some(kernel.kernel.clone()),
        speedup: subject.limits.speedup_without(waits.share * subject.kernel_ns(kernel)),
        model: "time / time without the waits, at most time / roofline floor with a launch",
    }
    .on(subject)
}
