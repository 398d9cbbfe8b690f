//! From tables to ranked diagnoses. One file in `synthesis/` is one rule; the folder is the registry.

use crate::device::{DevicePeaks, DeviceTable, KernelResources, KernelTable};
use crate::diagnosis::Diagnosis;
use crate::observed::{Accesses, Branches};
use crate::peaks::Peaks;
use crate::port_model::HotBlock;
use crate::report::Estimate;
use crate::roofline::RooflinePoint;
use crate::sites::Place;
use crate::surroundings::{EventCounts, FlushedTime, SystemCounts};
use crate::threads::ParallelRegion;
use crate::work::Work;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything a rule may look at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tables {
    /// What the candidate ran on: rules for something else are silent.
    #[serde(default)]
    pub target: Target,
    /// One entry a workload.
    pub workloads: Vec<WorkloadTable>,
    /// Peaks of the CPU; without them the rules that need them are skipped, and a note says so.
    pub peaks: Option<Peaks>,
    /// Peaks of the GPU, if it is the target.
    #[serde(default)]
    pub device_peaks: Option<DevicePeaks>,
}

/// What a candidate runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A CPU.
    #[default]
    Cpu,
    /// A GPU, with host code on a CPU.
    Gpu,
}

impl Target {
    /// Of a target as users name it: `cpu`, `cuda:0`.
    pub fn of(name: &str) -> Self {
        if name.starts_with("cuda") { Self::Gpu } else { Self::Cpu }
    }
}

impl Tables {
    /// Where `workload` sits under the roof of what it ran on.
    pub fn roofline(&self, workload: &WorkloadTable) -> Option<RooflinePoint> {
        match self.target {
            Target::Cpu => RooflinePoint::of(workload, self.peaks.as_ref()?),
            Target::Gpu => RooflinePoint::of_device(workload, self.device_peaks.as_ref()?),
        }
    }

    /// What `judge` finds in each workload; nothing without peaks.
    fn judge_each(&self, judge: fn(&WorkloadTable, &Peaks) -> Option<Diagnosis>) -> Vec<Diagnosis> {
        let Some(peaks) = &self.peaks else { return vec![] };
        self.workloads.iter().filter_map(|workload| judge(workload, peaks)).collect()
    }
}

/// What is known of one workload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadTable {
    /// Index in the problem.
    pub index: usize,
    /// The entry's buffers: inputs in order, then outputs, as [`crate::sites::Buffer::Argument`] counts.
    pub buffers: Vec<ProblemBuffer>,
    /// Clean time of one launch.
    pub clean: CleanTime,
    /// Median time of the reference, in ns.
    pub reference_ns: Option<f64>,
    /// Exact work, if the counting build ran.
    pub work: Option<Work>,
    /// Time by region, if the timing build ran.
    pub regions: Option<Vec<RegionTime>>,
    /// Time and trips by loop, if the timing build ran.
    pub loops: Option<Vec<LoopTime>>,
    /// What each thread did in each parallel region, if the timing build ran.
    pub parallel: Option<Vec<ParallelRegion>>,
    /// Single accesses, if the observing build ran.
    #[serde(default)]
    pub accesses: Option<Accesses>,
    /// Single branches, if the observing build ran.
    #[serde(default)]
    pub branches: Option<Branches>,
    /// How far the instrumented builds were from the clean one.
    pub certificate: Option<Certificate>,
    /// What the system did around the timed calls.
    pub system: Option<SystemCounts>,
    /// Clean time with cold caches, call by call.
    pub cold: Option<Estimate>,
    /// Clean time with denormal numbers flushed to zero.
    pub flushed: Option<FlushedTime>,
    /// Events that the processor or the system counted, where they are to be had.
    pub events: Option<EventCounts>,
    /// The port model of the hottest loops, hottest first.
    pub hot_blocks: Option<Vec<HotBlock>>,
    /// What the GPU did, if it is the target.
    #[serde(default)]
    pub device: Option<DeviceTable>,
}

/// Clean time of one launch, in ns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CleanTime {
    /// Median.
    pub median_ns: f64,
    /// Lower end of the 95 % confidence interval of the median.
    pub low_ns: f64,
    /// Upper end.
    pub high_ns: f64,
}

/// One buffer of the problem at one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemBuffer {
    /// Position in the entry's signature.
    pub index: u32,
    /// Name in the problem.
    pub name: String,
    /// Input or output.
    pub role: Role,
    /// Element type.
    pub dtype: String,
    /// Elements.
    pub elements: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Whether the kernel reads or writes a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Read.
    Input,
    /// Written.
    Output,
}

