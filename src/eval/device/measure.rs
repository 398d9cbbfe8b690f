//! Measure: candidate and reference in turns, by the device's clock, which the parent's checks.

use super::super::{
    arguments::digest_outputs,
    baseline::{self, TimedReference},
    failure::Stop,
    measure::{COMPILED, KEEPS_RESULTS, OTHER_OUTPUTS, REFERENCE, Verifier, follows_inputs, speedup, times},
    session::{Done, Session},
    subject::{Inputs, Running, Subject},
};
use crate::{
    correctness::POISON,
    jobs::event::{BuildKind, Event},
    measure::{DeviceTimed, Measurement, Plan, contradicted, interleave_on_device},
    reference::{Reference, Variant},
    worker::{Fault, fault::CandidateFault},
};
use kinstr_runtime::{arena::Arena, gpu::Activity};
use kinstr_trace::report::{LayerStatus, Verdict};
use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

/// Part of the budget that clean timing may spend; the rest is for the certificate.
const SHARE: f64 = 0.6;
/// Calls whose launches and host calls are taken down: the first may do what the others do not.
const TRACED: u32 = 3;
/// Launches of a call that make one call enough.
const MANY_LAUNCHES: u32 = 500;
/// Calls in a row by which the parent's clock checks the device's, and the times it does.
const CHECKED: u32 = 10;
const CHECKS: usize = 3;

/// Times every workload, and takes down what a call asks of the device.
pub fn measure(
    session: &mut Session<'_>,
    subject: Subject<'_>,
    reference: &mut Reference,
) -> Result<Done, Stop> {
    let count = session.problem.workloads.len();
    let budget = session.options.budget.mul_f64(SHARE) / u32::try_from(count).unwrap_or(1).max(1);
    for workload in 0..count {
        let name = session.problem.workloads[workload].name.clone();
        session.progress(&format!("timing {name}"));
        let (measured, activity) = match time(session, subject, reference, workload, budget)? {
            Ok(timed) => timed,
            Err(unsound) => {
                let detail = format!("{name}: {unsound}");
                session.push(Event::Judged { verdict: Verdict::Incorrect, detail, fault: None })?;
                return Ok(Done);
            }
        };
        let [speedup, over_compiled] = [REFERENCE, COMPILED].map(|variant| speedup(&measured, variant));
        session.push(Event::Measured { workload, times: times(&measured), speedup, over_compiled })?;
        if let Some(activity) = activity {
            session.push(Event::Launched { workload, build: BuildKind::Clean, activity })?;
        }
    }
    session.push(Event::Layer { name: "performance".into(), status: LayerStatus::Ran })?;
    if matches!(subject, Subject::Built(_)) {
        session.push(Event::Layer { name: "system".into(), status: LayerStatus::Ran })?;
    }
    Ok(Done)
}

const NO_WORK: &str = "a call gives the device nothing to do";

/// The inner error says what is unsound about timed calls.
fn time(
    session: &mut Session<'_>,
    subject: Subject<'_>,
    reference: &mut Reference,
    workload: usize,
    budget: Duration,
) -> Result<Result<(Measurement, Option<Activity>), &'static str>, Stop> {
    // A seed that was not checked: content that the candidate has never seen.
    let inputs = Inputs { workload, seed: session.timing_seed(workload) };
    let mut arena = session.fill_arena(reference, workload, inputs.seed)?;
    reference.evaluate()?;
    let verifier = Verifier::new(session, workload, reference);
    let limits = session.limits();
    let mut worker = subject.start(session, reference, inputs, &arena, limits)?;
    worker.run_on(&mut arena, POISON)?;
    let rotate = rotated(session, subject, &mut worker, reference, &verifier)?;
    let mut candidate = TimedCandidate::new(&mut worker, &mut arena, verifier, rotate.clone());
    let has_compiled = baseline::compile(session, reference)?;
    let (shared, on_device) = (RefCell::new(&mut *reference), Cell::new(true));
    let of = |variant| TimedReference::new(&shared, variant, !rotate.is_empty(), &on_device);
    let (mut plain, mut compiled) = (of(Variant::Plain), of(Variant::Compiled));
    let plan = Plan { half_width: session.options.half_width, budget };
    let mut contenders: Vec<&mut dyn DeviceTimed> = vec![&mut candidate, &mut plain];
    if has_compiled {
        contenders.push(&mut compiled);
    }
    let mut measured = interleave_on_device(&mut contenders, &plan)?;
    let contradicted = candidate.cross_check()?;
    let TimedCandidate { verifier, fresh, launches, .. } = candidate;
    let activity = worker.trace(if launches > MANY_LAUNCHES { 1 } else { TRACED })?;
    // What the instrumented builds are held to.
    worker.run_on(&mut arena, POISON)?;
    session.clean_outputs[workload] = Some(digest_outputs(&arena, &session.problem));
    let follows = match subject {
        Subject::Built(_) => true,
        // A new model is made for every check; the one that was timed has to answer for other inputs too.
        Subject::Python => follows_inputs(&mut worker, session, reference, workload, &mut arena)?,
    };
    session.arenas[workload] = Some(arena);
    if let Running::Python(python) = worker {
        session.python = Some(python);
    }
    if !verifier.correct() {
        return Ok(Err(OTHER_OUTPUTS));
    }
    if !follows {
        return Ok(Err(KEEPS_RESULTS));
    }
    if activity.as_ref().is_some_and(|activity| activity.launches.is_empty()) {
        return Ok(Err(NO_WORK));
    }
    if !on_device.get() {
        session.note_once(
            "the reference does not run on the GPU: its times are those of one thread of the CPU".into(),
        )?;
    }
    if !fresh {
        let text = "there is no room on the device for a second set of tensors: timed calls find theirs at one address";
        session.note_once(text.into())?;
    }
    if let Some((checked_ns, parent_ns)) = contradicted {
        let [device_us, parent_us] = [checked_ns, parent_ns].map(|ns| ns / 1e3);
        let text = format!(
            "workload {workload}: the device's clock says {device_us:.1} µs a call, the parent's {parent_us:.1} µs: the \
             longer one counts"
        );
        session.push(Event::Note { text })?;
        let factor = (parent_ns / checked_ns.max(1.0)).max(1.0);
        measured.contenders[0].nanoseconds.iter_mut().for_each(|ns| *ns *= factor);
    }
    Ok(Ok((measured, activity)))
}

