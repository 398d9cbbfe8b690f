//! Input contents: deterministic, from a seed.
use super::{DType, Element, Seed, TensorSpec, with_element};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an input is filled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Init {
    /// Normally distributed.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Uniform in `low..high`: real numbers for floating point, whole numbers for integers, so that `0..N` draws indices.
    Uniform {
        /// Smallest value.
        low: f64,
        /// The value that is not reached.
        high: f64,
    },
    /// One value everywhere.
    Constant {
        /// The value.
        value: f64,
    },
    /// `start + i · step` in row-major order.
    Arange {
        /// The first value.
        start: f64,
        /// The distance of neighbours.
        step: f64,
    },
    /// Along the last axis, a random permutation of `0..extent`.
    Permutation,
    /// 1 with this probability, else 0.
    Bernoulli {
        /// Probability of 1.
        p: f64,
    },
}

/// The kinds a problem file can name, with their parameters and defaults.
#[derive(Clone, Copy, Debug)]
pub struct InitKind {
    /// The value of `kind`.
    pub name: &'static str,
    /// Parameters; one without a default has to be given.
    pub parameters: &'static [(&'static str, Option<f64>)],
}

impl InitKind {
    /// Every kind.
    pub const ALL: [InitKind; 8] = [
        InitKind { name: "normal", parameters: &[("mean", Some(0.0)), ("std", Some(1.0))] },
        InitKind { name: "uniform", parameters: &[("low", Some(0.0)), ("high", Some(1.0))] },
        InitKind { name: "constant", parameters: &[("value", None)] },
        InitKind { name: "arange", parameters: &[("start", Some(0.0)), ("step", Some(1.0))] },
        InitKind { name: "zeros", parameters: &[] },
        InitKind { name: "ones", parameters: &[] },
        InitKind { name: "permutation", parameters: &[] },
        InitKind { name: "bernoulli", parameters: &[("p", Some(0.5))] },
    ];

    /// The initialiser of this kind; `values` are its parameters in the order of [`Self::parameters`].
    pub fn with(&self, values: &[f64]) -> Option<Init> {
        Some(match (self.name, values) {
            ("normal", &[mean, std]) => Init::Normal { mean, std },
            ("uniform", &[low, high]) => Init::Uniform { low, high },
            ("constant", &[value]) => Init::Constant { value },
            ("arange", &[start, step]) => Init::Arange { start, step },
            ("zeros", &[]) => Init::Constant { value: 0.0 },
            ("ones", &[]) => Init::Constant { value: 1.0 },
            ("permutation", &[]) => Init::Permutation,
            ("bernoulli", &[p]) => Init::Bernoulli { p },
            _ => return None,
        })
    }
}

/// Why an initialiser does not suit a tensor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FillError {
    /// The buffer is not the tensor's.
    #[error("`{name}` takes {expected} bytes, its buffer has {found}")]
    Size {
        /// The tensor.
        name: String,
        /// Bytes it takes.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A value cannot be an element.
    #[error("{value} is not a value of {dtype}")]
    OutOfRange {
        /// The value.
        value: f64,
        /// The element type.
        dtype: DType,
    },
    /// A parameter makes no distribution.
    #[error("{0}")]
    Parameter(String),
}

impl Init {
    /// What an input without `init` gets: a standard normal for floating point, fair coins for booleans.
    /// Integers have no default, for what they index or count is the problem's to say.
    pub fn default_for(dtype: DType) -> Option<Init> {
        match dtype {
            DType::Bool => Some(Init::Bernoulli { p: 0.5 }),
            _ if dtype.is_float() => Some(Init::Normal { mean: 0.0, std: 1.0 }),
            _ => None,
        }
    }

    /// Whether every value this gives for `spec` is an element of its type.
    pub fn check(&self, spec: &TensorSpec) -> Result<(), FillError> {
        let parameter = |message: String| Err(FillError::Parameter(message));
        match *self {
            Init::Normal { std, .. } if std < 0.0 => return parameter(format!("std = {std} is negative")),
            Init::Normal { .. } if !spec.dtype.is_float() => {
                return parameter(format!(
                    "a normal distribution has no {} values; use `uniform`",
                    spec.dtype
                ));
            }
            Init::Uniform { low, high } if low >= high => {
                return parameter(format!("the range {low}..{high} is empty"));
            }
            Init::Permutation if spec.shape.is_empty() => {
                return parameter("a scalar has no axis to permute".into());
            }
            Init::Bernoulli { p } if !(0.0..=1.0).contains(&p) => {
                return parameter(format!("p = {p} is not a probability"));
            }
            _ => {}
        }
        if let Some(value) = with_element!(spec.dtype, E => self.lost::<E>(spec)) {
            return Err(FillError::OutOfRange { value, dtype: spec.dtype });
        }
        let Some((smallest, largest)) = spec.dtype.integer_range() else { return Ok(()) };
        match self.extremes(spec).into_iter().find(|v| !(smallest as f64..=largest as f64).contains(v)) {
            Some(value) => Err(FillError::OutOfRange { value, dtype: spec.dtype }),
            None => Ok(()),
        }
    }

