//! The records of one unit in order: clock repair, sequence check, nesting of regions.

use super::Consumer;
use crate::layout::{ProbeRecord, RecordKind};
use crate::tables::{CountRow, Counter, Losses, Slice, Unit};

/// A reading this many ticks or less before the last one is a reordered clock read, not a wrap.
///
/// An out-of-order core may read the clock of a region's begin before that of the previous end,
/// by some tens of ticks. Taken as a wrap, that would put seconds between them. A true wrap that
/// lands in the window needs a pause of 2^32 ticks less at most this, which is as likely as 2^-16.
const REORDER_WINDOW: u32 = 1 << 16;
/// Regions that may be open at once in a unit. What begins deeper is counted as lost, so that a damaged
/// file, or a recursion without end, takes no more memory than a sound one.
pub const MAX_DEPTH: usize = 1024;

/// Ticks from clock `now` to the first instant not before it at which the low half of the clock reads `low`;
/// `None` for a reordered reading.
#[inline]
pub(super) fn forward(now: u64, low: u32) -> Option<u64> {
    let forward = low.wrapping_sub(now as u32);
    (forward == 0 || forward.wrapping_neg() > REORDER_WINDOW).then_some(u64::from(forward))
}

/// A region that began and has not ended.
#[derive(Clone, Copy, Default)]
struct Open {
    site: u32,
    begin: u64,
}

/// Decoding state of one unit's records.
pub(super) struct Timeline {
    unit: u32,
    sites: u32,
    /// Number of the next record in the unit.
    number: u64,
    /// 64-bit clock of the last timed record.
    now: u64,
    exit: u64,
    /// Regions begun and not ended, outermost first: the first `depth` of them.
    open: Box<[Open; MAX_DEPTH]>,
    depth: usize,
    /// Regions begun and not ended beyond those.
    too_deep: u64,
    /// Executions by site; empty until there is one.
    counts: Vec<u64>,
}

impl Timeline {
    /// The records of `unit` from `number` on, with clocks from `begin` on.
    pub(super) fn new(sites: u32, unit: &Unit, number: u64, begin: u64) -> Self {
        let open = Box::new([Open::default(); MAX_DEPTH]);
        let (now, exit) = (begin, unit.clock.end_ticks);
        Self { unit: unit.id, sites, number, now, exit, open, depth: 0, too_deep: 0, counts: vec![] }
    }

    /// Takes the next records, 8 bytes each.
    pub(super) fn take_all<C: Consumer>(
        &mut self,
        bytes: &[u8],
        losses: &mut Losses,
        consumer: &mut C,
    ) -> Result<(), C::Error> {
        for word in bytes.as_chunks().0 {
            self.take(ProbeRecord(u64::from_le_bytes(*word)), losses, consumer)?;
        }
        Ok(())
    }

    #[inline]
    fn take<C: Consumer>(
        &mut self,
        record: ProbeRecord,
        losses: &mut Losses,
        consumer: &mut C,
    ) -> Result<(), C::Error> {
        let (number, site) = (self.number, record.site());
        self.number = number.wrapping_add(1);
        if record.sequence() != number as u8 {
            losses.out_of_sequence += 1;
        }
        if site >= self.sites {
            losses.unknown_sites += 1;
            return consumer.unknown_site(self.unit, number, site);
        }
        match record.kind() {
            Some(RecordKind::RegionBegin) => self.begin(record, losses, consumer)?,
            Some(RecordKind::RegionEnd) => self.end(record, losses, consumer)?,
            Some(RecordKind::Count) => self.count(site),
            Some(RecordKind::Sample) => {
                consumer.sample(Counter { track: self.unit, site, at: self.now, value: record.clock() })?;
            }
            None => losses.unknown_records += 1,
        }
        Ok(())
    }

    #[inline]
    fn begin<C: Consumer>(
        &mut self,
        record: ProbeRecord,
        losses: &mut Losses,
        consumer: &mut C,
    ) -> Result<(), C::Error> {
        let (site, begin) = (record.site(), self.repair(record.clock(), losses));
        let Some(open) = self.open.get_mut(self.depth) else {
            self.too_deep += 1;
            losses.too_deep_regions += 1;
            return Ok(());
        };
        *open = Open { site, begin };
        consumer.open(site, self.depth as u32, begin)?;
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn end<C: Consumer>(
        &mut self,
        record: ProbeRecord,
        losses: &mut Losses,
        consumer: &mut C,
    ) -> Result<(), C::Error> {
        let (site, end) = (record.site(), self.repair(record.clock(), losses));
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return Ok(());
        }
        let innermost = self.depth.wrapping_sub(1);
        if self.open.get(innermost).is_none_or(|open| open.site != site)
            && !self.abandon_inside(site, losses, consumer)?
        {
            return Ok(());
        }
        self.depth -= 1;
        let (open, depth) = (self.open[self.depth], self.depth as u32);
        consumer.close(Slice { track: self.unit, site, depth, begin: open.begin, end })
    }

    /// Gives up the regions inside the innermost open one of `site`. False, and nothing given up, if none is open.
    #[cold]
    fn abandon_inside<C: Consumer>(
        &mut self,
        site: u32,
        losses: &mut Losses,
        consumer: &mut C,
    ) -> Result<bool, C::Error> {
        let Some(position) = self.open[..self.depth].iter().rposition(|open| open.site == site) else {
            losses.unopened_regions += 1;
            return Ok(false);
        };
        self.abandon_to(position + 1, losses, consumer)?;
        Ok(true)
    }

    fn abandon_to<C: Consumer>(
        &mut self,
        depth: usize,
        losses: &mut Losses,
        consumer: &mut C,
    ) -> Result<(), C::Error> {
        while self.depth > depth {
            self.depth -= 1;
            losses.unclosed_regions += 1;
            consumer.abandon(self.now)?;
        }
        Ok(())
    }

    /// The 64-bit clock behind a 32-bit reading: the first one not before the last reading.
    #[inline]
    fn repair(&mut self, low: u32, losses: &mut Losses) -> u64 {
        match forward(self.now, low) {
            None => losses.reordered_clocks += 1,
            Some(forward) if forward > self.exit - self.now => losses.impossible_clocks += 1,
            Some(forward) => self.now += forward,
        }
        self.now
    }

    fn count(&mut self, site: u32) {
        if self.counts.is_empty() {
            self.counts = vec![0; self.sites as usize];
        }
        if let Some(count) = self.counts.get_mut(site as usize) {
            *count += 1;
        }
    }

    /// Ends the unit: regions without an end are given up and counted as lost.
    pub(super) fn finish<C: Consumer>(
        mut self,
        losses: &mut Losses,
        consumer: &mut C,
    ) -> Result<(), C::Error> {
        self.abandon_to(0, losses, consumer)?;
        let unit = self.unit;
        for (site, &count) in (0..).zip(&self.counts) {
            if count > 0 {
                consumer.count(CountRow { unit, site, count })?;
            }
        }
        Ok(())
    }
}
