//! System: the clean build once more, with events counted, with cold caches, with denormals flushed.
//!
//! None of it is what a candidate is judged by, so that what fails here is a note and not a verdict.

use super::{
    arguments::{limits, start_worker},
    failure::Stop,
    session::{Done, Session},
    subject::{Inputs, Subject},
};
use crate::{
    builds::Builds,
    jobs::event::Event,
    measure::{Timed, cold, events::EventCounters, flushed},
    reference::Reference,
    worker::{Fault, Worker},
};
use kinstr_runtime::{arena::Arena, peaks::eviction_bytes};
use kinstr_trace::{report::LayerStatus, surroundings::EventCounts};
use std::{io, time::Duration};

/// Name of the part of a layer that hardware events are.
pub const LAYER: &str = "kernel-counters/hardware-events";
/// Part of the budget for calls with cold caches, and the most a workload gets.
const COLD_SHARE: f64 = 0.15;
const MOST_COLD: Duration = Duration::from_millis(150);
/// Calls are counted for about this long, in ns, so that what a request does is small beside them.
const COUNTED_NS: f64 = 5e6;
/// Most calls that are counted.
const MOST_COUNTED: f64 = 1e4;
/// A longer call, in ns, is not timed again with denormals flushed.
const LONGEST_FLUSHED_NS: f64 = 1e9;

/// Runs every workload under the other conditions.
pub fn system(session: &mut Session<'_>, builds: &Builds, reference: &mut Reference) -> Result<Done, Stop> {
    let mut layer = None;
    for workload in 0..session.problem.workloads.len() {
        let Some(clean_ns) = session.clean_ns(workload) else { continue };
        session.progress(&format!("other conditions, {}", session.problem.workloads[workload].name.clone()));
        let arena = session.take_arena(reference, workload)?;
        let mut worker = start(session, builds, workload, &arena)?;
        worker.run(1)?;
        layer = Some(count_events(session, worker.id(), &mut worker, workload, clean_ns)?);
        time_cold(session, &mut worker, workload, clean_ns)?;
        time_flushed(session, builds, &mut worker, workload, &arena, clean_ns)?;
        session.arenas[workload] = Some(arena);
    }
    if let Some(status) = layer {
        session.push(Event::Layer { name: LAYER.into(), status })?;
    }
    Ok(Done)
}

/// Counts events alone: the other conditions are of builds.
pub fn events(
    session: &mut Session<'_>,
    subject: Subject<'_>,
    reference: &mut Reference,
) -> Result<Done, Stop> {
    for workload in 0..session.problem.workloads.len() {
        let Some(clean_ns) = session.clean_ns(workload) else { continue };
        let inputs = Inputs { workload, seed: session.timing_seed(workload) };
        let arena = session.fill_arena(reference, workload, inputs.seed)?;
        reference.evaluate()?;
        let limits = session.limits();
        let mut running = subject.start(session, reference, inputs, &arena, limits)?;
        running.run(1)?;
        let status = count_events(session, running.id(), &mut running, workload, clean_ns)?;
        session.push(Event::Layer { name: LAYER.into(), status })?;
        session.arenas[workload] = Some(arena);
    }
    Ok(Done)
}

/// A worker with room for what the caches are overwritten with.
fn start(session: &Session<'_>, builds: &Builds, workload: usize, arena: &Arena) -> Result<Worker, Stop> {
    let memory = session.options.memory.saturating_add(eviction_bytes());
    let limits = limits(session.options.timeout, memory);
    Ok(start_worker(builds, &builds.manifest.clean, &session.problem, workload, arena, limits)?)
}

/// Counts what the system lets us count, and answers what it did not.
fn count_events(
    session: &mut Session<'_>,
    process: u32,
    contender: &mut dyn Timed,
    workload: usize,
    clean_ns: f64,
) -> Result<LayerStatus, Stop> {
    let calls = (COUNTED_NS / clean_ns).ceil().clamp(1.0, MOST_COUNTED) as u32;
    let mut counters = EventCounters::open(process);
    let counted = count(&mut counters, contender, calls)?;
    let status = match (counted, counters.has_hardware(), counters.missing()) {
        (Err(error), ..) => LayerStatus::Failed(format!("the counters could not be read: {error}")),
        (Ok(events), hardware, missing) => {
            session.push(Event::EventsCounted { workload, counts: EventCounts { calls, events } })?;
            match (hardware, missing) {
                (false, missing) => LayerStatus::Unavailable(missing.unwrap_or_default()),
                (true, None) => LayerStatus::Ran,
                (true, Some(missing)) => {
                    session.note_once(format!("hardware events that were not counted: {missing}"))?;
                    LayerStatus::Ran
                }
            }
        }
    };
    Ok(status)
}

/// The outer error is the candidate's, the inner one that of the counters.
fn count(
    counters: &mut EventCounters,
    contender: &mut dyn Timed,
    calls: u32,
) -> Result<io::Result<Vec<kinstr_trace::surroundings::EventCount>>, Fault> {
    if let Err(error) = counters.enable() {
        return Ok(Err(error));
    }
    contender.run(calls)?;
    Ok(counters.read())
}

fn time_cold(
    session: &mut Session<'_>,
    worker: &mut Worker,
    workload: usize,
    clean_ns: f64,
) -> Result<(), Stop> {
    let count = u32::try_from(session.problem.workloads.len()).unwrap_or(u32::MAX).max(1);
    let budget = (session.options.budget.mul_f64(COLD_SHARE) / count).min(MOST_COLD);
    let reason = match cold(worker, clean_ns, budget) {
        Ok(Ok(estimate)) => return Ok(session.push(Event::Cold { workload, estimate })?),
        Ok(Err(reason)) => reason.to_string(),
        Err(fault) => fault.to_string(),
    };
    Ok(session
        .push(Event::Note { text: format!("workload {workload}: no time with cold caches: {reason}") })?)
}

/// Nothing to do where no number can be denormal.
fn time_flushed(
    session: &mut Session<'_>,
    builds: &Builds,
    plain: &mut Worker,
    workload: usize,
    arena: &Arena,
    clean_ns: f64,
) -> Result<(), Stop> {
    if !has_floats(session, workload) {
        return Ok(());
    }
    let reason = match clean_ns > LONGEST_FLUSHED_NS {
        true => "a call takes too long".to_owned(),
        false => match with_denormals_flushed(session, builds, plain, workload, arena, clean_ns) {
            Ok(times) => return Ok(session.push(Event::Flushed { workload, times })?),
            Err(Stop::Failed(failed)) => failed.failure.message.clone(),
            Err(fatal) => return Err(fatal),
        },
    };
    let text = format!("workload {workload}: not timed with denormals flushed: {reason}");
    Ok(session.push(Event::Note { text })?)
}

fn has_floats(session: &Session<'_>, workload: usize) -> bool {
    let workload = &session.problem.workloads[workload];
    let specs =
        session.problem.input_specs(workload).into_iter().chain(session.problem.output_specs(workload));
    specs.into_iter().any(|spec| spec.dtype.name().contains('f'))
}

fn with_denormals_flushed(
    session: &Session<'_>,
    builds: &Builds,
    plain: &mut dyn Timed,
    workload: usize,
    arena: &Arena,
    clean_ns: f64,
) -> Result<kinstr_trace::surroundings::FlushedTime, Stop> {
    let mut worker = start(session, builds, workload, arena)?;
    worker.flush_denormals()?;
    Ok(flushed(plain, &mut worker, clean_ns)?)
}
