//! Lanes of a warp touch memory far apart, so that little of each sector that is moved is used.
//!
//! ## What it means
//! The memory system moves sectors of 32 bytes. A warp whose lanes stand side by side needs as many as its bytes fill; one whose
//! lanes are a row apart needs one for each lane, and uses a few bytes of it.
//!
//! ## Evidence
//! Sectors that each load and store of the kernel touched, from the addresses of the active lanes, over those that its bytes
//! would fill; the time of the sectors beyond at the measured bandwidth of the L2 cache. A lane that comes back to its sector
//! finds it in that cache only if the lines that all resident warps are at fit into it. Where they do not, each touch is fetched
//! from device memory again, 64 bytes at a time, and the time is that of these bytes; no longer than the kernel takes, or
//! other caches must have served them.
//!
//! ## When it fires
//! A load or store outside of shared memory needs at least twice the sectors that its bytes fill, and the sectors beyond, of
//! all such accesses of a kernel, take at least 10 % of its time. Atomics are `atomic-contention`'s.
//!
//! ## Potential
//! Time over time without the sectors beyond, at most time over roofline floor.
//!
//! ## What to try
//! Let the fastest thread index run along the contiguous dimension; go through shared memory where rows are read and
//! columns written, as in a transpose; a structure of arrays for an array of structures.

use super::{Need, Tables, Target};
use crate::device::{AccessTable, DevicePeaks, Finding, KernelTable, SECTOR_BYTES, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};

/// Stable code.
pub const CODE: &str = "KI0103";
/// Sectors come from single accesses, their cost from measured bandwidth.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Accesses];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "uncoalesced-access";
/// Sectors over those needed from which on an access is not coalesced: half of what is moved is not used.
const SPREAD: f64 = 2.0;
/// Part of the kernel's time below which the sectors beyond do not matter.
const SHARE: f64 = 0.1;
/// Bytes that the L2 cache keeps a place for at a time, and bytes that it fetches at least (the driver's default).
const LINE_BYTES: f64 = 128.0;
const FETCHED_BYTES: f64 = 64.0;
/// No more than this part of the kernel's time is taken to be saved: the L1 cache may serve some of the sectors.
const MOST: f64 = 0.9;

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let peaks = subject.peaks?;
    let spread: Vec<_> = kernel.accesses.iter().flatten().filter(|row| is_spread(row)).collect();
    let worst = spread.iter().max_by_key(|row| beyond(row))?;
    let bytes: f64 = spread.iter().map(|row| beyond(row) as f64 * SECTOR_BYTES as f64).sum();
    let refetched_ns = refetched_ns(subject, kernel, peaks, &spread);
    let lost_ns = refetched_ns.unwrap_or(1e9 * bytes / peaks.l2_read_bytes_per_s);
    let level = if refetched_ns.is_some() { "device memory, to which they go again" } else { "the L2 cache" };
    let share = lost_ns / subject.kernel_ns(kernel);
    if share < SHARE {
        return None;
    }
    let each = |sectors: u64| sectors as f64 / worst.executions.max(1) as f64;
    let (touched, needed) = (each(worst.parts), each(worst.ideal_parts));
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Memory,
        confidence: (0.85, "the addresses of all lanes were seen; what the L1 cache serves of the sectors is not known"),
        message: format!(
            "a {} touches {touched:.1} sectors a warp where {needed:.1} hold its bytes; such sectors take {:.0} % of the \
             kernel's time at the bandwidth of {level}",
            worst.verb(),
            share.min(1.0) * 100.0
        ),
        evidence: vec![
            Evidence::new("sectors-over-needed", touched / needed, "1", "intra-kernel").against(SPREAD),
            Evidence::new("sectors-a-warp", touched, "1", "intra-kernel").against(needed),
            Evidence::new("unused-bytes", bytes, "B", "intra-kernel"),
            Evidence::new("unused-time-share", share, "1", "peaks").against(SHARE),
        ],
        place: worst.place.clone().or_else(|| kernel.place.clone()),
        kernel: Some(kernel.kernel.clone()),
        speedup: subject.limits.speedup_without(lost_ns.min(MOST * subject.kernel_ns(kernel))),
        model: "time / time without the sectors beyond those needed, at most time / roofline floor",
    }
    .on(subject)
}

/// Time, at the bandwidth of device memory, of what `spread` accesses fetch from it beyond their bytes; `None` if the L2 cache
/// holds what the resident warps are at, or if that is more than the kernel's time.
fn refetched_ns(
    subject: &Subject,
    kernel: &KernelTable,
    peaks: &DevicePeaks,
    spread: &[&AccessTable],
) -> Option<f64> {
    let occupancy = kernel.occupancy.as_ref()?;
    let warps = occupancy.resident * f64::from(occupancy.max_warps * peaks.facts.sm_count);
    let sectors_a_warp: f64 = spread.iter().map(|row| row.parts as f64 / row.executions.max(1) as f64).sum();
    if warps * sectors_a_warp * LINE_BYTES <= peaks.facts.l2_bytes as f64 {
        return None;
    }
    let fetched = |row: &&AccessTable| {
        row.parts as f64 * FETCHED_BYTES - row.ideal_parts as f64 * SECTOR_BYTES as f64
    };
    let ns = 1e9 * spread.iter().map(fetched).sum::<f64>() / peaks.dram_copy_bytes_per_s;
    (ns <= subject.kernel_ns(kernel)).then_some(ns)
}

fn is_spread(row: &AccessTable) -> bool {
    row.is_global() && !row.atomic && row.parts as f64 >= SPREAD * row.ideal_parts as f64
}

fn beyond(row: &AccessTable) -> u64 {
    row.parts.saturating_sub(row.ideal_parts)
}
