//! Measure: candidate and reference in turns, clean builds only.

use super::{
    arguments::{limits, outputs, put_inputs, start_worker},
    failure::Stop,
    session::{Done, Session},
};
use crate::{
    builds::Builds,
    correctness::{OTHER_POISON, POISON},
    jobs::event::Event,
    measure::{Interval, Measurement, Moment, Plan, Timed, Watched, interleave, peak_resident, summary},
    reference::Reference,
    worker::{Fault, Worker, fault::InfrastructureFault},
};
use kinstr_runtime::arena::Arena;
use kinstr_trace::{
    report::{LayerStatus, Speedup, Times, Verdict},
    surroundings::SystemCounts,
};
use std::time::Duration;

/// Part of the budget that clean timing may spend; the rest is for the certificate and for cold caches.
const SHARE: f64 = 0.6;

/// Times every workload.
pub fn measure(session: &mut Session<'_>, builds: &Builds, reference: &mut Reference) -> Result<Done, Stop> {
    let count = session.problem.workloads.len();
    let budget = session.options.budget.mul_f64(SHARE) / u32::try_from(count).unwrap_or(1).max(1);
    let (mut counts, mut resident) = (Vec::new(), Vec::new());
    for workload in 0..count {
        let name = session.problem.workloads[workload].name.clone();
        session.progress(&format!("timing {name}"));
        let timed = match time(session, builds, reference, workload, budget)? {
            Ok(timed) => timed,
            Err(unsound) => {
                let detail = format!("{name}: {unsound}");
                session.push(Event::Judged { verdict: Verdict::Incorrect, detail, fault: None })?;
                return Ok(Done);
            }
        };
        session.push(Event::Measured {
            workload,
            times: times(&timed.measured),
            speedup: Some(speedup(&timed.measured)),
        })?;
        session.push(Event::SystemCounted { workload, counts: timed.system.clone() })?;
        counts.push(timed.system);
        resident.push(timed.peak_resident);
    }
    session.push(Event::System { summary: summary(&counts, &resident) })?;
    session.push(Event::Layer { name: "performance".into(), status: LayerStatus::Ran })?;
    session.push(Event::Layer { name: "system".into(), status: LayerStatus::Ran })?;
    Ok(Done)
}

/// The inner error says what a timed call did that a checked one does not.
fn time(
    session: &mut Session<'_>,
    builds: &Builds,
    reference: &mut Reference,
    workload: usize,
    budget: Duration,
) -> Result<Result<TimedCalls, &'static str>, Stop> {
    let options = session.options;
    // A seed that was not checked: content that the candidate has never seen.
    let mut arena = session.fill_arena(reference, workload, session.timing_seed(workload))?;
    reference.evaluate()?;
    let limits = limits(options.timeout, options.memory);
    let mut worker =
        start_worker(builds, &builds.manifest.clean, &session.problem, workload, &arena, limits)?;
    let mut verifier = Verifier::new(session, workload, reference);
    let plan = Plan { half_width: options.half_width, budget };
    let mut timed_reference = TimedReference(reference);
    let mut watched = Watched::new(&mut worker);
    let measured = interleave(&mut [&mut watched, &mut timed_reference], &plan, &mut |moment| {
        verifier.look(moment, &mut arena);
        Ok(())
    })?;
    let system = watched.counts();
    let peak_resident = peak_resident(worker.id());
    let audit = audit(&mut worker, &mut arena, &mut verifier, &measured, builds.manifest.threads)?;
    session.arenas[workload] = Some(arena);
    Ok(match (verifier.correct(), audit) {
        (false, _) => Err(OTHER_OUTPUTS),
        (true, Some(unsound)) => Err(unsound),
        (true, None) => Ok(TimedCalls { measured, system, peak_resident }),
    })
}

/// What is said of a candidate whose timed calls are wrong.
pub const OTHER_OUTPUTS: &str = "outputs of timed calls differ from those that were checked";
const LEAVES_OUTPUTS: &str = "calls after the timed ones leave outputs unwritten or wrong: the kernel does not do its \
                              work on every call";
const SKIPS_WORK: &str = "calls on new inputs and overwritten outputs take many times as long as those in a row: the \
                          kernel keeps results, or skips work that it finds done";

/// Looks once more at what was timed: calls that find new inputs and overwritten outputs must not take far longer than
/// the calls in a row did, and a call on overwritten outputs must write them all.
fn audit(
    worker: &mut Worker,
    arena: &mut Arena,
    verifier: &mut Verifier,
    measured: &Measurement,
    threads: u32,
) -> Result<Option<&'static str>, Stop> {
    let timed = &measured.contenders[0];
    let in_a_row = timed.estimate().median_ns;
    if in_a_row <= 0.0 {
        return Err(Fault::from(InfrastructureFault::NotTimed).into());
    }
    let skips = is_slower_renewed(worker, verifier, in_a_row, threads)?;
    put_inputs(arena, &verifier.inputs());
    for poison in AUDITS {
        arena.poison_outputs_with(poison);
        worker.run(1)?;
        if !verifier.agrees(arena) {
            return Ok(Some(LEAVES_OUTPUTS));
        }
    }
    Ok(skips.then_some(SKIPS_WORK))
}

