//! Counters, Observe and Probes: the instrumented builds run, and what they recorded is kept.

use super::{
    EvalError,
    arguments::{digest_outputs, outputs, start_worker, timed_limits},
    budget, certificate,
    check::check_guards,
    device::Duty,
    failure::Stop,
    model,
    session::{Done, Session},
    timeline,
};
use crate::{
    builds::{Build, Builds, Instrumented},
    correctness::{OTHER_POISON, POISON},
    jobs::event::{Event, RecordKind},
    measure::Interval,
    reference::Reference,
    store::write_atomically,
    worker::{Fault, Worker},
};
use kinstr_runtime::arena::Arena;
use kinstr_trace::{regions::ProbeCost, report::LayerStatus, sites::SiteTable, synthesis::Certificate};
use std::time::Duration;

/// Part of the budget for timing the instrumented build against the clean one.
const SHARE: f64 = 0.25;
/// Time an observed launch may take, of a kernel that takes a few ms when it is not observed.
const OBSERVING: Duration = Duration::from_secs(10);

/// Runs the counting build once on every workload.
pub fn counters(session: &mut Session<'_>, builds: &Builds, reference: &mut Reference) -> Result<Done, Stop> {
    let Some(build) = available(session, &builds.manifest.counting, "kernel-counters")? else {
        return Ok(Done);
    };
    let mut ports = model::open(session, builds)?;
    for workload in 0..session.problem.workloads.len() {
        session.progress(&format!("counting {}", session.problem.workloads[workload].name.clone()));
        let records = run_once(session, builds, (build, "counting"), reference, workload)?;
        keep(session, workload, RecordKind::Counting, build, &records)?;
        if let (Some(ports), Some(sites)) = (&mut ports, &build.sites) {
            model::model(session, ports, workload, &records, sites)?;
        }
    }
    session.push(Event::Layer { name: "kernel-counters".into(), status: LayerStatus::Ran })?;
    Ok(Done)
}

/// The record file of one launch of a build, which goes by this name in notes.
pub fn run_once(
    session: &mut Session<'_>,
    builds: &Builds,
    (build, build_name): (&Build, &str),
    reference: &mut Reference,
    workload: usize,
) -> Result<Vec<u8>, Stop> {
    let mut arena = session.take_arena(reference, workload)?;
    arena.poison_outputs();
    let mut worker = start(session, builds, build, workload, &arena)?;
    worker.attach()?;
    worker.run(1)?;
    check_guards(&arena)?;
    let records = worker.detach()?;
    note_other_outputs(session, builds, workload, &mut arena, build_name)?;
    session.arenas[workload] = Some(arena);
    Ok(records)
}

/// Runs the observing build once on every workload. It is many times slower than the clean one, so a run that takes
/// too long is no fault of the candidate's: what it would have told is missing, and a note says so.
pub fn observe(session: &mut Session<'_>, builds: &Builds, reference: &mut Reference) -> Result<Done, Stop> {
    let build = match &builds.manifest.observing {
        Instrumented::Built(build) => build,
        Instrumented::Unavailable(reason) => {
            let text = format!("memory accesses and branches were not observed: {reason}");
            session.push(Event::Note { text })?;
            return Ok(Done);
        }
    };
    for probe in idle_probes(&session.probes.observing, build) {
        let text = format!("probe `{probe}` found nothing to watch in the optimised code");
        session.push(Event::Note { text })?;
    }
    let limit = session.options.timeout.min(OBSERVING);
    for workload in 0..session.problem.workloads.len() {
        session.progress(&format!("observing {}", session.problem.workloads[workload].name.clone()));
        let mut arena = session.take_arena(reference, workload)?;
        arena.poison_outputs();
        let mut worker = start_within(session, builds, build, workload, &arena, limit)?;
        worker.attach()?;
        match worker.run(1) {
            Ok(_) => {
                check_guards(&arena)?;
                let records = worker.detach()?;
                note_other_outputs(session, builds, workload, &mut arena, "observing")?;
                keep(session, workload, RecordKind::Observing, build, &records)?;
            }
            Err(fault) if is_too_slow(&fault) => {
                let text = format!(
                    "workload {workload}: memory accesses and branches were not observed: the run {fault}"
                );
                session.push(Event::Note { text })?;
            }
            Err(fault) => return Err(fault.into()),
        }
        session.arenas[workload] = Some(arena);
    }
    Ok(Done)
}

/// Probes that were asked for and have no site.
pub fn idle_probes(asked: &[String], build: &Build) -> Vec<String> {
    let sites = build.sites.iter().flat_map(|sites| &sites.sites);
    let used: Vec<&str> = sites.map(|site| site.probe.as_str()).collect();
    asked.iter().filter(|probe| !used.contains(&probe.as_str())).cloned().collect()
}

