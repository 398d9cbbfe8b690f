//! Record layout: what a probe writes and what a record file holds.
//!
//! A record file is the memory the instrumented kernel wrote, byte for byte: one [`StateHeader`],
//! then `units_used` units of `unit_stride` bytes each. A unit is
//!
//! ```text
//! UnitHeader                       128 bytes
//! aggregates  [Aggregate; sites]   32 bytes a site   (region timing, aggregate mode)
//! counters    [u64; sites]          8 bytes a site   (counting)
//! words       [u64; words]          8 bytes a word   (what a site owns besides, sites in order)
//! records     [u64; capacity + 1]   8 bytes a record (trace mode; the last slot takes what is dropped,
//!                                                    unless the buffer is a ring)
//! ```
//!
//! All integers are little-endian. The offsets are compile-time constants for the conversion passes,
//! so a probe costs one base register and no address arithmetic at run time.

use serde::{Deserialize, Serialize};

/// First eight bytes of every record file: `KPROBE` and the layout version, `02`.
pub const MAGIC: [u8; 8] = *b"KPROBE02";
/// Bytes of [`StateHeader`], fixed so that a reader of a newer minor layout still finds the units.
pub const STATE_BYTES: u64 = 256;
/// Bytes of [`UnitHeader`].
pub const UNIT_HEADER_BYTES: u64 = 128;
/// Bytes of one [`Aggregate`].
pub const AGGREGATE_BYTES: u64 = 32;
/// A site id has 20 bits in a record, so this many sites fit in one module.
pub const MAX_SITES: u32 = 1 << 20;
/// Name of the device global through which a kernel finds its buffers. Null means: record nothing.
pub const STATE_SYMBOL: &str = "__kinstr_state";

/// How probes record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// `{count, sum, min, max}` per unit and site: constant size, nothing lost.
    #[default]
    Aggregate,
    /// One 8-byte [`ProbeRecord`] per event, in a buffer that counts what did not fit.
    Trace,
}

/// Which records of a unit a full buffer keeps, in trace mode. The instrumented code is the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The first ones: later records are counted and go nowhere.
    #[default]
    First,
    /// The last ones: the buffer is a ring, and later records take the place of the oldest.
    Last,
}

impl Keep {
    /// Kebab-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
        }
    }
}

/// What [`StateHeader::mode`] says.
pub const fn mode_number(mode: Mode, keep: Keep) -> u32 {
    match (mode, keep) {
        (Mode::Aggregate, _) => 0,
        (Mode::Trace, Keep::First) => 1,
        (Mode::Trace, Keep::Last) => 2,
    }
}

/// What a [`StateHeader::mode`] means; `None` for a value no host writes.
pub const fn mode_of(number: u32) -> Option<(Mode, Keep)> {
    match number {
        0 => Some((Mode::Aggregate, Keep::First)),
        1 => Some((Mode::Trace, Keep::First)),
        2 => Some((Mode::Trace, Keep::Last)),
        _ => None,
    }
}

/// What [`UnitHeader::record_mask`] is for a buffer of `capacity` records, a power of two for [`Keep::Last`].
pub const fn record_mask(keep: Keep, capacity: u64) -> u64 {
    match keep {
        Keep::First => u64::MAX,
        Keep::Last => capacity.wrapping_sub(1),
    }
}

