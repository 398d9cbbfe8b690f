//! Where the records of a unit begin: in a ring that has wrapped, neither at its first slot nor at its entry.

use super::records::forward;
use super::units::Reader;
use super::{DecodeError, Head};
use crate::layout::{Keep, ProbeRecord, RecordKind};
use crate::tables::Unit;
use std::io::{Read, Seek};
use std::ops::Range;

/// Ticks that 32 bits tell apart.
const WRAP: u64 = 1 << 32;

/// Slots that hold records, in the order of recording.
pub(super) fn kept(head: &Head, unit: &Unit) -> [Range<u64>; 2] {
    let capacity = head.record_capacity;
    if unit.dropped == 0 || head.keep == Keep::First {
        return [0..unit.produced.min(capacity), 0..0];
    }
    // The slot that would be written next holds the oldest record.
    let oldest = unit.produced & (capacity - 1);
    [oldest..capacity, 0..oldest]
}

/// The 64-bit clock from which the readings in `ranges` are repaired: the unit's entry, if its first records
/// are there or no wrap can be missed. Otherwise records are missing before the first, over any number of
/// wraps; then the last one is held to be less than a wrap before the unit's exit, and all lengths of
/// time between are summed, which takes a pass over the records.
pub(super) fn anchor(
    reader: &mut Reader<impl Read + Seek>,
    ranges: &[Range<u64>; 2],
    unit: &Unit,
) -> Result<u64, DecodeError> {
    let (entry, exit) = (unit.clock.begin_ticks, unit.clock.end_ticks);
    let starts_late = !ranges[1].is_empty();
    if !starts_late || exit - entry < WRAP {
        return Ok(entry);
    }
    let mut first = None;
    let mut now = 0_u64;
    for range in ranges {
        reader.chunks(range.clone(), |bytes| {
            for word in bytes.as_chunks().0 {
                let record = ProbeRecord(u64::from_le_bytes(*word));
                if matches!(record.kind(), Some(RecordKind::RegionBegin | RecordKind::RegionEnd)) {
                    if first.is_none() {
                        now = u64::from(record.clock());
                        first = Some(now);
                    }
                    now = now.saturating_add(forward(now, record.clock()).unwrap_or(0));
                }
            }
            Ok::<_, DecodeError>(())
        })?;
    }
    let Some(first) = first else { return Ok(entry) };
    let last = exit - u64::from((exit as u32).wrapping_sub(now as u32));
    Ok(last.saturating_sub(now - first).max(entry))
}
