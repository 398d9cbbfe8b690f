//! The overhead budget: which timing sites are worth what they cost, from one run with all of them.

use super::{EvalError, failure::Stop, records::run_once, session::Session};
use crate::{
    builds::{self, Builds},
    jobs::event::{Event, LeftOut},
    reference::Reference,
};
use kinstr_trace::{
    decode::decode,
    regions::{ProbeCost, own_times},
    sites::{Choice, SiteKeys, SiteTable},
    tables::Trace,
};
use std::collections::BTreeMap;

/// What a site without time of its own is still worth, so that cheap ones around others stay: a part of the launch.
const WORTH_KNOWING: f64 = 1e-3;

/// The builds with timing probes that fit the budget: the ones there are if all sites do, else others made for the
/// purpose. `None` if not a single site fits.
pub fn fit(
    session: &mut Session<'_>,
    builds: &Builds,
    reference: &mut Reference,
    cost: Option<ProbeCost>,
) -> Result<Option<Builds>, Stop> {
    let build = builds.manifest.timing.build();
    let (Some(budget), Some(cost), Some((build, sites))) =
        (session.options.overhead, cost, build.and_then(|build| Some((build, build.sites.as_ref()?))))
    else {
        return Ok(Some(builds.clone()));
    };
    let mut pilots = Vec::new();
    for workload in 0..session.problem.workloads.len() {
        let records = run_once(session, builds, build, reference, workload)?;
        let clean_ns = clean_ns(session, workload);
        match decode(&records, sites) {
            Ok(trace) => pilots.push(Pilot::of(&trace, sites, cost, clean_ns)),
            Err(error) => {
                let text = format!("workload {workload} has no part in choosing probe sites: {error}");
                session.push(Event::Note { text })?;
            }
        }
    }
    let chosen = choose(sites, &pilots, budget);
    let (all, kept) = (sites.sites.len(), chosen.kept.0.len());
    session.push(Event::SitesChosen {
        budget,
        sites: all,
        kept: chosen.kept.0.iter().cloned().collect(),
        left_out: chosen.left_out,
    })?;
    match kept {
        0 => Ok(None),
        _ if kept == all => Ok(Some(builds.clone())),
        _ => {
            session.progress("building with the probe sites that fit the budget");
            let options = session.options;
            Ok(Some(builds::with_choice(
                &session.source,
                &options.probes,
                &chosen.kept,
                builds,
                &options.store,
            )?))
        }
    }
}

/// Says so where the timing build costs more than the budget after all.
pub fn check(session: &mut Session<'_>, workload: usize, ratio: f64) -> Result<(), EvalError> {
    let Some(budget) = session.options.overhead.filter(|budget| ratio > 1.0 + budget) else { return Ok(()) };
    let (measured, budget) = ((ratio - 1.0) * 100.0, budget * 100.0);
    let text = format!(
        "workload {workload}: timing probes cost {measured:.1} %, more than the overhead budget of {budget} %"
    );
    session.push(Event::Note { text })
}

/// Median clean time of a launch, as it was measured.
fn clean_ns(session: &Session<'_>, workload: usize) -> f64 {
    let measured = session.log.events().iter().rev().find_map(|event| match event {
        Event::Measured { workload: of, times, .. } if *of == workload => Some(times.candidate.median_ns),
        _ => None,
    });
    measured.unwrap_or_default()
}

/// What the sites cost and tell on one workload, by site id; in parts of a clean launch.
#[derive(Debug, Clone, Default)]
struct Pilot {
    entries: BTreeMap<u32, u64>,
    cost: BTreeMap<u32, f64>,
    own_time: BTreeMap<u32, f64>,
}

impl Pilot {
    fn of(trace: &Trace, sites: &SiteTable, cost: ProbeCost, clean_ns: f64) -> Self {
        let mut pilot = Self::default();
        for row in &trace.aggregates {
            *pilot.entries.entry(row.site).or_default() += row.count;
            let tick_ns = trace.unit_ns_per_tick(row.unit).unwrap_or_default();
            *pilot.cost.entry(row.site).or_default() += row.count as f64 * cost.around * tick_ns / clean_ns;
        }
        for row in trace.counts.iter().filter(|row| is_counted(sites, row.site)) {
            let tick_ns = trace.unit_ns_per_tick(row.unit).unwrap_or_default();
            *pilot.cost.entry(row.site).or_default() += row.count as f64 * tick_ns / clean_ns;
        }
        let own = own_times(trace, sites, cost).into_iter();
        pilot.own_time = own.map(|(site, ns)| (site, ns / clean_ns)).collect();
        pilot
    }
}

/// True for a loop whose trips are counted one by one, at about a tick each.
fn is_counted(sites: &SiteTable, site: u32) -> bool {
    sites.sites.get(site as usize).is_some_and(|site| site.counts_trips)
}

/// What fits, and what does not.
struct Chosen {
    kept: Choice,
    left_out: Vec<LeftOut>,
}

/// Greedy: the site that tells most for its cost first, as long as no workload's budget is spent. What tells most is the
/// site with the most time of its own.
fn choose(sites: &SiteTable, pilots: &[Pilot], budget: f64) -> Chosen {
    let get = |map: &BTreeMap<u32, f64>, id: u32| map.get(&id).copied().unwrap_or_default();
    let most = |of: fn(&Pilot) -> &BTreeMap<u32, f64>, id: u32| {
        pilots.iter().map(|pilot| get(of(pilot), id)).fold(0.0, f64::max)
    };
    let value = |id: u32| {
        let tells = most(|pilot| &pilot.own_time, id) + WORTH_KNOWING;
        tells / most(|pilot| &pilot.cost, id).max(f64::MIN_POSITIVE)
    };
    let mut order: Vec<usize> = (0..sites.sites.len()).collect();
    order.sort_by(|a, b| value(sites.sites[*b].id).total_cmp(&value(sites.sites[*a].id)).then(a.cmp(b)));
    let keys = SiteKeys::of(sites);
    let mut spent = vec![0.0; pilots.len()];
    let mut chosen = Chosen { kept: Choice::default(), left_out: Vec::new() };
    for index in order {
        let site = &sites.sites[index];
        let costs: Vec<f64> = pilots.iter().map(|pilot| get(&pilot.cost, site.id)).collect();
        // Not a number is no cost that fits.
        let fits = spent.iter().zip(&costs).all(|(spent, cost)| spent + cost <= budget);
        if fits {
            spent.iter_mut().zip(&costs).for_each(|(spent, cost)| *spent += cost);
            chosen.kept.0.insert(keys[index].clone());
        } else {
            chosen.left_out.push(LeftOut {
                name: site.name.clone(),
                place: site.place.clone(),
                entries: pilots
                    .iter()
                    .filter_map(|pilot| pilot.entries.get(&site.id))
                    .copied()
                    .max()
                    .unwrap_or(0),
                cost: costs.into_iter().fold(0.0, f64::max),
            });
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinstr_trace::sites::{ProbeSite, SiteKind};

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
        Pilot { entries: BTreeMap::new(), cost: by_id(|row| row.0), own_time: by_id(|row| row.1) }
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
    fn a_cost_that_is_no_number_does_not_fit() {
        assert_eq!(left_out(&[pilot(&[(f64::NAN, 0.5), (0.0, 0.0), (0.0, 0.0)])], 0.03), ["f:loop0"]);
    }
}
