//! `cache-footprint`: how many cache lines a kernel touches, and how soon again.
//!
//! ## What it measures
//! For every load and store of the optimised code: cache lines that it is the first to touch, and for lines touched
//! before, how many accesses ago that was. With the sizes of the caches this tells traffic to memory from traffic
//! to a cache.
//!
//! ## How
//! `kprobe.touch` before each access, on optimised LLVM IR imported back into the LLVM dialect. Each thread keeps a
//! table of lines whose hash falls under a threshold, with the time each was last touched; time is the
//! number of accesses. When the table overflows, the threshold is halved: spatial sampling with a fixed size (SHARDS,
//! Waldspurger et al., FAST 2015). What a sampled line does is exact, and counts for as many lines as it stands for.
//! An access that crosses into a second line touches both. Atomic read-modify-writes and block copies are not followed.
//!
//! ## Cost
//! A hash and a comparison an access; about 40 instructions for a sampled line. Goes into a build of its own,
//! from which no clock is read.
//!
//! ## Records
//! Per access 33 words: first touches, and later ones by the logarithm of the time since. Per module one table of 4096 lines.

use crate::{
    ir::is_device,
    probe::{Insertion, Level, NewSite, Perturbation, Probe, ProbeError},
    watch::watch_accesses,
};
use kinstr_trace::{
    observed::{REUSE_WORDS, TABLE_WORDS},
    sites::SiteKind,
};

/// The probe.
pub struct CacheFootprint;

/// The probe, for the registry.
pub const PROBE: CacheFootprint = CacheFootprint;

impl Probe for CacheFootprint {
    fn name(&self) -> &'static str {
        "cache-footprint"
    }
    fn source(&self) -> &'static str {
        include_str!("cache_footprint.rs")
    }
    fn level(&self) -> Level {
        Level::Optimized
    }
    fn perturbation(&self) -> Perturbation {
        Perturbation::Observing
    }
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError> {
        if is_device(insertion.module()) {
            let reason = "on a GPU, `memory-access` watches loads and stores";
            return Err(ProbeError::NothingToWatch { probe: self.name(), reason });
        }
        watch_accesses(insertion, PROBE.name(), REUSE_WORDS, |builder, site, access| {
            builder.touch(site, access.width(), access.pointer, access.mask)
        })?;
        insertion.add_site(NewSite {
            probe: PROBE.name(),
            kind: SiteKind::Lines,
            name: "lines".into(),
            function: String::new(),
            place: None,
            loop_depth: 0,
            counts_trips: false,
            words: TABLE_WORDS,
            lines: Vec::new(),
        });
        Ok(())
    }
}
