//! Measure: candidate and reference in turns, clean builds only.

use super::{
    EvalError,
    arguments::{digest_outputs, float_arguments, float_inputs, outputs, put_inputs, timed_limits},
    baseline::{self, TimedReference},
    check::{check_guards, check_inputs},
    failure::Stop,
    renewed::{self, Calls, Known, Renewed},
    session::{Done, Session},
    subject::{Inputs, Running, Subject},
};
use crate::{
    correctness::{Comparer, OTHER_POISON, POISON},
    jobs::event::Event,
    measure::{
        Interval, Measurement, Moment, Plan, Samples, Timed, Watched, attained_confidence, interleave,
        peak_resident, summary,
    },
    problem::Problem,
    reference::{Reference, Variant},
    worker::{Fault, fault::InfrastructureFault},
};
use kinstr_runtime::arena::Arena;
use kinstr_trace::{
    report::{LayerStatus, Speedup, Times, Verdict},
    surroundings::SystemCounts,
};
use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

/// Part of the budget that clean timing may spend; the rest is for the certificate and for cold caches.
const SHARE: f64 = 0.6;

/// Times every workload.
pub fn measure(
    session: &mut Session<'_>,
    subject: Subject<'_>,
    reference: &mut Reference,
) -> Result<Done, Stop> {
    let count = session.problem.workloads.len();
    let budget = session.options.budget.mul_f64(SHARE) / u32::try_from(count).unwrap_or(1).max(1);
    let (mut counts, mut resident) = (Vec::new(), Vec::new());
    for workload in 0..count {
        let name = session.problem.workloads[workload].name.clone();
        session.progress(&format!("timing {name}"));
        let timed = match time(session, subject, reference, workload, budget)? {
            Ok(timed) => timed,
            Err(unsound) => {
                let detail = format!("{name}: {unsound}");
                session.push(Event::Judged { verdict: Verdict::Incorrect, detail, fault: None })?;
                return Ok(Done);
            }
        };
        session.push(Event::Measured {
            workload,
            times: times_of(&timed),
            speedup: speedup(&timed.measured, REFERENCE),
            over_compiled: speedup(&timed.measured, COMPILED),
        })?;
        session.push(Event::SystemCounted { workload, counts: timed.system.clone() })?;
        note_doubts(session, &name, &timed)?;
        counts.push(timed.system);
        resident.push(timed.peak_resident);
    }
    session.push(Event::System { summary: summary(&counts, &resident) })?;
    session.push(Event::Layer { name: "performance".into(), status: LayerStatus::Ran })?;
    session.push(Event::Layer { name: "system".into(), status: LayerStatus::Ran })?;
    Ok(Done)
}

/// What a reader of the times should know.
fn note_doubts(session: &mut Session<'_>, name: &str, timed: &TimedCalls) -> Result<(), EvalError> {
    if let Some(times) = timed.renewed.noted {
        let text = format!(
            "{name}: calls on new inputs and overwritten outputs take {times:.1} times as long as those in a row; \
             does the kernel keep results, or skip work that it finds done?"
        );
        session.push(Event::Note { text })?;
    }
    if let Some(times) = timed.renewed.slower {
        let text = format!(
            "{name}: after they had been timed, calls in a row took {times:.1} times as long: the longer time counts; is the \
             machine busy?"
        );
        session.push(Event::Note { text })?;
    }
    if timed.renewed.raised {
        let text = format!(
            "{name}: the candidate raises on inputs whose elements have changed places, so that calls on new inputs \
             were not timed"
        );
        session.push(Event::Note { text })?;
    }
    let rounds = timed.measured.contenders[0].nanoseconds.len();
    if let Some(confidence) = attained_confidence(rounds) {
        let text = format!(
            "{name}: intervals of times and speedup rest on {rounds} rounds and are of {:.0} %, not of 95 %",
            confidence * 100.0
        );
        session.push(Event::Note { text })?;
    }
    Ok(())
}

