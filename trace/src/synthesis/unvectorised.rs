//! Hot arithmetic is done one element at a time.
//!
//! ## What it means
//! The loop that does most of the work uses scalar instructions although the machine has vectors.
//! Usual causes: a floating-point reduction in strict order, a stride, a branch, possible aliasing.
//!
//! ## Evidence
//! Executed instructions and flops by width from the block counters; measured scalar and vector FMA
//! rates; observed loads and stores of single elements a line or more apart. Blocks that call a function for one element, and the candidate's own functions so called, are left to
//! `call-overhead`.
//!
//! ## When it fires
//! Scalar blocks execute at least 30 % of the instructions (a library call counts as the instructions
//! a call's measured cost has room for), remainders of vectorised loops not among them, and doing them in vectors would gain 10 %.
//! Not for a loop that waits for its own last result and stores it on every trip (a prefix sum): that is
//! `dependency-bound`.
//!
//! ## Potential
//! 1 / (1 - s + s · l), at most time over roofline floor. s is the scalar blocks' part of the instructions, or of the time by
//! the port model, if that is more. l is the time that vectors leave of it: with r the measured vector rate over the scalar
//! rate, and a the part of the scalar instructions that access lines apart, of which each element takes one in vectors
//! too, a + (1 - a) / r. A loop that waits for its own results waits once a vector: l is 1 / r, or that part of the time
//! that throughput explains of its cycles, whichever is more.
//!
//! ## What to try
//! Vectorise along an independent dimension; keep several accumulators, or allow reassociation
//! (`fastmath<reassoc>`) where the tolerance permits; make the innermost loop contiguous; write the loop
//! with `vector` ops or a transform schedule.

use super::partially_vectorised::remainders;
use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::observed::AccessRow;
use crate::peaks::Peaks;
use crate::port_model::{HotBlock, Limit};
use crate::roofline::RooflinePoint;
use crate::sites::AccessKind;
use crate::work::{Amounts, BlockWork, CallWork, Work};
use std::collections::BTreeSet;

/// Stable code.
pub const CODE: &str = "KI0003";
/// Peaks and counted work.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Work];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "unvectorised";
/// Least part of the instructions in scalar blocks.
const SHARE: f64 = 0.3;
/// Least estimated gain.
const GAIN: f64 = 1.1;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

pub(super) fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let work = workload.work.as_ref()?;
    let point = RooflinePoint::of(workload, peaks)?;
    let called = work.element_callees(workload.output_elements());
    // What vectors do for other elements is `partially-vectorised`.
    let remainders: Vec<u32> = remainders(work, &called).iter().map(|block| block.site).collect();
    let is_scalar = |block: &&BlockWork| !remainders.contains(&block.site) && is_scalar(block, &called);
    let scalar: Vec<_> = work.blocks.iter().filter(is_scalar).collect();
    let hottest = scalar.iter().rev().max_by_key(|block| block.amounts().instructions)?;
    let share = instructions(&scalar) / all_instructions(work, peaks);
    let ratio = rate_ratio(&hottest.amounts(), peaks);
    let apart = apart(workload, work, &scalar);
    let left = (busy(workload, hottest) * (apart + (1.0 - apart) / ratio)).max(1.0 / ratio);
    let time_share = share.max(modelled_share(workload, peaks, &scalar));
    let speedup = (1.0 / (1.0 - time_share + time_share * left)).min(1.0 / point.fraction);
    if share < SHARE || speedup < GAIN || is_scan(workload, hottest) {
        return None;
    }
    // Without scalar arithmetic there is no telling what vectors would gain: a strided copy is scalar for a reason.
    if scalar.iter().all(|block| block.amounts().flops_where(|row| row.lanes <= 1) == 0) {
        return None;
    }
    let (flops, scalar_flops) = (work.total.flops(), work.total.flops_where(|row| row.lanes <= 1));
    let flop_share = scalar_flops as f64 / flops.max(1) as f64;
    let place = hottest.hottest_line().cloned();
    let region = place.as_ref().and_then(|place| workload.region_at(place));
    let (value, why) = match share {
        s if s >= 0.7 => (0.9, "instruction widths are exact and scalar code dominates"),
        _ => (0.75, "instruction widths are exact; their part of the time is taken from counts"),
    };
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Compute,
        severity: Severity::of(speedup),
        confidence: workload.confidence(value, why),
        message: format!(
            "{:.0} % of the executed instructions are in scalar loops, which do {:.0} % of the \
             flops one element at a time; vectors are {ratio:.0} times as fast here",
            share * 100.0,
            flop_share * 100.0,
        ),
        evidence: vec![
            Evidence::new("scalar-instruction-share", share, "1", "kernel-counters").against(SHARE),
            Evidence::new("scalar-flop-share", flop_share, "1", "kernel-counters"),
            Evidence::new("vector-over-scalar-rate", ratio, "1", "peaks").against(1.0),
            Evidence::new("accesses-apart-share", apart, "1", "intra-kernel"),
            Evidence::new("roofline-fraction", point.fraction, "1", "peaks"),
        ],
        region: region.map(|region| region.name.clone()),
        place,
        potential: Potential {
            speedup,
            model: format!(
                "1 / (1 - s + s * l) with s = {time_share:.2} and l = {left:.2}, at most time / roofline floor"
            ),
        },
        workload: workload.index,
    })
}

