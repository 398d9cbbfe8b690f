//! Resource limits of a confined child.

use super::{Confinement, Measure};

/// One limit to set in the child.
pub(super) struct Limit {
    pub(super) measure: Measure,
    resource: libc::__rlimit_resource_t,
    soft: u64,
    hard: u64,
}

impl Limit {
    /// Sets the limit on the calling process; `false` if the kernel refuses.
    pub(super) fn apply(&self) -> bool {
        let limit = libc::rlimit { rlim_cur: self.soft, rlim_max: self.hard };
        // SAFETY: `limit` outlives the call, which only reads it.
        unsafe { libc::setrlimit(self.resource, &limit) == 0 }
    }
}

/// Limits of `plan`. Processes are not among them: `RLIMIT_NPROC` counts all of the user's processes
/// and spares root, so the system-call filter forbids them instead.
pub(super) fn limits(plan: &Confinement) -> Vec<Limit> {
    let fixed = |measure, resource: libc::__rlimit_resource_t, value: u64| Limit {
        measure,
        resource,
        soft: value,
        hard: value,
    };
    let mut limits = vec![fixed(Measure::NoCoreDump, libc::RLIMIT_CORE, 0)];
    // One second between SIGXCPU, which tells the parent why, and SIGKILL, which a child cannot catch.
    limits.extend(plan.cpu_seconds.map(|seconds| Limit {
        measure: Measure::CpuLimit,
        resource: libc::RLIMIT_CPU,
        soft: seconds,
        hard: seconds + 1,
    }));
    let plain = [
        (Measure::MemoryLimit, libc::RLIMIT_AS, plan.address_space),
        (Measure::FileSizeLimit, libc::RLIMIT_FSIZE, plan.file_bytes),
        (Measure::OpenFilesLimit, libc::RLIMIT_NOFILE, plan.open_files),
    ];
    limits.extend(
        plain.into_iter().filter_map(|(measure, resource, value)| Some(fixed(measure, resource, value?))),
    );
    limits
}

/// Limits the address space of the calling process to `bytes`; `false` if the kernel refuses.
pub fn limit_address_space(bytes: u64) -> bool {
    let limit = Limit { measure: Measure::MemoryLimit, resource: libc::RLIMIT_AS, soft: bytes, hard: bytes };
    limit.apply()
}
