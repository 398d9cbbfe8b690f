//! Whether a problem can tell an answer from none.
//!
//! Where zeros, one constant, or an input passed on would be within the tolerance for every seed, passing says nothing,
//! and the problem is invalid.
use super::{POISON, Tolerance, compare};
use crate::tensor::{Element, TensorSpec, with_element};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An answer without work that passes for an output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Trivial {
    /// All zeros pass.
    #[error("zeros pass for output `{output}`")]
    Zeros {
        /// The output.
        output: String,
    },
    /// One value everywhere passes.
    #[error("the constant {value} passes for output `{output}`")]
    Constant {
        /// The output.
        output: String,
        /// Such a value.
        value: f64,
    },
    /// An input handed back passes.
    #[error("the input `{input}` itself passes for output `{output}`")]
    Input {
        /// The output.
        output: String,
        /// The input.
        input: String,
    },
    /// The reference gives NaN or infinity everywhere.
    #[error("no expected element of output `{output}` is finite")]
    NoFinite {
        /// The output.
        output: String,
    },
}

/// Which answers without work still pass for one output, narrowed seed by seed.
#[derive(Debug)]
pub(super) struct Suspects {
    output: TensorSpec,
    zeros: bool,
    /// The constants that pass; empty when `low > high`.
    constants: (f64, f64),
    /// Position and name of the inputs of the output's type and shape.
    inputs: Vec<(usize, String)>,
    finite: bool,
    seeds: u64,
}

impl Suspects {
    pub(super) fn new(output: &TensorSpec, inputs: &[TensorSpec]) -> Self {
        let alike = |input: &TensorSpec| input.dtype == output.dtype && input.shape == output.shape;
        let inputs = inputs.iter().enumerate().filter(|(_, input)| alike(input));
        Suspects {
            output: output.clone(),
            zeros: true,
            constants: (f64::NEG_INFINITY, f64::INFINITY),
            inputs: inputs.map(|(position, input)| (position, input.name.clone())).collect(),
            finite: false,
            seeds: 0,
        }
    }

    /// Drops the suspects that would not pass for this seed.
    pub(super) fn observe(&mut self, inputs: &[&[u8]], expected: &[u8], tolerance: &Tolerance) {
        self.seeds += 1;
        if self.zeros {
            self.zeros = passes(&self.output, &vec![0; expected.len()], expected, tolerance);
        }
        let output = &self.output;
        self.inputs.retain(|(position, _)| {
            inputs.get(*position).is_some_and(|input| passes(output, input, expected, tolerance))
        });
        with_element!(self.output.dtype, E => self.narrow_constants::<E>(expected, tolerance));
    }

    /// A constant passes if it lies in every element's interval. One that passes for a share of the elements only,
    /// where that is enough, is not looked for.
    fn narrow_constants<E: Element>(&mut self, expected: &[u8], tolerance: &Tolerance) {
        let (mut low, mut high) = self.constants;
        let ulp = self.output.dtype.epsilon().unwrap_or(0.0) / 2.0;
        for bytes in expected.chunks_exact(E::BYTES) {
            let value = E::read(bytes).to_f64();
            if !value.is_finite() {
                high = f64::NEG_INFINITY;
                continue;
            }
            self.finite = true;
            let allowed = tolerance.allowed(value).max(tolerance.max_ulp as f64 * ulp * value.abs());
            low = low.max(value - allowed);
            high = high.min(value + allowed);
            if low > high {
                break;
            }
        }
        self.constants = (low, high);
    }

    /// The answer that passed for every seed, if one did.
    pub(super) fn found(&self) -> Option<Trivial> {
        let output = self.output.name.clone();
        let (low, high) = self.constants;
        // One number, seen once, is of course matched by itself.
        let telling = self.seeds > 1 || self.output.elements() > 1;
        if self.seeds == 0 {
            None
        } else if self.zeros {
            Some(Trivial::Zeros { output })
        } else if !self.finite {
            Some(Trivial::NoFinite { output })
        } else if let Some((_, input)) = self.inputs.first() {
            Some(Trivial::Input { output, input: input.clone() })
        } else if low <= high && telling {
            Some(Trivial::Constant { output, value: low + (high - low) / 2.0 })
        } else {
            None
        }
    }
}

