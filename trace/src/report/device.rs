//! What a GPU did, as rows of a report.

use crate::device::{
    AccessTable, BlockTimeline, BranchTable, DeviceTable, HostSummary, KernelTable, KernelWork, Occupancy,
    TimedShare,
};
use crate::sites::{AccessKind, Buffer, Place, SiteKind};
use crate::synthesis::WorkloadTable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kernels listed per workload.
const KERNELS: usize = 4;
/// Timed sites listed per workload.
const SITES: usize = 6;
/// Accesses listed per workload.
const ACCESSES: usize = 6;
/// Branches listed per workload.
const BRANCHES: usize = 3;
/// A site with a smaller share of its own than this is not listed.
const LISTED_SHARE: f64 = 0.005;

/// What a GPU did, over all workloads. Absent for other targets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceReport {
    /// Kernels, the one with the most time first within a workload.
    pub kernels: Vec<KernelRow>,
    /// Loops, regions and waits of kernels, the one with the most time of its own first within a workload.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub timed: Vec<TimedRow>,
    /// Loads, stores and atomics, those that move most beyond what they need first within a workload.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub accesses: Vec<DeviceAccess>,
    /// Branches, those that split warps most often first within a workload.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub branches: Vec<DeviceBranch>,
    /// What the host code did, one entry a workload.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub host: Vec<HostRow>,
}

/// A kernel in one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelRow {
    /// Workload.
    pub workload: usize,
    /// Its symbol.
    pub kernel: String,
    /// Source position.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Launches a call.
    pub launches: f64,
    /// Blocks by dimension.
    pub grid: [u32; 3],
    /// Threads of a block by dimension.
    pub block: [u32; 3],
    /// 32-bit registers a thread.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub registers: Option<u32>,
    /// Bytes of shared memory a block.
    pub shared_bytes: u64,
    /// Bytes of spill stores and loads a thread.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spill_bytes: Option<u64>,
    /// Warps that an SM holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub occupancy: Option<Occupancy>,
    /// Time on the device, in ns.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device_ns: Option<f64>,
    /// Part of the time of all kernels, 0 to 1.
    pub share: f64,
    /// When its blocks ran.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeline: Option<BlockTimeline>,
    /// What it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub work: Option<KernelWork>,
}

/// Time of the warps in one site of a kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimedRow {
    /// Workload.
    pub workload: usize,
    /// Kernel.
    pub kernel: String,
    /// Its time.
    #[serde(flatten)]
    pub time: TimedShare,
}

/// Accesses of one line of a kernel to one buffer, in one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceAccess {
    /// Workload.
    pub workload: usize,
    /// Kernel.
    pub kernel: String,
    /// Source line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Memory object.
    pub buffer: Buffer,
    /// Load or store.
    pub kind: AccessKind,
    /// True for atomics.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub atomic: bool,
    /// Times that a warp ran it.
    pub executions: u64,
    /// Bytes that lanes asked for.
    pub bytes: u64,
    /// Sectors of 32 bytes, or wavefronts of shared memory, that one execution takes on average.
    pub parts_each: f64,
    /// The least that its bytes need of them.
    pub ideal_each: f64,
    /// Lanes of a warp on one address, at most, on average.
    pub lanes_on_one_address: f64,
}

/// One branch of a kernel, in one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceBranch {
    /// Workload.
    pub workload: usize,
    /// `function:block`.
    pub name: String,
    /// Source line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Times that a warp ran it.
    pub executions: u64,
    /// Part of the lanes for which its condition held.
    pub taken: f64,
    /// Part of the executions in which it held for some lanes and not for others.
    pub split: f64,
}

/// What the host code did in one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostRow {
    /// Workload.
    pub workload: usize,
    /// It.
    #[serde(flatten)]
    pub calls: HostSummary,
}

impl DeviceReport {
    /// Of all workloads that ran on a GPU; `None` if none did.
    pub fn of(workloads: &[WorkloadTable]) -> Option<Self> {
        let tables: Vec<_> =
            workloads.iter().filter_map(|table| Some((table.index, table.device.as_ref()?))).collect();
        let mut report = Self::default();
        tables.iter().for_each(|(workload, table)| report.add(*workload, table));
        (!tables.is_empty()).then_some(report)
    }

