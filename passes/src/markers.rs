//! Markers of regions in C: calls that the header `kinstr.h` puts around parts of a kernel, and that no function answers.
//!
//! They cross clang's optimiser as what they are. `region-time` watches what lies between them; then they are dropped.

use crate::ir::{callee, functions, is, nested, operations, symbol};
use melior::{
    Context, IrRewriter,
    ir::{Module, OperationRef},
};

const BEGIN: &str = "__kinstr_mark_begin.";
const END: &str = "__kinstr_mark_end.";

/// A marker's name and whether it begins the region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Name of the region.
    pub name: String,
    /// False where the region ends.
    pub is_begin: bool,
}

/// The marker that `operation` is, if it is one.
pub fn marker(operation: OperationRef<'_, '_>) -> Option<Marker> {
    if !is(operation, "llvm.call") {
        return None;
    }
    named(&callee(operation)?)
}

fn named(symbol: &str) -> Option<Marker> {
    let begin = symbol.strip_prefix(BEGIN).map(|name| (name, true));
    let (name, is_begin) = begin.or_else(|| symbol.strip_prefix(END).map(|name| (name, false)))?;
    Some(Marker { name: name.to_owned(), is_begin })
}

/// Takes every marker out of `module`.
pub fn drop_markers<'c>(context: &'c Context, module: &Module<'c>) {
    let rewriter = IrRewriter::new(context);
    let calls = functions(module, "llvm").into_iter().flat_map(nested);
    for call in calls.filter(|operation| marker(*operation).is_some()).collect::<Vec<_>>() {
        rewriter.as_rewriter_base().erase_op(call);
    }
    let declared =
        operations(module.body()).filter(|op| is(*op, "llvm.func") && named(&symbol(*op)).is_some());
    for function in declared.collect::<Vec<_>>() {
        rewriter.as_rewriter_base().erase_op(function);
    }
}
