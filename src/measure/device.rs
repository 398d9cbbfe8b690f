//! Times of several contenders on a device, measured in turns.
//!
//! As in [`super::paired`], with the device's clock in place of the parent's: the span of a single call, each on renewed
//! tensors and with the cache overwritten, is what is compared. What the parent's clock says of it is the contender's
//! to check.

use std::time::{Duration, Instant};

use kinstr_trace::report::StopReason;

use super::paired::{Measurement, Plan, Samples};
use super::statistics::median;
use crate::worker::Fault;

/// Something whose calls are timed one by one.
pub trait DeviceTimed {
    /// Runs `calls` calls, and answers how many nanoseconds each took.
    ///
    /// # Errors
    /// When they do not all return.
    fn time(&mut self, calls: u32) -> Result<Vec<f64>, Fault>;
}

/// Time that a turn is stretched to.
const TURN: Duration = Duration::from_millis(3);
/// Most calls in a turn.
const MOST_CALLS: u32 = 50;
/// Rounds below which no interval is trusted.
const LEAST_ROUNDS: usize = 10;
/// Rounds that are measured whatever the budget.
const ROUNDS_AT_ANY_COST: usize = 3;

/// Times `contenders` in turns, forwards and then backwards, until `plan` is met. A round's sample is the mean over its
/// two turns of the median call.
///
/// # Errors
/// When a contender faults.
pub fn interleave_on_device(
    contenders: &mut [&mut dyn DeviceTimed],
    plan: &Plan,
) -> Result<Measurement, Fault> {
    let begin = Instant::now();
    let mut calls = Vec::with_capacity(contenders.len());
    for contender in contenders.iter_mut() {
        calls.push(calls_of_a_turn(*contender)?);
    }
    let mut measured = Measurement {
        contenders: calls.iter().map(|calls| Samples::on_device(*calls)).collect(),
        stop: StopReason::BudgetSpent,
    };
    for round in 1.. {
        let mut sums = vec![0.0; contenders.len()];
        for index in (0..contenders.len()).chain((0..contenders.len()).rev()) {
            sums[index] += median(&contenders[index].time(calls[index])?);
        }
        for (samples, sum) in measured.contenders.iter_mut().zip(sums) {
            samples.nanoseconds.push(sum / 2.0);
        }
        if round >= LEAST_ROUNDS && measured.is_tight(plan.half_width) {
            measured.stop = StopReason::IntervalTight;
            break;
        }
        if round >= ROUNDS_AT_ANY_COST && begin.elapsed() >= plan.budget {
            break;
        }
    }
    Ok(measured)
}

/// The first call also loads what is loaded late, so that the second one counts.
fn calls_of_a_turn(contender: &mut dyn DeviceTimed) -> Result<u32, Fault> {
    contender.time(1)?;
    let begin = Instant::now();
    contender.time(1)?;
    let took = begin.elapsed().as_secs_f64().max(1e-6);
    Ok((TURN.as_secs_f64() / took).clamp(1.0, f64::from(MOST_CALLS)) as u32)
}

/// A parent's clock that differs by less than this part of a device's, and this many ns, agrees with it: launching and
/// waiting are in the one and not in the other.
const AGREES: f64 = 0.2;
const AGREES_NS: f64 = 30_000.0;

/// What the parent's clock says of calls that a device timed: `whole` of `calls` calls, and `around` of as many times
/// what surrounds them. `None` if that agrees with `device_ns` a call, else the time of a call, in ns.
pub fn contradicted(device_ns: f64, calls: u32, whole: Duration, around: Duration) -> Option<f64> {
    let parent_ns = (whole.as_nanos() as f64 - around.as_nanos() as f64) / f64::from(calls.max(1));
    let agrees = (parent_ns - device_ns).abs() <= AGREES * device_ns + AGREES_NS;
    (!agrees).then_some(parent_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(f64, u32);

    impl DeviceTimed for Fake {
        fn time(&mut self, calls: u32) -> Result<Vec<f64>, Fault> {
            self.1 += calls;
            Ok(vec![self.0; calls as usize])
        }
    }

    #[test]
    fn the_ratio_is_of_medians_and_stops_when_it_is_known() {
        let (mut a, mut b) = (Fake(1000.0, 0), Fake(3000.0, 0));
        let measured = interleave_on_device(&mut [&mut a, &mut b], &Plan::default()).unwrap();
        assert_eq!(measured.ratio(1, 0).value, 3.0);
        assert_eq!(measured.stop, StopReason::IntervalTight);
        assert_eq!(measured.contenders[0].nanoseconds.len(), LEAST_ROUNDS);
    }

    #[test]
    fn a_clock_of_the_device_that_lies_is_contradicted() {
        let ms = Duration::from_millis;
        assert_eq!(contradicted(1e6, 10, ms(21), ms(10)), None);
        assert_eq!(contradicted(1e5, 10, ms(21), ms(10)), Some(1.1e6));
        // Launching and waiting are no part of the device's time.
        assert_eq!(contradicted(1e4, 1000, ms(30), ms(1)), None);
    }
}
