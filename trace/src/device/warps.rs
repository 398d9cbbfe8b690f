//! What part of their time the warps of a kernel are in its timed sites.

use super::build::Of;
use super::timeline::{SmClocks, warps};
use super::{DeviceRecords, TimedShare};
use crate::regions::{Interval, ProbeCost, ancestors, corrected, intervals_of};
use crate::sites::{ProbeSite, SiteKind};
use std::collections::BTreeMap;

/// The timed sites of the kernel that ran, the one with the most time of its own first. Shares are of the time of all its
/// warps that recorded, from entry to exit. `cost` is that of a kind of site.
pub(super) fn shares(
    records: &DeviceRecords,
    of: &Of,
    cost: &dyn Fn(SiteKind) -> ProbeCost,
) -> Vec<TimedShare> {
    let (trace, sites) = (records.trace, records.sites);
    let intervals = corrected(intervals_of(trace, None), sites, cost);
    let whole = warp_ns(records, of);
    let part = |ns: f64| if whole > 0.0 { (ns / whole).max(0.0) } else { 0.0 };
    let mut own: BTreeMap<u32, f64> = intervals.iter().map(|(id, interval)| (*id, interval.ns)).collect();
    for (id, interval) in &intervals {
        let around = ancestors(sites, *id).find(|site| intervals.contains_key(&site.id));
        if let Some(around) = around.and_then(|site| own.get_mut(&site.id)) {
            *around -= interval.ns;
        }
    }
    let timed = of.sites(sites).filter_map(|site| Some((site, intervals.get(&site.id)?)));
    let share = |(site, interval): (&ProbeSite, &Interval)| TimedShare {
        name: site.name.clone(),
        kind: site.kind,
        place: site.place.clone(),
        entries: interval.calls,
        trips: trips(records, site),
        ns_per_entry: interval.ns / interval.calls.max(1) as f64,
        share: part(interval.ns),
        own_share: part(own.get(&site.id).copied().unwrap_or(0.0)),
    };
    let mut shares: Vec<TimedShare> = timed.map(share).collect();
    shares.sort_by(|a, b| b.own_share.total_cmp(&a.own_share));
    shares
}

/// Time of the kernel's warps that recorded, from entry to exit, in ns; 0 if clocks do not tell.
fn warp_ns(records: &DeviceRecords, of: &Of) -> f64 {
    let warps = warps(records, of);
    let mut sum = 0.0;
    let known = SmClocks::of(warps.clone()).with_each(warps, |unit, clock| {
        sum += (unit.clock.end_ticks - unit.clock.begin_ticks) as f64 * clock.ns_per_tick;
    });
    known.map_or(0.0, |()| sum)
}

fn trips(records: &DeviceRecords, site: &ProbeSite) -> Option<u64> {
    let rows = || records.trace.counts.iter().filter(|row| row.site == site.id);
    let counted = site.kind == SiteKind::Loop && rows().next().is_some();
    counted.then(|| rows().fold(0, |sum: u64, row| sum.saturating_add(row.count)))
}
