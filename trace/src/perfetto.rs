//! A trace in Perfetto's protobuf format, for `ui.perfetto.dev` and its trace processor.
//!
//! Only the few messages used are declared in [`proto`]: the complete bindings take two minutes to
//! compile, these take none.

pub mod proto;

use crate::sites::{ProbeSite, SiteTable};
use crate::tables::{Clock, Slice, Trace, Unit};
use prost::Message;
use proto::{
    CounterDescriptor, DebugAnnotation, EventName, InternedData, ProcessDescriptor, SourceLocation,
    ThreadDescriptor, TraceFile, TracePacket, TrackDescriptor, TrackEvent, event, flags,
};

/// All packets come from one writer.
const SEQUENCE: u32 = 1;
/// Perfetto groups threads under a process; kernels run in one.
const PROCESS: i32 = 1;
const PROCESS_TRACK: u64 = 1;

/// `trace` as the bytes of a `.pftrace` file; times count from the beginning of the recording.
///
/// Slices and samples come from trace mode. In aggregate mode each unit is one slice from entry to
/// exit that carries its regions' totals, because aggregates have no place in time.
pub fn pftrace(trace: &Trace, sites: &SiteTable) -> Vec<u8> {
    let mut writer = Writer { trace, sites, file: TraceFile::default() };
    writer.names();
    writer.tracks();
    for unit in 0..trace.units.len() as u32 {
        writer.unit_slice(unit);
    }
    writer.slices();
    writer.samples();
    writer.file.encode_to_vec()
}

struct Writer<'a> {
    trace: &'a Trace,
    sites: &'a SiteTable,
    file: TraceFile,
}

impl Writer<'_> {
    /// Names and source lines, stored once and referred to by site id + 1, as 0 means none.
    fn names(&mut self) {
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
        self.file.packet.push(TracePacket {
            interned_data: Some(interned),
            sequence_flags: Some(flags::STATE_CLEARED),
            ..packet()
        });
    }

    /// One process, in it a thread a unit, under that a counter a sampled site.
    fn tracks(&mut self) {
        let process = ProcessDescriptor { pid: PROCESS, process_name: "kernel".to_owned() };
        self.track(TrackDescriptor { process: Some(process), ..track(PROCESS_TRACK) });
        for unit in &self.trace.units {
            let thread = ThreadDescriptor {
                pid: PROCESS,
                // Thread 1 of process 1 would be taken for its main thread.
                tid: 2 + unit.id.cast_signed().max(0),
                thread_name: format!("unit {} (core {})", unit.id, unit.core),
            };
            let parent_uuid = Some(PROCESS_TRACK);
            self.track(TrackDescriptor { thread: Some(thread), parent_uuid, ..track(unit_track(unit.id)) });
        }
        let mut sampled: Vec<_> =
            self.trace.counters.iter().map(|c| (self.unit_of(c.track), c.site)).collect();
        sampled.sort_unstable();
        sampled.dedup();
        for (unit, site) in sampled {
            self.track(TrackDescriptor {
                name: Some(self.site_name(site)),
                parent_uuid: Some(unit_track(unit)),
                counter: Some(CounterDescriptor::default()),
                ..track(counter_track(unit, site))
            });
        }
    }

    /// The whole of a unit, with the totals of its aggregates and counts.
    fn unit_slice(&mut self, unit: u32) {
        let Some(row) = self.trace.units.get(unit as usize) else {
            return;
        };
        let (begin, end) = (row.clock.begin_ticks, row.clock.end_ticks);
        let mut totals = vec![];
        for row in self.trace.aggregates.iter().filter(|row| row.unit == unit) {
            let name = self.site_name(row.site);
            let ns = self.trace.unit_ns_per_tick(unit).map(|rate| row.sum as f64 * rate);
            totals.push(DebugAnnotation::count(format!("{name}: runs"), row.count));
            totals.extend(ns.map(|ns| DebugAnnotation::number(format!("{name}: ns"), ns)));
        }
        for row in self.trace.counts.iter().filter(|row| row.unit == unit) {
            let name = format!("{}: executions", self.site_name(row.site));
            totals.push(DebugAnnotation::count(name, row.count));
        }
        let name = Some(format!("unit {unit}"));
        let begin_event =
            TrackEvent { name, debug_annotations: totals, ..event(event::SLICE_BEGIN, unit_track(unit)) };
        self.event(unit, begin, begin_event);
        self.event(unit, end, event(event::SLICE_END, unit_track(unit)));
    }

    /// Begin and end of every slice, so that of two at the same instant the inner one is inside.
    fn slices(&mut self) {
        let mut open: Vec<&Slice> = vec![];
        for slice in &self.trace.slices {
            while let Some(last) = open.pop_if(|last| last.track != slice.track || last.depth >= slice.depth)
            {
                self.slice_end(last);
            }
            let unit = self.unit_of(slice.track);
            let begin = TrackEvent {
                name_iid: Some(intern(slice.site)),
                source_location_iid: Some(intern(slice.site)).filter(|_| self.has_place(slice.site)),
                ..event(event::SLICE_BEGIN, unit_track(unit))
            };
            self.event(unit, slice.begin, begin);
            open.push(slice);
        }
        while let Some(last) = open.pop() {
            self.slice_end(last);
        }
    }

    fn slice_end(&mut self, slice: &Slice) {
        let unit = self.unit_of(slice.track);
        self.event(unit, slice.end, event(event::SLICE_END, unit_track(unit)));
    }

    fn samples(&mut self) {
        for sample in &self.trace.counters {
            let unit = self.unit_of(sample.track);
            let counter_value = Some(i64::from(sample.value));
            let track = counter_track(unit, sample.site);
            self.event(unit, sample.at, TrackEvent { counter_value, ..event(event::COUNTER, track) });
        }
    }

    fn track(&mut self, descriptor: TrackDescriptor) {
        self.file.packet.push(TracePacket { track_descriptor: Some(descriptor), ..packet() });
    }

    fn event(&mut self, unit: u32, ticks: u64, track_event: TrackEvent) {
        self.file.packet.push(TracePacket {
            timestamp: Some(self.since_begin(unit, ticks)),
            track_event: Some(track_event),
            sequence_flags: Some(flags::NEEDS_STATE),
            ..packet()
        });
    }

    /// Nanoseconds from the beginning of the recording. Without a usable pair of clocks, ticks.
    fn since_begin(&self, unit: u32, ticks: u64) -> u64 {
        let own = self.trace.units.get(unit as usize).map(|unit: &Unit| unit.clock);
        let at = own.and_then(|clock: Clock| clock.ns_at(ticks)).or_else(|| self.trace.clock.ns_at(ticks));
        match at {
            Some(ns) => (ns - self.trace.clock.begin_ns as f64).max(0.0) as u64,
            None => ticks.saturating_sub(self.trace.clock.begin_ticks),
        }
    }

    fn unit_of(&self, track: u32) -> u32 {
        self.trace.tracks.get(track as usize).map_or(0, |track| track.unit)
    }

    fn has_place(&self, site: u32) -> bool {
        self.sites.sites.get(site as usize).is_some_and(|site| site.place.is_some())
    }

    fn site_name(&self, site: u32) -> String {
        let known = self.sites.sites.get(site as usize);
        known.map_or_else(|| format!("site {site}"), |site| site.name.clone())
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
