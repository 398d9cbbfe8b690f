//! What was found on one workload.

use crate::device::DeviceState;
use crate::roofline::RooflinePoint;
use crate::surroundings::{EventCounts, SystemCounts};
use crate::synthesis::Certificate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was found on one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadReport {
    /// Index in the problem.
    pub index: usize,
    /// Axis values.
    pub axes: BTreeMap<String, u64>,
    /// Comparison with the reference; absent if it was not reached.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub correctness: Option<Correctness>,
    /// Clean times; absent if they were not measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub times: Option<Times>,
    /// Speedup over the reference.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speedup: Option<Speedup>,
    /// Speedup over what `torch.compile` makes of the reference; absent if it was not asked for, or not to be had.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speedup_over_compiled: Option<Speedup>,
    /// The GPU it was timed on, before and after; absent on a CPU, and where nothing tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device_states: Option<[DeviceState; 2]>,
    /// Where it sits under the roof.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub roofline: Option<RooflinePoint>,
    /// What instrumentation did to it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate: Option<Certificate>,
    /// What the system did around its timed calls.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub system: Option<SystemCounts>,
    /// Events counted while it ran, where the system gives them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub events: Option<EventCounts>,
}

/// Comparison of the candidate's outputs with the reference's, over all seeds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Correctness {
    /// Within tolerance everywhere.
    pub passed: bool,
    /// Bit for bit the same.
    pub bitwise: bool,
    /// Largest absolute error; absent if it is not finite.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_abs: Option<f64>,
    /// Largest relative error; absent if it is not finite.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_rel: Option<f64>,
    /// Largest distance in units in the last place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_ulp: Option<u64>,
    /// Tolerance it was held against, as text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tolerance: Option<String>,
    /// First element outside the tolerance.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mismatch: Option<Mismatch>,
    /// Seeds of the inputs.
    pub seeds: Vec<u64>,
    /// Whether repeats were bit-identical; absent if none were made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deterministic: Option<bool>,
}

/// One element that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mismatch {
    /// Output's name.
    pub output: String,
    /// Its position.
    pub index: Vec<u64>,
    /// What the reference has, as text, because it may be NaN.
    pub expected: String,
    /// What the candidate has.
    pub actual: String,
    /// Elements outside the tolerance.
    pub wrong: u64,
    /// Elements compared.
    pub compared: u64,
    /// Seed of the inputs.
    pub seed: u64,
}

/// Clean times of candidate and reference, measured in turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// Candidate.
    pub candidate: Estimate,
    /// Reference; absent if it was not timed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Estimate>,
    /// What `torch.compile` makes of the reference; absent if it was not asked for, or not to be had.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compiled: Option<Estimate>,
    /// Candidate with cold caches: each call after the last cache was overwritten; absent if it was not measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cold: Option<Estimate>,
    /// Candidate on inputs that changed and outputs that were overwritten since the call before: the shortest time seen, in
    /// ns, which rests on less than a median does; absent if it is too short to tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub renewed_ns: Option<f64>,
    /// Why sampling stopped.
    pub stop: StopReason,
}

/// A median with its 95 % confidence interval, in ns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Median.
    pub median_ns: f64,
    /// Lower end.
    pub low_ns: f64,
    /// Upper end.
    pub high_ns: f64,
    /// Samples.
    pub samples: u64,
}

/// Why sampling stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// The interval was narrow enough.
    IntervalTight,
    /// The time budget ran out first.
    BudgetSpent,
}

/// Reference time over candidate time, with its 95 % confidence interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Speedup {
    /// Estimate.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}
