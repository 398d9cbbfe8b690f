//! Copies around the kernels take the time.
//!
//! ## What it means
//! Between its kernels the candidate copies or fills buffers: bytes that are moved twice, and kernels that wait for it.
//!
//! ## Evidence
//! Copies and fills that the host code asked for, their bytes, and the host's time in them; at the measured bandwidth of a copy in device
//! memory if that is longer, because most return before they are done.
//!
//! ## When it fires
//! They take at least 20 % of the clean time.
//!
//! ## Potential
//! Time over time without them, at most time over roofline floor with a launch.
//!
//! ## What to try
//! Kernels that write where the result belongs; the fill inside the kernel that needs it; data that stays on the device.

use super::{Need, Tables, Target};
use crate::device::{Finding, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};

/// Stable code.
pub const CODE: &str = "KI0116";
/// What the host called, and what bytes cost.
pub const NEEDS: &[Need] = &[Need::HostCalls, Need::Peaks];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "copy-bound";
/// Part of the time below which copies do not matter.
const SHARE: f64 = 0.2;
/// No more than this part of the time is taken to be saved.
const MOST: f64 = 0.9;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(judge)
}

fn judge(subject: &Subject) -> Option<Diagnosis> {
    let (limits, host) = (&subject.limits, subject.device.host.as_ref()?);
    // Each byte is read and written.
    let moving = 2e9 * host.copied_bytes / subject.peaks?.dram_copy_bytes_per_s;
    let copying = host.copy_ns.max(moving).min(MOST * limits.time_ns);
    let share = limits.share(copying);
    if host.copies <= 0.0 || share < SHARE {
        return None;
    }
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Overhead,
        confidence: (0.75, "copies are counted and timed on the host; what of them runs beside kernels is not known"),
        message: format!(
            "{:.0} copies or fills a call of {:.1} MiB together take {:.0} % of the time",
            host.copies,
            host.copied_bytes / f64::from(1 << 20),
            share * 100.0
        ),
        evidence: vec![
            Evidence::new("copies", host.copies, "", "system"),
            Evidence::new("copied", host.copied_bytes, "B", "system"),
            Evidence::new("copy-time-share", share, "1", "system").against(SHARE),
        ],
        place: subject.device.kernels.first().and_then(|kernel| kernel.place.clone()),
        kernel: None,
        speedup: limits.speedup_without(copying),
        model: "time / time without the copies, at most time / roofline floor with a launch",
    }
    .on(subject)
}
