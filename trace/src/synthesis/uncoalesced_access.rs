//! Lanes of a warp touch memory far apart, so that little of each sector that is moved is used.
//!
//! ## What it means
//! The memory system moves sectors of 32 bytes. A warp whose lanes stand side by side needs as many as its bytes fill; one whose
//! lanes are a row apart needs one for each lane, and uses a few bytes of it.
//!
//! ## Evidence
//! Sectors that each load and store of the kernel touched, from the addresses of the active lanes, over those that its bytes
//! would fill. What they take follows from rates that were measured on this device: words that lanes load, and store, each in a line
//! of its own, of the L2 cache and of device memory. A sector that is stored in part costs the L2 cache several times what a whole one
//! does (an H100 takes 64 instead of 230 thousand million a second), and device memory a read besides. A lane that comes back to its sector finds
//! it in the L2 cache only if the lines that all resident warps are at fit into it; where they do not, the rate is that of device memory.
//!
//! ## When it fires
//! A load or store outside of shared memory needs at least twice the sectors that its bytes fill, and what all such accesses of a kernel
//! touch takes at least 10 % of its time. Atomics are `atomic-contention`'s.
//!
//! ## Potential
//! Time over time with the sectors needed, streamed. What is touched takes no longer than the kernel: where it would, caches nearer
//! by have served a part, and all of the time is taken to be its. What is left is at least what the roofline allows, and what all other sectors and
//! shared memory take at their measured bandwidths.
//!
//! ## What to try
//! Let the fastest thread index run along the contiguous dimension; go through shared memory where rows are read and
//! columns written, as in a transpose; a structure of arrays for an array of structures.

use super::{Need, Tables, Target};
use crate::device::{AccessTable, DevicePeaks, Finding, KernelTable, Limits, SECTOR_BYTES, Scattered, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};
use crate::sites::{AccessKind, Buffer};
use std::collections::BTreeMap;

/// Stable code.
pub const CODE: &str = "KI0103";
/// Sectors come from single accesses, their cost from measured rates.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Accesses];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "uncoalesced-access";
/// Sectors over those needed from which on an access is not coalesced: half of what is moved is not used.
const SPREAD: f64 = 2.0;
/// Part of the kernel's time below which the sectors do not matter.
const SHARE: f64 = 0.1;
/// Bytes that the L2 cache keeps a place for at a time, and bytes that it fetches at least (the driver's default).
const LINE_BYTES: f64 = 128.0;
const FETCHED_BYTES: f64 = 64.0;

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let (peaks, limits) = (subject.peaks?, &subject.limits);
    let spread: Vec<_> = kernel.accesses.iter().flatten().filter(|row| is_spread(row)).collect();
    let worst = spread.iter().max_by_key(|row| beyond(row))?;
    let bytes: f64 = spread.iter().map(|row| beyond(row) as f64 * SECTOR_BYTES as f64).sum();
    let streamed_ns = |bytes: f64| 1e9 * bytes / peaks.l2_read_bytes_per_s;
    let level = if is_remembered(kernel, peaks, &spread) { Level::L2 } else { Level::Dram };
    let (kernel_ns, touched_ns) = (subject.kernel_ns(kernel), level.touched_ns(peaks, &spread));
    let share = touched_ns / kernel_ns;
    if share.is_nan() || share < SHARE {
        return None;
    }
    let needed: f64 = spread.iter().map(|row| row.ideal_parts as f64 * SECTOR_BYTES as f64).sum();
    let saved_ns = touched_ns.min(kernel_ns) - streamed_ns(needed);
    let left_ns = (limits.l2_ns - streamed_ns(bytes)).max(limits.shared_ns);
    let each = |sectors: u64| sectors as f64 / worst.executions.max(1) as f64;
    let (touched, ideal) = (each(worst.parts), each(worst.ideal_parts));
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Memory,
        confidence: match share {
            share if share > 1.0 => (0.75, "the addresses of all lanes were seen; caches served a part of the sectors that is not known"),
            _ => (0.85, "the addresses of all lanes were seen, and what such accesses take was measured"),
        },
        message: format!(
            "a {} touches {touched:.1} sectors a warp where {ideal:.1} hold its bytes; at the rate measured for such accesses to {} \
             they explain {:.0} % of the kernel's time",
            worst.verb(),
            level.name(),
            share.min(1.0) * 100.0
        ),
        evidence: vec![
            Evidence::new("sectors-over-needed", touched / ideal, "1", "intra-kernel").against(SPREAD),
            Evidence::new("sectors-a-warp", touched, "1", "intra-kernel").against(ideal),
            Evidence::new("unused-bytes", bytes, "B", "intra-kernel"),
            Evidence::new("scattered-time-share", share, "1", "peaks").against(SHARE),
        ],
        place: worst.place.clone().or_else(|| kernel.place.clone()),
        kernel: Some(kernel.kernel.clone()),
        speedup: Limits { floor_ns: limits.floor_ns.max(left_ns), ..*limits }.speedup_without(saved_ns),
        model: "time / time with the sectors needed, streamed; at most time / time of the roofline floor and of all other sectors",
    }
    .on(subject)
}

