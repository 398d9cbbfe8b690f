//! Which timing sites tell most for what they cost.

use crate::jobs::event::LeftOut;
use kinstr_trace::{
    regions::{ProbeCost, own_times},
    sites::{Choice, ProbeSite, SiteKeys, SiteKind, SiteTable},
    tables::Trace,
};
use std::collections::BTreeMap;

/// What a site without time of its own is still worth, so that cheap ones around others stay: a part of the launch.
const WORTH_KNOWING: f64 = 1e-3;

/// What the sites cost and tell on one workload, by site id; in parts of a clean launch.
#[derive(Debug, Clone, Default)]
pub struct Pilot {
    entries: BTreeMap<u32, u64>,
    cost: BTreeMap<u32, f64>,
    own_time: BTreeMap<u32, f64>,
}

impl Pilot {
    /// What `trace` says, of a launch that takes `clean_ns` without probes.
    pub fn of(trace: &Trace, sites: &SiteTable, cost: &dyn Fn(SiteKind) -> ProbeCost, clean_ns: f64) -> Self {
        let cost_of =
            |id: u32| sites.sites.get(id as usize).map_or_else(ProbeCost::default, |site| cost(site.kind));
        let mut pilot = Self::default();
        for row in &trace.aggregates {
            *pilot.entries.entry(row.site).or_default() += row.count;
            let tick_ns = trace.unit_ns_per_tick(row.unit).unwrap_or_default();
            *pilot.cost.entry(row.site).or_default() +=
                row.count as f64 * cost_of(row.site).around * tick_ns / clean_ns;
        }
        for row in trace.counts.iter().filter(|row| is_counted(sites, row.site)) {
            let tick_ns = trace.unit_ns_per_tick(row.unit).unwrap_or_default();
            *pilot.cost.entry(row.site).or_default() += row.count as f64 * tick_ns / clean_ns;
        }
        let own = own_times(trace, sites, cost).into_iter();
        pilot.own_time = own.map(|(site, ns)| (site, ns / clean_ns)).collect();
        pilot
    }

    /// The same with costs that are `measured` of a launch together. On a device warps run side by side, and what a probe
    /// costs one of them says nothing of the launch; what it costs beside other probes it does.
    pub fn scaled_to(mut self, measured: f64) -> Self {
        let all: f64 = self.cost.values().sum();
        if all > 0.0 {
            self.cost.values_mut().for_each(|cost| *cost *= measured / all);
        }
        self
    }

    /// The same, when the sites of `kept` have turned out to cost `measured` of a launch together: each costs more by
    /// the same factor, for which of them it is that costs more cannot be told.
    pub fn corrected(mut self, sites: &SiteTable, kept: &Choice, measured: f64) -> Self {
        let keys = SiteKeys::of(sites);
        let is_kept = |site: &u32| keys.get(*site as usize).is_some_and(|key| kept.0.contains(key));
        let expected: f64 = self.cost.iter().filter(|(site, _)| is_kept(site)).map(|(_, cost)| cost).sum();
        let factor = (measured / expected).max(1.0);
        self.cost.values_mut().for_each(|cost| *cost *= factor);
        self
    }
}

/// True for a loop whose trips are counted one by one, at about a tick each.
fn is_counted(sites: &SiteTable, site: u32) -> bool {
    sites.sites.get(site as usize).is_some_and(|site| site.counts_trips)
}

/// What fits, and what does not.
pub struct Chosen {
    /// Keys of the sites that fit.
    pub kept: Choice,
    /// The others, those first that tell most for their cost.
    pub left_out: Vec<LeftOut>,
}

impl Chosen {
    /// Keeps the sites of whole kernels whatever they cost: without them nothing is known of blocks, and the certificate
    /// says what they cost.
    pub fn with_kernels(mut self, sites: &SiteTable) -> Self {
        let keys = SiteKeys::of(sites);
        let kernels = sites.sites.iter().zip(keys).filter(|(site, _)| site.kind == SiteKind::Kernel);
        for (site, key) in kernels {
            self.kept.0.insert(key);
            self.left_out.retain(|left| left.name != site.name);
        }
        self
    }
}

