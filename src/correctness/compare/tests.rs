use super::super::POISON;
use super::*;

fn spec(dtype: DType, shape: &[u64]) -> TensorSpec {
    TensorSpec { name: "y".into(), dtype, shape: shape.to_vec() }
}

fn bytes<E: Element>(values: &[E]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * E::BYTES];
    for (value, slot) in values.iter().zip(bytes.chunks_exact_mut(E::BYTES)) {
        value.write(slot);
    }
    bytes
}

fn floats(actual: &[f32], expected: &[f32], tolerance: Tolerance) -> Comparison {
    let spec = spec(DType::F32, &[actual.len() as u64]);
    compare(&spec, &bytes(actual), &bytes(expected), tolerance, POISON).expect("sizes agree")
}

const LOOSE: Tolerance = Tolerance { atol: 0.01, ..Tolerance::EXACT };
const POISONED: f32 = f32::from_bits(u32::MAX);

#[test]
fn equal_bits_pass_an_exact_tolerance() {
    let found = floats(&[1.0, -2.0], &[1.0, -2.0], Tolerance::EXACT);
    assert!(found.bitwise && found.passed);
    assert_eq!((found.max_ulp, found.max_abs), (0, 0.0));
}

#[test]
fn errors_are_measured_within_the_tolerance_too() {
    let next = f32::from_bits(1.0f32.to_bits() + 3);
    let found = floats(&[next, 4.0], &[1.0, 4.0], LOOSE);
    assert!(found.passed && !found.bitwise);
    assert_eq!(found.max_ulp, 3);
    assert_eq!(found.max_rel, found.max_abs);
    assert_eq!(found.first, None);
}

#[test]
fn the_first_and_the_worst_element_are_named() {
    let spec = spec(DType::F32, &[2, 2]);
    let found =
        compare(&spec, &bytes(&[0.0f32, 1.5, 0.0, 9.0]), &bytes(&[0.0f32, 1.0, 0.0, 1.0]), LOOSE, POISON);
    let found = found.expect("sizes agree");
    assert_eq!(found.mismatched, 2);
    let first = Mismatch { index: vec![0, 1], actual: "1.5".into(), expected: "1.0".into() };
    assert_eq!(found.first, Some(first));
    assert_eq!(found.worst.map(|worst| worst.index), Some(vec![1, 1]));
}

#[test]
fn nan_matches_nan_and_nothing_else() {
    let found = floats(&[f32::NAN, 1.0], &[f32::NAN, 1.0], LOOSE);
    assert!(found.passed);
    assert_eq!(found.matching_nans, 1);
    let other_payload = f32::from_bits(0x7FC0_0001);
    assert!(floats(&[other_payload], &[f32::NAN], LOOSE).passed);
    for (actual, expected) in [(f32::NAN, 1.0), (1.0, f32::NAN), (f32::NAN, f32::INFINITY)] {
        let found = floats(&[actual], &[expected], Tolerance { atol: f64::INFINITY, ..LOOSE });
        assert!(!found.passed, "{actual} against {expected}");
        assert_eq!(found.nan_mismatches, 1);
    }
}

#[test]
fn infinities_match_by_sign() {
    assert!(floats(&[f32::INFINITY], &[f32::INFINITY], LOOSE).passed);
    for (actual, expected) in [(f32::INFINITY, 1.0), (1.0, f32::INFINITY), (f32::NEG_INFINITY, f32::INFINITY)]
    {
        let found = floats(&[actual], &[expected], Tolerance { rtol: 1.0, ..LOOSE });
        assert!(!found.passed, "{actual} against {expected}");
        assert_eq!(found.infinity_mismatches, 1);
    }
}

#[test]
fn poison_left_over_is_told_from_nan() {
    let found = floats(&[POISONED, f32::NAN], &[1.0, 1.0], LOOSE);
    assert_eq!((found.unwritten, found.nan_mismatches), (1, 1));
    assert!(!floats(&[POISONED], &[f32::NAN], LOOSE).passed, "a hole where the reference has NaN");
    let spec = spec(DType::I32, &[2]);
    let found = compare(&spec, &bytes(&[-1i32, -1]), &bytes(&[-1i32, 5]), Tolerance::EXACT, POISON)
        .expect("sizes agree");
    assert_eq!(found.unwritten, 1);
}

