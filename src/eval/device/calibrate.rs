//! What each kind of timing probe costs on this device, measured by the passes, code generator and runtime of any candidate.

mod reading;

use super::{
    super::{EvalError, session::Session},
    crew::Duty,
    records::{Sharing, record},
};
use crate::{
    builds::{self, Build, Builds, Instrumented, Probes},
    frontend::{Language, Source},
    jobs::event::Event,
    worker::Worker,
};
use kinstr_trace::{
    decode::decode,
    device::WARP,
    probe_costs::{CalibratedProbe, ProbeCosts, ProbeMemory},
};
use reading::{Reading, Readings};

/// Pairs of kernels with loops, regions, barriers and waits of known lengths.
const CALIBRATION: &str = include_str!("calibration.mlir");
/// What each of its builds times: the kernels alone; loops too; all that waits, and regions. A region holds a loop, so that these two
/// are not timed in one build.
const BARE: [&str; 1] = ["block-timeline"];
const LOOPS: [&str; 2] = ["block-timeline", "loop-time"];
const OTHERS: [&str; 4] = ["block-timeline", "region-time", "barrier-wait", "async-wait"];
/// Recordings. Their median counts, and how far they are apart is the error. What no report rests on has fewer.
const RECORDINGS: usize = 3;
const FEWER: usize = 2;

/// The costs of the probes, left as an event. Without any, and with a note, if they cannot be measured.
pub fn probe_costs(session: &mut Session<'_>) -> Result<Option<ProbeCosts>, EvalError> {
    match measure(session) {
        Ok(costs) => {
            session.push(Event::Calibrated { costs: costs.clone() })?;
            Ok(Some(ProbeCosts::from(costs)))
        }
        Err(reason) => {
            let text = format!("the cost of probes could not be calibrated and is not subtracted: {reason}");
            session.push(Event::Note { text })?;
            Ok(None)
        }
    }
}

/// The builds of the kernels that are timed most.
pub fn build(session: &Session<'_>) -> Result<Builds, String> {
    build_with(session, &OTHERS)
}

fn build_with(session: &Session<'_>, probes: &[&str]) -> Result<Builds, String> {
    let source = Source::new("calibration.mlir".as_ref(), CALIBRATION.into(), Language::Mlir)
        .map_err(|error| error.to_string())?;
    let timing = probes.iter().map(|probe| (*probe).to_owned()).collect();
    let probes = Probes { timing, ..Probes::none() };
    builds::build(&source, &probes, &session.options.store, &session.site.target)
        .map_err(|error| error.to_string())
}

fn measure(session: &mut Session<'_>) -> Result<Vec<CalibratedProbe>, String> {
    let facts = session.site.device.as_ref().map(|device| device.facts.clone()).unwrap_or_default();
    let [bare, loops, others] =
        [build_with(session, &BARE)?, build_with(session, &LOOPS)?, build_with(session, &OTHERS)?];
    let mut calibrator = Calibrator { session, sm_count: facts.sm_count, ns_per_tick: f64::NAN };
    let readings = Readings {
        bare: calibrator.recorded(&bare, &bare.manifest.timing, RECORDINGS)?,
        loops: calibrator.by_memory(&loops)?,
        others: calibrator.by_memory(&others)?,
        clean: calibrator.launched(&bare)?,
    };
    readings.costs(facts.max_threads_per_sm / WARP as u32)
}

/// Runs the builds one after the other.
struct Calibrator<'c, 's> {
    session: &'c mut Session<'s>,
    sm_count: u32,
    /// Of the last recording.
    ns_per_tick: f64,
}

impl Calibrator<'_, '_> {
    fn by_memory(&mut self, builds: &Builds) -> Result<[(ProbeMemory, Vec<Reading>); 2], String> {
        Ok([
            (ProbeMemory::Registers, self.recorded(builds, &builds.manifest.timing, RECORDINGS)?),
            (ProbeMemory::Global, self.recorded(builds, &builds.manifest.timeline, FEWER)?),
        ])
    }

    fn recorded(
        &mut self,
        builds: &Builds,
        build: &Instrumented,
        times: usize,
    ) -> Result<Vec<Reading>, String> {
        let build = build.build().ok_or("the calibration kernels have no timing build")?;
        let sites = build.sites.as_ref().ok_or("the calibration kernels have no sites")?;
        self.repeat(builds, build, times, |calibrator, worker| {
            let recorded = record(worker, Sharing::Own).map_err(|fault| fault.to_string())?;
            let trace = decode(&recorded.records, sites).map_err(|error| error.to_string())?;
            calibrator.ns_per_tick = trace.unit_ns_per_tick(0).unwrap_or(f64::NAN);
            Ok(Reading::of(&trace, sites, &recorded.activity.launches, calibrator.sm_count))
        })
    }

    fn launched(&mut self, builds: &Builds) -> Result<Vec<Reading>, String> {
        self.repeat(builds, &builds.manifest.clean, RECORDINGS, |calibrator, worker| {
            worker.run(1).map_err(|fault| fault.to_string())?;
            let activity = worker.trace(1).map_err(|fault| fault.to_string())?;
            Ok(Reading::of_launches(&activity.launches, calibrator.sm_count, calibrator.ns_per_tick))
        })
    }

    fn repeat(
        &mut self,
        builds: &Builds,
        build: &Build,
        times: usize,
        read: impl Fn(&mut Self, &mut Worker) -> Result<Reading, String>,
    ) -> Result<Vec<Reading>, String> {
        let mut worker = self.session.hire_calibrator(builds, build).map_err(|fault| fault.to_string())?;
        let readings = (0..times).map(|_| read(self, &mut worker)).collect::<Result<Vec<_>, _>>()?;
        self.session.crew.give_back(Duty::Calibration, worker);
        Ok(readings)
    }
}
