//! The report: what one evaluation found, as published by `kinstr schema`.
//!
//! A report is a pure fold of stored events and records, so it holds no clock and no date of its own.
//! A number that came out infinite or NaN is absent, because JSON cannot say it.

mod bound;
mod device;
mod observed;
mod workload;

pub use bound::DEFAULT_LIMIT;
pub use device::{DeviceAccess, DeviceBranch, DeviceReport, HostRow, KernelRow, TimedRow};
pub use observed::{HotAccess, HotBranch, Misses};
pub use workload::{Correctness, Estimate, Mismatch, Speedup, StopReason, Times, WorkloadReport};

use crate::device::DevicePeaks;
use crate::diagnosis::Diagnosis;
use crate::peaks::Peaks;
use crate::port_model::HotBlock;
use crate::probe_costs::CalibratedProbe;
use crate::sites::Place;
use crate::synthesis::{LoopTime, RegionTime};
use crate::tables::Losses;
use crate::threads::ParallelRegion;
use crate::work::{LineWork, Work};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the schema; raised by one whenever a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything one evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Name of the problem.
    pub problem: String,
    /// Candidate as the user named it.
    pub candidate: String,
    /// Target, e.g. `cpu`.
    pub target: String,
    /// The answer.
    pub verdict: Verdict,
    /// One sentence: why the verdict is what it is.
    pub verdict_detail: String,
    /// Who is to blame if a stage failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fault: Option<Fault>,
    /// Geometric mean of the workloads' speedups over the reference.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speedup: Option<f64>,
    /// The same over what `torch.compile` makes of the reference. With the verdict, these two are what KernelBench's `fast_p`
    /// is computed from, for either baseline.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speedup_over_compiled: Option<f64>,
    /// The first diagnosis, in short.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub primary: Option<PrimaryBottleneck>,
    /// One entry a workload.
    pub workloads: Vec<WorkloadReport>,
    /// Diagnoses, best first.
    pub diagnoses: Vec<Diagnosis>,
    /// Timed regions, longest first within a workload.
    pub regions: Vec<RegionRow>,
    /// Timed loops, the one with the most time of its own first within a workload.
    #[serde(default)]
    pub loops: Vec<LoopRow>,
    /// Parallel regions; absent in code without threads.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parallel: Vec<ParallelRow>,
    /// Source lines with the most work, first one first.
    pub hot_lines: Vec<HotLine>,
    /// Hottest loops of the machine code as the port model sees them, hottest first within a workload.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hot_blocks: Vec<HotBlockRow>,
    /// Loads and stores by source line, those that miss most first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hot_accesses: Vec<HotAccess>,
    /// Branches, those guessed wrongly most often first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hot_branches: Vec<HotBranch>,
    /// What the GPU did, if it is the target.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<DeviceReport>,
    /// What happened around the kernel.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub system: Option<SystemSummary>,
    /// Every layer and whether it ran.
    pub layers: Vec<Layer>,
    /// Peaks the roofline was drawn with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peaks: Option<Peaks>,
    /// Those of a GPU.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device_peaks: Option<DevicePeaks>,
    /// What timing probes cost on it, by kind, by where they record, and by how many warps an SM held. It is taken off the times of the kinds that
    /// record in registers.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub probe_costs: Vec<CalibratedProbe>,
    /// Records that did not make it.
    pub losses: Losses,
    /// Stages in order, with every attempt.
    pub stages: Vec<StageReport>,
    /// Versions, device and digests.
    pub provenance: Provenance,
    /// Whatever was skipped, left out or assumed.
    pub notes: Vec<String>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Same answer as the reference on every workload.
    Correct,
    /// A different answer, or none.
    Incorrect,
    /// The question itself cannot be answered: the problem, its tolerance or the run is unsound.
    Invalid,
}

/// Who caused a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The candidate.
    Candidate,
    /// The machine or its surroundings; only this is retried.
    Infrastructure,
    /// kinstr itself.
    Internal,
}

/// The first diagnosis, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrimaryBottleneck {
    /// Rule.
    pub name: String,
    /// Stable code.
    pub code: String,
    /// Source line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// One sentence with numbers.
    pub sentence: String,
    /// Estimated speedup if it alone were removed.
    pub potential: f64,
}

impl PrimaryBottleneck {
    /// The short form of `diagnosis`.
    pub fn of(diagnosis: &Diagnosis) -> Self {
        Self {
            name: diagnosis.name.clone(),
            code: diagnosis.code.clone(),
            place: diagnosis.place.clone(),
            sentence: diagnosis.message.clone(),
            potential: diagnosis.potential.speedup,
        }
    }
}

/// A timed region of one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionRow {
    /// Workload.
    pub workload: usize,
    /// Its time.
    #[serde(flatten)]
    pub time: RegionTime,
}

/// A timed loop of one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoopRow {
    /// Workload.
    pub workload: usize,
    /// Its time.
    #[serde(flatten)]
    pub time: LoopTime,
}

