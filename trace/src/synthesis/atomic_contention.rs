//! Many threads change the same few addresses, and are served one after the other.
//!
//! ## What it means
//! An atomic operation waits for the one before it on the same address, and in device memory's cache for any on the same line of 128 bytes,
//! which one unit serves. Where all threads add to one sum, or to a table with few entries, memory serves them in single file.
//!
//! ## Evidence
//! Atomics that lanes made, and how many lanes of a warp were on one address at most; at one operation a line and clock (of shared
//! memory: an address and clock) the time that they take. Other warps are taken to hit the same lines as the lanes of one do.
//!
//! ## When it fires
//! On average 1.5 lanes or more of a warp are on one address, and the operations explain at least 20 % of the kernel's time.
//!
//! ## Potential
//! Time over time without them (but for one a warp), at most time over roofline floor with a launch.
//!
//! ## What to try
//! A sum by shuffles in the warp and shared memory in the block, with one atomic a block; a copy of the table in shared
//! memory a block, merged at the end.

use super::{Need, Tables, Target};
use crate::device::{AccessTable, Finding, KernelTable, Subject, WARP};
use crate::diagnosis::{Class, Diagnosis, Evidence};
use crate::sites::Buffer;

/// Stable code.
pub const CODE: &str = "KI0112";
/// Addresses of atomics; the clock comes with the peaks.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Accesses];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "atomic-contention";
/// Lanes on one address from which on they meet often.
const LANES: f64 = 1.5;
/// Part of the kernel's time below which they do not matter.
const SHARE: f64 = 0.2;
/// Sectors of a line of the L2 cache.
const SECTORS_OF_LINE: f64 = 4.0;
/// No more than this part of the kernel's time is taken to be saved.
const MOST: f64 = 0.95;

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let (clock, sms) = (subject.peaks?.clock_hz, f64::from(subject.peaks?.facts.sm_count.max(1)));
    let contended = |row: &&AccessTable| row.atomic && together(row) >= LANES;
    let ns = |row: &AccessTable| single_file_ns(row, clock, sms);
    let rows: Vec<_> = kernel.accesses.iter().flatten().filter(contended).collect();
    let worst = rows.iter().max_by(|a, b| ns(a).total_cmp(&ns(b)))?;
    let lost_ns: f64 = rows.iter().map(|row| ns(row) * (1.0 - row.executions as f64 / row.lanes.max(1) as f64)).sum();
    let share = lost_ns / subject.kernel_ns(kernel);
    if share.is_nan() || share < SHARE {
        return None;
    }
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Memory,
        confidence: (0.8, "the lanes on one address were counted; that other warps hit the same addresses is inferred"),
        message: format!(
            "{} atomics a call, {:.1} lanes of a warp on one address: in single file they explain {:.0} % of the kernel's time",
            worst.lanes,
            together(worst),
            share.min(1.0) * 100.0
        ),
        evidence: vec![
            Evidence::new("lanes-on-one-address", together(worst), "1", "intra-kernel").against(LANES),
            Evidence::new("atomics", worst.lanes as f64, "", "intra-kernel"),
            Evidence::new("single-file-time-share", share, "1", "peaks").against(SHARE),
        ],
        place: worst.place.clone().or_else(|| kernel.place.clone()),
        kernel: Some(kernel.kernel.clone()),
        speedup: subject.limits.speedup_without(lost_ns.min(MOST * subject.kernel_ns(kernel))),
        model: "time / time without all atomics but one a warp, at most time / roofline floor with a launch",
    }
    .on(subject)
}

/// Lanes of a warp on one address, on average.
fn together(row: &AccessTable) -> f64 {
    row.same_address as f64 / row.executions.max(1) as f64
}

/// Time of the operations in single file: in device memory's cache at one a line and clock, with as many lines as the sectors that a
/// warp touched fill; in the shared memory of every SM at one an address and clock, with as many addresses as its lanes have.
fn single_file_ns(row: &AccessTable, clock: f64, sms: f64) -> f64 {
    let executions = row.executions.max(1) as f64;
    let at_once = match row.buffer {
        Buffer::Shared => (row.lanes as f64 / executions / together(row)).clamp(1.0, WARP as f64) * sms,
        _ => (row.parts as f64 / executions / SECTORS_OF_LINE).max(1.0),
    };
    1e9 * row.lanes as f64 / (clock * at_once)
}
