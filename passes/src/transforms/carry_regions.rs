//! `carry-regions`: takes early region markers through LLVM's optimiser, as calls that it knows nothing of.
//!
//! LLVM IR has no `kprobe` ops. Each border of a region becomes a call of a function of its own, so that two borders are
//! never merged into one call; after the optimiser the calls become `kprobe` ops again, and whatever probe goes in late
//! sees the regions around it.

use super::{TransformError, needed};
use crate::{
    ffi::parse_module,
    ir::{callee, is, nested, operations, symbol},
    llvm,
};
use kinstr_dialects::ops::{Builder, Op, SITE, site_of};
use melior::{
    Context, IrRewriter,
    ir::{BlockLike, Module, OperationRef, operation::OperationLike},
};

const BEGIN: &str = "__kinstr_region_begin.";
const END: &str = "__kinstr_region_end.";

/// Turns the borders of regions in an LLVM-dialect module into calls, and takes out what else the probes left.
///
/// # Errors
/// [`TransformError`] if MLIR refuses a call.
pub fn regions_to_calls<'c>(context: &'c Context, module: &Module<'c>) -> Result<(), TransformError> {
    let rewriter = IrRewriter::new(context);
    let mut declared = std::collections::BTreeSet::new();
    for operation in nested(module.as_operation()) {
        let Some(op) = Op::of(&operation) else { continue };
        let prefix = match op {
            Op::RegionBegin => BEGIN,
            Op::RegionEnd => END,
            Op::Init | Op::Flush => {
                rewriter.as_rewriter_base().erase_op(operation);
                continue;
            }
            _ => return Err(TransformError::NotCarried { op: op.name() }),
        };
        let name = format!("{prefix}{}", needed(op, SITE, site_of(&operation))?);
        let call = llvm::call(context, operation.location(), &name)?;
        if let Some(block) = operation.block() {
            block.insert_operation_before(operation, call);
        }
        declared.insert(name);
        rewriter.as_rewriter_base().erase_op(operation);
    }
    // They may touch any memory, so that no access crosses a border; and they return.
    let text: String = declared
        .iter()
        .map(|name| format!("llvm.func @\"{name}\"() attributes {{no_unwind, will_return}}\n"))
        .collect();
    let declarations = parse_module(context, &text, "kinstr-region-borders")
        .ok_or_else(|| TransformError::Refused { what: "the borders of regions", detail: text.clone() })?;
    for function in operations(declarations.body()) {
        module.body().append_operation((*function).clone());
    }
    Ok(())
}

/// The inverse, on what the optimiser made of it.
///
/// # Errors
/// [`TransformError`] if an op cannot be built.
pub fn calls_to_regions<'c>(context: &'c Context, module: &Module<'c>) -> Result<(), TransformError> {
    let rewriter = IrRewriter::new(context);
    for operation in nested(module.as_operation()) {
        let Some((is_begin, site)) = border(operation) else { continue };
        let builder = Builder::new(context, operation.location());
        let new = if is_begin { builder.region_begin(site)? } else { builder.region_end(site)? };
        if let Some(block) = operation.block() {
            block.insert_operation_before(operation, new);
        }
        rewriter.as_rewriter_base().erase_op(operation);
    }
    let carriers = operations(module.body()).filter(|operation| is(*operation, "llvm.func"));
    let carriers: Vec<_> = carriers.filter(|function| site_in(&symbol(*function)).is_some()).collect();
    carriers.into_iter().for_each(|function| rewriter.as_rewriter_base().erase_op(function));
    Ok(())
}

/// Whether a call is a border of a region: of its begin or its end, and of which site.
fn border(operation: OperationRef<'_, '_>) -> Option<(bool, u32)> {
    if !is(operation, "llvm.call") {
        return None;
    }
    site_in(&callee(operation)?)
}

fn site_in(name: &str) -> Option<(bool, u32)> {
    let begin = name.strip_prefix(BEGIN).map(|site| (true, site));
    let (is_begin, site) = begin.or_else(|| name.strip_prefix(END).map(|site| (false, site)))?;
    Some((is_begin, site.parse().ok()?))
}
