//! Time by region and by loop, from aggregates or from slices, the cost of the probes taken off.

use crate::sites::{ProbeSite, SiteKind, SiteTable};
use crate::synthesis::{LoopTime, RegionTime};
use crate::tables::{Clock, Trace};
use std::collections::BTreeMap;

/// What one timing probe, begin and end together, costs in clock ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProbeCost {
    /// What the timed interval itself includes of it.
    pub inside: f64,
    /// What it adds to the time of the code around the interval, the inside included.
    pub around: f64,
}

/// Times of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TimedSites {
    /// Regions that ran, longest first.
    pub regions: Vec<RegionTime>,
    /// Loops that ran, the one with the most time of its own first.
    pub loops: Vec<LoopTime>,
}

/// Time of every region and loop that ran, without what the probes in it and within it cost.
///
/// A share is a site's own part, without regions (for a loop: loops) inside of it, of the kernel's time: `launch_ns`
/// times the launches, or all own parts together where they are more (a median launch is shorter than the mean on a
/// disturbed machine, and threads run side by side). So shares of all regions sum to at most 1, and so do those of all loops.
///
/// Empty if no usable pair of clocks tells how long a tick is; see [`Clock::ns_per_tick`].
pub fn timed_sites(trace: &Trace, sites: &SiteTable, cost: ProbeCost, launch_ns: f64) -> TimedSites {
    let intervals = corrected(intervals_of(trace, None), sites, &|_| cost);
    let kernel_ns = launch_ns * f64::from(trace.launches.max(1));
    let trips = trips(trace);
    let regions = own_parts(&intervals, sites, SiteKind::Region);
    let loops = own_parts(&intervals, sites, SiteKind::Loop);
    let whole = |parts: &[Part<'_>]| kernel_ns.max(parts.iter().map(|part| part.own_ns).sum());
    let (region_whole, loop_whole) = (whole(&regions), whole(&loops));
    let mut timed = TimedSites {
        regions: regions.iter().map(|part| part.region(trace.launches, region_whole)).collect(),
        loops: loops
            .iter()
            .map(|part| {
                part.natural_loop(
                    trace.launches,
                    loop_whole,
                    trips.get(&part.site.id).copied().unwrap_or_default(),
                )
            })
            .collect(),
    };
    timed.regions.sort_by(|a, b| b.ns_total.total_cmp(&a.ns_total));
    timed.loops.sort_by(|a, b| b.ns_self.total_cmp(&a.ns_self));
    timed
}

/// Time of each site of its own, in ns: without the sites of its kind within it, and without what probes cost.
pub fn own_times(
    trace: &Trace,
    sites: &SiteTable,
    cost: &dyn Fn(SiteKind) -> ProbeCost,
) -> BTreeMap<u32, f64> {
    let intervals = corrected(intervals_of(trace, None), sites, cost);
    let kinds = [SiteKind::Region, SiteKind::Loop].into_iter();
    kinds
        .flat_map(|kind| own_parts(&intervals, sites, kind))
        .map(|part| (part.site.id, part.own_ns))
        .collect()
}

/// Intervals of one site over all units.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Interval {
    pub(crate) calls: u64,
    pub(crate) ns: f64,
    /// The shortest one; nothing before there is one.
    shortest_ns: Option<f64>,
    /// Tick length of the units, summed over calls: one tick a call, in ns.
    tick_ns: f64,
}

impl Interval {
    fn add(&mut self, calls: u64, ticks: u64, shortest: u64, ns_per_tick: f64) {
        let shortest = shortest as f64 * ns_per_tick;
        self.shortest_ns = Some(self.shortest_ns.map_or(shortest, |known| known.min(shortest)));
        // A damaged file may claim any number.
        self.calls = self.calls.saturating_add(calls);
        self.ns += ticks as f64 * ns_per_tick;
        self.tick_ns += calls as f64 * ns_per_tick;
    }
}

/// A site's time, and what of it is its own.
struct Part<'s> {
    site: &'s ProbeSite,
    interval: Interval,
    own_ns: f64,
}

impl Part<'_> {
    fn region(&self, launches: u32, whole_ns: f64) -> RegionTime {
        let Interval { calls, ns, shortest_ns, .. } = self.interval;
        let ns_per_call = ns / calls.max(1) as f64;
        RegionTime {
            name: self.site.name.clone(),
            place: self.site.place.clone(),
            launches,
            calls,
            ns_total: ns,
            ns_self: self.own_ns,
            ns_per_call,
            ns_shortest: shortest_ns.unwrap_or(ns_per_call),
            share: share(self.own_ns, whole_ns),
        }
    }

    fn natural_loop(&self, launches: u32, whole_ns: f64, trips: u64) -> LoopTime {
        let Interval { calls, ns, .. } = self.interval;
        LoopTime {
            name: self.site.name.clone(),
            place: self.site.place.clone(),
            depth: self.site.loop_depth,
            launches,
            entries: calls,
            trips,
            ns_total: ns,
            ns_self: self.own_ns,
            ns_per_trip: ns / trips.max(1) as f64,
            share: share(self.own_ns, whole_ns),
        }
    }
}

