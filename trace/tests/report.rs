//! The report as JSON: shape, schema, round trip and size.
#![allow(clippy::unwrap_used)]

#[path = "common/example.rs"]
mod example;

use example::report;
use kinstr_trace::report::{DEFAULT_LIMIT, Report};

fn size(report: &Report) -> usize {
    report.to_json(false).unwrap().len()
}

#[test]
fn json_comes_back_as_it_was() {
    let report = report();
    let again: Report = serde_json::from_str(&report.to_json(true).unwrap()).unwrap();
    assert_eq!(again, report);
    insta::assert_snapshot!(report.to_json(true).unwrap());
}

#[test]
fn the_schema_names_every_field_a_report_has() {
    let schema = serde_json::to_value(Report::schema()).unwrap();
    let known = schema["properties"].as_object().unwrap();
    let report = serde_json::to_value(report()).unwrap();
    for field in report.as_object().unwrap().keys() {
        assert!(known.contains_key(field), "{field}");
    }
}

#[test]
fn the_report_of_a_gpu_comes_back_and_is_cut_like_any_other() {
    let report = example::on_gpu();
    let again: Report = serde_json::from_str(&report.to_json(true).unwrap()).unwrap();
    assert_eq!(again, report);
    let schema = serde_json::to_value(Report::schema()).unwrap();
    assert!(schema["properties"]["device"].is_object() && schema["properties"]["device_peaks"].is_object());
    assert!(size(&report) <= DEFAULT_LIMIT, "{}", size(&report));
    let mut large = report.clone();
    let device = large.device.as_mut().unwrap();
    device.kernels = device.kernels.iter().cycle().take(100).cloned().collect();
    device.accesses = device.accesses.iter().cycle().take(300).cloned().collect();
    let cut = large.bounded(DEFAULT_LIMIT);
    assert!(size(&cut) <= DEFAULT_LIMIT, "{}", size(&cut));
    let note = cut.notes.last().unwrap();
    for part in ["of 100 kernels", "of 300 accesses of kernels"] {
        assert!(note.contains(part), "{note}");
    }
    assert_eq!(cut.device.unwrap().kernels[0], report.device.unwrap().kernels[0]);
}

#[test]
fn a_small_report_is_left_alone() {
    assert_eq!(report().bounded(DEFAULT_LIMIT), report());
}

#[test]
fn a_large_report_is_cut_and_says_what_is_missing() {
    let mut large = report();
    large.hot_lines = large.hot_lines.into_iter().cycle().take(3000).collect();
    large.regions = large.regions.into_iter().cycle().take(200).collect();
    large.workloads = large.workloads.into_iter().cycle().take(40).collect();
    large.notes = (0..400).map(|number| format!("note {number}")).collect();
    large.verdict_detail = "é".repeat(50_000);
    let cut = large.clone().bounded(DEFAULT_LIMIT);
    assert!(size(&cut) <= DEFAULT_LIMIT, "{}", size(&cut));
    assert!(size(&cut) > DEFAULT_LIMIT / 2, "cut further than needed: {}", size(&cut));
    assert_eq!(cut.primary, large.primary);
    assert_eq!(cut.hot_lines[0], large.hot_lines[0]);
    let note = cut.notes.last().unwrap();
    for part in ["of 3000 hot lines", "of 40 workloads", "380 of 400 notes"] {
        assert!(note.contains(part), "{note}");
    }
}

#[test]
fn a_limit_that_cannot_be_met_is_said() {
    let cut = report().bounded(100);
    assert!(cut.notes.last().unwrap().contains("does not fit 100 bytes"));
}
