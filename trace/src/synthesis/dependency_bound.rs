//! The hot loop waits for its own results.
//!
//! ## What it means
//! Each iteration needs a result of the one before, so the loop takes the latency of that chain however many
//! units the core has: they stand idle. A sum in one accumulator is the usual case.
//!
//! ## Evidence
//! llvm-mca's model of the hottest innermost loops of the machine code: simulated cycles an iteration, cycles that
//! throughput alone would allow, the instructions on the chain; executions from the block counters, the measured
//! clock.
//!
//! ## When it fires
//! Loops that the model finds held back by dependencies rather than by resources, and at least 1.25 times as slow
//! as their throughput allows, take 40 % of the time by the model; and breaking their chains would gain 10 %.
//! Loops with calls are left out: the model does not know what happens inside. Or: values in a table that the nearest
//! cache holds are loaded, changed and stored where loaded indices say (a histogram), and the model, which takes every store
//! and load to be of different addresses, explains less than 60 % of the time, which is at most 100 cycles an update; and
//! doing without the waits would gain 10 %.
//!
//! ## Potential
//! With s the part of the time that these loops take by the model, and t their throughput cycles over their simulated
//! cycles: 1 / (1 - s + s · t), at most time over roofline floor. Through memory, time over modelled time.
//!
//! ## What to try
//! Several independent accumulators that are joined at the end (unroll and jam, a tree, `fastmath<reassoc>`);
//! interleave independent rows; for a recurrence, a scan in blocks.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::observed::AccessRow;
use crate::port_model::{HotBlock, Limit};
use crate::roofline::RooflinePoint;
use crate::sites::{AccessKind, AddressSource};

/// Stable code.
pub const CODE: &str = "KI0030";
/// Peaks and the port model.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::HotBlocks];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "dependency-bound";
/// Least part of the time in loops that wait for themselves.
const SHARE: f64 = 0.4;
/// Least estimated gain.
const GAIN: f64 = 1.1;
/// The model takes longer than the kernel did by this factor: its latencies are not this core's.
const BEYOND: f64 = 1.3;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(|workload, peaks| judge(workload, peaks).or_else(|| through_memory(workload, peaks)))
}

/// Above this part of the time, the model without waits through memory explains enough.
const EXPLAINED: f64 = 0.6;

/// Cycles of an update that waits for another one, at most: a store handed on to a load takes up to 20, a division 40. What takes
/// longer has other reasons.
const LONGEST_UPDATE: f64 = 100.0;

/// The chain that a table makes whose entries are updated in place.
fn through_memory(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let point = RooflinePoint::of(workload, peaks)?;
    let time = workload.seconds()?;
    let update = updated_table(workload, peaks)?;
    let modelled: f64 =
        workload.hot_blocks.iter().flatten().map(|block| workload.model_share(block, peaks)).sum();
    let speedup = (1.0 / modelled.max(f64::MIN_POSITIVE)).min(1.0 / point.fraction);
    if modelled <= 0.0 || modelled > EXPLAINED || speedup < GAIN {
        return None;
    }
    let updates = workload.accesses.as_ref()?.per_launch(update.executions as f64);
    let cycles = time * peaks.clock_hz * workload.threads() / updates;
    if cycles > LONGEST_UPDATE {
        return None;
    }
    let place = update.place.clone();
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Compute,
        severity: Severity::of(speedup),
        confidence: workload.confidence(0.65, "by exclusion: which updates meet the same entry is not modelled"),
        message: format!(
            "entries of a table are loaded, changed and stored where loaded indices say: {cycles:.1} cycles an update, \
             of which the core's units explain {:.0} %; an update of an entry waits for the last one of it",
            modelled * 100.0,
        ),
        evidence: vec![
            Evidence::new("modelled-time-share", modelled, "1", "intra-kernel").against(EXPLAINED),
            Evidence::new("updates", updates, "updates", "intra-kernel"),
            Evidence::new("cycles-an-update", cycles, "cycles", "performance"),
        ],
        region: place.as_ref().and_then(|place| workload.region_at(place)).map(|region| region.name.clone()),
        place,
        potential: Potential { speedup, model: "time / modelled time, at most time / roofline floor".to_owned() },
        workload: workload.index,
    })
}

/// The most executed store to a table that is updated in place: it is read as often, both where loaded indices say, and
/// the nearest cache holds it.
fn updated_table<'t>(workload: &'t WorkloadTable, peaks: &Peaks) -> Option<&'t AccessRow> {
    let accesses = workload.accesses.as_ref()?;
    let nearest = peaks.levels.first()?.capacity_bytes;
    let indexed = |row: &&AccessRow| row.address == AddressSource::Loaded && row.executions > 0;
    let of_kind = |kind| accesses.rows.iter().filter(indexed).filter(move |row| row.kind == kind);
    let is_updated = |store: &&AccessRow| {
        let loads = of_kind(AccessKind::Load).filter(|load| load.buffer == store.buffer);
        loads.map(|load| load.executions).fold(0, u64::saturating_add) >= store.executions
            && accesses.footprint(&store.buffer) <= nearest
    };
    of_kind(AccessKind::Store).filter(is_updated).max_by_key(|row| row.executions)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let point = RooflinePoint::of(workload, peaks)?;
    let waits = |block: &&HotBlock| block.limit() == Limit::Dependencies && block.calls == 0;
    let waiting: Vec<&HotBlock> = workload.hot_blocks.iter().flatten().filter(waits).collect();
    let share_of = |block: &HotBlock| workload.model_share(block, peaks);
    let worst = *waiting.iter().max_by(|a, b| share_of(a).total_cmp(&share_of(b)))?;
    let share: f64 = waiting.iter().map(|block| share_of(block)).sum();
    let (within, left) = (share.min(1.0), worst.throughput_cycles / worst.cycles);
    let speedup = (1.0 / (1.0 - within + within * left)).min(1.0 / point.fraction);
    if share < SHARE || speedup < GAIN {
        return None;
    }
    let (value, why) = match share {
        s if s > BEYOND => (0.6, "the model takes longer than the kernel: its latencies are not quite this core's"),
        s if s > 0.7 => (0.8, "the modelled chain explains most of the measured time"),
        _ => (0.65, "the modelled chain explains a good part of the measured time"),
    };
    let place = worst.place.clone();
    let chain = worst.critical.first().map_or_else(String::new, |text| format!(" through `{text}`"));
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Compute,
        severity: Severity::of(speedup),
        confidence: workload.confidence(value, why),
        message: format!(
            "each iteration waits for the one before{chain}: {:.1} cycles where the core's units need {:.1}, \
             which explains {:.0} % of the time",
            worst.cycles,
            worst.throughput_cycles,
            share * 100.0,
        ),
        evidence: vec![
            Evidence::new("dependency-time-share", share, "1", "intra-kernel").against(SHARE),
            Evidence::new("cycles-an-iteration", worst.cycles, "cycles", "intra-kernel")
                .against(worst.throughput_cycles),
            Evidence::new("held-back-by-dependencies", worst.dependency_share, "1", "intra-kernel")
                .against(worst.resource_share),
            Evidence::new("iterations", worst.executions as f64, "iterations", "kernel-counters"),
        ],
        region: place.as_ref().and_then(|place| workload.region_at(place)).map(|region| region.name.clone()),
        place,
        potential: Potential {
            speedup,
            model: format!(
                "1 / (1 - s + s t) with s = {within:.2} of the time in such loops and t = {left:.2} of their \
                 cycles left, at most time / roofline floor"
            ),
        },
        workload: workload.index,
    })
}
