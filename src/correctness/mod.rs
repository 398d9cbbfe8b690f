//! Whether a candidate gives the reference's answer.
mod compare;
mod judge;
mod tolerance;
mod trivial;

pub use compare::{Comparison, Mismatch, SizeError, compare};
pub use judge::{Comparer, Finding, Judge, SeedComparison, WorkloadVerdict};
pub use kinstr_runtime::arena::{OTHER_POISON, POISON};
pub use tolerance::{Overrides, Tolerance, ToleranceSpec, reduction_length};
pub use trivial::Trivial;
