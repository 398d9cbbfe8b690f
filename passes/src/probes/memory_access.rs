//! `memory-access`: how far each load and store moves from one execution to the next.
//!
//! ## What it measures
//! For every load and store of the optimised code, gathers and scatters by lane: how often it ran, the bytes it
//! moved, and the distance between consecutive addresses of the same thread in classes: the same address, the next
//! element, within a cache line, within a page, beyond; and how often the distance was the one before.
//!
//! ## How
//! `kprobe.access` before each access, on optimised LLVM IR imported back into the LLVM dialect. A masked access of
//! consecutive elements counts with its whole width if any lane takes part. Atomic read-modify-writes and block
//! copies are not followed. On a GPU the lanes of a warp compare their addresses: sectors of 32 bytes and lanes on one
//! address, or of shared memory wavefronts; atomics and `cp.async` are followed there, matrix loads are not.
//!
//! ## Cost
//! About 25 instructions an access, without a branch; a gather pays for each lane. Goes into a build of its own,
//! from which no clock is read.
//!
//! ## Records
//! The site's counter, and eight words: last address, last stride, five classes, regular strides. On a GPU executions by warps,
//! and four words: active lanes, bytes, sectors or wavefronts, most lanes on one address. No record.

use crate::{
    ir::is_device,
    probe::{Insertion, Level, Perturbation, Probe, ProbeError},
    watch::watch_accesses,
};
use kinstr_trace::{observed::STRIDE_WORDS, sites::WARP_ACCESS_WORDS};

/// The probe.
pub struct MemoryAccess;

/// The probe, for the registry.
pub const PROBE: MemoryAccess = MemoryAccess;

impl Probe for MemoryAccess {
    fn name(&self) -> &'static str {
        "memory-access"
    }
    fn source(&self) -> &'static str {
        include_str!("memory_access.rs")
    }
    fn level(&self) -> Level {
        Level::Optimized
    }
    fn perturbation(&self) -> Perturbation {
        Perturbation::Observing
    }
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError> {
        let words = if is_device(insertion.module()) { WARP_ACCESS_WORDS } else { STRIDE_WORDS };
        watch_accesses(insertion, PROBE.name(), words, |builder, site, access| {
            builder.access(site, access.width(), access.pointer, access.mask)
        })
    }
}
