//! What one timing probe costs on this device, measured by the passes, code generator and runtime of any candidate.

use super::{
    super::{EvalError, arguments::start_with, session::Session},
    records::{Sharing, record, record_memory},
};
use crate::{
    builds::{self, Probes},
    frontend::{Language, Source},
    jobs::event::Event,
};
use kinstr_runtime::arena::Arena;
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
/// Recordings; the least disturbed one counts.
const RECORDINGS: usize = 3;

/// The cost of a probe. `None`, and a note, if it cannot be measured.
pub fn probe_cost(session: &mut Session<'_>) -> Result<Option<ProbeCost>, EvalError> {
    match measure(session) {
        Ok(cost) => Ok(Some(cost)),
        Err(reason) => {
            let text = format!("the cost of a probe could not be calibrated and is not subtracted: {reason}");
            session.push(Event::Note { text })?;
            Ok(None)
        }
    }
}

fn measure(session: &Session<'_>) -> Result<ProbeCost, String> {
    let source = Source::new("calibration.mlir".as_ref(), CALIBRATION.into(), Language::Mlir)
        .map_err(|error| error.to_string())?;
    let probes =
        Probes { timing: ["block-timeline", "loop-time"].map(str::to_owned).into(), ..Probes::none() };
    let builds = builds::build(&source, &probes, &session.options.store, &session.site.target)
        .map_err(|error| error.to_string())?;
    let build = builds.manifest.timing.build().ok_or("the calibration kernel has no timing build")?;
    let sites = build.sites.as_ref().ok_or("the calibration kernel has no sites")?;
    let arena = Arena::new(&[]).map_err(|error| error.to_string())?;
    let records = record_memory(sites, Sharing::Own).map_err(|fault| fault.to_string())?;
    // The kernel takes no arguments, so that any problem will do.
    let worker =
        start_with(&builds, build, &session.problem, usize::MAX, &arena, session.limits(), Some(records));
    let mut worker = worker.map_err(|fault| fault.to_string())?;
    let [short_site, long_site, around_site] = loops(sites)?;
    let mut least = [f64::INFINITY; 3];
    for _ in 0..RECORDINGS {
        let recorded = record(&mut worker, Sharing::Own).map_err(|fault| fault.to_string())?;
        let trace = decode(&recorded.records, sites).map_err(|error| error.to_string())?;
        for (least, site) in least.iter_mut().zip([short_site, long_site, around_site]) {
            *least = least.min(mean(&trace, site)?);
        }
    }
    let [short, long, around] = least;
    let work = long - short;
    let inside = (short - work).max(0.0);
    Ok(ProbeCost { inside, around: (around / RUNS - work - inside).max(0.0) })
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