/// Widest access of a single element, in bytes.
const ELEMENT: u32 = 8;

/// Part of the instructions of `scalar` blocks that are accesses to single elements of which most leave the cache line of
/// the one before; 0 where accesses were not observed.
fn apart(workload: &WorkloadTable, work: &Work, scalar: &[&BlockWork]) -> f64 {
    let Some(accesses) = &workload.accesses else { return 0.0 };
    // `function:block.load0` lies in `function:block`.
    let is_within = |row: &&AccessRow| {
        row.name.rsplit_once('.').is_some_and(|(block, _)| scalar.iter().any(|known| known.name == block))
    };
    let is_apart =
        |row: &&AccessRow| row.width <= ELEMENT && 2 * row.strides.beyond_line() > row.strides.total();
    let rows = accesses.rows.iter().filter(is_within).filter(is_apart);
    let executed: f64 = rows.map(|row| accesses.per_launch(row.executions as f64)).sum();
    let instructions = work.per_launch(scalar.iter().map(|block| block.amounts().instructions).sum());
    (executed / (instructions as f64).max(1.0)).min(1.0)
}

/// The part of a loop's cycles that its throughput explains: less than 1 where it waits for its own results.
fn busy(workload: &WorkloadTable, block: &BlockWork) -> f64 {
    let model = workload.hot_blocks.iter().flatten().find(|model| model.name == block.name);
    let waits = model.filter(|model| model.limit() == Limit::Dependencies);
    waits.map_or(1.0, |model| model.throughput_cycles / model.cycles)
}

/// The part of the time that the port model gives to `scalar` blocks, at most 1.
fn modelled_share(workload: &WorkloadTable, peaks: &Peaks, scalar: &[&BlockWork]) -> f64 {
    let is_scalar = |model: &&HotBlock| scalar.iter().any(|block| block.name == model.name);
    let models = workload.hot_blocks.iter().flatten().filter(is_scalar);
    models.map(|model| workload.model_share(model, peaks)).sum::<f64>().min(1.0)
}

/// Whether each trip of the loop waits for the one before and stores what it passes on, as a prefix sum does: no
/// order of the same operations makes vectors of that.
fn is_scan(workload: &WorkloadTable, block: &BlockWork) -> bool {
    let model = workload.hot_blocks.iter().flatten().find(|model| model.name == block.name);
    let waits = model.is_some_and(|model| model.limit() == Limit::Dependencies);
    waits && block.amounts().memory.iter().any(|row| row.kind == AccessKind::Store && row.bytes > 0)
}

/// Whether a block does its data work one element at a time, and not because of a call for one element.
pub(super) fn is_scalar(block: &BlockWork, called: &BTreeSet<&str>) -> bool {
    let amounts = block.amounts();
    let calls = |row: &CallWork| row.is_external_work() || called.contains(row.callee.as_str());
    if called.contains(block.function.as_str()) || amounts.calls.iter().any(calls) {
        return false;
    }
    let scalar = amounts.flops_where(|row| row.lanes <= 1);
    let vector = amounts.flops() - scalar;
    if scalar + vector > 0 {
        return scalar > vector;
    }
    // Copies, comparisons and maxima do no flops; what they move tells their width.
    let scalar = amounts.bytes_where(|row| row.lanes <= 1);
    let vector = amounts.bytes() - scalar;
    block.loop_depth > 0 && scalar > vector
}

pub(super) fn instructions(blocks: &[&BlockWork]) -> f64 {
    blocks.iter().map(|block| block.amounts().instructions as f64).sum()
}

/// All instructions, a call counting as those that fit its measured cost, one a cycle.
pub(super) fn all_instructions(work: &Work, peaks: &Peaks) -> f64 {
    let external = work.total.calls.iter().filter(|row| row.is_external_work());
    let calls: f64 = external.map(|row| row.calls as f64).sum();
    let instructions = work.total.instructions as f64;
    (instructions + calls * peaks.call_ns * 1e-9 * peaks.clock_hz).max(1.0)
}

/// Vector over scalar rate for the type most of the flops are in.
pub(super) fn rate_ratio(amounts: &Amounts, peaks: &Peaks) -> f64 {
    let dtype = amounts.flops.iter().max_by_key(|row| row.flops).map_or("f32", |row| &row.dtype);
    (peaks.vector_flops(dtype) / peaks.scalar_flops(dtype)).max(1.0)
}
