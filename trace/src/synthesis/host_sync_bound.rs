//! The host waits for the GPU again and again, and the GPU waits for the host in between.
//!
//! ## What it means
//! While the host waits, it launches nothing; when the wait is over, the GPU has nothing to do until the next launch reaches it.
//! Allocations and releases of device memory inside a call wait as well.
//!
//! ## Evidence
//! Calls of the host runtime with their times: waits a call, the time from the end of each wait to the end of the next launch, and the
//! time in allocations and releases.
//!
//! ## When it fires
//! There are at least two waits, or an allocation, and that time is at least 15 % of the clean time.
//!
//! ## Potential
//! Time over time without it, at most time over roofline floor with a launch.
//!
//! ## What to try
//! One wait at the end; events between streams in place of waits of the host; buffers that live longer than a call.

use super::{Need, Tables, Target};
use crate::device::{Finding, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};

/// Stable code.
pub const CODE: &str = "KI0115";
/// What the host called, and when.
pub const NEEDS: &[Need] = &[Need::HostCalls];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "host-sync-bound";
/// Waits a call from which on the GPU waits in between.
const WAITS: f64 = 2.0;
/// Part of the time below which it does not matter.
const SHARE: f64 = 0.15;
/// No more than this part of the time is taken to be saved.
const MOST: f64 = 0.9;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(judge)
}

fn judge(subject: &Subject) -> Option<Diagnosis> {
    let (limits, host) = (&subject.limits, subject.device.host.as_ref()?);
    let restarts = if host.synchronisations >= WAITS { host.restart_ns } else { 0.0 };
    let lost = (restarts + host.allocate_ns).min(MOST * limits.time_ns);
    let share = limits.share(lost);
    if share < SHARE {
        return None;
    }
    let kernel = subject.device.kernels.first();
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Overhead,
        confidence: (0.8, "the host's calls were timed; what the GPU did meanwhile is inferred from their order"),
        message: format!(
            "{:.0} waits of the host and {:.0} allocations or releases a call leave the GPU without work for {:.0} % of the time",
            host.synchronisations,
            host.allocations,
            share * 100.0
        ),
        evidence: vec![
            Evidence::new("waits", host.synchronisations, "", "system").against(WAITS),
            Evidence::new("restarts", host.restart_ns, "ns", "system"),
            Evidence::new("allocations", host.allocate_ns, "ns", "system"),
            Evidence::new("lost-time-share", share, "1", "system").against(SHARE),
        ],
        place: kernel.and_then(|kernel| kernel.place.clone()),
        kernel: None,
        speedup: limits.speedup_without(lost),
        model: "time / time without the restarts after waits and the allocations, at most time / roofline floor with a launch",
    }
    .on(subject)
}