/// Greedy: the site that tells most for its cost first, as long as no workload's budget is spent. What tells most is the
/// site with the most time of its own. Where no site that ever runs fits, none is kept.
pub fn choose(sites: &SiteTable, pilots: &[Pilot], budget: f64) -> Chosen {
    let order = by_worth(sites, pilots);
    let mut spent: Vec<f64> = pilots.iter().map(|pilot| kernels_cost(sites, pilot)).collect();
    let fits = |site: &&ProbeSite| {
        if site.kind == SiteKind::Kernel {
            return true;
        }
        let costs = || pilots.iter().map(|pilot| get(&pilot.cost, site.id));
        // Not a number is no cost that fits.
        let fits = spent.iter().zip(costs()).all(|(spent, cost)| spent + cost <= budget);
        if fits {
            spent.iter_mut().zip(costs()).for_each(|(spent, cost)| *spent += cost);
        }
        fits
    };
    let (mut kept, mut others): (Vec<&ProbeSite>, Vec<_>) = order.iter().copied().partition(fits);
    if !others.is_empty() && !kept.iter().any(|site| entries(pilots, site) > 0) {
        (kept, others) = (Vec::new(), order);
    }
    let keys = SiteKeys::of(sites);
    Chosen {
        kept: Choice(kept.iter().filter_map(|site| keys.get(site.id as usize)).cloned().collect()),
        left_out: others.into_iter().map(|site| left_out(pilots, site)).collect(),
    }
}

/// What the sites of whole kernels cost: they stay, so that it is spent before anything is chosen.
fn kernels_cost(sites: &SiteTable, pilot: &Pilot) -> f64 {
    let kernels = sites.sites.iter().filter(|site| site.kind == SiteKind::Kernel);
    kernels.map(|site| get(&pilot.cost, site.id)).sum()
}

/// All sites, those first that tell most for their cost.
fn by_worth<'s>(sites: &'s SiteTable, pilots: &[Pilot]) -> Vec<&'s ProbeSite> {
    let most = |of: fn(&Pilot) -> &BTreeMap<u32, f64>, id: u32| {
        pilots.iter().map(|pilot| get(of(pilot), id)).fold(0.0, f64::max)
    };
    let worth = |site: &ProbeSite| {
        let tells = most(|pilot| &pilot.own_time, site.id) + WORTH_KNOWING;
        tells / most(|pilot| &pilot.cost, site.id).max(f64::MIN_POSITIVE)
    };
    let mut order: Vec<&ProbeSite> = sites.sites.iter().collect();
    order.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then(a.id.cmp(&b.id)));
    order
}

fn get(map: &BTreeMap<u32, f64>, id: u32) -> f64 {
    map.get(&id).copied().unwrap_or_default()
}

/// How often a launch enters `site`, at most.
fn entries(pilots: &[Pilot], site: &ProbeSite) -> u64 {
    pilots.iter().filter_map(|pilot| pilot.entries.get(&site.id)).copied().max().unwrap_or(0)
}

