//! `divergence`: how often the lanes of a warp part at a branch, on a GPU.
//!
//! ## What it measures
//! For every conditional branch of the optimised device code: executions by warps, the lanes that took part, how many of them
//! took the branch, and how often some did and some did not: then the warp runs both ways one after the other.
//!
//! ## How
//! `kprobe.branch` before each conditional branch. The lanes that are there vote, and one adds up; nobody waits for a lane that
//! is elsewhere. What `ptxas` makes predicated instructions of is counted as well. Switches are not followed. Code of a CPU has no
//! lanes.
//!
//! ## Cost
//! About 20 instructions a branch and four atomic additions by one lane. Goes into a build of its own, from which no clock is read.
//!
//! ## Records
//! The site's counter, and three words: active lanes, lanes that took it, executions in which the lanes parted.

use crate::{
    cfg::{back_edges, loop_depths},
    ir::{body, blocks, functions, is, operations, place_of, symbol},
    probe::{Insertion, Level, NewSite, Perturbation, Probe, ProbeError},
    watch::check_device,
};
use kinstr_trace::sites::{SiteKind, WARP_BRANCH_WORDS};
use melior::ir::{BlockLike, OperationRef, operation::OperationLike};

/// The probe.
pub struct Divergence;

/// The probe, for the registry.
pub const PROBE: Divergence = Divergence;

impl Probe for Divergence {
    fn name(&self) -> &'static str {
        "divergence"
    }
    fn source(&self) -> &'static str {
        include_str!("divergence.rs")
    }
    fn level(&self) -> Level {
        Level::Optimized
    }
    fn perturbation(&self) -> Perturbation {
        Perturbation::Observing
    }
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError> {
        check_device(insertion, self.name())?;
        let mut found = false;
        for function in functions(insertion.module(), "llvm") {
            if watch_function(insertion, function)? {
                found = true;
                insertion.open_function(function)?;
            }
        }
        if found {
            return Ok(());
        }
        let reason = "the kernels have no conditional branch";
        Err(ProbeError::NothingToWatch { probe: self.name(), reason })
    }
}

/// True if there was a branch to watch.
fn watch_function<'c>(
    insertion: &mut Insertion<'_, 'c>,
    function: OperationRef<'c, '_>,
) -> Result<bool, ProbeError> {
    let Some(region) = body(function) else { return Ok(false) };
    let (depths, back) = (loop_depths(region), back_edges(region));
    let name = symbol(function);
    let mut found = false;
    for (index, block) in blocks(region).enumerate() {
        let Some(branch) = operations(block).last().filter(|last| is(*last, "llvm.cond_br")) else { continue };
        let Ok(outcome) = branch.operand(0) else { continue };
        let goes_back = back.iter().any(|(source, _)| *source == index);
        let suffix = if goes_back { " back-edge" } else { "" };
        let label = format!("{name}:bb{index}{suffix}");
        let place = place_of(branch.location());
        let site = NewSite::timed(PROBE.name(), SiteKind::Branch, label, name.clone(), place);
        let site = insertion.add_site(NewSite { loop_depth: depths[index], words: WARP_BRANCH_WORDS, ..site });
        let probe = insertion.builder(branch).branch(site, outcome)?;
        block.insert_operation_before(branch, probe);
        found = true;
    }
    Ok(found)
}
