//! Own time, probe cost and shares of nested regions and loops.

#![allow(clippy::expect_used, missing_docs, reason = "tests")]

use kinstr_trace::regions::{ProbeCost, TimedSites, timed_sites};
use kinstr_trace::sites::{ProbeSite, SiteKind, SiteTable};
use kinstr_trace::tables::{AggregateRow, Clock, CountRow, Trace, Unit};
use kinstr_trace::threads::parallel_regions;

/// Ids 0 and 1 are regions, 1 within 0; 2 is a loop within 1 and 3 one within 2.
fn sites() -> SiteTable {
    let site = |id: u32| ProbeSite {
        id,
        probe: "region-time".to_owned(),
        kind: if id < 2 { SiteKind::Region } else { SiteKind::Loop },
        name: format!("site {id}"),
        function: "f".to_owned(),
        place: None,
        loop_depth: id.saturating_sub(1),
        parent: id.checked_sub(1),
        counts_trips: false,
        lines: vec![],
        words: 0,
    };
    SiteTable { sites: (0..4).map(site).collect(), ..SiteTable::default() }
}

/// One launch at a tick a nanosecond; each site with its runs and ticks in all.
fn trace(rows: [(u64, u64); 4]) -> Trace {
    let aggregate = |(site, (count, sum)): (usize, &(u64, u64))| AggregateRow {
        unit: 0,
        site: site as u32,
        count: *count,
        sum: *sum,
        min: 0,
        max: *sum,
    };
    Trace {
        launches: 1,
        clock: Clock { begin_ticks: 0, end_ticks: 1000, begin_ns: 0, end_ns: 1000 },
        aggregates: rows.iter().enumerate().map(aggregate).collect(),
        counts: vec![CountRow { unit: 0, site: 3, count: 400 }],
        ..Trace::default()
    }
}

fn near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9, "{value} instead of {expected}");
}

fn find<'t>(timed: &'t TimedSites, name: &str) -> (&'t f64, &'t f64, &'t f64) {
    let region = timed.regions.iter().find(|row| row.name == name);
    let natural = timed.loops.iter().find(|row| row.name == name);
    let region = region.map(|row| (&row.ns_total, &row.ns_self, &row.share));
    region.or(natural.map(|row| (&row.ns_total, &row.ns_self, &row.share))).expect("a site that ran")
}

#[test]
fn probes_within_are_taken_off_all_that_is_around_them() {
    // Without probes: 600 in site 3 (10 runs), 700 in 2, 800 in 1, 1000 in 0. Inside a probe 3 ticks, around it 5.
    let cost = ProbeCost { inside: 3.0, around: 5.0 };
    let rows = [(1, 1000 + 3 + 12 * 5), (1, 800 + 3 + 11 * 5), (1, 700 + 3 + 10 * 5), (10, 600 + 30)];
    let timed = timed_sites(&trace(rows), &sites(), cost, 1250.0);
    for (name, total, own) in [
        ("site 0", 1000.0, 200.0),
        ("site 1", 800.0, 800.0),
        ("site 2", 700.0, 100.0),
        ("site 3", 600.0, 600.0),
    ] {
        let (found, found_own, share) = find(&timed, name);
        near(*found, total);
        near(*found_own, own);
        near(*share, own / 1250.0);
    }
    let inner = &timed.loops[0];
    assert_eq!((inner.name.as_str(), inner.entries, inner.trips), ("site 3", 10, 400));
    near(inner.ns_per_trip, 1.5);
}

#[test]
fn shares_never_sum_past_the_whole() {
    let timed =
        timed_sites(&trace([(1, 1000), (1, 800), (1, 700), (10, 600)]), &sites(), ProbeCost::default(), 10.0);
    near(timed.regions.iter().map(|row| row.share).sum(), 1.0);
    near(timed.loops.iter().map(|row| row.share).sum(), 1.0);
}

#[test]
fn threads_show_what_they_work_and_what_they_wait() {
    let mut sites = sites();
    sites.sites[2].kind = SiteKind::Parallel;
    sites.sites[3].kind = SiteKind::Wait;
    let mut trace = trace([(1, 1000), (1, 800), (2, 700), (2, 300)]);
    let unit = |id| Unit { id, core: 10 + id, ..Unit::default() };
    trace.units = vec![unit(0), unit(1)];
    trace.aggregates.push(AggregateRow { unit: 1, site: 2, count: 2, sum: 600, min: 0, max: 600 });
    let found = parallel_regions(&trace, &sites, ProbeCost { inside: 10.0, around: 20.0 });
    assert_eq!(found.len(), 1);
    let threads: Vec<_> =
        found[0].threads.iter().map(|t| (t.unit, t.core, t.runs, t.busy_ns, t.wait_ns)).collect();
    // The first: 700 less its own two probes and those of two waits, of which 280 were waiting.
    assert_eq!(threads, [(0, 10, 2, 360.0, 280.0), (1, 11, 2, 580.0, 0.0)]);
    near(found[0].longest_ns(), 580.0);
    near(found[0].mean_ns(), 470.0);
}

#[test]
fn a_circle_of_parents_ends() {
    let mut sites = sites();
    sites.sites[0].parent = Some(3);
    let timed = timed_sites(&trace([(1, 10), (1, 10), (1, 10), (1, 10)]), &sites, ProbeCost::default(), 10.0);
    assert_eq!((timed.regions.len(), timed.loops.len()), (2, 2));
}
