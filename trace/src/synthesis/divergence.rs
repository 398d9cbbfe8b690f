//! Lanes of a warp go different ways, and the warp goes all of them.
//!
//! ## What it means
//! A warp has one program counter for its lanes: at a branch that holds for some of them it runs both sides, each with the other lanes
//! idle.
//!
//! ## Evidence
//! `divergence` counts at each branch how often some lanes took it and some did not; `block-count` counts the active lanes of
//! every instruction that warps executed.
//!
//! ## When it fires
//! A branch splits the warp in at least 20 % of its executions, at least 15 % of the lanes are idle over all instructions, and neither
//! device memory nor the L2 cache explains 60 % of the time.
//!
//! ## Potential
//! Time over time without the part of the kernel's instructions that idle lanes take, at most time over roofline floor with a launch.
//!
//! ## What to try
//! Sort or group the elements by the way they go, so that warps agree; arithmetic or a select in place of a short branch;
//! the expensive side for all lanes that need it, later and together.

use super::{Need, Tables, Target};
use crate::device::{BranchTable, Finding, KernelTable, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};

/// Stable code.
pub const CODE: &str = "KI0111";
/// Branches, and active lanes.
pub const NEEDS: &[Need] = &[Need::Branches, Need::Work];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "divergence";
/// Part of a branch's executions from which on it splits warps often: the test for the end of a row does so in the last
/// warp of the row alone.
const SPLIT: f64 = 0.2;
/// Part of the lanes that may idle.
const IDLE: f64 = 0.15;
/// Part of the time that memory explains from which on idle lanes cost nothing.
const MEMORY: f64 = 0.6;

/// The kernel of each workload that loses most by it.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(|subject| subject.worst_kernel(judge))
}

fn judge(subject: &Subject, kernel: &KernelTable) -> Option<Diagnosis> {
    let limits = &subject.limits;
    let idle = 1.0 - kernel.work.as_ref()?.active_lanes;
    let branch = kernel.branches.iter().flatten().filter(|row| split(row) >= SPLIT).max_by_key(|row| row.mixed)?;
    let memory = limits.share(limits.traffic_ns.max(limits.l2_ns));
    if idle < IDLE || memory >= MEMORY {
        return None;
    }
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Control,
        confidence: (0.7, "lanes are counted exactly; that instructions set the pace is inferred"),
        message: format!(
            "a branch splits the warp in {:.0} % of its executions, and {:.0} % of the lanes idle over all instructions",
            split(branch) * 100.0,
            idle * 100.0
        ),
        evidence: vec![
            Evidence::new("split-executions", split(branch), "1", "intra-kernel").against(SPLIT),
            Evidence::new("idle-lanes", idle, "1", "kernel-counters").against(IDLE),
            Evidence::new("memory-time-share", memory, "1", "peaks").against(MEMORY),
        ],
        place: branch.place.clone().or_else(|| kernel.place.clone()),
        kernel: Some(kernel.kernel.clone()),
        speedup: limits.speedup_without(idle * subject.kernel_ns(kernel)),
        model: "time / time without the instructions that idle lanes take, at most time / roofline floor with a launch",
    }
    .on(subject)
}

fn split(row: &BranchTable) -> f64 {
    row.mixed as f64 / row.executions.max(1) as f64
}
