//! The kernel needs more registers than a thread has, and keeps values in memory.
//!
//! ## What it means
//! What does not fit the registers goes to local memory: a store and a load, through the caches, for a value that
//! should have stayed where it was.
//!
//! ## Evidence
//! Bytes of spill stores and loads a thread, as `ptxas` tells them; how often the hottest block of the kernel runs; the measured bandwidth
//! of the L2 cache.
//!
//! ## When it fires
//! At least 16 bytes a thread are spilled, and, each as often as the hottest block runs, they take at least 5 % of the kernel's
//! time.
//!
//! ## Potential
//! Time over time without them, at most half of the kernel's time saved, and at most time over roofline floor with a launch.
//!
//! ## What to try
//! Fewer results a thread, less unrolling, no dynamic index into a local array, a larger launch bound; recomputing instead of keeping.

use super::{Need, Tables, Target};
use crate::device::{Finding, KernelTable, Subject, WARP};
use crate::diagnosis::{Class, Diagnosis, Evidence};

/// Stable code.
pub const CODE: &str = "KI0113";
/// Spills come with the kernel's resources, how often they run with the counted blocks.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Work];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "register-spill";
/// Bytes a thread below which a spill is one of a value that is seldom used.
const BYTES: f64 = 16.0;
/// Part of the kernel's time below which they do not matter.
const SHARE: f64 = 0.05;
/// No more than this part of the kernel's time is taken to be saved: which spills run how often is not known.
const MOST: f64 = 0.5;

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let bytes = kernel.spill_bytes? as f64;
    if bytes < BYTES {
        return None;
    }
    let runs = hottest_runs(subject, kernel)?;
    let spilled_ns = 1e9 * bytes * runs * WARP as f64 / subject.peaks?.l2_read_bytes_per_s;
    let share = spilled_ns / subject.kernel_ns(kernel);
    if share < SHARE {
        return None;
    }
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Memory,
        confidence: (0.65, "the spills are in the code; how often they run is taken from the hottest block"),
        message: format!(
            "{bytes:.0} bytes of spill stores and loads a thread with {} registers; as often as the hottest block runs they take \
             {:.0} % of the kernel's time",
            kernel.registers.unwrap_or(0),
            share.min(MOST) * 100.0
        ),
        evidence: vec![
            Evidence::new("spill-bytes", bytes, "B", "performance").against(BYTES),
            Evidence::new("spill-time-share", share, "1", "peaks").against(SHARE),
        ],
        place: kernel.place.clone(),
        kernel: Some(kernel.kernel.clone()),
        speedup: subject.limits.speedup_without(spilled_ns.min(MOST * subject.kernel_ns(kernel))),
        model: "time / time without the spills, at most half of the kernel's time, at most time / roofline floor with a launch",
    }
    .on(subject)
}

/// Times that warps ran the hottest block of the kernel in one call: the one in which most instructions were executed.
fn hottest_runs(subject: &Subject, kernel: &KernelTable) -> Option<f64> {
    let work = subject.device.work.as_ref()?;
    let blocks = work.blocks.iter().filter(|block| block.function == kernel.kernel);
    let hottest = blocks.max_by_key(|block| block.lines.iter().fold(0_u64, |sum, line| sum.saturating_add(line.amounts.instructions)))?;
    Some(work.per_launch(hottest.executions) as f64)
}
