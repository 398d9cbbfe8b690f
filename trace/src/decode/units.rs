//! One execution unit: header, aggregates, counters, then its records.

use super::records::Timeline;
use super::{DecodeError, Fields, State};
use crate::layout::{AGGREGATE_BYTES, STATE_BYTES, UNIT_HEADER_BYTES, offset};
use crate::tables::{AggregateRow, Clock, CountRow, Trace, Unit};

/// Reads unit `index` into `trace`.
pub(super) fn read(bytes: &[u8], state: &State, index: u32, trace: &mut Trace) -> Result<(), DecodeError> {
    let start = STATE_BYTES + u64::from(index) * state.unit_stride;
    let fields = Fields::at(bytes, start, state.unit_stride, "a unit")?;
    let unit = header(&fields, state, index)?;
    aggregates(&fields, state.site_count, index, trace)?;
    counts(&fields, state.site_count, index, trace);
    if state.record_capacity > 0 {
        records(&fields, state, index, &unit, trace)?;
    }
    if unit.dropped > 0 {
        trace.losses.units_with_drops += 1;
        trace.losses.dropped_records = trace.losses.dropped_records.saturating_add(unit.dropped);
    }
    trace.units.push(unit);
    Ok(())
}

fn header(fields: &Fields, state: &State, index: u32) -> Result<Unit, DecodeError> {
    let damaged = |what: String| Err(DecodeError::DamagedUnit { unit: index, what });
    let id = fields.u32(0);
    if id != index {
        return damaged(format!("it says it is unit {id}"));
    }
    let capacity = fields.u64(offset::RECORD_CAPACITY);
    if capacity != state.record_capacity {
        let expected = state.record_capacity;
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
    let dropped = produced.saturating_sub(state.record_capacity);
    Ok(Unit { id, core: fields.u32(4), clock, produced, dropped })
}

fn aggregates(fields: &Fields, sites: u32, unit: u32, trace: &mut Trace) -> Result<(), DecodeError> {
    const _: () = assert!(AGGREGATE_BYTES == 32 && UNIT_HEADER_BYTES == 128);
    for site in 0..sites {
        let at = offset::aggregate(site);
        let [count, sum, min, max] = [0, 8, 16, 24].map(|field| fields.u64(at + field));
        if count == 0 {
            continue;
        }
        if min > max || sum < max {
            let what = format!("aggregate of site {site} has min {min}, max {max}, sum {sum}");
            return Err(DecodeError::DamagedUnit { unit, what });
        }
        trace.aggregates.push(AggregateRow { unit, site, count, sum, min, max });
    }
    Ok(())
}

fn counts(fields: &Fields, sites: u32, unit: u32, trace: &mut Trace) {
    for site in 0..sites {
        let count = fields.u64(offset::counter(site, sites));
        if count > 0 {
            trace.counts.push(CountRow { unit, site, count });
        }
    }
}

fn records(
    fields: &Fields,
    state: &State,
    index: u32,
    unit: &Unit,
    trace: &mut Trace,
) -> Result<(), DecodeError> {
    let mut timeline = Timeline::new(index, unit.clock, state.site_count, trace);
    let kept = unit.produced - unit.dropped;
    for number in 0..kept {
        let word = fields.u64(offset::records(state.site_count) + 8 * number);
        timeline.push(number, word, trace)?;
    }
    timeline.finish(trace);
    Ok(())
}
