//! How far an output may be from the expected one.
use crate::tensor::{DType, Element, TensorSpec, with_element};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a problem says about its tolerance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ToleranceSpec {
    /// From the element type and the reduction length.
    #[default]
    Auto,
    /// From the problem, see [`Overrides`].
    Given(Overrides),
}

/// The parts of a tolerance that a problem gives.
///
/// If it gives any of `atol`, `rtol` and `max_ulp`, those it leaves out are 0; if it gives none, they are as in
/// [`ToleranceSpec::Auto`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Absolute error.
    pub atol: Option<f64>,
    /// Error relative to the expected element.
    pub rtol: Option<f64>,
    /// Error in units in the last place.
    pub max_ulp: Option<u64>,
    /// Share of the elements that have to match; default 1.
    pub matched_ratio: Option<f64>,
    /// Largest absolute error of the elements that do not match; default: no limit.
    pub error_cap: Option<f64>,
}

/// A tolerance for one output. An element matches if `|actual − expected| ≤ atol + rtol · |expected|`, or if it is at
/// most `max_ulp` representable values away.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tolerance {
    /// Absolute error.
    pub atol: f64,
    /// Error relative to the expected element.
    pub rtol: f64,
    /// Error in units in the last place.
    pub max_ulp: u64,
    /// Share of the elements that have to match.
    pub matched_ratio: f64,
    /// Largest absolute error of the elements that do not match.
    pub error_cap: Option<f64>,
}

/// λ of the probabilistic error bound: a sum of K terms errs by at most λ·√K·u·Σ|terms| but with a probability of
/// 2·exp(−λ²/2), here 3·10⁻¹⁴ (Higham and Mary, *A New Approach to Probabilistic Rounding Error Analysis*, SIAM J. Sci.
/// Comput. 41(5), 2019, theorem 2.4). The worst case, K·u (Higham, *Accuracy and Stability of Numerical Algorithms*,
/// 2002, section 3.1), would let wrong kernels pass.
const LAMBDA: f64 = 8.0;

/// Roundings beside the sum's, in ε: elementary functions of up to 4 ULP each, and conversions, on both sides.
const ROUNDINGS: f64 = 8.0;

/// Terms that an axis which the output keeps is taken to sum at most: 65,536. In f32 that allows 2.5·10⁻⁴, less than
/// the 4.9·10⁻⁴ by which half precision rounds, and more than a plain sum of a million terms was seen to err.
const KEPT_AXIS: u64 = 1 << 16;
/// Elements looked at to estimate an output's scale.
const SCALE_SAMPLE: usize = 1 << 16;

impl Tolerance {
    /// Nothing but equality: for integers and booleans.
    pub const EXACT: Tolerance =
        Tolerance { atol: 0.0, rtol: 0.0, max_ulp: 0, matched_ratio: 1.0, error_cap: None };

    /// The tolerance for `dtype` when `reduction` terms are summed into an element, and elements are about `scale` large.
    ///
    /// Both sides err by λ·√K·u with u = ε/2, so they are λ·√K·ε apart. ε is that of the type sums are kept in: f32 for
    /// the 16-bit types. To that come 8 roundings in the type itself. Sums of terms that cancel err by their terms'
    /// size and not by their own, hence the absolute part: the same relative error of a typical element.
    pub fn auto(dtype: DType, reduction: u64, scale: f64) -> Tolerance {
        let Some(epsilon) = dtype.epsilon() else { return Tolerance::EXACT };
        let sum_epsilon = epsilon.min(f64::from(f32::EPSILON));
        let rtol = ROUNDINGS * epsilon + LAMBDA * (reduction.max(1) as f64).sqrt() * sum_epsilon;
        Tolerance { atol: rtol * scale, rtol, ..Tolerance::EXACT }
    }

    /// Whether a finite pair is near enough.
    pub(super) fn matches<E: Element>(&self, actual: E, expected: E) -> bool {
        actual.difference(expected) <= self.allowed(expected.to_f64())
            || (self.max_ulp > 0 && actual.steps_to(expected) <= self.max_ulp)
    }

    /// Largest absolute error at an expected value, `max_ulp` aside.
    pub(super) fn allowed(&self, expected: f64) -> f64 {
        self.atol + self.rtol * expected.abs()
    }
}

impl ToleranceSpec {
    /// The tolerance for one output of a workload, from its expected contents.
    pub fn resolve(&self, output: &TensorSpec, reduction: u64, expected: &[u8]) -> Tolerance {
        let auto = || Tolerance::auto(output.dtype, reduction, scale(output.dtype, expected));
        let ToleranceSpec::Given(given) = self else { return auto() };
        let base = match (given.atol, given.rtol, given.max_ulp) {
            (None, None, None) => auto(),
            (atol, rtol, max_ulp) => Tolerance {
                atol: atol.unwrap_or(0.0),
                rtol: rtol.unwrap_or(0.0),
                max_ulp: max_ulp.unwrap_or(0),
                ..Tolerance::EXACT
            },
        };
        Tolerance { matched_ratio: given.matched_ratio.unwrap_or(1.0), error_cap: given.error_cap, ..base }
    }
}

