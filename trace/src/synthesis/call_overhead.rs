//! A function is called for every single element.
//!
//! ## What it means
//! The machine code calls a function, such as `tanhf` or `erff` of the math library, once per
//! element. Each call saves and restores registers and cannot be vectorised around, so the loop runs
//! one element at a time whatever else it does.
//!
//! ## Evidence
//! Calls by callee from the block counters, the measured cost of a call to a trivial function, the time
//! that the rest of the kernel does not account for. A vector math call (`_ZGVeN16v_expf`) handles many
//! elements and is no evidence of this by itself; nor are calls that allocate, copy or fill memory.
//!
//! ## When it fires
//! Calls that handle one element cost 5 % of the time by call cost alone, or there is at least one of
//! them per output element and 30 % of the time is spent in and around them; and removing them would
//! gain 10 %.
//!
//! ## Potential
//! With s the part of the time in blocks that call for one element, and in the candidate's own functions so called (what
//! the other blocks' instructions, one a cycle, leave over), and r the measured vector rate over the scalar
//! rate: s shrinks to s / r, because the loop can then be vectorised. Calls of the candidate's own functions that are
//! rarer than one an output element save only the measured call cost. At most time over roofline floor.
//!
//! ## What to try
//! An inlined polynomial or rational approximation within the tolerance, written with `arith` and
//! `vector` ops; a vector math library; inlining the candidate's own functions.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::roofline::RooflinePoint;
use crate::work::{BlockWork, CallWork, Work};

/// Stable code.
pub const CODE: &str = "KI0005";
/// Peaks and counted work.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Work];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "call-overhead";
/// Least part of the time that the calls alone cost.
const CALL_SHARE: f64 = 0.05;
/// Least part of the time in and around calls, if there is one per output element.
const TIME_SHARE: f64 = 0.3;
/// Least estimated gain.
const GAIN: f64 = 1.1;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let work = workload.work.as_ref()?;
    let point = RooflinePoint::of(workload, peaks)?;
    let cost = Cost::of(workload, work, peaks)?;
    let speedup = cost.speedup().min(1.0 / point.fraction);
    let per_element = cost.element_calls >= workload.output_elements() && cost.element_share >= TIME_SHARE;
    if speedup < GAIN || (cost.call_share < CALL_SHARE && !per_element) {
        return None;
    }
    let callee = work.total.calls.iter().filter(|row| counts(row)).max_by_key(|row| row.calls)?;
    let calls = work.per_launch(callee.calls);
    let block = work.blocks.iter().max_by_key(|block| calls_of(block, &callee.callee))?;
    let place = block.lines.iter().find(|line| names(&line.amounts.calls, &callee.callee));
    let place = place.and_then(|line| line.place.clone());
    let region = place.as_ref().and_then(|place| workload.region_at(place));
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Overhead,
        severity: Severity::of(speedup),
        confidence: workload.confidence(0.85, "calls are exact; the time inside them is by exclusion"),
        message: format!(
            "`{}` is called {calls} times a launch, one element each: {:.0} % of the time is call \
             cost alone, {:.0} % is in and around the calls",
            callee.callee,
            cost.call_share * 100.0,
            cost.element_share.max(cost.call_share) * 100.0,
        ),
        evidence: vec![
            Evidence::new("calls", calls as f64, "calls", "kernel-counters"),
            Evidence::new("call-cost", peaks.call_ns, "ns", "peaks"),
            Evidence::new("call-cost-share", cost.call_share, "1", "kernel-counters")
                .against(CALL_SHARE),
            Evidence::new("time-around-calls", cost.element_share, "1", "kernel-counters")
                .against(TIME_SHARE),
        ],
        region: region.map(|region| region.name.clone()),
        place,
        potential: Potential {
            speedup,
            model: format!(
                "time in and around the calls / {:.0} (vector over scalar rate), at most \
                 time / roofline floor",
                cost.ratio
            ),
        },
        workload: workload.index,
    })
}

/// What calls that handle one element cost, as parts of the time.
struct Cost {
    /// Calls that handle one element, per launch.
    element_calls: u64,
    /// Measured call cost of all calls.
    call_share: f64,
    /// Measured call cost of rarer calls inside the candidate.
    rare_share: f64,
    /// Time in blocks that call for one element, callees included.
    element_share: f64,
    /// Vector over scalar rate.
    ratio: f64,
}

impl Cost {
    fn of(workload: &WorkloadTable, work: &Work, peaks: &Peaks) -> Option<Self> {
        let time = workload.seconds()? * workload.threads();
        let inlinable = work.element_callees(workload.output_elements());
        let of_element = |row: &CallWork| row.is_scalar_library() || inlinable.contains(row.callee.as_str());
        let calls = |select: &dyn Fn(&CallWork) -> bool| -> u64 {
            let rows = work.total.calls.iter().filter(|row| select(row));
            work.per_launch(rows.map(|row| row.calls).sum())
        };
        let element_calls = calls(&of_element);
        let rare = calls(&|row| row.internal && !of_element(row));
        let share = |calls: u64| (calls as f64 * peaks.call_ns * 1e-9 / time).min(1.0);
        let others = work.blocks.iter().filter(|block| {
            !inlinable.contains(block.function.as_str()) && !block.amounts().calls.iter().any(of_element)
        });
        let instructions = work.per_launch(others.map(|block| block.amounts().instructions).sum());
        let rest = (instructions as f64 / peaks.clock_hz / time).min(1.0);
        let element_share = if element_calls == 0 { 0.0 } else { share(element_calls).max(1.0 - rest) };
        Some(Self {
            element_calls,
            call_share: share(element_calls.saturating_add(rare)),
            rare_share: share(rare).min(1.0 - element_share),
            element_share,
            ratio: (peaks.fma_f32_vector / peaks.fma_f32_scalar).max(1.0),
        })
    }

    /// Time over time without the calls.
    fn speedup(&self) -> f64 {
        let left = 1.0 - self.element_share + self.element_share / self.ratio - self.rare_share;
        1.0 / left.max(f64::EPSILON)
    }
}

/// Calls that may cost: out of the candidate for one element, or inside the candidate.
fn counts(row: &CallWork) -> bool {
    row.internal || row.is_scalar_library()
}

fn calls_of(block: &BlockWork, callee: &str) -> u64 {
    let rows = block.lines.iter().flat_map(|line| &line.amounts.calls);
    rows.filter(|row| row.callee == callee).map(|row| row.calls).sum()
}

fn names(calls: &[CallWork], callee: &str) -> bool {
    calls.iter().any(|row| row.callee == callee)
}