/// Host-filled state behind [`STATE_SYMBOL`]: on a CPU that is a pointer to it, on a GPU the state itself, in constant memory.
/// 256 bytes, the tail reserved and zero.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct StateHeader {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// Called as `attach(state) -> unit` by a kernel that starts on a thread; 0 in a record file.
    pub attach: u64,
    /// Address of the first unit; 0 in a record file, where units follow the header.
    pub units: u64,
    /// Bytes from one unit to the next.
    pub unit_stride: u64,
    /// Units there is room for.
    pub unit_capacity: u32,
    /// Units handed out so far (atomic while a kernel runs).
    pub units_used: u32,
    /// Threads that asked for a unit and got none: their records are lost, and this says so.
    pub units_refused: u32,
    /// Sites in the module.
    pub site_count: u32,
    /// Record slots per unit, the spare one not counted; 0 in aggregate mode.
    pub record_capacity: u64,
    /// [`mode_number`].
    pub mode: u32,
    /// Calls of the kernel entry that these records cover.
    pub launches: u32,
    /// Clock in ticks when recording began.
    pub clock_begin: u64,
    /// Clock in ticks when recording ended.
    pub clock_end: u64,
    /// Nanoseconds of the system's monotonic clock, read together with `clock_begin`.
    pub global_begin: u64,
    /// Nanoseconds, read together with `clock_end`.
    pub global_end: u64,
    /// First 32 bytes of the digest of the `SiteTable` these records belong to.
    pub site_digest: [u8; 32],
    /// Words of all sites together, in each unit.
    pub word_count: u64,
    /// On a GPU, how the warps of the launch that runs find their units; zero on a CPU, whose threads attach.
    pub launch: LaunchHeader,
    /// Zero.
    pub reserved: [u8; 96],
}

/// How the warps of one launch on a GPU find their units: the host writes it before the launch, in stream order.
///
/// With `block` the linear index of a block in its grid and `warp` that of a warp in its block, a warp records if the
/// low `block_shift` bits of `block` are zero, into unit
/// `unit_base + (((block >> block_shift) * warps_per_block + warp) & unit_mask)`, if that is below
/// [`StateHeader::unit_capacity`]. Where the mask is all ones every warp has a unit of its own, which its header then tells
/// of; a smaller one (a power of two less one) makes warps share units, which only sites that add up can bear.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct LaunchHeader {
    /// First unit of the launch.
    pub unit_base: u32,
    /// See above.
    pub unit_mask: u32,
    /// One block in `1 << block_shift` records.
    pub block_shift: u32,
    /// Number of the launch since recording began.
    pub number: u32,
    /// The low `block_shift` bits, so that a warp need not make them.
    pub block_mask: u32,
    /// Zero.
    pub reserved: [u8; 4],
}

/// Head of one execution unit (a thread on the CPU, a warp on a GPU).
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct UnitHeader {
    /// Unit number, dense from 0.
    pub unit_id: u32,
    /// Core or SM the unit began on.
    pub core_id: u32,
    /// Clock in ticks when the unit attached.
    pub clock_entry: u64,
    /// Clock in ticks at the end of the run.
    pub clock_exit: u64,
    /// Nanoseconds, read together with `clock_entry`.
    pub global_entry: u64,
    /// Nanoseconds, read together with `clock_exit`.
    pub global_exit: u64,
    /// Records produced, dropped ones included: `cursor - record_capacity` are lost if positive.
    pub cursor: u64,
    /// Copy of [`StateHeader::record_capacity`], so that a record needs no second pointer.
    pub record_capacity: u64,
    /// Record `n` goes to slot `min(n & record_mask, record_capacity)`; see [`record_mask`].
    pub record_mask: u64,
    /// On a GPU, [`LaunchHeader::number`] of the launch that the warp was of.
    pub launch: u32,
    /// On a GPU, index of the warp in its block.
    pub warp: u32,
    /// On a GPU, linear index of the block in its grid.
    pub block: u64,
    /// Zero.
    pub reserved: [u8; 48],
}

/// `{count, sum, min, max}` of one site in one unit; ticks for a timing site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Aggregate {
    /// Intervals seen.
    pub count: u64,
    /// Sum of their lengths.
    pub sum: u64,
    /// Shortest; the host initialises it to `u64::MAX`.
    pub min: u64,
    /// Longest.
    pub max: u64,
}

/// Byte offsets inside [`UnitHeader`] and a unit that generated code uses.
pub mod offset {
    use super::{AGGREGATE_BYTES, UNIT_HEADER_BYTES};

