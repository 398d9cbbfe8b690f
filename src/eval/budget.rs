//! The overhead budget: which timing sites are worth what they cost, from one run with all of them.

use super::{
    EvalError,
    choice::{Chosen, Pilot, choose},
    failure::Stop,
    records::run_once,
    session::Session,
};
use crate::{
    builds::{self, Builds},
    jobs::event::Event,
    measure::Interval,
    reference::Reference,
};
use kinstr_trace::{
    decode::decode,
    regions::ProbeCost,
    sites::{Choice, SiteTable},
};

/// What two processes that run the same code may differ by, through where their memory lies: less than this above the
/// budget is no reason to choose again.
pub const PROCESSES_DIFFER: f64 = 0.05;

/// The timing builds whose sites fit the budget.
pub struct Fit {
    /// The builds; `None` if not a single site fits.
    pub builds: Option<Builds>,
    /// What was known when they were chosen; `None` without a budget, or when they may not be chosen again.
    known: Option<Known>,
}

impl Fit {
    /// Whether a timing build of which `ratio` was measured costs clearly more than the budget, and may be made anew.
    pub fn is_exceeded_by(&self, ratio: &Interval) -> bool {
        self.known.as_ref().is_some_and(|known| ratio.low > 1.0 + known.budget + PROCESSES_DIFFER)
    }
}

struct Known {
    budget: f64,
    sites: SiteTable,
    kept: Choice,
    /// By workload; `None` of one that has no part in choosing.
    pilots: Vec<Option<Pilot>>,
}

/// The builds with timing probes that fit the budget: the ones there are if all sites do, else others made for the
/// purpose.
pub fn fit(
    session: &mut Session<'_>,
    builds: &Builds,
    reference: &mut Reference,
    cost: Option<ProbeCost>,
) -> Result<Fit, Stop> {
    let build = builds.manifest.timing.build();
    let (Some(budget), Some(cost), Some((build, sites))) =
        (session.options.overhead, cost, build.and_then(|build| Some((build, build.sites.as_ref()?))))
    else {
        return Ok(Fit { builds: Some(builds.clone()), known: None });
    };
    let mut pilots = Vec::new();
    for workload in 0..session.problem.workloads.len() {
        let records = run_once(session, builds, (build, "timing"), reference, workload)?;
        let clean_ns = session.clean_ns(workload).ok_or("it has no clean time".to_owned());
        let trace = decode(&records, sites).map_err(|error| error.to_string());
        let pilot = clean_ns.and_then(|clean_ns| Ok(Pilot::of(&trace?, sites, &|_| cost, clean_ns)));
        if let Err(reason) = &pilot {
            let text = format!("workload {workload} has no part in choosing probe sites: {reason}");
            session.push(Event::Note { text })?;
        }
        pilots.push(pilot.ok());
    }
    let chosen = choose_among(sites, &pilots, budget);
    let chosen_builds = build_chosen(session, builds, budget, sites, &chosen)?;
    let known = Known { budget, sites: sites.clone(), kept: chosen.kept, pilots };
    Ok(Fit { builds: chosen_builds, known: Some(known) })
}

/// Chooses again, once, if what was chosen slows a workload down by clearly more than the budget: by `ratios`,
/// instrumented over clean time by workload. `None` where nothing is to be changed. That no site is left may come of it:
/// a budget is a promise, and whoever wants times at any cost can do without one.
pub fn fit_again(
    session: &mut Session<'_>,
    builds: &Builds,
    fit: &Fit,
    ratios: &[Interval],
) -> Result<Option<Fit>, Stop> {
    let Some(Known { budget, sites, kept, pilots }) = &fit.known else { return Ok(None) };
    let is_dear = |ratio: &Interval| fit.is_exceeded_by(ratio);
    let corrected = |(pilot, ratio): (&Option<Pilot>, &Interval)| match is_dear(ratio) {
        true => Some(pilot.clone()?.corrected(sites, kept, ratio.value - 1.0)),
        false => pilot.clone(),
    };
    let pilots: Vec<Option<Pilot>> = pilots.iter().zip(ratios).map(corrected).collect();
    if !ratios.iter().any(is_dear) {
        return Ok(None);
    }
    let chosen = choose_among(sites, &pilots, *budget);
    for (workload, ratio) in ratios.iter().enumerate().filter(|(_, ratio)| is_dear(ratio)) {
        let measured = (ratio.value - 1.0) * 100.0;
        let text = format!(
            "workload {workload}: timing sites cost {measured:.1} % together, not what each was expected to: they were \
             chosen again"
        );
        session.push(Event::Note { text })?;
    }
    let again = build_chosen(session, builds, *budget, sites, &chosen)?;
    Ok(Some(Fit { builds: again, known: None }))
}

fn choose_among(sites: &SiteTable, pilots: &[Option<Pilot>], budget: f64) -> Chosen {
    let taking_part: Vec<Pilot> = pilots.iter().flatten().cloned().collect();
    choose(sites, &taking_part, budget)
}

/// Says which sites were chosen, and builds with them; `None` if there are none.
pub fn build_chosen(
    session: &mut Session<'_>,
    builds: &Builds,
    budget: f64,
    sites: &SiteTable,
    chosen: &Chosen,
) -> Result<Option<Builds>, Stop> {
    let Chosen { kept, left_out } = chosen;
    let all = sites.sites.len();
    session.push(Event::SitesChosen {
        budget,
        sites: all,
        kept: kept.0.iter().cloned().collect(),
        left_out: left_out.clone(),
    })?;
    Ok(match kept.0.len() {
        0 => None,
        count if count == all => Some(builds.clone()),
        _ => {
            session.progress("building with the probe sites that fit the budget");
            let store = &session.options.store;
            Some(builds::with_choice(&session.source, &session.probes, kept, builds, store)?)
        }
    })
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
