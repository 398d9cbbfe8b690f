//! What a GPU did for one workload.

use super::WARP;
use crate::sites::{AccessKind, AddressSource, Buffer, Place, SiteKind};
use crate::work::Work;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a GPU did for one workload. Amounts and times are those of one call of the entry, all launches together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceTable {
    /// Clean time of one call, in ns.
    pub clean_ns: f64,
    /// Kernels, the one with the most time on the device first.
    pub kernels: Vec<KernelTable>,
    /// What the host code of the candidate did; absent if the runtime saw nothing of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<HostSummary>,
    /// Exact work of all kernels, if the counting build ran.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub work: Option<Work>,
    /// What is missing of the records, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub missing: Vec<String>,
}

/// One kernel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelTable {
    /// Its symbol.
    pub kernel: String,
    /// Source position of its first line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Launches a call.
    pub launches: f64,
    /// Blocks by dimension, of the launch with the most blocks.
    pub grid: [u32; 3],
    /// Threads of a block by dimension, of the same launch.
    pub block: [u32; 3],
    /// 32-bit registers a thread; absent where nobody told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub registers: Option<u32>,
    /// Bytes of shared memory a block, static and dynamic.
    pub shared_bytes: u64,
    /// Bytes of spill stores and loads a thread, each counted once however often it runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spill_bytes: Option<u64>,
    /// How many warps an SM holds; absent without limits of the device.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub occupancy: Option<Occupancy>,
    /// Time on the device, in ns: from events around the launches of the clean build, else from the headers of the timing
    /// build's warps; absent where neither is there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device_ns: Option<f64>,
    /// `device_ns` as part of that of all kernels.
    pub share: f64,
    /// When its blocks ran, if the timing build ran.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeline: Option<BlockTimeline>,
    /// Timed sites, the one with the most time of its own first; absent if the timing build did not run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sites: Option<Vec<TimedShare>>,
    /// The same of all timed sites, from a build that they slow down, where some did not fit the overhead budget.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pilot: Option<Vec<TimedShare>>,
    /// Exact work, if the counting build ran.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub work: Option<KernelWork>,
    /// Loads, stores and atomics, in the order of the code; absent if the observing build did not run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accesses: Option<Vec<AccessTable>>,
    /// Conditional branches, in the order of the code; absent if the observing build did not run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub branches: Option<Vec<BranchTable>>,
}

impl KernelTable {
    /// Warps of all its launches in one call, if they are as large as the largest.
    pub fn warps(&self) -> f64 {
        let product = |extents: [u32; 3]| extents.iter().map(|extent| f64::from(*extent)).product::<f64>();
        self.launches * product(self.grid) * (product(self.block) / WARP as f64).ceil()
    }
}

/// How many warps an SM holds of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Occupancy {
    /// Blocks that an SM holds at once.
    pub blocks_per_sm: u32,
    /// Warps of a block.
    pub warps_per_block: u32,
    /// Warps that an SM could hold.
    pub max_warps: u32,
    /// Warps that an SM holds, as part of those that it could.
    pub theoretical: f64,
    /// Warps resident on all SMs at most, as part of those that they could hold: below `theoretical` where the grid is
    /// too small to fill them once.
    pub resident: f64,
    /// What keeps `resident` from being higher.
    pub limiter: Limiter,
    /// Blocks over those that all SMs hold at once: how often they are filled.
    pub waves: f64,
}

/// What limits the warps that are resident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Limiter {
    /// Nothing: SMs are full.
    None,
    /// Registers of a thread.
    Registers,
    /// Shared memory of a block.
    SharedMemory,
    /// Threads of a block: too few for the blocks that an SM holds, or a number that does not divide its threads.
    BlockSize,
    /// Blocks of the grid: too few for all SMs.
    Grid,
}

/// When the blocks of a kernel ran, by the headers of the warps that recorded. Means are over the launches that recorded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlockTimeline {
    /// Blocks that recorded, over all launches.
    pub blocks: u64,
    /// One block in this many recorded.
    pub one_in: u64,
    /// Time from the first block's start to the last one's end, in ns: mean of a launch.
    pub span_ns: f64,
    /// Duration of a block, in ns: mean.
    pub mean_ns: f64,
    /// Median.
    pub median_ns: f64,
    /// Longest.
    pub longest_ns: f64,
    /// Blocks that ran at once in the busiest 32nd of the span, of those that recorded: mean of a launch.
    pub at_once: f64,
    /// Time of `at_once` places in which no block ran once the grid had none left to fill them with, as part of the span:
    /// mean of a launch.
    pub idle: f64,
    /// Part of the span, at its end, in which fewer than half of `at_once` blocks ran: mean of a launch.
    pub tail: f64,
    /// SMs that ran a block that recorded.
    pub sms: u32,
    /// Busiest SM's time with a block over the mean SM's, worst launch; 1 is even.
    pub sm_imbalance: f64,
    /// Clock of the SMs while the kernel ran, in Hz; 0 where clocks do not tell.
    pub clock_hz: f64,
}

