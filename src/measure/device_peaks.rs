//! Peaks of a GPU, measured once for each unit and driver and kept in the user's cache directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kinstr_runtime::arena::Arena;
use kinstr_runtime::gpu::Shown;
use kinstr_trace::device::DevicePeaks;

use super::date::today;
use super::peaks::{Source, store};
use crate::store::cache_dir;
use crate::worker::fault::InfrastructureFault;
use crate::worker::{Fault, Limits, Setup, Worker};

/// Time for all the loops; they take a few seconds.
const TIME: Duration = Duration::from_secs(60);
/// Changes when the loops do: peaks of earlier ones are measured anew.
const LOOPS: &str = "2";

/// The peaks of `device`: the cached ones, or new ones, which are then cached.
///
/// A cache that cannot be read or written is no error: the peaks are measured again.
///
/// # Errors
/// When the device cannot be opened, or fails.
pub fn device_peaks(device: &Shown) -> Result<(DevicePeaks, Source), Fault> {
    match cached(&file(&device.identity), &device.identity) {
        Some(peaks) => Ok((peaks, Source::Cached)),
        None => remeasure_device(device.ordinal, None).map(|peaks| (peaks, Source::Measured)),
    }
}

/// Measures the peaks of device `ordinal` and caches them, whatever was cached. The process is a start of `program` if
/// this is not `kinstr` itself.
///
/// # Errors
/// As [`device_peaks`].
pub fn remeasure_device(ordinal: u32, program: Option<&Path>) -> Result<DevicePeaks, Fault> {
    measure_in(&mut start(ordinal, program)?)
}

/// Opens device `ordinal` in a process of its own, and so tells whether it works.
///
/// # Errors
/// When it does not.
pub fn try_device(ordinal: u32) -> Result<(), Fault> {
    start(ordinal, None).map(drop)
}

fn start(ordinal: u32, program: Option<&Path>) -> Result<Worker, Fault> {
    let limits = Limits { request: TIME, ..Limits::candidate() }.on_device(ordinal);
    let arena = Arena::new(&[]).map_err(InfrastructureFault::Arena)?;
    Worker::start(Setup { limits, arena: &arena, others: &[], records: None, program })
}

fn identity(worker: &Worker) -> String {
    worker.device().map(|shown| shown.identity.clone()).unwrap_or_default()
}

fn measure_in(worker: &mut Worker) -> Result<DevicePeaks, Fault> {
    let device = identity(worker);
    let peaks = worker.device_peaks(&today())?;
    // Otherwise they are measured again next time, which costs seconds and changes nothing.
    let _ = store(&file(&device), &peaks);
    Ok(peaks)
}

/// Where the peaks of a device are kept.
fn file(device: &str) -> PathBuf {
    let digest = blake3::hash(format!("{device}\n{LOOPS}").as_bytes()).to_hex()[..16].to_owned();
    cache_dir().join("peaks").join(format!("device-{digest}.json"))
}

fn cached(file: &Path, device: &str) -> Option<DevicePeaks> {
    let peaks: DevicePeaks = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    (peaks.device == device).then_some(peaks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_of_another_device_are_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.json");
        let peaks = DevicePeaks { device: "a".into(), clock_hz: 1.5e9, ..DevicePeaks::default() };
        store(&path, &peaks).unwrap();
        assert_eq!(cached(&path, "a"), Some(peaks));
        assert_eq!(cached(&path, "b"), None);
    }

    #[test]
    fn a_machine_without_the_device_says_so() {
        // No machine has as many.
        let fault = try_device(9999).unwrap_err();
        assert!(
            ["no-driver", "no-device", "worker-start", "worker-ended"].contains(&fault.kind()),
            "{fault}"
        );
    }
}
