//! What a [`DeviceTable`](super::DeviceTable) is made from.

use super::{DeviceFacts, HostCall, KernelResources, Launch};
use crate::probe_costs::ProbeCosts;
use crate::sites::SiteTable;
use crate::tables::Trace;

/// What is known of one workload on a GPU. What is not known is empty or absent, and so is what follows from it.
#[derive(Debug, Clone, Default)]
pub struct DeviceInputs<'a> {
    /// Limits of the device.
    pub facts: DeviceFacts,
    /// Clean time of one call of the entry, in ns: from the clean build, on the device.
    pub clean_ns: f64,
    /// Calls of the entry that `launches` and `host_calls` cover; they are those of the clean build.
    pub calls: u32,
    /// Launches of these calls, in order.
    pub launches: &'a [Launch],
    /// Calls of the host runtime that these calls made, in order.
    pub host_calls: &'a [HostCall],
    /// What the kernels of the clean build need.
    pub resources: &'a [KernelResources],
    /// Records of the timing build.
    pub timing: Option<DeviceRecords<'a>>,
    /// Records of the timing build with all of its sites, where some did not fit the overhead budget.
    pub pilot: Option<DeviceRecords<'a>>,
    /// What timing probes cost.
    pub costs: ProbeCosts,
    /// Records of the counting build.
    pub counting: Option<DeviceRecords<'a>>,
    /// Records of the observing build.
    pub observing: Option<DeviceRecords<'a>>,
}

/// What one instrumented build left.
#[derive(Debug, Clone, Copy)]
pub struct DeviceRecords<'a> {
    /// Its records.
    pub trace: &'a Trace,
    /// What its sites are.
    pub sites: &'a SiteTable,
    /// Its launches while it recorded, in order.
    pub launches: &'a [Launch],
}
