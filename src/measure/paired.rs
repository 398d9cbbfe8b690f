//! Times of several contenders, measured in turns.
//!
//! Whatever else the machine does changes from one second to the next, so contenders take turns within
//! milliseconds and on one core, and are compared within a round. A round goes through them forwards and
//! then backwards, so that a steady drift cancels. A turn is a batch of calls long enough that what a
//! request costs by itself, which is measured and taken off, does not blur it.

use std::time::{Duration, Instant};

use kinstr_trace::report::{Estimate, StopReason};

use super::statistics::{Interval, estimate, median, ratio};
use crate::worker::{Fault, Worker};

/// Something whose calls can be timed from outside.
pub trait Timed {
    /// Runs `calls` calls, one after the other, and answers what the request took by the parent's
    /// clock. Zero calls cost what a request costs by itself.
    ///
    /// # Errors
    /// When they do not all return.
    fn run(&mut self, calls: u32) -> Result<Duration, Fault>;
}

impl Timed for Worker {
    fn run(&mut self, calls: u32) -> Result<Duration, Fault> {
        Worker::run(self, calls)
    }
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Stop when half the 95 % interval of every ratio is narrower than this fraction of it.
    pub half_width: f64,
    /// Stop when this much time has been spent, calibration and hooks included.
    pub budget: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { half_width: 0.01, budget: Duration::from_secs(5) }
    }
}

/// A moment at which the caller of [`interleave`] may look at, or change, the contenders' tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before a turn of this contender: poison its outputs.
    Before(usize),
    /// After a turn of this contender: verify its outputs.
    After(usize),
}

/// Times of one contender.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Nanoseconds a call, one value a round: the mean of its two turns.
    pub nanoseconds: Vec<f64>,
    /// Calls in a batch.
    pub calls: u32,
    /// Nanoseconds that an empty request takes, already taken off: the median of one in every turn.
    pub request_ns: f64,
    /// Nanoseconds of each round's two batches together, requests included.
    batches: Vec<f64>,
    /// Nanoseconds of the empty requests.
    requests: Vec<f64>,
    /// Whether a turn begins with a call that is not timed.
    warm_up: bool,
}

impl Samples {
    /// Median and its interval.
    pub fn estimate(&self) -> Estimate {
        estimate(&self.nanoseconds)
    }

    /// Samples that a device's clock will give, `calls` in a turn.
    pub(super) fn on_device(calls: u32) -> Self {
        Self {
            nanoseconds: vec![],
            calls,
            request_ns: 0.0,
            batches: vec![],
            requests: vec![],
            warm_up: false,
        }
    }

    fn settle(&mut self) {
        self.request_ns = median(&self.requests);
        let per_call = |batches: &f64| (batches / 2.0 - self.request_ns) / f64::from(self.calls);
        self.nanoseconds = self.batches.iter().map(per_call).collect();
    }

    /// Nanoseconds a call, as seen in one batch.
    fn per_call(&self, took: Duration) -> f64 {
        (took.as_nanos() as f64 - self.request_ns) / f64::from(self.calls)
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// One entry a contender, in the order they were given, with equally many samples.
    pub contenders: Vec<Samples>,
    /// Why it stopped.
    pub stop: StopReason,
}

impl Measurement {
    /// How many times longer contender `over` takes than contender `under`: the median over rounds.
    ///
    /// # Panics
    /// If there are no such contenders.
    pub fn ratio(&self, over: usize, under: usize) -> Interval {
        ratio(&self.contenders[over].nanoseconds, &self.contenders[under].nanoseconds)
    }

    /// Takes off what requests cost, now that more of them have been seen.
    fn settle(&mut self) {
        self.contenders.iter_mut().for_each(Samples::settle);
    }

