//! Joins what is known of one workload on a GPU.

use super::{
    DeviceInputs, DeviceRecords, DeviceTable, KernelTable, Launch, counted, host, occupancy, timeline, warps,
    watched,
};
use crate::sites::{ProbeSite, SiteTable};
use crate::work::Work;

impl DeviceTable {
    /// What `inputs` say together: a pure function.
    pub fn build(inputs: &DeviceInputs) -> Self {
        let calls = f64::from(inputs.calls.max(1));
        let mut table = Self {
            clean_ns: inputs.clean_ns,
            kernels: kernels(inputs),
            host: host::summary(inputs.host_calls, calls),
            ..Self::default()
        };
        let records = [inputs.timing, inputs.counting, inputs.observing];
        records.iter().flatten().for_each(|records| table.note_missing(records));
        inputs.timing.iter().for_each(|records| table.note_wrapped(records));
        let watching = [inputs.counting, inputs.observing];
        watching.iter().flatten().for_each(|records| table.note_sampled(records));
        if let Some(records) = &inputs.counting {
            match Work::of_warps(records.trace, records.sites) {
                Ok(work) => table.work = Some(work),
                Err(error) => table.missing.push(format!("the work is not known: {error}")),
            }
        }
        table.rank();
        table
    }

    /// Orders the kernels by their time on the device, and says what part of it each has.
    fn rank(&mut self) {
        let all: f64 = self.kernels.iter().filter_map(|kernel| kernel.device_ns).sum();
        for kernel in &mut self.kernels {
            kernel.share = kernel.device_ns.filter(|_| all > 0.0).map_or(0.0, |ns| ns / all);
        }
        self.kernels.sort_by(|a, b| b.share.total_cmp(&a.share));
    }

    fn note_missing(&mut self, records: &DeviceRecords) {
        for sentence in &records.sites.left_out {
            if !self.missing.contains(sentence) {
                self.missing.push(sentence.clone());
            }
        }
        let without = records.launches.iter().filter(|launch| launch.units == 0).count();
        if without > 0 {
            let all = records.launches.len();
            self.missing
                .push(format!("{without} of {all} launches found no unit left: their warps did not record"));
        }
    }

    fn note_wrapped(&mut self, records: &DeviceRecords) {
        for kernel in &self.kernels {
            if let Some(ns) = wrapped(records, &kernel.kernel) {
                self.missing.push(format!(
                    "a launch of `{}` took {:.1} s, longer than the clocks of warps last, which are kept in 32 bits: when its \
                     blocks ran, and how long its loops and waits took, is not known",
                    kernel.kernel,
                    ns * 1e-9
                ));
            }
        }
    }

    /// Work is added up as it was counted, so that counts of a part of the blocks are said to be just that.
    fn note_sampled(&mut self, records: &DeviceRecords) {
        let shift = records.launches.iter().map(|launch| launch.block_shift).max().unwrap_or(0);
        if shift > 0 {
            self.missing
                .push(format!("one block in {} was counted or observed, not all", 1_u64 << shift.min(63)));
        }
    }

    /// Time of all kernels on the device, in ns; absent if that of one is not known.
    pub fn device_ns(&self) -> Option<f64> {
        let times: Option<Vec<f64>> = self.kernels.iter().map(|kernel| kernel.device_ns).collect();
        times.filter(|times| !times.is_empty()).map(|times| times.iter().sum())
    }
}

/// One entry a kernel, in the order of their first launch.
fn kernels(inputs: &DeviceInputs) -> Vec<KernelTable> {
    // Where the clean build's launches were not taken down, those of another build are the same.
    let others = [inputs.timing, inputs.counting, inputs.observing];
    let mut lists = others.iter().flatten().map(|records| (records.launches, records.trace.launches));
    let (launches, calls) = match inputs.launches {
        [] => lists.find(|(launches, _)| !launches.is_empty()).unwrap_or_default(),
        launches => (launches, inputs.calls),
    };
    let mut names: Vec<&str> = Vec::new();
    for launch in launches {
        if !names.contains(&launch.kernel.as_str()) {
            names.push(&launch.kernel);
        }
    }
    let alone = names.len() == 1;
    names.iter().map(|name| kernel(inputs, &Of { name, alone }, launches, calls)).collect()
}

