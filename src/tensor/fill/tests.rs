use super::*;

fn spec(dtype: DType, shape: &[u64]) -> TensorSpec {
    TensorSpec { name: "x".into(), dtype, shape: shape.to_vec() }
}

fn filled<E: Element>(spec: &TensorSpec, init: Init, ordinal: u32) -> Vec<f64> {
    let mut bytes = vec![0; spec.bytes()];
    fill(&mut bytes, spec, &init, Seed::derive("p", "w", ordinal, "")).expect("fills");
    bytes.chunks_exact(E::BYTES).map(|b| E::read(b).to_f64()).collect()
}

const NORMAL: Init = Init::Normal { mean: 1.0, std: 2.0 };

#[test]
fn the_same_seed_gives_the_same_bytes_and_others_differ() {
    let spec = spec(DType::F32, &[8, 8]);
    assert_eq!(filled::<f32>(&spec, NORMAL, 0), filled::<f32>(&spec, NORMAL, 0));
    assert_ne!(filled::<f32>(&spec, NORMAL, 0), filled::<f32>(&spec, NORMAL, 1));
}

#[test]
fn inputs_of_one_seed_are_independent() {
    let x = spec(DType::F32, &[8]);
    let y = TensorSpec { name: "y".into(), ..x.clone() };
    assert_ne!(filled::<f32>(&x, NORMAL, 0), filled::<f32>(&y, NORMAL, 0));
}

/// Pins the stream: a change here changes every recorded verdict's inputs.
#[test]
fn the_stream_is_pinned() {
    let values = filled::<f32>(&spec(DType::F32, &[3]), NORMAL, 0);
    assert_eq!(values, [2.4723193645477295, -1.0692634582519531, 0.9056949615478516]);
}

#[test]
fn a_normal_has_its_mean_and_deviation() {
    let values = filled::<f64>(&spec(DType::F64, &[20_000]), NORMAL, 0);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
    assert!((mean - 1.0).abs() < 0.06, "mean {mean}");
    assert!((variance.sqrt() - 2.0).abs() < 0.06, "deviation {}", variance.sqrt());
}

#[test]
fn whole_numbers_stay_in_their_range_and_reach_its_ends() {
    let values = filled::<i32>(&spec(DType::I32, &[1000]), Init::Uniform { low: -2.0, high: 3.0 }, 0);
    assert_eq!(values.iter().copied().fold(f64::INFINITY, f64::min), -2.0);
    assert_eq!(values.iter().copied().fold(f64::NEG_INFINITY, f64::max), 2.0);
}

#[test]
fn each_row_is_permuted_by_itself() {
    let values = filled::<i64>(&spec(DType::I64, &[2, 50]), Init::Permutation, 0);
    let (first, second) = values.split_at(50);
    assert_ne!(first, second);
    for row in [first, second] {
        let mut sorted = row.to_vec();
        sorted.sort_by(f64::total_cmp);
        assert_eq!(sorted, (0..50).map(f64::from).collect::<Vec<_>>());
    }
}

#[test]
fn arange_and_scalars() {
    assert_eq!(
        filled::<f32>(&spec(DType::F32, &[3]), Init::Arange { start: 1.0, step: 0.5 }, 0),
        [1.0, 1.5, 2.0]
    );
    assert_eq!(filled::<half::bf16>(&spec(DType::BF16, &[]), Init::Constant { value: 2.0 }, 0), [2.0]);
}

#[test]
fn empty_tensors_fill() {
    assert!(filled::<i32>(&spec(DType::I32, &[4, 0]), Init::Permutation, 0).is_empty());
}

#[test]
fn what_does_not_fit_the_type_is_refused() {
    let bytes = spec(DType::U8, &[300]);
    let out_of_range = Init::Arange { start: 0.0, step: 1.0 }.check(&bytes);
    assert_eq!(out_of_range, Err(FillError::OutOfRange { value: 299.0, dtype: DType::U8 }));
    assert!(NORMAL.check(&bytes).is_err());
    assert!(Init::Uniform { low: 1.0, high: 1.0 }.check(&bytes).is_err());
    assert!(Init::Bernoulli { p: 1.5 }.check(&bytes).is_err());
    assert!(Init::Permutation.check(&spec(DType::I32, &[])).is_err());
}

#[test]
fn what_would_be_another_value_in_the_type_is_refused() {
    let lost = |dtype, init: Init| {
        let refused = init.check(&spec(dtype, &[5000]));
        assert!(matches!(refused, Err(FillError::OutOfRange { .. })), "{init:?} of {dtype}: {refused:?}");
    };
    lost(DType::I32, Init::Constant { value: 1.7 });
    lost(DType::I32, Init::Constant { value: f64::NAN });
    lost(DType::I64, Init::Arange { start: 0.0, step: 0.5 });
    lost(DType::F16, Init::Constant { value: 1e6 });
    lost(DType::F32, Init::Arange { start: 0.0, step: 1e38 });
    lost(DType::F16, Init::Permutation);
    lost(DType::BF16, Init::Uniform { low: 1.001, high: 1.002 });
    for (dtype, exact) in [(DType::F16, 2049), (DType::BF16, 257), (DType::F32, 5000)] {
        assert_eq!(Init::Permutation.check(&spec(dtype, &[3, exact])), Ok(()));
    }
    // Asked for by name, as masks do.
    let infinite = Init::Constant { value: f64::NEG_INFINITY };
    assert_eq!(infinite.check(&spec(DType::F16, &[2])), Ok(()));
}

#[test]
fn a_uniform_never_reaches_its_end() {
    let values = filled::<half::f16>(&spec(DType::F16, &[200_000]), Init::Uniform { low: 0.0, high: 1.0 }, 0);
    let top = values.iter().copied().fold(0.0, f64::max);
    assert_eq!(top, 1.0 - half::f16::EPSILON.to_f64() / 2.0);
}

#[test]
fn every_kind_can_be_made() {
    for kind in InitKind::ALL {
        let values: Vec<f64> = kind.parameters.iter().map(|(_, default)| default.unwrap_or(0.5)).collect();
        assert!(kind.with(&values).is_some(), "{}", kind.name);
    }
}
