//! One execution unit: header, aggregates, counters, words, then its records.

use super::fields::Fields;
use super::records::Timeline;
use super::ring::{anchor, kept};
use super::{Consumer, DecodeError, Head, StreamError};
use crate::layout::{AGGREGATE_BYTES, Keep, UNIT_HEADER_BYTES, offset};
use crate::sites::SiteTable;
use crate::tables::{AggregateRow, Clock, CountRow, Losses, Unit, WordsRow};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::{BitOrAssign, Range};

/// Bytes of records in memory at a time: they stay in the second-level cache between the copy and the decoding.
const CHUNK: usize = 256 << 10;

/// Bytes of units without records in memory at a time: they stay in the first-level cache.
const BATCH: usize = 16 << 10;

/// Reads stretches of a file.
pub(super) struct Reader<I> {
    input: I,
    chunk: Vec<u8>,
}

impl<I: Read + Seek> Reader<I> {
    pub(super) fn new(input: I) -> Self {
        Self { input, chunk: Vec::new() }
    }

    /// Bytes in the file.
    pub(super) fn length(&mut self) -> Result<u64, DecodeError> {
        self.input.seek(SeekFrom::End(0)).map_err(failed)
    }

    /// Fills `bytes` from `start` on.
    pub(super) fn read_at(&mut self, start: u64, bytes: &mut [u8]) -> Result<(), DecodeError> {
        self.input.seek(SeekFrom::Start(start)).map_err(failed)?;
        self.input.read_exact(bytes).map_err(failed)
    }

    /// Hands the bytes of `range` to `take`, a chunk at a time; chunks are as long as what is left of the range,
    /// or a multiple of 8.
    pub(super) fn chunks<E: From<DecodeError>>(
        &mut self,
        range: Range<u64>,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.input.seek(SeekFrom::Start(range.start)).map_err(failed)?;
        self.chunk.resize(CHUNK, 0);
        let mut left = range.end.saturating_sub(range.start);
        while left > 0 {
            let size = left.min(CHUNK as u64);
            let bytes = &mut self.chunk[..size as usize];
            self.input.read_exact(bytes).map_err(failed)?;
            take(bytes)?;
            left -= size;
        }
        Ok(())
    }
}

fn failed(error: io::Error) -> DecodeError {
    DecodeError::Read(error.to_string())
}

/// Whether anything was recorded at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Recorded {
    #[default]
    Nothing,
    Something,
}

impl BitOrAssign for Recorded {
    fn bitor_assign(&mut self, other: Self) {
        if other == Self::Something {
            *self = other;
        }
    }
}

/// Hands all units to `consumer`. Nothing is allocated for a unit: a file of a GPU has one for each of 65,536 warps.
pub(super) fn read_all<C: Consumer>(
    reader: &mut Reader<impl Read + Seek>,
    head: &Head,
    sites: &SiteTable,
    losses: &mut Losses,
    consumer: &mut C,
) -> Result<Recorded, StreamError<C::Error>> {
    let words = site_words(sites);
    let fixed = offset::records(head.site_count, head.word_count);
    // Units without records follow each other closely, so that many are read at once.
    let batch = if head.record_capacity == 0 { (BATCH as u64 / head.unit_stride.max(1)).max(1) } else { 1 };
    let (mut bytes, mut recorded, mut next) = (Vec::new(), Recorded::Nothing, 0);
    while next < head.units_used {
        let count = batch.min(u64::from(head.units_used - next));
        bytes.resize(((count - 1) * head.unit_stride + fixed) as usize, 0);
        reader.read_at(head.unit_start(next), &mut bytes)?;
        for unit in bytes.chunks(head.unit_stride.max(1) as usize) {
            recorded |= read(reader, head, &words, (next, &unit[..fixed as usize]), losses, consumer)?;
            next += 1;
        }
    }
    Ok(recorded)
}

/// Words of one site in a unit.
struct SiteWords {
    site: u32,
    numbers: Range<u64>,
}

/// Of the sites that own some.
fn site_words(sites: &SiteTable) -> Vec<SiteWords> {
    let all = sites.sites.iter().zip(sites.first_words());
    let owning = all.filter(|(site, _)| site.words > 0);
    owning
        .map(|(site, first)| SiteWords { site: site.id, numbers: first..first + u64::from(site.words) })
        .collect()
}

/// Hands unit `index` to `consumer`; `bytes` are what lies before its records.
fn read<C: Consumer>(
    reader: &mut Reader<impl Read + Seek>,
    head: &Head,
    site_words: &[SiteWords],
    (index, bytes): (u32, &[u8]),
    losses: &mut Losses,
    consumer: &mut C,
) -> Result<Recorded, StreamError<C::Error>> {
    let fields = Fields(bytes);
    let unit = header(&fields, head, index)?;
    consumer.begin_unit(&unit).map_err(StreamError::Consumer)?;
    let mut recorded = if unit.produced > 0 { Recorded::Something } else { Recorded::Nothing };
    recorded |= aggregates(&fields, head.site_count, index, consumer)?;
    recorded |= counts(&fields, head.site_count, index, consumer)?;
    recorded |= words(&fields, head.site_count, site_words, index, consumer)?;
    if head.record_capacity > 0 {
        records(reader, head, head.unit_start(index), &unit, losses, consumer)?;
    }
    if unit.dropped > 0 {
        losses.units_with_drops += 1;
        losses.dropped_records = losses.dropped_records.saturating_add(unit.dropped);
    }
    consumer.end_unit(&unit).map_err(StreamError::Consumer)?;
    Ok(recorded)
}

