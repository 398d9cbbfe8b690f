//! One output against the expected one.
use super::{OTHER_POISON, Tolerance};
use crate::tensor::{DType, Element, TensorSpec, unravel, with_element};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an output compares with the expected one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The output.
    pub output: String,
    /// Elements compared.
    pub elements: u64,
    /// Every bit the same.
    pub bitwise: bool,
    /// Within the tolerance, everything considered.
    pub passed: bool,
    /// Largest distance in representable values, over the finite pairs.
    pub max_ulp: u64,
    /// Largest absolute error, over the finite pairs.
    pub max_abs: f64,
    /// Largest error relative to the expected element, over the finite pairs whose expected element is not zero.
    pub max_rel: f64,
    /// Elements outside the tolerance, of whatever kind.
    pub mismatched: u64,
    /// Elements among them that still hold the poison.
    pub unwritten: u64,
    /// Elements among them that are NaN on one side only.
    pub nan_mismatches: u64,
    /// Elements among them that are infinite on one side only, or with the other sign.
    pub infinity_mismatches: u64,
    /// Elements that are NaN on both sides, which counts as equal.
    pub matching_nans: u64,
    /// The first element outside the tolerance.
    pub first: Option<Mismatch>,
    /// The element with the largest error, where one is outside the tolerance; those that are not finite come first.
    pub worst: Option<Mismatch>,
    /// What it was held against.
    pub tolerance: Tolerance,
}

/// One element that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mismatch {
    /// Its index, one number an axis.
    pub index: Vec<u64>,
    /// What the candidate has, as text, for it may be NaN.
    pub actual: String,
    /// What the reference has.
    pub expected: String,
}

/// The output cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("output `{output}` takes {expected} bytes; {found} were given to compare")]
pub struct SizeError {
    /// The output.
    pub output: String,
    /// Bytes it takes.
    pub expected: usize,
    /// Bytes given.
    pub found: usize,
}

/// Compares an output with the expected one: bitwise first, and element by element where they differ.
///
/// An element that is NaN on both sides counts as equal; no other NaN ever does. `poison` is what the output was filled with
/// before the run: an element that still holds it where the expected one is out of reach was never written.
///
/// # Errors
/// When either buffer has another size than the output.
pub fn compare(
    output: &TensorSpec,
    actual: &[u8],
    expected: &[u8],
    tolerance: Tolerance,
    poison: u8,
) -> Result<Comparison, SizeError> {
    let wrong_size = [actual.len(), expected.len()].into_iter().find(|found| *found != output.bytes());
    if let Some(found) = wrong_size {
        return Err(SizeError { output: output.name.clone(), expected: output.bytes(), found });
    }
    Ok(with_element!(output.dtype, E => compare_elements::<E>(output, actual, expected, tolerance, poison)))
}

/// What one pair of elements is.
enum Pair {
    Same,
    BothNan,
    Finite { matches: bool },
    Unwritten,
    NanMismatch,
    InfinityMismatch,
}

fn classify<E: Element>(actual: &[u8], expected: &[u8], tolerance: &Tolerance, poison: u8) -> Pair {
    let is_nan = |bytes| E::read(bytes).to_f64().is_nan();
    if actual == expected {
        return if is_nan(actual) { Pair::BothNan } else { Pair::Same };
    }
    let (a, e) = (E::read(actual), E::read(expected));
    let (a_value, e_value) = (a.to_f64(), e.to_f64());
    let both_finite = a_value.is_finite() && e_value.is_finite();
    let matches = both_finite && tolerance.matches(a, e);
    if !matches && actual.iter().all(|byte| *byte == poison) && tells_holes::<E>(a_value, poison) {
        return Pair::Unwritten;
    }
    match (both_finite, a_value.is_nan(), e_value.is_nan()) {
        (true, ..) => Pair::Finite { matches },
        (false, true, true) => Pair::BothNan,
        (false, false, false) => Pair::InfinityMismatch,
        _ => Pair::NanMismatch,
    }
}

/// Whether poison in an element can only be a hole. Of 8 or 16 bits it may be an answer that is a little off, such as −1
/// instead of 0. Outputs are filled with [`OTHER_POISON`] for runs that are compared only if they changed with it, and
/// then a hole is what explains it.
fn tells_holes<E: Element>(value: f64, poison: u8) -> bool {
    E::BYTES > 2 || value.is_nan() || poison == OTHER_POISON
}

/// Bytes that one thread compares at a time; a multiple of every element's size.
const BLOCK: usize = 1 << 18;

fn compare_elements<E: Element>(
    output: &TensorSpec,
    actual: &[u8],
    expected: &[u8],
    tolerance: Tolerance,
    poison: u8,
) -> Comparison {
    let blocks = actual.par_chunks(BLOCK).zip(expected.par_chunks(BLOCK)).enumerate();
    let tally = blocks
        .map(|(number, (actual, expected))| {
            Tally::of::<E>(number * (BLOCK / E::BYTES), actual, expected, &tolerance, poison)
        })
        .reduce(Tally::default, Tally::and);
    let at = |position: usize| mismatch::<E>(output, actual, expected, position);
    let mut found = Comparison {
        output: output.name.clone(),
        elements: output.elements(),
        bitwise: !tally.differs,
        passed: true,
        max_ulp: tally.max_ulp,
        max_abs: tally.max_abs,
        max_rel: tally.max_rel,
        mismatched: tally.mismatched,
        unwritten: tally.unwritten,
        nan_mismatches: tally.nan_mismatches,
        infinity_mismatches: tally.infinity_mismatches,
        matching_nans: tally.matching_nans,
        first: tally.first.map(at),
        worst: tally.worst.map(|(position, _)| at(position)),
        tolerance,
    };
    found.passed = found.within_tolerance();
    found
}

