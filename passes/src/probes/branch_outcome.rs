//! `branch-outcome`: which way each branch goes, and how hard that is to foresee.
//!
//! ## What it measures
//! For every conditional branch of the optimised code: how often it ran, how often it was taken, how often the
//! outcome differed from the one before, and how often a simple predictor was wrong. For a switch: how often its value
//! changed. Branches back to the head of their loop are named as such.
//!
//! ## How
//! `kprobe.branch` before each terminator with a condition, on optimised LLVM IR imported back into the LLVM dialect.
//! The predictor has two levels: the last eight outcomes of the branch choose one of 256 two-bit counters (Yeh and
//! Patt, MICRO 1991). Processors do better where other branches tell the outcome. It starts cold: up to two wrong
//! predictions a history are its own. Switches over more than 64 bits and computed jumps are not followed.
//!
//! ## Cost
//! About 35 instructions a branch, without a branch. Goes into a build of its own, from which no clock is read.
//!
//! ## Records
//! The site's counter, and twelve words: taken, transitions, history, mispredictions, counters. A switch: two words.

use crate::{
    cfg::{back_edges, loop_depths},
    facts::types::Shape,
    ir::{blocks, body, is_device, operations, place_of, symbol},
    probe::{Insertion, Level, NewSite, Perturbation, Probe, ProbeError},
};
use kinstr_trace::{
    observed::{BRANCH_WORDS, SWITCH_WORDS},
    sites::SiteKind,
};
use melior::ir::{BlockLike, OperationRef, operation::OperationLike};

/// The probe.
pub struct BranchOutcome;

/// The probe, for the registry.
pub const PROBE: BranchOutcome = BranchOutcome;

impl Probe for BranchOutcome {
    fn name(&self) -> &'static str {
        "branch-outcome"
    }
    fn source(&self) -> &'static str {
        include_str!("branch_outcome.rs")
    }
    fn level(&self) -> Level {
        Level::Optimized
    }
    fn perturbation(&self) -> Perturbation {
        Perturbation::Observing
    }
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError> {
        let functions = insertion.optimized_functions(self.name())?;
        if is_device(insertion.module()) {
            let reason = "on a GPU, `divergence` watches branches";
            return Err(ProbeError::NothingToWatch { probe: self.name(), reason });
        }
        let mut found = false;
        for function in functions {
            if watch_function(insertion, function)? {
                found = true;
                insertion.open_function(function)?;
            }
        }
        if found {
            return Ok(());
        }
        let reason = "the optimised code has no conditional branch";
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
        let Some(branch) = operations(block).last() else { continue };
        let Some(kind) = kind_of(branch) else { continue };
        let Ok(outcome) = branch.operand(0) else { continue };
        let goes_back = back.iter().any(|(source, _)| *source == index);
        let suffix = if goes_back { " back-edge" } else { "" };
        let site = insertion.add_site(NewSite {
            probe: PROBE.name(),
            kind,
            name: format!("{name}:bb{index}{suffix}"),
            function: name.clone(),
            place: place_of(branch.location()),
            loop_depth: depths[index],
            counts_trips: false,
            words: if kind == SiteKind::Branch { BRANCH_WORDS } else { SWITCH_WORDS },
            lines: Vec::new(),
        });
        let probe = insertion.builder(branch).branch(site, outcome)?;
        block.insert_operation_before(branch, probe);
        found = true;
    }
    Ok(found)
}

fn kind_of(branch: OperationRef<'_, '_>) -> Option<SiteKind> {
    match crate::ir::name(branch).as_str() {
        "llvm.cond_br" => Some(SiteKind::Branch),
        // Of two ways, and recorded as such.
        "llvm.switch" if Shape::of_value(branch.operand(0).ok()).element == "i1" => Some(SiteKind::Branch),
        "llvm.switch" if Shape::of_value(branch.operand(0).ok()).bytes() <= 8 => Some(SiteKind::Switch),
        _ => None,
    }
}