/// The inputs whose elements move from call to call. A model may raise on moved ones, such as a matrix that was symmetric and
/// no longer is; then contents stay, and only addresses change.
fn rotated(
    session: &mut Session<'_>,
    subject: Subject<'_>,
    worker: &mut Running,
    reference: &mut Reference,
    verifier: &Verifier,
) -> Result<Vec<usize>, Stop> {
    let Subject::Python = subject else { return Ok(verifier.float_inputs()) };
    let arguments = verifier.float_arguments();
    // Two calls, for the last one finds the inputs as they are.
    let raised = match worker.time_calls(2, true, &arguments) {
        Err(Fault::Candidate(CandidateFault::Python(objection))) if objection.kind == "raised" => true,
        timed => {
            timed?;
            reference.time(2, true, Variant::Plain).is_err()
        }
    };
    if raised {
        let text = "calls on inputs whose elements have changed places raise, so that timed calls find the same contents, \
                    at other addresses";
        session.note_once(text.into())?;
        return Ok(Vec::new());
    }
    Ok(arguments)
}

/// The clean build, or the model. Outputs of its last call are compared after some turns: the first, and then ever rarer ones.
struct TimedCandidate<'w> {
    worker: &'w mut Running,
    arena: &'w mut Arena,
    verifier: Verifier,
    rotate: Vec<usize>,
    turn: u32,
    fresh: bool,
    /// Launches of a call.
    launches: u32,
}

impl<'w> TimedCandidate<'w> {
    fn new(worker: &'w mut Running, arena: &'w mut Arena, verifier: Verifier, rotate: Vec<usize>) -> Self {
        Self { worker, arena, verifier, rotate, turn: 0, fresh: true, launches: 0 }
    }

    /// What the device's clock and the parent's say of a call, in ns, if they do not agree. Of several looks the shortest
    /// counts, because whatever disturbs one adds to it.
    fn cross_check(&mut self) -> Result<Option<(f64, f64)>, Fault> {
        let (mut whole, mut around) = (Duration::MAX, Duration::MAX);
        let mut device_ns = f64::INFINITY;
        for _ in 0..CHECKS {
            let (times, took) = self.worker.time_calls(CHECKED, true, &self.rotate)?;
            whole = whole.min(took);
            device_ns = device_ns.min(times.device_ns.iter().sum::<f64>() / f64::from(CHECKED));
            around = around.min(self.worker.time_calls(CHECKED, false, &self.rotate)?.1);
        }
        Ok(contradicted(device_ns, CHECKED, whole, around).map(|parent_ns| (device_ns, parent_ns)))
    }
}

impl DeviceTimed for TimedCandidate<'_> {
    fn time(&mut self, calls: u32) -> Result<Vec<f64>, Fault> {
        self.turn += 1;
        if self.turn.is_power_of_two() {
            self.arena.poison_outputs();
            self.worker.put_outputs()?;
        }
        let (times, _) = self.worker.time_calls(calls, true, &self.rotate)?;
        self.fresh = times.fresh_addresses;
        self.launches = times.launches;
        if self.turn.is_power_of_two() {
            self.arena.poison_outputs();
            self.worker.fetch()?;
            self.verifier.note(self.arena);
        }
        Ok(times.device_ns)
    }
}
