//! Lanes of a warp want different words of one bank of shared memory, and are served one after the other.
//!
//! ## What it means
//! Shared memory has 32 banks that give a word of four bytes each at a time. Lanes whose words lie on one bank, as those of a column of
//! a tile 32 words wide, need a turn each.
//!
//! ## Evidence
//! Turns (wavefronts) that each access to shared memory needed, from the addresses of the active lanes, over those that its
//! bytes fill; the time of the turns beyond at the measured bandwidth of shared memory.
//!
//! ## When it fires
//! An access needs at least twice the turns that its bytes fill, and the turns beyond, of all such accesses of a kernel, take at
//! least 10 % of its time. Atomics are `atomic-contention`'s.
//!
//! ## Potential
//! Time over time without the turns beyond, at most time over roofline floor with a launch.
//!
//! ## What to try
//! A padding word after each row of the tile; an exclusive-or of row and column as the index; 128-bit accesses.

use super::{Need, Tables, Target};
use crate::device::{AccessTable, Finding, KernelTable, Subject, WAVEFRONT_BYTES};
use crate::diagnosis::{Class, Diagnosis, Evidence};
use crate::sites::Buffer;

/// Stable code.
pub const CODE: &str = "KI0104";
/// Turns come from single accesses, their cost from measured bandwidth.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Accesses];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "bank-conflict";
/// Turns over those needed from which on lanes are in each other's way.
const CONFLICT: f64 = 2.0;
/// Part of the kernel's time below which the turns beyond do not matter.
const SHARE: f64 = 0.1;
/// No more than this part of the kernel's time is taken to be saved.
const MOST: f64 = 0.9;

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let peaks = subject.peaks?;
    let conflicts: Vec<_> = kernel.accesses.iter().flatten().filter(|row| is_conflict(row)).collect();
    let worst = conflicts.iter().max_by_key(|row| beyond(row))?;
    let turns: f64 = conflicts.iter().map(|row| beyond(row) as f64).sum();
    let lost_ns = 1e9 * turns * WAVEFRONT_BYTES as f64 / peaks.shared_read_bytes_per_s;
    let share = lost_ns / subject.kernel_ns(kernel);
    if share < SHARE {
        return None;
    }
    let each = |turns: u64| turns as f64 / worst.executions.max(1) as f64;
    let (taken, needed) = (each(worst.parts), each(worst.ideal_parts));
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Memory,
        confidence: (0.85, "the addresses of all lanes were seen, bandwidth is measured"),
        message: format!(
            "a {} to shared memory takes {taken:.1} turns a warp where {needed:.1} would do; such turns take {:.0} % of the \
             kernel's time",
            worst.verb(),
            share.min(1.0) * 100.0
        ),
        evidence: vec![
            Evidence::new("turns-over-needed", taken / needed, "1", "intra-kernel").against(CONFLICT),
            Evidence::new("turns-a-warp", taken, "1", "intra-kernel").against(needed),
            Evidence::new("conflict-time-share", share, "1", "peaks").against(SHARE),
        ],
        place: worst.place.clone().or_else(|| kernel.place.clone()),
        kernel: Some(kernel.kernel.clone()),
        speedup: subject.limits.speedup_without(lost_ns.min(MOST * subject.kernel_ns(kernel))),
        model: "time / time without the turns beyond those needed, at most time / roofline floor with a launch",
    }
    .on(subject)
}

fn is_conflict(row: &AccessTable) -> bool {
    let shared = row.buffer == Buffer::Shared && !row.atomic;
    shared && row.parts as f64 >= CONFLICT * row.ideal_parts as f64
}

fn beyond(row: &AccessTable) -> u64 {
    row.parts.saturating_sub(row.ideal_parts)
}
