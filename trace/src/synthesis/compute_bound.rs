//! Time goes into vector arithmetic.
//!
//! ## What it means
//! The kernel does its arithmetic in vectors and has more of it than memory traffic to hide it
//! behind. The floating-point units, or a vector math library, set its pace.
//!
//! ## Evidence
//! Counted flops by width, the roofline point, calls of vector math functions.
//!
//! ## When it fires
//! At least 75 % of the flops are vector flops (or the elements go through vector math calls, whose
//! flops cannot be counted), and no more elements go through scalar math calls. Then one of: the point
//! is on the compute side between 30 % and 75 % of the roof (above, it is `at-roofline`); issuing
//! the vector arithmetic, fused where it is written so, explains at least half the time, and more of it than streaming the data; or
//! vector math calls handle at least one element per output element while memory explains less than half.
//! On a GPU the counted arithmetic, at the measured rate of ordinary arithmetic or of tensor cores, explains between 30 % and
//! 75 % of the time, and more of it than device memory and the L2 cache; or exponentials, reciprocals and roots, which units of their own
//! compute, explain 30 % or more at the measured rate of these. Where no unit does so alone: two or more of them, one after the other,
//! explain between 60 % and 115 % of the time, more of it than the L2 cache, and device memory not more than the longest of them.
//!
//! ## Potential
//! Where the flops are counted, time over the larger of roofline floor (the same arithmetic at the
//! vector FMA peak) and the time that the kernel's sweeps take at measured bandwidth. Where the flops are
//! inside library calls no gain is claimed: 1. Of units that take turns on a GPU, time over
//! roofline floor with a launch, or over what moving bytes takes if that is longer: all of them at work at once.
//!
//! ## What to try
//! More independent accumulators, fused multiply-adds, register tiling so that loads do not take
//! issue slots; a cheaper polynomial; fewer divisions and exponentials; a narrower element type. On a GPU, where units take turns: more
//! warps, or groups of warps half a step apart, so that one's exponentials run beside the other's matrix products.

use super::{Need, Tables, Target, WorkloadTable};
use crate::device::{Finding, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::roofline::{Bound, RooflinePoint, issue_seconds};
use crate::sites::Place;
use crate::sweeps::streaming_seconds;
use crate::work::{Amounts, Work};

/// Stable code.
pub const CODE: &str = "KI0002";
/// Peaks and counted work.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Work];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu, Target::Gpu];
const NAME: &str = "compute-bound";
/// Least part of the flops done in vectors.
const VECTOR_SHARE: f64 = 0.75;
/// Below this part of the compute roof something else than arithmetic sets the pace.
const FRACTION: f64 = 0.3;
/// Memory explains the time if streaming takes this part of it or more.
const MEMORY_SHARE: f64 = 0.5;
/// Issuing vector instructions explains the time if it takes this part of it or more.
const ISSUE_SHARE: f64 = 0.5;
/// Units of a GPU that take turns explain the time if together they take this part of it or more.
const TURNS_SHARE: f64 = 0.6;
/// A unit that takes less of the time takes no turn worth naming.
const TURN: f64 = 0.1;
/// Together they cannot take more of the time than all, but for what peaks are off by.
const OVERLAPPING: f64 = 1.15;

/// Units of a GPU, as reports name them.
const SPECIAL: &str = "special functions (exponentials, reciprocals, roots)";
const TENSOR: &str = "tensor cores";
const ORDINARY: &str = "ordinary arithmetic";

/// The model where flops are counted.
const MODEL: &str = "time / larger of roofline floor and streaming time";

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    let mut found = tables.judge_each(judge);
    found.extend(tables.judge_devices(judge_device));
    found
}

fn judge_device(subject: &Subject) -> Option<Diagnosis> {
    at_one_unit(subject).or_else(|| in_turns(subject))
}

fn at_one_unit(subject: &Subject) -> Option<Diagnosis> {
    let limits = &subject.limits;
    let [(unit, share), ..] = units(subject);
    let is_special = unit == SPECIAL;
    // The roofline knows nothing of special functions, so that no rule speaks of those at their peak but this one.
    let most = if is_special { super::at_roofline::IMPOSSIBLE } else { super::at_roofline::FRACTION };
    let memory = memory_share(subject);
    if !(FRACTION..most).contains(&share) || memory > share {
        return None;
    }
    let work = subject.device.work.as_ref()?;
    let kernel = subject.device.kernels.first();
    let finding = Finding {
        code: CODE,
        name: NAME,
        class: Class::Compute,
        // The nearer to the peak, the surer that arithmetic and not its surroundings is the limit.
        confidence: (0.4 + 0.6 * share.min(1.0), "operations are exact and the peak is measured"),
        message: format!(
            "the counted operations take {:.0} % of the time at the measured peak of {unit}, moving the data {:.0} %",
            share * 100.0,
            memory * 100.0
        ),
        evidence: vec![
            Evidence::new("arithmetic-time-share", share, "1", "peaks").against(FRACTION),
            Evidence::new("memory-time-share", memory, "1", "peaks").against(share),
            Evidence::new("flops", work.per_launch(work.total.flops()) as f64, "flop", "kernel-counters"),
        ],
        place: hottest(work, is_special).or_else(|| kernel.and_then(|kernel| kernel.place.clone())),
        kernel: kernel.map(|kernel| kernel.kernel.clone()),
        speedup: limits.headroom().max(1.0),
        model: "time / roofline floor with a launch",
    };
    // At their peak there is nothing to gain, and that is worth knowing.
    if is_special { Some(finding.whatever_the_gain(subject)) } else { finding.on(subject) }
}