fn share(ns: f64, whole_ns: f64) -> f64 {
    if whole_ns > 0.0 { ns / whole_ns } else { 0.0 }
}

/// Takes off every interval what its own probe adds to it, and those of all sites within it; `cost` is that of a kind of site.
pub(crate) fn corrected(
    measured: BTreeMap<u32, Interval>,
    sites: &SiteTable,
    cost: &dyn Fn(SiteKind) -> ProbeCost,
) -> BTreeMap<u32, Interval> {
    let cost_of =
        |id: u32| sites.sites.get(id as usize).map_or_else(ProbeCost::default, |site| cost(site.kind));
    let mut corrected = measured.clone();
    for (site, interval) in &mut corrected {
        interval.ns -= interval.tick_ns * cost_of(*site).inside;
    }
    for (site, inner) in &measured {
        let added = inner.tick_ns * cost_of(*site).around;
        for around in ancestors(sites, *site) {
            if let Some(around) = corrected.get_mut(&around.id) {
                around.ns -= added;
            }
        }
    }
    for (interval, measured) in corrected.values_mut().zip(measured.values()) {
        let probes_ns = (measured.ns - interval.ns) / interval.calls.max(1) as f64;
        // An interval shorter than what its probe varies by may end up below nothing.
        interval.shortest_ns = interval.shortest_ns.map(|shortest| (shortest - probes_ns).max(0.0));
        interval.ns = interval.ns.max(0.0);
    }
    corrected
}

/// The sites of one kind, each without the time of the nearest ones of its kind within it.
fn own_parts<'s>(intervals: &BTreeMap<u32, Interval>, sites: &'s SiteTable, kind: SiteKind) -> Vec<Part<'s>> {
    let of_kind = |id: &u32| sites.sites.get(*id as usize).filter(|site| site.kind == kind);
    let mut own: BTreeMap<u32, f64> = intervals.iter().map(|(id, interval)| (*id, interval.ns)).collect();
    for (id, interval) in intervals.iter().filter(|(id, _)| of_kind(id).is_some()) {
        let around = ancestors(sites, *id).find(|site| site.kind == kind);
        if let Some(around) = around.and_then(|site| own.get_mut(&site.id)) {
            *around -= interval.ns;
        }
    }
    let part = |(id, interval): (&u32, &Interval)| {
        Some(Part { site: of_kind(id)?, interval: *interval, own_ns: own.get(id)?.max(0.0) })
    };
    intervals.iter().filter_map(part).collect()
}

/// The sites around `site`, innermost first. A table may come from outside, so that a circle in it must end.
pub(crate) fn ancestors(sites: &SiteTable, site: u32) -> impl Iterator<Item = &ProbeSite> {
    let around = |id: u32| {
        let parent = sites.sites.get(id as usize)?.parent?;
        sites.sites.get(parent as usize)
    };
    std::iter::successors(around(site), move |site| around(site.id)).take(sites.sites.len())
}

fn trips(trace: &Trace) -> BTreeMap<u32, u64> {
    let mut trips: BTreeMap<u32, u64> = BTreeMap::new();
    for row in &trace.counts {
        let sum = trips.entry(row.site).or_default();
        *sum = sum.saturating_add(row.count);
    }
    trips
}
/// Intervals by site, of all units or of one.
pub(crate) fn intervals_of(trace: &Trace, only: Option<u32>) -> BTreeMap<u32, Interval> {
    // A GPU's trace has rows of 65,536 units, so that a search for each would take the longest.
    let mut by_site: Vec<Interval> = Vec::new();
    let mut add = |unit: u32, site: u32, calls: u64, ticks: u64, shortest: u64| {
        if let Some(rate) = trace.unit_ns_per_tick(unit).filter(|_| only.is_none_or(|only| only == unit)) {
            let index = site as usize;
            by_site.resize(by_site.len().max(index + 1), Interval::default());
            by_site[index].add(calls, ticks, shortest, rate);
        }
    };
    for row in &trace.aggregates {
        add(row.unit, row.site, row.count, row.sum, row.min);
    }
    for slice in &trace.slices {
        let unit = trace.tracks.get(slice.track as usize).map_or(0, |track| track.unit);
        let ticks = slice.end - slice.begin;
        add(unit, slice.site, 1, ticks, ticks);
    }
    (0..).zip(by_site).filter(|(_, interval)| interval.calls > 0).collect()
}

impl Trace {
    /// Length of a tick of `unit`: from the unit's own pair of clocks, else from the run's.
    pub fn unit_ns_per_tick(&self, unit: u32) -> Option<f64> {
        let own = self.units.get(unit as usize).and_then(|unit| unit.clock.ns_per_tick());
        own.or_else(|| self.clock.ns_per_tick())
    }
}

impl Clock {
    /// Length of a tick, or `None` if the two instants are too close to tell or run backwards.
    pub fn ns_per_tick(&self) -> Option<f64> {
        let ticks = self.end_ticks.checked_sub(self.begin_ticks)?;
        let ns = self.end_ns.checked_sub(self.begin_ns)?;
        (ticks > 0 && ns > 0).then(|| ns as f64 / ticks as f64)
    }
}
