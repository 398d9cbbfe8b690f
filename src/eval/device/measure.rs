//! Measure: candidate and reference in turns, by the device's clock, which the parent's checks.

use super::{
    super::{
        arguments::{digest_outputs, float_arguments, float_inputs},
        baseline::{self, TimedReference},
        failure::Stop,
        measure::{
            COMPILED, KEEPS_RESULTS, OTHER_OUTPUTS, REFERENCE, agrees, follows_inputs, speedup, times,
        },
        session::{Done, Session},
        subject::{Inputs, Running, Subject},
    },
    crew::Duty,
    replay,
};
use crate::{
    correctness::POISON,
    jobs::event::{BuildKind, Event},
    measure::{DeviceTimed, Measurement, Plan, contradicted, interleave_on_device},
    problem::Problem,
    reference::{Reference, Variant},
    worker::{Fault, fault::CandidateFault},
};
use kinstr_runtime::{
    arena::Arena,
    gpu::{self, Activity},
};
use kinstr_trace::device::DeviceState;
use kinstr_trace::report::{LayerStatus, Verdict};
use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

/// Part of the budget that clean timing may spend; the rest is for the certificate.
const SHARE: f64 = 0.6;
/// Calls whose launches and host calls are taken down: the first may do what the others do not.
pub const TRACED: u32 = 3;
/// Launches of a call that make one call enough.
pub const MANY_LAUNCHES: u32 = 500;
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
    let limits = session.limits();
    let mut worker = subject.start(session, reference, inputs, &arena, limits)?;
    worker.run_on(&mut arena, POISON)?;
    let mut verifier = Verifier::new(session, workload);
    verifier.look(&arena, &reference.expected());
    // What the instrumented builds are held to.
    session.clean_outputs[workload] = verifier.agreed;
    let rotate = rotated(session, subject, &mut worker, reference)?;
    let has_compiled = baseline::compile(session, reference)?;
    let (shared, on_device) = (RefCell::new(&mut *reference), Cell::new(true));
    let mut candidate = TimedCandidate::new(&mut worker, &mut arena, verifier, &shared, rotate.clone());
    let of = |variant| TimedReference::new(&shared, variant, !rotate.is_empty(), &on_device);
    let (mut plain, mut compiled) = (of(Variant::Plain), of(Variant::Compiled));
    let plan = Plan { half_width: session.options.half_width, budget };
    // The clock of a device that does nothing is not the one it is timed with.
    candidate.time(1)?;
    let before = session.device_state();
    let mut contenders: Vec<&mut dyn DeviceTimed> = vec![&mut candidate, &mut plain];
    if has_compiled {
        contenders.push(&mut compiled);
    }
    let mut measured = interleave_on_device(&mut contenders, &plan)?;
    let after = session.device_state();
    let contradicted = candidate.cross_check()?;
    let TimedCandidate { verifier, fresh, launches, .. } = candidate;
    let activity = worker.trace(if launches > MANY_LAUNCHES { 1 } else { TRACED })?;
    let follows = match subject {
        Subject::Built(_) => true,
        // A new model is made for every check; the one that was timed has to answer for other inputs too.
        Subject::Python => follows_inputs(&mut worker, session, reference, workload, &mut arena)?,
    };
    session.arenas[workload] = Some(arena);
    match worker {
        Running::Python(mut worker) => {
            // Its tensors are as the last call found them, and what it compiles is compiled.
            session.noted[workload] = (verifier.correct && follows).then(|| replay::note(&mut worker));
            session.python = Some(worker);
        }
        Running::Native(worker) => session.crew.give_back(Duty::Clean, *worker),
    }
    if !verifier.correct {
        return Ok(Err(OTHER_OUTPUTS));
    }
    if !follows {
        return Ok(Err(KEEPS_RESULTS));
    }
    note_states(session, workload, before, after)?;
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
) -> Result<Vec<usize>, Stop> {
    let Subject::Python = subject else { return Ok(float_inputs(&session.problem)) };
    let arguments = float_arguments(&session.problem);
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

/// A clock after the timing below this part of the one before is worth a note.
const STEADY: f64 = 0.97;

/// Keeps what the device was like before and after it was timed on, and notes what slowed it down meanwhile.
fn note_states(
    session: &mut Session<'_>,
    workload: usize,
    before: Result<DeviceState, String>,
    after: Result<DeviceState, String>,
) -> Result<(), Stop> {
    let (before, after) = match (before, after) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(why), _) | (_, Err(why)) => {
            let text = format!("clock and temperature of the GPU while it was timed are not known: {why}");
            return Ok(session.note_once(text)?);
        }
    };
    let mut reasons = before.slowed_by.clone();
    reasons.extend(after.slowed_by.iter().filter(|reason| !before.slowed_by.contains(reason)).cloned());
    let dropped = f64::from(after.sm_clock_mhz) < STEADY * f64::from(before.sm_clock_mhz);
    if dropped || !reasons.is_empty() {
        let name = &session.problem.workloads[workload].name;
        let why = if reasons.is_empty() { "no reason is told".into() } else { reasons.join(", ") };
        let text = format!(
            "{name}: the GPU was slowed down while it was timed: {} MHz before, {} MHz after, of {} MHz at most; {} °C; {why}",
            before.sm_clock_mhz, after.sm_clock_mhz, after.most_sm_clock_mhz, after.temperature_c
        );
        session.push(Event::Note { text })?;
    }
    Ok(session.push(Event::DeviceStates { workload, states: [before, after] })?)
}

impl Session<'_> {
    /// What the device is like now.
    fn device_state(&self) -> Result<DeviceState, String> {
        gpu::state(self.site.ordinal().unwrap_or_default())
    }
}

/// Compares outputs of timed calls with the expected ones.
struct Verifier {
    problem: Problem,
    workload: usize,
    correct: bool,
    /// Digest of outputs that agreed: the same bits need no second comparison.
    agreed: Option<blake3::Hash>,
}

impl Verifier {
    fn new(session: &Session<'_>, workload: usize) -> Self {
        Self { problem: session.problem.clone(), workload, correct: true, agreed: None }
    }

    /// Compares what a call left in `arena`, whose outputs held [`POISON`] before.
    fn look(&mut self, arena: &Arena, expected: &[&[u8]]) {
        let digest = digest_outputs(arena, &self.problem);
        if self.agreed == Some(digest) {
            return;
        }
        let agrees = agrees(&self.problem, self.workload, expected, arena, POISON);
        self.correct &= agrees;
        self.agreed = self.agreed.or(agrees.then_some(digest));
    }
}

/// The clean build, or the model. Outputs of its last call are compared after some turns: the first, and then ever rarer ones.
struct TimedCandidate<'w, 'r> {
    worker: &'w mut Running,
    arena: &'w mut Arena,
    verifier: Verifier,
    /// Who has the expected outputs.
    reference: &'w RefCell<&'r mut Reference>,
    rotate: Vec<usize>,
    turn: u32,
    fresh: bool,
    /// Launches of a call.
    launches: u32,
}

impl<'w, 'r> TimedCandidate<'w, 'r> {
    fn new(
        worker: &'w mut Running,
        arena: &'w mut Arena,
        verifier: Verifier,
        reference: &'w RefCell<&'r mut Reference>,
        rotate: Vec<usize>,
    ) -> Self {
        Self { worker, arena, verifier, reference, rotate, turn: 0, fresh: true, launches: 0 }
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

impl DeviceTimed for TimedCandidate<'_, '_> {
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
            self.verifier.look(self.arena, &self.reference.borrow().expected());
        }
        Ok(times.device_ns)
    }
}
