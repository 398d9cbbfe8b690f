//! The row of stages: Load → Build → Check → Measure → Peaks → Counters → Observe → System → Probes. Synthesis and report are the fold.

use super::{
    EvalError,
    check::check,
    device::{self, Crew},
    failure::Stop,
    fit,
    measure::measure,
    peaks::peaks,
    python,
    records::{counters, observe, probes},
    reference::Living,
    session::{Done, Ended, Session},
    subject::Subject,
    system,
};
use crate::{
    builds::{self, Builds},
    complaint::Complaint,
    frontend::Language,
    jobs::event::{BuildKind, Event, Failure, LoadedWorkload, Stage},
    tensor::TensorSpec,
};
use kinstr_trace::{
    report::{Fault, LayerStatus, Verdict},
    synthesis::{ProblemBuffer, Role},
};

/// Runs what is left to run. Answers the complaint of the stage that failed, if one did.
pub fn run(session: &mut Session<'_>) -> Result<Option<Complaint>, EvalError> {
    if session.is_judged() {
        return Ok(session.last_failure().map(complaint_of));
    }
    match run_all(session) {
        Ok(()) => Ok(None),
        Err(Ended::Fatal(error)) => Err(error),
        Err(Ended::Failed(failed)) if failed.failure.fault == Fault::Candidate => {
            note_health(session)?;
            session.push(Event::Judged {
                verdict: Verdict::Incorrect,
                detail: failed.failure.message.clone(),
                fault: Some(Fault::Candidate),
            })?;
            Ok(Some(failed.complaint))
        }
        Err(Ended::Failed(failed)) => Err(EvalError::Stage(failed)),
    }
}

fn run_all(session: &mut Session<'_>) -> Result<(), Ended> {
    session.stage(Stage::Load, load)?;
    let mut living = Living::default();
    if session.source.language == Language::Python {
        return python::run(session, &mut living);
    }
    let builds = build(session)?;
    note_device(session, &builds)?;
    note_threads(session, builds.manifest.threads)?;
    session.stage(Stage::Check, |session| {
        Crew::gather(session, &builds)?;
        let reference = living.get(session)?;
        check(session, Subject::Built(&builds), reference)
    })?;
    if session.is_judged() {
        return Ok(());
    }
    if session.site.ordinal().is_some() {
        return device::run(session, &builds, &mut living);
    }
    session.stage(Stage::Measure, |session| {
        let reference = living.get(session)?;
        measure(session, Subject::Built(&builds), reference)
    })?;
    if session.is_judged() {
        return Ok(());
    }
    explain(session, Stage::Peaks, "peaks", peaks)?;
    explain(session, Stage::Counters, "kernel-counters", |session| {
        let reference = living.get(session)?;
        counters(session, &builds, reference)
    })?;
    explain(session, Stage::Observe, "intra-kernel", |session| {
        let reference = living.get(session)?;
        observe(session, &builds, reference)
    })?;
    explain(session, Stage::System, system::LAYER, |session| {
        let reference = living.get(session)?;
        system::system(session, &builds, reference)
    })?;
    explain(session, Stage::Probes, "intra-kernel", |session| {
        let reference = living.get(session)?;
        probes(session, &builds, reference)
    })?;
    finish(session)?;
    Ok(())
}

