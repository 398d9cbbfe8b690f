//! Warps wait for memory or for each other's results, and no part of the GPU is busy.
//!
//! ## What it means
//! Nothing that was measured explains the time as a rate: neither device memory, nor the L2 cache, nor shared memory, nor
//! arithmetic. Each warp waits for what it asked for last, and there are too few others, or too little independent work in
//! each, to fill the wait.
//!
//! ## Evidence
//! The nearest limit's part of the time; the time that one trip of the kernel's main loop takes against the latency of device memory;
//! loads in a loop whose address was itself loaded there.
//!
//! ## When it fires
//! No limit explains 40 % of the time, the kernel takes at least half of it, and its warps spend less than 30 % at barriers and in asynchronous waits. Sure of it where
//! a load's address comes from the load before, less sure where a trip of the main loop takes half the latency of device
//! memory or more, and by exclusion otherwise; then it leaves kernels with few resident warps to `occupancy-limited`.
//!
//! ## Potential
//! Time over the time at which the nearest limit is reached; at most 4, because how much of a latency can be hidden is not
//! known.
//!
//! ## What to try
//! Loads for the next trip before the arithmetic of this one, several elements a thread, unrolling, asynchronous copies into
//! shared memory; for a chain of loads, several chains at once.

use super::{Need, Tables, Target};
use crate::device::{AccessTable, Finding, KernelTable, Subject, TimedShare};
use crate::diagnosis::{Class, Diagnosis, Evidence};
use crate::sites::{AccessKind, AddressSource, Buffer, SiteKind};

/// Stable code.
pub const CODE: &str = "KI0106";
/// Limits rest on counted work.
pub const NEEDS: &[Need] = &[Need::Kernels, Need::Peaks, Need::Work];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "latency-bound";
/// A limit that explains this part of the time or more is what to look at first.
const LIMIT: f64 = 0.4;
/// Part of the time that the kernel must take.
const KERNEL: f64 = 0.5;
/// Waits of warps for each other that explain the time by themselves.
const WAITS: f64 = 0.3;
/// Trip of a loop over the latency of device memory from which on each trip waits for a load.
const TRIP: f64 = 0.5;
/// Part of the warps that an SM holds from which on more of them seldom help.
pub(super) const ENOUGH_WARPS: f64 = 0.5;
/// The most that hiding latency is taken to gain.
const MOST: f64 = 4.0;

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let limits = &subject.limits;
    let (nearest, share) = limits.nearest();
    let waits: f64 = kernel.sites.iter().flatten().filter(|site| is_wait(site)).map(|site| site.own_share).sum();
    if share >= LIMIT || subject.kernel_ns(kernel) < KERNEL * limits.time_ns || waits >= WAITS {
        return None;
    }
    let chased = chased(kernel);
    let (trip_ns, main_loop) = main_loop(kernel).unzip();
    let latency = subject.peaks?.dram_latency_ns;
    let trip = trip_ns.map(|ns: f64| ns / latency).filter(|trip| trip.is_finite());
    let confidence = match (chased, trip) {
        (Some(_), _) => (0.8, "each load's address comes from the load before it"),
        (None, Some(trip)) if trip >= TRIP => (0.6, "a trip of the main loop takes about as long as a load from memory"),
        _ => (0.4, "by exclusion: no limit that was measured explains the time"),
    };
    let few = kernel.occupancy.is_some_and(|occupancy| occupancy.resident < ENOUGH_WARPS);
    if few && chased.is_none() {
        return None;
    }
    let mut evidence = vec![Evidence::new("nearest-limit-share", share, "1", "peaks").against(LIMIT)];
    evidence.extend(trip.map(|trip| Evidence::new("trip-over-memory-latency", trip, "1", "intra-kernel").against(TRIP)));
    evidence.extend(kernel.occupancy.map(|occupancy| Evidence::new("resident-warps", occupancy.resident, "1", "performance")));
    let place = chased.and_then(|row| row.place.clone()).or_else(|| main_loop.and_then(|site| site.place.clone()));
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Memory,
        confidence,
        message: format!(
            "no limit explains the time, {nearest} comes nearest with {:.0} %{}",
            share * 100.0,
            if chased.is_some() { "; a load in a loop takes its address from the load before" } else { "" }
        ),
        evidence,
        place: place.or_else(|| kernel.place.clone()),
        kernel: Some(kernel.kernel.clone()),
        speedup: limits.headroom().min(1.0 / share).min(MOST),
        model: "time / time at which the nearest limit is reached, at most 4",
    }
    .on(subject)
}

fn is_wait(site: &TimedShare) -> bool {
    matches!(site.kind, SiteKind::Barrier | SiteKind::AsyncWait)
}

/// The load in a loop, outside of shared memory, that runs most often of those which follow a chain.
fn chased(kernel: &KernelTable) -> Option<&AccessTable> {
    let loads = kernel.accesses.iter().flatten().filter(|row| row.kind == AccessKind::Load && row.loop_depth > 0);
    let chained = loads.filter(|row| row.address == AddressSource::Chased && row.buffer != Buffer::Shared);
    chained.max_by_key(|row| row.executions)
}

/// The loop with the most time of its own, and the time of one of its trips in a warp, in ns.
fn main_loop(kernel: &KernelTable) -> Option<(f64, &TimedShare)> {
    let site = kernel.sites.iter().flatten().find(|site| site.kind == SiteKind::Loop && site.own_share >= KERNEL)?;
    let trips = site.trips.filter(|trips| *trips > 0)?;
    Some((site.ns_per_entry * site.entries as f64 / trips as f64, site))
}
