//! The consumer that keeps everything, as tables.

use super::{Consumer, DecodeError, Head};
use crate::tables::{AggregateRow, CountRow, Counter, Losses, Slice, Trace, Track, Unit, WordsRow};

/// Makes a [`Trace`].
#[derive(Default)]
pub(super) struct TableBuilder {
    trace: Trace,
    head: Option<Head>,
    /// Regions begun and not ended, outermost first: indices into the trace's slices.
    open: Vec<usize>,
    /// First slice of this unit.
    first: usize,
}

/// End of a slice whose end record has not been seen.
const OPEN: u64 = u64::MAX;

/// Aggregates there is room for from the beginning: those of the warps of a large launch.
const RESERVED: u64 = 1 << 18;

impl TableBuilder {
    pub(super) fn into_trace(self) -> Trace {
        self.trace
    }
}

impl Consumer for TableBuilder {
    type Error = DecodeError;

    fn begin_file(&mut self, head: &Head) -> Result<(), DecodeError> {
        self.trace =
            Trace { mode: head.mode, launches: head.launches, clock: head.clock, ..Trace::default() };
        self.head = Some(*head);
        // The head was held against the length of the file, so that neither is more than the file could fill.
        self.trace.units.reserve(head.units_used as usize);
        self.trace
            .aggregates
            .reserve((u64::from(head.units_used) * u64::from(head.site_count)).min(RESERVED) as usize);
        Ok(())
    }

    fn begin_unit(&mut self, unit: &Unit) -> Result<(), DecodeError> {
        self.trace.units.push(*unit);
        if self.head.is_some_and(|head| head.record_capacity > 0) {
            let name = format!("unit {}", unit.id);
            self.trace.tracks.push(Track { id: unit.id, unit: unit.id, name });
        }
        self.first = self.trace.slices.len();
        Ok(())
    }

    fn aggregate(&mut self, row: AggregateRow) -> Result<(), DecodeError> {
        self.trace.aggregates.push(row);
        Ok(())
    }

    fn count(&mut self, row: CountRow) -> Result<(), DecodeError> {
        self.trace.counts.push(row);
        Ok(())
    }

    fn words(&mut self, row: WordsRow) -> Result<(), DecodeError> {
        self.trace.words.push(row);
        Ok(())
    }

    fn open(&mut self, site: u32, depth: u32, ticks: u64) -> Result<(), DecodeError> {
        let track = self.trace.units.len() as u32 - 1;
        self.open.push(self.trace.slices.len());
        // The end is filled in when its record comes; until then the slice is an open one.
        self.trace.slices.push(Slice { track, site, depth, begin: ticks, end: OPEN });
        Ok(())
    }

    fn close(&mut self, slice: Slice) -> Result<(), DecodeError> {
        if let Some(index) = self.open.pop() {
            self.trace.slices[index].end = slice.end;
        }
        Ok(())
    }

    fn abandon(&mut self, _ticks: u64) -> Result<(), DecodeError> {
        self.open.pop();
        Ok(())
    }

    fn sample(&mut self, sample: Counter) -> Result<(), DecodeError> {
        self.trace.counters.push(sample);
        Ok(())
    }

    /// The tables are what reports are made of: better none than some with a damaged record left out.
    fn unknown_site(&mut self, unit: u32, record: u64, site: u32) -> Result<(), DecodeError> {
        let sites = self.head.map_or(0, |head| head.site_count);
        Err(DecodeError::SiteOutOfRange { unit, record, site, sites })
    }

    /// Regions without an end leave the slices.
    fn end_unit(&mut self, _unit: &Unit) -> Result<(), DecodeError> {
        if self.first == self.trace.slices.len() {
            return Ok(());
        }
        // Depths of the lost regions around the slice at hand.
        let mut lost: Vec<u32> = vec![];
        for mut slice in self.trace.slices.split_off(self.first) {
            lost.retain(|&depth| depth < slice.depth);
            if slice.end == OPEN {
                lost.push(slice.depth);
            } else {
                slice.depth -= lost.len() as u32;
                self.trace.slices.push(slice);
            }
        }
        Ok(())
    }

    fn end_file(&mut self, losses: &Losses) -> Result<(), DecodeError> {
        self.trace.losses = *losses;
        Ok(())
    }
}
