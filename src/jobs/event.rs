//! The one event stream: console, log, resumption and report are all made from it.

use kinstr_runtime::gpu::Activity;
use kinstr_trace::{
    device::{DeviceFacts, DevicePeaks, DeviceState, KernelResources},
    peaks::Peaks,
    port_model::HotBlock,
    probe_costs::CalibratedProbe,
    report::{Correctness, Estimate, Fault, LayerStatus, Provenance, Speedup, SystemSummary, Times, Verdict},
    sites::Place,
    surroundings::{EventCounts, FlushedTime, SystemCounts},
    synthesis::{Certificate, ProblemBuffer},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A stage of an evaluation, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Problem and candidate are read and fit each other.
    Load,
    /// Candidate to LLVM dialect to machine code, in all builds.
    Build,
    /// Outputs against the reference's.
    Check,
    /// Times against the reference's.
    Measure,
    /// Peaks of the device.
    Peaks,
    /// What a candidate in Python launches with Triton, launched again.
    Replay,
    /// Records of the counting build, and the port model of the loops that they show to be hot.
    Counters,
    /// Records of the observing build.
    Observe,
    /// The clean build with events counted, with cold caches, with denormals flushed.
    System,
    /// Records of the timing build, and the certificate.
    Probes,
}

impl Stage {
    /// Kebab-case name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Build => "build",
            Self::Check => "check",
            Self::Measure => "measure",
            Self::Peaks => "peaks",
            Self::Replay => "replay",
            Self::Counters => "counters",
            Self::System => "system",
            Self::Observe => "observe",
            Self::Probes => "probes",
        }
    }
}

/// One thing that happened. The report is a pure fold of these and of the record files they name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// The evaluation began.
    Began {
        /// Digest of everything it depends on; a run with another one starts over.
        digest: String,
        /// Candidate as the user named it.
        candidate: String,
        /// Problem's name, or its path until it is read.
        problem: String,
        /// Target.
        target: String,
        /// Versions, device, digests, date.
        provenance: Provenance,
    },
    /// An attempt at a stage began.
    StageBegan {
        /// Stage.
        stage: Stage,
        /// From 1.
        attempt: u32,
    },
    /// An attempt at a stage ended.
    StageEnded {
        /// Stage.
        stage: Stage,
        /// From 1.
        attempt: u32,
        /// Wall time.
        wall_ms: f64,
        /// Digest of the stage's inputs, where its artifact is kept.
        digest: Option<String>,
        /// True if the artifact was there already.
        reused: bool,
        /// Who failed it, and how.
        failure: Option<Failure>,
    },
    /// The problem was read.
    Loaded {
        /// Problem's name.
        problem: String,
        /// Workloads in order.
        workloads: Vec<LoadedWorkload>,
    },
    /// A workload was compared with the reference.
    Checked {
        /// Workload.
        workload: usize,
        /// The comparison.
        correctness: Correctness,
    },
    /// A workload was timed.
    Measured {
        /// Workload.
        workload: usize,
        /// Clean times.
        times: Times,
        /// Over the reference.
        speedup: Option<Speedup>,
        /// Over what `torch.compile` makes of it.
        #[serde(default)]
        over_compiled: Option<Speedup>,
    },
    /// The peaks of the device.
    Peaks {
        /// They are.
        peaks: Peaks,
    },
    /// The device that everything runs on, if it is one.
    Device {
        /// Its limits.
        facts: DeviceFacts,
    },
    /// The peaks of that device.
    DevicePeaks {
        /// They are.
        peaks: DevicePeaks,
    },
    /// What the kernels of a build need, as its assembler says.
    Kernels {
        /// Which build.
        build: BuildKind,
        /// They.
        resources: Vec<KernelResources>,
    },
    /// The state of the device before and after a workload was timed on it.
    DeviceStates {
        /// Workload.
        workload: usize,
        /// Before and after.
        states: [DeviceState; 2],
    },
    /// What calls of a build asked of the device.
    Launched {
        /// Workload.
        workload: usize,
        /// Which build.
        build: BuildKind,
        /// Launches and host calls.
        activity: Activity,
    },
    /// The timing sites that fit the overhead budget were chosen.
    SitesChosen {
        /// The budget, as part of the clean time.
        budget: f64,
        /// Sites there are.
        sites: usize,
        /// Keys of those that stay.
        kept: Vec<String>,
        /// The others, those first that tell most for their cost.
        left_out: Vec<LeftOut>,
    },
    /// A build left records.
    Recorded {
        /// Workload.
        workload: usize,
        /// What kind of build.
        kind: RecordKind,
        /// Record file, beside the events.
        records: String,
        /// Site table, beside the events.
        sites: String,
    },
    /// What timing probes cost on the device, all workloads alike.
    Calibrated {
        /// By kind, memory and load.
        costs: Vec<CalibratedProbe>,
    },
    /// What instrumentation did to a workload.
    Certified {
        /// Workload.
        workload: usize,
        /// It.
        certificate: Certificate,
    },
    /// What the system did around the timed calls of a workload.
    SystemCounted {
        /// Workload.
        workload: usize,
        /// It.
        counts: SystemCounts,
    },
    /// A workload was timed with cold caches.
    Cold {
        /// Workload.
        workload: usize,
        /// Time of a call.
        estimate: Estimate,
    },
    /// A workload was timed with denormals flushed.
    Flushed {
        /// Workload.
        workload: usize,
        /// Both times.
        times: FlushedTime,
    },
    /// Events were counted while a workload ran.
    EventsCounted {
        /// Workload.
        workload: usize,
        /// They.
        counts: EventCounts,
    },
    /// The port model of a workload's hottest loops.
    HotBlocks {
        /// Workload.
        workload: usize,
        /// Hottest first.
        blocks: Vec<HotBlock>,
        /// Hot code that could not be modelled, one sentence each.
        left_out: Vec<String>,
    },
    /// What happened around the kernel, all workloads together.
    System {
        /// It.
        summary: SystemSummary,
    },
    /// A layer's status.
    Layer {
        /// Layer.
        name: String,
        /// Status.
        status: LayerStatus,
    },
    /// Something a reader should know.
    Note {
        /// It.
        text: String,
    },
    /// The answer. Nothing that matters to it comes after.
    Judged {
        /// Answer.
        verdict: Verdict,
        /// Why.
        detail: String,
        /// Who is to blame if a stage failed.
        fault: Option<Fault>,
    },
}

/// A timing site that is too dear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Source position.
    pub place: Option<Place>,
    /// Times it is entered in a launch, on the workload where that is most.
    pub entries: u64,
    /// What it would cost, as part of the clean time, on the workload where that is most.
    pub cost: f64,
}

/// Which build left records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// Timing build.
    Timing,
    /// Timing build with all of its sites, where some did not fit the overhead budget.
    Pilot,
    /// Counting build.
    Counting,
    /// Observing build.
    Observing,
}

/// A build of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildKind {
    /// Without probes.
    Clean,
    /// With timing probes.
    Timing,
    /// With all timing probes, where some did not fit the overhead budget.
    Pilot,
    /// With counting probes.
    Counting,
    /// With observing probes.
    Observing,
}

/// One workload of a problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadedWorkload {
    /// Axis values.
    pub axes: BTreeMap<String, u64>,
    /// Inputs, then outputs.
    pub buffers: Vec<ProblemBuffer>,
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Who.
    pub fault: Fault,
    /// Stable kind, kebab-case, e.g. `timed-out`, `out-of-bounds`.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// The message, and what to do about it.
    pub fn with_hint(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.message),
            None => self.message.clone(),
        }
    }
}
