//! Launching kernels takes longer than running them.
//!
//! ## What it means
//! A launch costs some microseconds whatever it does. Many launches of kernels that are as short as that leave the GPU to
//! wait for the host.
//!
//! ## Evidence
//! Launches a call; the time from one empty kernel to the next as measured on this device, or the host's own time in a launch if it
//! is longer; the clean time.
//!
//! ## When it fires
//! There are at least four launches a call, and launching them, but for the first, takes at least 30 % of the time.
//!
//! ## Potential
//! Time over time without the launches but one, at most time over roofline floor with a launch.
//!
//! ## What to try
//! One kernel that does the work of many, a loop inside the kernel, a batch dimension in the grid; a graph of launches.

use super::{Need, Tables, Target};
use crate::device::{Finding, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};

/// Stable code.
pub const CODE: &str = "KI0114";
/// Launches, and what one costs.
pub const NEEDS: &[Need] = &[Need::Kernels, Need::Peaks];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "launch-bound";
/// Launches a call below which there is little to merge.
const LAUNCHES: f64 = 4.0;
/// Part of the time from which on launching sets the pace.
const SHARE: f64 = 0.3;
/// No more than this part of the time is taken to be saved: the work is left.
const MOST: f64 = 0.95;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(judge)
}

fn judge(subject: &Subject) -> Option<Diagnosis> {
    let limits = &subject.limits;
    let launches: f64 = subject.device.kernels.iter().map(|kernel| kernel.launches).sum();
    let host = subject.device.host.as_ref().filter(|host| host.launches > 0.0);
    let each = host.map_or(0.0, |host| host.launch_ns / host.launches).max(subject.peaks?.launch_ns);
    let launching = ((launches - 1.0) * each).min(MOST * limits.time_ns);
    let share = limits.share(launching);
    if launches < LAUNCHES || share < SHARE {
        return None;
    }
    let most = subject.device.kernels.iter().max_by(|a, b| a.launches.total_cmp(&b.launches));
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Overhead,
        confidence: (0.85, "launches are counted and what one costs is measured"),
        message: format!(
            "{launches:.0} launches a call at {:.1} µs each take {:.0} % of the time",
            each * 1e-3,
            share * 100.0
        ),
        evidence: vec![
            Evidence::new("launches", launches, "", "system").against(LAUNCHES),
            Evidence::new("launch", each, "ns", "peaks"),
            Evidence::new("launching-time-share", share, "1", "system").against(SHARE),
        ],
        place: most.and_then(|kernel| kernel.place.clone()),
        kernel: most.map(|kernel| kernel.kernel.clone()),
        speedup: limits.speedup_without(launching),
        model: "time / time without the launches but one, at most time / roofline floor with a launch",
    }
    .on(subject)
}