/// Whether a run took longer than it may.
pub fn is_too_slow(fault: &Fault) -> bool {
    use crate::worker::fault::CandidateFault::{CpuLimit, TimedOut, WallLimit};
    matches!(fault, Fault::Candidate(TimedOut { .. } | CpuLimit { .. } | WallLimit { .. }))
}

/// Times the instrumented build against the clean one on every workload, with its records on.
pub fn probes(session: &mut Session<'_>, builds: &Builds, reference: &mut Reference) -> Result<Done, Stop> {
    if available(session, &builds.manifest.timing, "intra-kernel")?.is_none() {
        return Ok(Done);
    }
    let cost = certificate::probe_cost(session)?;
    let mut fit = budget::fit(session, builds, reference, cost)?;
    let (timed, certified) = loop {
        let Some(timed) = &fit.builds else {
            let status = LayerStatus::Unavailable(
                "no timing site fits the overhead budget (`--overhead-budget none` takes them all)".into(),
            );
            session.push(Event::Layer { name: "intra-kernel".into(), status })?;
            return Ok(Done);
        };
        let Some(build) = available(session, &timed.manifest.timing, "intra-kernel")? else {
            return Ok(Done);
        };
        let mut certified = certify_all(session, builds, (timed, build), reference, cost)?;
        if certified.iter().any(|certified| fit.is_exceeded_by(&certified.ratio)) {
            let again = certify_all(session, builds, (timed, build), reference, cost)?;
            certified = certified.into_iter().zip(again).map(|(a, b)| a.less_disturbed(b)).collect();
        }
        let ratios: Vec<Interval> = certified.iter().map(|certified| certified.ratio).collect();
        match budget::fit_again(session, builds, &fit, &ratios)? {
            Some(again) => fit = again,
            None => break (timed, certified),
        }
    };
    let Some(build) = timed.manifest.timing.build() else { return Ok(Done) };
    for (workload, Certified { certificate, records, .. }) in certified.into_iter().enumerate() {
        budget::check(session, workload, certificate.ratio)?;
        session.push(Event::Certified { workload, certificate })?;
        keep(session, workload, RecordKind::Timing, build, &records)?;
    }
    if let Some(timeline) = timed.manifest.timeline.build() {
        record_timeline(session, builds, (timed, timeline), reference)?;
    }
    session.push(Event::Layer { name: "intra-kernel".into(), status: LayerStatus::Ran })?;
    Ok(Done)
}

/// Nothing in the report rests on the timeline, so that whatever happens to it is worth a note.
fn record_timeline(
    session: &mut Session<'_>,
    builds: &Builds,
    timed: (&Builds, &Build),
    reference: &mut Reference,
) -> Result<(), Stop> {
    match timeline::record(session, builds, timed, reference) {
        Err(Stop::Failed(failed)) => {
            let text = format!("no timeline: {}", failed.failure.message);
            Ok(session.push(Event::Note { text })?)
        }
        other => other,
    }
}

/// Notes that a build left other outputs in `arena` than the clean one does there: what it recorded may be of other work.
/// A kernel of which repeats differ says nothing by it.
pub fn note_other_outputs(
    session: &mut Session<'_>,
    builds: &Builds,
    workload: usize,
    arena: &mut Arena,
    build: &str,
) -> Result<(), Stop> {
    if session.is_unsteady(workload) {
        return Ok(());
    }
    let left = digest_outputs(arena, &session.problem);
    let clean = match session.clean_outputs[workload] {
        Some(clean) => clean,
        None => run_clean(session, builds, workload, arena)?,
    };
    session.clean_outputs[workload] = Some(clean);
    if left != clean {
        let text = format!("workload {workload}: the {build} build leaves other outputs than the clean one");
        session.push(Event::Note { text })?;
    }
    Ok(())
}

/// The digest of the outputs that the clean build leaves in `arena`.
fn run_clean(
    session: &mut Session<'_>,
    builds: &Builds,
    workload: usize,
    arena: &mut Arena,
) -> Result<blake3::Hash, Stop> {
    let build = &builds.manifest.clean;
    let mut worker = match session.site.ordinal() {
        Some(_) => session.hire(Duty::Clean, builds, build, workload, arena)?,
        None => start(session, builds, build, workload, arena)?,
    };
    worker.run_on(arena, POISON)?;
    session.crew.give_back(Duty::Clean, worker);
    Ok(digest_outputs(arena, &session.problem))
}

