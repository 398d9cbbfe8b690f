//! The core that everything compared runs on.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Cores that are tried; on a larger machine these, evenly spread, are choice enough.
const TRIED: usize = 16;
/// Times each is tried, in turns, so that one short disturbance does not decide.
const TRIALS: usize = 3;
/// Steps of one trial, about half a millisecond in an optimised build.
const STEPS: u64 = 500_000;

/// The core, of those we may use, that does a fixed piece of work soonest: not one that others keep
/// busy, nor one of the slow kind. Chosen once, so that all processes we start share it; other
/// evaluations on this machine see it busy and choose another.
///
/// `None` if the system does not let us choose.
pub(super) fn quiet_core() -> Option<usize> {
    static CORE: OnceLock<Option<usize>> = OnceLock::new();
    // On a thread of its own, because the trials bind it to cores.
    *CORE.get_or_init(|| std::thread::spawn(choose).join().ok().flatten())
}

fn choose() -> Option<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let cores: Vec<_> = (0..CpuSet::count()).filter(|core| allowed.is_set(*core) == Ok(true)).collect();
    let tried: Vec<_> = cores.iter().copied().step_by(cores.len().div_ceil(TRIED).max(1)).collect();
    let mut took = vec![Duration::ZERO; tried.len()];
    for _ in 0..TRIALS {
        for (core, took) in tried.iter().zip(&mut took) {
            *took += trial(*core)?;
        }
    }
    tried.into_iter().zip(took).min_by_key(|(_, took)| *took).map(|(core, _)| core)
}

fn trial(core: usize) -> Option<Duration> {
    let mut only = CpuSet::new();
    only.set(core).ok()?;
    sched_setaffinity(Pid::from_raw(0), &only).ok()?;
    let begin = Instant::now();
    (0..STEPS).for_each(|step| {
        black_box(step);
    });
    Some(begin.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_is_one_we_may_use_and_stays_the_same() {
        let Some(core) = quiet_core() else { return };
        assert_eq!(sched_getaffinity(Pid::from_raw(0)).unwrap().is_set(core), Ok(true));
        assert_eq!(quiet_core(), Some(core));
    }
}
