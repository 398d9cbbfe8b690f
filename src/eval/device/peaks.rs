//! Peaks: what this device can do at best.

use super::super::{
    failure::Stop,
    session::{Done, Session},
};
use crate::{jobs::event::Event, measure::device_peaks};

/// Takes the peaks from the cache, or measures them.
pub fn peaks(session: &mut Session<'_>) -> Result<Done, Stop> {
    session.progress("measuring the peaks of this device, once");
    let Some(device) = &session.site.device else { return Ok(Done) };
    match device_peaks(device) {
        Ok((peaks, _)) => session.push(Event::DevicePeaks { peaks })?,
        Err(fault) => {
            let text = format!("the peaks of this device could not be measured: {fault}");
            session.push(Event::Note { text })?;
        }
    }
    Ok(Done)
}
