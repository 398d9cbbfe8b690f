//! What is known of a GPU and of the kernels that were launched on it: from its driver, its host runtime and its warps' records.

mod build;
mod counted;
mod host;
mod inputs;
mod limits;
mod occupancy;
mod subject;
mod table;
mod timeline;
mod warps;
mod watched;

pub use inputs::{DeviceInputs, DeviceRecords};
pub(crate) use limits::Arithmetic;
pub use limits::Limits;
pub use occupancy::WARP;
pub(crate) use subject::{Finding, Subject};
pub use table::{
    AccessTable, BlockTimeline, BranchTable, DeviceTable, HostSummary, KernelTable, KernelWork, Limiter,
    Occupancy, TimedShare,
};
pub use watched::{ACCESS_WORDS, DIVERGENCE_WORDS, SECTOR_BYTES, WAVEFRONT_BYTES};

use crate::sites::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a GPU was doing at a moment, as its management library tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceState {
    /// Clock of the SMs.
    pub sm_clock_mhz: u32,
    /// Clock of the memory.
    pub memory_clock_mhz: u32,
    /// Fastest clock that the SMs have.
    pub most_sm_clock_mhz: u32,
    /// Temperature.
    pub temperature_c: u32,
    /// What kept it from its fastest clock, but for the work it was given: empty if nothing did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slowed_by: Vec<String>,
}

/// What a GPU is: limits that its driver tells, none of them a rate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceFacts {
    /// As the driver calls it, e.g. `NVIDIA H200`.
    pub name: String,
    /// Code generation's name for it, e.g. `sm_90`.
    pub chip: String,
    /// Driver version, e.g. `580.159.04`.
    pub driver: String,
    /// Streaming multiprocessors.
    pub sm_count: u32,
    /// Threads that one SM holds at most.
    pub max_threads_per_sm: u32,
    /// Blocks that one SM holds at most.
    pub max_blocks_per_sm: u32,
    /// 32-bit registers of one SM.
    pub registers_per_sm: u32,
    /// Bytes of shared memory of one SM.
    pub shared_bytes_per_sm: u64,
    /// Bytes of shared memory that one block may ask for.
    pub shared_bytes_per_block: u64,
    /// Threads in a block at most.
    pub max_threads_per_block: u32,
    /// Bytes of the L2 cache.
    pub l2_bytes: u64,
    /// Bytes of device memory.
    pub memory_bytes: u64,
}

/// Measured peaks of one GPU. Nothing here comes from a datasheet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DevicePeaks {
    /// Which device, by name, unit and driver; peaks of another one must not be used.
    pub device: String,
    /// Day of the measurement, `YYYY-MM-DD`.
    pub date: String,
    /// Limits of the device.
    pub facts: DeviceFacts,
    /// Bytes read a second from device memory.
    pub dram_read_bytes_per_s: f64,
    /// Bytes read plus bytes written a second by a copy in device memory.
    pub dram_copy_bytes_per_s: f64,
    /// Bytes read a second of a footprint that the L2 cache holds.
    pub l2_read_bytes_per_s: f64,
    /// Bytes read a second from shared memory, all SMs together.
    pub shared_read_bytes_per_s: f64,
    /// FMA rates in flop/s (an FMA is 2), by type: `f32`, `f64`, `f16x2`.
    pub fma_flops: Vec<Rate>,
    /// Dense tensor-core rates in flop/s, by type of the operands: `f16`, `bf16`, `tf32`.
    pub tensor_flops: Vec<Rate>,
    /// Time from one empty kernel's start to the next one's in a stream, in ns.
    pub launch_ns: f64,
    /// Bytes a second from pinned host memory to the device.
    pub to_device_bytes_per_s: f64,
    /// Bytes a second from the device to pinned host memory.
    pub to_host_bytes_per_s: f64,
    /// Latency of a dependent load from device memory, in ns.
    pub dram_latency_ns: f64,
    /// SM clock while the FMA loops ran, in Hz.
    pub clock_hz: f64,
    /// Operations a second of the units for exponentials, logarithms, reciprocals, roots and sines; absent in measurements of earlier
    /// versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub special_ops_per_s: Option<f64>,
    /// Rates of words that lie apart; absent in measurements of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scattered: Option<Scattered>,
}

/// Words of 4 bytes that lanes touch a second where each has a line of 128 bytes to itself: every one costs the caches a sector, and
/// of a sector that is stored in part the rest has to be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scattered {
    /// Loads of lines that the L2 cache holds, past the L1 cache.
    pub l2_loads_per_s: f64,
    /// Stores to such lines.
    pub l2_stores_per_s: f64,
    /// Loads of lines in device memory.
    pub dram_loads_per_s: f64,
    /// Stores to such lines.
    pub dram_stores_per_s: f64,
}

/// One rate by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Type.
    pub dtype: String,
    /// Operations a second.
    pub flops_per_s: f64,
}

/// What code generation says of one kernel: `ptxas`, or the driver once the kernel is loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KernelResources {
    /// Its symbol.
    pub kernel: String,
    /// Source position of its first line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// 32-bit registers a thread.
    pub registers: u32,
    /// Bytes of static shared memory a block.
    pub shared_bytes: u64,
    /// Bytes of local memory (stack) a thread.
    pub local_bytes: u64,
    /// Bytes of spill stores a thread, where `ptxas` told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spill_store_bytes: Option<u64>,
    /// Bytes of spill loads a thread, where `ptxas` told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spill_load_bytes: Option<u64>,
}

/// One launch of a kernel, as the host runtime saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Launch {
    /// Number since recording began; the units of its warps carry it.
    pub number: u32,
    /// Kernel's symbol.
    pub kernel: String,
    /// Blocks by dimension.
    pub grid: [u32; 3],
    /// Threads of a block by dimension.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub dynamic_shared_bytes: u64,
    /// Stream, numbered from 0 in the order of their first use.
    pub stream: u32,
    /// Time on the device between events around the launch, in ns; absent where it was not taken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device_ns: Option<f64>,
    /// Blocks of one SM at a time that the driver allows for this kernel and block size.
    pub blocks_per_sm: u32,
    /// One block in `1 << block_shift` recorded.
    pub block_shift: u32,
    /// First unit of the launch, if its warps have units of their own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_unit: Option<u32>,
    /// Units of the launch.
    #[serde(default)]
    pub units: u32,
}

/// One call of the host runtime that a candidate's host code made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostCall {
    /// What it is: `launch`, `synchronize`, `copy`, `allocate`, `free`, `set`, `other`.
    pub kind: String,
    /// Bytes that it moved or allocated; 0 for others.
    pub bytes: u64,
    /// When it began, in ns since recording began.
    pub begin_ns: u64,
    /// How long the host was in it, in ns.
    pub host_ns: u64,
}
