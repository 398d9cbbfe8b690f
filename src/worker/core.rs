//! The cores that everything compared runs on.

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

/// The cores, of those we may use, that do a fixed piece of work soonest, at most `count`: not those that others keep
/// busy, nor those of the slow kind. Chosen once, so that all processes we start share them; other
/// evaluations on this machine see them busy and choose others.
///
/// Empty if the system does not let us choose.
pub(super) fn quiet_cores(count: usize) -> Vec<usize> {
    static CORES: OnceLock<Vec<usize>> = OnceLock::new();
    if count == 0 {
        return Vec::new();
    }
    // On a thread of its own, because the trials bind it to cores.
    let cores = CORES.get_or_init(|| std::thread::spawn(rank).join().ok().flatten().unwrap_or_default());
    cores.iter().take(count).copied().collect()
}

/// Cores, quietest first; those that were not tried last.
fn rank() -> Option<Vec<usize>> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let cores: Vec<_> = (0..CpuSet::count()).filter(|core| allowed.is_set(*core) == Ok(true)).collect();
    let tried: Vec<_> = cores.iter().copied().step_by(cores.len().div_ceil(TRIED).max(1)).collect();
    let mut took = vec![Duration::ZERO; tried.len()];
    for _ in 0..TRIALS {
        for (core, took) in tried.iter().zip(&mut took) {
            *took += trial(*core)?;
        }
    }
    let mut ranked: Vec<_> = tried.iter().copied().zip(took).collect();
    ranked.sort_by_key(|(_, took)| *took);
    let others = cores.iter().copied().filter(|core| !tried.contains(core));
    Some(ranked.into_iter().map(|(core, _)| core).chain(others).collect())
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
    fn the_cores_are_some_we_may_use_and_stay_the_same() {
        let cores = quiet_cores(2);
        let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
        assert!(cores.iter().all(|core| allowed.is_set(*core) == Ok(true)));
        assert_eq!(quiet_cores(1), cores[..cores.len().min(1)]);
    }
}
