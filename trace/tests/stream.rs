//! Record files as streams: rings, damage that is counted, regions too deep.
#![allow(clippy::unwrap_used)]

#[path = "common/file.rs"]
mod file;

use file::*;
use kinstr_trace::decode::{Consumer, DecodeError, MAX_DEPTH, StreamError, decode, stream};
use kinstr_trace::layout::{Mode, RecordKind};
use kinstr_trace::tables::{Losses, Slice};
use proptest::prelude::*;
use std::convert::Infallible;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

/// Keeps slices by site, and what was given up.
#[derive(Default)]
struct Seen {
    slices: Vec<Slice>,
    open: u32,
    abandoned: u32,
}

impl Consumer for Seen {
    type Error = Infallible;

    fn open(&mut self, _site: u32, depth: u32, _ticks: u64) -> Result<(), Infallible> {
        assert_eq!(depth, self.open);
        self.open += 1;
        Ok(())
    }
    fn close(&mut self, slice: Slice) -> Result<(), Infallible> {
        self.open -= 1;
        assert!(slice.depth == self.open && slice.begin <= slice.end);
        self.slices.push(slice);
        Ok(())
    }
    fn abandon(&mut self, _ticks: u64) -> Result<(), Infallible> {
        self.open -= 1;
        self.abandoned += 1;
        Ok(())
    }
    fn end_unit(&mut self, _unit: &kinstr_trace::tables::Unit) -> Result<(), Infallible> {
        assert_eq!(self.open, 0, "every region is closed or abandoned");
        Ok(())
    }
}

/// From the entry to a moment shortly before the exit.
const LATE: u64 = EXIT - ENTRY - 1000;

fn streamed(file: &RecordFile) -> (Seen, Losses) {
    let mut seen = Seen::default();
    let losses = stream(Cursor::new(file.bytes()), &file.sites, &mut seen).unwrap();
    (seen, losses)
}

fn unit(events: &[(RecordKind, u32, u64)]) -> UnitData {
    UnitData { records: records(events), ..UnitData::default() }
}

/// `count` runs of site 1 inside one of site 0, `pause` ticks between any two events, shortly before the exit.
fn late_runs(count: u64, pause: u64) -> Vec<(RecordKind, u32, u64)> {
    runs(count, pause).into_iter().map(|(kind, site, at)| (kind, site, at + LATE)).collect()
}

/// As [`late_runs`], from the entry on.
fn runs(count: u64, pause: u64) -> Vec<(RecordKind, u32, u64)> {
    use RecordKind::{RegionBegin, RegionEnd};
    let inner = (0..2 * count).map(|index| if index % 2 == 0 { (RegionBegin, 1) } else { (RegionEnd, 1) });
    let kinds = std::iter::once((RegionBegin, 0)).chain(inner).chain([(RegionEnd, 0)]);
    (1..).zip(kinds).map(|(index, (kind, site))| (kind, site, ENTRY + index * pause)).collect()
}

#[test]
fn a_ring_begins_at_its_oldest_record() {
    // 22 records in 8 slots: the last 3 runs and the end around them are there, and half a run before.
    let (seen, losses) = streamed(&RecordFile::ring(8, vec![unit(&late_runs(10, 5))]));
    let found: Vec<_> = seen.slices.iter().map(|slice| (slice.site, slice.begin - ENTRY - LATE)).collect();
    assert_eq!(found, [(1, 80), (1, 90), (1, 100)]);
    let expected =
        Losses { dropped_records: 14, units_with_drops: 1, unopened_regions: 2, ..Losses::default() };
    assert_eq!(losses, expected);
}

#[test]
fn a_ring_with_room_keeps_all() {
    let events = runs(3, 5);
    let ring = decode(&RecordFile::ring(8, vec![unit(&events)]).bytes(), &sites(Mode::Trace)).unwrap();
    let linear = decode(&RecordFile::new(Mode::Trace, 8, vec![unit(&events)]).bytes(), &sites(Mode::Trace));
    assert_eq!(ring, linear.unwrap());
    assert!(!ring.losses.any() && ring.slices.len() == 4);
}

#[test]
fn a_ring_keeps_time_over_the_wraps_it_lost() {
    // The first records come at the entry, the kept ones more than two wraps of the 32-bit clock later.
    let mut events = runs(6, 7);
    for (index, event) in events.iter_mut().enumerate().skip(4) {
        event.2 = ENTRY + LATE + 10 * index as u64;
    }
    let (seen, _) = streamed(&RecordFile::ring(8, vec![unit(&events)]));
    let begins: Vec<_> = seen.slices.iter().map(|slice| slice.begin - ENTRY - LATE).collect();
    assert_eq!(begins, [70, 90, 110]);
}