/// Single calls after the timed ones, in a row, for a kernel may do its work every other time; what outputs hold before.
const AUDITS: [u8; 2] = [OTHER_POISON, POISON];
/// A call on renewed tensors may take this many times a call in a row: data-dependent work differs, and renewing large
/// tensors leaves others in the caches.
const COLD: f64 = 5.0;
/// And this much longer on top, in ns: changing the protection of inputs flushes their address translations.
const COLD_NS: f64 = 3_000.0;
/// The same for each further thread, which may have to be woken.
const COLD_THREAD_NS: f64 = 200_000.0;
/// Time for a batch of renewed calls: short enough that some are not disturbed.
const RENEWED_BATCH_NS: f64 = 1e6;
/// What renewing costs at least, in ns: system calls, and 5 GB/s of memory.
const RENEWING_NS: f64 = 5_000.0;
const RENEWING_NS_PER_BYTE: f64 = 0.2;
/// Batches before anything is believed, and before a kernel is accused: disturbance only adds, so that the fastest
/// counts, and a busy machine disturbs most of them.
const LEAST_BATCHES: usize = 3;
const MOST_BATCHES: usize = 60;

/// Whether calls that find their inputs changed and their outputs overwritten take far longer than calls in a row.
fn is_slower_renewed(
    worker: &mut Worker,
    verifier: &Verifier,
    in_a_row: f64,
    threads: u32,
) -> Result<bool, Stop> {
    let rotate = verifier.float_inputs();
    let renewing = RENEWING_NS + RENEWING_NS_PER_BYTE * verifier.bytes() as f64;
    let calls = (RENEWED_BATCH_NS / (in_a_row + renewing)).clamp(1.0, 1000.0) as u32;
    let woken = COLD_THREAD_NS * f64::from(threads.saturating_sub(1));
    let most = COLD * in_a_row + COLD_NS + woken;
    let (mut with, mut without) = (f64::INFINITY, f64::INFINITY);
    for batch in 1..=MOST_BATCHES {
        with = with.min(worker.run_renewed(calls, true, &rotate)?.as_nanos() as f64);
        without = without.min(worker.run_renewed(calls, false, &rotate)?.as_nanos() as f64);
        if batch >= LEAST_BATCHES && (with - without) / f64::from(calls) <= most {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A measurement, and what the system did meanwhile.
struct TimedCalls {
    measured: Measurement,
    system: SystemCounts,
    peak_resident: Option<u64>,
}

/// Poisons outputs before turns of the candidate and compares them after some: the first, and then ever rarer ones,
/// so that comparing takes no time from measuring.
pub struct Verifier {
    problem: crate::problem::Problem,
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

    fn look(&mut self, moment: Moment, arena: &mut Arena) {
        match moment {
            Moment::Before(0) => {
                self.turn += 1;
                if self.turn.is_power_of_two() {
                    arena.poison_outputs();
                }
            }
            Moment::After(0) if self.turn.is_power_of_two() => self.correct &= self.agrees(arena),
            _ => {}
        }
    }

    /// Compares outputs of timed calls.
    pub fn note(&mut self, arena: &Arena) {
        self.correct &= self.agrees(arena);
    }

    fn agrees(&mut self, arena: &Arena) -> bool {
        let mut hasher = blake3::Hasher::new();
        outputs(arena, &self.problem).iter().for_each(|output| {
            hasher.update_rayon(output);
        });
        let digest = hasher.finalize();
        let agrees = self.agreed == Some(digest) || self.compare(arena);
        self.agreed = self.agreed.or(agrees.then_some(digest));
        agrees
    }

    fn compare(&self, arena: &Arena) -> bool {
        let Some(workload) = self.problem.workloads.get(self.workload) else { return false };
        let expected: Vec<&[u8]> = self.expected.iter().map(Vec::as_slice).collect();
        let mut judge = crate::correctness::Judge::new(&self.problem, workload);
        let seed = self.problem.seed(workload, 0, "");
        let compared = judge.seed(seed, &self.inputs(), &expected, &outputs(arena, &self.problem));
        compared.is_ok_and(|comparison| comparison.outputs.iter().all(|output| output.passed))
    }

    fn inputs(&self) -> Vec<&[u8]> {
        self.inputs.iter().map(Vec::as_slice).collect()
    }

    /// Bytes of all tensors.
    fn bytes(&self) -> usize {
        self.inputs.iter().chain(&self.expected).map(Vec::len).sum()
    }

    /// The inputs whose elements may change places: those of whole numbers may index or bound something.
    pub fn float_inputs(&self) -> Vec<usize> {
        let inputs = self.problem.inputs.iter().enumerate();
        inputs.filter(|(_, input)| input.dtype.is_float()).map(|(index, _)| index).collect()
    }

    /// Every comparison passed.
    pub fn correct(&self) -> bool {
        self.correct
    }
}

struct TimedReference<'r>(&'r mut Reference);

impl Timed for TimedReference<'_> {
    fn run(&mut self, calls: u32) -> Result<Duration, Fault> {
        self.0
            .run(calls)
            .map_err(|error| InfrastructureFault::Worker(format!("the reference: {error}")).into())
    }
}

/// Times for the report.
pub fn times(measured: &Measurement) -> Times {
    Times {
        candidate: measured.contenders[0].estimate(),
        reference: measured.contenders.get(1).map(crate::measure::Samples::estimate),
        cold: None,
        stop: measured.stop,
    }
}

/// How many times longer the reference takes.
pub fn speedup(measured: &Measurement) -> Speedup {
    let Interval { value, low, high } = measured.ratio(1, 0);
    Speedup { value, low, high }
}
