//! Measure: candidate and reference in turns, clean builds only.

use super::{
    arguments::{limits, outputs, start_worker},
    failure::Stop,
    session::{Done, Session},
};
use crate::{
    builds::Builds,
    jobs::event::Event,
    measure::{Interval, Measurement, Moment, Plan, SystemWatch, Timed, interleave},
    reference::Reference,
    worker::{Fault, Worker, fault::InfrastructureFault},
};
use kinstr_runtime::arena::Arena;
use kinstr_trace::report::{LayerStatus, Speedup, Times, Verdict};
use std::time::Duration;

/// Part of the budget that clean timing may spend; the rest is for the certificate.
const SHARE: f64 = 0.7;

/// Times every workload.
pub fn measure(session: &mut Session<'_>, builds: &Builds, reference: &mut Reference) -> Result<Done, Stop> {
    let count = session.problem.workloads.len();
    let budget = session.options.budget.mul_f64(SHARE) / u32::try_from(count).unwrap_or(1).max(1);
    for workload in 0..count {
        let name = session.problem.workloads[workload].name.clone();
        session.progress(&format!("timing {name}"));
        let (measured, summary) = match time(session, builds, reference, workload, budget)? {
            Ok(timed) => timed,
            Err(unsound) => {
                let detail = format!("{name}: {unsound}");
                session.push(Event::Judged { verdict: Verdict::Incorrect, detail, fault: None })?;
                return Ok(Done);
            }
        };
        session.push(Event::Measured {
            workload,
            times: times(&measured),
            speedup: Some(speedup(&measured)),
        })?;
        if workload + 1 == count {
            session.push(Event::System { summary })?;
        }
    }
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
    let seeds = session.problem.seeds(&session.problem.workloads[workload], options.seeds + 1);
    let mut arena = session.fill_arena(reference, workload, seeds[seeds.len() - 1])?;
    reference.evaluate()?;
    let limits = limits(options.timeout, options.memory);
    let mut worker =
        start_worker(builds, &builds.manifest.clean, &session.problem, workload, &arena, limits)?;
    let watch = SystemWatch::of(worker.id());
    let mut verifier = Verifier::new(session, workload, reference);
    let plan = Plan { half_width: options.half_width, budget };
    let mut timed_reference = TimedReference(reference);
    let measured = interleave(&mut [&mut worker, &mut timed_reference], &plan, &mut |moment| {
        verifier.look(moment, &mut arena);
        Ok(())
    })?;
    let summary = watch.summary();
    let audit = audit(&mut worker, &mut arena, &mut verifier, &measured)?;
    session.arenas[workload] = Some(arena);
    Ok(match (verifier.correct(), audit) {
        (false, _) => Err(OTHER_OUTPUTS),
        (true, Some(unsound)) => Err(unsound),
        (true, None) => Ok((measured, summary)),
    })
}

const OTHER_OUTPUTS: &str = "outputs of timed calls differ from those that were checked";
const LEAVES_OUTPUTS: &str = "calls after the timed ones leave outputs unwritten or wrong: the kernel does not do its \
                              work on every call";
const SKIPS_WORK: &str = "a call that finds its outputs overwritten takes many times as long as those in a row: the \
                          kernel skips work that it finds done";
const NOT_TIMED: &str = "the calls cost less than the request that asks for them, which no real call does";

/// Single calls after the timed ones, each on overwritten outputs.
const AUDITS: usize = 2;
/// A single call may take this many times a call in a row: caches are cold where the parent wrote.
const COLD: f64 = 5.0;
/// And this much longer on top, in ns, for what a request and the first touch of memory vary by.
const COLD_NS: f64 = 300_000.0;

/// Looks once more at what was timed: every call must write all outputs, and a call on overwritten outputs must not
/// take far longer than the calls in a row did.
fn audit(
    worker: &mut Worker,
    arena: &mut Arena,
    verifier: &mut Verifier,
    measured: &Measurement,
) -> Result<Option<&'static str>, Stop> {
    let timed = &measured.contenders[0];
    let in_a_row = timed.estimate().median_ns;
    if in_a_row <= 0.0 {
        return Ok(Some(NOT_TIMED));
    }
    let mut single = f64::INFINITY;
    for _ in 0..AUDITS {
        arena.poison_outputs();
        let took = worker.run(1)?.as_nanos() as f64 - timed.request_ns;
        if !verifier.agrees(arena) {
            return Ok(Some(LEAVES_OUTPUTS));
        }
        single = single.min(took);
    }
    Ok((single > COLD * in_a_row + COLD_NS).then_some(SKIPS_WORK))
}

/// A measurement, and what the system did meanwhile.
type TimedCalls = (Measurement, kinstr_trace::report::SystemSummary);

/// Poisons outputs before turns of the candidate and compares them after some: the first, and then ever rarer ones,
/// so that comparing takes no time from measuring.
struct Verifier {
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
    fn new(session: &Session<'_>, workload: usize, reference: &Reference) -> Self {
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
        let inputs: Vec<&[u8]> = self.inputs.iter().map(Vec::as_slice).collect();
        let expected: Vec<&[u8]> = self.expected.iter().map(Vec::as_slice).collect();
        let mut judge = crate::correctness::Judge::new(&self.problem, workload);
        let Some(seed) = self.problem.seeds(workload, 1).pop() else { return false };
        let compared = judge.seed(seed, &inputs, &expected, &outputs(arena, &self.problem));
        compared.is_ok_and(|comparison| comparison.outputs.iter().all(|output| output.passed))
    }

    /// Every comparison passed.
    fn correct(&self) -> bool {
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

fn times(measured: &Measurement) -> Times {
    Times {
        candidate: measured.contenders[0].estimate(),
        reference: measured.contenders.get(1).map(crate::measure::Samples::estimate),
        stop: measured.stop,
    }
}

fn speedup(measured: &Measurement) -> Speedup {
    let Interval { value, low, high } = measured.ratio(1, 0);
    Speedup { value, low, high }
}
