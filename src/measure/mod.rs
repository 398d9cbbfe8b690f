//! Measuring: times of candidates against references, and peaks of the machine.

mod conditions;
mod date;
mod device;
mod device_peaks;
pub mod events;
pub mod paired;
pub mod peaks;
mod statistics;
mod system;

pub use conditions::{Chill, cold, flushed};
pub use date::today;
pub use device::{DeviceTimed, contradicted, interleave_on_device};
pub use device_peaks::{device_peaks, remeasure_device, try_device};
pub use paired::{Measurement, Moment, Plan, Samples, Timed, interleave};
pub use statistics::{Interval, attained_confidence, median};
pub use system::{Watched, peak_resident, summary};
