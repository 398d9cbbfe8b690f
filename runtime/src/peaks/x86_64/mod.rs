//! One thread, about a second. Every value is the best of several short runs, because whatever
//! disturbs a run can only slow it down.

mod branches;
mod chase;
mod kernels;
mod loops;

use std::io;
use std::time::{Duration, Instant};

use kinstr_trace::peaks::{BandwidthLevel, Peaks};

use super::caches::{self, Level};
use super::faults::touch_fresh_pages;
use crate::shared::Memory;
use kernels::Kernels;

/// Time that one run is stretched to.
const RUN: Duration = Duration::from_millis(8);
/// Runs, of which the fastest counts.
const RUNS: usize = 5;
/// Bytes by which a copy's two streams are shifted: a load whose address equals an earlier store's in
/// its low 12 bits waits for that store.
const STAGGER: usize = 2 * loops::ROUND_BYTES;
/// Working set for main memory: this many times the last cache, within the bounds below.
const TIMES_LAST_CACHE: u64 = 4;
const LEAST_DRAM_BYTES: u64 = 64 << 20;
const MOST_DRAM_BYTES: u64 = 512 << 20;

/// Measures the peaks of the machine we run on; `device` and `date` are put in the answer.
///
/// # Errors
/// On a processor that the loops were not written for.
pub fn measure(device: String, date: String) -> io::Result<Peaks> {
    let kernels = Kernels::detect()?;
    let (levels, bypassing) = bandwidths(kernels)?;
    let pages = touch_fresh_pages()? as f64;
    let scalar = loops::ACCUMULATORS as f64 * 2.0;
    let lanes = f64::from(kernels.lanes_f32());
    Ok(Peaks {
        device,
        date,
        threads: 1,
        fma_f32_scalar: scalar * per_second(|rounds| kernels.fma_f32_scalar(rounds)),
        fma_f64_scalar: scalar * per_second(|rounds| kernels.fma_f64_scalar(rounds)),
        fma_f32_vector: scalar * lanes * per_second(|rounds| kernels.fma_f32(rounds)),
        fma_f64_vector: scalar * lanes / 2.0 * per_second(|rounds| kernels.fma_f64(rounds)),
        clock_hz: loops::ADDITIONS as f64 * per_second(loops::additions),
        call_ns: 1e9 / per_second(loops::calls),
        page_fault_ns: Some(1e9 / pages / per_second(touch_pages)),
        bypassing_copy_bytes_per_s: Some(bypassing),
        simd_lanes_f32: kernels.lanes_f32(),
        mispredict_ns: branches::mispredict_ns(),
        levels,
    })
}

/// What fails once has failed before: [`measure`] has touched fresh pages already.
fn touch_pages(rounds: u64) {
    for _ in 0..rounds {
        let _ = touch_fresh_pages();
    }
}

/// A cache that reads less than this many times as fast as main memory is none to this machine.
const FASTER_THAN_DRAM: f64 = 1.25;

/// Bandwidth by level, and that of a copy of main memory past the caches.
fn bandwidths(kernels: Kernels) -> io::Result<(Vec<BandwidthLevel>, f64)> {
    let levels = caches::levels();
    let largest_cache = levels.iter().rev().nth(1).map_or(0, |level| level.capacity_bytes);
    let dram = (largest_cache * TIMES_LAST_CACHE).clamp(LEAST_DRAM_BYTES, MOST_DRAM_BYTES) as usize;
    let working_set = |level: &Level| match level.name.as_str() {
        "DRAM" => dram,
        _ => usize::try_from(level.capacity_bytes / 2).unwrap_or(usize::MAX).min(dram),
    };
    // The same kind of memory as an arena's. Written to, so that every page is there.
    let mut memory = Memory::new(dram)?;
    memory.bytes_mut().fill(1);
    let mut measured: Vec<Measured> = levels
        .iter()
        .map(|level| Measured::of(kernels, level, &mut memory.bytes_mut()[..working_set(level)]))
        .collect();
    reach_last_cache(&mut measured, |level, bytes| {
        Measured::of(kernels, level, &mut memory.bytes_mut()[..bytes])
    });
    let bypassing = bypassing_copy(kernels, memory.bytes_mut());
    for Measured { level, working_set } in &mut measured {
        level.latency_ns = chase::latency_ns(&mut memory.bytes_mut()[..*working_set]);
    }
    Ok((measured.into_iter().map(|measured| measured.level).collect(), bypassing))
}

/// A level, and the bytes it was measured over.
struct Measured {
    level: BandwidthLevel,
    working_set: usize,
}

impl Measured {
    fn of(kernels: Kernels, level: &Level, memory: &mut [u8]) -> Self {
        Self { working_set: memory.len(), level: bandwidth(kernels, level, memory) }
    }
}

