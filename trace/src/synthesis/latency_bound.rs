//! Warps wait for memory or for each other's results, and no part of the GPU is busy.
//!
//! ## What it means
//! Nothing that was measured explains the time as a rate: neither device memory, nor the L2 cache, nor shared memory, nor
//! arithmetic. Each warp waits for what it asked for last, and there are too few others, or too little independent work in
//! each, to fill the wait.
//!
//! ## Evidence
//! The nearest limit's part of the time; the time that one trip of the kernel's main loop takes against the latency of device memory;
//! how long a warp lasts against all of its loads one after the other; loads in a loop whose address was itself loaded there, or far more loads of a
//! buffer at addresses that were loaded than others could have given, which is such a loop unrolled.
//!
//! ## When it fires
//! No limit explains 40 % of the time, or 75 % where a load's address comes from the load before; the kernel takes at least half of
//! the time, and its warps spend less than 30 % at barriers and in asynchronous waits. It is silent where a warp lasts
//! more than 3 times as long as all of its loads would one after the other at the latency of idle memory: then they stand in a queue,
//! and what fills it is the cause. Sure of it where loads follow a chain, less sure where a trip of the main loop takes half
//! the latency of device memory or more, and by exclusion otherwise; but for chains it leaves kernels of which at most half the warps are
//! resident to `occupancy-limited`.
//!
//! ## Potential
//! Time over time without three quarters of the part of a warp's time that its loads take one after the other; at most time over the
//! time at which the nearest limit is reached.
//!
//! ## What to try
//! Loads for the next trip before the arithmetic of this one, several elements a thread, unrolling, asynchronous copies into
//! shared memory; for a chain of loads, several chains at once.

use super::{Need, Tables, Target, at_roofline};
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
/// The same where loads follow a chain: bandwidth that they nearly reach is no reason to look elsewhere first.
const LIMIT_OF_CHAINS: f64 = at_roofline::FRACTION;
/// A warp's time over that of its loads one after the other from which on they stand in a queue: memory under load answers in two
/// to three times the latency that a single chain of loads sees.
const QUEUED: f64 = 3.0;
/// Loads of one buffer at loaded addresses over loads at others from which on they follow each other.
const CHAIN: u64 = 4;
/// Part of the waits that is taken to be hidden at best.
const HIDDEN: f64 = 0.75;

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let limits = &subject.limits;
    let (nearest, share) = limits.nearest();
    let waits: f64 = kernel.sites.iter().flatten().filter(|site| is_wait(site)).map(|site| site.own_share).sum();
    let chased = chased(kernel).or_else(|| unrolled_chain(kernel));
    let limit = if chased.is_some() { LIMIT_OF_CHAINS } else { LIMIT };
    if share >= limit || subject.kernel_ns(kernel) < KERNEL * limits.time_ns || waits >= WAITS {
        return None;
    }
    let latency = subject.peaks?.dram_latency_ns;
    let lasts = lasts(kernel, latency);
    let few = kernel.occupancy.is_some_and(|occupancy| occupancy.resident <= ENOUGH_WARPS);
    if lasts.is_some_and(|lasts| lasts > QUEUED) || (few && chased.is_none()) {
        return None;
    }
    let (trip_ns, main_loop) = main_loop(kernel).unzip();
    let trip = trip_ns.map(|ns: f64| ns / latency).filter(|trip| trip.is_finite());
    let confidence = match (chased, trip) {
        (Some(row), _) if row.address == AddressSource::Chased => (0.8, "each load's address comes from the load before it"),
        (Some(_), _) => (0.7, "far more addresses are loaded than other loads could have given: they come from each other"),
        (None, Some(trip)) if trip >= TRIP => (0.6, "a trip of the main loop takes about as long as a load from memory"),
        _ => (0.4, "by exclusion: no limit that was measured explains the time"),
    };
    let mut evidence = vec![Evidence::new("nearest-limit-share", share, "1", "peaks").against(limit)];
    evidence.extend(trip.map(|trip| Evidence::new("trip-over-memory-latency", trip, "1", "intra-kernel").against(TRIP)));
    evidence.extend(lasts.map(|lasts| Evidence::new("warp-over-its-loads", lasts, "1", "intra-kernel").against(QUEUED)));
    evidence.extend(kernel.occupancy.map(|occupancy| Evidence::new("resident-warps", occupancy.resident, "1", "performance")));
    let place = chased.and_then(|row| row.place.clone()).or_else(|| main_loop.and_then(|site| site.place.clone()));
    let waiting = lasts.map_or(1.0, |lasts| 1.0 / lasts.max(1.0));
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Memory,
        confidence,
        message: format!(
            "no limit explains the time, {nearest} comes nearest with {:.0} %{}",
            share * 100.0,
            if chased.is_some() { "; loads take their addresses from the load before" } else { "" }
        ),
        evidence,
        place: place.or_else(|| kernel.place.clone()),
        kernel: Some(kernel.kernel.clone()),
        speedup: limits.headroom().min(1.0 / share).min(1.0 / (1.0 - HIDDEN * waiting)),
        model: "time / time without three quarters of the waits for loads, at most time / time at which the nearest limit is reached",
    }
    .on(subject)
}

/// Time of a warp over that of all its loads one after the other; `None` if single accesses or the times of blocks are
/// not known, or it loads nothing.
fn lasts(kernel: &KernelTable, latency: f64) -> Option<f64> {
    let timeline = kernel.timeline.as_ref()?;
    let outside = kernel.accesses.as_ref()?.iter().filter(|row| row.kind == AccessKind::Load && row.is_global());
    let loads: u64 = outside.map(|row| row.executions).sum();
    let each = loads as f64 / kernel.warps() * latency;
    (each > 0.0 && timeline.mean_ns > 0.0).then(|| timeline.mean_ns / each)
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

/// Of a chain that was unrolled its most frequent load. A load whose address was loaded needs one that gave it; of a buffer that is read at
/// loaded addresses far more often than anything is at others, most addresses come from such loads themselves.
fn unrolled_chain(kernel: &KernelTable) -> Option<&AccessTable> {
    let outside = || kernel.accesses.iter().flatten().filter(|row| row.kind == AccessKind::Load && row.is_global());
    let runs = |of: &dyn Fn(&AccessTable) -> bool| outside().filter(|row| of(row)).map(|row| row.executions).sum::<u64>();
    let begun = runs(&|row| row.address != AddressSource::Loaded);
    let follow = |buffer: &Buffer| runs(&|row| row.address == AddressSource::Loaded && row.buffer == *buffer);
    let chains = outside().filter(|row| row.address == AddressSource::Loaded);
    chains.filter(|row| follow(&row.buffer) >= CHAIN * begun.max(1)).max_by_key(|row| row.executions)
}

/// The loop with the most time of its own, and the time of one of its trips in a warp, in ns.
fn main_loop(kernel: &KernelTable) -> Option<(f64, &TimedShare)> {
    let site = kernel.sites.iter().flatten().find(|site| site.kind == SiteKind::Loop && site.own_share >= KERNEL)?;
    let trips = site.trips.filter(|trips| *trips > 0)?;
    Some((site.ns_per_entry * site.entries as f64 / trips as f64, site))
}