    /// [`super::StateHeader::attach`].
    pub const STATE_ATTACH: u64 = 8;
    /// [`super::StateHeader::units`].
    pub const STATE_UNITS: u64 = 16;
    /// [`super::StateHeader::unit_stride`].
    pub const STATE_UNIT_STRIDE: u64 = 24;
    /// [`super::StateHeader::unit_capacity`].
    pub const STATE_UNIT_CAPACITY: u64 = 32;
    /// [`super::StateHeader::launch`].
    pub const STATE_LAUNCH: u64 = 136;
    /// [`super::UnitHeader::core_id`].
    pub const CORE_ID: u64 = 4;
    /// [`super::UnitHeader::clock_entry`].
    pub const CLOCK_ENTRY: u64 = 8;
    /// [`super::UnitHeader::clock_exit`].
    pub const CLOCK_EXIT: u64 = 16;
    /// [`super::UnitHeader::global_entry`].
    pub const GLOBAL_ENTRY: u64 = 24;
    /// [`super::UnitHeader::global_exit`].
    pub const GLOBAL_EXIT: u64 = 32;
    /// [`super::UnitHeader::launch`].
    pub const LAUNCH: u64 = 64;
    /// [`super::UnitHeader::warp`].
    pub const WARP: u64 = 68;
    /// [`super::UnitHeader::block`].
    pub const BLOCK: u64 = 72;
    /// [`super::UnitHeader::cursor`].
    pub const CURSOR: u64 = 40;
    /// [`super::UnitHeader::record_capacity`].
    pub const RECORD_CAPACITY: u64 = 48;
    /// [`super::UnitHeader::record_mask`].
    pub const RECORD_MASK: u64 = 56;

    /// Aggregate of `site`.
    pub const fn aggregate(site: u32) -> u64 {
        UNIT_HEADER_BYTES + AGGREGATE_BYTES * site as u64
    }
    /// Counter of `site` in a module with `sites` sites.
    pub const fn counter(site: u32, sites: u32) -> u64 {
        UNIT_HEADER_BYTES + AGGREGATE_BYTES * sites as u64 + 8 * site as u64
    }
    /// First word of a unit in a module with `sites` sites.
    pub const fn words(sites: u32) -> u64 {
        UNIT_HEADER_BYTES + (AGGREGATE_BYTES + 8) * sites as u64
    }
    /// First record of a unit in a module with `sites` sites that own `words` words together.
    pub const fn records(sites: u32, words: u64) -> u64 {
        self::words(sites) + 8 * words
    }
    /// Bytes of a unit, a multiple of 128 so that two units never share a cache-line pair.
    pub const fn unit_stride(sites: u32, words: u64, record_capacity: u64) -> u64 {
        let slots = if record_capacity == 0 { 0 } else { record_capacity + 1 };
        (records(sites, words) + 8 * slots).next_multiple_of(128)
    }
}

/// What happened at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum RecordKind {
    /// A region began; the clock field holds the clock.
    RegionBegin = 0,
    /// A region ended; the clock field holds the clock.
    RegionEnd = 1,
    /// A counted block was entered; the clock field is zero, because counting reads no clock.
    Count = 2,
    /// A sampled value; the clock field holds its low 32 bits.
    Sample = 3,
}

/// One 8-byte record: clock in bits 0–31, site id in 32–51, kind in 52–55, sequence in 56–63.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct ProbeRecord(pub u64);

impl ProbeRecord {
    /// Bit of the site id's first bit.
    pub const SITE_SHIFT: u32 = 32;
    /// Bit of the kind's first bit.
    pub const KIND_SHIFT: u32 = 52;
    /// Bit of the sequence's first bit.
    pub const SEQUENCE_SHIFT: u32 = 56;

