//! The stages of a candidate in Python: it is run as it is. What it launches with Triton on a GPU is then built with probes, and launched again.

use super::{
    check::check,
    device,
    measure::measure,
    peaks::peaks,
    reference::Living,
    session::{Ended, Session},
    stages::{explain, finish},
    subject::{Subject, begin_python},
    system,
};
use crate::jobs::event::{Event, Stage};
use kinstr_trace::report::LayerStatus;

/// Layers that rest on probes, and why there are none on a CPU.
const UNSEEN: [(&str, &str); 2] = [
    (
        "kernel-counters",
        "a candidate in Python is run as it is on a CPU: no build of it counts what its blocks do",
    ),
    (
        "intra-kernel",
        "a candidate in Python is run as it is on a CPU: there is no build of it for probes to go into",
    ),
];

const INTERPRETED: &str =
    "Triton kernels run in Triton's interpreter on the target `cpu`, whose times tell nothing";
const UNTRACED: &str = "what PyTorch asks of the device is not taken down in this version";

/// Runs what is left to run after loading.
pub fn run(session: &mut Session<'_>, living: &mut Living) -> Result<(), Ended> {
    if let Some(device) = session.site.device.as_ref().filter(|_| !session.is_done(Stage::Check)) {
        session.push(Event::Device { facts: device.facts.clone() })?;
    }
    session.stage(Stage::Check, |session| {
        begin_python(session)?;
        let reference = living.get(session)?;
        check(session, Subject::Python, reference)
    })?;
    if session.is_judged() {
        return Ok(());
    }
    if session.python.as_ref().is_some_and(|worker| worker.loaded().interpreted) {
        for name in ["performance", "system"] {
            unavailable(session, name, INTERPRETED)?;
        }
    } else {
        session.stage(Stage::Measure, |session| {
            let reference = living.get(session)?;
            match session.site.ordinal() {
                Some(_) => device::measure::measure(session, Subject::Python, reference),
                None => measure(session, Subject::Python, reference),
            }
        })?;
        if session.is_judged() {
            return Ok(());
        }
        around(session, living)?;
    }
    if session.site.ordinal().is_some() {
        device::replay::run(session, living)?;
        // Letting go of a device takes both processes a tenth of a second, in which the report is made.
        if let Some(worker) = &mut session.python {
            worker.kill();
        }
        living.dismiss();
        session.leaving = std::mem::take(living);
    } else {
        for (name, why) in UNSEEN {
            unavailable(session, name, why)?;
        }
    }
    Ok(finish(session)?)
}

/// The machine, and what happens around the calls.
fn around(session: &mut Session<'_>, living: &mut Living) -> Result<(), Ended> {
    if session.site.ordinal().is_some() {
        explain(session, Stage::Peaks, "peaks", device::peaks::peaks)?;
        return unavailable(session, "system", UNTRACED);
    }
    explain(session, Stage::Peaks, "peaks", peaks)?;
    explain(session, Stage::System, system::LAYER, |session| {
        let reference = living.get(session)?;
        system::events(session, Subject::Python, reference)
    })
}

fn unavailable(session: &mut Session<'_>, name: &str, why: &str) -> Result<(), Ended> {
    let status = LayerStatus::Unavailable(why.to_owned());
    Ok(session.push(Event::Layer { name: name.to_owned(), status })?)
}