/// What a workload says of a timing build.
struct Certified {
    certificate: Certificate,
    /// Instrumented over clean time.
    ratio: Interval,
    /// The record file.
    records: Vec<u8>,
}

impl Certified {
    /// Of two measurements the one with the lower ratio: others' work on the machine only adds.
    fn less_disturbed(self, other: Self) -> Self {
        if other.ratio.value < self.ratio.value { other } else { self }
    }
}

fn certify_all(
    session: &mut Session<'_>,
    builds: &Builds,
    timed: (&Builds, &Build),
    reference: &mut Reference,
    probe_cost: Option<ProbeCost>,
) -> Result<Vec<Certified>, Stop> {
    let count = session.problem.workloads.len();
    let share = session.options.budget.mul_f64(SHARE) / u32::try_from(count).unwrap_or(1).max(1);
    let mut all = Vec::new();
    for workload in 0..count {
        session.progress(&format!("certifying {}", session.problem.workloads[workload].name.clone()));
        all.push(certify(session, builds, timed, reference, workload, probe_cost, share)?);
    }
    Ok(all)
}

fn certify(
    session: &mut Session<'_>,
    builds: &Builds,
    (timed, build): (&Builds, &Build),
    reference: &mut Reference,
    workload: usize,
    probe_cost: Option<ProbeCost>,
    budget: Duration,
) -> Result<Certified, Stop> {
    // Both work on the same tensors: in other pages of memory even the same code takes another time.
    let mut arena = session.take_arena(reference, workload)?;
    let mut clean = start(session, builds, &builds.manifest.clean, workload, &arena)?;
    let mut timing = start(session, timed, build, workload, &arena)?;
    timing.attach()?;
    let measured = certificate::interleaved(&mut clean, &mut timing, budget)?;
    arena.poison_outputs();
    clean.run(1)?;
    let clean_outputs: Vec<Vec<u8>> =
        outputs(&arena, &session.problem).into_iter().map(<[u8]>::to_vec).collect();
    arena.poison_outputs_with(OTHER_POISON);
    timing.run(1)?;
    check_guards(&arena)?;
    let records = timing.detach()?;
    let identical = clean_outputs == outputs(&arena, &session.problem);
    let certificate =
        certificate::certificate(&measured, &builds.manifest.clean, build, probe_cost, identical);
    session.arenas[workload] = Some(arena);
    Ok(Certified { certificate, ratio: measured.ratio(1, 0), records })
}

/// The build, or a layer that says why there is none.
pub fn available<'b>(
    session: &mut Session<'_>,
    instrumented: &'b Instrumented,
    layer: &str,
) -> Result<Option<&'b Build>, EvalError> {
    match instrumented {
        Instrumented::Built(build) => Ok(Some(build)),
        Instrumented::Unavailable(reason) => {
            session.push(Event::Layer {
                name: layer.into(),
                status: LayerStatus::Unavailable(reason.clone()),
            })?;
            Ok(None)
        }
    }
}

fn start(
    session: &Session<'_>,
    builds: &Builds,
    build: &Build,
    workload: usize,
    arena: &Arena,
) -> Result<Worker, Stop> {
    start_within(session, builds, build, workload, arena, session.options.timeout)
}

fn start_within(
    session: &Session<'_>,
    builds: &Builds,
    build: &Build,
    workload: usize,
    arena: &Arena,
    timeout: Duration,
) -> Result<Worker, Stop> {
    let limits = timed_limits(timeout, session.options.memory, session.options.budget);
    Ok(start_worker(builds, build, &session.problem, workload, arena, limits)?)
}

/// Writes the record file and its site table beside the events, and says so.
pub fn keep(
    session: &mut Session<'_>,
    workload: usize,
    kind: RecordKind,
    build: &Build,
    records: &[u8],
) -> Result<(), EvalError> {
    let Some(sites) = &build.sites else { return Ok(()) };
    let stem = match kind {
        RecordKind::Timing => "timing",
        RecordKind::Pilot => "pilot",
        RecordKind::Counting => "counting",
        RecordKind::Observing => "observing",
    };
    let (record_file, site_file) = (format!("{stem}-{workload}.krec"), format!("{stem}.sites.json"));
    let dir = session.log.dir().to_owned();
    write_atomically(&dir.join(&record_file), records)?;
    write_atomically(&dir.join(&site_file), &sites_json(sites))?;
    session.push(Event::Recorded { workload, kind, records: record_file, sites: site_file })
}

/// A site table as it stands in a file.
pub fn sites_json(sites: &SiteTable) -> Vec<u8> {
    serde_json::to_vec(sites).unwrap_or_default()
}
