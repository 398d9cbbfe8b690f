//! Every call touches memory that the system has to provide first.
//!
//! ## What it means
//! The kernel allocates on each call and gives back at its end, so that the system has to map, zero and unmap the pages
//! again and again.
//!
//! ## Evidence
//! Minor page faults of the timed calls, the first call left out; the measured cost of the first touch of a page; CPU
//! time that the process spent in the system; calls of allocating functions.
//!
//! ## When it fires
//! Faults a call times their measured cost make up 15 % of the time or more. Pages of a larger size cost more each
//! than what was measured, so that with them it fires late rather than early.
//!
//! ## Potential
//! With s that part of the time: 1 / (1 - s), at most time over roofline floor.
//!
//! ## What to try
//! Fuse the loops so that no temporary is needed; a temporary of the size of a tile, reused for each; write
//! intermediate values to the output buffer.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::roofline::RooflinePoint;
use crate::sites::Place;
use crate::work::allocates;

/// Stable code.
pub const CODE: &str = "KI0032";
/// Peaks and the system's counts.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::System];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "page-fault-bound";
/// Least part of the time that faults take.
const SHARE: f64 = 0.15;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let point = RooflinePoint::of(workload, peaks)?;
    let system = workload.system.as_ref()?;
    let (faults, cost) = (system.faults_per_call()?, peaks.page_fault_ns?);
    let share = faults * cost / workload.clean.median_ns;
    if share < SHARE {
        return None;
    }
    let speedup = if share < 1.0 { 1.0 / (1.0 - share) } else { f64::INFINITY }.min(1.0 / point.fraction).max(1.0);
    let (calls, place) = allocations(workload);
    let in_system = system.kernel_ns.map(|ns| ns / system.wall_ns);
    let allocates = match calls {
        0 => String::new(),
        calls => format!(", with {calls} allocations"),
    };
    let place = place.or_else(|| workload.hot_spot().0);
    let mut evidence = vec![
        Evidence::new("page-fault-time-share", share, "1", "system").against(SHARE),
        Evidence::new("page-faults", faults, "faults", "system"),
        Evidence::new("page-fault-cost", cost, "ns", "peaks"),
    ];
    evidence.extend(in_system.map(|part| Evidence::new("time-in-the-system", part, "1", "system")));
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Overhead,
        severity: Severity::of(speedup),
        confidence: workload.confidence(0.85, "faults are counted, and their cost is measured on this machine"),
        message: format!(
            "each call has {faults:.0} page faults{allocates}: at {cost:.0} ns each they take {:.0} % of the time",
            share * 100.0
        ),
        evidence,
        region: place.as_ref().and_then(|place| workload.region_at(place)).map(|region| region.name.clone()),
        place,
        potential: Potential { speedup, model: "1 / (1 - faults × cost / time), at most time / roofline floor".to_owned() },
        workload: workload.index,
    })
}

/// Allocations of one launch, and where the first of them is made.
fn allocations(workload: &WorkloadTable) -> (u64, Option<Place>) {
    let Some(work) = &workload.work else { return (0, None) };
    let mut calls = 0;
    let mut place = None;
    for line in work.blocks.iter().flat_map(|block| &block.lines) {
        let rows = line.amounts.calls.iter().filter(|row| allocates(&row.callee));
        let here: u64 = rows.map(|row| row.calls).sum();
        if here > 0 {
            calls += here;
            place = place.or_else(|| line.place.clone());
        }
    }
    (work.per_launch(calls), place)
}
