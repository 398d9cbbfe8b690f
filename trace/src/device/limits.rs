//! What one call on a GPU would take if a single part of it set the pace, at measured peaks.

use super::{DevicePeaks, DeviceTable, Rate, SECTOR_BYTES, WAVEFRONT_BYTES};
use crate::roofline::RooflinePoint;
use crate::sites::Buffer;
use crate::synthesis::{Role, WorkloadTable};

/// Times of one call's parts at measured peaks, in ns; 0 for what is not known, so that it limits nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Clean time.
    pub time_ns: f64,
    /// Every input once from device memory, and every output once to it.
    pub dram_ns: f64,
    /// The same, and once more for each launch beyond the first that moves more than the L2 cache holds; no launch is taken to
    /// move a byte of the problem's buffers more than once.
    pub traffic_ns: f64,
    /// All sectors that warps touched, at the bandwidth of the L2 cache; where they were not observed, all bytes that
    /// threads asked for.
    pub l2_ns: f64,
    /// The compulsory bytes at that bandwidth.
    pub l2_floor_ns: f64,
    /// All wavefronts of shared memory; where they were not observed, all bytes.
    pub shared_ns: f64,
    /// Arithmetic outside of tensor cores.
    pub fma_ns: f64,
    /// That of tensor cores.
    pub tensor_ns: f64,
    /// Exponentials, reciprocals and the like.
    pub special_ns: f64,
    /// Roofline floor, with what an empty kernel takes: no kernel begins sooner.
    pub floor_ns: f64,
}

impl Limits {
    /// Of a measured workload; `None` without a clean time. Without peaks nothing but the time is known.
    pub fn of(workload: &WorkloadTable, device: &DeviceTable, peaks: Option<&DevicePeaks>) -> Option<Self> {
        let time_ns = workload.seconds()? * 1e9;
        let Some(peaks) = peaks.filter(|peaks| peaks.usable()) else {
            return Some(Self { time_ns, ..Self::default() });
        };
        let point = RooflinePoint::of_device(workload, peaks);
        let (bytes, memory_ns) =
            point.as_ref().map_or((0, 0.0), |point| (point.bytes, point.memory_floor_ns));
        let Arithmetic { fma_ns, tensor_ns, special_ns } = Arithmetic::of(device, peaks);
        Some(Self {
            time_ns,
            dram_ns: memory_ns,
            traffic_ns: memory_ns.max(traffic_ns(workload, device, peaks)),
            l2_ns: 1e9 * outside_bytes(device) / peaks.l2_read_bytes_per_s,
            l2_floor_ns: 1e9 * bytes as f64 / peaks.l2_read_bytes_per_s,
            shared_ns: 1e9 * shared_bytes(device) / peaks.shared_read_bytes_per_s,
            fma_ns,
            tensor_ns,
            special_ns,
            floor_ns: memory_ns.max(fma_ns).max(tensor_ns).max(special_ns) + peaks.launch_ns,
        })
    }

    /// The longest of the times that arithmetic takes.
    pub fn arithmetic_ns(&self) -> f64 {
        self.fma_ns.max(self.tensor_ns).max(self.special_ns)
    }

    /// `ns` as part of the time.
    pub fn share(&self, ns: f64) -> f64 {
        ns / self.time_ns
    }

    /// The part that comes nearest to explaining the time: its name and its share.
    pub fn nearest(&self) -> (&'static str, f64) {
        let parts = [
            ("device memory", self.traffic_ns),
            ("the L2 cache", self.l2_ns),
            ("shared memory", self.shared_ns),
            ("arithmetic", self.fma_ns),
            ("tensor cores", self.tensor_ns),
            ("special functions", self.special_ns),
        ];
        let (name, ns) = parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
        (name, self.share(ns))
    }

    /// Time over time without `saved_ns` of it, at most time over floor, at least 1.
    pub fn speedup_without(&self, saved_ns: f64) -> f64 {
        (self.time_ns / (self.time_ns - saved_ns).max(self.floor_ns).max(LEAST * self.time_ns)).max(1.0)
    }

    /// Time over time in which every place for blocks has one until the end of a kernel of `kernel_ns`, of whose places a part of `empty`
    /// has none. Where device memory comes nearest to being the limit of a kernel that is most of the call, fewer blocks than there are
    /// places move bytes all the same: as large a part of the empty places as memory explains of the time is not gained.
    pub fn speedup_without_empty_places(&self, empty: f64, kernel_ns: f64) -> f64 {
        let by_memory = self.traffic_ns >= self.arithmetic_ns().max(self.shared_ns);
        let alone = kernel_ns >= MOST_OF_THE_CALL * self.time_ns;
        let busy = if by_memory && alone { self.share(self.traffic_ns).min(1.0) } else { 0.0 };
        self.speedup_without(empty * kernel_ns * (1.0 - busy))
    }

    /// Time over floor.
    pub fn headroom(&self) -> f64 {
        self.time_ns / self.floor_ns.max(LEAST * self.time_ns)
    }
}

/// What the call moves is one kernel's if that takes this part of the call or more.
const MOST_OF_THE_CALL: f64 = 0.5;
/// No model is good enough to promise more than 50 times.
const LEAST: f64 = 0.02;

/// Times that the counted arithmetic of one call takes at measured peaks, in ns.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Arithmetic {
    /// Outside of tensor cores.
    pub(crate) fma_ns: f64,
    /// In tensor cores.
    pub(crate) tensor_ns: f64,
    /// In the units for exponentials and the like, which issue at a fraction of the rate of others.
    pub(crate) special_ns: f64,
}