/// Time one region took, the cost of the probes subtracted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionTime {
    /// Region's name.
    pub name: String,
    /// Source position.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Launches the times cover.
    pub launches: u32,
    /// Times the region ran, over all launches and units.
    pub calls: u64,
    /// Time in it, over all launches and units.
    pub ns_total: f64,
    /// Of that, the time outside of the regions within it.
    #[serde(default)]
    pub ns_self: f64,
    /// Mean time of one run of it.
    pub ns_per_call: f64,
    /// Time of the shortest run: the one that nothing disturbed.
    #[serde(default)]
    pub ns_shortest: f64,
    /// `ns_self` as part of the kernel's time in the timing build; those of all regions sum to 1 at most.
    pub share: f64,
}

/// Time one loop of the optimised code took, the cost of the probes subtracted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoopTime {
    /// `function:loopN`.
    pub name: String,
    /// Source position.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Loops around it in the function, itself included.
    pub depth: u32,
    /// Launches the times cover.
    pub launches: u32,
    /// Times it was entered, over all launches and units.
    pub entries: u64,
    /// Trips of the optimised loop; each covers several iterations where it was vectorised or unrolled.
    pub trips: u64,
    /// Time in it, over all launches and units.
    pub ns_total: f64,
    /// Of that, the time outside of the timed loops within it.
    pub ns_self: f64,
    /// Mean time of one trip.
    pub ns_per_trip: f64,
    /// `ns_self` as part of the kernel's time in the timing build; those of all loops sum to 1 at most.
    pub share: f64,
}

/// What instrumentation did to the kernel. Time never comes from the instrumented build; this says how
/// much what does come from it may be trusted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Median time of the clean build in ns.
    pub clean_ns: f64,
    /// Median time of the timing build in ns, interleaved with the clean one.
    pub instrumented_ns: f64,
    /// `instrumented_ns / clean_ns`.
    pub ratio: f64,
    /// Machine instructions of the clean build's code.
    pub clean_instructions: Option<u64>,
    /// Machine instructions of the timing build's code.
    pub instrumented_instructions: Option<u64>,
    /// Stack spills of the clean build.
    pub clean_spills: Option<u64>,
    /// Stack spills of the timing build.
    pub instrumented_spills: Option<u64>,
    /// Stack bytes of the clean build's largest frame.
    pub clean_stack_bytes: Option<u64>,
    /// Stack bytes of the timing build's largest frame.
    pub instrumented_stack_bytes: Option<u64>,
    /// Cost of one probe (begin and end together) calibrated in this session, in clock ticks: what the timed interval
    /// includes of it. On a GPU, where it differs by kind, it stands in the report's `probe_costs` instead.
    pub probe_cost_ticks: Option<f64>,
    /// How far that may be off, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probe_cost_error_ticks: Option<f64>,
    /// What one probe adds to the time of the code around it, in clock ticks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probe_around_ticks: Option<f64>,
    /// How far that may be off, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probe_around_error_ticks: Option<f64>,
    /// On a GPU: what an instrumented launch costs the host beyond a clean one, in ns: records back from the device, decoded and
    /// added up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host_ns: Option<f64>,
    /// Whether all outputs were bit-identical to the clean build's.
    pub outputs_identical: Option<bool>,
    /// Lines whose innermost loops are other code than in the clean build, the first [`LISTED_LOOPS`] of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub changed_loops: Vec<LoopChange>,
    /// How many such lines there are.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub changed_loop_lines: u32,
    /// Lines whose innermost loops are the same in instructions, registers and vector width.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unchanged_loop_lines: Option<u32>,
    /// Kernels on a GPU, in both builds.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub kernels: Vec<KernelChange>,
}

/// What a kernel on a GPU needs in both builds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelChange {
    /// In the clean build.
    pub clean: KernelResources,
    /// In the timing build.
    pub instrumented: KernelResources,
    /// Blocks of the timing build that an SM holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instrumented_blocks_per_sm: Option<u32>,
}

impl KernelChange {
    /// Registers a thread that the probes add.
    pub fn registers_added(&self) -> u32 {
        self.instrumented.registers.saturating_sub(self.clean.registers)
    }

    /// Whether the probes make a kernel spill that does not without them.
    pub fn spills(&self) -> bool {
        self.clean.spill_store_bytes == Some(0) && self.instrumented.spill_store_bytes.unwrap_or(0) > 0
    }
}

