//! Some threads work long after others are done.
//!
//! ## What it means
//! A parallel region takes as long as the thread that works longest. Threads that are done earlier wait, and the machine
//! idles with them.
//!
//! ## Evidence
//! `thread-timeline` measures how long each thread works in the region, waiting at barriers not counted: the longest
//! working time over the mean.
//!
//! ## When it fires
//! Two threads or more took part, the longest worked at least 1.2 times the mean, and even work would make the launch
//! at least 1.1 times as fast.
//!
//! ## Potential
//! Time over time without what the longest works beyond the mean; where the peaks are known, at most time over roofline floor.
//!
//! ## What to try
//! Smaller chunks, a dynamic or guided schedule, or a split by work rather than by index, where iterations differ.

use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::peaks::Peaks;
use crate::roofline::RooflinePoint;
use crate::synthesis::{Need, Tables, WorkloadTable};
use crate::threads::ParallelRegion;

/// Stable code.
pub const CODE: &str = "KI0020";
/// What the timing build says of threads.
pub const NEEDS: &[Need] = &[Need::Threads];

const NAME: &str = "load-imbalance";
/// Longest over mean working time that a good static split stays below.
const UNEVEN: f64 = 1.2;
/// Gains below this are not worth naming.
const GAIN: f64 = 1.1;

/// The most uneven parallel region of each workload.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.workloads.iter().filter_map(|workload| judge(workload, tables.peaks.as_ref())).collect()
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