fn header(fields: &Fields, head: &Head, index: u32) -> Result<Unit, DecodeError> {
    // Of a fixed length, so that no field's place has to be checked.
    let bytes: [u8; UNIT_HEADER_BYTES as usize] = fields.bytes(0);
    let fields = Fields(&bytes);
    let damaged = |what: String| Err(DecodeError::DamagedUnit { unit: index, what });
    let id = fields.u32(0);
    if id != index {
        return damaged(format!("it says it is unit {id}"));
    }
    let capacity = fields.u64(offset::RECORD_CAPACITY);
    if capacity != head.record_capacity {
        let expected = head.record_capacity;
        return damaged(format!("it has room for {capacity} records, the file says {expected}"));
    }
    let clock = Clock {
        begin_ticks: fields.u64(8),
        end_ticks: fields.u64(16),
        begin_ns: fields.u64(24),
        end_ns: fields.u64(32),
    };
    if clock.end_ticks < clock.begin_ticks {
        return damaged("its clock ran backwards between entry and exit".to_owned());
    }
    let produced = fields.u64(offset::CURSOR);
    let dropped = produced.saturating_sub(head.record_capacity);
    let (launch, warp) = (fields.u32(offset::LAUNCH), fields.u32(offset::WARP));
    let (core, block) = (fields.u32(offset::CORE_ID), fields.u64(offset::BLOCK));
    Ok(Unit { id, core, clock, produced, dropped, launch, warp, block })
}

fn aggregates<C: Consumer>(
    fields: &Fields,
    sites: u32,
    unit: u32,
    consumer: &mut C,
) -> Result<Recorded, StreamError<C::Error>> {
    const _: () = assert!(AGGREGATE_BYTES == 32 && UNIT_HEADER_BYTES == offset::aggregate(0));
    let mut recorded = Recorded::Nothing;
    let all = fields.part(offset::aggregate(0), offset::aggregate(sites));
    for (site, bytes) in (0..).zip(all.chunks_exact(AGGREGATE_BYTES as usize)) {
        let [count, sum, min, max] = [0, 8, 16, 24].map(|field| Fields(bytes).u64(field));
        if count == 0 {
            continue;
        }
        if min > max || sum < max {
            let what = format!("aggregate of site {site} has min {min}, max {max}, sum {sum}");
            return Err(DecodeError::DamagedUnit { unit, what }.into());
        }
        recorded = Recorded::Something;
        let row = AggregateRow { unit, site, count, sum, min, max };
        consumer.aggregate(row).map_err(StreamError::Consumer)?;
    }
    Ok(recorded)
}

fn counts<C: Consumer>(
    fields: &Fields,
    sites: u32,
    unit: u32,
    consumer: &mut C,
) -> Result<Recorded, StreamError<C::Error>> {
    let mut recorded = Recorded::Nothing;
    let all = fields.part(offset::counter(0, sites), offset::words(sites));
    for (site, bytes) in (0..).zip(all.chunks_exact(8)) {
        let count = Fields(bytes).u64(0);
        if count > 0 {
            recorded = Recorded::Something;
            consumer.count(CountRow { unit, site, count }).map_err(StreamError::Consumer)?;
        }
    }
    Ok(recorded)
}

fn words<C: Consumer>(
    fields: &Fields,
    sites: u32,
    site_words: &[SiteWords],
    unit: u32,
    consumer: &mut C,
) -> Result<Recorded, StreamError<C::Error>> {
    let mut recorded = Recorded::Nothing;
    let begin = offset::words(sites);
    for SiteWords { site, numbers } in site_words {
        let values = || numbers.clone().map(|number| fields.u64(begin + 8 * number));
        if values().any(|word| word != 0) {
            recorded = Recorded::Something;
            let row = WordsRow { unit, site: *site, words: values().collect() };
            consumer.words(row).map_err(StreamError::Consumer)?;
        }
    }
    Ok(recorded)
}

/// The records of the unit at `start`, oldest first.
fn records<C: Consumer>(
    reader: &mut Reader<impl Read + Seek>,
    head: &Head,
    start: u64,
    unit: &Unit,
    losses: &mut Losses,
    consumer: &mut C,
) -> Result<(), StreamError<C::Error>> {
    let first = start + offset::records(head.site_count, head.word_count);
    let ranges = kept(head, unit).map(|slots| first + 8 * slots.start..first + 8 * slots.end);
    let number = if head.keep == Keep::Last { unit.dropped } else { 0 };
    let begin = anchor(reader, &ranges, unit)?;
    let mut timeline = Timeline::new(head.site_count, unit, number, begin);
    for range in ranges {
        reader.chunks(range, |bytes| {
            timeline.take_all(bytes, losses, consumer).map_err(StreamError::Consumer)
        })?;
    }
    timeline.finish(losses, consumer).map_err(StreamError::Consumer)
}
