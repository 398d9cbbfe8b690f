//! The records of one unit in order: clock repair, sequence check, nesting of regions.

use super::DecodeError;
use crate::layout::{ProbeRecord, RecordKind};
use crate::tables::{Clock, CountRow, Counter, Slice, Trace, Track};
use std::collections::BTreeMap;

/// A reading this many ticks or less before the last one is a reordered clock read, not a wrap.
///
/// An out-of-order core may read the clock of a region's begin before that of the previous end,
/// by some tens of ticks. Taken as a wrap, that would put seconds between them. A true wrap that
/// lands in the window needs a pause of 2^32 ticks less at most this, which is as likely as 2^-16.
const REORDER_WINDOW: u32 = 1 << 16;

/// Decoding state of one unit's records.
pub(super) struct Timeline {
    track: u32,
    unit: u32,
    sites: u32,
    /// 64-bit clock of the last timed record.
    now: u64,
    exit: u64,
    /// Regions begun and not ended, outermost first: indices into the trace's slices.
    open: Vec<usize>,
    /// First slice of this unit.
    first: usize,
    counts: BTreeMap<u32, u64>,
}

impl Timeline {
    pub(super) fn new(unit: u32, clock: Clock, sites: u32, trace: &mut Trace) -> Self {
        let track = trace.tracks.len() as u32;
        trace.tracks.push(Track { id: track, unit, name: format!("unit {unit}") });
        let (now, exit) = (clock.begin_ticks, clock.end_ticks);
        let first = trace.slices.len();
        Self { track, unit, sites, now, exit, open: vec![], first, counts: BTreeMap::new() }
    }

    /// Takes record `number` of the unit.
    pub(super) fn push(&mut self, number: u64, word: u64, trace: &mut Trace) -> Result<(), DecodeError> {
        let record = ProbeRecord(word);
        let site = record.site();
        if site >= self.sites {
            let (unit, sites) = (self.unit, self.sites);
            return Err(DecodeError::SiteOutOfRange { unit, record: number, site, sites });
        }
        if record.sequence() != number as u8 {
            trace.losses.out_of_sequence += 1;
        }
        match record.kind() {
            Some(RecordKind::RegionBegin) => self.begin(record, trace),
            Some(RecordKind::RegionEnd) => self.end(record, trace),
            Some(RecordKind::Count) => *self.counts.entry(site).or_default() += 1,
            Some(RecordKind::Sample) => {
                trace.counters.push(Counter { track: self.track, site, at: self.now, value: record.clock() })
            }
            None => trace.losses.unknown_records += 1,
        }
        Ok(())
    }

    fn begin(&mut self, record: ProbeRecord, trace: &mut Trace) {
        let begin = self.repair(record.clock(), trace);
        self.open.push(trace.slices.len());
        let depth = self.open.len() as u32 - 1;
        let (track, site) = (self.track, record.site());
        // The end is filled in when its record comes; until then the slice is an open one.
        trace.slices.push(Slice { track, site, depth, begin, end: OPEN });
    }

    fn end(&mut self, record: ProbeRecord, trace: &mut Trace) {
        let end = self.repair(record.clock(), trace);
        let matching = self.open.iter().rposition(|&slice| trace.slices[slice].site == record.site());
        let Some(position) = matching else {
            trace.losses.unopened_regions += 1;
            return;
        };
        trace.slices[self.open[position]].end = end;
        self.open.truncate(position);
    }

    /// The 64-bit clock behind a 32-bit reading: the first one not before the last reading.
    fn repair(&mut self, low: u32, trace: &mut Trace) -> u64 {
        let forward = low.wrapping_sub(self.now as u32);
        let back = forward.wrapping_neg();
        if forward != 0 && back <= REORDER_WINDOW {
            trace.losses.reordered_clocks += 1;
            return self.now;
        }
        let repaired = self.now.saturating_add(u64::from(forward));
        if repaired > self.exit {
            trace.losses.impossible_clocks += 1;
            return self.now;
        }
        self.now = repaired;
        repaired
    }

    /// Ends the unit: regions without an end leave the slices and are counted as lost.
    pub(super) fn finish(self, trace: &mut Trace) {
        // Depths of the lost regions around the slice at hand.
        let mut lost: Vec<u32> = vec![];
        for mut slice in trace.slices.split_off(self.first) {
            lost.retain(|&depth| depth < slice.depth);
            if slice.end == OPEN {
                trace.losses.unclosed_regions += 1;
                lost.push(slice.depth);
            } else {
                slice.depth -= lost.len() as u32;
                trace.slices.push(slice);
            }
        }
        let unit = self.unit;
        let counts = self.counts.into_iter();
        trace.counts.extend(counts.map(|(site, count)| CountRow { unit, site, count }));
    }
}

/// End of a slice whose end record has not been seen.
const OPEN: u64 = u64::MAX;