/// The inner error says what a timed call did that a checked one does not.
fn time(
    session: &mut Session<'_>,
    subject: Subject<'_>,
    reference: &mut Reference,
    workload: usize,
    budget: Duration,
) -> Result<Result<TimedCalls, &'static str>, Stop> {
    let options = session.options;
    // A seed that was not checked: content that the candidate has never seen.
    let inputs = Inputs { workload, seed: session.timing_seed(workload) };
    let mut arena = session.fill_arena(reference, workload, inputs.seed)?;
    reference.evaluate()?;
    let limits = timed_limits(options.timeout, options.memory, options.budget);
    let worker = subject.start(session, reference, inputs, &arena, limits)?;
    let (id, waiting) = (worker.id(), worker.waiting_threads());
    let worker = RefCell::new(worker);
    let mut verifier = Verifier::new(session, workload, reference);
    let plan = Plan { half_width: options.half_width, budget };
    let has_compiled = baseline::compile(session, reference)?;
    let (shared, on_device) = (RefCell::new(&mut *reference), Cell::new(false));
    let of = |variant| TimedReference::new(&shared, variant, false, &on_device);
    let (mut plain, mut compiled) = (of(Variant::Plain), of(Variant::Compiled));
    let mut watched = Watched::new(&worker, id, waiting);
    let mut contenders: Vec<&mut dyn Timed> = vec![&mut watched, &mut plain];
    if has_compiled {
        contenders.push(&mut compiled);
    }
    let mut measured = interleave(&mut contenders, &plan, &mut |moment| {
        verifier.look(moment, &mut arena, &mut worker.borrow_mut())
    })?;
    let system = watched.counts();
    let mut worker = worker.into_inner();
    let peak_resident = peak_resident(id);
    check_guards(&arena)?;
    if let Running::Python(python) = &mut worker {
        python.fetch()?;
        check_inputs(&arena, &verifier.inputs())?;
    }
    let threads = threads_seen(&system, subject.threads());
    let mut audit = audit(&mut worker, &mut arena, &mut verifier, &measured, threads)?;
    check_guards(&arena)?;
    if let (Running::Python(_), true) = (&worker, verifier.correct() && audit.is_ok()) {
        let follows = follows_inputs(&mut worker, session, reference, workload, &mut arena)?;
        audit = if follows { audit } else { Err(KEEPS_RESULTS) };
    }
    session.arenas[workload] = Some(arena);
    session.clean_outputs[workload] = verifier.agreed;
    if let Running::Python(python) = worker {
        note_threads(session, &system)?;
        session.python = Some(python);
    }
    Ok(match (verifier.correct(), audit) {
        (false, _) => Err(OTHER_OUTPUTS),
        (true, Err(unsound)) => Err(unsound),
        (true, Ok(renewed)) => {
            // Of calls in a row that take longer by now, the longer time counts.
            let slower = renewed.slower.unwrap_or(1.0);
            measured.contenders[0].nanoseconds.iter_mut().for_each(|ns| *ns *= slower);
            Ok(TimedCalls { measured, system, peak_resident, renewed })
        }
    })
}

/// What a candidate in Python has threads for is its own affair, but times end when its model returns.
fn note_threads(session: &mut Session<'_>, system: &SystemCounts) -> Result<(), EvalError> {
    match system.threads {
        Some(threads) if threads > 1 => session.note_once(format!(
            "the candidate's process has {threads} threads: what runs on one of them after `forward` has returned is \
             not in its times"
        )),
        _ => Ok(()),
    }
}

/// Threads that a call may have to wake: those that are there, of those that were asked for, as far as there are cores. A
/// line in the candidate's file alone would buy time.
fn threads_seen(system: &SystemCounts, asked: u32) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    system.threads.unwrap_or(1).min(asked).min(cores)
}

/// What is said of a candidate whose timed calls are wrong.
pub const OTHER_OUTPUTS: &str = "outputs of timed calls differ from those that were checked";
const LEAVES_OUTPUTS: &str = "calls after the timed ones leave outputs unwritten or wrong: the kernel does not do its \
                              work on every call";
const TAKES_OUTPUTS: &str = "calls that find right values in the wrong places of their outputs leave them there: the \
                             kernel takes outputs for its own, and skips work";
const SKIPS_WORK: &str = "calls on new inputs and overwritten outputs take many times as long as those in a row: the \
                          kernel keeps results, or skips work that it finds done";

/// What is said of a model that answers for inputs from before.
pub const KEEPS_RESULTS: &str = "calls on other inputs give outputs that do not belong to them: the model keeps results \
                             from call to call";

