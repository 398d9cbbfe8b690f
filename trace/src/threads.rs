//! What each thread did in each parallel region.

use crate::regions::{ProbeCost, ancestors, corrected, intervals_of};
use crate::sites::{Place, ProbeSite, SiteKind, SiteTable};
use crate::tables::Trace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A function that threads ran side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParallelRegion {
    /// Symbol of the function.
    pub name: String,
    /// Line that starts the threads.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Launches the times cover.
    pub launches: u32,
    /// Every thread that took part, in unit order.
    pub threads: Vec<ThreadShare>,
}

/// What one thread did in a parallel region, over all launches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadShare {
    /// Execution unit.
    pub unit: u32,
    /// Core it began on.
    pub core: u32,
    /// Times it ran the region.
    pub runs: u64,
    /// Time it worked, in ns.
    pub busy_ns: f64,
    /// Time it waited inside the region for others, in ns.
    pub wait_ns: f64,
}

impl ParallelRegion {
    /// Working time of the thread that worked longest, per launch, in ns.
    pub fn longest_ns(&self) -> f64 {
        self.threads.iter().map(|thread| thread.busy_ns).fold(0.0, f64::max) / self.per_launch()
    }

    /// Mean working time of a thread, per launch, in ns.
    pub fn mean_ns(&self) -> f64 {
        let all: f64 = self.threads.iter().map(|thread| thread.busy_ns).sum();
        all / self.threads.len().max(1) as f64 / self.per_launch()
    }

    /// Waiting of all threads inside the region, per launch, in ns.
    pub fn wait_ns(&self) -> f64 {
        // An empty sum is negative zero.
        self.threads.iter().map(|thread| thread.wait_ns).fold(0.0, |sum, ns| sum + ns) / self.per_launch()
    }

    fn per_launch(&self) -> f64 {
        f64::from(self.launches.max(1))
    }
}

/// Every parallel region that ran, in site order, the cost of the probes taken off.
pub fn parallel_regions(trace: &Trace, sites: &SiteTable, cost: ProbeCost) -> Vec<ParallelRegion> {
    let parallel = sites.sites.iter().filter(|site| site.kind == SiteKind::Parallel);
    let mut regions: Vec<(&ProbeSite, ParallelRegion)> = parallel
        .map(|site| {
            let (name, place) = (site.name.clone(), site.place.clone());
            (site, ParallelRegion { name, place, launches: trace.launches, threads: Vec::new() })
        })
        .collect();
    if regions.is_empty() {
        return Vec::new();
    }
    for unit in &trace.units {
        let intervals = corrected(intervals_of(trace, Some(unit.id)), sites, &|_| cost);
        for (site, region) in &mut regions {
            let Some(share) = intervals.get(&site.id) else { continue };
            let waits = intervals.iter().filter(|(id, _)| is_wait_in(sites, **id, site.id));
            let wait_ns: f64 = waits.map(|(_, interval)| interval.ns).sum();
            let busy_ns = (share.ns - wait_ns).max(0.0);
            let (unit, core, runs) = (unit.id, unit.core, share.calls);
            region.threads.push(ThreadShare { unit, core, runs, busy_ns, wait_ns });
        }
    }
    regions.into_iter().map(|(_, region)| region).filter(|region| !region.threads.is_empty()).collect()
}

fn is_wait_in(sites: &SiteTable, wait: u32, region: u32) -> bool {
    let is_wait = sites.sites.get(wait as usize).is_some_and(|site| site.kind == SiteKind::Wait);
    is_wait && ancestors(sites, wait).any(|site| site.id == region)
}
