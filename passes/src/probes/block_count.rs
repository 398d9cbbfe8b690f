//! `block-count`: how often each basic block runs, and so exactly what the kernel did.
//!
//! ## What it measures
//! Executions of every basic block of the optimised code. Joined with what one execution of the block does
//! (floating-point operations by type and width, loads, stores, bytes by buffer, branches, calls, each by
//! source line), this gives the exact instruction mix and arithmetic intensity.
//!
//! ## How
//! `kprobe.count` at the head of each block, on optimised LLVM IR imported back into the LLVM dialect. The
//! instrumented module is emitted without optimising it again, so the blocks are those of the clean build.
//!
//! ## Cost
//! One memory increment a block; on a GPU two, by one lane of each warp. Goes into a build of its own, from which no clock is read.
//!
//! ## Records
//! Aggregate mode: one 64-bit counter a block. On a GPU it counts executions by warps, and a word has the lanes that took
//! part in them. Trace mode: one record a block entered, without a clock.

use crate::{
    cfg::loop_depths,
    facts::FunctionFacts,
    ir::{body, blocks, functions, is_device, operations, symbol},
    probe::{Insertion, Level, NewSite, Perturbation, Probe, ProbeError},
};
use kinstr_trace::sites::{SiteKind, WARP_BLOCK_WORDS};
use melior::ir::{BlockLike, operation::OperationLike};

/// The probe.
pub struct BlockCount;

/// The probe, for the registry.
pub const PROBE: BlockCount = BlockCount;

impl Probe for BlockCount {
    fn name(&self) -> &'static str {
        "block-count"
    }
    fn source(&self) -> &'static str {
        include_str!("block_count.rs")
    }
    fn level(&self) -> Level {
        Level::Optimized
    }
    fn perturbation(&self) -> Perturbation {
        Perturbation::Counting
    }
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError> {
        let functions = functions(insertion.module(), "llvm");
        if functions.is_empty() {
            let wanted = "after the optimiser, on the LLVM dialect";
            return Err(ProbeError::WrongLevel { probe: self.name(), wanted });
        }
        let defined: Vec<String> = functions.iter().map(|function| symbol(*function)).collect();
        let words = if is_device(insertion.module()) { WARP_BLOCK_WORDS } else { 0 };
        let mut allocations = 0;
        for function in functions {
            let Some(region) = body(function) else { continue };
            let depths = loop_depths(region);
            let name = symbol(function);
            let mut facts = FunctionFacts::new(&defined, &mut allocations);
            for (index, block) in blocks(region).enumerate() {
                let lines = facts.of_block(block);
                let place = lines.iter().find_map(|line| line.place.clone());
                let site = insertion.add_site(NewSite {
                    probe: PROBE.name(),
                    kind: SiteKind::Block,
                    name: format!("{name}:bb{index}"),
                    function: name.clone(),
                    place,
                    loop_depth: depths[index],
                    counts_trips: false,
                    words,
                    lines,
                });
                if let Some(first) = operations(block).next() {
                    let count = insertion.builder(first).count(site)?;
                    block.insert_operation(first_position(first), count);
                }
            }
            insertion.open_function(function)?;
        }
        Ok(())
    }
}

/// A landing pad must stay first in its block.
fn first_position(first: melior::ir::OperationRef<'_, '_>) -> usize {
    usize::from(first.name().as_string_ref().as_str() == Ok("llvm.landingpad"))
}
