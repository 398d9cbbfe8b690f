//! `map-linalg`: kernels for structured ops, tiled for a GPU.
//!
//! Takes `linalg.generic` on memrefs in host code, as `linalg-generalize-named-ops` leaves it, and puts a `gpu.launch` in its
//! place. There are five kinds of kernels, one file each; an op that fits none stays as it is. What an op computes for one point is
//! never looked into further than to find its kind: its own ops are cloned into the kernel, flags and all.
//!
//! A kernel's frame is MLIR text with calls of `@value` and `@combine` where the op's own code belongs (`splice` puts it there).
//! Whatever depends on sizes that are not known yet (whether rows begin at 16 bytes, how many lanes a row deserves) is computed by
//! the host when it launches.

mod contraction;
mod elementwise;
mod generic;
mod point;
mod product;
mod reduction;
mod splice;
mod tensor_core;
mod text;

use super::TransformError;
use crate::{
    ffi::make_mut,
    ir::{blocks, body, is, name, nested},
};
use generic::Generic;
use melior::{
    Context, IrRewriter,
    ir::{
        Attribute, BlockLike, Module, OperationRef, ValueLike,
        operation::{OperationLike, OperationMutLike},
    },
};
use splice::Kernel;

/// Threads a block, in every kernel: eight warps, of which a current SM holds eight blocks.
const THREADS: usize = 256;
/// Bytes of the widest access of a thread.
const ACCESS: usize = 16;
/// How types in shared memory end.
const SHARED_SPACE: &str = "#gpu.address_space<workgroup>>";

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
    // All of them before any is erased, with its body.
    let ops: Vec<_> = nested(module.as_operation())
        .into_iter()
        .filter(|op| is(*op, "linalg.generic") && on_host(*op))
        .collect();
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
        .or_else(|| point::kernel(generic))
}

/// False within parallel loops, which are kernels of their own, and within anything that MLIR may not launch from.
fn on_host(op: OperationRef<'_, '_>) -> bool {
    const SEQUENTIAL: [&str; 6] =
        ["builtin.module", "func.func", "scf.for", "scf.if", "scf.while", "affine.for"];
    std::iter::successors(op.parent_operation(), |parent| parent.parent_operation())
        .all(|parent| SEQUENTIAL.contains(&name(parent).as_str()))
}

/// Says of outlined kernels what `gpu.launch` has no place for: every tensor in shared memory begins at a multiple of 16 bytes, as wide
/// accesses assume; and two blocks of a product shall fit an SM, which bounds its registers to 128.
///
/// # Errors
/// [`TransformError::Refused`] if MLIR does not take an attribute.
pub fn describe_kernels<'c>(context: &'c Context, module: &Module<'c>) -> Result<(), TransformError> {
    for kernel in nested(module.as_operation()).into_iter().filter(|op| is(*op, "gpu.func")) {
        let shared = shared_memory(kernel);
        if shared.is_empty() {
            continue;
        }
        let aligned = vec![format!("{{llvm.align = {ACCESS} : i64}}"); shared.len()].join(", ");
        set(context, kernel, "workgroup_attrib_attrs", &format!("[{aligned}]"))?;
        if shared.iter().all(|ty| ty.starts_with(product::SHARED)) {
            set(context, kernel, "nvvm.minctasm", "2 : i32")?;
        }
    }
    Ok(())
}

/// Types of a kernel's tensors in shared memory: what its body takes and the function does not.
fn shared_memory(kernel: OperationRef<'_, '_>) -> Vec<String> {
    let Some(block) = body(kernel).and_then(|region| blocks(region).next()) else { return Vec::new() };
    let types = (0..block.argument_count()).filter_map(|index| block.argument(index).ok());
    types.map(|argument| argument.r#type().to_string()).filter(|ty| ty.ends_with(SHARED_SPACE)).collect()
}

fn set<'c>(
    context: &'c Context,
    op: OperationRef<'c, '_>,
    name: &'static str,
    text: &str,
) -> Result<(), TransformError> {
    let refused = || TransformError::Refused { what: name, detail: text.to_owned() };
    make_mut(op).set_attribute(name, Attribute::parse(context, text).ok_or_else(refused)?);
    Ok(())
}
