//! The perturbation certificate: what the timing probes did to the kernel, and what one probe costs.

use super::{
    EvalError,
    arguments::{limits, start_worker},
    session::Session,
};
use crate::{
    builds::{self, Build, Probes},
    codegen::assembly::compare_loops,
    frontend::{Language, Source},
    jobs::event::Event,
    measure::{Measurement, Plan, interleave, median},
    target::Target,
    worker::{Fault, Worker},
};
use kinstr_runtime::arena::Arena;
use kinstr_trace::{
    decode::decode,
    regions::ProbeCost,
    sites::{ProbeSite, SiteKind, SiteTable},
    synthesis::{Certificate, LISTED_LOOPS},
    tables::Trace,
};
use std::time::Duration;

/// A kernel of regions of known lengths.
const CALIBRATION: &str = include_str!("calibration.mlir");
/// Steps of its long region over those of its short one.
const TIMES_AS_LONG: f64 = 4.0;
/// Recordings of the calibration kernel; their median counts, since disturbance of the longer region makes a probe look cheap.
const RECORDINGS: usize = 9;

/// What a probe costs, measured in this session by the same passes, code generator and worker as any candidate.
/// `None`, and a note, if it cannot be measured.
pub fn probe_cost(session: &mut Session<'_>) -> Result<Option<ProbeCost>, EvalError> {
    match measure_probe_cost(session) {
        Ok(cost) => Ok(Some(cost)),
        Err(reason) => {
            let text = format!("the cost of a probe could not be calibrated and is not subtracted: {reason}");
            session.push(Event::Note { text })?;
            Ok(None)
        }
    }
}

fn measure_probe_cost(session: &Session<'_>) -> Result<ProbeCost, String> {
    let source = Source::new("calibration.mlir".as_ref(), CALIBRATION.into(), Language::Mlir)
        .map_err(|error| error.to_string())?;
    let probes = Probes { timing: ["region-time", "loop-time"].map(str::to_owned).into(), ..Probes::none() };
    let builds = builds::build(&source, &probes, &session.options.store, &Target::Cpu)
        .map_err(|error| error.to_string())?;
    let build = builds.manifest.timing.build().ok_or("the calibration kernel has no timing build")?;
    let sites = build.sites.as_ref().ok_or("the calibration kernel has no sites")?;
    let arena = Arena::new(&[]).map_err(|error| error.to_string())?;
    let limits = limits(session.options.timeout, session.options.memory);
    // The kernel takes no arguments, so that any problem will do.
    let worker = start_worker(&builds, build, &session.problem, usize::MAX, &arena, limits);
    let mut worker = worker.map_err(|fault| fault.to_string())?;
    let (mut inside, mut around) = (Vec::new(), Vec::new());
    for _ in 0..RECORDINGS {
        let records = worker.record(1).map_err(|fault| fault.to_string())?;
        let trace = decode(&records, sites).map_err(|error| error.to_string())?;
        let region_of_short = region(sites, "short")?;
        let short = mean(&trace, loop_in(sites, region_of_short)?)?;
        let long = mean(&trace, loop_in(sites, region(sites, "long")?)?)?;
        let work = (long - short) / (TIMES_AS_LONG - 1.0);
        inside.push(short - work);
        around.push(mean(&trace, region_of_short)? - short);
    }
    Ok(ProbeCost { inside: median(&inside).max(0.0), around: median(&around).max(0.0) })
}

fn region<'s>(sites: &'s SiteTable, name: &str) -> Result<&'s ProbeSite, String> {
    let found = sites.sites.iter().find(|site| site.name == name);
    found.ok_or_else(|| format!("the calibration kernel has no region `{name}`"))
}

/// The loop that is all there is in `region`.
fn loop_in<'s>(sites: &'s SiteTable, region: &ProbeSite) -> Result<&'s ProbeSite, String> {
    let is_in = |site: &&ProbeSite| site.kind == SiteKind::Loop && site.parent == Some(region.id);
    let found = sites.sites.iter().find(is_in);
    found.ok_or_else(|| format!("the region `{}` of the calibration kernel has no loop", region.name))
}

/// Mean ticks of a run of `site`: the clock goes on in steps of many ticks, so that a single run says little.
fn mean(trace: &Trace, site: &ProbeSite) -> Result<f64, String> {
    let row = trace.aggregates.iter().find(|row| row.site == site.id && row.count > 0);
    row.map(|row| row.sum as f64 / row.count as f64)
        .ok_or_else(|| format!("`{}` recorded nothing", site.name))
}

/// Clean and instrumented build in turns.
pub fn interleaved(clean: &mut Worker, timing: &mut Worker, budget: Duration) -> Result<Measurement, Fault> {
    let plan = Plan { budget, ..Plan::default() };
    interleave(&mut [clean, timing], &plan, &mut |_| Ok(()))
}

/// Everything the certificate says.
pub fn certificate(
    measured: &Measurement,
    clean: &Build,
    timing: &Build,
    probe_cost: Option<ProbeCost>,
    outputs_identical: bool,
) -> Certificate {
    let (mut changed_loops, unchanged) = compare_loops(&clean.assembly, &timing.assembly);
    let changed = u32::try_from(changed_loops.len()).unwrap_or(u32::MAX);
    changed_loops.truncate(LISTED_LOOPS);
    let median = |index: usize| measured.contenders[index].estimate().median_ns;
    Certificate {
        clean_ns: median(0),
        instrumented_ns: median(1),
        ratio: measured.ratio(1, 0).value,
        clean_instructions: Some(clean.assembly.instructions),
        instrumented_instructions: Some(timing.assembly.instructions),
        clean_spills: Some(clean.assembly.spills),
        instrumented_spills: Some(timing.assembly.spills),
        clean_stack_bytes: Some(clean.assembly.stack_bytes),
        instrumented_stack_bytes: Some(timing.assembly.stack_bytes),
        probe_cost_ticks: probe_cost.map(|cost| cost.inside),
        probe_cost_error_ticks: None,
        probe_around_error_ticks: None,
        probe_around_ticks: probe_cost.map(|cost| cost.around),
        host_ns: None,
        outputs_identical: Some(outputs_identical),
        changed_loops,
        changed_loop_lines: changed,
        unchanged_loop_lines: Some(unchanged),
        kernels: Vec::new(),
    }
}
