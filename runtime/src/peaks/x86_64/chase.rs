//! Latency of a memory level: loads of which each needs what the one before found.

use std::arch::asm;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Loads in one round.
const LOADS: u64 = 64;

/// Time of one dependent load over a cycle through the lines of `memory`, in ns. Overwrites the memory.
pub(super) fn latency_ns(memory: &mut [u8]) -> f64 {
    let lines = link(memory);
    if lines == 0 {
        return 0.0;
    }
    let mut at = 0;
    let rounds = super::per_second(|rounds| {
        at = follow(memory, at, rounds.saturating_mul(LOADS));
    });
    1e9 / (rounds * LOADS as f64)
}

/// Links the lines of `memory` to one cycle whose steps no prefetcher foresees, and answers how many they are: the largest
/// power of two that fits. Line `i` leads to `5 i + c`, modulo their number: one cycle over all of them for any odd
/// `c` (Hull and Dobell 1962). With `c` near the golden ratio of the number, steps are far and of all lengths.
fn link(memory: &mut [u8]) -> usize {
    let lines = memory.len() / LINE;
    if lines < 2 {
        return 0;
    }
    let lines = 1 << lines.ilog2();
    let increment = (lines as f64 * 0.618) as usize | 1;
    for (line, bytes) in memory.chunks_exact_mut(LINE).take(lines).enumerate() {
        let next = (5 * line + increment) % lines * LINE;
        bytes[..8].copy_from_slice(&(next as u64).to_le_bytes());
    }
    lines
}

/// Goes `loads` links on from `at` and answers where that is.
fn follow(memory: &[u8], at: usize, loads: u64) -> usize {
    if loads == 0 || at + 8 > memory.len() {
        return at;
    }
    let mut at = at;
    // SAFETY: `link` wrote all links, each leads to the begin of a whole line of `memory`, and `at` is one of them; the
    // loop reads nothing else and changes what is declared.
    unsafe {
        asm!(
            "2:",
            "mov {at}, [{base} + {at}]",
            "dec {loads}",
            "jnz 2b",
            base = in(reg) memory.as_ptr(),
            at = inout(reg) at,
            loads = inout(reg) loads => _,
            options(nostack, readonly),
        );
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cycle_passes_every_line_once() {
        let mut memory = vec![0; 100 * LINE];
        assert_eq!(link(&mut memory), 64);
        let mut seen = std::collections::BTreeSet::new();
        let mut at = 0;
        while seen.insert(at) {
            at = follow(&memory, at, 1);
        }
        assert_eq!((seen.len(), at), (64, 0));
    }
}