/// In 8 and 16 bits the poison is a number like any other.
#[test]
fn an_answer_that_looks_like_poison_is_none() {
    let found = |dtype, actual: &[u8], expected: &[u8], tolerance, poison| {
        let elements = (actual.len() / spec(dtype, &[1]).bytes()) as u64;
        compare(&spec(dtype, &[elements]), actual, expected, tolerance, poison).expect("sizes agree")
    };
    let one_off = Tolerance { atol: 1.0, ..Tolerance::EXACT };
    for poison in [POISON, OTHER_POISON] {
        assert!(found(DType::U8, &[0x5A, 0xFF], &[0x5B, 0xFE], one_off, poison).passed);
        let f16 = |bits: u16| bits.to_le_bytes();
        let one_ulp = Tolerance { max_ulp: 1, ..Tolerance::EXACT };
        assert!(found(DType::F16, &f16(0x5A5A), &f16(0x5A5B), one_ulp, poison).passed);
    }
    let half = Tolerance { matched_ratio: 0.5, ..Tolerance::EXACT };
    let minus_one = found(DType::I8, &[0xFF, 7], &[0, 7], half, POISON);
    assert!(minus_one.passed && minus_one.unwritten == 0);
    let hole = found(DType::I8, &[0x5A, 7], &[0, 7], half, OTHER_POISON);
    assert!(!hole.passed && hole.unwritten == 1);
    // Not this run's poison.
    assert!(found(DType::I32, &[0x5A; 8], &[[0; 4], [0x5A; 4]].concat(), half, POISON).passed);
    assert_eq!(found(DType::BF16, &[0xFF; 2], &[0; 2], one_off, POISON).unwritten, 1, "NaN");
}

#[test]
fn a_ratio_forgives_errors_up_to_its_cap_but_no_nan() {
    let lenient = Tolerance { matched_ratio: 0.5, error_cap: Some(2.0), ..LOOSE };
    assert!(floats(&[1.0, 2.0], &[1.0, 1.0], lenient).passed);
    assert!(!floats(&[1.0, 4.0], &[1.0, 1.0], lenient).passed, "past the cap");
    assert!(!floats(&[2.0, 2.0, 1.0], &[1.0, 1.0, 1.0], lenient).passed, "below the ratio");
    assert!(!floats(&[1.0, f32::NAN], &[1.0, 1.0], lenient).passed, "NaN");
}

#[test]
fn zeros_of_either_sign_match() {
    let found = floats(&[-0.0], &[0.0], Tolerance::EXACT);
    assert!(found.passed && !found.bitwise);
}

#[test]
fn steps_can_be_the_tolerance() {
    let next = f32::from_bits(1.0f32.to_bits() + 2);
    assert!(floats(&[next], &[1.0], Tolerance { max_ulp: 2, ..Tolerance::EXACT }).passed);
    assert!(!floats(&[next], &[1.0], Tolerance { max_ulp: 1, ..Tolerance::EXACT }).passed);
}

#[test]
fn wide_integers_are_exact() {
    let spec = spec(DType::I64, &[]);
    let (actual, expected) = ((1i64 << 60) + 1, 1i64 << 60);
    let found = compare(&spec, &bytes(&[actual]), &bytes(&[expected]), Tolerance::EXACT, POISON)
        .expect("sizes agree");
    assert!(!found.passed);
    let first = found.first.expect("a mismatch");
    assert_eq!((first.index, first.actual.as_str()), (vec![], "1152921504606846977"));
}

#[test]
fn booleans_are_zero_or_one() {
    let spec = spec(DType::Bool, &[1]);
    let found = compare(&spec, &[2], &[1], Tolerance::EXACT, POISON).expect("sizes agree");
    assert!(!found.passed);
    assert_eq!(found.first.map(|m| m.actual), Some("neither false nor true, but the byte 2".into()));
}

#[test]
fn sizes_have_to_agree_and_empty_outputs_pass() {
    assert!(compare(&spec(DType::F32, &[2]), &[0; 8], &[0; 4], LOOSE, POISON).is_err());
    assert!(compare(&spec(DType::F32, &[0]), &[], &[], LOOSE, POISON).expect("sizes agree").passed);
}
