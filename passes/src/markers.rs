//! Markers of regions: in C calls that the header `kinstr.h` puts around parts of a kernel, and that no function answers; in
//! Triton inline assembly of nothing but a comment, in place of the scopes of `triton.profiler.language`.
//!
//! They cross the optimiser as what they are. `region-time` watches what lies between them; then they are dropped.

use crate::ir::{callee, functions, is, nested, operations, string_attribute, symbol};
use melior::{
    Context, IrRewriter,
    ir::{Module, OperationRef},
};

const BEGIN: &str = "__kinstr_mark_begin.";
const END: &str = "__kinstr_mark_end.";
/// The comment, followed by `begin NAME` or `end NAME`.
const COMMENT: &str = "// kinstr: ";

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
    if is(operation, "llvm.inline_asm") {
        return commented(&string_attribute(operation, "asm_string")?);
    }
    if !is(operation, "llvm.call") {
        return None;
    }
    named(&callee(operation)?)
}

fn commented(assembly: &str) -> Option<Marker> {
    let (border, name) = assembly.lines().next()?.strip_prefix(COMMENT)?.split_once(' ')?;
    let is_begin = match border {
        "begin" => true,
        "end" => false,
        _ => return None,
    };
    Some(Marker { name: name.to_owned(), is_begin })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_of_kinstrs_is_a_marker_and_others_are_none() {
        let begin = commented("// kinstr: begin exponentials of a row\n\tmov.u32 $0, 0;");
        assert_eq!(begin, Some(Marker { name: "exponentials of a row".into(), is_begin: true }));
        assert_eq!(commented("// wait for regs: $0\n\twgmma.wait_group.sync.aligned 0;"), None);
        assert_eq!(commented("// kinstr: sometime"), None);
    }
}