/// Lines with changed loops that a certificate lists.
pub const LISTED_LOOPS: usize = 8;

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The innermost loops of one source line in both builds, in the order of the code: a vectorised loop and its
/// remainder are two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoopChange {
    /// The line; absent for code without one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// In the clean build.
    pub clean: Vec<LoopCode>,
    /// In the instrumented build.
    pub instrumented: Vec<LoopCode>,
}

/// What the machine code of an innermost loop is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoopCode {
    /// Instructions.
    pub instructions: u64,
    /// Bits of the widest vector register that is used as a vector; 0 for scalar code.
    pub vector_bits: u32,
    /// General registers.
    pub general_registers: u32,
    /// Vector registers.
    pub vector_registers: u32,
}

/// One rule: a file in `synthesis/`, listed by the build script.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Name, from the file's name: the disease, e.g. `redundant-passes`.
    pub name: &'static str,
    /// Stable code, e.g. `KI0004`.
    pub code: &'static str,
    /// What it explains: on another target it is silent.
    pub targets: &'static [Target],
    /// What it cannot do without.
    pub needs: &'static [Need],
    /// The rule: a pure function.
    pub diagnose: fn(&Tables) -> Vec<Diagnosis>,
    source: &'static str,
}

/// A part of the tables that a rule cannot do without; where it says of at least one workload, that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// [`Tables::peaks`], or [`Tables::device_peaks`] of a GPU.
    Peaks,
    /// [`WorkloadTable::work`], or that of a GPU's kernels.
    Work,
    /// [`WorkloadTable::parallel`], which is empty where the code starts no threads; on a GPU, when blocks ran.
    Threads,
    /// [`WorkloadTable::hot_blocks`].
    HotBlocks,
    /// [`WorkloadTable::system`].
    System,
    /// [`WorkloadTable::flushed`].
    Flushed,
    /// [`WorkloadTable::accesses`], or those of a GPU's kernels.
    Accesses,
    /// [`WorkloadTable::branches`], or those of a GPU's kernels.
    Branches,
    /// [`WorkloadTable::device`] with kernels.
    Kernels,
    /// Times of a kernel's warps in its loops and waits.
    WarpTimes,
    /// What the host code called.
    HostCalls,
}

impl Need {
    /// What is missing of it.
    fn name(self) -> &'static str {
        match self {
            Self::Peaks => "measured peaks",
            Self::Work => "block counts",
            Self::Threads => "thread times",
            Self::HotBlocks => "port model of the hot loops",
            Self::System => "system counts",
            Self::Flushed => "time with denormals flushed",
            Self::Accesses => "observed accesses",
            Self::Branches => "observed branches",
            Self::Kernels => "launches of kernels",
            Self::WarpTimes => "times of warps",
            Self::HostCalls => "host calls",
        }
    }

    /// Whether `tables` have it.
    fn is_met(self, tables: &Tables) -> bool {
        let any = |has: fn(&WorkloadTable) -> bool| tables.workloads.iter().any(has);
        match self {
            Self::Peaks if tables.target == Target::Gpu => tables.device_peaks.is_some(),
            Self::Peaks => tables.peaks.is_some(),
            Self::Work => any(|w| w.work.is_some() || w.device.iter().any(|device| device.work.is_some())),
            Self::Threads => {
                any(|w| w.parallel.is_some() || w.has_kernel(|kernel| kernel.timeline.is_some()))
            }
            Self::HotBlocks => any(|w| w.hot_blocks.is_some()),
            Self::System => any(|w| w.system.is_some()),
            Self::Flushed => any(|w| w.flushed.is_some()),
            Self::Accesses => {
                any(|w| w.accesses.is_some() || w.has_kernel(|kernel| kernel.accesses.is_some()))
            }
            Self::Branches => {
                any(|w| w.branches.is_some() || w.has_kernel(|kernel| kernel.branches.is_some()))
            }
            Self::Kernels => any(|w| w.has_kernel(|_| true)),
            Self::WarpTimes => any(|w| w.has_kernel(|kernel| kernel.sites.is_some())),
            Self::HostCalls => any(|w| w.device.iter().any(|device| device.host.is_some())),
        }
    }
}

impl WorkloadTable {
    /// Whether a GPU ran a kernel of which `has` holds.
    fn has_kernel(&self, has: fn(&KernelTable) -> bool) -> bool {
        self.device.iter().flat_map(|device| &device.kernels).any(has)
    }
}

impl Rule {
    /// The rule's documentation as Markdown, from the header of its file: what `kinstr explain` prints.
    pub fn docs(&self) -> String {
        let header = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        let lines: Vec<_> = header.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        lines.join("\n")
    }

