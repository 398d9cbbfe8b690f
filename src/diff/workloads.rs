//! Times, speedups, roofline points and certificates, workload by workload.

use kinstr_trace::report::{Estimate, Report, Speedup, WorkloadReport};
use kinstr_trace::roofline::RooflinePoint;
use kinstr_trace::synthesis::Certificate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One workload in both reports, found by its axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadChange {
    /// Axis values.
    pub axes: BTreeMap<String, u64>,
    /// Its index before; absent if it was not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<usize>,
    /// Its index after; absent if it is not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<usize>,
    /// Whether the answer was right before; absent if it was not compared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub passed_before: Option<bool>,
    /// Whether the answer is right after.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub passed_after: Option<bool>,
    /// The candidate's clean time, if both reports have it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<TimeChange>,
    /// The reference's time, if both reports have it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<TimeChange>,
    /// Speedup over the reference before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speedup_before: Option<Speedup>,
    /// Speedup over the reference after.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speedup_after: Option<Speedup>,
    /// The roofline point, if both reports have one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub roofline: Option<RooflineChange>,
    /// What instrumentation did, if both reports say so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate: Option<CertificateChange>,
}

/// A time in both reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimeChange {
    /// Before.
    pub before: Estimate,
    /// After.
    pub after: Estimate,
    /// Time before over time after.
    pub times_as_fast: Interval,
    /// Whether the two can be told apart.
    pub significance: Significance,
}

/// A number and the ends of its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// From the medians.
    pub value: f64,
    /// From the ends of the two 95 % intervals that are nearest each other, or overlap most.
    pub low: f64,
    /// From the other ends.
    pub high: f64,
}

/// Whether two times can be told apart: their 95 % intervals do not overlap. That is a stricter test than one at
/// 5 %, so a change that is named is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Significance {
    /// Faster after.
    Faster,
    /// Slower after.
    Slower,
    /// The intervals overlap.
    NotApart,
}

impl TimeChange {
    fn of(before: &Estimate, after: &Estimate) -> Self {
        let significance = if after.high_ns < before.low_ns {
            Significance::Faster
        } else if after.low_ns > before.high_ns {
            Significance::Slower
        } else {
            Significance::NotApart
        };
        let times_as_fast = Interval {
            value: before.median_ns / after.median_ns,
            low: before.low_ns / after.high_ns,
            high: before.high_ns / after.low_ns,
        };
        Self { before: before.clone(), after: after.clone(), times_as_fast, significance }
    }
}

/// Where a workload sits under the roof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RooflineChange {
    /// Before.
    pub before: RooflinePoint,
    /// After.
    pub after: RooflinePoint,
}

/// Instrumented against clean time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateChange {
    /// Before.
    pub before: Certificate,
    /// After.
    pub after: Certificate,
}

impl WorkloadChange {
    /// Its axes, for people.
    pub fn label(&self) -> String {
        let axes: Vec<_> = self.axes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if axes.is_empty() { "the only workload".to_owned() } else { axes.join(" ") }
    }
}

pub(super) fn changes(before: &Report, after: &Report) -> Vec<WorkloadChange> {
    let twin = |workload: &WorkloadReport| before.workloads.iter().find(|old| old.axes == workload.axes);
    let gone = |old: &&WorkloadReport| after.workloads.iter().all(|workload| workload.axes != old.axes);
    let kept = after.workloads.iter().map(|workload| change(twin(workload), Some(workload)));
    kept.chain(before.workloads.iter().filter(gone).map(|old| change(Some(old), None))).collect()
}

fn change(before: Option<&WorkloadReport>, after: Option<&WorkloadReport>) -> WorkloadChange {
    let both = before.zip(after);
    let times = both.and_then(|(old, new)| old.times.as_ref().zip(new.times.as_ref()));
    let references = times.and_then(|(old, new)| old.reference.as_ref().zip(new.reference.as_ref()));
    let points = both.and_then(|(old, new)| old.roofline.as_ref().zip(new.roofline.as_ref()));
    let certificates = both.and_then(|(old, new)| old.certificate.as_ref().zip(new.certificate.as_ref()));
    let passed = |workload: &WorkloadReport| workload.correctness.as_ref().map(|found| found.passed);
    WorkloadChange {
        axes: after.or(before).map(|workload| workload.axes.clone()).unwrap_or_default(),
        before: before.map(|workload| workload.index),
        after: after.map(|workload| workload.index),
        passed_before: before.and_then(passed),
        passed_after: after.and_then(passed),
        time: times.map(|(old, new)| TimeChange::of(&old.candidate, &new.candidate)),
        reference: references.map(|(old, new)| TimeChange::of(old, new)),
        speedup_before: before.and_then(|workload| workload.speedup.clone()),
        speedup_after: after.and_then(|workload| workload.speedup.clone()),
        roofline: points.map(|(old, new)| RooflineChange { before: old.clone(), after: new.clone() }),
        certificate: certificates
            .map(|(old, new)| CertificateChange { before: old.clone(), after: new.clone() }),
    }
}

/// Geometric mean of the changes, if every workload has one.
pub(super) fn overall(workloads: &[WorkloadChange]) -> Option<f64> {
    let factor = |workload: &WorkloadChange| workload.time.as_ref().map(|time| time.times_as_fast.value);
    let factors: Vec<f64> = workloads.iter().map(factor).collect::<Option<_>>()?;
    let usable = !factors.is_empty() && factors.iter().all(|value| value.is_finite() && *value > 0.0);
    usable.then(|| (factors.iter().map(|value| value.ln()).sum::<f64>() / factors.len() as f64).exp())
}
