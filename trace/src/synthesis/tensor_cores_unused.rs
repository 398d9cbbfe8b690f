//! Half-precision products are summed by ordinary arithmetic, and the tensor cores idle.
//!
//! ## What it means
//! Inputs in half precision that are each used many times, as in a matrix product, are what tensor cores multiply and sum at many times
//! the rate of ordinary arithmetic. The kernel does not use them.
//!
//! ## Evidence
//! Counted floating-point operations, those of tensor cores among them; measured rates of both; the inputs' types.
//!
//! ## When it fires
//! An input is `f16` or `bf16`; tensor cores do less than 5 % of the operations; there are at least 64 fused ones for each element
//! of inputs and outputs; and at the measured rate of ordinary arithmetic they take at least 10 % of the time: below, it is something else that keeps the kernel slow.
//!
//! ## Potential
//! The measured rate of tensor cores over that of ordinary arithmetic, at most time over the time of the compulsory bytes:
//! the kernel reaches the same part of its peak then as now.
//!
//! ## What to try
//! `gpu.subgroup_mma_*`, `nvgpu.mma.sync` or wgmma on tiles in shared memory; sums in `f32` keep the accuracy.

use super::{Need, Tables, Target};
use crate::device::{Finding, Subject};
use crate::diagnosis::{Class, Diagnosis, Evidence};
use crate::synthesis::Role;
use crate::work::FlopWork;

/// Stable code.
pub const CODE: &str = "KI0105";
/// Operations are counted, rates measured.
pub const NEEDS: &[Need] = &[Need::Peaks, Need::Work];
/// What it explains.
pub const TARGETS: &[Target] = &[Target::Gpu];
const NAME: &str = "tensor-cores-unused";
/// Part of the operations from which on tensor cores are in use.
const USED: f64 = 0.05;
/// Fused operations for each element: below, no matrix product of a size that matters is in there.
const REUSE: f64 = 64.0;
/// Part of the time that they must take at the measured rate: arithmetic that matters little is left alone.
const SHARE: f64 = 0.1;

/// See the module's documentation.
pub fn diagnose(tables: &Tables) -> Vec<Diagnosis> {
    tables.judge_devices(judge)
}

fn judge(subject: &Subject) -> Option<Diagnosis> {
    let (limits, peaks, work) = (&subject.limits, subject.peaks?, subject.device.work.as_ref()?);
    let inputs = subject.workload.buffers.iter().filter(|buffer| buffer.role == Role::Input);
    let dtype = inputs.map(|buffer| buffer.dtype.as_str()).find(|dtype| matches!(*dtype, "f16" | "bf16"))?;
    let all = work.total.flops();
    let fused = |row: &FlopWork| row.fused && !row.tensor;
    let tensor = work.total.flops_where(|row| row.tensor) as f64 / all.max(1) as f64;
    let elements: f64 = subject.workload.buffers.iter().map(|buffer| buffer.elements as f64).sum();
    let reuse = work.per_launch(work.total.flops_where(fused)) as f64 / elements.max(1.0);
    let share = limits.share(limits.fma_ns);
    if tensor >= USED || reuse < REUSE || share < SHARE {
        return None;
    }
    let rate = 1e9 * work.per_launch(all) as f64 / limits.fma_ns;
    let ratio = peaks.tensor_rate(dtype) / rate;
    let kernel = subject.device.kernels.first();
    Finding {
        code: CODE,
        name: NAME,
        class: Class::Compute,
        confidence: (0.75, "operations are exact and rates are measured; that they form a matrix product is inferred"),
        message: format!(
            "{reuse:.0} fused operations for each element of `{dtype}` inputs and outputs, none of them in tensor cores, \
             whose measured rate is {ratio:.0} times as high"
        ),
        evidence: vec![
            Evidence::new("tensor-flop-share", tensor, "1", "kernel-counters").against(USED),
            Evidence::new("fused-flops-per-element", reuse, "flop", "kernel-counters").against(REUSE),
            Evidence::new("arithmetic-time-share", share, "1", "peaks").against(SHARE),
            Evidence::new("rate-ratio", ratio, "1", "peaks"),
        ],
        place: work.hottest_line().or_else(|| kernel.and_then(|kernel| kernel.place.clone())),
        kernel: kernel.map(|kernel| kernel.kernel.clone()),
        speedup: ratio.min(limits.time_ns / (limits.dram_ns + peaks.launch_ns)),
        model: "rate of tensor cores / rate of ordinary arithmetic, at most time / time of the compulsory bytes and a launch",
    }
    .on(subject)
}
