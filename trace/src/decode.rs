//! From the bytes of a record file to a [`Trace`].
//!
//! The bytes were written by a candidate's process, so nothing in them is trusted: every offset is
//! checked, every count is held against what is there, and no input makes this panic.

mod records;
mod units;

use crate::layout::{MAGIC, Mode, STATE_BYTES, UNIT_HEADER_BYTES, offset};
use crate::sites::SiteTable;
use crate::tables::{Clock, Losses, Trace};
use thiserror::Error;

/// Why a record file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Not a record file.
    #[error("not a record file: it begins with {found:02x?}, not with \"KPROBE\"")]
    BadMagic {
        /// First eight bytes.
        found: [u8; 8],
    },
    /// A layout this build does not know.
    #[error("record layout version \"{found}\", this build reads \"01\"")]
    Version {
        /// Version in the file.
        found: String,
    },
    /// Bytes are missing.
    #[error("the record file is cut off: {needed} bytes needed for {what}, {present} present")]
    Truncated {
        /// What does not fit.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes in the file.
        present: u64,
    },
    /// The mode field holds a value no host writes, or not the mode of the sites.
    #[error("the records say mode {found}, the sites say {expected:?}")]
    Mode {
        /// Value in the file.
        found: u32,
        /// Mode of the `SiteTable`.
        expected: Mode,
    },
    /// Records and sites belong to different modules.
    #[error("the records have {found} sites, the site table has {expected}")]
    SiteCount {
        /// Sites in the file.
        found: u32,
        /// Sites in the table.
        expected: usize,
    },
    /// A record names a site that is not there.
    #[error("record {record} of unit {unit} names site {site}, there are {sites}")]
    SiteOutOfRange {
        /// Unit.
        unit: u32,
        /// Number of the record in its unit.
        record: u64,
        /// Site id in the record.
        site: u32,
        /// Sites there are.
        sites: u32,
    },
    /// Units are not as long as this many sites and records make them.
    #[error("units are {found} bytes apart, {expected} expected for their sites and records")]
    Stride {
        /// Bytes in the file.
        found: u64,
        /// Bytes expected.
        expected: u64,
    },
    /// More units were handed out than there were.
    #[error("{used} units used, but there was room for {capacity}")]
    UnitCount {
        /// Units handed out.
        used: u32,
        /// Units there was room for.
        capacity: u32,
    },
    /// A unit's header contradicts the file's.
    #[error("unit {unit} is damaged: {what}")]
    DamagedUnit {
        /// Unit.
        unit: u32,
        /// The contradiction.
        what: String,
    },
    /// Records and sites belong to different builds.
    #[error("the records belong to another site table: digest {found}, expected {expected}")]
    Digest {
        /// Digest in the file, in hexadecimal.
        found: String,
        /// Digest of the table.
        expected: String,
    },
    /// The site table has no digest.
    #[error("the site table cannot be digested: {0}")]
    Sites(String),
    /// A run that should have recorded something did not.
    #[error("no records: {because}")]
    Empty {
        /// Why there are none, as far as the file tells.
        because: String,
    },
}

/// Decodes a record file that belongs to `sites`.
///
/// # Errors
/// [`DecodeError`] if the bytes are not a record file of these sites, or hold no record at all.
pub fn decode(bytes: &[u8], sites: &SiteTable) -> Result<Trace, DecodeError> {
    let state = State::read(bytes)?;
    state.check(bytes, sites)?;
    state.check_digest(sites)?;
    let mut trace = Trace {
        mode: sites.mode,
        launches: state.launches,
        clock: state.clock,
        losses: Losses { refused_units: state.units_refused, ..Losses::default() },
        ..Trace::default()
    };
    for index in 0..state.units_used {
        units::read(bytes, &state, index, &mut trace)?;
    }
    reject_empty(&state, sites, &trace)?;
    Ok(trace)
}

/// The fields of [`crate::layout::StateHeader`] that decoding needs.
struct State {
    unit_stride: u64,
    unit_capacity: u32,
    units_used: u32,
    units_refused: u32,
    site_count: u32,
    record_capacity: u64,
    mode: u32,
    launches: u32,
    clock: Clock,
    site_digest: [u8; 32],
}

