//! From a record file to what it says: as tables ([`decode`]), or unit by unit to a [`Consumer`] ([`stream`]).
//!
//! The bytes were written by a candidate's process, so nothing in them is trusted: every offset is
//! checked, every count is held against what is there, and no input makes this panic. A file may be
//! larger than memory: what is held at a time is a chunk of records, and per site and open region a few words.

mod consumer;
mod fields;
mod head;
mod records;
mod ring;
mod tables;
mod units;

pub use consumer::Consumer;
pub use head::Head;
pub use records::MAX_DEPTH;

use crate::layout::Mode;
use crate::sites::SiteTable;
use crate::tables::{Losses, Trace};
use std::io::{Cursor, Read, Seek};
use tables::TableBuilder;
use thiserror::Error;
use units::{Reader, Recorded};

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
    #[error("record layout version \"{found}\", this build reads \"02\"")]
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
    #[error("the records have {found} words a unit, the sites own {expected}")]
    WordCount {
        /// Words in the file.
        found: u64,
        /// Words of the table.
        expected: u64,
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
    /// A ring whose size is not a power of two, so that no host made it.
    #[error("a ring of {capacity} records: its size must be a power of two")]
    Ring {
        /// Records a unit has room for.
        capacity: u64,
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
    /// The system did not let the file be read.
    #[error("the record file cannot be read: {0}")]
    Read(String),
    /// A run that should have recorded something did not.
    #[error("no records: {because}")]
    Empty {
        /// Why there are none, as far as the file tells.
        because: String,
    },
}

/// Why [`stream`] ended early: the file's fault, or the consumer's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StreamError<E> {
    /// The file's.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The consumer's.
    #[error("{0}")]
    Consumer(E),
}

/// Decodes a record file that belongs to `sites` into tables.
///
/// # Errors
/// [`DecodeError`] if the bytes are not a record file of these sites, or hold no record at all.
pub fn decode(bytes: &[u8], sites: &SiteTable) -> Result<Trace, DecodeError> {
    let mut builder = TableBuilder::default();
    match stream(Cursor::new(bytes), sites, &mut builder) {
        Ok(_) => Ok(builder.into_trace()),
        Err(StreamError::Decode(error) | StreamError::Consumer(error)) => Err(error),
    }
}

/// Hands what a record file says to `consumer`, unit by unit and record by record, in bounded memory.
/// Answers what did not make it.
///
/// # Errors
/// [`StreamError::Decode`] as [`decode`], but a record of an unknown site is counted as lost, and the
/// consumer has had all that came before the error; [`StreamError::Consumer`] if the consumer failed.
pub fn stream<C: Consumer>(
    input: impl Read + Seek,
    sites: &SiteTable,
    consumer: &mut C,
) -> Result<Losses, StreamError<C::Error>> {
    let mut reader = Reader::new(input);
    let head = Head::read(&mut reader, sites)?;
    let mut losses = Losses { refused_units: head.units_refused, ..Losses::default() };
    consumer.begin_file(&head).map_err(StreamError::Consumer)?;
    let recorded = units::read_all(&mut reader, &head, sites, &mut losses, consumer)?;
    reject_empty(&head, recorded)?;
    consumer.end_file(&losses).map_err(StreamError::Consumer)?;
    Ok(losses)
}

/// An empty trace from a run that should have recorded is an error, with the likely reason.
fn reject_empty(head: &Head, recorded: Recorded) -> Result<(), DecodeError> {
    if head.site_count == 0 || recorded == Recorded::Something {
        return Ok(());
    }
    let because = if head.launches == 0 {
        "the kernel was never called".to_owned()
    } else if head.units_used == 0 && head.units_refused > 0 {
        format!("all {} threads were refused a unit", head.units_refused)
    } else if head.units_used == 0 {
        "no thread of the kernel asked for a unit, so the instrumented code did not run".to_owned()
    } else {
        let (launches, sites) = (head.launches, head.site_count);
        format!("{launches} launches passed none of the {sites} sites")
    };
    Err(DecodeError::Empty { because })
}