/// Sets of inputs that a model which was timed on others has to follow.
const OTHER_INPUTS: u32 = 2;

/// Whether a model that was called on inputs in a row gives what belongs to others, when they come. A compiled candidate
/// has shown so when it was checked; of one in Python every check makes a new model.
pub fn follows_inputs(
    worker: &mut Running,
    session: &Session<'_>,
    reference: &mut Reference,
    workload: usize,
    arena: &mut Arena,
) -> Result<bool, Stop> {
    for seed in session.other_seeds(workload, OTHER_INPUTS) {
        reference.prepare_other_inputs(seed)?;
        reference.evaluate()?;
        put_inputs(arena, &reference.inputs());
        worker.take()?;
        worker.run_on(arena, POISON)?;
        // Copying large tensors, to be kept, would take longer than all else here.
        if !agrees(&session.problem, workload, &reference.expected(), arena, POISON) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the outputs in `arena`, which held `poison` before, are the expected ones.
pub fn agrees(problem: &Problem, workload: usize, expected: &[&[u8]], arena: &Arena, poison: u8) -> bool {
    let Some(workload) = problem.workloads.get(workload) else { return false };
    let compared = Comparer::new(problem, workload).compare(expected, &outputs(arena, problem), poison);
    compared.is_ok_and(|outputs| outputs.iter().all(|output| output.passed))
}

/// Looks once more at what was timed: calls that find new inputs and overwritten outputs must not take far longer than
/// the calls in a row did, and a call must write all outputs, whether it finds them overwritten or like answers.
///
/// The inner error says what a timed call did that a checked one does not.
fn audit(
    worker: &mut Running,
    arena: &mut Arena,
    verifier: &mut Verifier,
    measured: &Measurement,
    threads: u32,
) -> Result<Result<Renewed, &'static str>, Stop> {
    let timed = &measured.contenders[0];
    let in_a_row = timed.estimate().median_ns;
    if in_a_row <= 0.0 {
        return Err(Fault::from(InfrastructureFault::NotTimed).into());
    }
    let renewed = time_renewed(worker, verifier, in_a_row, threads)?;
    put_inputs(arena, &verifier.inputs());
    worker.take()?;
    for poison in AUDITS {
        arena.poison_outputs_with(poison);
        worker.put_outputs()?;
        worker.run(1)?;
        worker.fetch()?;
        if !verifier.agrees(arena, poison) {
            return Ok(Err(LEAVES_OUTPUTS));
        }
    }
    for _ in 0..DISPLACED_CALLS {
        verifier.displace(arena);
        worker.put_outputs()?;
        worker.run(1)?;
        worker.fetch()?;
        if !verifier.agrees(arena, POISON) {
            return Ok(Err(TAKES_OUTPUTS));
        }
    }
    Ok(if renewed.skips { Err(SKIPS_WORK) } else { Ok(renewed) })
}

/// Single calls after the timed ones, in a row, for a kernel may do its work every other time; what outputs hold before.
const AUDITS: [u8; 2] = [OTHER_POISON, POISON];
/// Single calls that find outputs which look like answers and are none. A kernel that is right never looks at them; one
/// that knows poison, and works on every n-th call where it sees none, is found out in two.
const DISPLACED_CALLS: u32 = 3;
/// Times calls that find their inputs changed and their outputs overwritten, and holds them against calls in a row.
fn time_renewed(
    worker: &mut Running,
    verifier: &Verifier,
    in_a_row: f64,
    threads: u32,
) -> Result<Renewed, Stop> {
    let rotate = match worker {
        Running::Native(_) => float_inputs(&verifier.problem),
        Running::Python(_) => float_arguments(&verifier.problem),
    };
    let known = Known { in_a_row, bytes: verifier.bytes(), threads };
    renewed::time(&mut Rotating { worker, rotate }, known)
}

/// Calls of a candidate whose inputs `rotate` can be moved between them.
struct Rotating<'w> {
    worker: &'w mut Running,
    rotate: Vec<usize>,
}

impl Calls for Rotating<'_> {
    fn renewed(&mut self, calls: u32, call: bool) -> Result<Duration, Fault> {
        self.worker.run_renewed(calls, call, &self.rotate)
    }

    fn in_a_row(&mut self, calls: u32) -> Result<Duration, Fault> {
        self.worker.run(calls)
    }
}