    pub(super) fn is_tight(&self, half_width: f64) -> bool {
        let within = |interval: Interval| interval.relative_half_width() < half_width;
        match self.contenders.as_slice() {
            [alone] => within(interval_of(&alone.estimate())),
            contenders => (1..contenders.len()).all(|index| within(self.ratio(index, 0))),
        }
    }
}

fn interval_of(estimate: &Estimate) -> Interval {
    Interval { value: estimate.median_ns, low: estimate.low_ns, high: estimate.high_ns }
}

/// Least time of a batch, so that the clock's own steps and the scheduler's do not matter.
const LEAST_BATCH: Duration = Duration::from_millis(1);
/// A batch takes at least this many times what an empty request varies by.
const TIMES_JITTER: f64 = 50.0;
/// A batch takes at least this many times what an empty request takes.
const TIMES_REQUEST: f64 = 20.0;
/// Batches need not be longer than this, however uneasy the machine is.
const MOST_BATCH: Duration = Duration::from_millis(20);
/// Empty requests by which a request's own cost is measured.
const EMPTY_REQUESTS: usize = 25;
/// Most calls in a batch, should a call take no time at all.
const MOST_CALLS: u32 = 1 << 28;
/// Rounds below which no interval is trusted.
const LEAST_ROUNDS: usize = 20;
/// Rounds that are measured whatever the budget.
const ROUNDS_AT_ANY_COST: usize = 6;
/// The same where a round takes more than half the budget.
const SLOW_ROUNDS_AT_ANY_COST: usize = 3;
/// Each turn begins with an untimed call if a call is shorter than this, because the contender before
/// it and the hooks have left the caches to themselves.
const WARM_UP_BELOW: Duration = Duration::from_millis(50);

/// Times `contenders` in turns until `plan` is met. The ratios that decide are those to the first
/// contender; `hook` is called before and after every turn.
///
/// # Errors
/// When a contender faults, or the hook does.
pub fn interleave(
    contenders: &mut [&mut dyn Timed],
    plan: &Plan,
    hook: &mut dyn FnMut(Moment) -> Result<(), Fault>,
) -> Result<Measurement, Fault> {
    let begin = Instant::now();
    let mut samples = Vec::with_capacity(contenders.len());
    for contender in contenders.iter_mut() {
        samples.push(calibrate(*contender)?);
    }
    let mut measured = Measurement { contenders: samples, stop: StopReason::BudgetSpent };
    let mut next_look = LEAST_ROUNDS;
    for round in 1.. {
        measured.contenders.iter_mut().for_each(|samples| samples.batches.push(0.0));
        for index in (0..contenders.len()).chain((0..contenders.len()).rev()) {
            hook(Moment::Before(index))?;
            take_turn(contenders[index], &mut measured.contenders[index])?;
            hook(Moment::After(index))?;
        }
        if round == next_look {
            measured.settle();
            if measured.is_tight(plan.half_width) {
                measured.stop = StopReason::IntervalTight;
                break;
            }
            // Looking costs more the more samples there are; growing steps keep it a small share.
            next_look += (round / 4).max(2);
        }
        let spent = begin.elapsed();
        let slow = spent >= plan.budget * round as u32 / 2;
        let enough = if slow { SLOW_ROUNDS_AT_ANY_COST } else { ROUNDS_AT_ANY_COST };
        if round >= enough && spent >= plan.budget {
            break;
        }
    }
    measured.settle();
    Ok(measured)
}

/// One batch, and one empty request beside it, so that both see the machine in the same state.
fn take_turn(contender: &mut dyn Timed, samples: &mut Samples) -> Result<(), Fault> {
    if samples.warm_up {
        contender.run(1)?;
    }
    samples.requests.push(contender.run(0)?.as_nanos() as f64);
    let took = contender.run(samples.calls)?.as_nanos() as f64;
    if let Some(batches) = samples.batches.last_mut() {
        *batches += took;
    }
    Ok(())
}

/// Measures what an empty request costs, and chooses how many calls make a batch.
fn calibrate(contender: &mut dyn Timed) -> Result<Samples, Fault> {
    let mut requests = Vec::with_capacity(EMPTY_REQUESTS);
    for _ in 0..EMPTY_REQUESTS {
        requests.push(contender.run(0)?.as_nanos() as f64);
    }
    let request_ns = median(&requests);
    let deviations: Vec<f64> = requests.iter().map(|took| (took - request_ns).abs()).collect();
    let batch_ns = (TIMES_JITTER * median(&deviations))
        .max(TIMES_REQUEST * request_ns)
        .clamp(LEAST_BATCH.as_nanos() as f64, MOST_BATCH.as_nanos() as f64);
    // The first call ever also pays for page faults and lazy binding.
    contender.run(1)?;
    let mut samples =
        Samples { nanoseconds: vec![], calls: 1, request_ns, batches: vec![], requests, warm_up: true };
    loop {
        let call_ns = shortest(contender, &samples)?;
        let calls = (batch_ns / call_ns.max(0.1)).ceil().clamp(1.0, f64::from(MOST_CALLS)) as u32;
        if calls <= samples.calls.saturating_mul(2) {
            samples.calls = calls;
            samples.warm_up = call_ns < WARM_UP_BELOW.as_nanos() as f64;
            return Ok(samples);
        }
        // At most tenfold, so that a first batch that was too short to time does not overshoot.
        samples.calls = calls.min(samples.calls.saturating_mul(10));
    }
}

/// Nanoseconds a call in the fastest of a few batches: what else runs can only make a call look longer,
/// and the batches that are chosen by it too short.
fn shortest(contender: &mut dyn Timed, samples: &Samples) -> Result<f64, Fault> {
    let mut shortest = samples.per_call(contender.run(samples.calls)?);
    if shortest * f64::from(samples.calls) < MOST_BATCH.as_nanos() as f64 {
        for _ in 0..2 {
            shortest = shortest.min(samples.per_call(contender.run(samples.calls)?));
        }
    }
    Ok(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::fault::CandidateFault;

    /// Takes exactly `call` a call and `request` a request, and every other batch `noise` times that.
    struct Fake {
        call: f64,
        request: f64,
        noise: f64,
        requests: Vec<u32>,
    }

    impl Fake {
        fn new(call: f64, request: f64) -> Self {
            Self { call, request, noise: 1.0, requests: Vec::new() }
        }
    }

    impl Timed for Fake {
        fn run(&mut self, calls: u32) -> Result<Duration, Fault> {
            self.requests.push(calls);
            let noise = if calls > 1 && self.requests.len() % 4 < 2 { self.noise } else { 1.0 };
            Ok(Duration::from_nanos((self.request + noise * self.call * f64::from(calls)) as u64))
        }
    }

    const NO_HOOK: fn(Moment) -> Result<(), Fault> = |_| Ok(());

    #[test]
    fn the_requests_own_cost_is_taken_off() {
        let (mut fast, mut slow) = (Fake::new(200.0, 30_000.0), Fake::new(3_000_000.0, 80_000.0));
        let measured =
            interleave(&mut [&mut fast, &mut slow], &Plan::default(), &mut NO_HOOK.clone()).unwrap();
        assert_eq!(measured.stop, StopReason::IntervalTight);
        assert_eq!(measured.ratio(1, 0).value, 15_000.0);
        let [fast, slow] = measured.contenders.as_slice() else { panic!() };
        assert_eq!((fast.calls, fast.request_ns, fast.estimate().median_ns), (5000, 30_000.0, 200.0));
        assert_eq!((slow.calls, slow.estimate().median_ns), (1, 3_000_000.0));
        assert_eq!(fast.nanoseconds.len(), LEAST_ROUNDS);
    }

    #[test]
    fn turns_go_forwards_and_backwards_with_hooks_around_each() {
        let (mut a, mut b) = (Fake::new(2e6, 0.0), Fake::new(2e6, 0.0));
        let mut moments = Vec::new();
        let mut hook = |moment| {
            moments.push(moment);
            Ok(())
        };
        interleave(&mut [&mut a, &mut b], &Plan::default(), &mut hook).unwrap();
        use Moment::{After, Before};
        let two_rounds = [Before(0), After(0), Before(1), After(1), Before(1), After(1), Before(0), After(0)];
        assert_eq!(moments[..8], two_rounds);
    }

    #[test]
    fn noise_spends_the_budget_and_says_so() {
        let (mut a, mut b) = (Fake::new(1000.0, 0.0), Fake::new(1000.0, 0.0));
        (a.noise, b.noise) = (3.0, 5.0);
        let plan = Plan { budget: Duration::ZERO, ..Plan::default() };
        let measured = interleave(&mut [&mut a, &mut b], &plan, &mut NO_HOOK.clone()).unwrap();
        assert_eq!(measured.stop, StopReason::BudgetSpent);
        assert_eq!(measured.contenders[0].nanoseconds.len(), SLOW_ROUNDS_AT_ANY_COST);
    }

    #[test]
    fn one_contender_alone_and_three_together_are_measured() {
        let mut fakes = [1.0, 2.0, 3.0].map(|call| Fake::new(call * 1e6, 100.0));
        let alone = interleave(&mut [&mut fakes[0]], &Plan::default(), &mut NO_HOOK.clone()).unwrap();
        assert_eq!(alone.stop, StopReason::IntervalTight);
        let mut contenders: Vec<&mut dyn Timed> =
            fakes.iter_mut().map(|fake| fake as &mut dyn Timed).collect();
        let measured = interleave(&mut contenders, &Plan::default(), &mut NO_HOOK.clone()).unwrap();
        assert_eq!([1, 2].map(|index| measured.ratio(index, 0).value), [2.0, 3.0]);
    }

    #[test]
    fn a_fault_in_a_hook_or_a_contender_ends_it() {
        let mut fake = Fake::new(1e6, 0.0);
        let mut hook = |_| Err(CandidateFault::StackOverflow.into());
        let fault = interleave(&mut [&mut fake], &Plan::default(), &mut hook).unwrap_err();
        assert_eq!(fault.kind(), "stack-overflow");
    }

    #[test]
    fn a_call_that_takes_no_time_does_not_loop_forever() {
        let mut nothing = Fake::new(0.0, 1000.0);
        let measured = interleave(
            &mut [&mut nothing],
            &Plan { budget: Duration::ZERO, ..Plan::default() },
            &mut NO_HOOK.clone(),
        )
        .unwrap();
        assert!(measured.contenders[0].calls <= MOST_CALLS);
    }
}