/// Runs a stage that explains what is known by then. The clean build has been judged and timed: whatever happens to an
/// instrumented one, to the reference or to the machine, costs `layer` and no more.
pub(super) fn explain(
    session: &mut Session<'_>,
    stage: Stage,
    layer: &str,
    body: impl FnMut(&mut Session<'_>) -> Result<Done, Stop>,
) -> Result<(), Ended> {
    match session.stage(stage, body) {
        Err(Ended::Failed(failed)) => fail_layer(session, layer, failed.failure.message),
        Err(Ended::Fatal(error @ (EvalError::Reference(_) | EvalError::NativeReference(_)))) => {
            fail_layer(session, layer, error.to_string())
        }
        other => other,
    }
}

fn fail_layer(session: &mut Session<'_>, layer: &str, reason: String) -> Result<(), Ended> {
    Ok(session.push(Event::Layer { name: layer.into(), status: LayerStatus::Failed(reason) })?)
}

/// After a fault of code on a device: whether the device still works, for a worker that starts anew.
fn note_health(session: &mut Session<'_>) -> Result<(), EvalError> {
    let Some(ordinal) = session.site.ordinal() else { return Ok(()) };
    match crate::measure::try_device(ordinal) {
        Ok(()) => Ok(()),
        Err(fault) => {
            let text = format!("after the fault the device did not answer a new process: {fault}");
            session.push(Event::Note { text })
        }
    }
}

/// What an earlier run said of a failure; of the source it showed, the places are left.
fn complaint_of(failure: &Failure) -> Complaint {
    let complaint = Complaint::new(&format!("candidate::{}", failure.kind), &failure.message);
    match &failure.hint {
        Some(hint) => complaint.help(hint),
        None => complaint,
    }
}

pub(super) fn finish(session: &mut Session<'_>) -> Result<(), EvalError> {
    let why = match session.site.device {
        Some(_) => "CUPTI and other tools of the vendor are not asked",
        None => "the target `cpu` has no accelerator",
    };
    let status = LayerStatus::Unavailable(why.into());
    session.push(Event::Layer { name: "accelerator".into(), status })?;
    let count = session.problem.workloads.len();
    let detail = match count {
        1 => "agrees with the reference on the only workload".to_owned(),
        count => format!("agrees with the reference on all {count} workloads"),
    };
    session.push(Event::Judged { verdict: Verdict::Correct, detail, fault: None })
}

/// The device, and what the kernels need on it.
fn note_device(session: &mut Session<'_>, builds: &Builds) -> Result<(), EvalError> {
    let Some(facts) = session.site.device.as_ref().map(|device| device.facts.clone()) else { return Ok(()) };
    if session.log.events().iter().any(|event| matches!(event, Event::Device { .. })) {
        return Ok(());
    }
    session.push(Event::Device { facts })?;
    let resources = builds.manifest.clean.kernels.clone();
    session.push(Event::Kernels { build: BuildKind::Clean, resources })
}

/// What is compared with several threads is not what the peaks are of.
fn note_threads(session: &mut Session<'_>, threads: u32) -> Result<(), EvalError> {
    if threads == 1 {
        return Ok(());
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    session.note_once(format!(
        "the candidate may run on {threads} threads, on {} cores; the peaks are those of one thread",
        cores.min(threads as usize)
    ))
}

/// Problem and candidate fit each other.
fn load(session: &mut Session<'_>) -> Result<Done, Stop> {
    let problem = session.problem.name.clone();
    let workloads = (0..session.problem.workloads.len()).map(|index| loaded(session, index)).collect();
    session.push(Event::Loaded { problem, workloads })?;
    if session.source.language == Language::Python {
        return Ok(Done);
    }
    let written = builds::written_signature(&session.source, &session.options.store)?;
    fit::check(&session.problem, &written).map_err(|complaint| {
        let hint = complaint.help_text().map(str::to_owned);
        Stop::failed(Fault::Candidate, "signature", *complaint, hint.as_deref())
    })?;
    Ok(Done)
}

fn loaded(session: &Session<'_>, index: usize) -> LoadedWorkload {
    let problem = &session.problem;
    let workload = &problem.workloads[index];
    let buffer = |role| {
        move |(index, spec): (usize, TensorSpec)| ProblemBuffer {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            dtype: spec.dtype.name().to_owned(),
            elements: spec.elements(),
            bytes: spec.bytes() as u64,
            name: spec.name,
            role,
        }
    };
    let inputs = problem.input_specs(workload);
    let first_output = inputs.len();
    let outputs = problem.output_specs(workload).into_iter().enumerate();
    let outputs = outputs.map(|(index, spec)| (first_output + index, spec)).map(buffer(Role::Output));
    LoadedWorkload {
        axes: workload.axes.iter().cloned().collect(),
        buffers: inputs.into_iter().enumerate().map(buffer(Role::Input)).chain(outputs).collect(),
    }
}

/// The builds are needed in memory by every later stage; the store makes a second time cheap.
fn build(session: &mut Session<'_>) -> Result<Builds, Ended> {
    let body = |session: &mut Session<'_>| -> Result<Builds, Stop> {
        session.progress("building");
        let builds =
            builds::build(&session.source, &session.probes, &session.options.store, &session.site.target)?;
        Ok(builds)
    };
    if session.is_done(Stage::Build) {
        return body(session).map_err(Ended::from);
    }
    session.attempt(Stage::Build, body)
}