/// A measurement, and what the system did meanwhile.
struct TimedCalls {
    measured: Measurement,
    system: SystemCounts,
    peak_resident: Option<u64>,
    renewed: Renewed,
}

/// Poisons outputs before turns of the candidate and compares them after some: the first, and then ever rarer ones,
/// so that comparing takes no time from measuring.
pub struct Verifier {
    problem: Problem,
    workload: usize,
    inputs: Vec<Vec<u8>>,
    expected: Vec<Vec<u8>>,
    turn: u32,
    correct: bool,
    /// Digest of outputs that agreed: the same bits need no second comparison.
    agreed: Option<blake3::Hash>,
}

impl Verifier {
    /// A verifier of the outputs that `reference` computed.
    pub fn new(session: &Session<'_>, workload: usize, reference: &Reference) -> Self {
        let own = |list: Vec<&[u8]>| list.into_iter().map(<[u8]>::to_vec).collect();
        Self {
            problem: session.problem.clone(),
            workload,
            inputs: own(reference.inputs()),
            expected: own(reference.expected()),
            turn: 0,
            correct: true,
            agreed: None,
        }
    }

    fn look(&mut self, moment: Moment, arena: &mut Arena, running: &mut Running) -> Result<(), Fault> {
        match moment {
            Moment::Before(0) => {
                self.turn += 1;
                if self.turn.is_power_of_two() {
                    arena.poison_outputs();
                    running.put_outputs()?;
                }
            }
            Moment::After(0) if self.turn.is_power_of_two() => {
                running.fetch()?;
                self.correct &= self.agrees(arena, POISON);
            }
            _ => {}
        }
        Ok(())
    }

    fn agrees(&mut self, arena: &Arena, poison: u8) -> bool {
        let digest = digest_outputs(arena, &self.problem);
        let agrees = self.agreed == Some(digest) || self.compare(arena, poison);
        self.agreed = self.agreed.or(agrees.then_some(digest));
        agrees
    }

    fn compare(&self, arena: &Arena, poison: u8) -> bool {
        let expected: Vec<&[u8]> = self.expected.iter().map(Vec::as_slice).collect();
        agrees(&self.problem, self.workload, &expected, arena, poison)
    }

    /// Moves the elements of every output by half its length.
    fn displace(&self, arena: &mut Arena) {
        let first = self.problem.inputs.len();
        for (index, output) in (first..).zip(&self.problem.outputs) {
            let bytes = arena.bytes_mut(index);
            let elements = bytes.len() / output.dtype.bytes();
            bytes.rotate_left(elements / 2 * output.dtype.bytes());
        }
    }

    fn inputs(&self) -> Vec<&[u8]> {
        self.inputs.iter().map(Vec::as_slice).collect()
    }

    /// Bytes of all tensors.
    fn bytes(&self) -> usize {
        self.inputs.iter().chain(&self.expected).map(Vec::len).sum()
    }

    /// Every comparison passed.
    fn correct(&self) -> bool {
        self.correct
    }
}

fn times_of(timed: &TimedCalls) -> Times {
    let TimedCalls { measured, renewed, .. } = timed;
    Times { renewed_ns: Some(renewed.ns).filter(|ns| *ns > 0.0), ..times(measured) }
}

/// Times for the report.
pub fn times(measured: &Measurement) -> Times {
    Times {
        candidate: measured.contenders[0].estimate(),
        reference: measured.contenders.get(REFERENCE).map(Samples::estimate),
        compiled: measured.contenders.get(COMPILED).map(Samples::estimate),
        cold: None,
        renewed_ns: None,
        stop: measured.stop,
    }
}

/// Places of the reference's variants among what is measured; the candidate is the first.
pub const REFERENCE: usize = 1;
/// Of what `torch.compile` makes of it.
pub const COMPILED: usize = 2;

/// How many times longer a variant of the reference takes, if it was measured.
pub fn speedup(measured: &Measurement, variant: usize) -> Option<Speedup> {
    measured.contenders.get(variant)?;
    let Interval { value, low, high } = measured.ratio(variant, 0);
    Some(Speedup { value, low, high })
}
