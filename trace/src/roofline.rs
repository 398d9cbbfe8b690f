//! Where one workload sits under the roof of this device.

use crate::device::{Arithmetic, DevicePeaks};
use crate::peaks::Peaks;
use crate::sites::Buffer;
use crate::synthesis::{ProblemBuffer, Role, WorkloadTable};
use crate::work::FlopWork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One point of the roofline. `fraction` is not clamped: above 1 is a finding, not a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RooflinePoint {
    /// Floating-point operations one launch executes; 0 if they were not counted.
    pub flops: u64,
    /// Compulsory bytes: every input read once, every output written once; of an input of which the kernel was seen to
    /// touch a part, as a table that it looks up, that part.
    pub bytes: u64,
    /// Memory level whose bandwidth applies: the smallest one that holds the footprint.
    pub level: String,
    /// `flops / bytes`.
    pub intensity: f64,
    /// Flop/s the kernel reached.
    pub achieved_flops_per_s: f64,
    /// Compulsory bytes per second the kernel reached.
    pub achieved_bytes_per_s: f64,
    /// Flop/s the roof allows at this intensity.
    pub roof_flops_per_s: f64,
    /// `floor_ns / time`.
    pub fraction: f64,
    /// Side of the ridge the point is on.
    pub bound: Bound,
    /// Least time the roof allows, in ns; main memory at the better of its two measured ways of copying.
    pub floor_ns: f64,
    /// Least time that bandwidth alone allows, in ns.
    #[serde(default)]
    pub memory_floor_ns: f64,
}

/// Which roof is lower at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Bandwidth.
    Memory,
    /// Arithmetic.
    Compute,
    /// Arithmetic of a GPU's tensor cores.
    Tensor,
}

impl RooflinePoint {
    /// The point of a measured workload, or `None` without a clean time, buffers or usable peaks.
    ///
    /// Peaks of one thread are scaled by the units that took part, over the threads they were
    /// measured with: exact for arithmetic and private caches, generous (a lower floor) where units
    /// share a level.
    pub fn of(workload: &WorkloadTable, peaks: &Peaks) -> Option<Self> {
        let seconds = workload.seconds()?;
        let compulsory = Compulsory::of(workload);
        let level = peaks.level_for(compulsory.bytes())?;
        if !peaks.usable() || compulsory.bytes() == 0 {
            return None;
        }
        let threads = workload.threads() / f64::from(peaks.threads.max(1));
        let memory = peaks.best_stream_seconds(level, compulsory.read, compulsory.written) / threads;
        let compute = arithmetic_seconds(workload, peaks) / threads;
        let floor = memory.max(compute);
        let flops = workload.work.as_ref().map_or(0, |work| work.per_launch(work.total.flops()));
        Some(Self {
            flops,
            bytes: compulsory.bytes(),
            level: level.name.clone(),
            intensity: flops as f64 / compulsory.bytes() as f64,
            achieved_flops_per_s: flops as f64 / seconds,
            achieved_bytes_per_s: compulsory.bytes() as f64 / seconds,
            roof_flops_per_s: flops as f64 / floor,
            fraction: floor / seconds,
            bound: if compute > memory { Bound::Compute } else { Bound::Memory },
            floor_ns: floor * 1e9,
            memory_floor_ns: memory * 1e9,
        })
    }
}

