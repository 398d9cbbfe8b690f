//! The stages of a candidate in Python: it is run as it is, so that there are no builds and no probes.

use super::{
    check::check,
    measure::measure,
    peaks::peaks,
    reference::Living,
    session::{Ended, Session},
    stages::{explain, finish},
    subject::Subject,
    system,
};
use crate::jobs::event::{Event, Stage};
use kinstr_trace::report::LayerStatus;

/// Layers that rest on probes, and why there are none.
const UNSEEN: [(&str, &str); 2] = [
    ("kernel-counters", "a candidate in Python is run as it is: no build of it counts what its blocks do"),
    ("intra-kernel", "a candidate in Python is run as it is: there is no build of it for probes to go into"),
];

/// Runs what is left to run after loading.
pub fn run(session: &mut Session<'_>, living: &mut Living) -> Result<(), Ended> {
    session.stage(Stage::Check, |session| {
        let reference = living.get(session)?;
        check(session, Subject::Python, reference)
    })?;
    if session.is_judged() {
        return Ok(());
    }
    session.stage(Stage::Measure, |session| {
        let reference = living.get(session)?;
        measure(session, Subject::Python, reference)
    })?;
    if session.is_judged() {
        return Ok(());
    }
    explain(session, Stage::Peaks, "peaks", peaks)?;
    explain(session, Stage::System, system::LAYER, |session| {
        let reference = living.get(session)?;
        system::events(session, Subject::Python, reference)
    })?;
    for (name, why) in UNSEEN {
        let status = LayerStatus::Unavailable(why.to_owned());
        session.push(Event::Layer { name: name.to_owned(), status })?;
    }
    Ok(finish(session)?)
}