/// Units that wait for each other: none is the limit alone, and what they take one after the other is the time.
fn in_turns(subject: &Subject) -> Option<Diagnosis> {
    let limits = &subject.limits;
    let memory = memory_share(subject);
    let shares: Vec<_> = units(subject).into_iter().filter(|(_, share)| *share >= TURN).collect();
    let together: f64 = shares.iter().map(|(_, share)| share).sum();
    let longest = shares.first()?.1;
    // What device memory explains better is its own, and units that add up to more than the time do overlap.
    let by_memory = limits.share(limits.traffic_ns) > longest.max(MEMORY_SHARE) || memory > together;
    let explained = (TURNS_SHARE..OVERLAPPING).contains(&together) && longest < super::at_roofline::FRACTION;
    if shares.len() < 2 || by_memory || !explained {
        return None;
    }
    let work = subject.device.work.as_ref()?;
    let kernel = subject.device.kernels.first();
    let told: Vec<_> = shares.iter().map(|(unit, share)| format!("{unit} {:.0} %", share * 100.0)).collect();
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Compute,
        confidence: (0.6, "operations are exact and peaks are measured; how far units work side by side is not"),
        message: format!(
            "units of arithmetic take turns: one after the other they explain {:.0} % of the time ({}), moving the data {:.0} %",
            together * 100.0,
            told.join(", "),
            memory * 100.0
        ),
        evidence: vec![
            Evidence::new("arithmetic-time-share", together, "1", "peaks").against(TURNS_SHARE),
            Evidence::new("longest-unit-share", longest, "1", "peaks").against(super::at_roofline::FRACTION),
            Evidence::new("memory-time-share", memory, "1", "peaks").against(together),
            Evidence::new("flops", work.per_launch(work.total.flops()) as f64, "flop", "kernel-counters"),
        ],
        place: work.hottest_line().or_else(|| kernel.and_then(|kernel| kernel.place.clone())),
        kernel: kernel.map(|kernel| kernel.kernel.clone()),
        speedup: limits.headroom().min(1.0 / memory),
        model: "time / the longest of roofline floor with a launch and the time that bytes explain",
    }
    .on(subject)
}

