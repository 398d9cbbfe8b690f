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

/// Bandwidth by level, and that of a copy of main memory past the caches.
fn bandwidths(kernels: Kernels) -> io::Result<(Vec<BandwidthLevel>, f64)> {
    let levels = caches::levels();
    let largest_cache = levels.iter().rev().nth(1).map_or(0, |level| level.capacity_bytes);
    let dram = (largest_cache * TIMES_LAST_CACHE).clamp(LEAST_DRAM_BYTES, MOST_DRAM_BYTES);
    let working_set = |level: &Level| if level.name == "DRAM" { dram } else { level.capacity_bytes / 2 };
    // The same kind of memory as an arena's. Written to, so that every page is there.
    let mut memory = Memory::new(dram as usize)?;
    memory.bytes_mut().fill(1);
    let mut measure = |level: &Level| {
        let bytes = usize::try_from(working_set(level)).unwrap_or(usize::MAX).min(dram as usize);
        bandwidth(kernels, level, &mut memory.bytes_mut()[..bytes])
    };
    let mut measured: Vec<_> = levels.iter().map(&mut measure).collect();
    let bypassing = bypassing_copy(kernels, memory.bytes_mut());
    for (level, found) in levels.iter().zip(&mut measured) {
        let bytes = usize::try_from(working_set(level)).unwrap_or(usize::MAX).min(dram as usize);
        found.latency_ns = chase::latency_ns(&mut memory.bytes_mut()[..bytes]);
    }
    Ok((measured, bypassing))
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
