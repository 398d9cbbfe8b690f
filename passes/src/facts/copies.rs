//! Copies and fills of whole blocks of memory, which clang makes of plain loops.

use super::access::Moved;
use crate::ir::{constant_of, name};
use kinstr_trace::sites::{AccessKind, CallFact};
use melior::ir::{OperationRef, Value, attribute::IntegerAttribute, operation::OperationLike};

/// Bytes that one instruction of a copy moves at least, where it is that long: a vector register of the narrowest kind.
const LANES: u32 = 16;

/// A copy, or a fill if nothing is read.
pub struct BlockCopy<'c, 'a> {
    /// The op.
    pub operation: OperationRef<'c, 'a>,
    /// How many bytes.
    pub length: Length<'c, 'a>,
    function: &'static str,
    to: Value<'c, 'a>,
    from: Option<Value<'c, 'a>>,
}

/// Bytes of a copy.
pub enum Length<'c, 'a> {
    /// Known from the code.
    Bytes(u32),
    /// Known when it runs.
    Open(Value<'c, 'a>),
}

impl Length<'_, '_> {
    /// True if it is known only when the copy runs.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

/// The copy or fill that `operation` is, if it is one.
pub fn copy_of<'c, 'a>(operation: OperationRef<'c, 'a>) -> Option<BlockCopy<'c, 'a>> {
    let (function, reads) = match name(operation).as_str() {
        "llvm.intr.memcpy" | "llvm.intr.memcpy.inline" => ("memcpy", true),
        "llvm.intr.memmove" => ("memmove", true),
        "llvm.intr.memset" | "llvm.intr.memset.inline" => ("memset", false),
        _ => return None,
    };
    let from = if reads { Some(operation.operand(1).ok()?) } else { None };
    let (length, to) = (length_of(operation)?, operation.operand(0).ok()?);
    Some(BlockCopy { operation, length, function, to, from })
}

/// The third operand, or of the kinds that are never calls an attribute.
fn length_of<'c, 'a>(operation: OperationRef<'c, 'a>) -> Option<Length<'c, 'a>> {
    if operation.operand_count() < 3 {
        let length = IntegerAttribute::try_from(operation.attribute("len").ok()?).ok()?;
        return u32::try_from(length.value()).ok().map(Length::Bytes);
    }
    let length = operation.operand(2).ok()?;
    let known = constant_of(length).and_then(|bytes| u32::try_from(bytes).ok());
    Some(known.map_or(Length::Open(length), Length::Bytes))
}

impl<'c, 'a> BlockCopy<'c, 'a> {
    /// What `bytes` of it read and write.
    pub(super) fn moves(&self, bytes: u32) -> Vec<Moved<'c, 'a>> {
        let moved = |kind, pointer| Moved { kind, pointer, bytes, lanes: self.lanes(), indexed: false };
        let read = self.from.map(|from| moved(AccessKind::Load, from));
        read.into_iter().chain([moved(AccessKind::Store, self.to)]).collect()
    }

    /// The call that is left of it where its length is open.
    pub(super) fn call(&self) -> CallFact {
        CallFact { callee: self.function.to_owned(), count: 1, lanes: self.lanes(), internal: false }
    }

    fn lanes(&self) -> u32 {
        match self.length {
            Length::Bytes(bytes) => bytes.clamp(1, LANES),
            Length::Open(_) => LANES,
        }
    }
}