/// How many terms the reference may sum into one output element, from the shapes alone, which is all a problem tells.
///
/// For an input whose shape an output keeps (elementwise, softmax, norms) the longest axis, but no more than
/// 65,536 terms: such an axis may be summed over or not, and a tolerance for a sum of millions would pass half
/// precision where nothing is summed. For any other input the larger of its longest axis, it without that axis
/// (matrix products and convolutions), and all of it over all of the outputs (sums of everything). A larger true
/// length than this makes the tolerance too tight, and the problem has to give its own.
pub fn reduction_length(inputs: &[TensorSpec], outputs: &[TensorSpec]) -> u64 {
    let given = outputs.iter().map(TensorSpec::elements).max().unwrap_or(1).max(1);
    let of_input = |input: &TensorSpec| {
        let longest = input.shape.iter().copied().max().unwrap_or(1).max(1);
        let kept = outputs.iter().any(|output| output.shape == input.shape);
        let square = input.shape.len() > 1 && input.shape.iter().all(|size| *size == longest);
        match kept && !square {
            true => longest.min(KEPT_AXIS),
            false => longest.max(input.elements() / longest).max(input.elements() / given),
        }
    };
    inputs.iter().map(of_input).max().unwrap_or(1).max(1)
}

/// The median magnitude of the finite elements that are not zero: a few huge ones (the −10⁹ of a mask) must not widen
/// the tolerance of all. Zero when there is none.
fn scale(dtype: DType, expected: &[u8]) -> f64 {
    with_element!(dtype, E => {
        let elements = expected.len() / E::BYTES;
        let stride = elements.div_ceil(SCALE_SAMPLE).max(1);
        let magnitude = |bytes| E::read(bytes).to_f64().abs();
        let mut sample: Vec<f64> = expected
            .chunks_exact(E::BYTES)
            .step_by(stride)
            .map(magnitude)
            .filter(|m| m.is_finite() && *m > 0.0)
            .collect();
        let middle = sample.len() / 2;
        if sample.is_empty() { 0.0 } else { *sample.select_nth_unstable_by(middle, f64::total_cmp).1 }
    })
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.atol == 0.0 && self.rtol == 0.0 && self.max_ulp == 0 {
            f.write_str("exact")?;
        } else {
            write!(f, "atol {:.2e}, rtol {:.2e}", self.atol, self.rtol)?;
            if self.max_ulp > 0 {
                write!(f, ", or {} ULP", self.max_ulp)?;
            }
        }
        if self.matched_ratio < 1.0 {
            write!(f, ", for {} % of the elements", self.matched_ratio * 100.0)?;
        }
        match self.error_cap {
            Some(cap) => write!(f, ", never more than {cap:.2e}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(dtype: DType, shape: &[u64]) -> TensorSpec {
        TensorSpec { name: "x".into(), dtype, shape: shape.to_vec() }
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn longer_sums_and_shorter_types_err_more() {
        let rtol = |dtype, k| Tolerance::auto(dtype, k, 1.0).rtol;
        assert!(rtol(DType::F32, 1) < rtol(DType::F32, 4096));
        assert!(rtol(DType::F32, 4096) < 1e-4);
        assert!(rtol(DType::F64, 4096) < 1e-12);
        assert!(rtol(DType::F16, 4096) < 1e-2);
        assert!(rtol(DType::F16, 4096) < rtol(DType::BF16, 4096));
        assert_eq!(Tolerance::auto(DType::I32, 4096, 1.0), Tolerance::EXACT);
    }

    #[test]
    fn the_reduction_length_comes_from_the_shapes() {
        let f32s = |shape: &[u64]| spec(DType::F32, shape);
        assert_eq!(reduction_length(&[f32s(&[4, 1024])], &[f32s(&[4, 1024])]), 1024);
        assert_eq!(reduction_length(&[f32s(&[8, 512]), f32s(&[512, 8])], &[f32s(&[8, 8])]), 512);
        assert_eq!(reduction_length(&[f32s(&[1000, 1000])], &[f32s(&[])]), 1_000_000);
        assert_eq!(reduction_length(&[f32s(&[64, 64, 3, 3])], &[f32s(&[1, 64, 28, 28])]), 576);
        assert_eq!(reduction_length(&[], &[f32s(&[8])]), 1);
    }

    #[test]
    fn the_scale_is_the_typical_magnitude() {
        assert_eq!(scale(DType::F32, &bytes(&[0.0, -2.0, 2.0, f32::NAN, -1e9])), 2.0);
        assert_eq!(scale(DType::F32, &bytes(&[0.0, f32::INFINITY])), 0.0);
    }

    #[test]
    fn what_is_given_replaces_what_is_not() {
        let resolve = |given| ToleranceSpec::Given(given).resolve(&spec(DType::F32, &[1]), 4, &bytes(&[1.0]));
        let given = resolve(Overrides { rtol: Some(0.5), ..Overrides::default() });
        assert_eq!((given.atol, given.rtol, given.matched_ratio), (0.0, 0.5, 1.0));
        let auto =
            resolve(Overrides { matched_ratio: Some(0.9), error_cap: Some(1.0), ..Overrides::default() });
        assert!(auto.rtol > 0.0 && auto.matched_ratio == 0.9);
        assert_eq!(
            auto.to_string(),
            "atol 2.86e-6, rtol 2.86e-6, for 90 % of the elements, never more than 1.00e0"
        );
    }
}
