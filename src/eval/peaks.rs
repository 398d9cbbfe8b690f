//! Peaks: what this machine can do at best.

use super::{
    failure::Stop,
    session::{Done, Session},
};
use crate::{jobs::event::Event, measure::peaks};

/// Takes the peaks from the cache, or measures them.
pub fn peaks(session: &mut Session<'_>) -> Result<Done, Stop> {
    session.progress("measuring the peaks of this machine, once");
    match peaks::peaks() {
        Ok((peaks, _)) => session.push(Event::Peaks { peaks })?,
        Err(fault) => {
            let text = format!("the peaks of this machine could not be measured: {fault}");
            session.push(Event::Note { text })?;
        }
    }
    Ok(Done)
}