impl Arithmetic {
    pub(crate) fn of(device: &DeviceTable, peaks: &DevicePeaks) -> Self {
        let Some(work) = &device.work else { return Self::default() };
        let mut sum = Self::default();
        for row in &work.total.flops {
            let flops = 1e9 * work.per_launch(row.flops) as f64;
            // Of doubles such an operation is a row of others, each of which is counted where it is seen.
            let special =
                peaks.special_ops_per_s.filter(|rate| row.slow && row.dtype != "f64" && *rate > 0.0);
            match special {
                _ if row.tensor => sum.tensor_ns += flops / peaks.tensor_rate(&row.dtype),
                Some(rate) => sum.special_ns += flops / rate,
                None => sum.fma_ns += flops / peaks.fma_rate(&row.dtype),
            }
        }
        sum
    }
}

/// Bytes that the launches move between device memory and the chip, as [`Limits::traffic_ns`] says.
fn traffic_ns(workload: &WorkloadTable, device: &DeviceTable, peaks: &DevicePeaks) -> f64 {
    let bytes = |role: Option<Role>| -> f64 {
        let of_role = workload.buffers.iter().filter(|buffer| role.is_none_or(|role| buffer.role == role));
        of_role.map(|buffer| buffer.bytes as f64).sum()
    };
    let (all, outputs) = (bytes(None), bytes(Some(Role::Output)));
    let kernel_ns = |kernel: &super::KernelTable| {
        let work = kernel.work.as_ref()?;
        let each = |bytes: u64, most: f64| (bytes as f64 / kernel.launches.max(1.0)).min(most);
        let (read, written) = (each(work.global_loaded, all), each(work.global_stored, outputs));
        let remembered = read + written <= peaks.facts.l2_bytes as f64;
        (!remembered).then(|| kernel.launches * peaks.stream_ns(read as u64, written as u64))
    };
    device.kernels.iter().filter_map(kernel_ns).sum()
}

/// Bytes between SMs and the L2 cache, if no L1 cache held any.
fn outside_bytes(device: &DeviceTable) -> f64 {
    let observed = |kernel: &super::KernelTable| {
        let rows = kernel.accesses.as_ref()?.iter();
        let outside = rows.filter(|row| row.is_global());
        Some(outside.map(|row| row.parts as f64 * SECTOR_BYTES as f64).sum())
    };
    let counted = |kernel: &super::KernelTable| {
        kernel.work.as_ref().map_or(0.0, |work| work.global_loaded as f64 + work.global_stored as f64)
    };
    device.kernels.iter().map(|kernel| observed(kernel).unwrap_or_else(|| counted(kernel))).sum()
}

fn shared_bytes(device: &DeviceTable) -> f64 {
    let observed = |kernel: &super::KernelTable| {
        let rows = kernel.accesses.as_ref()?.iter().filter(|row| row.buffer == Buffer::Shared);
        Some(rows.map(|row| row.parts as f64 * WAVEFRONT_BYTES as f64).sum())
    };
    let counted =
        |kernel: &super::KernelTable| kernel.work.as_ref().map_or(0.0, |work| work.shared_bytes as f64);
    device.kernels.iter().map(|kernel| observed(kernel).unwrap_or_else(|| counted(kernel))).sum()
}

impl DevicePeaks {
    /// Whether every rate that floors rest on is a positive number.
    pub fn usable(&self) -> bool {
        let rates = [
            self.dram_read_bytes_per_s,
            self.dram_copy_bytes_per_s,
            self.l2_read_bytes_per_s,
            self.shared_read_bytes_per_s,
            self.launch_ns,
        ];
        let flops = self.fma_flops.iter().chain(&self.tensor_flops).map(|rate| rate.flops_per_s);
        !self.fma_flops.is_empty()
            && rates.into_iter().chain(flops).all(|rate| rate.is_finite() && rate > 0.0)
    }

    /// FMA rate of a type in flop/s; of a type that was not measured, that of `f32`. Half precision counts by pairs.
    pub fn fma_rate(&self, dtype: &str) -> f64 {
        let name = match dtype {
            "f16" | "bf16" => "f16x2",
            other => other,
        };
        rate(&self.fma_flops, name).or_else(|| rate(&self.fma_flops, "f32")).unwrap_or(f64::INFINITY)
    }

    /// Tensor-core rate by type of the operands in flop/s; of a type that was not measured, the best there is.
    pub fn tensor_rate(&self, dtype: &str) -> f64 {
        let name = if dtype == "f32" { "tf32" } else { dtype };
        let best = || self.tensor_flops.iter().map(|rate| rate.flops_per_s).reduce(f64::max);
        rate(&self.tensor_flops, name).or_else(best).unwrap_or(f64::INFINITY)
    }

    /// Least time of moving `read` bytes from device memory and `written` to it, in ns, when no input is in the L2 cache
    /// at first. Writes that it holds reach memory after the kernel.
    pub fn stream_ns(&self, read: u64, written: u64) -> f64 {
        let drained = if written > self.facts.l2_bytes { written } else { 0 };
        let paired = 2.0 * read.min(drained) as f64;
        let (reads, writes) = (read.saturating_sub(drained) as f64, drained.saturating_sub(read) as f64);
        let memory = (paired + writes) / self.dram_copy_bytes_per_s + reads / self.dram_read_bytes_per_s;
        1e9 * memory.max(read.saturating_add(written) as f64 / self.l2_read_bytes_per_s)
    }
}

fn rate(rates: &[Rate], dtype: &str) -> Option<f64> {
    rates.iter().find(|rate| rate.dtype == dtype).map(|rate| rate.flops_per_s)
}
