//! `map-linalg`: kernels for structured ops, tiled for a GPU.
//!
//! Takes `linalg.generic` on memrefs in host code, as `linalg-generalize-named-ops` leaves it, and puts a `gpu.launch` in its
//! place. There are three kinds of kernels, one file each; an op that fits none stays as it is. What an op computes for one point is
//! never looked into further than to find its kind: its own ops are cloned into the kernel, flags and all.
//!
//! A kernel's frame is MLIR text with calls of `@value` and `@combine` where the op's own code belongs ([`splice`] puts it there).
//! Whatever depends on sizes that are not known yet (whether rows begin at 16 bytes, how many lanes a row deserves) is computed by
//! the host when it launches.

mod contraction;
mod elementwise;
mod generic;
mod product;
mod reduction;
mod splice;
mod tensor_core;
mod text;

use super::TransformError;
use crate::{
    ffi::make_mut,
    ir::{is, name, nested},
};
use generic::Generic;
use melior::{
    Context, IrRewriter,
    ir::{
        Attribute, Module, OperationRef,
        attribute::IntegerAttribute,
        operation::{OperationLike, OperationMutLike},
    },
};
use splice::Kernel;

/// Threads a block, in every kernel: eight warps, of which a current SM holds eight blocks.
const THREADS: usize = 256;
/// Bytes of the widest access of a thread.
const ACCESS: usize = 16;

/// Maps every op that fits one of the kinds, and says whether any did. `has_mma`: the device has tensor cores with `mma.sync` on 16x8x16.
///
/// # Errors
/// [`TransformError::Refused`] if MLIR does not take a kernel's text, which is a fault of this pass.
pub fn map_linalg<'c>(
    context: &'c Context,
    module: &Module<'c>,
    has_mma: bool,
) -> Result<bool, TransformError> {
    let rewriter = IrRewriter::new(context);
    let ops = nested(module.as_operation()).into_iter().filter(|op| is(*op, "linalg.generic") && on_host(*op));
    let mut mapped = false;
    for op in ops {
        if let Some((generic, kernel)) = Generic::read(op).and_then(|generic| {
            let kernel = kernel_for(&generic, has_mma)?;
            Some((generic, kernel))
        }) {
            splice::replace(context, &generic, &kernel)?;
            rewriter.as_rewriter_base().erase_op(op);
            mapped = true;
        }
    }
    Ok(mapped)
}

/// The first kind that fits.
fn kernel_for(generic: &Generic<'_, '_>, has_mma: bool) -> Option<Kernel> {
    let product = if has_mma { tensor_core::kernel(generic) } else { None };
    product
        .or_else(|| contraction::kernel(generic))
        .or_else(|| reduction::kernel(generic))
        .or_else(|| elementwise::kernel(generic))
}

/// False within parallel loops, which are kernels of their own, and within anything that MLIR may not launch from.
fn on_host(op: OperationRef<'_, '_>) -> bool {
    const SEQUENTIAL: [&str; 6] = ["builtin.module", "func.func", "scf.for", "scf.if", "scf.while", "affine.for"];
    std::iter::successors(op.parent_operation(), |parent| parent.parent_operation())
        .all(|parent| SEQUENTIAL.contains(&name(parent).as_str()))
}

/// Begins every tensor in shared memory of outlined kernels at a multiple of 16 bytes, as their wide accesses assume. `gpu.launch`
/// has no place to say so.
///
/// # Errors
/// [`TransformError::Refused`] if MLIR does not take the attribute.
pub fn align_shared<'c>(context: &'c Context, module: &Module<'c>) -> Result<(), TransformError> {
    const ATTRIBUTIONS: &str = "workgroup_attributions";
    for kernel in nested(module.as_operation()).into_iter().filter(|op| is(*op, "gpu.func")) {
        let count = kernel.attribute(ATTRIBUTIONS).ok().and_then(|count| IntegerAttribute::try_from(count).ok());
        let Some(count) = count.and_then(|count| usize::try_from(count.value()).ok()).filter(|count| *count > 0)
        else {
            continue;
        };
        let text = format!("[{}]", vec![format!("{{llvm.align = {ACCESS} : i64}}"); count].join(", "));
        let refused = || TransformError::Refused { what: "the alignment of shared memory", detail: text.clone() };
        let aligned = Attribute::parse(context, &text).ok_or_else(refused)?;
        make_mut(kernel).set_attribute("workgroup_attrib_attrs", aligned);
    }
    Ok(())
}