/// Where lanes find the lines that they come back to.
#[derive(Clone, Copy)]
enum Level {
    L2,
    Dram,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::L2 => "the L2 cache",
            Self::Dram => "device memory",
        }
    }

    /// Time, in ns, of all that `spread` accesses touch.
    fn touched_ns(self, peaks: &DevicePeaks, spread: &[&AccessTable]) -> f64 {
        let rates = rates(peaks);
        let rate = |row: &AccessTable| match (self, row.kind) {
            (Self::L2, AccessKind::Load) => rates.l2_loads_per_s,
            (Self::L2, _) => rates.l2_stores_per_s,
            (Self::Dram, AccessKind::Load) => rates.dram_loads_per_s,
            (Self::Dram, _) => rates.dram_stores_per_s,
        };
        spread.iter().map(|row| 1e9 * row.parts as f64 / rate(row)).sum()
    }
}

/// The measured rates. Peaks of earlier versions have none: then a sector takes what it does where all of it is used, which is the
/// least that it can take.
fn rates(peaks: &DevicePeaks) -> Scattered {
    let (l2, dram) = (peaks.l2_read_bytes_per_s / SECTOR_BYTES as f64, peaks.dram_copy_bytes_per_s / FETCHED_BYTES);
    peaks.scattered.unwrap_or(Scattered {
        l2_loads_per_s: l2,
        l2_stores_per_s: l2,
        dram_loads_per_s: dram,
        dram_stores_per_s: dram,
    })
}

/// Whether the L2 cache holds the lines that all resident warps are at: of each buffer those of its most spread access, since
/// accesses to neighbours and copies of an unrolled one share theirs.
fn is_remembered(kernel: &KernelTable, peaks: &DevicePeaks, spread: &[&AccessTable]) -> bool {
    let Some(occupancy) = &kernel.occupancy else { return true };
    let warps = occupancy.resident * f64::from(occupancy.max_warps * peaks.facts.sm_count);
    let mut lines: BTreeMap<&Buffer, f64> = BTreeMap::new();
    for row in spread {
        let most = lines.entry(&row.buffer).or_default();
        *most = most.max(row.parts as f64 / row.executions.max(1) as f64);
    }
    let at_once: f64 = lines.values().sum();
    warps * at_once * LINE_BYTES <= peaks.facts.l2_bytes as f64
}

fn is_spread(row: &AccessTable) -> bool {
    row.is_global() && !row.atomic && row.parts as f64 >= SPREAD * row.ideal_parts as f64
}

fn beyond(row: &AccessTable) -> u64 {
    row.parts.saturating_sub(row.ideal_parts)
}
