//! Times that cannot be told apart, workloads that come and go, diagnoses that are paired.

use super::*;

use crate::report::example;

fn slower(report: &Report, factor: f64) -> Report {
    let mut report = report.clone();
    for times in report.workloads.iter_mut().filter_map(|workload| workload.times.as_mut()) {
        for estimate in [Some(&mut times.candidate), times.reference.as_mut()].into_iter().flatten() {
            estimate.median_ns *= factor;
            estimate.low_ns *= factor;
            estimate.high_ns *= factor;
        }
    }
    report
}

#[test]
fn times_differ_only_where_their_intervals_lie_apart() {
    let report = example::report();
    // The example's intervals reach from -0.8 % to +1.1 %.
    for (factor, expected) in [
        (1.0, Significance::NotApart),
        (1.018, Significance::NotApart),
        (1.02, Significance::Slower),
        (0.982, Significance::NotApart),
        (0.98, Significance::Faster),
    ] {
        let diff = Diff::of(&report, &slower(&report, factor));
        let time = diff.workloads[0].time.as_ref().unwrap();
        assert_eq!(time.significance, expected, "{factor}: {time:?}");
        let factors = time.times_as_fast;
        assert!(factors.low < factors.value && factors.value < factors.high);
        assert_eq!(factors.low > 1.0, expected == Significance::Faster);
        assert_eq!(factors.high < 1.0, expected == Significance::Slower);
        assert!((diff.times_as_fast.unwrap() - 1.0 / factor).abs() < 1e-9);
        // The reference went with it, so it was the machine.
        assert_eq!(diff.caveats.len(), if expected == Significance::NotApart { 0 } else { 2 });
    }
}

#[test]
fn workloads_are_found_by_their_axes() {
    let before = example::report();
    let mut after = before.clone();
    after.workloads.swap(0, 1);
    after.workloads[1].axes.insert("M".to_owned(), 17);
    let diff = Diff::of(&before, &after);
    let found: Vec<_> = diff.workloads.iter().map(|workload| (workload.before, workload.after)).collect();
    assert_eq!(found, [(Some(1), Some(1)), (None, Some(0)), (Some(0), None)]);
    assert!(diff.workloads[0].time.is_some() && diff.workloads[1].time.is_none());
    assert_eq!(diff.times_as_fast, None);
}

#[test]
fn of_several_diagnoses_of_a_code_those_on_the_same_line_are_the_same() {
    let mut before = example::report();
    let mut second = before.diagnoses[0].clone();
    second.place.as_mut().unwrap().line = 40;
    before.diagnoses.push(second);
    let mut after = before.clone();
    after.diagnoses.rotate_left(2);
    after.diagnoses[1].place.as_mut().unwrap().line = 13;
    let diff = Diff::of(&before, &after);
    let line = |found: &Option<kinstr_trace::diagnosis::Diagnosis>| {
        found.as_ref().and_then(|found| found.place.as_ref()).map(|place| place.line)
    };
    let found: Vec<_> = diff
        .diagnoses
        .iter()
        .map(|change| (change.fate, change.code.as_str(), line(&change.before), line(&change.after)))
        .collect();
    assert_eq!(
        found,
        [
            (Fate::Moved, "KI0004", Some(12), Some(13)),
            (Fate::Stayed, "KI0003", Some(18), Some(18)),
            (Fate::Stayed, "KI0004", Some(40), Some(40)),
        ]
    );
}

#[test]
fn the_schema_names_what_a_diff_has() {
    let diff = Diff::of(&example::report(), &example::incorrect());
    let value = serde_json::to_value(&diff).unwrap();
    let schema = serde_json::to_value(schemars::schema_for!(Diff)).unwrap();
    assert!(jsonschema::validate(&schema, &value).is_ok());
    let back: Diff = serde_json::from_value(value).unwrap();
    assert_eq!(back, diff);
}