/// Cuts the last cache to what of it can be reached. Cores of other machines may share it with this virtual one: of 260 MiB
/// that were announced, 128 MiB were as slow as main memory and 64 MiB were not. Half as much is tried until it is clearly
/// faster than main memory; what does not even hold twice the cache before is no level at all.
fn reach_last_cache(measured: &mut Vec<Measured>, mut measure: impl FnMut(&Level, usize) -> Measured) {
    let [.., before, last, memory] = measured.as_slice() else { return };
    let is_faster =
        |cache: &Measured| cache.level.read_bytes_per_s >= FASTER_THAN_DRAM * memory.level.read_bytes_per_s;
    if is_faster(last) {
        return;
    }
    let least = 2 * before.level.capacity_bytes;
    let smaller = std::iter::successors(Some(last.working_set / 2), |bytes| Some(bytes / 2));
    let reached = smaller
        .take_while(|bytes| *bytes as u64 >= least)
        .map(|bytes| measure(&Level { name: last.level.name.clone(), capacity_bytes: bytes as u64 }, bytes))
        .find(is_faster);
    let place = measured.len() - 2;
    match reached {
        Some(reached) => measured[place] = reached,
        None => drop(measured.remove(place)),
    }
}

/// Bandwidth of a loop over `memory`, which fits in `level` and not in the level before it.
fn bandwidth(kernels: Kernels, level: &Level, memory: &mut [u8]) -> BandwidthLevel {
    let bytes = memory.len() as f64;
    let read = per_second(|sweeps| kernels.read(memory, sweeps));
    let (from, to) = memory.split_at_mut(memory.len() / 2);
    let (from, to) = (&from[STAGGER..], &mut to[..from.len() - STAGGER]);
    let copied = 2.0 * from.len() as f64;
    let copy = per_second(|sweeps| kernels.copy(from, to, sweeps));
    BandwidthLevel {
        name: level.name.clone(),
        capacity_bytes: level.capacity_bytes,
        read_bytes_per_s: read * bytes,
        copy_bytes_per_s: copy * copied,
        // Chased after all bandwidths, because it overwrites the memory.
        latency_ns: 0.0,
    }
}

/// Bytes read plus bytes written a second.
fn bypassing_copy(kernels: Kernels, memory: &mut [u8]) -> f64 {
    let (from, to) = memory.split_at_mut(memory.len() / 2);
    let copied = 2.0 * from.len() as f64;
    copied * per_second(|sweeps| kernels.bypassing_copy(from, to, sweeps))
}

/// Rounds a second of `work`, at best.
fn per_second(mut work: impl FnMut(u64)) -> f64 {
    let mut time = |rounds| {
        let begin = Instant::now();
        work(rounds);
        begin.elapsed()
    };
    let mut rounds = 1;
    let mut took = time(rounds);
    while took < RUN / 2 {
        // At most tenfold, so that a first run that was too short to time does not overshoot.
        let factor = RUN.as_secs_f64() / took.as_secs_f64().max(1e-9);
        rounds = (rounds as f64 * factor.clamp(2.0, 10.0)) as u64;
        took = time(rounds);
    }
    let best = (1..RUNS).map(|_| time(rounds)).fold(took, Duration::min);
    rounds as f64 / best.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peak_is_a_positive_number() {
        let Ok(peaks) = measure("here".into(), "2026-01-01".into()) else { return };
        assert!(peaks.complete(), "{peaks:?}");
        assert_eq!(peaks.levels.last().unwrap().name, "DRAM");
    }

    #[test]
    fn of_the_last_cache_as_much_counts_as_is_faster_than_memory() {
        let level = |name: &str, bytes: usize, rate: f64| Measured {
            working_set: bytes / 2,
            level: BandwidthLevel {
                name: name.into(),
                capacity_bytes: bytes as u64,
                read_bytes_per_s: rate,
                copy_bytes_per_s: rate,
                latency_ns: 0.0,
            },
        };
        let reach = |rate_of: fn(usize) -> f64| {
            let mut levels =
                vec![level("L2", 2 << 20, 1e11), level("L3", 256 << 20, 1e10), level("DRAM", 1 << 30, 1e10)];
            reach_last_cache(&mut levels, |cache, bytes| level(&cache.name, 2 * bytes, rate_of(bytes)));
            levels
                .into_iter()
                .map(|measured| (measured.level.name, measured.working_set >> 20))
                .collect::<Vec<_>>()
        };
        let found = reach(|bytes| if bytes <= 32 << 20 { 3e10 } else { 1e10 });
        assert_eq!(found[1], ("L3".to_owned(), 32));
        let found = reach(|_| 1e10);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].0, "DRAM");
    }

    #[test]
    fn copying_copies_whole_rounds() {
        let Ok(kernels) = Kernels::detect() else { return };
        let from: Vec<u8> = (0..1200).map(|byte| byte as u8).collect();
        let mut to = vec![0; 1200];
        kernels.copy(&from, &mut to, 2);
        let whole = 2 * loops::ROUND_BYTES;
        assert_eq!(to[..whole], from[..whole]);
        assert_eq!(to[whole..], [0; 1200 - 2 * 512]);
        let mut to = vec![0; 1200];
        kernels.bypassing_copy(&from, &mut to, 2);
        let begin = to.iter().position(|byte| *byte == 1).unwrap() - 1;
        assert_eq!(to[begin..begin + loops::ROUND_BYTES], from[..loops::ROUND_BYTES]);
    }
}
