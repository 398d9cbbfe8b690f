//! `lower-probe-intent`: what to measure becomes how: unit handle, clock reads, stores.

use super::{
    TransformError,
    emit::Emitter,
    lower_observing::{record_lanes, record_outcome},
    needed,
};
use crate::ir::{body, nested, operations};
use crate::llvm;
use kinstr_dialects::ops::{Builder, Op, SITE, STEP, site_of, step_of};
use kinstr_trace::layout::{Mode, RecordKind};
use melior::{
    Context, IrRewriter,
    ir::{BlockLike, Module, OperationRef, RegionLike, Value, ValueLike, operation::OperationLike},
};
use std::collections::HashMap;

/// Where a target keeps what is recorded while a function runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// In the unit's memory: nothing is left to do where the function returns.
    Memory,
    /// In registers, which are stored before the function returns.
    Registers,
}

/// Replaces every intent op by mechanism ops. The clock is read next to the timed code; whatever is stored at
/// a region's end is stored after both reads.
///
/// # Errors
/// [`TransformError::EndWithoutBegin`] if a region was torn apart.
pub fn lower_intent<'c>(
    context: &'c Context,
    module: &Module<'c>,
    mode: Mode,
    keep: Keep,
) -> Result<(), TransformError> {
    let rewriter = IrRewriter::new(context);
    for function in operations(module.body()).filter(|op| body(*op).is_some()) {
        let intents: Vec<_> = nested(function)
            .into_iter()
            .filter_map(|op| Op::of(&op).filter(|kind| kind.is_intent()).map(|kind| (kind, op)))
            .collect();
        let Some((_, first)) = intents.first() else { continue };
        let unit = get_unit(context, function, *first)?;
        let mut lowering = Lowering { context, mode, keep, unit, begun: begun(context, function, &intents)? };
        // Begins first: a block that ends a region may stand before the one that begins it.
        let (begins, others): (Vec<_>, Vec<_>) =
            intents.into_iter().partition(|(kind, _)| *kind == Op::RegionBegin);
        for (kind, operation) in begins.into_iter().chain(others) {
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

/// Where the clock read at a region's begin is kept until its end.
#[derive(Clone, Copy)]
enum Begun<'c, 'a> {
    /// The region begins in one place, which all its ends follow.
    Value(Option<Value<'c, 'a>>),
    /// The optimiser copied the begin: the stack keeps which one it was, until LLVM makes a register of it.
    Slot(Value<'c, 'a>),
}

fn begun<'c, 'a>(
    context: &'c Context,
    function: OperationRef<'c, 'a>,
    intents: &[(Op, OperationRef<'c, 'a>)],
) -> Result<HashMap<u32, Begun<'c, 'a>>, TransformError> {
    let mut begun = HashMap::new();
    let begins = intents.iter().filter(|(kind, _)| *kind == Op::RegionBegin);
    for site in begins.filter_map(|(_, operation)| site_of(operation)) {
        let next = match begun.get(&site) {
            None => Begun::Value(None),
            Some(Begun::Slot(_)) => continue,
            Some(Begun::Value(_)) => Begun::Slot(stack_slot(context, function)?),
        };
        begun.insert(site, next);
    }
    Ok(begun)
}

fn refused(what: &'static str, error: &melior::Error) -> TransformError {
    TransformError::Refused { what, detail: error.to_string() }
}

struct Lowering<'c, 'a> {
    context: &'c Context,
    mode: Mode,
    keep: Keep,
    unit: Value<'c, 'a>,
    begun: HashMap<u32, Begun<'c, 'a>>,
}

impl<'c, 'a> Lowering<'c, 'a> {
    fn lower(&mut self, kind: Op, operation: OperationRef<'c, 'a>) -> Result<(), TransformError> {
        let builder = Builder::new(self.context, operation.location());
        let site = match kind {
            Op::Init | Op::Flush => 0,
            _ => needed(kind, SITE, site_of(&operation))?,
        };
        let place = |op| insert_before(operation, op);
        match (kind, self.mode) {
            (Op::RegionBegin, mode) => {
                let clock = clock_before(operation, builder)?;
                if mode == Mode::Trace {
                    place(builder.record_event(site, RecordKind::RegionBegin as u32, self.unit, clock)?);
                }
                match self.begun.get(&site) {
                    Some(Begun::Slot(slot)) => {
                        place(llvm::store(operation.location(), clock, *slot)?);
                    }
                    _ => drop(self.begun.insert(site, Begun::Value(Some(clock)))),
                }
            }
            (Op::RegionEnd, Mode::Aggregate) => {
                let end = clock_before(operation, builder)?;
                let begin = match self.begun.get(&site) {
                    Some(Begun::Value(Some(clock))) => *clock,
                    Some(Begun::Slot(slot)) => value_before(
                        operation,
                        llvm::load(self.context, operation.location(), *slot)?,
                        "llvm.load",
                    )?,
                    _ => return Err(TransformError::EndWithoutBegin { site }),
                };
                place(builder.record_interval(site, self.unit, begin, end)?);
            }
            (Op::RegionEnd, Mode::Trace) => {
                let end = clock_before(operation, builder)?;
                place(builder.record_event(site, RecordKind::RegionEnd as u32, self.unit, end)?);
            }
            (Op::Count, Mode::Aggregate) => place(builder.add_count(site, self.unit)?),
            (Op::Count, Mode::Trace) => {
                // Counting reads no clock: the record's clock field is zero.
                let zero = llvm::constant(self.context, operation.location(), 0)?;
                let zero = value_before(operation, zero, "llvm.mlir.constant")?;
                place(builder.record_event(site, RecordKind::Count as u32, self.unit, zero)?);
            }
            (Op::CountTrips, _) => {
                let operand =
                    |index| operation.operand(index).map_err(|error| refused("kprobe.count_trips", &error));
                let step = needed(kind, STEP, step_of(&operation))?;
                place(builder.add_trips(site, step, self.unit, operand(0)?, operand(1)?)?);
            }
            (Op::CountBytes, _) => {
                let length = operation.operand(0).map_err(|error| refused("kprobe.count_bytes", &error))?;
                let zero =
                    Emitter::new(self.context, operation).constant(&format!("0 : {}", length.r#type()))?;
                place(builder.add_trips(site, 1, self.unit, zero, length)?);
            }
            (Op::Sample, _) => {
                let value = operation.operand(0).map_err(|error| refused("kprobe.sample", &error))?;
                place(builder.record_event(site, RecordKind::Sample as u32, self.unit, value)?);
            }
            (Op::Flush, _) if self.keep == Keep::Registers => place(builder.store_unit(self.unit)?),
            // The unit handle is fetched above; where records live in memory nothing is left to flush.
            (Op::Init | Op::Flush, _) => {}
            (Op::Access, _) => record_lanes(self.context, Op::RecordAccess, operation, self.unit, site)?,
            (Op::Touch, _) => record_lanes(self.context, Op::RecordTouch, operation, self.unit, site)?,
            (Op::Branch, _) => record_outcome(self.context, operation, self.unit, site)?,
            // Mechanism ops are no intents.
            _ => {}
        }
        Ok(())
    }
}

/// Eight bytes on the stack of `function`.
fn stack_slot<'c, 'a>(
    context: &'c Context,
    function: OperationRef<'c, 'a>,
) -> Result<Value<'c, 'a>, TransformError> {
    let block = body(function).and_then(|region| region.first_block());
    let block = block.ok_or(TransformError::Entry("a function lost its body".into()))?;
    let one = block.insert_operation(0, llvm::constant(context, function.location(), 1)?);
    let one = one.result(0).map_err(|error| refused("llvm.mlir.constant", &error))?.into();
    let slot = block.insert_operation(1, llvm::alloca(context, function.location(), one)?);
    Ok(slot.result(0).map_err(|error| refused("llvm.alloca", &error))?.into())
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

fn value_before<'c, 'a>(
    operation: OperationRef<'c, 'a>,
    new: melior::ir::Operation<'c>,
    what: &'static str,
) -> Result<Value<'c, 'a>, TransformError> {
    let block = operation.block().ok_or(TransformError::Entry("a probe stands outside any block".into()))?;
    let inserted = block.insert_operation_before(operation, new);
    Ok(inserted.result(0).map_err(|error| refused(what, &error))?.into())
}