#[test]
fn rings_that_no_host_made_are_refused() {
    let odd = RecordFile { capacity: 12, ..RecordFile::ring(16, vec![]) };
    assert_eq!(decode(&odd.bytes(), &odd.sites).unwrap_err(), DecodeError::Ring { capacity: 12 });
}

#[test]
fn a_record_of_no_site_is_counted_and_the_others_stay() {
    use RecordKind::{RegionBegin, RegionEnd};
    let events = [(RegionBegin, 0, ENTRY + 1), (RegionEnd, 9, ENTRY + 2), (RegionEnd, 0, ENTRY + 3)];
    let (seen, losses) = streamed(&RecordFile::new(Mode::Trace, 4, vec![unit(&events)]));
    assert_eq!((seen.slices.len(), losses), (1, Losses { unknown_sites: 1, ..Losses::default() }));
}

#[test]
fn regions_that_begin_too_deep_are_counted_and_do_not_end_others() {
    let depth = MAX_DEPTH as u64 + 10;
    let begin = |index| (RecordKind::RegionBegin, 0, ENTRY + index);
    let end = |index| (RecordKind::RegionEnd, 0, ENTRY + depth + index);
    let events: Vec<_> = (0..depth).map(begin).chain((0..depth).map(end)).collect();
    let (seen, losses) = streamed(&RecordFile::new(Mode::Trace, 4096, vec![unit(&events)]));
    assert_eq!(losses, Losses { too_deep_regions: 10, ..Losses::default() });
    assert_eq!(seen.slices.len(), MAX_DEPTH);
    let outermost = seen.slices.last().unwrap();
    assert_eq!((outermost.begin, outermost.end), (ENTRY, ENTRY + 2 * depth - 1));
}

/// A file whose medium fails after `good` bytes.
struct Failing {
    bytes: Cursor<Vec<u8>>,
    good: u64,
}

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.bytes.position() + buffer.len() as u64;
        if end > self.good { Err(io::Error::other("bad sector")) } else { self.bytes.read(buffer) }
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

#[test]
fn a_medium_that_fails_is_an_error() {
    let file = RecordFile::new(Mode::Trace, 16, vec![nested()]);
    let input = Failing { bytes: Cursor::new(file.bytes()), good: 450 };
    let error = stream(input, &file.sites, &mut Seen::default()).unwrap_err();
    assert_eq!(error, StreamError::Decode(DecodeError::Read("bad sector".to_owned())));
}

proptest! {
    /// What begins and ends in a ring is there, however much was dropped before it. Only from which wrap of the clock
    /// on is told from the exit, which is any time later here.
    #[test]
    fn a_ring_says_the_end_of_the_story(
        events in proptest::collection::vec((any::<bool>(), 0u32..2, 1u64..1 << 25), 1..300),
        bits in 1u32..8,
    ) {
        let (mut now, mut open) = (ENTRY, vec![]);
        let events: Vec<_> = events.iter().map(|&(ends, site, pause)| {
            now += pause;
            if let Some(site) = open.pop_if(|_| ends) {
                return (RecordKind::RegionEnd, site, now);
            }
            open.push(site);
            (RecordKind::RegionBegin, site, now)
        }).collect();
        let (ring, _) = streamed(&RecordFile::ring(1 << bits, vec![unit(&events)]));
        let (all, losses) = streamed(&RecordFile::new(Mode::Trace, 512, vec![unit(&events)]));
        prop_assert_eq!(losses.dropped_records, 0);
        let shape = |slice: &Slice| (slice.site, slice.begin as u32, slice.end - slice.begin);
        let found: Vec<_> = ring.slices.iter().map(shape).collect();
        let first_kept = events[events.len().saturating_sub(1 << bits)].2;
        for slice in all.slices.iter().filter(|slice| slice.begin >= first_kept) {
            prop_assert!(found.contains(&shape(slice)), "{slice:?} is not among {found:?}");
        }
    }

    #[test]
    fn damaged_rings_never_panic(
        damage in proptest::collection::vec((0usize..2000, any::<u8>()), 0..12),
        events in proptest::collection::vec((0u8..5, 0u32..6, any::<u64>()), 1..40),
    ) {
        let kind = |kind| match kind {
            0 => RecordKind::RegionBegin,
            1 => RecordKind::RegionEnd,
            2 => RecordKind::Count,
            _ => RecordKind::Sample,
        };
        let events: Vec<_> = events.iter().map(|&(k, site, clock)| (kind(k), site, clock)).collect();
        let file = RecordFile::ring(16, vec![unit(&events)]);
        let mut bytes = file.bytes();
        let length = bytes.len();
        for (at, value) in damage {
            bytes[at % length] = value;
        }
        let _ = stream(Cursor::new(bytes), &file.sites, &mut Seen::default());
    }
}
