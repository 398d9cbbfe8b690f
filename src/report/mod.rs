//! Reports for people, and for leaderboards.

pub mod flashinfer;
pub mod terminal;

/// The report that tests of what people read show.
#[cfg(test)]
#[path = "../../trace/tests/common/example.rs"]
pub(crate) mod example;
