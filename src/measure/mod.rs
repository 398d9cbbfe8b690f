//! Measuring: times of candidates against references, and peaks of the machine.

mod conditions;
mod date;
pub mod events;
pub mod paired;
pub mod peaks;
mod statistics;
mod system;

pub use conditions::{Chill, cold, flushed};
pub use date::today;
pub use paired::{Measurement, Moment, Plan, Samples, Timed, interleave};
pub use statistics::{Interval, attained_confidence};
pub use system::{Watched, peak_resident, summary};
