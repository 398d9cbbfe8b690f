//! `name-kernels`: gives kernels of different `gpu.module`s different names.
//!
//! Outlining calls every kernel after its host function, each in a module of its own; launches, sites and resources are known by
//! the kernel's name alone.

use super::TransformError;
use crate::{
    ffi::make_mut,
    ir::{is, nested, operations, symbol},
};
use melior::{
    Context,
    ir::{
        Attribute, Module, OperationRef,
        attribute::StringAttribute,
        operation::{OperationLike, OperationMutLike},
    },
};
use std::collections::BTreeSet;

/// Renames what is called like a function of an earlier module, and its launches with it.
///
/// # Errors
/// [`TransformError`] if MLIR refuses a name.
pub fn name_kernels<'c>(context: &'c Context, module: &Module<'c>) -> Result<(), TransformError> {
    let mut taken = BTreeSet::new();
    for device in operations(module.body()).filter(|operation| is(*operation, "gpu.module")) {
        for kernel in nested(device).into_iter().filter(|op| is_kernel(*op)) {
            let old = symbol(kernel);
            let mut new = old.clone();
            let mut number = 1;
            while !taken.insert(new.clone()) {
                new = format!("{old}_{number}");
                number += 1;
            }
            if new != old {
                rename(context, module, device, kernel, &new)?;
            }
        }
    }
    Ok(())
}

fn is_kernel(operation: OperationRef<'_, '_>) -> bool {
    ["gpu.func", "llvm.func"].iter().any(|name| is(operation, name)) && operation.region_count() > 0
}

fn rename<'c>(
    context: &'c Context,
    module: &Module<'c>,
    device: OperationRef<'c, '_>,
    kernel: OperationRef<'c, '_>,
    new: &str,
) -> Result<(), TransformError> {
    let reference = |name: &str| format!("@\"{}\"::@\"{name}\"", symbol(device));
    let parse = |text: String| {
        let refused = TransformError::Refused { what: "a kernel's name", detail: text.clone() };
        Attribute::parse(context, &text).ok_or(refused)
    };
    let (old, renamed) = (parse(reference(&symbol(kernel)))?, parse(reference(new))?);
    for launch in nested(module.as_operation()).into_iter().filter(|op| is(*op, "gpu.launch_func")) {
        if launch.attribute("kernel").is_ok_and(|kernel| kernel == old) {
            make_mut(launch).set_attribute("kernel", renamed);
        }
    }
    make_mut(kernel).set_attribute("sym_name", StringAttribute::new(context, new).into());
    Ok(())
}
