//! What a rule says: one bottleneck, with its evidence.

use crate::sites::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One cause of lost time (or, at the roof, the absence of one).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// Stable code, e.g. `KI0003`.
    pub code: String,
    /// Name of the rule, e.g. `unvectorised`; what `kinstr explain` takes.
    pub name: String,
    /// What kind of limit it is.
    pub class: Class,
    /// How much it matters.
    pub severity: Severity,
    /// How sure the rule is.
    pub confidence: Confidence,
    /// One sentence with numbers.
    pub message: String,
    /// What the sentence rests on.
    pub evidence: Vec<Evidence>,
    /// Source line it sits on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Op or region it sits in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    /// What removing it would bring.
    pub potential: Potential,
    /// Workload it was seen on.
    pub workload: usize,
}

impl Diagnosis {
    /// What diagnoses are ranked by: estimated speedup times confidence.
    pub fn score(&self) -> f64 {
        self.potential.speedup * self.confidence.value
    }
}

/// What limits the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Moving bytes.
    Memory,
    /// Arithmetic.
    Compute,
    /// Branches and synchronisation.
    Control,
    /// Work that is not the problem's.
    Overhead,
    /// Nothing.
    None,
}

/// How much a diagnosis matters, from its potential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing to gain.
    Info,
    /// Below 1.25 times.
    Minor,
    /// Below 2 times.
    Major,
    /// At least 2 times.
    Critical,
}

impl Severity {
    /// Severity of a diagnosis whose removal would make the kernel `speedup` times faster.
    pub fn of(speedup: f64) -> Self {
        match speedup {
            s if s >= 2.0 => Self::Critical,
            s if s >= 1.25 => Self::Major,
            s if s > 1.05 => Self::Minor,
            _ => Self::Info,
        }
    }
}

/// A degree of belief and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Confidence {
    /// 0 to 1.
    pub value: f64,
    /// Why it is not higher, or why it is high.
    pub why: String,
}

/// One measured or derived number and what it was held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What was measured.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// Unit of value and threshold: `1` for a ratio.
    pub unit: String,
    /// Layer it came from: `performance`, `system`, `kernel-counters`, `intra-kernel` or `peaks`.
    pub layer: String,
    /// What it was held against; absent for context.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub threshold: Option<f64>,
}

/// Estimated gain if this cause alone were removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Potential {
    /// Time now over time then, at least 1.
    pub speedup: f64,
    /// The model that gave it, in one sentence.
    pub model: String,
}

impl Evidence {
    /// A number for context.
    pub fn new(metric: &str, value: f64, unit: &str, layer: &str) -> Self {
        let (metric, unit, layer) = (metric.to_owned(), unit.to_owned(), layer.to_owned());
        Self { metric, value, unit, layer, threshold: None }
    }

    /// The same number, held against `threshold`.
    pub fn against(self, threshold: f64) -> Self {
        Self { threshold: Some(threshold), ..self }
    }
}