/// The kernel that something is of.
pub(super) struct Of<'a> {
    pub(super) name: &'a str,
    /// Whether there is no other, so that functions which it calls are of it.
    alone: bool,
}

impl Of<'_> {
    pub(super) fn launch(&self, launch: &Launch) -> bool {
        launch.kernel == self.name
    }

    pub(super) fn site(&self, site: &ProbeSite) -> bool {
        self.alone || site.function == self.name
    }

    pub(super) fn sites<'s>(&self, sites: &'s SiteTable) -> impl Iterator<Item = &'s ProbeSite> {
        sites.sites.iter().filter(move |site| self.site(site))
    }
}

fn kernel(inputs: &DeviceInputs, of: &Of, launches: &[Launch], calls: u32) -> KernelTable {
    let own: Vec<&Launch> = launches.iter().filter(|launch| of.launch(launch)).collect();
    let calls = f64::from(calls.max(1));
    let largest = own.iter().max_by_key(|launch| launch.blocks()).copied().cloned().unwrap_or_default();
    let resources = inputs.resources.iter().find(|row| row.kernel == of.name);
    let timing = inputs.timing.filter(|records| wrapped(records, of.name).is_none());
    let timeline = timing.as_ref().and_then(|records| timeline::of(records, of));
    let launches = own.len() as f64 / calls;
    let on_device: Option<f64> = own.iter().map(|launch| launch.device_ns).sum();
    let spanned = timeline.as_ref().map(|timeline| timeline.span_ns * launches);
    let occupancy = occupancy::of(&inputs.facts, resources, &largest);
    // The mean over all SMs, but those that have a block have all of its warps.
    let warps = occupancy.map_or(1.0, |occupancy| {
        (occupancy.resident * f64::from(occupancy.max_warps)).max(f64::from(occupancy.warps_per_block))
    });
    let cost = |kind| inputs.costs.of(kind, warps);
    KernelTable {
        kernel: of.name.to_owned(),
        place: resources.and_then(|row| row.place.clone()),
        launches,
        grid: largest.grid,
        block: largest.block,
        registers: resources.map(|row| row.registers),
        shared_bytes: resources
            .map_or(0, |row| row.shared_bytes)
            .saturating_add(largest.dynamic_shared_bytes),
        spill_bytes: resources
            .and_then(|row| Some(row.spill_store_bytes?.saturating_add(row.spill_load_bytes?))),
        occupancy,
        device_ns: on_device.map(|ns| ns / calls).or(spanned),
        share: 0.0,
        timeline,
        sites: timing.as_ref().map(|records| warps::shares(records, of, &cost)),
        pilot: inputs.pilot.as_ref().map(|records| warps::shares(records, of, &cost)),
        work: inputs.counting.as_ref().and_then(|records| counted::work(records, of)),
        accesses: inputs.observing.as_ref().map(|records| watched::accesses(records, of)),
        branches: inputs.observing.as_ref().map(|records| watched::branches(records, of)),
    }
}

/// Ticks of a clock that is kept in 32 bits.
const TICKS: f64 = (1_u64 << 32) as f64;
/// Ticks a ns: no GPU's SMs run faster, and what their clocks say of a launch that outlasts them is not to be believed.
const FASTEST: f64 = 3.0;

/// How long the longest launch of `kernel` took that outlasted the clocks of its warps, in ns.
fn wrapped(records: &DeviceRecords, kernel: &str) -> Option<f64> {
    let own = records.launches.iter().filter(|launch| launch.kernel == kernel);
    let longest = own.filter_map(|launch| launch.device_ns).fold(0.0, f64::max);
    (longest * FASTEST >= TICKS).then_some(longest)
}

impl Launch {
    /// Blocks of the grid.
    pub fn blocks(&self) -> u64 {
        self.grid.iter().fold(1, |product, &extent| product.saturating_mul(extent.into()))
    }

    /// Threads of a block.
    pub fn threads(&self) -> u64 {
        self.block.iter().fold(1, |product, &extent| product.saturating_mul(extent.into()))
    }
}