    /// A value that would be another one in the tensor: a fraction among integers, a finite number beyond the type's, a
    /// place in a permutation that the type has not, or all of a range.
    fn lost<E: Element>(&self, spec: &TensorSpec) -> Option<f64> {
        let stored = |value: f64| E::from_f64(value).to_f64();
        let whole = !spec.dtype.is_float();
        match *self {
            Init::Constant { value } if whole && value.fract() != 0.0 => return Some(value),
            Init::Arange { start, step } if whole => {
                return [start, step].into_iter().find(|value| value.fract() != 0.0);
            }
            Init::Uniform { low, high } if E::below(high).to_f64() < low => return Some(low),
            // Beyond the type's exact integers one of two neighbours is lost.
            Init::Permutation => {
                let [_, last] = self.extremes(spec);
                return [last - 1.0, last].into_iter().find(|place| *place > 0.0 && stored(*place) != *place);
            }
            _ => {}
        }
        self.extremes(spec).into_iter().find(|value| value.is_finite() && !stored(*value).is_finite())
    }

    /// The smallest and largest value that can come up, in no order; of integers for a uniform distribution.
    fn extremes(&self, spec: &TensorSpec) -> [f64; 2] {
        let last = |extent: u64| extent.saturating_sub(1) as f64;
        match *self {
            Init::Normal { mean, .. } => [mean, mean],
            Init::Uniform { low, high } => [low, high - 1.0],
            Init::Constant { value } => [value, value],
            Init::Arange { start, step } => [start, start + last(spec.elements()) * step],
            Init::Permutation => [0.0, last(spec.shape.last().copied().unwrap_or(0))],
            Init::Bernoulli { .. } => [0.0, 1.0],
        }
    }
}

/// Fills `bytes`, the tensor `spec`, by `init` from `seed`; the same arguments give the same bytes everywhere.
///
/// # Errors
/// When the buffer has another size than the tensor, or the initialiser does not suit it.
pub fn fill(bytes: &mut [u8], spec: &TensorSpec, init: &Init, seed: Seed) -> Result<(), FillError> {
    init.check(spec)?;
    if spec.bytes() != bytes.len() {
        return Err(FillError::Size { name: spec.name.clone(), expected: spec.bytes(), found: bytes.len() });
    }
    let generator = seed.generator(&spec.name);
    with_element!(spec.dtype, E => fill_elements::<E>(bytes, spec, init, &generator));
    Ok(())
}

/// Elements that share one stream of random numbers. Streams do not depend on how many threads there are, so neither
/// do contents.
const BLOCK: usize = 1 << 16;

fn fill_elements<E: Element>(bytes: &mut [u8], spec: &TensorSpec, init: &Init, generator: &ChaCha8Rng) {
    let whole = !spec.dtype.is_float();
    match *init {
        Init::Normal { mean, std } => write_each::<E>(bytes, generator, |_, rng| {
            let normal: f64 = StandardNormal.sample(rng);
            mean + std * normal
        }),
        Init::Uniform { low, high } => {
            // What is just below the end may round to it.
            let last = E::below(high).to_f64();
            write_each::<E>(bytes, generator, |_, rng| {
                let unit: f64 = StandardUniform.sample(rng);
                let value = low + (high - low) * unit;
                (if whole { value.floor() } else { value }).min(last)
            });
        }
        Init::Constant { value } => write_each::<E>(bytes, generator, |_, _| value),
        Init::Arange { start, step } => {
            write_each::<E>(bytes, generator, |i, _| start + i as f64 * step);
        }
        Init::Permutation => {
            let row = spec.shape.last().copied().unwrap_or(1) as usize;
            in_blocks(bytes, row * E::BYTES, generator, |_, row, rng| {
                let order = permutation(row.len() / E::BYTES, rng);
                write_block::<E>(row, |i| order[i] as f64);
            });
        }
        Init::Bernoulli { p } => write_each::<E>(bytes, generator, |_, rng| {
            let unit: f64 = StandardUniform.sample(rng);
            if unit < p { 1.0 } else { 0.0 }
        }),
    }
}

/// Writes each element's value, which may depend on its position and on random numbers.
fn write_each<E: Element>(
    bytes: &mut [u8],
    generator: &ChaCha8Rng,
    value: impl Fn(usize, &mut ChaCha8Rng) -> f64 + Sync,
) {
    in_blocks(bytes, BLOCK * E::BYTES, generator, |number, block, rng| {
        write_block::<E>(block, |i| value(number * BLOCK + i, rng));
    });
}

fn write_block<E: Element>(block: &mut [u8], mut value: impl FnMut(usize) -> f64) {
    for (i, slot) in block.chunks_exact_mut(E::BYTES).enumerate() {
        E::from_f64(value(i)).write(slot);
    }
}

/// Hands out blocks of `size` bytes to all cores, each with its number and with a stream of its own.
fn in_blocks(
    bytes: &mut [u8],
    size: usize,
    generator: &ChaCha8Rng,
    fill: impl Fn(usize, &mut [u8], &mut ChaCha8Rng) + Sync,
) {
    bytes.par_chunks_mut(size.max(1)).enumerate().for_each(|(number, block)| {
        let mut rng = generator.clone();
        rng.set_stream(number as u64);
        fill(number, block, &mut rng);
    });
}

/// Fisher and Yates' shuffle of `0..length`.
fn permutation(length: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).collect();
    for last in (1..length).rev() {
        let unit: f64 = StandardUniform.sample(rng);
        order.swap(last, ((last + 1) as f64 * unit) as usize);
    }
    order
}

#[cfg(test)]
mod tests;