fn passes(output: &TensorSpec, answer: &[u8], expected: &[u8], tolerance: &Tolerance) -> bool {
    let strict = tolerance.matched_ratio >= 1.0;
    if strict && with_element!(output.dtype, E => differs_early::<E>(answer, expected, tolerance)) {
        return false;
    }
    compare(output, answer, expected, *tolerance, POISON).is_ok_and(|comparison| comparison.passed)
}

/// Whether one of the first elements is out of tolerance already, which spares the full comparison.
fn differs_early<E: Element>(answer: &[u8], expected: &[u8], tolerance: &Tolerance) -> bool {
    const ENOUGH: usize = 4096;
    let read = |bytes: &[u8]| E::read(bytes);
    answer.chunks_exact(E::BYTES).zip(expected.chunks_exact(E::BYTES)).take(ENOUGH).any(|(a, e)| {
        let (a, e) = (read(a), read(e));
        a.to_f64().is_finite() && e.to_f64().is_finite() && !tolerance.matches(a, e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::DType;

    fn spec(name: &str, elements: u64) -> TensorSpec {
        TensorSpec { name: name.into(), dtype: DType::F32, shape: vec![elements] }
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    const ATOL: Tolerance = Tolerance { atol: 0.1, ..Tolerance::EXACT };

    fn found(seeds: &[(&[f32], &[f32])]) -> Option<Trivial> {
        let elements = seeds[0].1.len() as u64;
        let mut suspects = Suspects::new(&spec("y", elements), &[spec("x", seeds[0].0.len() as u64)]);
        for (input, expected) in seeds {
            suspects.observe(&[&bytes(input)], &bytes(expected), &ATOL);
        }
        suspects.found()
    }

    #[test]
    fn a_tolerance_above_the_output_lets_zeros_pass() {
        assert_eq!(found(&[(&[5.0, 5.0], &[0.05, -0.05])]), Some(Trivial::Zeros { output: "y".into() }));
    }

    #[test]
    fn outputs_near_one_value_let_a_constant_pass() {
        let constant = found(&[(&[5.0, 5.0], &[1.0, 1.1])]);
        assert!(matches!(constant, Some(Trivial::Constant { value, .. }) if (value - 1.05).abs() < 1e-6));
    }

    #[test]
    fn a_constant_has_to_pass_for_every_seed() {
        assert_eq!(found(&[(&[5.0, 5.0], &[1.0, 1.1]), (&[5.0, 5.0], &[2.0, 2.1])]), None);
    }

    #[test]
    fn one_number_seen_once_is_no_constant() {
        assert_eq!(found(&[(&[5.0], &[1.0])]), None);
        assert!(found(&[(&[5.0], &[1.0]), (&[6.0], &[1.0])]).is_some());
    }

    #[test]
    fn the_input_itself_is_noticed() {
        let trivial = Trivial::Input { output: "y".into(), input: "x".into() };
        assert_eq!(found(&[(&[1.0, 2.0], &[1.0, 2.05])]), Some(trivial));
        assert_eq!(found(&[(&[1.0, 2.0, 3.0], &[1.0, 2.0])]), None, "another shape");
    }

    #[test]
    fn nan_everywhere_tells_nothing_but_nan_somewhere_does() {
        assert_eq!(found(&[(&[1.0, 1.0], &[f32::NAN; 2])]), Some(Trivial::NoFinite { output: "y".into() }));
        assert_eq!(found(&[(&[5.0, 5.0], &[f32::NAN, 1.0])]), None);
    }
}
