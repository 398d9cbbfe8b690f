//! From the outputs of all seeds to the verdict on a workload.
use super::trivial::{Suspects, Trivial};
use super::{Comparison, OTHER_POISON, POISON, SizeError, ToleranceSpec, compare, reduction_length};
use crate::problem::{Problem, Workload};
use crate::tensor::{Seed, TensorSpec};
use kinstr_trace::report::{Correctness, Mismatch, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The outputs of one run compared with the expected ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeedComparison {
    /// Which inputs.
    pub seed: Seed,
    /// One an output.
    pub outputs: Vec<Comparison>,
}

/// The verdict on one workload, with its grounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadVerdict {
    /// The workload's name.
    pub workload: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Every comparison that was made: one a seed, and one for each repeat that differed.
    pub seeds: Vec<SeedComparison>,
    /// Whether repeats were bit-identical; absent if none were made.
    pub deterministic: Option<bool>,
    /// What there is to say, gravest first.
    pub findings: Vec<Finding>,
}

/// Something about the outputs that people should know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// Every output has an answer without work that passes: the problem is invalid.
    #[error("the problem tells nothing on this workload: {}", sentence(trivial))]
    TellsNothing {
        /// One an output.
        trivial: Vec<Trivial>,
    },
    /// The reference contradicts itself by more than the tolerance: the problem is invalid.
    #[error("the reference gives another output `{output}` every time it runs on the same inputs")]
    ReferenceChanges {
        /// The output.
        output: String,
    },
    /// Elements were never written.
    #[error("{unwritten} of {elements} elements of output `{output}` were never written, first {at:?}")]
    NeverWritten {
        /// The output.
        output: String,
        /// How many.
        unwritten: u64,
        /// Of how many.
        elements: u64,
        /// Index of the first element that is wrong.
        at: Vec<u64>,
    },
    /// NaN or infinity where the reference has a number, or the other way round.
    #[error(
        "output `{output}` differs from the reference in NaN at {nan} and in infinity at {infinite} elements: \
         {actual} instead of {expected} at {at:?}"
    )]
    NonFinite {
        /// The output.
        output: String,
        /// Elements that are NaN on one side.
        nan: u64,
        /// Elements that are infinite on one side.
        infinite: u64,
        /// Index of one.
        at: Vec<u64>,
        /// What the candidate has there.
        actual: String,
        /// What the reference has there.
        expected: String,
    },
    /// Numbers outside the tolerance.
    #[error(
        "{mismatched} of {elements} elements of output `{output}` are outside the tolerance ({tolerance}); \
         the worst: {actual} instead of {expected} at {at:?}"
    )]
    OutOfTolerance {
        /// The output.
        output: String,
        /// How many.
        mismatched: u64,
        /// Of how many.
        elements: u64,
        /// The tolerance, as text.
        tolerance: String,
        /// Index of the worst.
        at: Vec<u64>,
        /// What the candidate has there.
        actual: String,
        /// What the reference has there.
        expected: String,
    },
    /// Repeats differ; no fault by itself.
    #[error("not deterministic: output `{output}` changes from run to run on the same inputs")]
    NotDeterministic {
        /// The output.
        output: String,
    },
    /// NaN on both sides counts as equal; no fault, but worth knowing.
    #[error("{elements} elements of output `{output}` are NaN, in the reference as in the candidate")]
    MatchingNan {
        /// The output.
        output: String,
        /// How many, in the seed that has most.
        elements: u64,
    },
}

fn sentence(trivial: &[Trivial]) -> String {
    trivial.iter().map(Trivial::to_string).collect::<Vec<_>>().join("; ")
}

/// Compares the outputs of one workload, and draws no conclusions.
#[derive(Debug)]
pub struct Comparer {
    tolerance: ToleranceSpec,
    reduction: u64,
    outputs: Vec<TensorSpec>,
}

impl Comparer {
    /// For the outputs of `workload`.
    pub fn new(problem: &Problem, workload: &Workload) -> Self {
        let (inputs, outputs) = (problem.input_specs(workload), problem.output_specs(workload));
        Self { tolerance: problem.tolerance, reduction: reduction_length(&inputs, &outputs), outputs }
    }

