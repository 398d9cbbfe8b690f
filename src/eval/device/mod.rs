//! The stages that are others on a GPU: measure, peaks, counters, observe and probes. Load, build and check are the same.

mod calibrate;
mod certify;
mod crew;
pub(super) mod measure;
pub(super) mod peaks;
mod records;
pub(super) mod replay;

pub use crew::{Crew, Duty, reserve};
pub use replay::StandIn;

use super::{
    reference::Living,
    session::{Ended, Session},
    stages::{explain, finish},
    subject::Subject,
};
use crate::{
    builds::Builds,
    jobs::event::{Event, Stage},
};
use kinstr_trace::report::LayerStatus;

/// Name of the part of a layer that hardware counters are.
const COUNTERS: &str = "kernel-counters/hardware-events";

/// Runs what is left to run after the check.
pub fn run(session: &mut Session<'_>, builds: &Builds, living: &mut Living) -> Result<(), Ended> {
    session.crew.settle();
    session.stage(Stage::Measure, |session| {
        let reference = living.get(session)?;
        measure::measure(session, Subject::Built(builds), reference)
    })?;
    if session.is_judged() {
        return Ok(());
    }
    explain(session, Stage::Peaks, "peaks", peaks::peaks)?;
    look_inside(session, builds, living)?;
    finish(session)?;
    session.crew.dismiss();
    living.dismiss();
    // The system cleans up while the report is made.
    session.leaving = std::mem::take(living);
    Ok(())
}

/// Runs the builds with probes.
fn look_inside(session: &mut Session<'_>, builds: &Builds, living: &mut Living) -> Result<(), Ended> {
    explain(session, Stage::Counters, "kernel-counters", |session| {
        let reference = living.get(session)?;
        records::counters(session, builds, reference)
    })?;
    explain(session, Stage::Observe, "intra-kernel", |session| {
        let reference = living.get(session)?;
        records::observe(session, builds, reference)
    })?;
    explain(session, Stage::Probes, "intra-kernel", |session| {
        let reference = living.get(session)?;
        certify::probes(session, builds, reference)
    })?;
    let why =
        "the range profiler of CUPTI is not asked: counts come from probes alone, which need no privileges";
    Ok(session.push(Event::Layer { name: COUNTERS.into(), status: LayerStatus::Unavailable(why.into()) })?)
}
