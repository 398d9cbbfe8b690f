//! `expand-strided-copies`: a strided `memref.copy` becomes a `linalg.copy`, and so a loop nest.
//!
//! Left alone it would become a call of `memrefCopy` in MLIR's C runner library, which a candidate is not linked
//! against, and which no optimiser sees through. A contiguous copy becomes a `memcpy` as before.

use super::TransformError;
use crate::{
    ffi::{make_mut, parse_module},
    ir::{is, nested},
};
use melior::{
    Context, IrRewriter,
    ir::{
        BlockLike, Module, OperationRef, ValueLike,
        operation::{OperationLike, OperationMutLike},
    },
};

/// Rewrites every strided copy in place.
///
/// # Errors
/// [`TransformError::Refused`] if MLIR takes no `linalg.copy` of these types.
pub fn expand_strided_copies<'c>(context: &'c Context, module: &Module<'c>) -> Result<(), TransformError> {
    let rewriter = IrRewriter::new(context);
    for copy in nested(module.as_operation()) {
        if is(copy, "memref.copy") && is_strided(copy) {
            expand(context, copy)?;
            rewriter.as_rewriter_base().erase_op(copy);
        }
    }
    Ok(())
}

fn is_strided(copy: OperationRef<'_, '_>) -> bool {
    copy.operands().any(|operand| operand.r#type().to_string().contains(", "))
}

/// Parses a `linalg.copy` of the operands' types and moves a clone of it in front of `copy`.
fn expand<'c>(context: &'c Context, copy: OperationRef<'c, '_>) -> Result<(), TransformError> {
    let types: Vec<String> = copy.operands().map(|operand| operand.r#type().to_string()).collect();
    let [source, target] = types.as_slice() else { return Ok(()) };
    let text = format!(
        "func.func private @copy(%s: {source}, %t: {target}) {{ linalg.copy ins(%s : {source}) outs(%t : {target}) return }}"
    );
    let refused = || TransformError::Refused { what: "linalg.copy", detail: text.clone() };
    let parsed = parse_module(context, &text, "expand-strided-copies").ok_or_else(refused)?;
    let template = nested(parsed.as_operation()).into_iter().find(|operation| is(*operation, "linalg.copy"));
    let block = copy.block().ok_or_else(refused)?;
    let clone = block.insert_operation_before(copy, (*template.ok_or_else(refused)?).clone());
    let operands: Vec<_> = copy.operands().collect();
    let mut clone = make_mut(clone);
    clone.set_operands(&operands);
    clone.set_location(copy.location());
    Ok(())
}
