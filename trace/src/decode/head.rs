//! The header of a record file, held against the sites and the length of the file.

use super::fields::Fields;
use super::{DecodeError, Reader};
use crate::layout::{Keep, MAGIC, Mode, STATE_BYTES, mode_of, offset};
use crate::sites::SiteTable;
use crate::tables::Clock;
use std::io::{Read, Seek};

/// The fields of [`crate::layout::StateHeader`] that readers need.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// How the sites recorded.
    pub mode: Mode,
    /// Which records a full buffer kept.
    pub keep: Keep,
    /// Calls of the kernel entry that the records cover.
    pub launches: u32,
    /// Clock of the run as a whole.
    pub clock: Clock,
    /// Units in the file.
    pub units_used: u32,
    /// Threads that got no unit.
    pub units_refused: u32,
    /// Sites in the module.
    pub site_count: u32,
    /// Records a unit has room for; 0 in aggregate mode.
    pub record_capacity: u64,
    /// Words of all sites together, in each unit.
    pub word_count: u64,
    pub(super) unit_stride: u64,
}

impl Head {
    pub(super) fn read(
        reader: &mut Reader<impl Read + Seek>,
        sites: &SiteTable,
    ) -> Result<Self, DecodeError> {
        let present = reader.length()?;
        let mut bytes = vec![0; present.min(STATE_BYTES) as usize];
        reader.read_at(0, &mut bytes)?;
        check_magic(&bytes)?;
        if present < STATE_BYTES {
            return Err(truncated("the file's header", STATE_BYTES, present));
        }
        let fields = Fields(&bytes);
        let (mode, keep) = check_mode(fields.u32(56), fields.u32(44), sites)?;
        let head = Self {
            mode,
            keep,
            launches: fields.u32(60),
            clock: Clock {
                begin_ticks: fields.u64(64),
                end_ticks: fields.u64(72),
                begin_ns: fields.u64(80),
                end_ns: fields.u64(88),
            },
            units_used: fields.u32(36),
            units_refused: fields.u32(40),
            site_count: fields.u32(44),
            record_capacity: fields.u64(48),
            word_count: fields.u64(128),
            unit_stride: fields.u64(24),
        };
        if head.word_count != sites.word_count() {
            let (found, expected) = (head.word_count, sites.word_count());
            return Err(DecodeError::WordCount { found, expected });
        }
        head.check_size(fields.u32(32), present)?;
        check_digest(fields.bytes(96), sites)?;
        Ok(head)
    }

    /// Where unit `index` begins in the file.
    pub(super) fn unit_start(&self, index: u32) -> u64 {
        STATE_BYTES + u64::from(index) * self.unit_stride
    }

    fn check_size(&self, unit_capacity: u32, present: u64) -> Result<(), DecodeError> {
        if self.units_used > unit_capacity {
            return Err(DecodeError::UnitCount { used: self.units_used, capacity: unit_capacity });
        }
        if self.keep == Keep::Last && !self.record_capacity.is_power_of_two() {
            return Err(DecodeError::Ring { capacity: self.record_capacity });
        }
        if self.units_used == 0 {
            return Ok(());
        }
        // A capacity beyond the file could overflow the stride; in a sound file it cannot occur.
        if self.record_capacity > present / 8 {
            let needed = self.record_capacity.saturating_mul(8);
            return Err(truncated("the records of one unit", needed, present));
        }
        let expected = offset::unit_stride(self.site_count, self.word_count, self.record_capacity);
        if self.unit_stride != expected {
            return Err(DecodeError::Stride { found: self.unit_stride, expected });
        }
        let needed = u64::from(self.units_used).saturating_mul(expected).saturating_add(STATE_BYTES);
        if needed > present {
            return Err(truncated(&format!("{} units", self.units_used), needed, present));
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

fn check_mode(found: u32, site_count: u32, sites: &SiteTable) -> Result<(Mode, Keep), DecodeError> {
    if site_count as usize != sites.sites.len() {
        return Err(DecodeError::SiteCount { found: site_count, expected: sites.sites.len() });
    }
    match mode_of(found) {
        Some((mode, keep)) if mode == sites.mode => Ok((mode, keep)),
        _ => Err(DecodeError::Mode { found, expected: sites.mode }),
    }
}

fn check_digest(found: [u8; 32], sites: &SiteTable) -> Result<(), DecodeError> {
    let expected = sites.digest().map_err(|error| DecodeError::Sites(error.to_string()))?;
    if found != expected {
        let (found, expected) = (hex(&found), hex(&expected));
        return Err(DecodeError::Digest { found, expected });
    }
    Ok(())
}

fn truncated(what: &str, needed: u64, present: u64) -> DecodeError {
    DecodeError::Truncated { what: what.to_owned(), needed, present }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
