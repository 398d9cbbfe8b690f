//! Counters and observe: one call of an instrumented build, and what its warps recorded.

use super::{
    super::{
        EvalError,
        failure::Stop,
        records::{available, idle_probes, is_too_slow, keep, note_other_outputs},
        session::{Done, Session},
    },
    crew::Duty,
};
use crate::{
    builds::{Build, Builds, Instrumented},
    correctness::POISON,
    jobs::event::{BuildKind, Event, RecordKind},
    reference::Reference,
    worker::{
        Fault, Worker,
        fault::{InfrastructureFault, InternalFault},
    },
};
use kinstr_runtime::{
    arena::Arena,
    gpu::{Activity, OWN_UNITS},
    records::{RecordMemory, RecordSpec},
};
use kinstr_trace::{
    layout::{Keep, Mode, offset},
    report::LayerStatus,
    sites::SiteTable,
};
use std::time::{Duration, Instant};

/// Time an observed call may take, of a kernel that takes a few ms when it is not observed.
pub const OBSERVING: Duration = Duration::from_secs(10);
/// Warps that record in a unit of their own, at most, of all launches of a call together; of one launch fewer do
/// (`MOST_OF_A_LAUNCH` in `runtime/src/gpu/units.rs`).
const OWN: u64 = 9 << 10;
/// The same where timing sites had to be left out: some warps for each SM.
const FEW: u32 = 2 << 10;
/// Bytes of records at most.
const MOST_BYTES: u64 = 256 << 20;
/// Units that the warps of a build which counts share: enough that they seldom meet.
const SHARED: u32 = 1 << 10;
/// Warps and records of each in a build that records every event.
const TRACED: u32 = 256;
const TRACE_RECORDS: u64 = 1 << 12;

/// How the warps of a build find their units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Each has its own: what is timed.
    Own,
    /// The same, of fewer warps: of kernels so short that what a wave of warps writes at its end is dear.
    Few,
    /// They share some: what is counted.
    Shared,
}

impl Sharing {
    fn mask(self) -> u32 {
        match self {
            Self::Own | Self::Few => OWN_UNITS,
            Self::Shared => SHARED - 1,
        }
    }
}

/// Memory that warps record into.
pub fn record_memory(spec: RecordSpec) -> Result<RecordMemory, Fault> {
    let records = RecordMemory::new(spec).map_err(InfrastructureFault::System)?;
    records.populate();
    Ok(records)
}

/// Shape of the memory that the warps of a build with `sites` record into.
pub fn record_spec(sites: &SiteTable, sharing: Sharing) -> Result<RecordSpec, Fault> {
    let digest = sites.digest().map_err(|error| InternalFault::Refused(error.to_string()))?;
    let site_count = u32::try_from(sites.sites.len()).unwrap_or(u32::MAX);
    let is_trace = sites.mode == Mode::Trace;
    let record_capacity = if is_trace { TRACE_RECORDS } else { 0 };
    let stride = offset::unit_stride(site_count, sites.word_count(), record_capacity);
    let room = u32::try_from((MOST_BYTES / stride).clamp(1, OWN)).unwrap_or(1);
    let unit_capacity = match sharing {
        Sharing::Own if is_trace => room.min(TRACED),
        Sharing::Own => room,
        Sharing::Few => room.min(FEW),
        Sharing::Shared => SHARED,
    };
    Ok(RecordSpec {
        site_count,
        word_count: sites.word_count(),
        record_capacity,
        keep: Keep::First,
        unit_capacity,
        mode: sites.mode,
        site_digest: digest,
    })
}

/// What a recorded call left.
pub struct Recorded {
    /// The record file.
    pub records: Vec<u8>,
    /// What the call asked of the device.
    pub activity: Activity,
    /// Time in which the records came back from the device.
    pub collected: Duration,
}

/// Records one call, after one that is not recorded and says how many launches there are.
pub fn record(worker: &mut Worker, sharing: Sharing) -> Result<Recorded, Fault> {
    worker.run(1)?;
    worker.attach_with(sharing.mask())?;
    let activity = worker.trace(1)?;
    let begin = Instant::now();
    let records = worker.detach()?;
    Ok(Recorded { records, activity, collected: begin.elapsed() })
}

/// What an instrumented build left in the tensors: no input and nothing beside a tensor may have changed, and outputs that
/// differ from the clean build's are worth a note.
fn look_at_outputs(
    session: &mut Session<'_>,
    builds: &Builds,
    workload: usize,
    (worker, arena): (&mut Worker, &mut Arena),
    build: &str,
) -> Result<(), Stop> {
    arena.poison_outputs();
    worker.download()?;
    note_other_outputs(session, builds, workload, arena, build)
}

/// Runs the counting build once on every workload.
pub fn counters(session: &mut Session<'_>, builds: &Builds, reference: &mut Reference) -> Result<Done, Stop> {
    let Some(build) = available(session, &builds.manifest.counting, "kernel-counters")? else {
        return Ok(Done);
    };
    for workload in 0..session.problem.workloads.len() {
        session.progress(&format!("counting {}", session.problem.workloads[workload].name.clone()));
        let mut arena = session.take_arena(reference, workload)?;
        let mut worker = session.hire(Duty::Counting, builds, build, workload, &arena)?;
        worker.upload(true, POISON)?;
        let recorded = record(&mut worker, Sharing::Shared)?;
        look_at_outputs(session, builds, workload, (&mut worker, &mut arena), "counting")?;
        session.crew.give_back(Duty::Counting, worker);
        session.arenas[workload] = Some(arena);
        keep_all(session, workload, RecordKind::Counting, build, recorded)?;
    }
    session.push(Event::Layer { name: "kernel-counters".into(), status: LayerStatus::Ran })?;
    Ok(Done)
}

/// Runs the observing build once on every workload. It is many times slower than the clean one, so a run that takes too
/// long is no fault of the candidate's: what it would have told is missing, and a note says so.
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
    for workload in 0..session.problem.workloads.len() {
        session.progress(&format!("observing {}", session.problem.workloads[workload].name.clone()));
        let mut arena = session.take_arena(reference, workload)?;
        let mut worker = session.hire(Duty::Observing, builds, build, workload, &arena)?;
        worker.upload(true, POISON)?;
        match record(&mut worker, Sharing::Shared) {
            Ok(recorded) => {
                look_at_outputs(session, builds, workload, (&mut worker, &mut arena), "observing")?;
                session.crew.give_back(Duty::Observing, worker);
                keep_all(session, workload, RecordKind::Observing, build, recorded)?;
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

/// Leaves records and activity of one call.
pub fn keep_all(
    session: &mut Session<'_>,
    workload: usize,
    kind: RecordKind,
    build: &Build,
    Recorded { records, activity, .. }: Recorded,
) -> Result<(), EvalError> {
    let instrumented = match kind {
        RecordKind::Timing => BuildKind::Timing,
        RecordKind::Pilot => BuildKind::Pilot,
        RecordKind::Counting => BuildKind::Counting,
        RecordKind::Observing => BuildKind::Observing,
    };
    if activity.streams > 1 {
        session.note_once(
            "launches on several streams ran one after the other while they were recorded: there is one launch header"
                .into(),
        )?;
    }
    session.push(Event::Launched { workload, build: instrumented, activity })?;
    keep(session, workload, kind, build, &records)
}
