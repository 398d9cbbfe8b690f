//! One execution port of the core is full, and not with the kernel's arithmetic.
//!
//! ## What it means
//! The hot loop has as many instructions for one port, or one pair of them, as fit: shuffles, divisions, conversions,
//! integer operations, loads or stores. The floating-point units could do more, and the memory could too.
//!
//! ## Evidence
//! llvm-mca's model of the hottest innermost loops of the machine code: cycles that each resource is busy an iteration;
//! executions from the block counters, the measured clock; the time that issuing the counted vector arithmetic takes.
//!
//! ## When it fires
//! Loops that the model finds held back by one resource, busy in 85 % of the cycles or more, take half the time by the
//! model; the counted vector arithmetic explains less than half of theirs; and relieving the resource would gain 10 %.
//! Loops with calls are left out: the model does not know what happens inside.
//!
//! ## Potential
//! With s the part of the time that these loops take by the model, and t the cycles that the next busy kind of
//! resource needs over their cycles: 1 / (1 - s + s · t), at most time over roofline floor.
//!
//! ## What to try
//! Move work to other ports: a multiplication by the inverse for a division, loads that broadcast or shuffle on the way
//! for shuffles in registers, wider loads and stores, a blend for a shuffle; keep in registers what is stored and loaded
//! again; a layout that needs no shuffles.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::port_model::{HotBlock, Limit};
use crate::roofline::{RooflinePoint, issue_seconds};

/// Stable code.
pub const CODE: &str = "KI0031";
/// Peaks and the port model.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::HotBlocks];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "port-bound";
/// Least part of the time in loops with a full port.
const SHARE: f64 = 0.5;
/// If issuing the arithmetic takes this part of their time or more, arithmetic is what fills the port.
const ARITHMETIC: f64 = 0.5;
/// Least estimated gain.
const GAIN: f64 = 1.1;
/// The model takes longer than the kernel did by this factor: it is not quite this core.
const BEYOND: f64 = 1.3;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let point = RooflinePoint::of(workload, peaks)?;
    let is_full = |block: &&HotBlock| block.limit() == Limit::Resource && block.calls == 0;
    let full: Vec<&HotBlock> = workload.hot_blocks.iter().flatten().filter(is_full).collect();
    let share_of = |block: &HotBlock| workload.model_share(block, peaks);
    let worst = *full.iter().max_by(|a, b| share_of(a).total_cmp(&share_of(b)))?;
    let busiest = worst.busiest()?;
    let share: f64 = full.iter().map(|block| share_of(block)).sum();
    let arithmetic = issue_seconds(workload, peaks) / (workload.seconds()? * share);
    let (within, left) = (share.min(1.0), worst.relieved_cycles / worst.cycles);
    let speedup = (1.0 / (1.0 - within + within * left)).min(1.0 / point.fraction);
    if share < SHARE || arithmetic >= ARITHMETIC || speedup < GAIN {
        return None;
    }
    let (value, why) = match share {
        s if s > BEYOND => (0.5, "the model takes longer than the kernel: it is not quite this core"),
        s if s > 0.75 => (0.75, "the modelled port explains most of the measured time"),
        _ => (0.6, "the modelled port explains a good part of the measured time"),
    };
    let place = worst.place.clone();
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Compute,
        severity: Severity::of(speedup),
        confidence: workload.confidence(value, why),
        message: format!(
            "`{}` is busy in {:.0} % of the cycles of a loop that takes {:.0} % of the time, with counted vector \
             arithmetic in only {:.0} % of them",
            busiest.name,
            worst.pressure() * 100.0,
            share * 100.0,
            arithmetic * 100.0,
        ),
        evidence: vec![
            Evidence::new("port-time-share", share, "1", "intra-kernel").against(SHARE),
            Evidence::new("port-pressure", worst.pressure(), "1", "intra-kernel"),
            Evidence::new("arithmetic-share", arithmetic, "1", "kernel-counters").against(ARITHMETIC),
            Evidence::new("next-busy-resource", worst.relieved_cycles, "cycles", "intra-kernel").against(worst.cycles),
        ],
        region: place.as_ref().and_then(|place| workload.region_at(place)).map(|region| region.name.clone()),
        place,
        potential: Potential {
            speedup,
            model: format!(
                "1 / (1 - s + s t) with s = {within:.2} of the time in such loops and t = {left:.2} of their \
                 cycles left for the next busy resource, at most time / roofline floor"
            ),
        },
        workload: workload.index,
    })
}
