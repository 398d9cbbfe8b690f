//! Transform-dialect schedules that travel in the candidate's module.

use kinstr_passes::ir::{name, operations};
use melior::{
    Context, IrRewriter,
    ir::{
        Module, OperationRef,
        operation::{OperationLike, OperationMutLike},
    },
};

/// True if the module holds a schedule: a transform op at its top level, or a module of them.
pub fn is_present(module: &Module<'_>) -> bool {
    operations(module.body()).any(is_schedule)
}

fn is_schedule(operation: OperationRef<'_, '_>) -> bool {
    name(operation).starts_with("transform.") || operation.has_attribute("transform.with_named_sequence")
}

/// Erases the schedule once it has run; LLVM has no use for it.
pub fn remove<'c>(context: &'c Context, module: &mut Module<'c>) {
    let rewriter = IrRewriter::new(context);
    let schedules: Vec<_> = operations(module.body()).filter(|operation| is_schedule(*operation)).collect();
    for operation in schedules {
        rewriter.as_rewriter_base().erase_op(operation);
    }
    // Absent where the schedule was a module of its own.
    let _ = module.as_operation_mut().remove_attribute("transform.with_named_sequence");
}
