//! Warps spend their time at barriers, waiting for others of their block.
//!
//! ## What it means
//! A barrier lets no warp pass before the last one has come. Where there are many, or where the warps' shares of the work differ, most
//! warps wait most of the time.
//!
//! ## Evidence
//! `barrier-wait` times each barrier in each warp: the time in them as part of the warps' time in the kernel. Where barriers stand so
//! close that timing them does not fit the overhead budget, the build with all probes says it, which they slow down: then confidence is
//! low.
//!
//! ## When it fires
//! It is at least 20 %.
//!
//! ## Potential
//! Time over time without the waits, at most time over roofline floor with a launch. Some of a wait is what the last warp waits for itself, so that
//! confidence is not full.
//!
//! ## What to try
//! Two buffers in shared memory, so that one barrier a trip is enough; shuffles in place of shared memory within a warp;
//! barriers outside of inner loops; the same work for each warp.

use super::{Need, Tables, Target};
use crate::device::{Finding, KernelTable, Subject, TimedShare};
use crate::diagnosis::{Class, Diagnosis, Evidence};
use crate::sites::SiteKind;

/// Stable code.
pub const CODE: &str = "KI0109";
/// Times of warps.
pub const NEEDS: &[Need] = &[Need::WarpTimes];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "barrier-stall";
/// Part of the warps' time from which on waits matter: a barrier that all reach together takes some percent.
pub(super) const SHARE: f64 = 0.2;

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let waits = Waits::of(kernel, SiteKind::Barrier)?;
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Control,
        confidence: match waits.piloted {
            false => (0.7, "the waits of all recording warps were timed; a part of them is the wait of the last warp"),
            true => (PILOTED, "the waits were timed in a build that the probes slow down; in the one within the overhead budget there are none"),
        },
        message: format!(
            "warps spend {:.0} % of their time at {} barriers, {:.0} ns each time at the one that takes most",
            waits.share * 100.0,
            waits.sites,
            waits.longest.ns_per_entry
        ),
        evidence: vec![
            Evidence::new("barrier-share", waits.share, "1", "intra-kernel").against(SHARE),
            Evidence::new("mean-wait", waits.longest.ns_per_entry, "ns", "intra-kernel"),
        ],
        place: waits.longest.place.clone(),
        kernel: Some(kernel.kernel.clone()),
        speedup: subject.limits.speedup_without(waits.share * subject.kernel_ns(kernel)),
        model: "time / time without the waits at barriers, at most time / roofline floor with a launch",
    }
    .on(subject)
}

/// Confidence in waits that only a build which the probes slow down has timed.
pub(super) const PILOTED: f64 = 0.5;

/// Waits of one kind in a kernel.
pub(super) struct Waits<'k> {
    /// Part of the warps' time.
    pub(super) share: f64,
    /// Places that wait.
    pub(super) sites: usize,
    /// Whether some are from a build that all probes together slow down.
    pub(super) piloted: bool,
    /// The one that takes most.
    pub(super) longest: &'k TimedShare,
}

impl<'k> Waits<'k> {
    /// Those of `kind`, if they take [`SHARE`] of the warps' time or more; from the pilot where the timing build leaves one out.
    pub(super) fn of(kernel: &'k KernelTable, kind: SiteKind) -> Option<Self> {
        let of_kind = |sites: &'k Option<Vec<TimedShare>>| -> Vec<&'k TimedShare> {
            sites.iter().flatten().filter(|site| site.kind == kind).collect()
        };
        let timed = of_kind(&kernel.sites);
        let is_timed = |site: &&TimedShare| timed.iter().any(|own| (&own.name, &own.place) == (&site.name, &site.place));
        let left_out: Vec<_> = of_kind(&kernel.pilot).into_iter().filter(|site| !is_timed(site)).collect();
        let piloted = !left_out.is_empty();
        let waits = [timed, left_out].concat();
        let share = waits.iter().map(|site| site.own_share).sum::<f64>().min(1.0);
        let longest = waits.iter().max_by(|a, b| a.own_share.total_cmp(&b.own_share))?;
        (share >= SHARE).then_some(Self { share, sites: waits.len(), piloted, longest })
    }
}