    /// Packs a record. `site` must be below [`MAX_SITES`]; higher bits are cut off.
    pub const fn new(clock: u32, site: u32, kind: RecordKind, sequence: u8) -> Self {
        Self(
            clock as u64
                | ((site & (MAX_SITES - 1)) as u64) << Self::SITE_SHIFT
                | (kind as u64) << Self::KIND_SHIFT
                | (sequence as u64) << Self::SEQUENCE_SHIFT,
        )
    }
    /// Low 32 bits of the clock in ticks.
    pub const fn clock(self) -> u32 {
        self.0 as u32
    }
    /// Site id.
    pub const fn site(self) -> u32 {
        (self.0 >> Self::SITE_SHIFT) as u32 & (MAX_SITES - 1)
    }
    /// Kind, or `None` for a value no probe writes.
    pub const fn kind(self) -> Option<RecordKind> {
        match (self.0 >> Self::KIND_SHIFT) & 0xf {
            0 => Some(RecordKind::RegionBegin),
            1 => Some(RecordKind::RegionEnd),
            2 => Some(RecordKind::Count),
            3 => Some(RecordKind::Sample),
            _ => None,
        }
    }
    /// Low 8 bits of the record's number in its unit.
    pub const fn sequence(self) -> u8 {
        (self.0 >> Self::SEQUENCE_SHIFT) as u8
    }
}

const _: () = assert!(size_of::<StateHeader>() == STATE_BYTES as usize);
const _: () = assert!(size_of::<UnitHeader>() == UNIT_HEADER_BYTES as usize);
const _: () = assert!(size_of::<Aggregate>() == AGGREGATE_BYTES as usize);
const _: () = assert!(std::mem::offset_of!(StateHeader, word_count) == 128);
const _: () = assert!(std::mem::offset_of!(StateHeader, units) == offset::STATE_UNITS as usize);
const _: () = assert!(std::mem::offset_of!(StateHeader, unit_stride) == offset::STATE_UNIT_STRIDE as usize);
const _: () =
    assert!(std::mem::offset_of!(StateHeader, unit_capacity) == offset::STATE_UNIT_CAPACITY as usize);
const _: () = assert!(std::mem::offset_of!(StateHeader, launch) == offset::STATE_LAUNCH as usize);
const _: () = assert!(std::mem::offset_of!(UnitHeader, core_id) == offset::CORE_ID as usize);
const _: () = assert!(std::mem::offset_of!(UnitHeader, clock_entry) == offset::CLOCK_ENTRY as usize);
const _: () = assert!(std::mem::offset_of!(UnitHeader, clock_exit) == offset::CLOCK_EXIT as usize);
const _: () = assert!(std::mem::offset_of!(UnitHeader, global_entry) == offset::GLOBAL_ENTRY as usize);
const _: () = assert!(std::mem::offset_of!(UnitHeader, global_exit) == offset::GLOBAL_EXIT as usize);
const _: () = assert!(std::mem::offset_of!(UnitHeader, launch) == offset::LAUNCH as usize);
const _: () = assert!(std::mem::offset_of!(UnitHeader, warp) == offset::WARP as usize);
const _: () = assert!(std::mem::offset_of!(UnitHeader, block) == offset::BLOCK as usize);
const _: () = assert!(std::mem::offset_of!(StateHeader, attach) == offset::STATE_ATTACH as usize);
const _: () = assert!(std::mem::offset_of!(UnitHeader, cursor) == offset::CURSOR as usize);
const _: () = assert!(std::mem::offset_of!(UnitHeader, record_capacity) == offset::RECORD_CAPACITY as usize);
const _: () = assert!(std::mem::offset_of!(UnitHeader, record_mask) == offset::RECORD_MASK as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_fields_survive_packing() {
        let record = ProbeRecord::new(u32::MAX, MAX_SITES - 1, RecordKind::Sample, 255);
        assert_eq!(record.clock(), u32::MAX);
        assert_eq!(record.site(), MAX_SITES - 1);
        assert_eq!(record.kind(), Some(RecordKind::Sample));
        assert_eq!(record.sequence(), 255);
        assert_eq!(ProbeRecord(0xf << ProbeRecord::KIND_SHIFT).kind(), None);
    }

    #[test]
    fn units_never_share_a_cache_line_pair() {
        assert_eq!(offset::unit_stride(3, 5, 0) % 128, 0);
        assert!(offset::unit_stride(3, 5, 10) >= offset::records(3, 5) + 8 * 11);
    }
}
