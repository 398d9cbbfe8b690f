//! A record file in Perfetto's protobuf format, for `ui.perfetto.dev` and its trace processor.
//!
//! Only the few messages used are declared in [`proto`]: the complete bindings take two minutes to
//! compile, these take none. A file is a sequence of packets, so it is written as the records come.

pub mod proto;

use crate::decode::{Consumer, Head, StreamError, stream};
use crate::sites::{ProbeSite, SiteTable};
use crate::tables::{AggregateRow, Clock, CountRow, Counter, Losses, Slice, Unit};
use crate::timescale::Timescale;
use prost::Message;
use proto::{
    CounterDescriptor, DebugAnnotation, EventName, InternedData, ProcessDescriptor, SourceLocation,
    ThreadDescriptor, TracePacket, TrackDescriptor, TrackEvent, event, flags,
};
use std::collections::BTreeSet;
use std::io::{self, Read, Seek, Write};

/// All packets come from one writer.
const SEQUENCE: u32 = 1;
/// Perfetto groups threads under a process; kernels run in one.
const PROCESS: i32 = 1;
const PROCESS_TRACK: u64 = 1;
/// Bytes collected before they are written.
const BUFFER: usize = 1 << 16;

/// Writes the record file `input`, which belongs to `sites`, to `output` as a `.pftrace`; times count from the
/// beginning of the recording. Answers what did not make it; the file says so too, in an event named `losses`.
///
/// Slices and samples come from trace mode. In aggregate mode each unit is one slice from entry to
/// exit that carries its regions' totals, because aggregates have no place in time. A region without an end
/// ends where that was noticed, and says so.
///
/// # Errors
/// As [`stream`]; the consumer's error is the output's.
pub fn write(
    input: impl Read + Seek,
    sites: &SiteTable,
    output: impl Write,
) -> Result<Losses, StreamError<io::Error>> {
    let run = Clock::default();
    let (scale, buffer) = (Timescale::in_ticks(&run), Vec::with_capacity(2 * BUFFER));
    let (labels, sampled) = (sites.labels(), BTreeSet::new());
    let mut writer = Writer { sites, labels, output, buffer, run, scale, unit: 0, totals: vec![], sampled };
    stream(input, sites, &mut writer)
}

struct Writer<'a, W> {
    sites: &'a SiteTable,
    /// By site: what no other is called.
    labels: Vec<String>,
    output: W,
    buffer: Vec<u8>,
    run: Clock,
    /// Clock of the unit at hand.
    scale: Timescale,
    /// The unit at hand.
    unit: u32,
    /// What its slice will carry.
    totals: Vec<DebugAnnotation>,
    /// Sites it has a track of values for.
    sampled: BTreeSet<u32>,
}

impl<W: Write> Consumer for Writer<'_, W> {
    type Error = io::Error;

    fn begin_file(&mut self, head: &Head) -> io::Result<()> {
        self.run = head.clock;
        self.names()?;
        let process = ProcessDescriptor { pid: PROCESS, process_name: "kernel".to_owned() };
        self.track(TrackDescriptor { process: Some(process), ..track(PROCESS_TRACK) })
    }

    /// A thread, and the slice of the whole unit.
    fn begin_unit(&mut self, unit: &Unit) -> io::Result<()> {
        self.unit = unit.id;
        self.scale = Timescale::new(&unit.clock, &self.run).unwrap_or_else(|| Timescale::in_ticks(&self.run));
        self.sampled.clear();
        let thread = ThreadDescriptor {
            pid: PROCESS,
            // Thread 1 of process 1 would be taken for its main thread.
            tid: 2 + unit.id.cast_signed().max(0),
            thread_name: format!("unit {} (core {})", unit.id, unit.core),
        };
        let parent_uuid = Some(PROCESS_TRACK);
        self.track(TrackDescriptor { thread: Some(thread), parent_uuid, ..track(unit_track(unit.id)) })?;
        let name = Some(format!("unit {}", unit.id));
        let begin = TrackEvent { name, ..event(event::SLICE_BEGIN, unit_track(unit.id)) };
        self.event(unit.clock.begin_ticks, begin)
    }

    fn aggregate(&mut self, row: AggregateRow) -> io::Result<()> {
        let name = self.site_name(row.site);
        let ns = row.sum as f64 * self.scale.ns_per_tick();
        self.totals.push(DebugAnnotation::count(format!("{name}: runs"), row.count));
        self.totals.push(DebugAnnotation::number(format!("{name}: ns"), ns));
        Ok(())
    }

    fn count(&mut self, row: CountRow) -> io::Result<()> {
        let name = format!("{}: executions", self.site_name(row.site));
        self.totals.push(DebugAnnotation::count(name, row.count));
        Ok(())
    }

    fn open(&mut self, site: u32, _depth: u32, ticks: u64) -> io::Result<()> {
        let begin = TrackEvent {
            name_iid: Some(intern(site)),
            source_location_iid: Some(intern(site)).filter(|_| self.has_place(site)),
            ..event(event::SLICE_BEGIN, unit_track(self.unit))
        };
        self.event(ticks, begin)
    }

    fn close(&mut self, slice: Slice) -> io::Result<()> {
        self.event(slice.end, event(event::SLICE_END, unit_track(self.unit)))
    }

    fn abandon(&mut self, ticks: u64) -> io::Result<()> {
        let debug_annotations = vec![DebugAnnotation::count("end is missing".to_owned(), 1)];
        let end = TrackEvent { debug_annotations, ..event(event::SLICE_END, unit_track(self.unit)) };
        self.event(ticks, end)
    }

    fn sample(&mut self, sample: Counter) -> io::Result<()> {
        let uuid = counter_track(self.unit, sample.site);
        if self.sampled.insert(sample.site) {
            self.track(TrackDescriptor {
                name: Some(self.site_name(sample.site)),
                parent_uuid: Some(unit_track(self.unit)),
                counter: Some(CounterDescriptor::default()),
                ..track(uuid)
            })?;
        }
        let counter_value = Some(i64::from(sample.value));
        self.event(sample.at, TrackEvent { counter_value, ..event(event::COUNTER, uuid) })
    }

    /// Values at a slice's end are the slice's, as those at its beginning are.
    fn end_unit(&mut self, unit: &Unit) -> io::Result<()> {
        let mut debug_annotations = std::mem::take(&mut self.totals);
        if unit.dropped > 0 {
            debug_annotations.push(DebugAnnotation::count("records dropped".to_owned(), unit.dropped));
        }
        let end = TrackEvent { debug_annotations, ..event(event::SLICE_END, unit_track(unit.id)) };
        self.event(unit.clock.end_ticks, end)
    }

    /// What is missing stands on the track of the process, at the end.
    fn end_file(&mut self, losses: &Losses) -> io::Result<()> {
        if losses.any() {
            let lost = losses.rows().into_iter().filter(|(count, _)| *count > 0);
            let debug_annotations =
                lost.map(|(count, what)| DebugAnnotation::count(what.to_owned(), count)).collect();
            let name = Some("losses".to_owned());
            let said = TrackEvent { name, debug_annotations, ..event(event::INSTANT, PROCESS_TRACK) };
            self.event(self.run.end_ticks, said)?;
        }
        self.output.write_all(&self.buffer)?;
        self.output.flush()
    }
}

