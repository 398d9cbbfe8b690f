//! What a child process may use.

use std::path::PathBuf;
use std::time::Duration;

use kinstr_runtime::confine::{Confinement, device_nodes};

use super::core::quiet_cores;

/// Limits on one child process, over its whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// CPU time, rounded up to seconds.
    pub cpu: Duration,
    /// Time in all its requests together; what passes between them (the turns of a slow reference) is not its own.
    pub wall: Duration,
    /// Time for one request, from before it is sent until its reply has arrived.
    pub request: Duration,
    /// Bytes of address space beyond what is shared with it; `None` for no limit.
    pub memory: Option<u64>,
    /// Bytes of the largest file it may write.
    pub file_bytes: u64,
    /// Files it may hold open.
    pub open_files: u64,
    /// Whether it may start processes of its own.
    pub processes: bool,
    /// Cores it runs on, the quietest there are; 0 for any. Contenders that run on different cores are not
    /// comparable: the work of others on one of two cores made equal kernels differ by 30 %.
    pub cores: u32,
    /// Number of the GPU it uses, if it uses one.
    pub device: Option<u32>,
}

/// Files that a process with a GPU may hold open: the driver opens dozens a device.
const DEVICE_FILES: u64 = 1024;
/// Bytes of its largest file: memory that it shares with the driver counts as one.
const DEVICE_FILE_BYTES: u64 = 4 << 30;

impl Limits {
    /// For a process that runs candidate code: 4 GiB, 10 minutes, one core, no processes, little disk.
    pub fn candidate() -> Self {
        Self {
            cpu: Duration::from_secs(600),
            wall: Duration::from_secs(600),
            request: Duration::from_secs(30),
            memory: Some(4 << 30),
            file_bytes: 16 << 20,
            open_files: 64,
            processes: false,
            cores: 1,
            device: None,
        }
    }

    /// For a process that hosts a reference: PyTorch reserves address space it never touches, so only
    /// time and disk are limited. It shares the candidate's core, so that their times compare.
    pub fn reference() -> Self {
        Self {
            cpu: Duration::from_secs(1800),
            wall: Duration::from_secs(1800),
            request: Duration::from_secs(120),
            memory: None,
            file_bytes: 256 << 20,
            open_files: 1024,
            processes: true,
            cores: 1,
            device: None,
        }
    }

    /// The same for a process that uses GPU `ordinal`. The driver reserves address space by the size of the machine, so
    /// that there is no limit on it; the limit on memory is one on device memory. A second core is for the driver's own
    /// threads.
    pub fn on_device(self, ordinal: u32) -> Self {
        Self {
            open_files: self.open_files.max(DEVICE_FILES),
            file_bytes: self.file_bytes.max(DEVICE_FILE_BYTES),
            cores: self.cores.max(2),
            device: Some(ordinal),
            ..self
        }
    }

    /// Cores that a process under these limits is to run on.
    pub fn own_cores(&self) -> Vec<usize> {
        quiet_cores(self.cores as usize)
    }

    /// The same for a process that binds itself to its cores later, once it has loaded what takes long.
    pub fn on_any_core(self) -> Self {
        Self { cores: 0, ..self }
    }

    /// The confinement these limits ask for, writing in `scratch` only.
    pub(super) fn confinement(&self, scratch: PathBuf) -> Confinement {
        Confinement {
            cpu_seconds: Some(self.cpu.as_millis().div_ceil(1000).max(1) as u64),
            address_space: self.memory,
            file_bytes: Some(self.file_bytes),
            open_files: Some(self.open_files),
            processes: self.processes,
            cores: self.own_cores(),
            writable: Some(vec![scratch]),
            devices: if self.device.is_some() { device_nodes() } else { Vec::new() },
        }
    }
}
