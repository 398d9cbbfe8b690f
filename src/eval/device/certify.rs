//! Probes: the timing build in turns with the clean one, its records, and the certificate.

use super::{
    super::{
        arguments::digest_outputs,
        budget,
        choice::{Pilot, choose},
        failure::Stop,
        records::available,
        session::{Done, Session},
    },
    calibrate,
    crew::Duty,
    records::{Recorded, Sharing, keep_all, record},
};
use crate::{
    builds::{Build, Builds},
    correctness::{OTHER_POISON, POISON},
    jobs::event::{Event, RecordKind},
    measure::{DeviceTimed, Interval, Measurement, Plan, interleave_on_device},
    reference::Reference,
    store::write_atomically,
    worker::{Fault, Worker},
};
use kinstr_runtime::gpu::Activity;
use kinstr_trace::{
    decode::decode,
    device::{DeviceInputs, DeviceRecords, DeviceTable, KernelResources},
    perfetto,
    probe_costs::ProbeCosts,
    regions::ProbeCost,
    report::LayerStatus,
    sites::{SiteKind, SiteTable},
    synthesis::{Certificate, KernelChange},
};
use std::{
    io::Cursor,
    time::{Duration, Instant},
};

/// Part of the budget for timing the instrumented build against the clean one.
const SHARE: f64 = 0.25;
/// Instrumented over clean time from which on it is measured once more.
const SUSPICIOUS: f64 = 1.1;
/// The timeline, its records and their sites.
const PERFETTO: &str = "trace.pftrace";
const RECORDS: &str = "timeline.krec";
const SITES: &str = "timeline.sites.json";

/// Times the instrumented build against the clean one on every workload, and records a call of it.
pub fn probes(session: &mut Session<'_>, builds: &Builds, reference: &mut Reference) -> Result<Done, Stop> {
    let Some(build) = available(session, &builds.manifest.timing, "intra-kernel")? else {
        return Ok(Done);
    };
    let costs = calibrate::probe_costs(session)?;
    let all = certify_all(session, builds, (Duty::Timing, builds, build), reference)?;
    let fitted = fit(session, builds, build, &all, costs)?;
    let (timed, all) = match &fitted {
        Fit::Fits => (builds, all),
        Fit::Chosen(chosen) => {
            // Waits that are too dear to be timed as the kernel runs are still known from here, if less surely.
            for (workload, Certified { recorded, .. }) in all.into_iter().enumerate() {
                keep_all(session, workload, RecordKind::Pilot, build, recorded)?;
            }
            let Some(build) = available(session, &chosen.manifest.timing, "intra-kernel")? else {
                return Ok(Done);
            };
            (&**chosen, certify_all(session, builds, (Duty::Chosen, chosen, build), reference)?)
        }
        Fit::Nothing => {
            let why = "no timing site fits the overhead budget (`--overhead-budget none` takes them all)";
            let status = LayerStatus::Unavailable(why.into());
            session.push(Event::Layer { name: "intra-kernel".into(), status })?;
            return Ok(Done);
        }
    };
    let Some(build) = timed.manifest.timing.build() else { return Ok(Done) };
    for (workload, Certified { certificate, recorded, .. }) in all.into_iter().enumerate() {
        budget::check(session, workload, certificate.ratio)?;
        session.push(Event::Certified { workload, certificate })?;
        keep_all(session, workload, RecordKind::Timing, build, recorded)?;
    }
    if let Some(timeline) = timed.manifest.timeline.build() {
        record_timeline(session, timed, timeline, reference)?;
    }
    session.push(Event::Layer { name: "intra-kernel".into(), status: LayerStatus::Ran })?;
    Ok(Done)
}

/// What a workload says of a timing build.
struct Certified {
    certificate: Certificate,
    /// Instrumented over clean time.
    ratio: Interval,
    recorded: Recorded,
}

fn certify_all(
    session: &mut Session<'_>,
    builds: &Builds,
    timed: (Duty, &Builds, &Build),
    reference: &mut Reference,
) -> Result<Vec<Certified>, Stop> {
    let count = session.problem.workloads.len();
    let share = session.options.budget.mul_f64(SHARE) / u32::try_from(count).unwrap_or(1).max(1);
    let mut all = Vec::new();
    for workload in 0..count {
        session.progress(&format!("certifying {}", session.problem.workloads[workload].name.clone()));
        let mut least = certify(session, builds, timed, reference, workload, share)?;
        // A host that is late with its launches only adds: of two measurements the less disturbed one counts.
        if least.ratio.value > SUSPICIOUS {
            let again = certify(session, builds, timed, reference, workload, share)?;
            least = if again.ratio.value < least.ratio.value { again } else { least };
        }
        all.push(least);
    }
    Ok(all)
}

