//! The part of `lower-probe-intent` that is about single accesses and branches.

use super::{TransformError, emit::Emitter, needed};
use crate::facts::types::Shape;
use kinstr_dialects::ops::{Builder, Op, WIDTH, width_of};
use melior::{
    Context,
    ir::{OperationRef, Value, ValueLike, operation::OperationLike},
};

/// `kprobe.access` or `kprobe.touch` to `op`, one a lane; of a masked access of consecutive elements, one if any lane
/// takes part.
pub(super) fn record_lanes<'c, 'a>(
    context: &'c Context,
    op: Op,
    operation: OperationRef<'c, 'a>,
    unit: Value<'c, 'a>,
    site: u32,
) -> Result<(), TransformError> {
    let (builder, emitter) = (Builder::new(context, operation.location()), Emitter::new(context, operation));
    let width = needed(op, WIDTH, width_of(&operation))?;
    let operands: Vec<_> = operation.operands().collect();
    let (pointer, mask) = match operands[..] {
        [pointer] => (pointer, None),
        [pointer, mask] => (pointer, Some(mask)),
        _ => return Err(TransformError::Refused { what: op.name(), detail: "it has no pointer".into() }),
    };
    let kind = pointer.r#type().to_string();
    let is_vector = kind.starts_with("vector<") || kind.starts_with("!llvm.vec<");
    let lanes = if is_vector { Shape::of_value(Some(pointer)).lanes } else { 1 };
    for lane in 0..lanes {
        let one = if is_vector { emitter.lane(pointer, lane, "!llvm.ptr")? } else { pointer };
        let active = match mask {
            None => emitter.constant("true")?,
            Some(mask) if mask.r#type().to_string() == "i1" => mask,
            Some(mask) if is_vector => emitter.lane(mask, lane, "i1")?,
            Some(mask) => emitter.value("llvm.intr.vector.reduce.or", &[], &[mask], "i1")?,
        };
        emitter.insert(builder.record_lane(op, site, width, unit, one, active)?)?;
    }
    Ok(())
}

/// `kprobe.branch` of a condition or of what a switch looks at.
pub(super) fn record_outcome<'c, 'a>(
    context: &'c Context,
    operation: OperationRef<'c, 'a>,
    unit: Value<'c, 'a>,
    site: u32,
) -> Result<(), TransformError> {
    let (builder, emitter) = (Builder::new(context, operation.location()), Emitter::new(context, operation));
    let nothing =
        |error: melior::Error| TransformError::Refused { what: "kprobe.branch", detail: error.to_string() };
    let outcome = operation.operand(0).map_err(nothing)?;
    let recorded = match outcome.r#type().to_string().as_str() {
        "i1" => builder.record_branch(site, unit, outcome)?,
        "i64" => builder.record_switch(site, unit, outcome)?,
        _ => builder.record_switch(site, unit, emitter.value("llvm.zext", &[], &[outcome], "i64")?)?,
    };
    emitter.insert(recorded).map(|_| ())
}