impl<W: Write> Writer<'_, W> {
    /// Names and source lines, stored once and referred to by site id + 1, as 0 means none.
    fn names(&mut self) -> io::Result<()> {
        let sites = &self.sites.sites;
        let name = |site: &ProbeSite| EventName { iid: intern(site.id), name: site.name.clone() };
        let location = |site: &ProbeSite| {
            site.place.as_ref().map(|place| SourceLocation {
                iid: intern(site.id),
                file_name: place.file.clone(),
                function_name: site.function.clone(),
                line_number: place.line,
            })
        };
        let interned = InternedData {
            event_names: sites.iter().map(name).collect(),
            source_locations: sites.iter().filter_map(location).collect(),
        };
        self.packet(&TracePacket {
            interned_data: Some(interned),
            sequence_flags: Some(flags::STATE_CLEARED),
            ..packet()
        })
    }

    fn track(&mut self, descriptor: TrackDescriptor) -> io::Result<()> {
        self.packet(&TracePacket { track_descriptor: Some(descriptor), ..packet() })
    }

    fn event(&mut self, ticks: u64, track_event: TrackEvent) -> io::Result<()> {
        self.packet(&TracePacket {
            timestamp: Some(self.scale.ns(ticks)),
            track_event: Some(track_event),
            sequence_flags: Some(flags::NEEDS_STATE),
            ..packet()
        })
    }

    /// A packet as it stands in a file: an element of the file's only, repeated field.
    fn packet(&mut self, packet: &TracePacket) -> io::Result<()> {
        self.buffer.push(proto::PACKET_KEY);
        packet.encode_length_delimited(&mut self.buffer).map_err(io::Error::other)?;
        if self.buffer.len() < BUFFER {
            return Ok(());
        }
        self.output.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn has_place(&self, site: u32) -> bool {
        self.sites.sites.get(site as usize).is_some_and(|site| site.place.is_some())
    }

    fn site_name(&self, site: u32) -> String {
        self.labels.get(site as usize).cloned().unwrap_or_else(|| format!("site {site}"))
    }
}

fn packet() -> TracePacket {
    TracePacket { trusted_packet_sequence_id: Some(SEQUENCE), ..TracePacket::default() }
}

fn track(uuid: u64) -> TrackDescriptor {
    TrackDescriptor { uuid, ..TrackDescriptor::default() }
}

fn event(kind: i32, track: u64) -> TrackEvent {
    TrackEvent { kind, track_uuid: track, ..TrackEvent::default() }
}

fn intern(site: u32) -> u64 {
    u64::from(site) + 1
}

fn unit_track(unit: u32) -> u64 {
    PROCESS_TRACK + 1 + u64::from(unit)
}

/// Counter tracks lie above all unit tracks, which have 32 bits.
fn counter_track(unit: u32, site: u32) -> u64 {
    ((u64::from(unit) + 1) << 33) | u64::from(site)
}
