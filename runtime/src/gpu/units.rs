//! Which warps of which launch get which units.

use kinstr_trace::layout::LaunchHeader;

/// [`LaunchHeader::unit_mask`] of records in which every warp has a unit of its own.
pub const OWN_UNITS: u32 = u32::MAX;
/// [`LaunchHeader::block_shift`] with which no block but the first can record.
const NO_BLOCKS: u32 = 31;
/// Units of one launch at most: half a wave of the largest devices there are. What warps write at their end is most of what probes cost, and
/// with twice as many it doubles.
const MOST_OF_A_LAUNCH: u32 = 4 << 10;

/// The units that are left while launches take theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Units {
    capacity: u32,
    mask: u32,
    /// Most units of one launch, so that later launches find some.
    share: u32,
    next: u32,
    launches: u32,
    refused: u32,
}

/// What one launch is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub base: u32,
    pub mask: u32,
    pub block_shift: u32,
    /// The launch's number.
    pub number: u32,
    /// Units of the launch; 0 if none was left.
    pub units: u32,
}

impl Units {
    /// `capacity` units for about `launches` launches; `mask` says whether warps share them, see [`LaunchHeader`].
    pub(super) fn new(capacity: u32, mask: u32, launches: u32) -> Self {
        let share = (capacity / launches.max(1)).clamp(1, MOST_OF_A_LAUNCH);
        Self { capacity, mask, share, next: 0, launches: 0, refused: 0 }
    }

    /// Gives units to a launch of `blocks` blocks of `warps` warps: to all its warps if they fit, else to those of every
    /// second, fourth, … block.
    pub(super) fn grant(&mut self, blocks: u64, warps: u32) -> Grant {
        let number = self.launches;
        self.launches = self.launches.saturating_add(1);
        if self.mask != OWN_UNITS {
            let units = (blocks.saturating_mul(warps.into())).min(u64::from(self.mask) + 1) as u32;
            let units = units.min(self.capacity);
            self.next = self.next.max(units);
            // Nothing of a launch is told by units that others share.
            return Grant { base: 0, mask: self.mask, block_shift: 0, number: 0, units };
        }
        let room = (self.capacity - self.next).min(self.share.max(warps));
        let sampled = u64::from(room / warps.max(1));
        if sampled == 0 {
            self.refused = self.refused.saturating_add(1);
            return Grant { base: self.capacity, mask: self.mask, block_shift: NO_BLOCKS, number, units: 0 };
        }
        let mut block_shift = 0;
        while block_shift < NO_BLOCKS && recording(blocks, block_shift) > sampled {
            block_shift += 1;
        }
        let base = self.next;
        let units = (recording(blocks, block_shift).min(sampled) as u32) * warps;
        self.next += units;
        Grant { base, mask: self.mask, block_shift, number, units }
    }

    /// Units handed out.
    pub(super) fn used(&self) -> u32 {
        self.next
    }

    /// Launches that found no unit.
    pub(super) fn refused(&self) -> u32 {
        self.refused
    }
}

/// Blocks that record with a shift.
fn recording(blocks: u64, shift: u32) -> u64 {
    blocks.div_ceil(1 << shift)
}

impl Grant {
    /// Whether a launch that is granted `other` may find this header where nobody reads what is recorded: no more of its
    /// blocks record than are to.
    pub(super) fn serves(&self, other: &Self) -> bool {
        self.mask == other.mask && self.base == other.base && self.block_shift >= other.block_shift
    }

    pub(super) fn header(&self) -> LaunchHeader {
        LaunchHeader {
            unit_base: self.base,
            unit_mask: self.mask,
            block_shift: self.block_shift,
            number: self.number,
            block_mask: (1 << self.block_shift) - 1,
            reserved: [0; 4],
        }
    }

    /// Number of the launch, if its warps have units of their own, which tell of it.
    pub(super) fn own_number(&self) -> Option<u32> {
        (self.mask == OWN_UNITS).then_some(self.number)
    }

    /// First unit of the launch, if its warps have units of their own.
    pub(super) fn own_first_unit(&self) -> Option<u32> {
        (self.mask == OWN_UNITS && self.units > 0).then_some(self.base)
    }

    /// The header as the device reads it.
    pub(super) fn bytes(&self) -> [u8; 20] {
        let header = self.header();
        let words =
            [header.unit_base, header.unit_mask, header.block_shift, header.number, header.block_mask];
        let mut bytes = [0; 20];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_warp_records_while_they_fit() {
        let mut units = Units::new(100, OWN_UNITS, 2);
        let first = units.grant(10, 4);
        assert_eq!((first.base, first.block_shift, first.units, first.number), (0, 0, 40, 0));
        assert_eq!(units.grant(12, 4).base, 40);
        assert_eq!((units.used(), units.refused()), (88, 0));
    }

    #[test]
    fn a_large_launch_is_sampled_by_blocks_and_leaves_room_for_the_next() {
        let mut units = Units::new(1000, OWN_UNITS, 2);
        let large = units.grant(1_000_000, 8);
        // 62 blocks of 8 warps fit into half of the units; a million over 2^14 is 62.
        assert_eq!((large.block_shift, large.units), (14, 62 * 8));
        assert!(units.grant(4, 8).units == 32);
    }

    #[test]
    fn of_a_large_launch_alone_no_more_warps_record_and_many_small_ones_all_do() {
        let granted = Units::new(9 << 10, OWN_UNITS, 1).grant(1 << 20, 8).units;
        assert!(granted > MOST_OF_A_LAUNCH / 2 && granted <= MOST_OF_A_LAUNCH, "{granted}");
        let mut many = Units::new(9 << 10, OWN_UNITS, 1000);
        for _ in 0..1000 {
            many.grant(1, 8);
        }
        assert_eq!((many.used(), many.refused()), (8000, 0));
    }

    #[test]
    fn a_launch_that_finds_no_unit_is_counted_and_cannot_record() {
        let mut units = Units::new(10, OWN_UNITS, 1);
        units.grant(1, 8);
        let refused = units.grant(1, 8);
        assert_eq!((refused.base, refused.units, units.refused()), (10, 0, 1));
        assert_eq!(refused.number, 1);
    }

    #[test]
    fn shared_units_are_the_same_for_every_launch() {
        let mut units = Units::new(64, 63, 1);
        assert_eq!(units.grant(1 << 40, 32).units, 64);
        let small = units.grant(2, 3);
        assert_eq!((small.base, small.mask, small.block_shift, small.units), (0, 63, 0, 6));
        assert_eq!(units.used(), 64);
    }

    #[test]
    fn the_header_is_written_as_the_layout_has_it() {
        let grant = Grant { base: 1, mask: 2, block_shift: 3, number: 4, units: 5 };
        assert_eq!(grant.bytes()[..8], [1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(grant.bytes()[12..], [4, 0, 0, 0, 7, 0, 0, 0]);
    }
}
