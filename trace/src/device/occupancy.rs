//! How many warps an SM holds of a kernel, and what keeps it from holding more.
//!
//! The rules are those of CUDA's occupancy calculator; the constants hold for compute capability 7.0 and later.

use super::{DeviceFacts, KernelResources, Launch, Limiter, Occupancy};

/// Threads of a warp.
pub const WARP: u64 = 32;
/// Registers are given to a warp in multiples of this (CUDA occupancy calculator: register allocation unit size).
const REGISTER_UNIT: u64 = 256;
/// An SM has four schedulers with a quarter of the registers each, so that warps fit by fours (occupancy calculator: warp
/// allocation granularity).
const WARP_UNIT: u64 = 4;
/// Shared memory is given to a block in multiples of this many bytes (occupancy calculator: shared memory allocation unit
/// size, compute capability 8.0 and later).
const SHARED_UNIT: u64 = 128;
/// Bytes of shared memory that the system keeps of each block (CUDA programming guide, compute capability 8.0 and later).
const SHARED_RESERVED: u64 = 1024;

/// Of the kernel that `launch` started; `None` without limits of the device or without threads.
pub(super) fn of(
    facts: &DeviceFacts,
    resources: Option<&KernelResources>,
    launch: &Launch,
) -> Option<Occupancy> {
    let warps_per_block = launch.threads().div_ceil(WARP);
    let max_warps = u64::from(facts.max_threads_per_sm) / WARP;
    if warps_per_block == 0 || max_warps == 0 || facts.sm_count == 0 {
        return None;
    }
    let limits = limits(facts, resources, launch, warps_per_block);
    let (computed, mut limiter) = limits.into_iter().min_by_key(|(blocks, _)| *blocks)?;
    let told = u64::from(launch.blocks_per_sm);
    let blocks = if told > 0 { told } else { computed };
    if told > 0 && told < computed {
        // What was not told of the kernel are its registers.
        limiter = if resources.is_none() { Limiter::Registers } else { limiter };
    }
    if blocks.saturating_mul(warps_per_block) == max_warps {
        limiter = Limiter::None;
    }
    let places = blocks.saturating_mul(facts.sm_count.into());
    let running = launch.blocks().min(places);
    if launch.blocks() < places {
        limiter = Limiter::Grid;
    }
    let part = |warps: u64, of: u64| warps as f64 / of as f64;
    Some(Occupancy {
        blocks_per_sm: u32::try_from(blocks).ok()?,
        warps_per_block: u32::try_from(warps_per_block).ok()?,
        max_warps: u32::try_from(max_warps).ok()?,
        theoretical: part(blocks.saturating_mul(warps_per_block), max_warps),
        resident: part(running.saturating_mul(warps_per_block), max_warps * u64::from(facts.sm_count)),
        limiter,
        waves: part(launch.blocks(), places.max(1)),
    })
}

/// Blocks of an SM by each limit; of equal ones the first counts, and that is the one easiest to change.
fn limits(
    facts: &DeviceFacts,
    resources: Option<&KernelResources>,
    launch: &Launch,
    warps_per_block: u64,
) -> Vec<(u64, Limiter)> {
    let max_warps = u64::from(facts.max_threads_per_sm) / WARP;
    let slots = (max_warps / warps_per_block).min(u64::from(facts.max_blocks_per_sm));
    let mut limits = vec![(slots, Limiter::BlockSize)];
    let registers =
        resources.map_or(0, |row| u64::from(row.registers) * WARP).next_multiple_of(REGISTER_UNIT);
    if let Some(warps) = u64::from(facts.registers_per_sm).checked_div(registers) {
        limits.push((warps / WARP_UNIT * WARP_UNIT / warps_per_block, Limiter::Registers));
    }
    let asked = resources.map_or(0, |row| row.shared_bytes).saturating_add(launch.dynamic_shared_bytes);
    // Nobody has half the address space: what claims to is taken to need that.
    let shared = (asked.min(u64::MAX / 2) + SHARED_RESERVED).next_multiple_of(SHARED_UNIT);
    if asked > 0 && facts.shared_bytes_per_sm > 0 {
        limits.push((facts.shared_bytes_per_sm / shared, Limiter::SharedMemory));
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h200() -> DeviceFacts {
        DeviceFacts {
            sm_count: 132,
            max_threads_per_sm: 2048,
            max_blocks_per_sm: 32,
            registers_per_sm: 65536,
            shared_bytes_per_sm: 228 << 10,
            ..DeviceFacts::default()
        }
    }

    fn occupancy(registers: u32, shared_bytes: u64, threads: u32, blocks: u32) -> Occupancy {
        let resources = KernelResources { registers, shared_bytes, ..KernelResources::default() };
        let launch = Launch { grid: [blocks, 1, 1], block: [threads, 1, 1], ..Launch::default() };
        of(&h200(), Some(&resources), &launch).unwrap()
    }

    #[test]
    fn each_limit_is_named() {
        let found = |registers, shared, threads, blocks| {
            let occupancy = occupancy(registers, shared, threads, blocks);
            (occupancy.blocks_per_sm, occupancy.theoretical, occupancy.limiter)
        };
        assert_eq!(found(32, 0, 256, 100_000), (8, 1.0, Limiter::None));
        assert_eq!(found(255, 0, 256, 100_000), (1, 0.125, Limiter::Registers));
        assert_eq!(found(168, 0, 128, 100_000), (3, 0.1875, Limiter::Registers));
        assert_eq!(found(32, 100 << 10, 256, 100_000), (2, 0.25, Limiter::SharedMemory));
        assert_eq!(found(32, 0, 32, 100_000), (32, 0.5, Limiter::BlockSize));
        assert_eq!(found(32, 0, 1024, 64), (2, 1.0, Limiter::Grid));
        assert_eq!(found(32, 0, 768, 100_000), (2, 0.75, Limiter::BlockSize));
    }

    #[test]
    fn a_small_grid_leaves_sms_empty() {
        let few = occupancy(32, 0, 256, 66);
        assert_eq!((few.resident, few.waves), (66.0 * 8.0 / (132.0 * 64.0), 66.0 / 1056.0));
    }
}
