//! Measuring: times of candidates against references, and peaks of the machine.

mod date;
pub mod peaks;