/// Part of the time that each unit takes at its measured peak, the largest first.
fn units(subject: &Subject) -> [(&'static str, f64); 3] {
    let limits = &subject.limits;
    let units = [(SPECIAL, limits.special_ns), (TENSOR, limits.tensor_ns), (ORDINARY, limits.fma_ns)];
    let mut shares = units.map(|(unit, ns)| (unit, limits.share(ns)));
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

/// Part of the time that bytes explain, on their way to device memory or to the L2 cache.
fn memory_share(subject: &Subject) -> f64 {
    let limits = &subject.limits;
    limits.share(limits.traffic_ns.max(limits.l2_ns.min(limits.time_ns)))
}

/// The line with the most instructions, or with the most special functions if it is about these.
fn hottest(work: &Work, special: bool) -> Option<Place> {
    if !special {
        return work.hottest_line();
    }
    let most = work.by_line().into_iter().max_by_key(|line| line.amounts.flops_where(|row| row.slow));
    most.and_then(|line| line.place)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let work = workload.work.as_ref()?;
    let point = RooflinePoint::of(workload, peaks)?;
    let vector = vector_share(&work.total).unwrap_or(1.0);
    let library = library_elements(work, |lanes| lanes > 1);
    if vector < VECTOR_SHARE || library_elements(work, |lanes| lanes == 1) > library {
        return None;
    }
    let arithmetic = (FRACTION..super::at_roofline::FRACTION).contains(&point.fraction)
        && point.bound == Bound::Compute;
    let calls = library >= workload.output_elements()
        && library > 0
        && (point.bound == Bound::Compute || point.fraction < MEMORY_SHARE)
        && point.fraction <= super::at_roofline::IMPOSSIBLE;
    let seconds = workload.seconds()?;
    let issue = issue_seconds(workload, peaks) / seconds;
    let streaming = streaming_seconds(workload, peaks, &point) / seconds;
    let below_roof = point.fraction < super::at_roofline::FRACTION;
    if arithmetic {
        Some(by_arithmetic(workload, &point, vector, streaming))
    } else if below_roof && library == 0 && issue >= ISSUE_SHARE && issue > streaming {
        Some(by_issue(workload, &point, issue, streaming))
    } else if calls {
        Some(by_calls(workload, &point, library))
    } else {
        None
    }
}

fn by_arithmetic(workload: &WorkloadTable, point: &RooflinePoint, vector: f64, streaming: f64) -> Diagnosis {
    let speedup = (1.0 / streaming.max(point.fraction)).max(1.0);
    let message = format!(
        "arithmetic sets the pace: {:.1} GFLOP/s at {:.1} flop/byte, {:.0} % of the vector FMA peak, \
         {:.0} % of it in vectors",
        point.achieved_flops_per_s / 1e9,
        point.intensity,
        point.fraction * 100.0,
        vector * 100.0,
    );
    let evidence = vec![
        Evidence::new("roofline-fraction", point.fraction, "1", "peaks").against(FRACTION),
        Evidence::new("vector-flop-share", vector, "1", "kernel-counters").against(VECTOR_SHARE),
        Evidence::new("intensity", point.intensity, "flop/B", "kernel-counters"),
    ];
    let potential = Potential { speedup, model: MODEL.to_owned() };
    // The nearer to the peak, the surer that arithmetic and not its surroundings is the limit.
    let value = 0.4 + 0.6 * point.fraction;
    let why = "flops are exact; what else fills the issue slots is not counted";
    diagnosis(workload, value, why, message, evidence, potential)
}

fn by_issue(workload: &WorkloadTable, point: &RooflinePoint, issue: f64, streaming: f64) -> Diagnosis {
    let speedup = (1.0 / streaming.max(point.fraction)).max(1.0);
    let message = format!(
        "issuing the vector arithmetic explains {:.0} % of the time, moving the data {:.0} %; \
         {:.1} flops are done per compulsory byte",
        issue.min(1.0) * 100.0,
        streaming * 100.0,
        point.intensity,
    );
    let evidence = vec![
        Evidence::new("issue-time-share", issue, "1", "kernel-counters").against(ISSUE_SHARE),
        Evidence::new("streaming-time-share", streaming, "1", "kernel-counters").against(issue),
        Evidence::new("roofline-fraction", point.fraction, "1", "peaks"),
    ];
    let potential = Potential { speedup, model: MODEL.to_owned() };
    let why = "flops are exact; how many more of them code generation fuses is not known";
    diagnosis(workload, 0.6, why, message, evidence, potential)
}

fn by_calls(workload: &WorkloadTable, point: &RooflinePoint, library: u64) -> Diagnosis {
    let message = format!(
        "vector math functions set the pace: {library} elements a launch go through them, while \
         moving the data explains {:.0} % of the time",
        point.fraction * 100.0,
    );
    let evidence = vec![
        Evidence::new("vector-math-elements", library as f64, "elements", "kernel-counters")
            .against(workload.output_elements() as f64),
        Evidence::new("roofline-fraction", point.fraction, "1", "peaks").against(MEMORY_SHARE),
    ];
    let model = "no gain is claimed: the flops inside library calls are not counted".to_owned();
    let potential = Potential { speedup: 1.0, model };
    let why = "by exclusion: the time inside the calls is not measured";
    diagnosis(workload, 0.5, why, message, evidence, potential)
}

fn diagnosis(
    workload: &WorkloadTable,
    confidence: f64,
    why: &str,
    message: String,
    evidence: Vec<Evidence>,
    potential: Potential,
) -> Diagnosis {
    let (place, region) = workload.hot_spot();
    Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Compute,
        severity: Severity::of(potential.speedup),
        confidence: workload.confidence(confidence, why),
        message,
        evidence,
        place,
        region,
        potential,
        workload: workload.index,
    }
}

/// Part of the flops done in vectors; `None` without any.
fn vector_share(amounts: &Amounts) -> Option<f64> {
    let flops = amounts.flops();
    (flops > 0).then(|| amounts.flops_where(|row| row.lanes > 1) as f64 / flops as f64)
}

/// Elements per launch that calls out of the candidate with these lanes handle.
fn library_elements(work: &Work, lanes: impl Fn(u32) -> bool) -> u64 {
    let calls = work.total.calls.iter().filter(|row| row.is_external_work() && lanes(row.lanes));
    let elements = calls.map(|row| row.calls.saturating_mul(row.lanes.into()));
    work.per_launch(elements.fold(0, u64::saturating_add))
}
