//! A loop walks memory in steps that leave most of every cache line unused.
//!
//! ## What it means
//! A load or store moves by more than a cache line each time, as when a row-major matrix is walked by columns. Every access
//! fetches 64 bytes to use a few of them, and by the time the next element of the line is due, the line is
//! gone. The memory system moves many times what the kernel asks for, and vectors cannot be loaded whole.
//!
//! ## Evidence
//! Distances between consecutive addresses of the access, lines it misses in the nearest cache by the sampled times
//! between touches, bytes used of the bytes fetched.
//!
//! ## When it fires
//! Most moves of an access leave the cache line in constant steps, at most half of the bytes fetched for its buffer are
//! used before they are fetched again, and whole lines would gain 10 %. An order that the data gives (an index that is
//! itself loaded) is `cache-latency-bound`.
//!
//! ## Potential
//! Time over time with every fetched line used whole. The time is shared out over misses and arithmetic in proportion to
//! what they cost at measured latencies, bandwidths and rates, misses to at most four times that. At most time over
//! roofline floor.
//!
//! ## What to try
//! Exchange the loops so that the innermost one walks along rows; work on tiles of which all lines stay in L1 until they
//! are used up; change the layout, or transpose a tile on the way in.

use super::{Need, Tables, Target, WorkloadTable};
use crate::diagnosis::{Class, Diagnosis, Evidence, Potential, Severity};
use crate::observed::LINE_BYTES;
use crate::peaks::Peaks;
use crate::roofline::{RooflinePoint, issue_seconds};
use crate::sites::AddressSource;
use crate::traffic::{RowTraffic, line_use, time_share, traffic};

/// Stable code.
pub const CODE: &str = "KI0010";
/// Peaks and observed accesses.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Accesses];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Cpu];
const NAME: &str = "poor-locality";
/// Most of the fetched bytes that may be used.
const USE: f64 = 0.5;
/// Least estimated gain.
const GAIN: f64 = 1.1;
/// Part of the time above which the misses alone are the matter.
const SURE_SHARE: f64 = 0.5;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_each(judge)
}

fn judge(workload: &WorkloadTable, peaks: &Peaks) -> Option<Diagnosis> {
    let point = RooflinePoint::of(workload, peaks)?;
    let time = workload.seconds()?;
    let all = traffic(workload, peaks);
    let poor: Vec<(&RowTraffic<'_>, f64)> =
        all.iter().filter(|row| strides(row)).map(|row| (row, line_use(&all, row.row))).collect();
    let poor: Vec<_> = poor.into_iter().filter(|(_, used)| *used <= USE).collect();
    let (worst, used) = *poor.iter().max_by(|a, b| a.0.scattered.total_cmp(&b.0.scattered))?;
    let seconds: f64 = poor.iter().map(|(row, _)| row.scattered).sum();
    let wasted: f64 = poor.iter().map(|(row, used)| row.scattered * (1.0 - used)).sum();
    let modelled: f64 = all.iter().map(RowTraffic::seconds).sum();
    let share = time_share(seconds, modelled, issue_seconds(workload, peaks), time);
    let saved = (share * wasted / seconds.max(f64::MIN_POSITIVE)).min(1.0 - point.fraction.min(1.0));
    let speedup = 1.0 / (1.0 - saved);
    if speedup < GAIN {
        return None;
    }
    let row = worst.row;
    let far = row.strides.beyond_line() as f64 / row.strides.total().max(1) as f64;
    let (value, why) = match share {
        share if share >= SURE_SHARE => (0.95, "distances are exact, and misses at measured cost explain the time"),
        _ => (0.7, "distances are exact; the cost of misses is modelled, and explains the time in part"),
    };
    let region = row.place.as_ref().and_then(|place| workload.region_at(place));
    // Copies of an access that an unrolled loop holds are one to who reads this.
    let same = |of: fn(&RowTraffic<'_>) -> f64| -> f64 {
        let alike = |other: &&(&RowTraffic<'_>, f64)| other.0.row.place == row.place && other.0.row.kind == row.kind;
        poor.iter().filter(alike).map(|(other, _)| of(other)).sum()
    };
    let (lines, moved) = (same(|row| row.missed_lines), same(|row| row.used_bytes));
    let fetched = lines * LINE_BYTES as f64;
    Some(Diagnosis {
        code: CODE.to_owned(),
        name: NAME.to_owned(),
        class: Class::Memory,
        severity: Severity::of(speedup),
        confidence: workload.confidence(value, why),
        message: format!(
            "a {} of {} bytes leaves its cache line on {:.0} % of its moves: {:.1} MiB of lines are fetched from {} \
             for {:.1} MiB, and {:.0} % of what is fetched for this buffer is used",
            row.kind.verb(),
            row.width,
            far * 100.0,
            fetched / MIB,
            peaks.levels.get(worst.level).map_or("memory", |level| &level.name),
            moved / MIB,
            used * 100.0,
        ),
        evidence: vec![
            Evidence::new("moves-beyond-a-line", far, "1", "intra-kernel").against(0.5),
            Evidence::new("used-of-fetched-bytes", used, "1", "intra-kernel").against(USE),
            Evidence::new("lines-fetched", lines, "lines", "intra-kernel"),
            Evidence::new("miss-time-share", share, "1", "peaks"),
        ],
        region: region.map(|region| region.name.clone()),
        place: row.place.clone(),
        potential: Potential {
            speedup,
            model: "time / time with every fetched line used whole, misses at measured latency and \
                    bandwidth, at most time / roofline floor"
                .to_owned(),
        },
        workload: workload.index,
    })
}

const MIB: f64 = 1_048_576.0;

/// In steps, and not in an order that the data gives.
fn strides(row: &RowTraffic<'_>) -> bool {
    row.missed_lines > 0.0
        && row.is_far()
        && !(row.is_irregular() && row.row.address != AddressSource::Computed)
}
