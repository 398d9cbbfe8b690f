//! What takes the contents of a record file, one after the other.

use super::Head;
use crate::tables::{AggregateRow, CountRow, Counter, Losses, Slice, Unit, WordsRow};

/// Takes what a record file holds, in its order. A unit begins, says its aggregates and counts, then its
/// records, then the counts made of records, and ends. What a consumer has no use for it leaves to the
/// defaults, which do nothing.
///
/// Regions nest: `close` and `abandon` end the innermost region that `open` began and neither ended yet.
/// Every region that is opened is closed or abandoned before its unit ends.
pub trait Consumer {
    /// Why a consumer gives up; [`std::convert::Infallible`] if it never does.
    type Error;

    /// The file's header, checked.
    fn begin_file(&mut self, _head: &Head) -> Result<(), Self::Error> {
        Ok(())
    }
    /// A unit begins; its losses are not known yet except for what its buffer dropped.
    fn begin_unit(&mut self, _unit: &Unit) -> Result<(), Self::Error> {
        Ok(())
    }
    /// Aggregate of a site that ran.
    fn aggregate(&mut self, _row: AggregateRow) -> Result<(), Self::Error> {
        Ok(())
    }
    /// Executions of a site that ran. A site comes twice if it has both a counter and records.
    fn count(&mut self, _row: CountRow) -> Result<(), Self::Error> {
        Ok(())
    }
    /// Words of a site that owns some, where not all of them are zero.
    fn words(&mut self, _row: WordsRow) -> Result<(), Self::Error> {
        Ok(())
    }
    /// A region begins; `depth` regions are open around it.
    fn open(&mut self, _site: u32, _depth: u32, _ticks: u64) -> Result<(), Self::Error> {
        Ok(())
    }
    /// The innermost open region ends.
    fn close(&mut self, _slice: Slice) -> Result<(), Self::Error> {
        Ok(())
    }
    /// The innermost open region has no end, which was noticed at `ticks`.
    fn abandon(&mut self, _ticks: u64) -> Result<(), Self::Error> {
        Ok(())
    }
    /// A sampled value.
    fn sample(&mut self, _sample: Counter) -> Result<(), Self::Error> {
        Ok(())
    }
    /// Record `number` of `unit` names a site that is not there. It is counted as lost.
    fn unknown_site(&mut self, _unit: u32, _number: u64, _site: u32) -> Result<(), Self::Error> {
        Ok(())
    }
    /// The unit that began last ends.
    fn end_unit(&mut self, _unit: &Unit) -> Result<(), Self::Error> {
        Ok(())
    }
    /// All units have ended; what did not make it.
    fn end_file(&mut self, _losses: &Losses) -> Result<(), Self::Error> {
        Ok(())
    }
}
