//! What one timing probe costs on this device, measured by the passes, code generator and runtime of any candidate.

use super::{
    super::{EvalError, session::Session},
    crew::Duty,
    records::{Sharing, record},
};
use crate::{
    builds::{self, Builds, Probes},
    frontend::{Language, Source},
    jobs::event::Event,
    measure::median,
};
use kinstr_trace::{
    decode::decode,
    regions::ProbeCost,
    sites::{ProbeSite, SiteKind, SiteTable},
    tables::Trace,
};

/// A kernel of loops of known lengths.
const CALIBRATION: &str = include_str!("calibration.mlir");
/// Runs of the loop around the short one, as the kernel has them.
const RUNS: f64 = 200.0;
/// Recordings. Their median counts, and how far they are apart is the error.
const RECORDINGS: usize = 5;

/// What a probe costs, and how well that is known, in ticks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calibrated {
    /// The cost.
    pub cost: ProbeCost,
    /// Error of what the interval includes. A loop is left while its last step is still under way, so that an interval may
    /// look shorter than the loop: that is no cost, but it hides as much of one.
    pub inside_error: f64,
    /// Error of what it adds to the code around.
    pub around_error: f64,
}

/// The cost of a probe. `None`, and a note, if it cannot be measured.
pub fn probe_cost(session: &mut Session<'_>) -> Result<Option<Calibrated>, EvalError> {
    match measure(session) {
        Ok(cost) => Ok(Some(cost)),
        Err(reason) => {
            let text = format!("the cost of a probe could not be calibrated and is not subtracted: {reason}");
            session.push(Event::Note { text })?;
            Ok(None)
        }
    }
}

/// The builds of the kernel.
pub fn build(session: &Session<'_>) -> Result<Builds, String> {
    let source = Source::new("calibration.mlir".as_ref(), CALIBRATION.into(), Language::Mlir)
        .map_err(|error| error.to_string())?;
    let probes =
        Probes { timing: ["block-timeline", "loop-time"].map(str::to_owned).into(), ..Probes::none() };
    builds::build(&source, &probes, &session.options.store, &session.site.target)
        .map_err(|error| error.to_string())
}

fn measure(session: &mut Session<'_>) -> Result<Calibrated, String> {
    let builds = build(session)?;
    let build = builds.manifest.timing.build().ok_or("the calibration kernel has no timing build")?;
    let sites = build.sites.as_ref().ok_or("the calibration kernel has no sites")?;
    let mut worker = session.hire_calibrator(&builds, build).map_err(|fault| fault.to_string())?;
    let [short_site, long_site, around_site] = loops(sites)?;
    let (mut insides, mut arounds) = (Vec::new(), Vec::new());
    for _ in 0..RECORDINGS {
        let recorded = record(&mut worker, Sharing::Own).map_err(|fault| fault.to_string())?;
        let trace = decode(&recorded.records, sites).map_err(|error| error.to_string())?;
        let [short, long] = [mean(&trace, short_site)?, mean(&trace, long_site)?];
        let work = long - short;
        insides.push(short - work);
        arounds.push(mean(&trace, around_site)? / RUNS - work);
    }
    session.crew.give_back(Duty::Calibration, worker);
    Ok(calibrated(&insides, &arounds))
}

/// From what the interval includes and what a run of the code around it takes more than its work, recording by recording.
fn calibrated(insides: &[f64], arounds: &[f64]) -> Calibrated {
    let (inside, around) = (median(insides), median(arounds));
    let hidden = (-inside).max(0.0);
    Calibrated {
        cost: ProbeCost { inside: inside.max(0.0), around: (around - inside.max(0.0)).max(0.0) },
        inside_error: half_range(insides).max(hidden),
        around_error: half_range(arounds),
    }
}

fn half_range(values: &[f64]) -> f64 {
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    ((high - low) / 2.0).max(0.0)
}

/// The short and the long inner loop, and the loop around the short one, in the order of the code.
fn loops(sites: &SiteTable) -> Result<[&ProbeSite; 3], String> {
    let is_loop = |site: &&ProbeSite| site.kind == SiteKind::Loop;
    let line = |site: &ProbeSite| site.place.as_ref().map(|place| (place.line, place.column));
    let mut all: Vec<&ProbeSite> = sites.sites.iter().filter(is_loop).collect();
    all.sort_by_key(|site| (line(site), site.id));
    let (inner, outer): (Vec<_>, Vec<_>) = all.into_iter().partition(|site| site.loop_depth > 1);
    match (inner.as_slice(), outer.as_slice()) {
        ([short, long], [around, _]) => Ok([short, long, around]),
        _ => Err("the calibration kernel has other loops than it was written with".into()),
    }
}

/// Mean ticks of a run of `site`.
fn mean(trace: &Trace, site: &ProbeSite) -> Result<f64, String> {
    let row = trace.aggregates.iter().find(|row| row.site == site.id && row.count > 0);
    row.map(|row| row.sum as f64 / row.count as f64)
        .ok_or_else(|| format!("`{}` recorded nothing", site.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_behind_the_last_step_is_no_cost_but_an_error() {
        let found = calibrated(&[-21.0, -20.0, -19.0], &[96.0, 96.0, 98.0]);
        assert_eq!((found.cost.inside, found.inside_error), (0.0, 20.0));
        assert_eq!((found.cost.around, found.around_error), (96.0, 1.0));
        let seen = calibrated(&[4.0, 4.0, 5.0], &[30.0; 3]);
        assert_eq!((seen.cost.inside, seen.inside_error, seen.cost.around), (4.0, 0.5, 26.0));
    }
}