    /// Its first sentence.
    pub fn summary(&self) -> String {
        self.docs().lines().next().unwrap_or_default().to_owned()
    }

    /// What the rule needs and `tables` do not have.
    fn missing(&self, tables: &Tables) -> Vec<&'static str> {
        let lacking = self.needs.iter().filter(|need| !need.is_met(tables));
        lacking.map(|need| need.name()).collect()
    }
}

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// All rules, sorted by name.
pub fn rules() -> &'static [Rule] {
    RULES
}

/// What the rules found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Synthesis {
    /// Diagnoses, best first.
    pub diagnoses: Vec<Diagnosis>,
    /// What cannot be true of the peaks or of a workload.
    pub doubts: Vec<String>,
    /// Workloads that no rule explains, and how far from their roof they are.
    pub unexplained: Vec<String>,
    /// Rules that lacked something.
    pub skipped: Vec<Skipped>,
}

/// A rule that was skipped.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// Its name.
    pub rule: &'static str,
    /// What it needs and the tables do not have.
    pub missing: String,
}

impl Synthesis {
    /// Everything but the diagnoses, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        let skipped = |Skipped { rule, missing }: &Skipped| format!("rule `{rule}` skipped: no {missing}");
        let skipped: Vec<String> = self.skipped.iter().map(skipped).collect();
        [self.doubts.as_slice(), &self.unexplained, &skipped].concat()
    }

    /// The notes where no probes ran: the skipped rules in one, for they are nearly all rules, and none on how far from its
    /// roof a workload is.
    pub fn notes_without_probes(&self) -> Vec<String> {
        let mut notes = self.doubts.clone();
        let names: Vec<String> = self.skipped.iter().map(|skipped| format!("`{}`", skipped.rule)).collect();
        if !names.is_empty() {
            notes.push(format!(
                "no probes ran, so that {} rules had too little to go by: {}",
                names.len(),
                names.join(", ")
            ));
        }
        notes
    }
}

/// A diagnosis below this speedup leaves nothing to gain worth naming.
const WORTH: f64 = 1.1;
/// A diagnosis less sure than this does not speak against being at the roof.
const SURE: f64 = 0.5;

/// Runs every rule and ranks what they find by potential times confidence.
pub fn synthesize(tables: &Tables) -> Synthesis {
    let mut synthesis = Synthesis::default();
    for rule in rules().iter().filter(|rule| rule.targets.contains(&tables.target)) {
        let missing = rule.missing(tables);
        if missing.is_empty() {
            synthesis.diagnoses.extend((rule.diagnose)(tables));
        } else {
            let missing = missing.join(" and ");
            synthesis.skipped.push(Skipped { rule: rule.name, missing });
        }
    }
    drop_roof_with_gains(&mut synthesis.diagnoses);
    drop_consequences(&mut synthesis.diagnoses);
    synthesis.diagnoses.sort_by(|a, b| {
        let score = b.score().total_cmp(&a.score());
        score.then(a.workload.cmp(&b.workload)).then_with(|| a.code.cmp(&b.code))
    });
    note_unexplained(tables, &mut synthesis);
    synthesis
}

/// A workload is at its roof only if no other rule is sure of a gain there.
fn drop_roof_with_gains(diagnoses: &mut Vec<Diagnosis>) {
    let gain = |d: &Diagnosis| {
        d.code != at_roofline::CODE && d.potential.speedup >= WORTH && d.confidence.value >= SURE
    };
    let gains: Vec<usize> = diagnoses.iter().filter(|d| gain(d)).map(|d| d.workload).collect();
    diagnoses.retain(|d| d.code != at_roofline::CODE || !gains.contains(&d.workload));
}

