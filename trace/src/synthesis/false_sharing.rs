//! Threads write to different elements of one cache line.
//!
//! ## What it means
//! A core must own a line to write to it. Threads that write to neighbouring elements take the line from each other
//! again and again, although none of them needs what the others wrote.
//!
//! ## Evidence
//! Addresses of single stores by thread, from the observing build: stores that stay within a line, and the threads whose
//! last address is on the line of another thread's but is not the same. The measured latency of the last cache, through
//! which lines go from core to core.
//!
//! ## When it fires
//! At least two threads store 90 % of the time within a line that another one writes to, and the transfers would gain
//! 20 % if each second store cost one.
//!
//! ## Potential
//! Time over time without one transfer for every second store of a thread, at the last cache's measured latency, at
//! most 90 % of the time and at most time over roofline floor.
//!
//! ## What to try
//! Pad what each thread writes to a line of its own (64 bytes; 128 where lines are fetched in pairs); keep sums in local
//! variables and store them once.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::observed::AccessRow;
use crate::peaks::Peaks;
use crate::roofline::RooflinePoint;
use crate::sites::AccessKind;

/// Stable code.
pub const CODE: &str = "KI0021";
/// Peaks and observed accesses.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Accesses];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "false-sharing";
/// Least part of a store's moves that stay within a line.
const WITHIN: f64 = 0.9;
/// Stores for each transfer of the line: neither does every store find it gone, nor every other one.
const STORES_A_TRANSFER: f64 = 2.0;
/// Least estimated gain.
const GAIN: f64 = 1.2;
/// Most of the time that transfers are taken to cost: something is left to do without them.
const MOST: f64 = 0.9;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let point = RooflinePoint::of(workload, peaks)?;
    let accesses = workload.accesses.as_ref()?;
    let [.., last_cache, _] = peaks.levels.as_slice() else { return None };
    let shared: Vec<&AccessRow> = accesses.rows.iter().filter(|row| is_shared(row)).collect();
    let worst = *shared.iter().max_by_key(|row| row.executions)?;
    let stores: f64 = shared.iter().map(|row| accesses.per_launch(row.executions as f64)).sum();
    let transfers = stores / STORES_A_TRANSFER / f64::from(worst.line_sharers);
    let share = (transfers * last_cache.latency_ns * 1e-9 / workload.seconds()?).min(MOST);
    let speedup = (1.0 / (1.0 - share)).min(1.0 / point.fraction);
    if speedup < GAIN {
        return None;
    }
    let place = worst.place.clone();
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Memory,
        severity: Severity::of(speedup),
        confidence: workload
            .confidence(0.8, "the addresses are those of each thread; how often the line moves is estimated"),
        message: format!(
            "{} threads store {stores:.0} times a launch to different elements of one cache line, which each has to take \
             from the other",
            worst.line_sharers,
        ),
        evidence: vec![
            Evidence::new("threads-on-the-line", f64::from(worst.line_sharers), "threads", "intra-kernel").against(2.0),
            Evidence::new("stores-to-the-line", stores, "stores", "intra-kernel"),
            Evidence::new("latency", last_cache.latency_ns, "ns", "peaks"),
            Evidence::new("transfer-time-share", share, "1", "peaks").against(1.0 - 1.0 / GAIN),
        ],
        region: place.as_ref().and_then(|place| workload.region_at(place)).map(|region| region.name.clone()),
        place,
        potential: Potential {
            speedup,
            model: "time / time without a transfer for every second store of a thread, at the last cache's latency, \
                    at most time / roofline floor"
                .to_owned(),
        },
        workload: workload.index,
    })
}

fn is_shared(row: &AccessRow) -> bool {
    let strides = &row.strides;
    let within = strides.same.saturating_add(strides.unit).saturating_add(strides.line);
    row.kind == AccessKind::Store && row.line_sharers > 1 && within as f64 >= WITHIN * strides.total().max(1) as f64
}
