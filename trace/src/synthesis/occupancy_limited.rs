//! Too few warps are resident to keep the GPU busy.
//!
//! ## What it means
//! An SM hides the waits of one warp behind the work of others. Registers, shared memory or the block size keep it from holding many, or
//! the grid has too few blocks to fill all SMs even once.
//!
//! ## Evidence
//! Resident warps as part of those that the SMs could hold, from the launch and the kernel's resources by CUDA's occupancy
//! rules; the limit that is reached first; how near the kernel comes to any measured limit.
//!
//! ## When it fires
//! At most half of the warps are resident, no measured limit explains 75 % of the time, arithmetic does not explain 30 % of it (then each warp
//! has work enough), and the kernel takes at least half of the time.
//!
//! ## Potential
//! Time over the time with all warps resident, if it shrinks in proportion; at most time over the nearest limit; at most 2
//! unless the grid or the block is too small, because registers and shared memory are put to use.
//!
//! ## What to try
//! Grid: smaller tiles, a split of the reduction, several problems at once. Block size: 128 to 256 threads. Registers: fewer
//! results a thread, a launch bound. Shared memory: smaller tiles, fewer stages.

use super::{Need, Tables, Target, at_roofline, latency_bound};
use crate::device::{Finding, KernelTable, Limiter, Occupancy, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};

/// Stable code.
pub const CODE: &str = "KI0107";
/// Occupancy follows from the launch and the device's limits, which come with its peaks.
pub const NEEDS: &[Need] = &[Need::Kernels, Need::Peaks];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "occupancy-limited";
/// Part of the time that arithmetic may explain: more, and each warp has independent work enough.
const BUSY: f64 = 0.3;
/// Part of the time that the kernel must take.
const KERNEL: f64 = 0.5;
/// The most to gain where registers or shared memory are given up for warps.
const TRADED: f64 = 2.0;

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let limits = &subject.limits;
    let occupancy = kernel.occupancy?;
    let nearest = limits.share(limits.traffic_ns.max(limits.arithmetic_ns()));
    let arithmetic = limits.share(limits.arithmetic_ns());
    let busy = nearest >= at_roofline::FRACTION || arithmetic >= BUSY;
    if occupancy.resident > latency_bound::ENOUGH_WARPS || busy || subject.kernel_ns(kernel) < KERNEL * limits.time_ns {
        return None;
    }
    let proportional = 1.0 / occupancy.resident;
    let most = match occupancy.limiter {
        Limiter::Registers | Limiter::SharedMemory => proportional.min(TRADED),
        _ => proportional,
    };
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Control,
        confidence: (0.6, "occupancy is exact; how much more warps would help is not known"),
        message: message(kernel, &occupancy),
        evidence: vec![
            Evidence::new("resident-warps", occupancy.resident, "1", "performance").against(latency_bound::ENOUGH_WARPS),
            Evidence::new("theoretical-occupancy", occupancy.theoretical, "1", "performance"),
            Evidence::new("waves", occupancy.waves, "1", "performance"),
            Evidence::new("nearest-limit-share", nearest, "1", "peaks").against(at_roofline::FRACTION),
        ],
        place: kernel.place.clone(),
        kernel: Some(kernel.kernel.clone()),
        speedup: limits.headroom().min(most),
        model: "time / time with all warps resident, at most time / roofline floor with a launch",
    }
    .on(subject)
}

fn message(kernel: &KernelTable, occupancy: &Occupancy) -> String {
    let percent = occupancy.resident * 100.0;
    let threads = product(kernel.block);
    let blocks = product(kernel.grid);
    let registers = kernel.registers.unwrap_or(0);
    let because = match occupancy.limiter {
        Limiter::Registers => format!("{registers} registers a thread leave room for {} blocks an SM", occupancy.blocks_per_sm),
        Limiter::SharedMemory => {
            format!("{} bytes of shared memory a block leave room for {}", kernel.shared_bytes, occupancy.blocks_per_sm)
        }
        Limiter::BlockSize => format!("an SM holds {} blocks of {threads} threads", occupancy.blocks_per_sm),
        Limiter::Grid | Limiter::None => format!("the grid has {blocks} blocks of {threads} threads"),
    };
    format!("{percent:.0} % of the warps that the GPU could hold are resident: {because}")
}

fn product(extents: [u32; 3]) -> u64 {
    extents.iter().fold(1, |product, &extent| product.saturating_mul(extent.into()))
}