    /// One comparison an output. Each slice is one tensor, in the problem's order, filled with `poison` before the run.
    ///
    /// # Errors
    /// When a buffer has another size than its output.
    pub fn compare(
        &self,
        expected: &[&[u8]],
        actual: &[&[u8]],
        poison: u8,
    ) -> Result<Vec<Comparison>, SizeError> {
        let one = |(position, output): (usize, &TensorSpec)| {
            let expected = expected.get(position).copied().unwrap_or_default();
            let actual = actual.get(position).copied().unwrap_or_default();
            let tolerance = self.tolerance.resolve(output, self.reduction, expected);
            compare(output, actual, expected, tolerance, poison)
        };
        self.outputs.iter().enumerate().map(one).collect()
    }
}

/// Collects what a candidate gave for one workload, and judges it.
#[derive(Debug)]
pub struct Judge {
    workload: String,
    comparer: Comparer,
    suspects: Vec<Suspects>,
    seeds: Vec<SeedComparison>,
    /// Digests of the outputs of the last seed.
    last: Vec<blake3::Hash>,
    deterministic: Option<bool>,
    unstable: Option<String>,
    contradicted: Option<String>,
}

impl Judge {
    /// A judge of one workload, who has seen nothing yet.
    pub fn new(problem: &Problem, workload: &Workload) -> Self {
        let (inputs, outputs) = (problem.input_specs(workload), problem.output_specs(workload));
        Judge {
            workload: workload.name.clone(),
            comparer: Comparer::new(problem, workload),
            suspects: outputs.iter().map(|output| Suspects::new(output, &inputs)).collect(),
            seeds: Vec::new(),
            last: Vec::new(),
            deterministic: None,
            unstable: None,
            contradicted: None,
        }
    }

    /// Takes the outputs for a new seed, which were filled with [`POISON`] before. Each slice is one tensor, in the
    /// problem's order.
    ///
    /// # Errors
    /// When a buffer has another size than its output.
    pub fn seed(
        &mut self,
        seed: Seed,
        inputs: &[&[u8]],
        expected: &[&[u8]],
        actual: &[&[u8]],
    ) -> Result<&SeedComparison, SizeError> {
        let outputs = self.comparer.compare(expected, actual, POISON)?;
        for ((suspects, expected), comparison) in self.suspects.iter_mut().zip(expected).zip(&outputs) {
            suspects.observe(inputs, expected, &comparison.tolerance);
        }
        self.last = actual.iter().map(|bytes| hash(bytes)).collect();
        self.seeds.push(SeedComparison { seed, outputs });
        Ok(&self.seeds[self.seeds.len() - 1])
    }

    /// Takes the outputs of another run on the inputs of the last seed, filled with [`OTHER_POISON`] before it. If they are not the same bits, the candidate
    /// is not deterministic, and they are compared like those of a new seed.
    ///
    /// # Errors
    /// When a buffer has another size than its output.
    pub fn repeat(&mut self, expected: &[&[u8]], actual: &[&[u8]]) -> Result<(), SizeError> {
        let again: Vec<blake3::Hash> = actual.iter().map(|bytes| hash(bytes)).collect();
        let changed = self.last.iter().zip(&again).position(|(before, after)| before != after);
        let deterministic = changed.is_none() && self.last.len() == again.len();
        self.deterministic = Some(self.deterministic.unwrap_or(true) && deterministic);
        if let (Some(output), Some(last)) = (changed, self.seeds.last()) {
            let seed = last.seed;
            self.unstable = self.comparer.outputs.get(output).map(|spec| spec.name.clone());
            let outputs = self.comparer.compare(expected, actual, OTHER_POISON)?;
            self.seeds.push(SeedComparison { seed, outputs });
        }
        Ok(())
    }

    /// Takes the outputs of two runs of the reference on the same inputs.
    ///
    /// # Errors
    /// When a buffer has another size than its output.
    pub fn reference_repeat(&mut self, before: &[&[u8]], after: &[&[u8]]) -> Result<(), SizeError> {
        let comparisons = self.comparer.compare(before, after, POISON)?;
        let changed = comparisons.into_iter().find(|comparison| !comparison.passed);
        self.contradicted = self.contradicted.take().or(changed.map(|comparison| comparison.output));
        Ok(())
    }

