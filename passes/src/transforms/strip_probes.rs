//! `strip-probes`: takes every probe out again. Insert then strip is the identity.

use crate::ir::nested;
use kinstr_dialects::ops::Op;
use melior::{Context, IrRewriter, ir::Module};

/// Erases every `kprobe` op, users before what they use.
pub fn strip_probes<'c>(context: &'c Context, module: &Module<'c>) {
    let rewriter = IrRewriter::new(context);
    let probes: Vec<_> =
        nested(module.as_operation()).into_iter().filter(|op| Op::of(op).is_some()).collect();
    for operation in probes.into_iter().rev() {
        rewriter.as_rewriter_base().erase_op(operation);
    }
}
