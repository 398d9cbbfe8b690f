use super::*;
use crate::problem::{Extent, Output, ReferenceSource};
use crate::tensor::DType;

fn problem(elements: u64) -> Problem {
    Problem {
        name: "double".into(),
        path: "problem.toml".into(),
        axes: vec![],
        inputs: vec![],
        outputs: vec![Output { name: "y".into(), dtype: DType::F32, shape: vec![Extent::Fixed(elements)] }],
        reference: ReferenceSource::Python { path: "reference.py".into(), function: "run".into() },
        tolerance: ToleranceSpec::Auto,
        workloads: vec![Workload { name: "default".into(), axes: vec![] }],
        digest: blake3::hash(b""),
        described_by: Default::default(),
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

struct Case {
    judge: Judge,
    ordinal: u32,
}

impl Case {
    fn new(elements: u64) -> Self {
        let problem = problem(elements);
        Case { judge: Judge::new(&problem, &problem.workloads[0]), ordinal: 0 }
    }

    fn seed(mut self, expected: &[f32], actual: &[f32]) -> Self {
        let seed = Seed::derive("double", "default", self.ordinal, "");
        self.ordinal += 1;
        self.judge.seed(seed, &[], &[&bytes(expected)], &[&bytes(actual)]).unwrap();
        self
    }

    fn repeat(mut self, expected: &[f32], actual: &[f32]) -> Self {
        self.judge.repeat(&[&bytes(expected)], &[&bytes(actual)]).unwrap();
        self
    }

    fn finish(self) -> WorkloadVerdict {
        self.judge.finish()
    }
}

#[test]
fn equal_outputs_are_correct() {
    let verdict = Case::new(2).seed(&[1.0, 2.0], &[1.0, 2.0]).repeat(&[1.0, 2.0], &[1.0, 2.0]).finish();
    assert_eq!(verdict.verdict, Verdict::Correct);
    assert_eq!(verdict.deterministic, Some(true));
    assert!(verdict.findings.is_empty());
    let report = verdict.to_report();
    assert!(report.passed && report.bitwise);
    assert_eq!(report.seeds.len(), 1);
}

#[test]
fn one_wrong_seed_is_enough() {
    let verdict = Case::new(2).seed(&[1.0, 2.0], &[1.0, 2.0]).seed(&[3.0, 4.0], &[3.0, 5.0]).finish();
    assert_eq!(verdict.verdict, Verdict::Incorrect);
    let sentence = verdict.findings[0].to_string();
    assert!(
        sentence.starts_with("1 of 2 elements of output `y` are outside the tolerance (atol"),
        "{sentence}"
    );
    assert!(sentence.ends_with("the worst: 5.0 instead of 4.0 at [1]"), "{sentence}");
    let mismatch = verdict.to_report().mismatch.unwrap();
    assert_eq!((mismatch.index, mismatch.wrong, mismatch.compared), (vec![1], 1, 2));
    assert_eq!(mismatch.seed, Seed::derive("double", "default", 1, "").number());
}

#[test]
fn holes_are_told_before_nan_and_nan_before_numbers() {
    let hole = f32::from_bits(u32::MAX);
    let verdict = Case::new(3).seed(&[1.0, 2.0, 3.0], &[hole, f32::NAN, 9.0]).finish();
    assert!(matches!(&verdict.findings[0], Finding::NeverWritten { unwritten: 1, .. }));
    let verdict = Case::new(2).seed(&[1.0, 2.0], &[f32::NAN, 9.0]).finish();
    assert!(matches!(&verdict.findings[0], Finding::NonFinite { nan: 1, infinite: 0, .. }));
    assert_eq!(verdict.verdict, Verdict::Incorrect);
}

#[test]
fn an_unsteady_kernel_is_correct_while_its_answers_are() {
    let close = 2.0f32.next_up();
    let verdict = Case::new(2).seed(&[1.0, 2.0], &[1.0, 2.0]).repeat(&[1.0, 2.0], &[1.0, close]).finish();
    assert_eq!((verdict.verdict, verdict.deterministic), (Verdict::Correct, Some(false)));
    assert_eq!(verdict.findings, [Finding::NotDeterministic { output: "y".into() }]);
    let verdict = Case::new(2).seed(&[1.0, 2.0], &[1.0, 2.0]).repeat(&[1.0, 2.0], &[1.0, 7.0]).finish();
    assert_eq!(verdict.verdict, Verdict::Incorrect);
    assert_eq!(verdict.to_report().seeds.len(), 1);
}

#[test]
fn a_problem_that_tells_nothing_is_invalid_even_for_a_right_answer() {
    let verdict = Case::new(2).seed(&[1.0, 1.0], &[1.0, 1.0]).seed(&[1.0, 1.0], &[1.0, 1.0]).finish();
    assert_eq!(verdict.verdict, Verdict::Invalid);
    let sentence = verdict.findings[0].to_string();
    assert_eq!(sentence, "the problem tells nothing on this workload: the constant 1 passes for output `y`");
}

#[test]
fn a_reference_that_contradicts_itself_makes_the_problem_invalid() {
    let mut case = Case::new(2).seed(&[1.0, 2.0], &[1.0, 2.0]);
    let (one, near, far) = (bytes(&[1.0, 2.0]), bytes(&[1.0, 2.0f32.next_up()]), bytes(&[0.0, 2.0]));
    case.judge.reference_repeat(&[&one], &[&near]).unwrap();
    case.judge.reference_repeat(&[&one], &[&far]).unwrap();
    let verdict = case.finish();
    assert_eq!(verdict.verdict, Verdict::Invalid);
    assert_eq!(verdict.findings, [Finding::ReferenceChanges { output: "y".into() }]);
}

#[test]
fn nothing_compared_is_nothing_proven() {
    assert_eq!(Case::new(2).finish().verdict, Verdict::Invalid);
}

#[test]
fn nan_on_both_sides_is_noted() {
    let verdict = Case::new(2).seed(&[f32::NAN, 2.0], &[f32::NAN, 2.0]).finish();
    assert_eq!(verdict.verdict, Verdict::Correct);
    assert_eq!(verdict.findings, [Finding::MatchingNan { output: "y".into(), elements: 1 }]);
}

#[test]
fn findings_have_stable_kinds() {
    let finding = Finding::NotDeterministic { output: "y".into() };
    let json = serde_json::to_value(finding).unwrap();
    assert_eq!(json, serde_json::json!({ "kind": "not-deterministic", "output": "y" }));
}
