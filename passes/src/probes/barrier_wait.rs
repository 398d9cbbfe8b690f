//! `barrier-wait`: how long warps wait for each other at barriers, on a GPU.
//!
//! ## What it measures
//! The time from arriving at a barrier of a block or a cluster to leaving it, for every barrier of the optimised code. Warps
//! that arrive last hardly wait; the time of the others is what they lost to those.
//!
//! ## How
//! On optimised device code: the clock is read before and after every barrier, by each lane for itself; the lowest lane of a
//! warp speaks for it. Code of a CPU has none.
//!
//! ## Cost
//! Two clock reads a barrier, or one where it follows another wait at once, and an update of four registers, or of one where no
//! loop is around it; two stores by one lane of each warp that records before the kernel returns.
//!
//! ## Records
//! Aggregate mode: count, sum, min and max in ticks of the SM's clock. Trace mode: a begin and an end record.

use crate::{
    probe::{Insertion, Level, Perturbation, Probe, ProbeError},
    watch::time_device_ops,
};
use kinstr_trace::sites::SiteKind;

/// What barriers are called: as intrinsics, as NVVM ops, and in inline PTX. An arrival alone does not wait.
const BARRIERS: [&str; 9] = [
    "nvvm.barrier.cta.sync",
    "nvvm.barrier.cta.red",
    "nvvm.barrier.cluster.wait",
    "nvvm.cluster.wait",
    "nvvm.barrier0",
    "nvvm.bar.sync",
    "barrier.cluster.wait",
    "barrier.sync",
    "bar.sync",
];

/// The probe.
pub struct BarrierWait;

/// The probe, for the registry.
pub const PROBE: BarrierWait = BarrierWait;

impl Probe for BarrierWait {
    fn name(&self) -> &'static str {
        "barrier-wait"
    }
    fn source(&self) -> &'static str {
        include_str!("barrier_wait.rs")
    }
    fn level(&self) -> Level {
        Level::Optimized
    }
    fn perturbation(&self) -> Perturbation {
        Perturbation::Timing
    }
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError> {
        let nothing = "the kernels have no barrier";
        time_device_ops(insertion, self.name(), SiteKind::Barrier, &BARRIERS, nothing)
    }
}
