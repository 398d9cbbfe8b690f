//! Peaks of this machine, measured: what a roofline is drawn from.

mod caches;
#[cfg(target_arch = "x86_64")]
mod faults;
pub use caches::eviction_bytes;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
pub use x86_64::measure;

/// Says that peaks cannot be measured here.
///
/// # Errors
/// Always: the loops are written for x86-64.
#[cfg(not(target_arch = "x86_64"))]
pub fn measure(_device: String, _date: String) -> std::io::Result<kinstr_trace::peaks::Peaks> {
    let message = "peaks are measured on x86-64 only so far";
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, message))
}
