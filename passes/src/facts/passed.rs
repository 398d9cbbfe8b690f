//! What is passed to a kernel, which its module does not show: the host's code does, and says so in an attribute.

use crate::{
    ffi::make_mut,
    ir::{functions, symbol},
};
use kinstr_trace::sites::Buffer;
use melior::{
    Context,
    ir::{
        Module, OperationRef,
        attribute::DenseI32ArrayAttribute,
        operation::{OperationLike, OperationMutLike},
    },
};
use std::collections::BTreeMap;

const ATTRIBUTE: &str = "kinstr.passed";

/// One argument of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// The entry's buffer of this index.
    Argument(u32),
    /// A temporary of the host's.
    Allocation(u32),
    /// A number, or not recoverable.
    Unknown,
}

impl Passed {
    /// Arguments from 0 up, allocations from -2 down.
    fn code(self) -> i32 {
        let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX - 2);
        match self {
            Self::Argument(index) => number(index),
            Self::Allocation(index) => -2 - number(index),
            Self::Unknown => -1,
        }
    }
}

/// Says on the functions of `module` what is passed to them. To be taken off again by [`forget_passed`].
pub fn say_passed<'c>(context: &'c Context, module: &Module<'c>, passed: &BTreeMap<String, Vec<Passed>>) {
    for function in functions(module, "llvm") {
        let Some(arguments) = passed.get(&symbol(function)) else { continue };
        let codes: Vec<i32> = arguments.iter().map(|argument| argument.code()).collect();
        make_mut(function).set_attribute(ATTRIBUTE, DenseI32ArrayAttribute::new(context, &codes).into());
    }
}

/// Takes it off.
pub fn forget_passed(module: &Module<'_>) {
    for function in functions(module, "llvm").into_iter().filter(|function| function.has_attribute(ATTRIBUTE))
    {
        // An attribute that is there can be removed.
        let _ = make_mut(function).remove_attribute(ATTRIBUTE);
    }
}

/// What is passed as argument number `index` of `function`, if it is said.
pub(super) fn buffer_of(function: OperationRef<'_, '_>, index: usize) -> Option<Buffer> {
    let codes = DenseI32ArrayAttribute::try_from(function.attribute(ATTRIBUTE).ok()?).ok()?;
    match codes.element(index).ok()? {
        code @ 0.. => u32::try_from(code).ok().map(Buffer::Argument),
        -1 => None,
        code => u32::try_from(-2 - code).ok().map(Buffer::Allocation),
    }
}
