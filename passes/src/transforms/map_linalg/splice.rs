//! Puts a kernel in the place of an op, and the op's own code into it.

use super::super::TransformError;
use super::generic::{Generic, is_same};
use crate::{
    ffi::{make_mut, parse_module},
    ir::{blocks, body, callee, functions, is, nested, operations},
};
use melior::{
    Context, IrRewriter,
    ir::{
        BlockLike, OperationRef, Value,
        attribute::IntegerAttribute,
        operation::{OperationLike, OperationMutLike},
    },
};

/// A kernel's frame.
pub(super) struct Kernel {
    /// A module with `@kernel`, which takes the op's operands, launches, and calls `@value` and `@combine`.
    pub text: String,
    /// For a reduction, what folds a value into the sum so far.
    pub combiner: Option<Combiner>,
}

/// The last op of a reduction's body: one operand is the sum so far, the other what joins it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Combiner {
    /// Which operand the sum is.
    pub sum: usize,
}

type Renamed<'c, 'a> = Vec<(Value<'c, 'a>, Value<'c, 'a>)>;

/// Puts `kernel` in front of the op.
///
/// # Errors
/// [`TransformError::Refused`] if MLIR does not take the text.
pub(super) fn replace<'c>(
    context: &'c Context,
    generic: &Generic<'c, '_>,
    kernel: &Kernel,
) -> Result<(), TransformError> {
    let refused = || TransformError::Refused { what: "a kernel for linalg", detail: kernel.text.clone() };
    let parsed = parse_module(context, &kernel.text, "map-linalg").ok_or_else(refused)?;
    let frame = functions(&parsed, "func").into_iter().next().ok_or_else(refused)?;
    for op in nested(frame) {
        make_mut(op).set_location(generic.op.location());
    }
    let rewriter = IrRewriter::new(context);
    let rewriter = rewriter.as_rewriter_base();
    let block = body(frame).and_then(|region| blocks(region).next()).ok_or_else(refused)?;
    let frame: Vec<_> = operations(block).filter(|op| !is(*op, "func.return")).collect();
    for (index, operand) in generic.operands.iter().enumerate() {
        let argument = block.argument(index).map_err(|_| refused())?;
        rewriter.replace_all_uses_with(argument.into(), operand.value);
    }
    for op in frame {
        make_mut(op).move_before(generic.op);
        for call in nested(op).into_iter().filter(|op| is(*op, "func.call")) {
            inline(generic, kernel, call).ok_or_else(refused)?.into_iter().for_each(|(old, new)| {
                rewriter.replace_all_uses_with(old, new);
            });
            rewriter.erase_op(call);
        }
    }
    Ok(())
}

/// The op's code in front of `call`: the call's results, and what they are now.
fn inline<'c, 'a>(
    generic: &Generic<'c, 'a>,
    kernel: &Kernel,
    call: OperationRef<'c, 'a>,
) -> Option<Renamed<'c, 'a>> {
    let yielded = generic.yielded();
    let last = kernel.combiner.and_then(|_| super::generic::defining(*yielded.first()?));
    let results: Vec<Value<'c, 'a>> = match (callee(call)?.as_str(), kernel.combiner, last) {
        ("combine", Some(Combiner { sum }), Some(last)) => {
            let mut clone = make_mut(call.block()?.insert_operation_before(call, (*last).clone()));
            clone.set_operand(sum, call.operand(0).ok()?);
            clone.set_operand(1 - sum, call.operand(1).ok()?);
            vec![clone.result(0).ok()?.into()]
        }
        ("value", Some(Combiner { sum }), Some(last)) => {
            let renamed = clone_body(generic, call, Some(last))?;
            vec![now(&renamed, last.operand(1 - sum).ok()?)]
        }
        ("value", None, _) => {
            let renamed = clone_body(generic, call, None)?;
            yielded.into_iter().map(|value| now(&renamed, value)).collect()
        }
        _ => return None,
    };
    let old = (0..call.result_count()).map(|index| call.result(index).ok().map(Into::into));
    Some(old.collect::<Option<Vec<_>>>()?.into_iter().zip(results).collect())
}

/// Clones the body in front of `call`, whose operands are the loops' indices and then what the op reads.
fn clone_body<'c, 'a>(
    generic: &Generic<'c, 'a>,
    call: OperationRef<'c, 'a>,
    without: Option<OperationRef<'c, 'a>>,
) -> Option<Renamed<'c, 'a>> {
    let mut given = call.operands();
    let indices: Vec<_> = given.by_ref().take(generic.parallel.len()).collect();
    let mut renamed = Renamed::new();
    let sum = without.map(|_| generic.inputs);
    for (index, operand) in generic.operands.iter().enumerate() {
        if operand.is_read && sum != Some(index) {
            renamed.push((generic.block.argument(index).ok()?.into(), given.next()?));
        }
    }
    for op in generic.body() {
        if without.is_some_and(|without| without == op) {
            continue;
        }
        if is(op, "linalg.index") {
            renamed.push((op.result(0).ok()?.into(), *indices.get(index_of(op)?)?));
            continue;
        }
        let clone = call.block()?.insert_operation_before(call, (*op).clone());
        rename(clone, &renamed);
        for index in 0..op.result_count() {
            renamed.push((op.result(index).ok()?.into(), clone.result(index).ok()?.into()));
        }
    }
    Some(renamed)
}

/// The loop that a `linalg.index` tells of.
fn index_of(op: OperationRef<'_, '_>) -> Option<usize> {
    usize::try_from(IntegerAttribute::try_from(op.attribute("dim").ok()?).ok()?.value()).ok()
}

fn rename<'c, 'a>(op: OperationRef<'c, 'a>, renamed: &Renamed<'c, 'a>) {
    let operands: Vec<_> = op.operands().collect();
    for (index, operand) in operands.into_iter().enumerate() {
        let new = now(renamed, operand);
        if !is_same(new, operand) {
            make_mut(op).set_operand(index, new);
        }
    }
}

fn now<'c, 'a>(renamed: &Renamed<'c, 'a>, value: Value<'c, 'a>) -> Value<'c, 'a> {
    renamed.iter().find(|(old, _)| is_same(*old, value)).map_or(value, |(_, new)| *new)
}
