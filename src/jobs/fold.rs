//! Events and record files → report. Pure: replaying gives the same bytes.

mod device;

use super::event::{Event, Failure, LeftOut, RecordKind, Stage};
use kinstr_trace::{
    decode::decode,
    observed::{Accesses, Branches},
    regions::{ProbeCost, timed_sites},
    report::{
        Attempt, DeviceReport, Fault, HotAccess, HotBlockRow, HotBranch, HotLine, Layer, LayerStatus,
        LoopRow, ParallelRow, PrimaryBottleneck, RegionRow, Report, SCHEMA_VERSION, Speedup, StageReport,
        Verdict, WorkloadReport,
    },
    sites::SiteTable,
    synthesis::{Certificate, LoopTime, Tables, Target, WorkloadTable, synthesize},
    tables::Trace,
    threads::parallel_regions,
    work::Work,
};
use std::path::Path;

/// Lines listed per workload; the report's size limit may leave out more.
const HOT_LINES: usize = 12;

/// Loops listed per workload.
const LOOPS: usize = 6;
/// A loop with a smaller share than this is not listed.
const LISTED_SHARE: f64 = 0.005;
/// Accesses listed per workload.
const HOT_ACCESSES: usize = 4;
/// Branches listed per workload.
const HOT_BRANCHES: usize = 2;

/// Every layer there is, in the order of the stages.
const LAYERS: [&str; 6] =
    ["correctness", "performance", "system", "kernel-counters", "intra-kernel", "accelerator"];

/// Makes the report of the evaluation whose `events` and record files stand in `dir`. Record files that cannot
/// be read or decoded make their layer fail; nothing else does.
pub fn fold(events: &[Event], dir: &Path) -> Report {
    let (report, tables) = (empty(), Tables::default());
    let device = device::Device::default();
    let mut fold = Fold { report, tables, device, dir, open: None, judged: false };
    for event in current(events) {
        fold.apply(event);
    }
    fold.finish()
}

/// The events that count: of an attempt that was killed or tried again, only that it was made. What was said of its failure
/// goes with it.
pub(crate) fn current(events: &[Event]) -> Vec<&Event> {
    let mut kept: Vec<(Option<Stage>, &Event)> = Vec::with_capacity(events.len());
    let mut within = None;
    for event in events {
        match event {
            Event::StageBegan { stage, .. } => {
                kept.retain(|(owner, _)| *owner != Some(*stage));
                within = Some(*stage);
                kept.push((None, event));
            }
            Event::StageEnded { stage, failure, .. } => {
                // What follows from a failure is void with it, once the stage is tried again.
                within = failure.as_ref().map(|_| *stage);
                kept.push((None, event));
            }
            _ => kept.push((within, event)),
        }
    }
    kept.into_iter().map(|(_, event)| event).collect()
}

fn empty() -> Report {
    Report {
        schema_version: SCHEMA_VERSION,
        problem: String::new(),
        candidate: String::new(),
        target: String::new(),
        verdict: Verdict::Invalid,
        verdict_detail: "the evaluation did not finish".into(),
        fault: None,
        speedup: None,
        speedup_over_compiled: None,
        primary: None,
        workloads: Vec::new(),
        diagnoses: Vec::new(),
        regions: Vec::new(),
        loops: Vec::new(),
        parallel: Vec::new(),
        hot_lines: Vec::new(),
        hot_blocks: Vec::new(),
        hot_accesses: Vec::new(),
        hot_branches: Vec::new(),
        device: None,
        system: None,
        layers: Vec::new(),
        peaks: None,
        device_peaks: None,
        probe_costs: Vec::new(),
        losses: Default::default(),
        stages: Vec::new(),
        provenance: Default::default(),
        notes: Vec::new(),
    }
}

struct Fold<'d> {
    report: Report,
    tables: Tables,
    /// What is known of the device, if it runs on one.
    device: device::Device,
    dir: &'d Path,
    /// The attempt that has begun and not ended.
    open: Option<(Stage, u32)>,
    /// Whether there is a verdict.
    judged: bool,
}

