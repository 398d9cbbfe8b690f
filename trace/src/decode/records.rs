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

/// A record as it stands in a file.
type Word = [u8; 8];

fn record(word: &Word) -> ProbeRecord {
    ProbeRecord(u64::from_le_bytes(*word))
}

/// All of a record but the clock.
fn high(record: ProbeRecord) -> u32 {
    (record.0 >> ProbeRecord::SITE_SHIFT) as u32
}

/// Where the sequence stands in [`high`].
const SEQUENCE_SHIFT: u32 = ProbeRecord::SEQUENCE_SHIFT - ProbeRecord::SITE_SHIFT;
/// From [`high`] of a begin to that of the end that follows it: the next kind, the next number.
const LEAF_STEP: u32 = 1 << (ProbeRecord::KIND_SHIFT - ProbeRecord::SITE_SHIFT) | 1 << SEQUENCE_SHIFT;
const _: () = assert!(RecordKind::RegionBegin as u32 == 0 && RecordKind::RegionEnd as u32 == 1);

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
        let mut words = bytes.as_chunks().0;
        loop {
            words = self.take_leaves(words, consumer)?;
            let Some((word, rest)) = words.split_first() else { return Ok(()) };
            self.take(record(word), losses, consumer)?;
            words = rest;
        }
    }

    /// Takes the regions at the head of `words` whose end follows their begin, as long as nothing is wrong with
    /// them, and answers what is left. They do as [`Timeline::take`] would twice; most records are of such regions,
    /// and one comparison for both halves what a record costs.
    #[inline]
    fn take_leaves<'w, C: Consumer>(
        &mut self,
        mut words: &'w [Word],
        consumer: &mut C,
    ) -> Result<&'w [Word], C::Error> {
        let (mut now, mut number, depth) = (self.now, self.number, self.depth as u32);
        if self.depth == MAX_DEPTH || self.too_deep > 0 {
            return Ok(words);
        }
        while let [first, second, rest @ ..] = words {
            let (first, second) = (record(first), record(second));
            // With the sequence expected here and the kind of a begin, which is 0, the site is all that is left.
            let site = high(first) ^ (number as u32) << SEQUENCE_SHIFT;
            let is_leaf = site < self.sites && high(second) == high(first).wrapping_add(LEAF_STEP);
            let wait = first.clock().wrapping_sub(now as u32);
            let length = second.clock().wrapping_sub(first.clock());
            // Half a wrap or more is not ordinary, whether it turns out to be reordered or not.
            let is_ordinary = (wait | length) < 1 << 31;
            let (wait, length) = (u64::from(wait), u64::from(length));
            if !is_leaf || !is_ordinary || wait + length > self.exit - now {
                break;
            }
            let begin = now + wait;
            (now, number, words) = (begin + length, number.wrapping_add(2), rest);
            consumer.open(site, depth, begin)?;
            consumer.close(Slice { track: self.unit, site, depth, begin, end: now })?;
        }
        (self.now, self.number) = (now, number);
        Ok(words)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Clock;
    use proptest::prelude::*;
    use std::convert::Infallible;

    #[derive(Debug, Default, PartialEq)]
    struct Seen(Vec<(Option<u32>, u64, Option<Slice>)>);

    impl Consumer for Seen {
        type Error = Infallible;

        fn open(&mut self, site: u32, depth: u32, ticks: u64) -> Result<(), Infallible> {
            self.0.push((Some(site), ticks + u64::from(depth), None));
            Ok(())
        }
        fn close(&mut self, slice: Slice) -> Result<(), Infallible> {
            self.0.push((None, 0, Some(slice)));
            Ok(())
        }
        fn abandon(&mut self, ticks: u64) -> Result<(), Infallible> {
            self.0.push((None, ticks, None));
            Ok(())
        }
    }

    fn seen(words: &[u64], chunk: usize) -> (Seen, Losses) {
        let (mut seen, mut losses) = (Seen::default(), Losses::default());
        let clock = Clock { begin_ticks: 5 << 32, end_ticks: 7 << 32, ..Clock::default() };
        let unit = Unit { clock, produced: words.len() as u64, ..Unit::default() };
        let mut timeline = Timeline::new(3, &unit, 250, clock.begin_ticks);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        for bytes in bytes.chunks(chunk) {
            timeline.take_all(bytes, &mut losses, &mut seen).unwrap();
        }
        timeline.finish(&mut losses, &mut seen).unwrap();
        (seen, losses)
    }

    proptest! {
        /// Records that come one at a time never take the way of whole regions.
        #[test]
        fn regions_taken_whole_are_those_taken_by_halves(
            events in proptest::collection::vec((0u64..5, 0u64..4, 0u64..40, 0u32..12), 1..200),
        ) {
            let mut clock = 5_u64 << 32;
            let words: Vec<u64> = (250..).zip(&events).flat_map(|(number, &(kind, site, odd, pause))| {
                clock = clock.wrapping_add(match odd {
                    0 => 1 << (20 + pause),
                    1 => (1_u64 << 32) - (1 << pause),
                    _ => u64::from(pause),
                });
                let sequence = if odd == 2 { 7 } else { 2 * number };
                let word = |kind: u64, sequence: u64| {
                    clock & 0xffff_ffff | site << 32 | kind << 52 | (sequence & 0xff) << 56
                };
                // Half of all records are leaf regions, whole ones.
                if kind == 4 { [word(0, sequence), word(1, sequence + 1)] } else { [word(kind, sequence), word(0, sequence + 1)] }
            }).collect();
            let words: Vec<u64> = words.into_iter().map(|word| word.wrapping_sub(250 << 56)).collect();
            prop_assert_eq!(seen(&words, 8), seen(&words, usize::MAX));
        }
    }
}