    fn add(&mut self, workload: usize, table: &DeviceTable) {
        self.kernels.extend(table.kernels.iter().take(KERNELS).map(|kernel| KernelRow::of(workload, kernel)));
        let timed = rows(table, |kernel| kernel.sites.as_deref());
        let mut timed: Vec<TimedRow> = timed
            .filter(|(_, site)| listed_share(site) >= LISTED_SHARE)
            .map(|(kernel, time)| TimedRow { workload, kernel: kernel.kernel.clone(), time: time.clone() })
            .collect();
        timed.sort_by(|a, b| b.time.own_share.total_cmp(&a.time.own_share));
        self.timed.extend(timed.into_iter().take(SITES));
        let mut accesses: Vec<_> = rows(table, |kernel| kernel.accesses.as_deref()).collect();
        accesses.sort_by_key(|(_, row)| {
            std::cmp::Reverse((row.parts.saturating_sub(row.ideal_parts), row.bytes))
        });
        let access = |(kernel, row): (&KernelTable, &AccessTable)| DeviceAccess::of(workload, kernel, row);
        self.accesses.extend(accesses.into_iter().take(ACCESSES).map(access));
        let mut branches: Vec<_> = rows(table, |kernel| kernel.branches.as_deref()).collect();
        branches.sort_by_key(|(_, row)| std::cmp::Reverse((row.mixed, row.executions)));
        self.branches
            .extend(branches.into_iter().take(BRANCHES).map(|(_, row)| DeviceBranch::of(workload, row)));
        self.host.extend(table.host.map(|calls| HostRow { workload, calls }));
    }
}

/// Share that says whether a timed site is listed: its own; of a region, which somebody asked for, also that of the loops within.
fn listed_share(site: &TimedShare) -> f64 {
    if site.kind == SiteKind::Region { site.share } else { site.own_share }
}

/// What `of` says of each kernel, with the kernel.
fn rows<'t, Row: 't>(
    table: &'t DeviceTable,
    of: fn(&KernelTable) -> Option<&[Row]>,
) -> impl Iterator<Item = (&'t KernelTable, &'t Row)> {
    table
        .kernels
        .iter()
        .flat_map(move |kernel| of(kernel).unwrap_or_default().iter().map(move |row| (kernel, row)))
}

impl KernelRow {
    fn of(workload: usize, kernel: &KernelTable) -> Self {
        Self {
            workload,
            kernel: kernel.kernel.clone(),
            place: kernel.place.clone(),
            launches: kernel.launches,
            grid: kernel.grid,
            block: kernel.block,
            registers: kernel.registers,
            shared_bytes: kernel.shared_bytes,
            spill_bytes: kernel.spill_bytes,
            occupancy: kernel.occupancy,
            device_ns: kernel.device_ns,
            share: kernel.share,
            timeline: kernel.timeline.clone(),
            work: kernel.work.clone(),
        }
    }
}

impl DeviceAccess {
    fn of(workload: usize, kernel: &KernelTable, row: &AccessTable) -> Self {
        let each = |amount: u64| amount as f64 / row.executions.max(1) as f64;
        Self {
            workload,
            kernel: kernel.kernel.clone(),
            place: row.place.clone(),
            buffer: row.buffer.clone(),
            kind: row.kind,
            atomic: row.atomic,
            executions: row.executions,
            bytes: row.bytes,
            parts_each: each(row.parts),
            ideal_each: each(row.ideal_parts),
            lanes_on_one_address: each(row.same_address),
        }
    }
}

impl DeviceBranch {
    fn of(workload: usize, row: &BranchTable) -> Self {
        Self {
            workload,
            name: row.name.clone(),
            place: row.place.clone(),
            executions: row.executions,
            taken: row.taken as f64 / row.lanes.max(1) as f64,
            split: row.mixed as f64 / row.executions.max(1) as f64,
        }
    }
}
