//! `block-timeline`: when and where each block of a GPU's grid runs.
//!
//! ## What it measures
//! The time every warp spends in its kernel, from its first instruction to its last. With what the header of a warp's unit says
//! (block, SM, both clocks at the entry and at the end) that is a timeline of blocks by SM: waves, a tail, imbalance.
//!
//! ## How
//! On optimised device code: one site a kernel, around its whole body. The clocks at the entry are kept in registers, and nothing
//! is stored before the end. Code of a CPU has no kernels.
//!
//! ## Cost
//! Two registers, and a dozen instructions of each warp; in blocks that record about 60 more and 8 stores by one lane of each
//! warp at its end. A kernel may take 1.4 seconds at most: its clocks are kept in 32 bits, and a longer one is said to have no times.
//!
//! ## Records
//! Aggregate mode: count, sum, min and max in ticks of the SM's clock. Trace mode: a begin and an end record.

use crate::{
    conversion::nvptx::is_kernel,
    ir::{body, blocks, functions, place_of, symbol},
    probe::{Insertion, Level, NewSite, Perturbation, Probe, ProbeError},
    watch::check_device,
};
use kinstr_trace::sites::SiteKind;
use melior::ir::{BlockLike, operation::OperationLike};

/// The probe.
pub struct BlockTimeline;

/// The probe, for the registry.
pub const PROBE: BlockTimeline = BlockTimeline;

impl Probe for BlockTimeline {
    fn name(&self) -> &'static str {
        "block-timeline"
    }
    fn source(&self) -> &'static str {
        include_str!("block_timeline.rs")
    }
    fn level(&self) -> Level {
        Level::Optimized
    }
    fn perturbation(&self) -> Perturbation {
        Perturbation::Timing
    }
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError> {
        check_device(insertion, self.name())?;
        let mut found = false;
        for kernel in functions(insertion.module(), "llvm").into_iter().filter(|function| is_kernel(*function)) {
            let (name, place) = (symbol(kernel), place_of(kernel.location()));
            let site = NewSite::timed(self.name(), SiteKind::Kernel, name.clone(), name, place);
            found = true;
            let (Some(site), Some(region)) = (insertion.add_chosen_site(site), body(kernel)) else { continue };
            for (index, block) in blocks(region).enumerate() {
                if index == 0 {
                    let begin = insertion.builder(kernel).region_begin(site)?;
                    block.insert_operation(insertion.first_in(block), begin);
                }
                if let Some(leave) = insertion.before_return(block) {
                    block.insert_operation_before(leave, insertion.builder(leave).region_end(site)?);
                }
            }
            insertion.open_function(kernel)?;
        }
        if found { Ok(()) } else { Err(ProbeError::NothingToWatch { probe: self.name(), reason: "there is no kernel" }) }
    }
}
