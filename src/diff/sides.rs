//! Who is compared, and whether that can be done.

use super::workloads::{Significance, WorkloadChange};
use kinstr_trace::report::{LayerStatus, PrimaryBottleneck, Provenance, Report, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the two reports, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// Problem.
    pub problem: String,
    /// Candidate as the user named it.
    pub candidate: String,
    /// Target.
    pub target: String,
    /// The answer.
    pub verdict: Verdict,
    /// Why.
    pub verdict_detail: String,
    /// Geometric mean of the speedups over the reference.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speedup: Option<f64>,
    /// The first diagnosis.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub primary: Option<PrimaryBottleneck>,
}

impl Side {
    pub(super) fn of(report: &Report) -> Self {
        Self {
            problem: report.problem.clone(),
            candidate: report.candidate.clone(),
            target: report.target.clone(),
            verdict: report.verdict,
            verdict_detail: report.verdict_detail.clone(),
            speedup: report.speedup,
            primary: report.primary.clone(),
        }
    }
}

/// A layer whose status is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayerChange {
    /// Layer.
    pub name: String,
    /// Status before; absent if it was not mentioned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<LayerStatus>,
    /// Status after; absent if it is not mentioned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<LayerStatus>,
}

pub(super) fn layers(before: &Report, after: &Report) -> Vec<LayerChange> {
    let status = |report: &Report, name: &str| {
        report.layers.iter().find(|layer| layer.name == name).map(|layer| layer.status.clone())
    };
    let mut names: Vec<&str> = vec![];
    for layer in before.layers.iter().chain(&after.layers) {
        if !names.contains(&layer.name.as_str()) {
            names.push(&layer.name);
        }
    }
    let change = |name: &str| LayerChange {
        name: name.to_owned(),
        before: status(before, name),
        after: status(after, name),
    };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

/// What a reader must know before believing a comparison.
pub(super) fn caveats(before: &Report, after: &Report, workloads: &[WorkloadChange]) -> Vec<String> {
    let mut caveats = vec![];
    let mut differ = |what: &str, before: &str, after: &str| {
        if before != after {
            caveats.push(format!("{what} is another: `{before}` before, `{after}` after"));
        }
    };
    differ("the problem", &before.problem, &after.problem);
    differ("the target", &before.target, &after.target);
    differ("the device", &before.provenance.device, &after.provenance.device);
    differ("kinstr", &before.provenance.kinstr, &after.provenance.kinstr);
    differ("LLVM", &before.provenance.llvm, &after.provenance.llvm);
    let (old, new) = (problem_digest(&before.provenance), problem_digest(&after.provenance));
    if before.problem == after.problem
        && let (Some(old), Some(new)) = (old, new)
    {
        differ("the contents of the problem", old, new);
    }
    for (word, report) in [("before", before), ("after", after)] {
        if report.workloads.iter().all(|workload| workload.times.is_none()) {
            caveats.push(format!("nothing was timed in the report {word}, so nothing in it is explained"));
        }
    }
    caveats.extend(workloads.iter().filter_map(reference_moved));
    caveats
}

fn problem_digest(provenance: &Provenance) -> Option<&str> {
    provenance.digests.get("problem").map(String::as_str)
}

/// The same reference on the same machine should take the same time; where it does not, the machine was another.
fn reference_moved(workload: &WorkloadChange) -> Option<String> {
    let reference = workload.reference.as_ref()?;
    let word = match reference.significance {
        Significance::Faster => "faster",
        Significance::Slower => "slower",
        Significance::NotApart => return None,
    };
    let (axes, factor) = (workload.label(), reference.times_as_fast.value);
    Some(format!(
        "{axes}: the reference itself was {word} after ({factor:.2}× as fast), so the machine was not the same or \
         not as quiet; compare the speedups"
    ))
}
