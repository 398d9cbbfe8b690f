//! Measuring: times of candidates against references, and peaks of the machine.

mod date;
pub mod paired;
pub mod peaks;
mod statistics;
mod system;

pub use date::today;
pub use paired::{Measurement, Moment, Plan, Samples, Timed, interleave};
pub use statistics::Interval;
pub use system::SystemWatch;
