//! The last blocks of the grid leave most of the GPU idle.
//!
//! ## What it means
//! Blocks run in waves: as many as the SMs hold at once, then the next. If the last wave has few blocks, it takes as long as a
//! full one, and most SMs wait for its end.
//!
//! ## Evidence
//! Start and end of every block that recorded, from the headers of its warps: the time of the places for blocks that stay
//! empty at the end, when the grid has no more; how often the grid fills the GPU.
//!
//! ## When it fires
//! The grid fills the GPU more than once, blocks take about as long as each other (the longest less than twice the median; else
//! it is `load-imbalance`), and the places that stay empty at the end are 10 % of all or more.
//!
//! ## Potential
//! Time over time without the empty places, as far as device memory is not busy all the same: fewer blocks do for that. At most time
//! over roofline floor with a launch.
//!
//! ## What to try
//! Smaller blocks of work, a grid that fills whole waves, or as many blocks as the GPU holds at once which take their work
//! from a counter.

use super::{Need, Tables, Target, load_imbalance};
use crate::device::{Finding, KernelTable, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};

/// Stable code.
pub const CODE: &str = "KI0108";
/// When blocks ran.
pub const NEEDS: &[Need] = &[Need::Threads];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "tail-effect";
/// Part of the places for blocks that may be empty: what draining a launch takes.
const IDLE: f64 = 0.1;

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let timeline = kernel.timeline.as_ref()?;
    let waves = kernel.occupancy?.waves;
    let spread = timeline.longest_ns / timeline.median_ns;
    if waves <= 1.0 || timeline.idle < IDLE || !spread.is_finite() || spread >= load_imbalance::SPREAD {
        return None;
    }
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Control,
        confidence: load_imbalance::block_confidence(timeline),
        message: format!(
            "the grid fills the GPU {waves:.2} times: {:.0} % of the places for blocks stay empty at the end, and fewer than half of \
             them run in the last {:.0} % of the kernel",
            timeline.idle * 100.0,
            timeline.tail * 100.0
        ),
        evidence: vec![
            Evidence::new("empty-places", timeline.idle, "1", "intra-kernel").against(IDLE),
            Evidence::new("tail", timeline.tail, "1", "intra-kernel"),
            Evidence::new("waves", waves, "1", "performance").against(1.0),
            Evidence::new("longest-over-median", spread, "1", "intra-kernel").against(load_imbalance::SPREAD),
        ],
        place: kernel.place.clone(),
        kernel: Some(kernel.kernel.clone()),
        speedup: subject.limits.speedup_without_empty_places(timeline.idle, subject.kernel_ns(kernel)),
        model: load_imbalance::WITHOUT_EMPTY_PLACES,
    }
    .on(subject)
}