/// What a run of elements adds to a [`Comparison`].
#[derive(Default)]
struct Tally {
    differs: bool,
    max_ulp: u64,
    max_abs: f64,
    max_rel: f64,
    mismatched: u64,
    unwritten: u64,
    nan_mismatches: u64,
    infinity_mismatches: u64,
    matching_nans: u64,
    first: Option<usize>,
    /// Position and error.
    worst: Option<(usize, f64)>,
}

impl Tally {
    /// Of elements of which the first is number `start` of the tensor.
    fn of<E: Element>(
        start: usize,
        actual: &[u8],
        expected: &[u8],
        tolerance: &Tolerance,
        poison: u8,
    ) -> Self {
        let mut tally = Self { differs: actual != expected, ..Self::default() };
        let pairs = actual.chunks_exact(E::BYTES).zip(expected.chunks_exact(E::BYTES));
        for (position, (a, e)) in (start..).zip(pairs) {
            tally.add::<E>(position, a, e, classify::<E>(a, e, tolerance, poison));
        }
        tally
    }

    fn add<E: Element>(&mut self, position: usize, actual: &[u8], expected: &[u8], pair: Pair) {
        let (wrong, error) = match pair {
            Pair::Same => return,
            Pair::BothNan => {
                self.matching_nans += 1;
                return;
            }
            Pair::Finite { matches } => (!matches, self.measure(E::read(actual), E::read(expected))),
            Pair::Unwritten => (true, count(&mut self.unwritten)),
            Pair::NanMismatch => (true, count(&mut self.nan_mismatches)),
            Pair::InfinityMismatch => (true, count(&mut self.infinity_mismatches)),
        };
        if wrong {
            self.mismatched += 1;
            self.first.get_or_insert(position);
            if self.worst.is_none_or(|(_, largest)| error > largest) {
                self.worst = Some((position, error));
            }
        }
    }

    /// Folds a finite pair in; gives its absolute error.
    fn measure<E: Element>(&mut self, actual: E, expected: E) -> f64 {
        let error = actual.difference(expected);
        self.max_ulp = self.max_ulp.max(actual.steps_to(expected));
        self.max_abs = self.max_abs.max(error);
        if expected.to_f64() != 0.0 {
            self.max_rel = self.max_rel.max(error / expected.to_f64().abs());
        }
        error
    }

    /// This one's elements and then `later` ones.
    fn and(self, later: Self) -> Self {
        let worst = match (self.worst, later.worst) {
            (Some(mine), Some(its)) if its.1 > mine.1 => Some(its),
            (mine, its) => mine.or(its),
        };
        Self {
            differs: self.differs || later.differs,
            max_ulp: self.max_ulp.max(later.max_ulp),
            max_abs: self.max_abs.max(later.max_abs),
            max_rel: self.max_rel.max(later.max_rel),
            mismatched: self.mismatched + later.mismatched,
            unwritten: self.unwritten + later.unwritten,
            nan_mismatches: self.nan_mismatches + later.nan_mismatches,
            infinity_mismatches: self.infinity_mismatches + later.infinity_mismatches,
            matching_nans: self.matching_nans + later.matching_nans,
            first: self.first.or(later.first),
            worst,
        }
    }
}

/// Counts an element that no error can be given for, so the worst there is.
fn count(counter: &mut u64) -> f64 {
    *counter += 1;
    f64::INFINITY
}

fn mismatch<E: Element>(output: &TensorSpec, actual: &[u8], expected: &[u8], position: usize) -> Mismatch {
    let shown = |bytes: &[u8]| show::<E>(output.dtype, &bytes[position * E::BYTES..][..E::BYTES]);
    Mismatch {
        index: unravel(position as u64, &output.shape),
        actual: shown(actual),
        expected: shown(expected),
    }
}

/// Shortest text that tells the element from its neighbours.
fn show<E: Element>(dtype: DType, bytes: &[u8]) -> String {
    match (dtype, E::read(bytes).to_f64()) {
        (DType::F64, value) => format!("{value:?}"),
        (DType::Bool, 0.0) => "false".to_owned(),
        (DType::Bool, 1.0) => "true".to_owned(),
        (DType::Bool, value) => format!("neither false nor true, but the byte {value}"),
        (dtype, value) if dtype.is_float() => format!("{:?}", value as f32),
        _ => i64::from_le_bytes(sign_extended(dtype, bytes)).to_string(),
    }
}

/// 64-bit integers do not fit an f64, so integers are shown from their bytes.
fn sign_extended(dtype: DType, bytes: &[u8]) -> [u8; 8] {
    let negative = dtype != DType::U8 && bytes.last().is_some_and(|top| top & 0x80 != 0);
    let mut wide = [if negative { 0xFF } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    wide
}

impl Comparison {
    /// Share of the elements that match; 1 for an empty output.
    pub fn matched_ratio(&self) -> f64 {
        if self.elements == 0 { 1.0 } else { 1.0 - self.mismatched as f64 / self.elements as f64 }
    }

    /// A ratio forgives errors; it forgives neither NaN, infinity nor holes.
    fn within_tolerance(&self) -> bool {
        let unforgivable = self.unwritten + self.nan_mismatches + self.infinity_mismatches;
        let capped = self.tolerance.error_cap.is_none_or(|cap| self.mismatched == 0 || self.max_abs <= cap);
        unforgivable == 0 && capped && self.matched_ratio() >= self.tolerance.matched_ratio
    }
}

#[cfg(test)]
mod tests;