impl Fold<'_> {
    fn apply(&mut self, event: &Event) {
        let report = &mut self.report;
        match event {
            Event::Began { candidate, problem, target, provenance, .. } => {
                report.candidate = candidate.clone();
                report.problem = problem.clone();
                report.target = target.clone();
                report.provenance = provenance.clone();
                self.tables.target = Target::of(target);
            }
            Event::StageBegan { stage, attempt } => {
                if let Some((stage, number)) = self.open.replace((*stage, *attempt)) {
                    stage_entry(&mut report.stages, stage).attempts.push(killed(number));
                }
            }
            Event::StageEnded { stage, attempt, wall_ms, digest, reused, failure } => {
                self.open = None;
                let entry = stage_entry(&mut report.stages, *stage);
                entry.digest = digest.clone();
                entry.reused = *reused;
                entry.attempts.push(Attempt {
                    number: *attempt,
                    wall_ms: Some(*wall_ms),
                    fault: failure.as_ref().map(|failure| failure.fault),
                    detail: failure.as_ref().map(Failure::with_hint),
                });
            }
            Event::Loaded { problem, workloads } => {
                report.problem = problem.clone();
                self.load(workloads);
            }
            Event::Checked { workload, correctness } => {
                if let Some(entry) = report.workloads.get_mut(*workload) {
                    entry.correctness = Some(correctness.clone());
                }
            }
            Event::Measured { workload, times, speedup, over_compiled } => {
                self.measure(*workload, times, [speedup, over_compiled].map(Option::clone));
            }
            Event::Peaks { peaks } => {
                report.peaks = Some(peaks.clone());
                self.tables.peaks = Some(peaks.clone());
            }
            Event::Device { facts } => self.device.is(facts),
            Event::DevicePeaks { peaks } => {
                report.device_peaks = Some(peaks.clone());
                self.tables.device_peaks = Some(peaks.clone());
            }
            Event::DeviceStates { workload, states } => {
                if let Some(entry) = report.workloads.get_mut(*workload) {
                    entry.device_states = Some(states.clone());
                }
            }
            Event::Kernels { build, resources } => self.device.has_kernels(*build, resources),
            Event::Launched { workload, build, activity } => {
                self.device.launched(*workload, *build, activity);
            }
            Event::Recorded { workload, kind, records, sites } => {
                self.record(*workload, *kind, records, sites)
            }
            Event::Calibrated { costs } => report.probe_costs.clone_from(costs),
            Event::Certified { workload, certificate } => {
                if let Some(entry) = report.workloads.get_mut(*workload) {
                    entry.certificate = Some(certificate.clone());
                }
                if let Some(table) = self.tables.workloads.get_mut(*workload) {
                    table.certificate = Some(certificate.clone());
                }
            }
            Event::SitesChosen { budget, sites, left_out, .. } if !left_out.is_empty() => {
                report.notes.push(left_out_note(*budget, *sites, left_out));
            }
            Event::SitesChosen { .. } => {}
            Event::SystemCounted { workload, counts } => {
                self.on(*workload, |table, entry| {
                    table.system = Some(counts.clone());
                    entry.system = Some(counts.clone());
                });
            }
            Event::Cold { workload, estimate } => self.on(*workload, |table, entry| {
                table.cold = Some(estimate.clone());
                entry.times.iter_mut().for_each(|times| times.cold = Some(estimate.clone()));
            }),
            Event::Flushed { workload, times } => {
                self.on(*workload, |table, _| table.flushed = Some(times.clone()));
            }
            Event::EventsCounted { workload, counts } => self.on(*workload, |table, entry| {
                table.events = Some(counts.clone());
                entry.events = Some(counts.clone());
            }),
            Event::HotBlocks { workload, blocks, left_out } => {
                self.on(*workload, |table, _| table.hot_blocks = Some(blocks.clone()));
                self.note_unmodelled(left_out);
            }
            Event::System { summary } => report.system = Some(summary.clone()),
            Event::Layer { name, status } => set_layer(&mut report.layers, name, status.clone()),
            Event::Note { text } => report.notes.push(text.clone()),
            Event::Judged { verdict, detail, fault } => {
                self.judged = true;
                report.verdict = *verdict;
                report.verdict_detail = detail.clone();
                report.fault = *fault;
            }
        }
    }

    /// Changes what is known of a workload, in the tables and in the report.
    fn on(&mut self, workload: usize, change: impl FnOnce(&mut WorkloadTable, &mut WorkloadReport)) {
        let table = self.tables.workloads.get_mut(workload);
        if let (Some(table), Some(entry)) = (table, self.report.workloads.get_mut(workload)) {
            change(table, entry);
        }
    }

    /// Workloads share their code, so that one may say what another has said.
    fn note_unmodelled(&mut self, left_out: &[String]) {
        for reason in left_out {
            let note = format!("not in the port model: {reason}");
            if !self.report.notes.contains(&note) {
                self.report.notes.push(note);
            }
        }
    }

    fn load(&mut self, workloads: &[super::event::LoadedWorkload]) {
        for (index, workload) in workloads.iter().enumerate() {
            self.report.workloads.push(WorkloadReport {
                index,
                axes: workload.axes.clone(),
                correctness: None,
                times: None,
                speedup: None,
                speedup_over_compiled: None,
                roofline: None,
                certificate: None,
                device_states: None,
                system: None,
                events: None,
            });
            self.tables.workloads.push(WorkloadTable {
                index,
                buffers: workload.buffers.clone(),
                ..WorkloadTable::default()
            });
        }
    }

    fn measure(
        &mut self,
        workload: usize,
        times: &kinstr_trace::report::Times,
        [speedup, over_compiled]: [Option<Speedup>; 2],
    ) {
        if let Some(entry) = self.report.workloads.get_mut(workload) {
            entry.times = Some(times.clone());
            entry.speedup = speedup;
            entry.speedup_over_compiled = over_compiled;
        }
        if let Some(table) = self.tables.workloads.get_mut(workload) {
            table.clean.median_ns = times.candidate.median_ns;
            table.clean.low_ns = times.candidate.low_ns;
            table.clean.high_ns = times.candidate.high_ns;
            table.reference_ns = times.reference.as_ref().map(|reference| reference.median_ns);
        }
    }

    fn record(&mut self, workload: usize, kind: RecordKind, records: &str, sites: &str) {
        let layer = match kind {
            RecordKind::Timing | RecordKind::Pilot | RecordKind::Observing => "intra-kernel",
            RecordKind::Counting => "kernel-counters",
        };
        let loaded = load_trace(self.dir, records, sites);
        let result = loaded.and_then(|(trace, sites)| self.add(workload, kind, trace, sites));
        if let Err(reason) = result {
            let reason = format!("workload {workload}: {reason}");
            set_layer(&mut self.report.layers, layer, LayerStatus::Failed(reason));
        }
    }

    /// On a device all builds' records are joined at the end.
    fn add(
        &mut self,
        workload: usize,
        kind: RecordKind,
        trace: Trace,
        sites: SiteTable,
    ) -> Result<(), String> {
        if !self.device.is_there() {
            return self.add_trace(workload, kind, &trace, &sites);
        }
        self.report.losses.add(&trace.losses);
        self.device.recorded(workload, kind, trace, sites);
        Ok(())
    }

    fn add_trace(
        &mut self,
        workload: usize,
        kind: RecordKind,
        trace: &Trace,
        sites: &SiteTable,
    ) -> Result<(), String> {
        self.report.losses.add(&trace.losses);
        let Some(table) = self.tables.workloads.get_mut(workload) else { return Ok(()) };
        match kind {
            RecordKind::Counting => {
                table.work = Some(Work::of(trace, sites).map_err(|error| error.to_string())?);
            }
            RecordKind::Observing => {
                table.accesses = Accesses::of(trace, sites);
                table.branches = Branches::of(trace, sites);
            }
            // Only a device keeps one.
            RecordKind::Pilot => {}
            RecordKind::Timing => {
                let certificate = table.certificate.as_ref();
                let cost = probe_cost(certificate);
                let launch =
                    certificate.map_or(table.clean.median_ns, |certificate| certificate.instrumented_ns);
                let timed = timed_sites(trace, sites, cost, launch);
                table.regions = Some(timed.regions);
                table.loops = Some(timed.loops);
                table.parallel = Some(parallel_regions(trace, sites, cost));
            }
        }
        for sentence in &sites.left_out {
            if !self.report.notes.contains(sentence) {
                self.report.notes.push(sentence.clone());
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Report {
        let report = &mut self.report;
        for name in LAYERS {
            if report.layers.iter().all(|layer| layer.name != name) {
                let status = LayerStatus::Unavailable("the evaluation ended before it".into());
                report.layers.push(Layer { name: name.into(), status });
            }
        }
        let refused = self.judged && report.verdict != Verdict::Correct;
        if refused || report.workloads.iter().all(|workload| workload.times.is_none()) {
            // A candidate that is not accepted has nothing to explain, whatever was measured before that was known.
            return self.report;
        }
        for table in &mut self.tables.workloads {
            // Earlier versions left one cost for all kinds, in each certificate.
            let costs = match report.probe_costs.as_slice() {
                [] => probe_cost(table.certificate.as_ref()).into(),
                costs => costs.to_vec().into(),
            };
            table.device = self.device.table(table.index, table.clean.median_ns, costs);
            report.notes.extend(self.device.losses(table.index));
        }
        let synthesis = synthesize(&self.tables);
        report.primary = synthesis.diagnoses.first().map(PrimaryBottleneck::of);
        let probed = self.device.is_there() || self.tables.workloads.iter().any(has_records);
        let notes = if probed { synthesis.notes() } else { synthesis.notes_without_probes() };
        report.notes.extend(notes);
        report.diagnoses = synthesis.diagnoses;
        report.device = DeviceReport::of(&self.tables.workloads);
        for table in &self.tables.workloads {
            if let Some(entry) = report.workloads.get_mut(table.index) {
                // Without counted work the roof would be that of the tensors' bytes alone.
                entry.roofline = self.tables.roofline(table).filter(|_| probed);
            }
            let regions = table.regions.iter().flatten();
            report
                .regions
                .extend(regions.map(|time| RegionRow { workload: table.index, time: time.clone() }));
            let loops = table.loops.as_deref().unwrap_or_default();
            let listed = loops.iter().take(LOOPS).filter(|time| time.share >= LISTED_SHARE).count();
            let (listed, others) = loops.split_at(listed);
            let row = |time: &LoopTime| LoopRow { workload: table.index, time: time.clone() };
            report.loops.extend(listed.iter().map(row));
            if !others.is_empty() {
                let share: f64 = others.iter().map(|time| time.share).sum::<f64>() * 100.0;
                let (count, index) = (others.len(), table.index);
                let text = format!(
                    "{count} more timed loops of workload {index}, {share:.1} % of its time together, are not listed"
                );
                report.notes.push(text);
            }
            let parallel = table.parallel.iter().flatten();
            report.parallel.extend(parallel.map(|region| ParallelRow::of(table.index, region)));
            let device = table.device.as_ref();
            for sentence in device.iter().flat_map(|device| &device.missing) {
                // Workloads share their code, so that one may say what another has said.
                if !report.notes.contains(sentence) {
                    report.notes.push(sentence.clone());
                }
            }
            let work = table.work.as_ref().or(device.and_then(|device| device.work.as_ref()));
            let lines = work.iter().flat_map(|work| HotLine::of(table.index, work));
            report.hot_lines.extend(lines.take(HOT_LINES));
            let blocks = table.hot_blocks.iter().flatten().cloned();
            report.hot_blocks.extend(blocks.map(|block| HotBlockRow { workload: table.index, block }));
            let accesses = HotAccess::of(table, self.tables.peaks.as_ref());
            report.hot_accesses.extend(accesses.into_iter().take(HOT_ACCESSES));
            let branches = table.branches.iter().flat_map(|branches| HotBranch::of(table.index, branches));
            report.hot_branches.extend(branches.take(HOT_BRANCHES));
        }
        report.speedup = overall_speedup(&report.workloads, |workload| workload.speedup.as_ref());
        report.speedup_over_compiled =
            overall_speedup(&report.workloads, |workload| workload.speedup_over_compiled.as_ref());
        self.report
    }
}

/// Whether a build with probes left records of the workload.
fn has_records(table: &WorkloadTable) -> bool {
    table.work.is_some() || table.regions.is_some() || table.accesses.is_some()
}

/// Sites named in the note on what the overhead budget left out.
const LEFT_OUT_NAMED: usize = 4;

fn left_out_note(budget: f64, sites: usize, left_out: &[LeftOut]) -> String {
    let (ran, idle): (Vec<&LeftOut>, Vec<&LeftOut>) = left_out.iter().partition(|site| site.entries > 0);
    let named = ran.iter().take(LEFT_OUT_NAMED).map(|site| {
        let place = site.place.as_ref().map_or_else(|| site.name.clone(), |place| place.to_string());
        format!("{place} ({} entries a launch, {:.1} %)", site.entries, site.cost * 100.0)
    });
    let named: Vec<String> = named.collect();
    let others = ran.len() - named.len();
    let more = if others > 0 { format!(" and {others} more") } else { String::new() };
    let idle = match (idle.len(), named.is_empty()) {
        (0, _) => String::new(),
        (count, true) => format!("{count} that never run"),
        (count, false) => format!("; besides, {count} that never run"),
    };
    format!(
        "the overhead budget of {} % leaves out {} of {sites} timing sites: {}{more}{idle}",
        budget * 100.0,
        left_out.len(),
        named.join(", ")
    )
}

/// What was calibrated, as far as it was: without a cost around it, a probe costs what its interval includes.
fn probe_cost(certificate: Option<&Certificate>) -> ProbeCost {
    let inside = certificate.and_then(|certificate| certificate.probe_cost_ticks).unwrap_or(0.0);
    let around = certificate.and_then(|certificate| certificate.probe_around_ticks).unwrap_or(inside);
    ProbeCost { inside, around }
}

/// An attempt of which nothing but the beginning is known.
fn killed(number: u32) -> Attempt {
    let detail = "kinstr was ended before it was over".to_owned();
    Attempt { number, wall_ms: None, fault: Some(Fault::Infrastructure), detail: Some(detail) }
}

/// Geometric mean over the workloads, if every one has a speedup.
fn overall_speedup(
    workloads: &[WorkloadReport],
    of: impl Fn(&WorkloadReport) -> Option<&Speedup>,
) -> Option<f64> {
    let speedups: Vec<f64> =
        workloads.iter().map(|workload| of(workload).map(|s| s.value)).collect::<Option<_>>()?;
    // Whatever is not a positive number has no logarithm, and is no speedup.
    if speedups.is_empty() || !speedups.iter().all(|value| value.is_finite() && *value > 0.0) {
        return None;
    }
    let logs: f64 = speedups.iter().map(|value| value.ln()).sum();
    Some((logs / speedups.len() as f64).exp())
}

fn stage_entry(stages: &mut Vec<StageReport>, stage: Stage) -> &mut StageReport {
    let index = stages.iter().position(|entry| entry.name == stage.name()).unwrap_or_else(|| {
        stages.push(StageReport {
            name: stage.name().into(),
            digest: None,
            reused: false,
            attempts: Vec::new(),
        });
        stages.len() - 1
    });
    &mut stages[index]
}

fn set_layer(layers: &mut Vec<Layer>, name: &str, status: LayerStatus) {
    match layers.iter_mut().find(|layer| layer.name == name) {
        // A failure is not undone by what comes later.
        Some(Layer { status: LayerStatus::Failed(_), .. }) => {}
        Some(layer) => layer.status = status,
        None => layers.push(Layer { name: name.into(), status }),
    }
}

/// Reads and decodes one record file with its site table.
///
/// # Errors
/// A sentence for the layer's status.
pub fn load_trace(dir: &Path, records: &str, sites: &str) -> Result<(Trace, SiteTable), String> {
    let read =
        |name: &str| std::fs::read(dir.join(name)).map_err(|error| format!("cannot read {name}: {error}"));
    let sites: SiteTable =
        serde_json::from_slice(&read(sites)?).map_err(|error| format!("{sites} is damaged: {error}"))?;
    let trace = decode(&read(records)?, &sites).map_err(|error| format!("{records}: {error}"))?;
    Ok((trace, sites))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::event::LoadedWorkload;
    use kinstr_trace::report::{Estimate, StopReason, Times};

    fn began(stage: Stage, attempt: u32) -> Event {
        Event::StageBegan { stage, attempt }
    }

    fn ended(stage: Stage, attempt: u32, failure: Option<Failure>) -> Event {
        Event::StageEnded { stage, attempt, wall_ms: 1.0, digest: None, reused: false, failure }
    }

    fn note(text: &str) -> Event {
        Event::Note { text: text.into() }
    }

    #[test]
    fn of_an_attempt_that_was_killed_or_tried_again_only_that_it_was_made_counts() {
        let failure = Failure {
            fault: Fault::Infrastructure,
            kind: "killed".into(),
            message: "it went away".into(),
            hint: Some("look after it".into()),
        };
        let events = [
            note("before"),
            began(Stage::Check, 1),
            note("checked"),
            began(Stage::Check, 2),
            note("checked"),
            ended(Stage::Check, 2, Some(failure)),
            began(Stage::Check, 3),
            note("checked"),
            ended(Stage::Check, 3, None),
            note("after"),
        ];
        let report = fold(&events, Path::new("nowhere"));
        assert_eq!(report.notes, ["before", "checked", "after"]);
        let attempts = &report.stages[0].attempts;
        let details: Vec<_> =
            attempts.iter().map(|attempt| (attempt.number, attempt.detail.as_deref())).collect();
        let killed = "kinstr was ended before it was over";
        assert_eq!(details, [(1, Some(killed)), (2, Some("it went away; look after it")), (3, None)]);
    }

    #[test]
    fn a_layer_that_failed_is_as_its_stage_went_the_last_time() {
        let failure =
            Failure { fault: Fault::Candidate, kind: "x".into(), message: "it fell".into(), hint: None };
        let layer = |status| Event::Layer { name: "kernel-counters".into(), status };
        let failed = layer(LayerStatus::Failed("it fell".into()));
        let mut events = vec![
            began(Stage::Counters, 1),
            ended(Stage::Counters, 1, Some(failure)),
            failed.clone(),
            began(Stage::Observe, 1),
            ended(Stage::Observe, 1, None),
        ];
        let status = |events: &[Event]| {
            let report = fold(events, Path::new("nowhere"));
            report.layers.iter().find(|layer| layer.name == "kernel-counters").unwrap().status.clone()
        };
        assert_eq!(status(&events), LayerStatus::Failed("it fell".into()));
        events.extend([began(Stage::Counters, 2), layer(LayerStatus::Ran), ended(Stage::Counters, 2, None)]);
        assert_eq!(status(&events), LayerStatus::Ran);
    }

    fn measured(workload: usize) -> Event {
        let candidate = Estimate { median_ns: 5.0, low_ns: 4.0, high_ns: 6.0, samples: 20 };
        let stop = StopReason::IntervalTight;
        let times = Times { candidate, reference: None, compiled: None, cold: None, renewed_ns: None, stop };
        Event::Measured { workload, times, speedup: None, over_compiled: None }
    }

    #[test]
    fn what_is_not_accepted_is_not_explained_and_has_all_layers() {
        let loaded = LoadedWorkload { axes: Default::default(), buffers: Vec::new() };
        let events = [
            Event::Loaded { problem: "p".into(), workloads: vec![loaded.clone(), loaded] },
            Event::Layer { name: "correctness".into(), status: LayerStatus::Ran },
            measured(0),
            Event::Judged { verdict: Verdict::Incorrect, detail: "it skips work".into(), fault: None },
        ];
        let report = fold(&events, Path::new("nowhere"));
        assert_eq!(report.layers.len(), LAYERS.len(), "{:?}", report.layers);
        assert_eq!(report.notes, [""; 0]);
        assert!(report.diagnoses.is_empty() && report.speedup.is_none());
        // One that was killed before it was judged is explained as far as it went.
        let unfinished = fold(&events[..3], Path::new("nowhere"));
        assert_eq!(unfinished.layers.len(), LAYERS.len());
        assert!(!unfinished.notes.is_empty());
    }
}
