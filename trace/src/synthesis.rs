//! From tables to ranked diagnoses. One file in `synthesis/` is one rule; the folder is the registry.

use crate::peaks::Peaks;
use crate::sites::Place;
use crate::work::Work;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything a rule may look at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tables {
    /// One entry a workload.
    pub workloads: Vec<WorkloadTable>,
    /// Peaks of the device; without them the rules that need them are skipped, and a note says so.
    pub peaks: Option<Peaks>,
}

/// What is known of one workload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadTable {
    /// Index in the problem.
    pub index: usize,
    /// The entry's buffers: inputs in order, then outputs, as [`crate::sites::Buffer::Argument`] counts.
    pub buffers: Vec<ProblemBuffer>,
    /// Clean time of one launch.
    pub clean: CleanTime,
    /// Median time of the reference, in ns.
    pub reference_ns: Option<f64>,
    /// Exact work, if the counting build ran.
    pub work: Option<Work>,
    /// Time by region, if the timing build ran.
    pub regions: Option<Vec<RegionTime>>,
    /// How far the instrumented builds were from the clean one.
    pub certificate: Option<Certificate>,
}

/// Clean time of one launch, in ns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CleanTime {
    /// Median.
    pub median_ns: f64,
    /// Lower end of the 95 % confidence interval of the median.
    pub low_ns: f64,
    /// Upper end.
    pub high_ns: f64,
}

/// One buffer of the problem at one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemBuffer {
    /// Position in the entry's signature.
    pub index: u32,
    /// Name in the problem.
    pub name: String,
    /// Input or output.
    pub role: Role,
    /// Element type.
    pub dtype: String,
    /// Elements.
    pub elements: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Whether the kernel reads or writes a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Read.
    Input,
    /// Written.
    Output,
}

/// Time one region took, the cost of the probes subtracted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionTime {
    /// Region's name.
    pub name: String,
    /// Source position.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Times the region ran, over all launches and units.
    pub calls: u64,
    /// Time in it, over all launches and units.
    pub ns_total: f64,
    /// Mean time of one run of it.
    pub ns_per_call: f64,
    /// Its part of the kernel's time in the timing build, 0 to 1.
    pub share: f64,
}

/// What instrumentation did to the kernel. Time never comes from the instrumented build; this says how
/// much what does come from it may be trusted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Median time of the clean build in ns.
    pub clean_ns: f64,
    /// Median time of the timing build in ns, interleaved with the clean one.
    pub instrumented_ns: f64,
    /// `instrumented_ns / clean_ns`.
    pub ratio: f64,
    /// Machine instructions of the clean build's code.
    pub clean_instructions: Option<u64>,
    /// Machine instructions of the timing build's code.
    pub instrumented_instructions: Option<u64>,
    /// Stack spills of the clean build.
    pub clean_spills: Option<u64>,
    /// Stack spills of the timing build.
    pub instrumented_spills: Option<u64>,
    /// Stack bytes of the clean build's largest frame.
    pub clean_stack_bytes: Option<u64>,
    /// Stack bytes of the timing build's largest frame.
    pub instrumented_stack_bytes: Option<u64>,
    /// Cost of one probe (begin and end together) calibrated in this session, in clock ticks.
    pub probe_cost_ticks: Option<f64>,
    /// Whether all outputs were bit-identical to the clean build's.
    pub outputs_identical: Option<bool>,
}