/// What is to be timed with.
enum Fit {
    /// All sites.
    Fits,
    /// Those of builds made for the purpose.
    Chosen(Box<Builds>),
    /// None.
    Nothing,
}

/// Chooses sites that fit the overhead budget, if all together do clearly not.
fn fit(
    session: &mut Session<'_>,
    builds: &Builds,
    build: &Build,
    all: &[Certified],
    costs: Option<ProbeCosts>,
) -> Result<Fit, Stop> {
    let (Some(budget), Some(sites)) = (session.options.overhead, &build.sites) else { return Ok(Fit::Fits) };
    let is_dear = |certified: &&Certified| certified.ratio.low > 1.0 + budget + budget::PROCESSES_DIFFER;
    if !all.iter().any(|certified| is_dear(&certified)) {
        return Ok(Fit::Fits);
    }
    let unknown = ProbeCost { inside: 0.0, around: UNKNOWN_COST };
    let costs = costs.unwrap_or_else(|| ProbeCosts::from(unknown));
    // Where probes are dear, SMs are full. What a kernel's own probe costs is known to hundreds of ticks only, and most of it
    // is the launch's: to weigh it by that would make all others look cheap.
    let weighed = |kind| if kind == SiteKind::Kernel { SiteKind::Loop } else { kind };
    let cost = |kind| costs.of(weighed(kind), f64::INFINITY);
    let pilot = |certified: &Certified| {
        let trace = decode(&certified.recorded.records, sites).ok()?;
        let pilot = Pilot::of(&trace, sites, &cost, certified.certificate.clean_ns);
        Some(pilot.scaled_to(certified.ratio.value - 1.0))
    };
    let pilots: Vec<Pilot> = all.iter().filter(is_dear).filter_map(pilot).collect();
    let chosen = choose(sites, &pilots, budget).with_kernels(sites);
    Ok(match budget::build_chosen(session, builds, budget, sites, &chosen)? {
        Some(builds) => Fit::Chosen(Box::new(builds)),
        None => Fit::Nothing,
    })
}

/// Ticks of a probe whose cost could not be calibrated: which of them costs most does not depend on it.
const UNKNOWN_COST: f64 = 100.0;

fn certify(
    session: &mut Session<'_>,
    builds: &Builds,
    (duty, timed, build): (Duty, &Builds, &Build),
    reference: &mut Reference,
    workload: usize,
    budget: Duration,
) -> Result<Certified, Stop> {
    let mut arena = session.take_arena(reference, workload)?;
    let clean_build = &builds.manifest.clean;
    let mut clean = session.hire(Duty::Clean, builds, clean_build, workload, &arena)?;
    let clean_outputs = match session.clean_outputs[workload] {
        Some(digest) => {
            clean.upload(true, POISON)?;
            digest
        }
        None => {
            clean.run_on(&mut arena, POISON)?;
            digest_outputs(&arena, &session.problem)
        }
    };
    let mut timing = session.hire(duty, timed, build, workload, &arena)?;
    timing.run_on(&mut arena, OTHER_POISON)?;
    let identical = clean_outputs == digest_outputs(&arena, &session.problem);
    let clean_kernels = clean.trace(1)?.kernels;
    // Records are on while it is timed: what they cost is what is asked.
    timing.attach()?;
    let measured = {
        let (mut clean, mut timing) = (Timed(&mut clean), Timed(&mut timing));
        interleave_on_device(&mut [&mut clean, &mut timing], &Plan { budget, ..Plan::default() })?
    };
    timing.detach()?;
    let recorded = record(&mut timing, Sharing::Own)?;
    session.arenas[workload] = Some(arena);
    session.crew.give_back(Duty::Clean, clean);
    session.crew.give_back(duty, timing);
    let kernels = changes(
        &known(&clean_build.kernels, &clean_kernels),
        &known(&build.kernels, &recorded.activity.kernels),
        &recorded.activity,
    );
    let host_ns = build.sites.as_ref().map(|sites| host_ns(&recorded, sites));
    let certificate = Certificate { host_ns, ..certificate(&measured, kernels, identical) };
    Ok(Certified { certificate, ratio: measured.ratio(1, 0), recorded })
}

