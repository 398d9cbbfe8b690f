//! What events say of a device, joined into a table for each workload once all of them are known.

use super::super::event::{BuildKind, RecordKind};
use kinstr_runtime::gpu::Activity;
use kinstr_trace::{
    device::{DeviceFacts, DeviceInputs, DeviceRecords, DeviceTable, KernelResources},
    probe_costs::ProbeCosts,
    sites::SiteTable,
    tables::Trace,
};
use std::collections::BTreeMap;

/// What is known of the device, and of each workload on it.
#[derive(Default)]
pub(super) struct Device {
    facts: Option<DeviceFacts>,
    resources: Vec<KernelResources>,
    workloads: BTreeMap<usize, OnDevice>,
}

#[derive(Default)]
struct OnDevice {
    clean: Activity,
    timing: Instrumented,
    pilot: Instrumented,
    counting: Instrumented,
    observing: Instrumented,
}

/// What one instrumented build left.
#[derive(Default)]
struct Instrumented {
    activity: Activity,
    records: Option<(Trace, SiteTable)>,
}

impl Instrumented {
    fn records(&self) -> Option<DeviceRecords<'_>> {
        let (trace, sites) = self.records.as_ref()?;
        Some(DeviceRecords { trace, sites, launches: &self.activity.launches })
    }
}

impl Device {
    /// True if the evaluation runs on a device.
    pub(super) fn is_there(&self) -> bool {
        self.facts.is_some()
    }

    pub(super) fn is(&mut self, facts: &DeviceFacts) {
        self.facts = Some(facts.clone());
    }

    pub(super) fn has_kernels(&mut self, build: BuildKind, resources: &[KernelResources]) {
        if build == BuildKind::Clean {
            self.resources = resources.to_vec();
        }
    }

    pub(super) fn launched(&mut self, workload: usize, build: BuildKind, activity: &Activity) {
        let entry = self.workloads.entry(workload).or_default();
        let place = match build {
            BuildKind::Clean => &mut entry.clean,
            BuildKind::Timing => &mut entry.timing.activity,
            BuildKind::Pilot => &mut entry.pilot.activity,
            BuildKind::Counting => &mut entry.counting.activity,
            BuildKind::Observing => &mut entry.observing.activity,
        };
        *place = activity.clone();
    }

    pub(super) fn recorded(&mut self, workload: usize, kind: RecordKind, trace: Trace, sites: SiteTable) {
        let entry = self.workloads.entry(workload).or_default();
        let place = match kind {
            RecordKind::Timing => &mut entry.timing,
            RecordKind::Pilot => &mut entry.pilot,
            RecordKind::Counting => &mut entry.counting,
            RecordKind::Observing => &mut entry.observing,
        };
        place.records = Some((trace, sites));
    }

    /// The table of a workload whose call takes `clean_ns`, if it ran on a device.
    pub(super) fn table(&self, workload: usize, clean_ns: f64, costs: ProbeCosts) -> Option<DeviceTable> {
        let (facts, known) = (self.facts.as_ref()?, self.workloads.get(&workload)?);
        let driver = &known.clean.kernels;
        Some(DeviceTable::build(&DeviceInputs {
            facts: facts.clone(),
            clean_ns,
            calls: known.clean.calls,
            launches: &known.clean.launches,
            host_calls: &known.clean.host_calls,
            // What `ptxas` said tells of spills too.
            resources: if self.resources.is_empty() { driver } else { &self.resources },
            timing: known.timing.records(),
            pilot: known.pilot.records(),
            costs,
            counting: known.counting.records(),
            observing: known.observing.records(),
        }))
    }

    /// What was not taken down of a workload, in sentences.
    pub(super) fn losses(&self, workload: usize) -> Vec<String> {
        let Some(known) = self.workloads.get(&workload) else { return Vec::new() };
        let (launches, calls) = (known.clean.launches_lost, known.clean.host_calls_lost);
        let sentence = |count: u64, what: &str| {
            (count > 0).then(|| format!("workload {workload}: {count} further {what} were not taken down"))
        };
        [sentence(launches, "launches"), sentence(calls, "host calls")].into_iter().flatten().collect()
    }
}
