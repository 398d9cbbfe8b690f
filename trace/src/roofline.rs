//! Where one workload sits under the roof of this device.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One point of the roofline. `fraction` is not clamped: above 1 is a finding, not a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RooflinePoint {
    /// Floating-point operations one launch executes; 0 if they were not counted.
    pub flops: u64,
    /// Compulsory bytes: every input read once, every output written once.
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
    /// Least time the roof allows, in ns.
    pub floor_ns: f64,
}

/// Which roof is lower at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Bandwidth.
    Memory,
    /// Arithmetic.
    Compute,
}