/// Rules whose finding is what the first of each pair only follows from, and the gain from which on it does.
///
/// On a CPU: lines that are read because they are written take bandwidth; loads that jump keep a loop from being vectorised;
/// a line that threads take from each other is slow whatever width its elements are written in. On a GPU: sectors of which
/// little is used take bandwidth of both levels; a chain of loads takes what bandwidth it takes; SMs without a block compute
/// nothing; warps wait long for memory where few are there to wait in turns, and an SM without work is one whose warps
/// wait; a grid of tiny launches is small, and its blocks end unevenly.
const CONSEQUENCES: &[(&str, &str, f64)] = &[
    (memory_bandwidth_bound::CODE, write_allocate_bound::CODE, WORTH),
    (memory_bandwidth_bound::CODE, cache_latency_bound::CODE, WORTH),
    (unvectorised::CODE, poor_locality::CODE, 1.5),
    (unvectorised::CODE, cache_latency_bound::CODE, 1.2),
    (unvectorised::CODE, false_sharing::CODE, 1.2),
    (call_overhead::CODE, false_sharing::CODE, 1.2),
    (dependency_bound::CODE, false_sharing::CODE, 1.2),
    (dram_bandwidth_bound::CODE, uncoalesced_access::CODE, WORTH),
    (dram_bandwidth_bound::CODE, occupancy_limited::CODE, WORTH),
    (dram_bandwidth_bound::CODE, barrier_stall::CODE, 1.2),
    (dram_bandwidth_bound::CODE, latency_bound::CODE, WORTH),
    (l2_bound::CODE, uncoalesced_access::CODE, WORTH),
    (l2_bound::CODE, register_spill::CODE, WORTH),
    (compute_bound::CODE, tensor_cores_unused::CODE, WORTH),
    (compute_bound::CODE, register_spill::CODE, WORTH),
    (compute_bound::CODE, divergence::CODE, 1.2),
    (compute_bound::CODE, tail_effect::CODE, 1.2),
    (compute_bound::CODE, load_imbalance::CODE, 1.2),
    (latency_bound::CODE, tail_effect::CODE, 1.2),
    (latency_bound::CODE, load_imbalance::CODE, 1.2),
    (latency_bound::CODE, uncoalesced_access::CODE, 1.2),
    (latency_bound::CODE, bank_conflict::CODE, 1.2),
    (latency_bound::CODE, barrier_stall::CODE, 1.2),
    (latency_bound::CODE, exposed_async_wait::CODE, 1.2),
    (latency_bound::CODE, divergence::CODE, 1.2),
    (latency_bound::CODE, atomic_contention::CODE, 1.2),
    (latency_bound::CODE, register_spill::CODE, 1.2),
    (latency_bound::CODE, launch_bound::CODE, 1.2),
    (latency_bound::CODE, host_sync_bound::CODE, 1.2),
    (latency_bound::CODE, copy_bound::CODE, 1.2),
    (occupancy_limited::CODE, latency_bound::CODE, 1.2),
    (occupancy_limited::CODE, load_imbalance::CODE, 1.2),
    (occupancy_limited::CODE, register_spill::CODE, 1.2),
    (occupancy_limited::CODE, atomic_contention::CODE, 1.2),
    (occupancy_limited::CODE, launch_bound::CODE, 1.2),
    (occupancy_limited::CODE, host_sync_bound::CODE, 1.2),
    (launch_bound::CODE, host_sync_bound::CODE, WORTH),
];

/// Leaves out what follows from another finding on the same workload.
fn drop_consequences(diagnoses: &mut Vec<Diagnosis>) {
    let sure: Vec<(usize, String, f64)> = diagnoses
        .iter()
        .filter(|d| d.confidence.value >= SURE)
        .map(|d| (d.workload, d.code.clone(), d.potential.speedup))
        .collect();
    let follows = |d: &Diagnosis, (code, from, gain): &(&str, &str, f64)| {
        let is_cause = |(workload, found, speedup): &(usize, String, f64)| {
            *workload == d.workload && found == from && speedup >= gain
        };
        d.code == *code && sure.iter().any(is_cause)
    };
    diagnoses.retain(|d| !CONSEQUENCES.iter().any(|pair| follows(d, pair)));
}

fn note_unexplained(tables: &Tables, synthesis: &mut Synthesis) {
    let usable = match tables.target {
        Target::Cpu => tables.peaks.as_ref().map(Peaks::usable),
        Target::Gpu => tables.device_peaks.as_ref().map(DevicePeaks::usable),
    };
    if usable == Some(false) {
        let note = "peaks are not usable: a rate is zero, negative or not a number".to_owned();
        synthesis.doubts.push(note);
    }
    for workload in &tables.workloads {
        let explained = synthesis.diagnoses.iter().any(|d| d.workload == workload.index);
        let Some(point) = tables.roofline(workload) else {
            continue;
        };
        let (index, percent) = (workload.index, point.fraction * 100.0);
        if point.fraction > at_roofline::IMPOSSIBLE {
            synthesis.doubts.push(format!(
                "workload {index} runs at {percent:.0} % of its roof, faster than its inputs can be read and its \
                 outputs written: the kernel does not touch them all, or its time is not to be believed"
            ));
        } else if !explained {
            let note = format!("no rule explains workload {index}, at {percent:.0} % of its roof");
            synthesis.unexplained.push(note);
        }
    }
}
