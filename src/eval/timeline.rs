//! A few launches event by event, for people. Nothing in the report rests on them.

use super::{
    arguments::{TRACE_RECORDS, limits, start_recorder},
    check::check_guards,
    failure::Stop,
    records::{note_other_outputs, sites_json},
    session::Session,
};
use crate::{
    builds::{Build, Builds},
    jobs::event::Event,
    reference::Reference,
    store::write_atomically,
};
use kinstr_trace::perfetto;
use std::io::Cursor;

/// Launches on the timeline.
const LAUNCHES: u32 = 3;
/// The timeline, for Perfetto.
const PERFETTO: &str = "trace.pftrace";
/// The records that it is made from, for `kinstr trace`.
const RECORDS: &str = "timeline.krec";
/// Their sites.
const SITES: &str = "timeline.sites.json";

/// Records the first workload with the build that keeps every event, and leaves records, sites and timeline beside the
/// events.
pub fn record(
    session: &mut Session<'_>,
    builds: &Builds,
    (timed, build): (&Builds, &Build),
    reference: &mut Reference,
) -> Result<(), Stop> {
    let Some(sites) = &build.sites else { return Ok(()) };
    let mut arena = session.take_arena(reference, 0)?;
    arena.poison_outputs();
    let limits = limits(session.options.timeout, session.options.memory);
    let keep = session.options.timeline_keep;
    let mut worker = start_recorder(timed, build, &session.problem, 0, &arena, limits, keep)?;
    let records = worker.record(LAUNCHES)?;
    check_guards(&arena)?;
    note_other_outputs(session, builds, 0, &mut arena, "timeline's")?;
    session.arenas[0] = Some(arena);
    let dir = session.log.dir().to_owned();
    write_atomically(&dir.join(RECORDS), &records)?;
    write_atomically(&dir.join(SITES), &sites_json(sites))?;
    let mut timeline = Vec::new();
    match perfetto::write(Cursor::new(&records), sites, &mut timeline) {
        Ok(losses) => {
            write_atomically(&dir.join(PERFETTO), &timeline)?;
            if losses.any() {
                let (keep, lost) = (keep.name(), losses.sentences().join(", "));
                let text = format!("the timeline has the {keep} {TRACE_RECORDS} records of a thread: {lost}");
                session.push(Event::Note { text })?;
            }
        }
        Err(error) => session.push(Event::Note { text: format!("no timeline: {error}") })?,
    }
    Ok(())
}