impl RooflinePoint {
    /// The point of a workload that was measured on a GPU, or `None` without a clean time, buffers or usable peaks.
    ///
    /// Each call begins with none of the inputs in the L2 cache, so that memory is device memory whatever their size.
    pub fn of_device(workload: &WorkloadTable, peaks: &DevicePeaks) -> Option<Self> {
        let ns = workload.seconds()? * 1e9;
        let device = workload.device.as_ref()?;
        let compulsory = Compulsory::of(workload);
        if !peaks.usable() || compulsory.bytes() == 0 {
            return None;
        }
        let memory_ns = peaks.stream_ns(compulsory.read, compulsory.written);
        let Arithmetic { fma_ns, tensor_ns, .. } = Arithmetic::of(device, peaks);
        let floor_ns = memory_ns.max(fma_ns).max(tensor_ns);
        let flops = device.work.as_ref().map_or(0, |work| work.per_launch(work.total.flops()));
        Some(Self {
            flops,
            bytes: compulsory.bytes(),
            level: "DRAM".to_owned(),
            intensity: flops as f64 / compulsory.bytes() as f64,
            achieved_flops_per_s: flops as f64 * 1e9 / ns,
            achieved_bytes_per_s: compulsory.bytes() as f64 * 1e9 / ns,
            roof_flops_per_s: flops as f64 * 1e9 / floor_ns,
            fraction: floor_ns / ns,
            bound: match floor_ns {
                floor if floor <= memory_ns => Bound::Memory,
                floor if floor <= fma_ns => Bound::Compute,
                _ => Bound::Tensor,
            },
            floor_ns,
            memory_floor_ns: memory_ns,
        })
    }
}

/// Bytes that any kernel for this problem must move.
struct Compulsory {
    read: u64,
    written: u64,
}

impl Compulsory {
    fn of(workload: &WorkloadTable) -> Self {
        let of_role = |role| workload.buffers.iter().filter(move |buffer| buffer.role == role);
        let read = of_role(Role::Input).map(|buffer| touched_bytes(workload, buffer)).sum();
        Self { read, written: of_role(Role::Output).map(|buffer| buffer.bytes).sum() }
    }

    fn bytes(&self) -> u64 {
        self.read.saturating_add(self.written)
    }
}

/// Part of a buffer below which it counts as looked up, and not as read: the sample of lines is good to some percent.
const LOOKED_UP: f64 = 0.75;

/// Part of what was touched of an input that accesses of unknown buffers may not reach.
const HIDDEN: f64 = 0.05;

/// Bytes of an input that one launch touches, as far as single accesses were observed and each is known to be of it or not.
fn touched_bytes(workload: &WorkloadTable, input: &ProblemBuffer) -> u64 {
    let Some(accesses) = &workload.accesses else { return input.bytes };
    // The entry's descriptors are of no known buffer either, and hide no part of one.
    let unknown = accesses.per_launch(accesses.footprint(&Buffer::Unknown) as f64);
    let touched = accesses.per_launch(accesses.footprint(&Buffer::Argument(input.index)) as f64);
    let is_part = touched > 0.0 && touched < LOOKED_UP * input.bytes as f64;
    if is_part && unknown < HIDDEN * touched { touched as u64 } else { input.bytes }
}

/// Seconds that the executed floating-point operations take one thread at the vector FMA peak.
///
/// Division and square root are taken at the same rate, although they are slower: a floor must
/// not be too high.
fn arithmetic_seconds(workload: &WorkloadTable, peaks: &Peaks) -> f64 {
    let Some(work) = &workload.work else {
        return 0.0;
    };
    let rows = work.total.flops.iter();
    rows.map(|row| work.per_launch(row.flops) as f64 / peaks.vector_flops(&row.dtype)).sum()
}

/// Seconds that the vector arithmetic takes to issue if no multiply and add were fused but those that are written so.
///
/// Code generation may fuse more, so the truth lies between half of it (the arithmetic of the floor, all fused) and
/// this; so it tells which limit is nearer, and is no floor.
pub fn issue_seconds(workload: &WorkloadTable, peaks: &Peaks) -> f64 {
    let Some(work) = &workload.work else { return 0.0 };
    let vector = work.total.flops.iter().filter(|row| row.lanes > 1);
    // The peak is that of fused multiply-adds: two operations an instruction.
    let instructions = |row: &FlopWork| if row.fused { 1.0 } else { 2.0 } * work.per_launch(row.flops) as f64;
    let seconds: f64 = vector.map(|row| instructions(row) / peaks.vector_flops(&row.dtype)).sum();
    seconds / workload.threads() * f64::from(peaks.threads.max(1))
}
