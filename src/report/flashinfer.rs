//! A report as FlashInfer-Bench Traces, which its leaderboards read: a JSON line a workload.

use kinstr_trace::report::{Correctness, Fault, Report, Verdict, WorkloadReport};
use serde_json::{Map, Value, json};

/// What a number that is not finite is written as.
const NOT_FINITE: &str = "Infinity";

/// The Traces of a report on a definition's `workloads`, which are written as they were read, for the solution of that name. `cause` is the kind of the failure
/// that ended the evaluation, if one did. Workloads of which nothing can be said are left out: a problem that wrong
/// answers would pass, a machine that failed, a right answer that was not timed.
pub fn traces(report: &Report, workloads: &[Value], solution: &str, cause: Option<&str>) -> String {
    let lines = workloads.iter().zip(&report.workloads);
    lines.filter_map(|(written, workload)| trace(report, written, workload, solution, cause)).collect()
}

fn trace(
    report: &Report,
    written: &Value,
    workload: &WorkloadReport,
    solution: &str,
    cause: Option<&str>,
) -> Option<String> {
    let status = status(report, workload, cause)?;
    let mut evaluation = Map::new();
    evaluation.insert("status".into(), status.into());
    evaluation.insert("environment".into(), environment(report));
    evaluation.insert("timestamp".into(), report.provenance.measured_at.clone().into());
    evaluation.insert("log".into(), report.verdict_detail.clone().into());
    if let (PASSED | INCORRECT, Some(compared)) = (status, &workload.correctness) {
        evaluation.insert("correctness".into(), correctness(compared));
    }
    if status == PASSED {
        evaluation.insert("performance".into(), performance(workload)?);
    }
    let trace = json!({
        "definition": report.problem,
        "workload": written,
        "solution": solution,
        "evaluation": evaluation,
    });
    Some(format!("{trace}\n"))
}

const PASSED: &str = "PASSED";
const INCORRECT: &str = "INCORRECT_NUMERICAL";

fn status(report: &Report, workload: &WorkloadReport, cause: Option<&str>) -> Option<&'static str> {
    match (report.verdict, report.fault) {
        (Verdict::Correct, _) => workload.times.as_ref().map(|_| PASSED),
        // What was found right by itself belongs to a candidate that is not accepted all the same.
        (Verdict::Incorrect, None) => workload.correctness.as_ref().map(|_| INCORRECT),
        (Verdict::Incorrect, Some(Fault::Candidate)) => Some(match cause.unwrap_or_default() {
            "timed-out" | "cpu-limit" | "wall-limit" => "TIMEOUT",
            "wrong-shape" => "INCORRECT_SHAPE",
            "wrong-dtype" => "INCORRECT_DTYPE",
            _ if workload_was_reached(report) => "RUNTIME_ERROR",
            _ => "COMPILE_ERROR",
        }),
        _ => None,
    }
}

/// Whether the candidate was built, so that it could be run.
fn workload_was_reached(report: &Report) -> bool {
    report.stages.iter().any(|stage| stage.name == "check")
}

fn environment(report: &Report) -> Value {
    let provenance = &report.provenance;
    let mut libs: Map<String, Value> =
        provenance.versions.iter().map(|(name, version)| (name.clone(), version.clone().into())).collect();
    libs.insert("kinstr".into(), provenance.kinstr.clone().into());
    libs.insert("llvm".into(), provenance.llvm.clone().into());
    json!({ "hardware": provenance.device, "libs": libs })
}

fn correctness(compared: &Correctness) -> Value {
    let error = |error: Option<f64>| error.map_or(Value::from(NOT_FINITE), Value::from);
    json!({ "max_relative_error": error(compared.max_rel), "max_absolute_error": error(compared.max_abs) })
}

fn performance(workload: &WorkloadReport) -> Option<Value> {
    let times = workload.times.as_ref()?;
    let (reference, speedup) = (times.reference.as_ref()?, workload.speedup.as_ref()?);
    Some(json!({
        "latency_ms": times.candidate.median_ns / 1e6,
        "reference_latency_ms": reference.median_ns / 1e6,
        "speedup_factor": speedup.value,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    fn evaluations(report: &Report, cause: Option<&str>) -> Vec<Value> {
        let workloads: Vec<Value> = report.workloads.iter().map(|w| json!({ "uuid": w.index })).collect();
        let lines = traces(report, &workloads, "name", cause);
        let read = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
        lines.lines().map(read).map(|trace| trace["evaluation"].clone()).collect()
    }

    #[test]
    fn statuses_carry_what_their_readers_ask_for() {
        let mut report = example::report();
        let passed = evaluations(&report, None);
        assert_eq!(passed.len(), report.workloads.len());
        for evaluation in passed {
            assert_eq!(evaluation["status"], "PASSED");
            assert!(evaluation["performance"]["speedup_factor"].as_f64().is_some_and(|factor| factor > 0.0));
            assert!(evaluation["correctness"]["max_absolute_error"].is_number());
        }
        report.verdict = Verdict::Incorrect;
        let wrong = &evaluations(&report, None)[0];
        assert_eq!((&wrong["status"], &wrong["performance"]), (&json!(INCORRECT), &Value::Null));
        report.fault = Some(Fault::Candidate);
        let late = &evaluations(&report, Some("timed-out"))[0];
        assert_eq!((&late["status"], &late["correctness"]), (&json!("TIMEOUT"), &Value::Null));
        report.verdict = Verdict::Invalid;
        assert!(evaluations(&report, None).is_empty());
    }
}
