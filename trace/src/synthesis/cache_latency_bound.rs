//! Loads jump about in more data than the near caches hold, and the kernel waits for each line.
//!
//! ## What it means
//! The addresses of a load come in no order that a prefetcher foresees: they are indices that were loaded, a linked list, a
//! hash. Most of them miss, and the core waits the full latency of the level that has the line; it can wait for about
//! ten lines at once, and for one only where each address depends on the load before.
//!
//! ## Evidence
//! Distances between consecutive addresses, what the address is computed from, lines missed at each cache by the sampled
//! times between touches, measured latency of the level they come from.
//!
//! ## When it fires
//! A load moves by more than a cache line and not by the distance before, it misses, and the misses cost so much that
//! lines in order would gain 10 %.
//!
//! ## Potential
//! Time over time with the same bytes streamed in order from the same level (for a chain: with ten chains at once). The time
//! is shared out over misses and arithmetic in proportion to what they cost at measured latencies, bandwidths and rates,
//! misses to at most four times that. At most time over roofline floor.
//!
//! ## What to try
//! Sort or bin the indices so that neighbours are used together; prefetch some iterations ahead; go over several
//! rows or chains at once; make the table smaller (a narrower type, hot entries apart) until it fits a nearer cache.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::{MISSES_AT_ONCE, Peaks};
use crate::roofline::{RooflinePoint, issue_seconds};
use crate::sites::{AccessKind, AddressSource};
use crate::traffic::{RowTraffic, line_use, time_share, traffic};

/// Stable code.
pub const CODE: &str = "KI0011";
/// Peaks and observed accesses.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Accesses];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "cache-latency-bound";
/// Least estimated gain.
const GAIN: f64 = 1.1;
/// Part of the loads that must miss the nearest cache: below, latency is hidden by the others.
const MISSING: f64 = 0.05;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let point = RooflinePoint::of(workload, peaks)?;
    let time = workload.seconds()?;
    let launches = f64::from(workload.accesses.as_ref()?.launches.max(1));
    let all = traffic(workload, peaks);
    let jumping: Vec<&RowTraffic<'_>> = all.iter().filter(|row| jumps(row, launches)).collect();
    let worst = *jumping.iter().max_by(|a, b| a.seconds().total_cmp(&b.seconds()))?;
    let seconds: f64 = jumping.iter().map(|row| row.seconds()).sum();
    let needed: f64 = jumping.iter().map(|row| in_order(row, &all)).sum();
    let modelled: f64 = all.iter().map(RowTraffic::seconds).sum();
    let share = time_share(seconds, modelled, issue_seconds(workload, peaks), time);
    let gained = 1.0 - (needed / seconds.max(f64::MIN_POSITIVE)).min(1.0);
    let saved = (share * gained).min(1.0 - point.fraction.min(1.0));
    let speedup = 1.0 / (1.0 - saved);
    if speedup < GAIN {
        return None;
    }
    let (value, why, source) = match worst.row.address {
        AddressSource::Chased => (0.9, "each address depends on the load before", "waits for its own last result"),
        AddressSource::Loaded => (0.85, "the addresses are loaded themselves", "goes where loaded indices say"),
        AddressSource::Computed => (0.6, "the addresses are computed, but in no constant step", "jumps"),
    };
    let level = peaks.levels.get(worst.level);
    let place = worst.row.place.clone();
    let region = place.as_ref().and_then(|place| workload.region_at(place));
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Memory,
        severity: Severity::of(speedup),
        confidence: workload.confidence(value, why),
        message: format!(
            "a load {source} and misses L1 {:.0} times a launch, {:.0} % of the time it runs; most wait for {}, \
             {:.0} ns away",
            worst.missed_lines,
            100.0 * worst.missed_lines * launches / worst.row.executions.max(1) as f64,
            level.map_or("memory", |level| &level.name),
            level.map_or(0.0, |level| level.latency_ns),
        ),
        evidence: vec![
            Evidence::new("missed-lines", worst.missed_lines, "lines", "intra-kernel"),
            Evidence::new(
                "irregular-moves",
                worst.row.irregular() as f64 / worst.row.strides.total().max(1) as f64,
                "1",
                "intra-kernel",
            ),
            Evidence::new("latency", level.map_or(0.0, |level| level.latency_ns), "ns", "peaks"),
            Evidence::new("miss-time-share", share, "1", "peaks").against(1.0 - 1.0 / GAIN),
        ],
        region: region.map(|region| region.name.clone()),
        place,
        potential: Potential {
            speedup,
            model: "time / time with the same bytes in order, misses at measured latency and bandwidth, at most \
                    time / roofline floor"
                .to_owned(),
        },
        workload: workload.index,
    })
}

fn jumps(traffic: &RowTraffic<'_>, launches: f64) -> bool {
    let executions = traffic.row.executions as f64 / launches;
    traffic.row.kind == AccessKind::Load
        && traffic.is_irregular()
        && traffic.missed_lines > MISSING * executions
}

/// Seconds of the same bytes in order, or of as many chains as the core can wait for.
fn in_order(traffic: &RowTraffic<'_>, all: &[RowTraffic<'_>]) -> f64 {
    match traffic.row.address {
        AddressSource::Chased => traffic.chained / MISSES_AT_ONCE,
        _ => traffic.streamed * line_use(all, traffic.row),
    }
}
