//! A loop is vectorised, and much of its work is done outside the vectors all the same.
//!
//! ## What it means
//! The compiler made a vector loop, and beside it code that does one element at a time: the remainder, where rows are
//! short or no multiple of the vector, or a conditional part that has no masked form.
//!
//! ## Evidence
//! Executed work by width, of the same source line: floating-point operations, or bytes where there are none.
//!
//! ## When it fires
//! Scalar blocks of lines of which at least a tenth is done in vectors execute 15 % of the instructions or more, and
//! doing them in vectors too would gain 10 %.
//!
//! ## Potential
//! With s these blocks' part of the instructions, taken as their part of the time, and r the measured vector rate over
//! the scalar rate: 1 / (1 - s + s / r), at most time over roofline floor.
//!
//! ## What to try
//! Masked vectors for the remainder; a vector width that divides the row; collapse two loops so that there is one
//! remainder and not one a row; pad rows; write the condition as a select.

use super::unvectorised::{all_instructions, instructions, is_scalar, rate_ratio};
use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::roofline::RooflinePoint;
use crate::sites::Place;
use crate::work::{Amounts, BlockWork, Work};
use std::collections::BTreeSet;

/// Stable code.
pub const CODE: &str = "KI0034";
/// Peaks and counted work.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Work];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "partially-vectorised";
/// Least part of the instructions in the scalar part of vectorised loops.
const SHARE: f64 = 0.15;
/// Least part of a line's work in vectors for the rest of it to be a remainder.
const VECTOR_SHARE: f64 = 0.1;
/// Least estimated gain.
const GAIN: f64 = 1.1;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let work = workload.work.as_ref()?;
    let point = RooflinePoint::of(workload, peaks)?;
    let called = work.element_callees(workload.output_elements());
    let left: Vec<_> = remainders(work, &called);
    let hottest = left.iter().rev().max_by_key(|block| block.amounts().instructions)?;
    let share = instructions(&left) / all_instructions(work, peaks);
    let ratio = rate_ratio(&hottest.amounts(), peaks);
    let speedup = (1.0 / (1.0 - share + share / ratio)).min(1.0 / point.fraction);
    if share < SHARE || speedup < GAIN {
        return None;
    }
    let place = working_line(hottest).cloned();
    let scalar = place.as_ref().map_or(0.0, |place| 1.0 - vector_share(work, place));
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Compute,
        severity: Severity::of(speedup),
        confidence: workload.confidence(0.9, "widths are exact, and the same line is done in vectors too"),
        message: format!(
            "{:.0} % of the work of a vectorised line is done one element at a time, in blocks with {:.0} % of the \
             executed instructions; vectors are {ratio:.0} times as fast here",
            scalar * 100.0,
            share * 100.0,
        ),
        evidence: vec![
            Evidence::new("remainder-instruction-share", share, "1", "kernel-counters").against(SHARE),
            Evidence::new("scalar-share-of-the-line", scalar, "1", "kernel-counters"),
            Evidence::new("vector-over-scalar-rate", ratio, "1", "peaks").against(1.0),
        ],
        region: place.as_ref().and_then(|place| workload.region_at(place)).map(|region| region.name.clone()),
        place,
        potential: Potential {
            speedup,
            model: format!(
                "1 / (1 - s + s / r) with s = {share:.2} and r = {ratio:.1}, at most time / roofline floor"
            ),
        },
        workload: workload.index,
    })
}

/// Scalar blocks in loops that do what vectors do for other elements of the same line. `called` are the functions
/// that are called for one element.
pub(super) fn remainders<'w>(work: &'w Work, called: &BTreeSet<&str>) -> Vec<&'w BlockWork> {
    let is_remainder = |block: &&BlockWork| {
        block.loop_depth > 0
            && is_scalar(block, called)
            && working_line(block).is_some_and(|place| vector_share(work, place) >= VECTOR_SHARE)
    };
    work.blocks.iter().filter(is_remainder).collect()
}

/// The line of a block that does most of its work, which need not be the one with most of its instructions.
fn working_line(block: &BlockWork) -> Option<&Place> {
    let most = block.lines.iter().max_by_key(|line| (line.amounts.flops(), line.amounts.bytes()));
    most.and_then(|line| line.place.as_ref())
}

/// Part of the executed work of a line that is done in vectors: of its flops, or of its bytes if it has none.
fn vector_share(work: &Work, place: &Place) -> f64 {
    let lines = work.blocks.iter().filter(|block| block.loop_depth > 0).flat_map(|block| &block.lines);
    let here: Vec<&Amounts> =
        lines.filter(|line| line.place.as_ref() == Some(place)).map(|line| &line.amounts).collect();
    let sum = |amount: fn(&Amounts) -> u64| here.iter().map(|amounts| amount(amounts)).sum::<u64>();
    let (vector, all) = match sum(Amounts::flops) {
        0 => (sum(|amounts| amounts.bytes_where(|row| row.lanes > 1)), sum(Amounts::bytes)),
        flops => (sum(|amounts| amounts.flops_where(|row| row.lanes > 1)), flops),
    };
    vector as f64 / all.max(1) as f64
}
