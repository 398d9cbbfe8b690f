//! Some threads, or blocks of a GPU, work long after others are done.
//!
//! ## What it means
//! A parallel region takes as long as the thread that works longest. Threads that are done earlier wait, and the machine
//! idles with them. On a GPU a kernel takes as long as its longest block.
//!
//! ## Evidence
//! `thread-timeline` measures how long each thread works in the region, waiting at barriers not counted: the longest
//! working time over the mean. On a GPU the headers of the warps tell when each block ran.
//!
//! ## When it fires
//! Two threads or more took part, the longest worked at least 1.2 times the mean, and even work would make the launch
//! at least 1.1 times as fast. On a GPU the longest block takes at least twice the median, and places for blocks that stay empty at
//! the end, when the grid has no more, are 10 % of all or more.
//!
//! ## Potential
//! Time over time without what the longest works beyond the mean; where the peaks are known, at most time over roofline floor.
//! On a GPU, without the places for blocks that stay empty at the end, as far as device memory is not busy all the same.
//!
//! ## What to try
//! Smaller chunks, a dynamic or guided schedule, or a split by work rather than by index, where iterations differ. On a GPU the
//! longest blocks first, or several blocks for them.

use crate::device::{BlockTimeline, Finding, KernelTable, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::roofline::RooflinePoint;
use crate::synthesis::{Need, Tables, Target, WorkloadTable};
use crate::threads::ParallelRegion;

/// Stable code.
pub const CODE: &str = "KI0020";
/// What the timing build says of threads.
pub const NEEDS: &[Need] = &[Need::Threads];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu, Target::Gpu];

const NAME: &str = "load-imbalance";
/// Longest over mean working time that a good static split stays below.
const UNEVEN: f64 = 1.2;
/// Gains below this are not worth naming.
const GAIN: f64 = 1.1;

/// Longest over median block that a GPU's scheduler evens out.
pub(super) const SPREAD: f64 = 2.0;
/// How empty places are weighed.
pub(super) const WITHOUT_EMPTY_PLACES: &str = "time / time without the places for blocks that stay empty at the end, as far as device memory is not \
     busy, at most time / roofline floor with a launch";
/// Part of the places for blocks that may be empty: what draining a launch takes.
const IDLE: f64 = 0.1;

/// The most uneven parallel region, or kernel, of each workload.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    let peaks = tables.peaks.as_ref();
    let mut found: Vec<_> = tables.workloads.iter().filter_map(|workload| judge(workload, peaks)).collect();
    found.extend(tables.judge_devices(|subject| subject.worst_kernel(judge_blocks)));
    found
}

fn judge(workload: &WorkloadTable, peaks: Option<&Peaks>) -> Option<Diagnosis> {
    let seconds = workload.seconds()?;
    let point = peaks.and_then(|peaks| RooflinePoint::of(workload, peaks));
    let roof = point.map_or(f64::INFINITY, |point| 1.0 / point.fraction);
    let lost = |region: &ParallelRegion| region.longest_ns() - region.mean_ns();
    let several = workload.parallel.iter().flatten().filter(|region| region.threads.len() > 1);
    let region = several.max_by(|a, b| lost(a).total_cmp(&lost(b)))?;
    let (longest, mean) = (region.longest_ns(), region.mean_ns());
    let imbalance = longest / mean;
    // What is lost was measured in the timing build; of a launch it is no more than the region is.
    let left = (1.0 - lost(region) * 1e-9 / seconds).max(mean / longest);
    let speedup = (1.0 / left).min(roof);
    if !imbalance.is_finite() || imbalance < UNEVEN || speedup < GAIN {
        return None;
    }
    let threads = region.threads.len();
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Control,
        severity: Severity::of(speedup),
        confidence: workload.confidence(0.9, "the working time of every thread was measured"),
        message: format!(
            "of {threads} threads one works {:.3} ms a launch, the mean is {:.3} ms: {imbalance:.1} times as long",
            longest * 1e-6,
            mean * 1e-6
        ),
        evidence: vec![
            Evidence::new("longest-over-mean", imbalance, "1", "intra-kernel").against(UNEVEN),
            Evidence::new("longest-thread", longest, "ns", "intra-kernel"),
            Evidence::new("mean-thread", mean, "ns", "intra-kernel"),
            Evidence::new("waiting", region.wait_ns(), "ns", "intra-kernel"),
        ],
        place: region.place.clone(),
        region: Some(region.name.clone()),
        potential: Potential {
            speedup,
            model: "time / time without what the longest thread works beyond the mean, at most time / roofline floor"
                .to_owned(),
        },
        workload: workload.index,
    })
}

fn judge_blocks(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let timeline = kernel.timeline.as_ref()?;
    let spread = timeline.longest_ns / timeline.median_ns;
    // Of a single block nothing is uneven; and a median of 0 is too short for the timer.
    if timeline.blocks < 2 || !spread.is_finite() || spread < SPREAD || timeline.idle < IDLE {
        return None;
    }
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Control,
        confidence: block_confidence(timeline),
        message: format!(
            "of {} blocks that recorded the longest takes {:.1} µs, the median {:.1} µs: {:.0} % of the places for blocks are empty at the end",
            timeline.blocks,
            timeline.longest_ns * 1e-3,
            timeline.median_ns * 1e-3,
            timeline.idle * 100.0
        ),
        evidence: vec![
            Evidence::new("longest-over-median", spread, "1", "intra-kernel").against(SPREAD),
            Evidence::new("empty-places", timeline.idle, "1", "intra-kernel").against(IDLE),
            Evidence::new("tail", timeline.tail, "1", "intra-kernel"),
            Evidence::new("sm-imbalance", timeline.sm_imbalance, "1", "intra-kernel"),
        ],
        place: kernel.place.clone(),
        kernel: Some(kernel.kernel.clone()),
        speedup: subject.limits.speedup_without_empty_places(timeline.idle, subject.kernel_ns(kernel)),
        model: WITHOUT_EMPTY_PLACES,
    }
    .on(subject)
}

/// How sure what blocks did is: less where a part of them recorded.
pub(super) fn block_confidence(timeline: &BlockTimeline) -> (f64, &'static str) {
    match timeline.one_in {
        0 | 1 => (0.85, "start and end of every block were taken"),
        _ => (0.6, "a sample of the blocks was taken"),
    }
}
