//! What no candidate may hold: kinstr's own ops and names, and passes that print or write instead of changing the module.
//!
//! Passes run in kinstr's own process, where a file or standard output is not the candidate's to write.

use super::LowerError;
use crate::frontend::directives::Directives;
use kinstr_passes::ir::{name, nested, place_of, string_attribute, symbol};
use melior::ir::{Module, OperationRef, operation::OperationLike};

/// Ops of these dialects and kinds are kinstr's, or have no effect but to print.
const OPS: [(&str, &str); 4] = [
    ("kprobe.", "probes are inserted by kinstr"),
    ("transform.print", "it prints while kinstr compiles"),
    ("transform.debug.", "it prints while kinstr compiles"),
    ("transform.test_", "it tests MLIR itself"),
];
/// Symbols that begin so are kinstr's, or MLIR's for it.
const SYMBOLS: [&str; 2] = ["__kinstr", "_mlir_ciface_"];
/// Passes that print, write files or run programs; of `mlir-opt-22 --help`.
const PASSES: [&str; 5] =
    ["snapshot-op-locations", "view-op-graph", "print-ir", "print-op-stats", "gpu-module-to-binary"];

/// Checks a candidate as it was parsed.
///
/// # Errors
/// [`LowerError::Refused`].
pub fn check(module: &Module<'_>, directives: &Directives) -> Result<(), LowerError> {
    let pipeline = directives.pipeline.as_deref().unwrap_or_default();
    if let Some(pass) = refused_pass(pipeline) {
        return Err(refused(format!("pass `{pass}`"), WRITES, None));
    }
    nested(module.as_operation()).into_iter().try_for_each(check_op)
}

const WRITES: &str = "it prints or writes files while kinstr compiles";

fn check_op(operation: OperationRef<'_, '_>) -> Result<(), LowerError> {
    let name = name(operation);
    let place = || place_of(operation.location());
    if let Some((_, why)) = OPS.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return Err(refused(format!("op `{name}`"), why, place()));
    }
    let symbol = symbol(operation);
    if SYMBOLS.iter().any(|prefix| symbol.starts_with(prefix)) {
        return Err(refused(format!("symbol `{symbol}`"), "names that begin so are kinstr's", place()));
    }
    let applied = string_attribute(operation, "pass_name").unwrap_or_default();
    match refused_pass(&applied) {
        Some(pass) => Err(refused(format!("pass `{pass}`"), WRITES, place())),
        None => Ok(()),
    }
}

fn refused_pass(pipeline: &str) -> Option<&str> {
    let is_part = |character: char| character.is_alphanumeric() || character == '-';
    pipeline.split(|character| !is_part(character)).find(|pass| PASSES.contains(pass))
}

fn refused(what: String, why: &'static str, place: Option<kinstr_trace::sites::Place>) -> LowerError {
    LowerError::Refused { what, why, place }
}