/// What the records of a call cost the host: the way back from the device, decoding, and adding up.
fn host_ns(recorded: &Recorded, sites: &SiteTable) -> f64 {
    let begin = Instant::now();
    if let Ok(trace) = decode(&recorded.records, sites) {
        let timing = DeviceRecords { trace: &trace, sites, launches: &recorded.activity.launches };
        std::hint::black_box(DeviceTable::build(&DeviceInputs {
            timing: Some(timing),
            ..DeviceInputs::default()
        }));
    }
    (recorded.collected + begin.elapsed()).as_nanos() as f64
}

struct Timed<'w>(&'w mut Worker);

impl DeviceTimed for Timed<'_> {
    fn time(&mut self, calls: u32) -> Result<Vec<f64>, Fault> {
        self.0.time_calls(calls, true, &[]).map(|(times, _)| times.device_ns)
    }
}

/// What `ptxas` said when it was built, else what the driver says.
fn known(built: &[KernelResources], loaded: &[KernelResources]) -> Vec<KernelResources> {
    if built.is_empty() { loaded.to_vec() } else { built.to_vec() }
}

/// Kernels of both builds, and how many blocks an SM holds of the instrumented one.
fn changes(clean: &[KernelResources], timing: &[KernelResources], activity: &Activity) -> Vec<KernelChange> {
    let both = clean.iter().filter_map(|before| {
        let after = timing.iter().find(|after| after.kernel == before.kernel)?;
        let launch = activity.launches.iter().find(|launch| launch.kernel == before.kernel);
        Some(KernelChange {
            clean: before.clone(),
            instrumented: after.clone(),
            instrumented_blocks_per_sm: launch.map(|launch| launch.blocks_per_sm),
        })
    });
    both.collect()
}

fn certificate(measured: &Measurement, kernels: Vec<KernelChange>, outputs_identical: bool) -> Certificate {
    let median = |index: usize| measured.contenders[index].estimate().median_ns;
    let spills = |of: fn(&KernelChange) -> &KernelResources| -> Option<u64> {
        kernels.iter().map(|change| of(change).spill_store_bytes).sum()
    };
    let stack = |of: fn(&KernelChange) -> &KernelResources| -> Option<u64> {
        kernels.iter().map(|change| of(change).local_bytes).max()
    };
    Certificate {
        clean_ns: median(0),
        instrumented_ns: median(1),
        ratio: measured.ratio(1, 0).value,
        clean_spills: spills(|change| &change.clean),
        instrumented_spills: spills(|change| &change.instrumented),
        clean_stack_bytes: stack(|change| &change.clean),
        instrumented_stack_bytes: stack(|change| &change.instrumented),
        outputs_identical: Some(outputs_identical),
        kernels,
        ..Certificate::default()
    }
}

/// Records a call of the first workload event by event, of a sample of its blocks. Nothing in the report rests on it.
fn record_timeline(
    session: &mut Session<'_>,
    builds: &Builds,
    build: &Build,
    reference: &mut Reference,
) -> Result<(), Stop> {
    let Some(sites) = &build.sites else { return Ok(()) };
    let arena = session.take_arena(reference, 0)?;
    let mut worker = session.hire(Duty::Timeline, builds, build, 0, &arena)?;
    worker.upload(true, POISON)?;
    let Recorded { records, .. } = record(&mut worker, Sharing::Own)?;
    session.arenas[0] = Some(arena);
    session.crew.give_back(Duty::Timeline, worker);
    let dir = session.log.dir().to_owned();
    write_atomically(&dir.join(RECORDS), &records)?;
    write_atomically(&dir.join(SITES), &super::super::records::sites_json(sites))?;
    let mut timeline = Vec::new();
    match perfetto::write(Cursor::new(&records), sites, &mut timeline) {
        Ok(losses) => {
            write_atomically(&dir.join(PERFETTO), &timeline)?;
            if losses.any() {
                let text = format!("the timeline is of a sample: {}", losses.sentences().join(", "));
                session.push(Event::Note { text })?;
            }
        }
        Err(error) => session.push(Event::Note { text: format!("no timeline: {error}") })?,
    }
    Ok(())
}
