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
    worker::{Fault, fault::InfrastructureFault},
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
        let Some((measured, summary)) = time(session, builds, reference, workload, budget)? else {
            let detail = format!("{name}: outputs of timed calls differ from those that were checked");
            session.push(Event::Judged { verdict: Verdict::Incorrect, detail, fault: None })?;
            return Ok(Done);
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

/// `None` if a timed call gave other outputs than it should.
fn time(
    session: &mut Session<'_>,
    builds: &Builds,
    reference: &mut Reference,
    workload: usize,
    budget: Duration,
) -> Result<Option<(Measurement, kinstr_trace::report::SystemSummary)>, Stop> {
    let options = session.options;
    // A seed that was not checked: content that the candidate has never seen.
    let seeds = session.problem.seeds(&session.problem.workloads[workload], options.seeds + 1);
    let Some(seed) = seeds.last() else { return Ok(None) };
    let mut arena = session.fill_arena(reference, workload, *seed)?;
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
    session.arenas[workload] = Some(arena);
    Ok(verifier.correct().then_some((measured, summary)))
}

/// Poisons outputs before turns of the candidate and compares them after some: the first, and then ever rarer ones,
/// so that comparing takes no time from measuring.
struct Verifier {
    problem: crate::problem::Problem,
    workload: usize,
    inputs: Vec<Vec<u8>>,
    expected: Vec<Vec<u8>>,
    turn: u32,
    correct: bool,
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

    fn agrees(&self, arena: &Arena) -> bool {
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
