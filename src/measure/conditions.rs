//! Times under other conditions than those that are reported: cold caches, denormals flushed.

use std::time::{Duration, Instant};

use kinstr_trace::{report::Estimate, surroundings::FlushedTime};

use super::paired::Timed;
use super::statistics::{estimate, median};
use crate::worker::{Fault, Worker};

/// Something whose caches can be made cold.
pub trait Chill: Timed {
    /// Overwrites the caches; not timed.
    ///
    /// # Errors
    /// When there is no room for what they are overwritten with.
    fn chill(&mut self) -> Result<(), Fault>;
}

impl Chill for Worker {
    fn chill(&mut self) -> Result<(), Fault> {
        self.evict()
    }
}

/// Fewest and most cold calls.
const LEAST_COLD: usize = 5;
const MOST_COLD: usize = 30;

/// Time of single calls, each after the caches were overwritten; a call takes `warm_ns` when they were not.
///
/// The empty requests before a call bring back what a request itself needs, so that the kernel's data is what is cold.
///
/// # Errors
/// When a call or an overwriting fails.
pub fn cold(
    contender: &mut dyn Chill,
    warm_ns: f64,
    budget: Duration,
) -> Result<Result<Estimate, NoColdTime>, Fault> {
    if LEAST_COLD as f64 * warm_ns > budget.as_nanos() as f64 {
        return Ok(Err(NoColdTime::Long));
    }
    let begin = Instant::now();
    let (mut requests, mut calls) = (Vec::new(), Vec::new());
    while calls.len() < LEAST_COLD || (calls.len() < MOST_COLD && begin.elapsed() < budget) {
        contender.chill()?;
        contender.run(0)?;
        requests.push(contender.run(0)?.as_nanos() as f64);
        calls.push(contender.run(1)?.as_nanos() as f64);
    }
    let request_ns = median(&requests);
    let deviations: Vec<f64> = requests.iter().map(|took| (took - request_ns).abs()).collect();
    let samples: Vec<f64> = calls.into_iter().map(|call| call - request_ns).collect();
    let cold = estimate(&samples);
    let told_apart =
        cold.low_ns > TIMES_JITTER * median(&deviations) && cold.low_ns > request_ns / PART_OF_REQUEST;
    Ok(if told_apart { Ok(cold) } else { Err(NoColdTime::Short) })
}

/// A single call takes at least this many times what an empty request varies by,
const TIMES_JITTER: f64 = 2.0;
/// and at least this part of a request, which is colder itself than the empty one before it.
const PART_OF_REQUEST: f64 = 2.0;

/// Why there is no time with cold caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoColdTime {
    /// The budget has no room for the fewest calls.
    #[error("a call takes too long for the budget")]
    Long,
    /// One call disappears beside its request.
    #[error("a single call is too short beside the request that asks for it")]
    Short,
}

/// Time of a batch, in ns: short, because what denormals cost is a multiple.
const BATCH_NS: f64 = 2e6;
/// Most calls in a batch.
const MOST_CALLS: f64 = 1e6;
/// Batches of which the shortest counts.
const BATCHES: usize = 3;
/// Turns of a second look: threads that wait for each other on a busy machine differ by more than denormals cost.
const TURNS: usize = 10;
/// A flushed call this much shorter is looked at again, in turns: the machine may have been in another state.
const SUSPICIOUS: f64 = 0.85;

/// Times `flushed`, in which denormals are zero, and, if that is suspiciously faster than `clean_ns`, both in turns.
///
/// # Errors
/// When a call fails.
pub fn flushed(plain: &mut dyn Timed, flushed: &mut dyn Timed, clean_ns: f64) -> Result<FlushedTime, Fault> {
    let calls = (BATCH_NS / clean_ns.max(1.0)).ceil().clamp(1.0, MOST_CALLS) as u32;
    flushed.run(1)?;
    let first = shortest(calls, || flushed.run(calls))?;
    let request_ns = shortest(1, || flushed.run(0))? / f64::from(calls);
    let mut times = FlushedTime { plain_ns: clean_ns, flushed_ns: first - request_ns, in_turns: false };
    if times.flushed_ns < SUSPICIOUS * clean_ns {
        let (mut with, mut without) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..TURNS {
            with = with.min(per_call(plain.run(calls)?, calls));
            without = without.min(per_call(flushed.run(calls)?, calls));
        }
        let [plain_ns, flushed_ns] = [with, without].map(|ns| ns - request_ns);
        times = FlushedTime { plain_ns, flushed_ns, in_turns: true };
    }
    Ok(times)
}

fn shortest(calls: u32, mut run: impl FnMut() -> Result<Duration, Fault>) -> Result<f64, Fault> {
    let mut shortest = f64::INFINITY;
    for _ in 0..BATCHES {
        shortest = shortest.min(per_call(run()?, calls));
    }
    Ok(shortest)
}

fn per_call(took: Duration, calls: u32) -> f64 {
    took.as_nanos() as f64 / f64::from(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `warm` ns a call, `cold` ns the first time after it was chilled, and 1000 ns a request.
    #[derive(Default)]
    struct Fake {
        warm: f64,
        cold: f64,
        chilled: bool,
        calls: u32,
    }

    impl Timed for Fake {
        fn run(&mut self, calls: u32) -> Result<Duration, Fault> {
            self.calls += calls;
            let cold = calls > 0 && std::mem::take(&mut self.chilled);
            let call = if cold { self.cold } else { self.warm };
            Ok(Duration::from_nanos((1000.0 + call * f64::from(calls)) as u64))
        }
    }

    impl Chill for Fake {
        fn chill(&mut self) -> Result<(), Fault> {
            self.chilled = true;
            Ok(())
        }
    }

    #[test]
    fn cold_calls_are_each_chilled_and_the_request_taken_off() {
        let mut fake = Fake { warm: 1e3, cold: 5e3, ..Fake::default() };
        let cold = cold(&mut fake, 1e3, Duration::from_micros(6)).unwrap().unwrap();
        assert_eq!(cold.median_ns, 5e3);
        assert!((LEAST_COLD as u64..=MOST_COLD as u64).contains(&cold.samples));
    }

    #[test]
    fn calls_that_take_too_long_are_not_made_and_too_short_ones_not_told() {
        let mut fake = Fake { warm: 1e9, ..Fake::default() };
        assert_eq!(cold(&mut fake, 1e9, Duration::from_millis(100)).unwrap(), Err(NoColdTime::Long));
        assert_eq!(fake.calls, 0);
        let mut nothing = Fake::default();
        assert_eq!(cold(&mut nothing, 1.0, Duration::from_millis(1)).unwrap(), Err(NoColdTime::Short));
    }

    #[test]
    fn only_a_suspicious_time_is_looked_at_in_turns() {
        let fake = |warm| Fake { warm, ..Fake::default() };
        let (mut plain, mut same) = (fake(1e6), fake(0.95e6));
        assert!(!flushed(&mut plain, &mut same, 1e6).unwrap().in_turns);
        assert_eq!(plain.calls, 0);
        let mut fast = fake(0.2e6);
        let times = flushed(&mut plain, &mut fast, 1e6).unwrap();
        assert!(times.in_turns && times.plain_ns == 1e6 && times.flushed_ns == 0.2e6, "{times:?}");
    }
}
