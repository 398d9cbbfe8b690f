//! Peaks of this machine, measured once and kept in the user's cache directory.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kinstr_runtime::arena::Arena;
use kinstr_trace::peaks::Peaks;

use super::date::today;
use crate::store::cache_dir;
use crate::worker::fault::InfrastructureFault;
use crate::worker::{Fault, Limits, Setup, Worker};

/// Bytes a file may have in the process that measures: memory behind a descriptor counts as a file.
const LARGEST_FILE: u64 = 1 << 30;

/// Where peaks came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// They were measured before.
    Cached,
    /// They were measured now.
    Measured,
}

/// The peaks of this machine: the cached ones, or new ones, which are then cached.
///
/// A cache that cannot be read or written is no error: the peaks are measured again.
///
/// # Errors
/// When they cannot be measured.
pub fn peaks() -> Result<(Peaks, Source), Fault> {
    let device = Device::here();
    match cached(&device.file(), &device.name()) {
        Some(peaks) => Ok((peaks, Source::Cached)),
        None => remeasure(),
    }
}

/// Measures the peaks and caches them, whatever was cached: for a machine that was busy when it was first asked.
///
/// # Errors
/// When they cannot be measured.
pub fn remeasure() -> Result<(Peaks, Source), Fault> {
    let file = Device::here().file();
    let peaks = measure(None)?;
    // Otherwise they are measured again next time, which costs seconds and changes nothing.
    let _ = store(&file, &peaks);
    Ok((peaks, Source::Measured))
}

/// Measures the peaks of this machine in a process of its own, started from `program` if this is not
/// `kinstr` itself.
///
/// # Errors
/// When the process fails, or the processor is one for which there are no loops.
pub fn measure(program: Option<&Path>) -> Result<Peaks, Fault> {
    let limits = Limits { file_bytes: LARGEST_FILE, ..Limits::candidate() };
    let arena = Arena::new(&[]).map_err(InfrastructureFault::Arena)?;
    let mut worker = Worker::start(Setup { limits, arena: &arena, others: &[], records: None, program })?;
    worker.peaks(&Device::here().name(), &today())
}

/// Id of this machine as in [`Peaks::device`].
pub fn device() -> String {
    Device::here().name()
}

/// What tells one device from another: processor model, its features, and the kernel, whose
/// mitigations change what memory and calls cost.
struct Device {
    model: String,
    digest: String,
}

impl Device {
    /// Where its peaks are cached.
    fn file(&self) -> PathBuf {
        cache_dir().join("peaks").join(format!("{}.json", self.digest))
    }

    fn here() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self::new(&info, kernel.trim())
    }

    fn new(info: &str, kernel: &str) -> Self {
        let field = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
            value.map(str::trim).unwrap_or("unknown").to_owned()
        };
        let model = field("model name");
        let identity =
            [model.as_str(), &field("flags"), &field("stepping"), &field("microcode"), kernel].join("\n");
        let digest = blake3::hash(identity.as_bytes()).to_hex()[..16].to_owned();
        Self { model, digest }
    }

    fn name(&self) -> String {
        format!("{} [{}]", self.model, self.digest)
    }
}

fn cached(file: &Path, device: &str) -> Option<Peaks> {
    let peaks: Peaks = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    // An earlier version measured less.
    (peaks.device == device && peaks.complete()).then_some(peaks)
}

/// Writes beside the file and renames, so that no reader ever sees half of it.
pub(super) fn store(file: &Path, peaks: &impl serde::Serialize) -> io::Result<()> {
    let directory = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(directory)?;
    let mut beside = tempfile::NamedTempFile::new_in(directory)?;
    beside.write_all(&serde_json::to_vec_pretty(peaks)?)?;
    beside.persist(file).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use kinstr_trace::peaks::BandwidthLevel;

    use super::*;

    #[test]
    fn another_kernel_or_feature_is_another_device() {
        let info = "model name\t: Some CPU\nflags\t\t: avx avx2\n";
        let here = Device::new(info, "6.1");
        assert_eq!(here.model, "Some CPU");
        assert_eq!(here.digest, Device::new(info, "6.1").digest);
        assert_ne!(here.digest, Device::new(info, "6.2").digest);
        assert_ne!(here.digest, Device::new("model name\t: Some CPU\nflags\t\t: avx\n", "6.1").digest);
    }

    #[test]
    fn cached_peaks_are_for_this_device_or_none() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("below").join("x.json");
        assert_eq!(cached(&file, "a"), None);
        let dram = BandwidthLevel {
            name: "DRAM".into(),
            capacity_bytes: 1,
            read_bytes_per_s: 1.0,
            copy_bytes_per_s: 1.0,
            latency_ns: 1.0,
        };
        let peaks = Peaks {
            device: "a".into(),
            date: "2026-01-01".into(),
            threads: 1,
            clock_hz: 1.0,
            simd_lanes_f32: 8,
            levels: vec![dram],
            fma_f32_scalar: 1.0,
            fma_f32_vector: 1.0,
            fma_f64_scalar: 1.0,
            fma_f64_vector: 1.0,
            call_ns: 1.0,
            page_fault_ns: Some(1.0),
            bypassing_copy_bytes_per_s: Some(1.0),
            mispredict_ns: 1.0,
        };
        store(&file, &peaks).unwrap();
        assert_eq!(cached(&file, "a"), Some(peaks));
        assert_eq!(cached(&file, "b"), None);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(cached(&file, "a"), None);
    }
}
