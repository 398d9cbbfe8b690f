//! The report as JSON: shape, schema, round trip and size.
#![allow(clippy::unwrap_used)]

#[path = "common/example.rs"]
mod example;

use example::report;
use kinstr_trace::report::{DEFAULT_LIMIT, Report};
use serde_json::Value;

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

/// `schema` and all that it refers to or joins, alternatives included.
fn ways<'s>(schema: &'s Value, root: &'s Value) -> Vec<&'s Value> {
    let named = schema["$ref"].as_str().and_then(|name| root.pointer(name.strip_prefix('#')?));
    let joined = ["anyOf", "oneOf", "allOf"].iter().filter_map(|of| schema[of].as_array()).flatten();
    let inner = named.into_iter().chain(joined).flat_map(|inner| ways(inner, root));
    std::iter::once(schema).chain(inner).collect()
}

/// The first field of `value`, at any depth, that none of `schemas` names.
fn unnamed(value: &Value, schemas: &[&Value], root: &Value) -> Option<String> {
    let step = |part: &dyn Fn(&'_ Value) -> Option<String>| -> Vec<&Value> {
        let pointers = schemas.iter().filter_map(|schema| Some((schema, part(schema)?)));
        pointers.filter_map(|(schema, at)| schema.pointer(&at)).flat_map(|found| ways(found, root)).collect()
    };
    match value {
        Value::Array(items) => {
            let of_items = step(&|_| Some("/items".to_owned()));
            items.iter().find_map(|item| unnamed(item, &of_items, root))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            let known = step(&|schema: &Value| {
                let at = [format!("/properties/{name}"), "/additionalProperties".to_owned()];
                at.into_iter().find(|at| schema.pointer(at).is_some_and(Value::is_object))
            });
            match known.is_empty() {
                true => Some(name.clone()),
                false => unnamed(field, &known, root).map(|inner| format!("{name}.{inner}")),
            }
        }),
        _ => None,
    }
}

#[test]
fn the_schema_names_every_field_a_report_has() {
    let schema = serde_json::to_value(Report::schema()).unwrap();
    let mut report = serde_json::to_value(report()).unwrap();
    assert_eq!(unnamed(&report, &ways(&schema, &schema), &schema), None);
    report["diagnoses"][0]["place"]["row"] = 1.into();
    assert_eq!(unnamed(&report, &ways(&schema, &schema), &schema).as_deref(), Some("diagnoses.place.row"));
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
fn attempts_and_events_that_were_cut_are_said() {
    let mut large = report();
    let attempt = large.stages[0].attempts[0].clone();
    large.stages[0].attempts = vec![attempt; 500];
    let counted = kinstr_trace::surroundings::EventCounts::default();
    large.workloads.iter_mut().for_each(|workload| workload.events = Some(counted.clone()));
    let cut = large.bounded(4000);
    assert_eq!(cut.stages[0].attempts.len(), 2);
    let note = cut.notes.iter().find(|note| note.starts_with("cut from")).unwrap();
    for part in ["498 attempts", "what the system did", "the events counted"] {
        assert!(note.contains(part), "{note}");
    }
}

#[test]
fn a_limit_that_cannot_be_met_is_said() {
    let cut = report().bounded(100);
    assert!(cut.notes.last().unwrap().contains("does not fit 100 bytes"));
}
