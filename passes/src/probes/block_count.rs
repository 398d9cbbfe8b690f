//! `block-count`: how often each basic block runs, and so exactly what the kernel did.
//!
//! ## What it measures
//! Executions of every basic block of the optimised code. Joined with what one execution of the block does
//! (floating-point operations by type and width, loads, stores, bytes by buffer, branches, calls, each by
//! source line), this gives the exact instruction mix and arithmetic intensity. A copy or fill whose length only the run
//! knows has its bytes counted too. Ops of which nothing is known (assembly, intrinsics of the target) are named in a note.
//!
//! ## How
//! `kprobe.count` at the head of each block, on optimised LLVM IR imported back into the LLVM dialect. The
//! instrumented module is emitted without optimising it again, so the blocks are those of the clean build. Before each
//! copy of open length `kprobe.count_bytes` adds it to the counter of a site of its own.
//!
//! ## Cost
//! One memory increment a block, and an addition a copy; on a GPU two a block, by one lane of each warp. Goes into a build of
//! its own, from which no clock is read.
//!
//! ## Records
//! Aggregate mode: one 64-bit counter a block or copy. On a GPU that of a block counts executions by warps, and a word has the
//! lanes that took part in them. Trace mode: one record a block entered, without a clock.

use crate::{
    cfg::loop_depths,
    facts::{BlockCopy, Length, ModuleFacts},
    ir::{blocks, body, first_place, is_device, symbol},
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
        let functions = insertion.optimized_functions(self.name())?;
        let on_device = is_device(insertion.module());
        let words = if on_device { WARP_BLOCK_WORDS } else { 0 };
        let mut facts = ModuleFacts::of(&functions);
        for function in functions {
            let Some(region) = body(function) else { continue };
            let depths = loop_depths(region);
            let name = symbol(function);
            let mut uncounted = 0;
            for (index, block) in blocks(region).enumerate() {
                let lines = facts.of_block(block);
                let mut copies = facts.open_copies(block);
                if on_device {
                    // The lanes of a warp copy different lengths, and a counter would have those of one.
                    uncounted += copies.len();
                    copies.clear();
                }
                let label = format!("{name}:bb{index}");
                let site = insertion.add_site(NewSite {
                    place: lines.iter().find_map(|line| line.place.clone()),
                    loop_depth: depths[index],
                    words,
                    lines,
                    ..NewSite::counted(PROBE.name(), SiteKind::Block, label.clone(), name.clone())
                });
                if let Some((position, first)) = first_place(block) {
                    block.insert_operation(position, insertion.builder(first).count(site)?);
                }
                for (number, (copy, facts)) in copies.into_iter().enumerate() {
                    let label = format!("{label}.copy{number}");
                    let site = NewSite {
                        place: facts.place.clone(),
                        loop_depth: depths[index],
                        lines: vec![facts],
                        ..NewSite::counted(PROBE.name(), SiteKind::Copy, label, name.clone())
                    };
                    count_copy(insertion, &copy, site)?;
                }
            }
            if uncounted > 0 {
                insertion.leave_out(format!(
                    "block-count does not count the bytes of {uncounted} copies in `{name}` whose length only the run knows"
                ));
            }
            if let Some(unknown) = facts.take_unknown() {
                insertion.leave_out(format!(
                    "block-count does not know {unknown} in `{name}`: what they compute and move is not counted"
                ));
            }
            insertion.open_function(function)?;
        }
        Ok(())
    }
}

/// Adds the length of a copy to the counter of a site of its own.
fn count_copy<'c>(
    insertion: &mut Insertion<'_, 'c>,
    copy: &BlockCopy<'c, '_>,
    site: NewSite,
) -> Result<(), ProbeError> {
    let (Length::Open(length), Some(block)) = (&copy.length, copy.operation.block()) else { return Ok(()) };
    let site = insertion.add_site(site);
    let count = insertion.builder(copy.operation).count_bytes(site, *length)?;
    block.insert_operation_before(copy.operation, count);
    Ok(())
}
