//! `async-wait`: how long warps wait for what they began asynchronously, on a GPU.
//!
//! ## What it measures
//! The time in every wait of the optimised code for copies to shared memory (`cp.async`, bulk copies, memory barriers that count
//! their bytes) and for matrix products (`wgmma`). What overlaps with other work is not waited for, and so not in it.
//!
//! ## How
//! On optimised device code: the clock is read before and after every wait. A loop that asks a memory barrier again and again
//! is timed whole where it is one piece of inline PTX, as MLIR makes it, and by each try otherwise. The time from beginning
//! a copy to its end is not measured: nothing of a warp happens at its end. Code of a CPU has none.
//!
//! ## Cost
//! Two clock reads a wait, or one where it follows another wait at once, and an update of four registers, or of one where no loop
//! is around it; two stores by one lane of each warp that records before the kernel returns.
//!
//! ## Records
//! Aggregate mode: count, sum, min and max in ticks of the SM's clock. Trace mode: a begin and an end record.

use crate::{
    probe::{Insertion, Level, Perturbation, Probe, ProbeError},
    watch::time_device_ops,
};
use kinstr_trace::sites::SiteKind;

/// What waits are called: as intrinsics and NVVM ops, then in inline PTX.
const WAITS: [&str; 11] = [
    "cp.async.wait.group",
    "cp.async.wait.all",
    "cp.async.bulk.wait.group",
    "wgmma.wait_group",
    "wgmma.wait.group",
    "mbarrier.try.wait",
    "mbarrier.test.wait",
    "cp.async.wait_group",
    "cp.async.wait_all",
    "cp.async.bulk.wait_group",
    "mbarrier.try_wait",
];

/// The probe.
pub struct AsyncWait;

/// The probe, for the registry.
pub const PROBE: AsyncWait = AsyncWait;

impl Probe for AsyncWait {
    fn name(&self) -> &'static str {
        "async-wait"
    }
    fn source(&self) -> &'static str {
        include_str!("async_wait.rs")
    }
    fn level(&self) -> Level {
        Level::Optimized
    }
    fn perturbation(&self) -> Perturbation {
        Perturbation::Timing
    }
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError> {
        let nothing = "the kernels wait for no asynchronous copy and no asynchronous product";
        time_device_ops(insertion, self.name(), SiteKind::AsyncWait, &WAITS, nothing)
    }
}