impl State {
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        check_magic(bytes)?;
        let head = Fields::at(bytes, 0, STATE_BYTES, "the file's header")?;
        Ok(Self {
            unit_stride: head.u64(24),
            unit_capacity: head.u32(32),
            units_used: head.u32(36),
            units_refused: head.u32(40),
            site_count: head.u32(44),
            record_capacity: head.u64(48),
            mode: head.u32(56),
            launches: head.u32(60),
            clock: Clock {
                begin_ticks: head.u64(64),
                end_ticks: head.u64(72),
                begin_ns: head.u64(80),
                end_ns: head.u64(88),
            },
            site_digest: head.bytes(96),
        })
    }

    /// Holds the header against the sites and the length of the file.
    fn check(&self, bytes: &[u8], sites: &SiteTable) -> Result<(), DecodeError> {
        if self.site_count as usize != sites.sites.len() {
            let (found, expected) = (self.site_count, sites.sites.len());
            return Err(DecodeError::SiteCount { found, expected });
        }
        if self.mode != sites.mode as u32 {
            return Err(DecodeError::Mode { found: self.mode, expected: sites.mode });
        }
        if self.units_used > self.unit_capacity {
            let (used, capacity) = (self.units_used, self.unit_capacity);
            return Err(DecodeError::UnitCount { used, capacity });
        }
        // A capacity beyond the file could overflow the stride; in a sound file it cannot occur.
        let present = bytes.len() as u64;
        if self.units_used > 0 && self.record_capacity > present / 8 {
            let needed = self.record_capacity.saturating_mul(8);
            return Err(truncated("the records of one unit", needed, present));
        }
        let capacity = self.record_capacity.min(present);
        let expected = offset::unit_stride(self.site_count, capacity);
        if self.units_used > 0 && self.unit_stride != expected {
            return Err(DecodeError::Stride { found: self.unit_stride, expected });
        }
        let needed =
            (u64::from(self.units_used)).saturating_mul(self.unit_stride).saturating_add(STATE_BYTES);
        if self.units_used > 0 && needed > present {
            return Err(truncated(&format!("{} units", self.units_used), needed, present));
        }
        Ok(())
    }

    fn check_digest(&self, sites: &SiteTable) -> Result<(), DecodeError> {
        let expected = sites.digest().map_err(|error| DecodeError::Sites(error.to_string()))?;
        if self.site_digest != expected {
            let (found, expected) = (hex(&self.site_digest), hex(&expected));
            return Err(DecodeError::Digest { found, expected });
        }
        Ok(())
    }
}

fn check_magic(bytes: &[u8]) -> Result<(), DecodeError> {
    let Some(found) = bytes.first_chunk::<8>() else {
        return Err(truncated("the file's header", STATE_BYTES, bytes.len() as u64));
    };
    if found[..6] != MAGIC[..6] {
        return Err(DecodeError::BadMagic { found: *found });
    }
    if found[6..] != MAGIC[6..] {
        let found = found[6..].escape_ascii().to_string();
        return Err(DecodeError::Version { found });
    }
    Ok(())
}

/// An empty trace from a run that should have recorded is an error, with the likely reason.
fn reject_empty(state: &State, sites: &SiteTable, trace: &Trace) -> Result<(), DecodeError> {
    let recorded = !trace.aggregates.is_empty()
        || !trace.counts.is_empty()
        || trace.units.iter().any(|unit| unit.produced > 0);
    if sites.sites.is_empty() || recorded {
        return Ok(());
    }
    let because = if state.launches == 0 {
        "the kernel was never called".to_owned()
    } else if state.units_used == 0 && state.units_refused > 0 {
        format!("all {} threads were refused a unit", state.units_refused)
    } else if state.units_used == 0 {
        "no thread of the kernel asked for a unit, so the instrumented code did not run".to_owned()
    } else {
        let (launches, sites) = (state.launches, sites.sites.len());
        format!("{launches} launches passed none of the {sites} sites")
    };
    Err(DecodeError::Empty { because })
}

fn truncated(what: &str, needed: u64, present: u64) -> DecodeError {
    DecodeError::Truncated { what: what.to_owned(), needed, present }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A checked stretch of the file, read by byte offset.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn at(bytes: &'a [u8], start: u64, length: u64, what: &str) -> Result<Self, DecodeError> {
        let end = start.saturating_add(length);
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        range
            .and_then(|(start, end)| bytes.get(start..end))
            .map(Self)
            .ok_or_else(|| truncated(what, end, bytes.len() as u64))
    }

    /// Bytes at `offset`; zero past the end, which callers rule out by the length they asked for.
    fn bytes<const N: usize>(&self, offset: u64) -> [u8; N] {
        let tail = self.0.get(offset as usize..).unwrap_or_default();
        tail.first_chunk().copied().unwrap_or([0; N])
    }

    fn u32(&self, offset: u64) -> u32 {
        u32::from_le_bytes(self.bytes(offset))
    }

    fn u64(&self, offset: u64) -> u64 {
        u64::from_le_bytes(self.bytes(offset))
    }
}

const _: () = assert!(UNIT_HEADER_BYTES == offset::aggregate(0));