/// Time of the warps in one timed site of a kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimedShare {
    /// Label for people.
    pub name: String,
    /// What it is.
    pub kind: SiteKind,
    /// Source position.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Times a warp entered it, all warps that recorded together.
    pub entries: u64,
    /// Trips, of a loop that counts them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trips: Option<u64>,
    /// Mean time of a warp in one entry, in ns, without what probes cost.
    pub ns_per_entry: f64,
    /// Time in it as part of the warps' time in the kernel.
    pub share: f64,
    /// Of that, the part outside of timed sites within it.
    pub own_share: f64,
}

/// What a kernel did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelWork {
    /// Instructions that warps executed, of the optimised code.
    pub warp_instructions: u64,
    /// Lanes that were active, as part of those that warps have, over the instructions.
    pub active_lanes: f64,
    /// Instruction mix: integer arithmetic as part of `warp_instructions`.
    pub integer_share: f64,
    /// Floating-point operations outside of tensor cores.
    pub flops: u64,
    /// Floating-point operations of tensor cores.
    pub tensor_flops: u64,
    /// Bytes that threads loaded from memory outside of the block.
    pub global_loaded: u64,
    /// Bytes that threads stored there, atomics included.
    pub global_stored: u64,
    /// Bytes that threads loaded from or stored to shared memory.
    pub shared_bytes: u64,
}

/// One load, store or atomic of a kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccessTable {
    /// Source line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Memory object.
    pub buffer: Buffer,
    /// What it does.
    pub kind: AccessKind,
    /// True for an atomic, which reads and writes as one.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub atomic: bool,
    /// What its address is computed from.
    pub address: AddressSource,
    /// Loops around it.
    pub loop_depth: u32,
    /// Times that a warp ran it.
    pub executions: u64,
    /// Lanes that were active, all executions together.
    pub lanes: u64,
    /// Bytes that these lanes asked for.
    pub bytes: u64,
    /// 32-byte sectors that warps touched; of shared memory, wavefronts: the most distinct words on one bank.
    pub parts: u64,
    /// The least that these bytes need of them, had each execution's lanes stood side by side.
    pub ideal_parts: u64,
    /// Most lanes of a warp on one address, summed over executions.
    pub same_address: u64,
}

impl AccessTable {
    /// What it does, in a word.
    pub const fn verb(&self) -> &'static str {
        if self.atomic { "atomic" } else { self.kind.verb() }
    }

    /// Whether it goes through the caches to memory that all threads see.
    pub fn is_global(&self) -> bool {
        !matches!(self.buffer, Buffer::Shared | Buffer::Stack)
    }
}

/// One conditional branch of a kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BranchTable {
    /// `function:block`.
    pub name: String,
    /// Source line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Loops around it.
    pub loop_depth: u32,
    /// Times that a warp ran it.
    pub executions: u64,
    /// Lanes that were active, all executions together.
    pub lanes: u64,
    /// Lanes for which the condition held.
    pub taken: u64,
    /// Executions in which it held for some lanes and not for others.
    pub mixed: u64,
}

/// What the host code did around the kernels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostSummary {
    /// Launches.
    pub launches: f64,
    /// Waits for the device.
    pub synchronisations: f64,
    /// Copies, and bytes of them.
    pub copies: f64,
    /// Bytes copied.
    pub copied_bytes: f64,
    /// Allocations and releases of device memory.
    pub allocations: f64,
    /// Time of the host in launches, in ns.
    pub launch_ns: f64,
    /// In waits for the device.
    pub synchronise_ns: f64,
    /// In copies and fills.
    pub copy_ns: f64,
    /// In allocations and releases.
    pub allocate_ns: f64,
    /// In other calls of the runtime.
    pub other_ns: f64,
    /// Between calls of the runtime: the host's own code.
    pub between_ns: f64,
    /// From a wait's end to the next launch's end, summed: the device has nothing to do, as far as the host knows.
    pub restart_ns: f64,
}