    /// The verdict. Without any seed it is [`Verdict::Invalid`]: nothing was compared.
    pub fn finish(self) -> WorkloadVerdict {
        let trivial: Vec<Trivial> = self.suspects.iter().filter_map(Suspects::found).collect();
        let outputs = &self.comparer.outputs;
        // One output that tells something is enough: a candidate has to get all of them right.
        let tells_nothing = trivial.len() == outputs.len();
        let passed = self.seeds.iter().flat_map(|seed| &seed.outputs).all(|comparison| comparison.passed);
        let unsound = tells_nothing || self.contradicted.is_some() || self.seeds.is_empty();
        let verdict = match (unsound, passed) {
            (true, _) => Verdict::Invalid,
            (false, true) => Verdict::Correct,
            (false, false) => Verdict::Incorrect,
        };
        let mut findings = Vec::new();
        if tells_nothing {
            findings.push(Finding::TellsNothing { trivial });
        }
        findings.extend(self.contradicted.map(|output| Finding::ReferenceChanges { output }));
        findings.extend(outputs.iter().filter_map(|output| first_failure(&output.name, &self.seeds)));
        findings.extend(self.unstable.map(|output| Finding::NotDeterministic { output }));
        findings.extend(outputs.iter().filter_map(|output| matching_nan(&output.name, &self.seeds)));
        WorkloadVerdict {
            workload: self.workload,
            verdict,
            seeds: self.seeds,
            deterministic: self.deterministic,
            findings,
        }
    }
}

fn hash(bytes: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update_rayon(bytes).finalize()
}

fn of_output<'s>(name: &'s str, seeds: &'s [SeedComparison]) -> impl Iterator<Item = &'s Comparison> {
    seeds.iter().flat_map(|seed| &seed.outputs).filter(move |comparison| comparison.output == name)
}

fn first_failure(output: &str, seeds: &[SeedComparison]) -> Option<Finding> {
    let failed = || of_output(output, seeds).filter(|comparison| !comparison.passed);
    // Holes explain what else is wrong, and in small types not every run can tell them.
    let failed = failed().find(|comparison| comparison.unwritten > 0).or_else(|| failed().next())?;
    let worst = failed.worst.clone()?;
    let (output, elements) = (output.to_owned(), failed.elements);
    Some(if failed.unwritten > 0 {
        let at = failed.first.clone().map(|first| first.index).unwrap_or_default();
        Finding::NeverWritten { output, unwritten: failed.unwritten, elements, at }
    } else if failed.nan_mismatches + failed.infinity_mismatches > 0 {
        Finding::NonFinite {
            output,
            nan: failed.nan_mismatches,
            infinite: failed.infinity_mismatches,
            at: worst.index,
            actual: worst.actual,
            expected: worst.expected,
        }
    } else {
        Finding::OutOfTolerance {
            output,
            mismatched: failed.mismatched,
            elements,
            tolerance: failed.tolerance.to_string(),
            at: worst.index,
            actual: worst.actual,
            expected: worst.expected,
        }
    })
}

fn matching_nan(output: &str, seeds: &[SeedComparison]) -> Option<Finding> {
    let most = of_output(output, seeds).map(|comparison| comparison.matching_nans).max()?;
    (most > 0).then(|| Finding::MatchingNan { output: output.to_owned(), elements: most })
}

impl WorkloadVerdict {
    /// The verdict in the terms of the report, over all seeds and outputs.
    pub fn to_report(&self) -> Correctness {
        let all = || self.seeds.iter().flat_map(|seed| &seed.outputs);
        let largest =
            |of: fn(&Comparison) -> f64| all().map(of).reduce(f64::max).filter(|error| error.is_finite());
        let failed = self.seeds.iter().find_map(|seed| {
            let comparison = seed.outputs.iter().find(|comparison| !comparison.passed)?;
            Some((seed.seed, comparison))
        });
        let shown = failed.map(|(_, comparison)| comparison).or(all().next());
        let mut seeds: Vec<u64> = self.seeds.iter().map(|seed| seed.seed.number()).collect();
        seeds.dedup();
        Correctness {
            passed: self.verdict == Verdict::Correct,
            bitwise: !self.seeds.is_empty() && all().all(|comparison| comparison.bitwise),
            max_abs: largest(|comparison| comparison.max_abs),
            max_rel: largest(|comparison| comparison.max_rel),
            max_ulp: all().map(|comparison| comparison.max_ulp).max(),
            tolerance: shown.map(|comparison| comparison.tolerance.to_string()),
            mismatch: failed.and_then(|(seed, comparison)| mismatch(seed, comparison)),
            seeds,
            deterministic: self.deterministic,
        }
    }
}

fn mismatch(seed: Seed, comparison: &Comparison) -> Option<Mismatch> {
    let first = comparison.first.clone()?;
    Some(Mismatch {
        output: comparison.output.clone(),
        index: first.index,
        expected: first.expected,
        actual: first.actual,
        wrong: comparison.mismatched,
        compared: comparison.elements,
        seed: seed.number(),
    })
}

#[cfg(test)]
mod tests;
