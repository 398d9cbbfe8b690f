//! `lower-probe-intent`: what to measure becomes how: unit handle, clock reads, stores.

use super::TransformError;
use crate::ir::{body, nested, operations};
use kinstr_dialects::ops::{Builder, Op, site_of};
use kinstr_trace::layout::{Mode, RecordKind};
use melior::{
    Context, IrRewriter,
    ir::{BlockLike, Module, OperationRef, RegionLike, Value, operation::OperationLike},
};
use std::collections::HashMap;

/// Replaces every intent op by mechanism ops. The clock is read next to the timed code; whatever is stored at
/// a region's end is stored after both reads.
///
/// # Errors
/// [`TransformError::EndWithoutBegin`] if a region was torn apart.
pub fn lower_intent<'c>(context: &'c Context, module: &Module<'c>, mode: Mode) -> Result<(), TransformError> {
    let rewriter = IrRewriter::new(context);
    for function in operations(module.body()).filter(|op| body(*op).is_some()) {
        let intents: Vec<_> = nested(function)
            .into_iter()
            .filter_map(|op| Op::of(&op).filter(|kind| kind.is_intent()).map(|kind| (kind, op)))
            .collect();
        let Some((_, first)) = intents.first() else { continue };
        let unit = get_unit(context, function, *first)?;
        let mut lowering = Lowering { context, mode, unit, begun: HashMap::new() };
        for (kind, operation) in intents {
            lowering.lower(kind, operation)?;
            rewriter.as_rewriter_base().erase_op(operation);
        }
    }
    Ok(())
}

/// The unit handle, fetched once at the head of the function.
fn get_unit<'c, 'a>(
    context: &'c Context,
    function: OperationRef<'c, 'a>,
    first: OperationRef<'c, 'a>,
) -> Result<Value<'c, 'a>, TransformError> {
    let region = body(function).and_then(|region| region.first_block());
    let block = region.ok_or(TransformError::Entry("a function lost its body".into()))?;
    let get = block.insert_operation(0, Builder::new(context, first.location()).get_unit()?);
    let result = get.result(0).map_err(|error| refused("kprobe.get_unit", &error))?;
    Ok(result.into())
}

fn refused(what: &'static str, error: &melior::Error) -> TransformError {
    TransformError::Refused { what, detail: error.to_string() }
}

struct Lowering<'c, 'a> {
    context: &'c Context,
    mode: Mode,
    unit: Value<'c, 'a>,
    begun: HashMap<u32, Value<'c, 'a>>,
}

impl<'c, 'a> Lowering<'c, 'a> {
    fn lower(&mut self, kind: Op, operation: OperationRef<'c, 'a>) -> Result<(), TransformError> {
        let builder = Builder::new(self.context, operation.location());
        let site = site_of(&operation).unwrap_or(0);
        let place = |op| insert_before(operation, op);
        match (kind, self.mode) {
            (Op::RegionBegin, mode) => {
                let clock = clock_before(operation, builder)?;
                if mode == Mode::Trace {
                    place(builder.record_event(site, RecordKind::RegionBegin as u32, self.unit, clock)?);
                }
                self.begun.insert(site, clock);
            }
            (Op::RegionEnd, Mode::Aggregate) => {
                let begin = *self.begun.get(&site).ok_or(TransformError::EndWithoutBegin { site })?;
                let end = clock_before(operation, builder)?;
                place(builder.record_interval(site, self.unit, begin, end)?);
            }
            (Op::RegionEnd, Mode::Trace) => {
                let end = clock_before(operation, builder)?;
                place(builder.record_event(site, RecordKind::RegionEnd as u32, self.unit, end)?);
            }
            (Op::Count, Mode::Aggregate) => place(builder.add_count(site, self.unit)?),
            (Op::Count, Mode::Trace) => {
                // Counting reads no clock: the record's clock field is zero.
                let zero = zero_before(self.context, operation)?;
                place(builder.record_event(site, RecordKind::Count as u32, self.unit, zero)?);
            }
            (Op::Sample, _) => {
                let value = operation.operand(0).map_err(|error| refused("kprobe.sample", &error))?;
                place(builder.record_event(site, RecordKind::Sample as u32, self.unit, value)?);
            }
            // The unit handle is fetched above; on a target whose records live in memory nothing is left to flush.
            (Op::Init | Op::Flush, _) => {}
            (Op::GetUnit | Op::ReadClock | Op::RecordInterval | Op::RecordEvent | Op::AddCount, _) => {}
        }
        Ok(())
    }
}

fn insert_before<'c>(operation: OperationRef<'c, '_>, new: melior::ir::Operation<'c>) {
    if let Some(block) = operation.block() {
        block.insert_operation_before(operation, new);
    }
}

fn clock_before<'c, 'a>(
    operation: OperationRef<'c, 'a>,
    builder: Builder<'c>,
) -> Result<Value<'c, 'a>, TransformError> {
    value_before(operation, builder.read_clock()?, "kprobe.read_clock")
}

fn zero_before<'c, 'a>(
    context: &'c Context,
    operation: OperationRef<'c, 'a>,
) -> Result<Value<'c, 'a>, TransformError> {
    use melior::ir::{
        Identifier, attribute::IntegerAttribute, operation::OperationBuilder, r#type::IntegerType,
    };
    let i64_type = IntegerType::new(context, 64).into();
    let zero = OperationBuilder::new("llvm.mlir.constant", operation.location())
        .add_attributes(&[(Identifier::new(context, "value"), IntegerAttribute::new(i64_type, 0).into())])
        .add_results(&[i64_type])
        .build()
        .map_err(|error| refused("llvm.mlir.constant", &error))?;
    value_before(operation, zero, "llvm.mlir.constant")
}

fn value_before<'c, 'a>(
    operation: OperationRef<'c, 'a>,
    new: melior::ir::Operation<'c>,
    what: &'static str,
) -> Result<Value<'c, 'a>, TransformError> {
    let block = operation.block().ok_or(TransformError::Entry("a probe stands outside any block".into()))?;
    let inserted = block.insert_operation_before(operation, new);
    Ok(inserted.result(0).map_err(|error| refused(what, &error))?.into())
}