/// A parallel region of one workload, in one launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParallelRow {
    /// Workload.
    pub workload: usize,
    /// Symbol of the function that threads ran.
    pub name: String,
    /// Line that starts them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Threads that took part.
    pub threads: usize,
    /// Working time of the thread that worked longest, in ns.
    pub longest_ns: f64,
    /// Mean working time of a thread, in ns.
    pub mean_ns: f64,
    /// Waiting of all threads inside the region, in ns.
    pub wait_ns: f64,
}

impl ParallelRow {
    /// The short form of `region`.
    pub fn of(workload: usize, region: &ParallelRegion) -> Self {
        Self {
            workload,
            name: region.name.clone(),
            place: region.place.clone(),
            threads: region.threads.len(),
            longest_ns: region.longest_ns(),
            mean_ns: region.mean_ns(),
            wait_ns: region.wait_ns(),
        }
    }
}

/// A hot loop of one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HotBlockRow {
    /// Workload.
    pub workload: usize,
    /// What the port model says of it.
    #[serde(flatten)]
    pub block: HotBlock,
}

/// Work of one source line in one launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HotLine {
    /// Workload.
    pub workload: usize,
    /// Source line.
    pub place: Place,
    /// Part of all executed instructions, 0 to 1.
    pub share: f64,
    /// Instructions executed.
    pub instructions: u64,
    /// Floating-point operations executed.
    pub flops: u64,
    /// Part of the floating-point operations done in vectors, 0 to 1; absent without any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vector_share: Option<f64>,
    /// Bytes loaded and stored.
    pub bytes: u64,
    /// Calls left in the machine code.
    pub calls: u64,
}

impl HotLine {
    /// The lines of one launch of `work` that did anything, most instructions first.
    pub fn of(workload: usize, work: &Work) -> Vec<Self> {
        let all = work.total.instructions.max(1) as f64;
        let lines = work.by_line().into_iter().filter(|line| line.amounts.instructions > 0);
        let row = |line: LineWork| {
            let amounts = line.amounts;
            let (flops, vector) = (amounts.flops(), amounts.flops_where(|row| row.lanes > 1));
            Some(Self {
                workload,
                place: line.place?,
                share: amounts.instructions as f64 / all,
                instructions: work.per_launch(amounts.instructions),
                flops: work.per_launch(flops),
                vector_share: (flops > 0).then(|| vector as f64 / flops as f64),
                bytes: work.per_launch(amounts.bytes()),
                calls: work.per_launch(amounts.calls()),
            })
        };
        lines.filter_map(row).collect()
    }
}

/// What happened around the kernel during the clean run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemSummary {
    /// Processor model.
    pub processor: Option<String>,
    /// Cores the worker could use.
    pub cores: Option<u32>,
    /// Threads the candidate's process had at most.
    pub threads: Option<u32>,
    /// Page faults served without the disk.
    pub minor_faults: Option<u64>,
    /// Page faults that read the disk.
    pub major_faults: Option<u64>,
    /// Times the process gave up its core.
    pub voluntary_switches: Option<u64>,
    /// Times the kernel took the core away.
    pub involuntary_switches: Option<u64>,
    /// Largest resident set in bytes.
    pub peak_resident_bytes: Option<u64>,
}

/// One of the six layers, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Layer {
    /// `correctness`, `performance`, `system`, `kernel-counters`, `intra-kernel` or `accelerator`; a part of
    /// one has its own name after a slash, e.g. `kernel-counters/hardware-events`.
    pub name: String,
    /// What came of it.
    #[serde(flatten)]
    pub status: LayerStatus,
}

/// What came of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "status", content = "because")]
pub enum LayerStatus {
    /// It ran.
    Ran,
    /// It cannot run here.
    Unavailable(String),
    /// It should have run and did not.
    Failed(String),
}

/// One stage with all its attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageReport {
    /// Stage.
    pub name: String,
    /// Digest of its inputs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
    /// True if its artifact was there already and it was not run.
    #[serde(default)]
    pub reused: bool,
    /// Attempts, first one first.
    pub attempts: Vec<Attempt>,
}

/// One attempt at a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Wall time in ms, from the stored events.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wall_ms: Option<f64>,
    /// Who failed it; absent if it succeeded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fault: Option<Fault>,
    /// What happened, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

/// Where the numbers come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// Version of kinstr.
    pub kinstr: String,
    /// Version of LLVM and MLIR.
    pub llvm: String,
    /// Device id, as in [`Peaks::device`].
    pub device: String,
    /// When the clean run was measured, from the stored events; replay keeps it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub measured_at: Option<String>,
    /// Digests by name: problem, candidate, reference, binary, …
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub digests: BTreeMap<String, String>,
    /// Versions of what else took part, e.g. Python, NumPy, PyTorch.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub versions: BTreeMap<String, String>,
}

impl Report {
    /// The report as JSON, compact or for reading, with a final newline.
    ///
    /// # Errors
    /// Only if serde_json fails, which the types of this report give it no reason to.
    pub fn to_json(&self, pretty: bool) -> Result<String, serde_json::Error> {
        let json = match pretty {
            true => serde_json::to_string_pretty(self)?,
            false => serde_json::to_string(self)?,
        };
        Ok(json + "\n")
    }

    /// JSON Schema of the report.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }
}
