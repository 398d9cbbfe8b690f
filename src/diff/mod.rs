//! What changed between two reports, as published by `kinstr schema diff`.
//!
//! A diff is a pure function of the two reports. Nothing is judged here that they do not say: a time has changed
//! where the intervals lie apart, and not otherwise.

mod diagnoses;
mod lines;
mod read;
mod sides;
#[cfg(test)]
mod tests;
mod workloads;

pub use diagnoses::{DiagnosisChange, Fate};
pub use lines::{LineChange, RegionChange};
pub use read::{ReadError, read};
pub use sides::{LayerChange, Side};
pub use workloads::{CertificateChange, Interval, RooflineChange, Significance, TimeChange, WorkloadChange};

use kinstr_trace::report::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the schema; raised by one whenever a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// What changed from the report before to the report after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Who and what before.
    pub before: Side,
    /// Who and what after.
    pub after: Side,
    /// Geometric mean of the workloads' changes, how many times as fast it became; absent if some workload was
    /// timed in one report only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub times_as_fast: Option<f64>,
    /// Workloads, in the order of the report after; those that only the one before has come last.
    pub workloads: Vec<WorkloadChange>,
    /// Diagnoses: vanished, appeared, moved, stayed.
    pub diagnoses: Vec<DiagnosisChange>,
    /// Timed regions, by source line; largest change first.
    pub regions: Vec<RegionChange>,
    /// Source lines with the most work; largest change first.
    pub hot_lines: Vec<LineChange>,
    /// Layers whose status is another.
    pub layers: Vec<LayerChange>,
    /// What makes the two hard to compare, or is missing from either.
    pub caveats: Vec<String>,
}

impl Diff {
    /// What changed from `before` to `after`.
    pub fn of(before: &Report, after: &Report) -> Self {
        let workloads = workloads::changes(before, after);
        Self {
            schema_version: SCHEMA_VERSION,
            before: Side::of(before),
            after: Side::of(after),
            times_as_fast: workloads::overall(&workloads),
            diagnoses: diagnoses::changes(before, after),
            regions: lines::regions(before, after),
            hot_lines: lines::hot_lines(before, after),
            layers: sides::layers(before, after),
            caveats: sides::caveats(before, after, &workloads),
            workloads,
        }
    }
}
