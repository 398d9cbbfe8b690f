//! Time by region, from aggregates or from slices.

use crate::sites::{ProbeSite, SiteKind, SiteTable};
use crate::synthesis::RegionTime;
use crate::tables::{Clock, Trace};
use std::collections::BTreeMap;

/// Time of every region that ran, longest first, `probe_cost_ticks` a run of it subtracted.
///
/// `launch_ns` is the time of one launch of the timing build, which the shares relate to; where one region took
/// longer (a median launch is shorter than the mean on a disturbed machine), they relate to that. Empty if no usable pair of clocks tells how long a tick is; see [`Clock::ns_per_tick`].
pub fn region_times(
    trace: &Trace,
    sites: &SiteTable,
    probe_cost_ticks: f64,
    launch_ns: f64,
) -> Vec<RegionTime> {
    let launches = trace.launches;
    let mut rows: Vec<RegionTime> = intervals(trace)
        .into_iter()
        .filter_map(|(site, interval)| {
            let site = sites.sites.get(site as usize)?;
            let timed = site.kind == SiteKind::Region;
            timed.then(|| interval.into_row(site, probe_cost_ticks, launches))
        })
        .collect();
    // Regions may nest, so that their sum says nothing; no single one is longer than the kernel.
    let longest = rows.iter().map(|row| row.ns_total).fold(0.0, f64::max);
    let kernel_ns = longest.max(launch_ns * f64::from(launches.max(1)));
    if kernel_ns > 0.0 {
        rows.iter_mut().for_each(|row| row.share = row.ns_total / kernel_ns);
    }
    rows.sort_by(|a, b| b.ns_total.total_cmp(&a.ns_total));
    rows
}

/// Intervals of one site over all units.
#[derive(Default)]
struct Interval {
    calls: u64,
    ns: f64,
    /// Mean tick length of the units, weighted by calls.
    tick_ns: f64,
}

impl Interval {
    fn add(&mut self, calls: u64, ticks: u64, ns_per_tick: f64) {
        self.calls += calls;
        self.ns += ticks as f64 * ns_per_tick;
        self.tick_ns += calls as f64 * ns_per_tick;
    }

    fn into_row(self, site: &ProbeSite, probe_cost_ticks: f64, launches: u32) -> RegionTime {
        let ns_total = (self.ns - self.tick_ns * probe_cost_ticks).max(0.0);
        RegionTime {
            name: site.name.clone(),
            place: site.place.clone(),
            launches,
            calls: self.calls,
            ns_total,
            ns_per_call: ns_total / self.calls.max(1) as f64,
            share: 0.0,
        }
    }
}

fn intervals(trace: &Trace) -> BTreeMap<u32, Interval> {
    let mut by_site: BTreeMap<u32, Interval> = BTreeMap::new();
    for row in &trace.aggregates {
        if let Some(rate) = trace.unit_ns_per_tick(row.unit) {
            by_site.entry(row.site).or_default().add(row.count, row.sum, rate);
        }
    }
    for slice in &trace.slices {
        let unit = trace.tracks.get(slice.track as usize).map_or(0, |track| track.unit);
        if let Some(rate) = trace.unit_ns_per_tick(unit) {
            by_site.entry(slice.site).or_default().add(1, slice.end - slice.begin, rate);
        }
    }
    by_site
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

    /// Nanoseconds of the system's monotonic clock at `ticks`.
    pub fn ns_at(&self, ticks: u64) -> Option<f64> {
        let since = ticks as f64 - self.begin_ticks as f64;
        Some(self.begin_ns as f64 + since * self.ns_per_tick()?)
    }
}