fn left_out(pilots: &[Pilot], site: &ProbeSite) -> LeftOut {
    LeftOut {
        name: site.name.clone(),
        place: site.place.clone(),
        entries: entries(pilots, site),
        cost: pilots.iter().map(|pilot| get(&pilot.cost, site.id)).fold(0.0, f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(count: u32) -> SiteTable {
        let site = |id: u32| ProbeSite {
            id,
            probe: "loop-time".into(),
            kind: SiteKind::Loop,
            name: format!("f:loop{id}"),
            function: "f".into(),
            place: None,
            loop_depth: 1,
            words: 0,
            parent: None,
            counts_trips: false,
            lines: vec![],
        };
        SiteTable { sites: (0..count).map(site).collect(), ..SiteTable::default() }
    }

    fn pilot(rows: &[(f64, f64)]) -> Pilot {
        let by_id = |of: fn(&(f64, f64)) -> f64| (0..).zip(rows.iter().map(of)).collect();
        Pilot {
            entries: (0..).zip(rows.iter().map(|_| 1)).collect(),
            cost: by_id(|row| row.0),
            own_time: by_id(|row| row.1),
        }
    }

    fn left_out(pilots: &[Pilot], budget: f64) -> Vec<String> {
        choose(&sites(3), pilots, budget).left_out.into_iter().map(|site| site.name).collect()
    }

    #[test]
    fn what_tells_most_for_its_cost_is_kept_within_the_budget() {
        // The outer loop costs nothing, the inner one all there is; the middle one fits beside the outer one.
        let rows = [(0.0001, 0.01), (0.02, 0.3), (0.3, 0.7)];
        assert_eq!(left_out(&[pilot(&rows)], 0.03), ["f:loop2"]);
        assert!(left_out(&[pilot(&rows)], 1.0).is_empty());
        assert_eq!(left_out(&[pilot(&rows)], 0.0).len(), 3);
    }

    #[test]
    fn every_workload_has_the_budget_to_itself() {
        let cheap = pilot(&[(0.01, 0.5), (0.01, 0.5), (0.0, 0.0)]);
        let dear = pilot(&[(0.02, 0.5), (0.04, 0.5), (0.0, 0.0)]);
        assert!(left_out(std::slice::from_ref(&cheap), 0.03).is_empty());
        assert_eq!(left_out(&[cheap, dear], 0.03), ["f:loop1"]);
    }

    #[test]
    fn what_costs_more_than_expected_is_chosen_again_with_its_real_cost() {
        let pilot = pilot(&[(0.001, 0.1), (0.01, 0.5), (0.3, 0.4)]);
        let sites = sites(3);
        let kept = choose(&sites, std::slice::from_ref(&pilot), 0.03).kept;
        assert_eq!(kept.0.len(), 2);
        // Both together were expected to cost 1.1 %.
        let dearer = pilot.clone().corrected(&sites, &kept, 0.11);
        assert_eq!(left_out(std::slice::from_ref(&dearer), 0.03), ["f:loop1", "f:loop2"]);
        let cheaper = pilot.corrected(&sites, &kept, 0.002);
        assert_eq!(left_out(&[cheaper], 0.03), ["f:loop2"]);
    }

    #[test]
    fn sites_that_never_run_are_not_kept_alone() {
        let mut pilot = pilot(&[(0.0, 0.0), (0.2, 0.5), (0.3, 0.5)]);
        pilot.entries.remove(&0);
        assert_eq!(left_out(std::slice::from_ref(&pilot), 0.03), ["f:loop0", "f:loop1", "f:loop2"]);
        assert_eq!(left_out(&[pilot], 0.25), ["f:loop2"]);
    }

    #[test]
    fn sites_of_whole_kernels_are_kept_whatever_they_cost() {
        let mut sites = sites(3);
        sites.sites[1].kind = SiteKind::Kernel;
        let dear = pilot(&[(0.2, 0.5), (0.2, 0.5), (0.3, 0.7)]);
        let chosen = choose(&sites, &[dear], 0.03).with_kernels(&sites);
        let left: Vec<_> = chosen.left_out.iter().map(|site| site.name.as_str()).collect();
        assert_eq!((chosen.kept.0.len(), left.len(), left.contains(&"f:loop1")), (1, 2, false));
    }

    #[test]
    fn what_whole_kernels_cost_is_spent() {
        let mut sites = sites(3);
        sites.sites[1].kind = SiteKind::Kernel;
        let kept =
            |kernel| choose(&sites, &[pilot(&[(0.01, 0.5), (kernel, 0.5), (0.02, 0.5)])], 0.03).kept.0.len();
        assert_eq!([0.0, 0.02, 0.04].map(kept), [3, 2, 1]);
    }

    #[test]
    fn costs_are_scaled_to_what_all_sites_cost_together() {
        let scaled = pilot(&[(1.0, 0.5), (3.0, 0.5), (0.0, 0.0)]).scaled_to(0.04);
        assert_eq!((scaled.cost[&0], scaled.cost[&1]), (0.01, 0.03));
    }

    #[test]
    fn a_cost_that_is_no_number_does_not_fit() {
        assert_eq!(left_out(&[pilot(&[(f64::NAN, 0.5), (0.0, 0.0), (0.0, 0.0)])], 0.03), ["f:loop0"]);
    }
}
