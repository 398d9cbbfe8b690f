//! What no candidate may hold: kinstr's own ops and names, passes that print or write instead of changing the module, and
//! assembly that reads files.
//!
//! Passes run in kinstr's compiling process, where a file or standard output is not the candidate's to write.

use super::LowerError;
use crate::frontend::directives::Directives;
use kinstr_passes::{
    ffi,
    ir::{name, nested, place_of, string_attribute, symbol},
};
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

/// Directives of the assembler that read a file, which no digest knows.
const READING: [&str; 2] = [".incbin", ".include"];

/// Checks the LLVM IR of a candidate in C or LLVM IR, before anything of kinstr's is in it.
///
/// # Errors
/// [`LowerError::Refused`].
pub fn check_code(code: &inkwell::module::Module<'_>) -> Result<(), LowerError> {
    // A name that C gives in assembly's words begins with this mark.
    let symbols = ffi::symbols(code);
    let taken =
        symbols.iter().map(|symbol| symbol.trim_start_matches('\u{1}')).find(|symbol| is_taken(symbol));
    match taken {
        Some(symbol) => Err(refused(format!("symbol `{symbol}`"), TAKEN, None)),
        None => check_assembly(code),
    }
}

/// Checks the assembly in a candidate's code, whatever it came from.
///
/// # Errors
/// [`LowerError::Refused`].
pub fn check_assembly(code: &inkwell::module::Module<'_>) -> Result<(), LowerError> {
    let text = ffi::assembly_in(code).to_ascii_lowercase();
    match READING.iter().find(|directive| text.contains(*directive)) {
        Some(directive) => {
            let why = "it reads a file, and a candidate is one file";
            Err(refused(format!("`{directive}` in assembly"), why, None))
        }
        None => Ok(()),
    }
}

fn is_taken(symbol: &str) -> bool {
    SYMBOLS.iter().any(|prefix| symbol.starts_with(prefix))
}

const TAKEN: &str = "names that begin so are kinstr's";
const WRITES: &str = "it prints or writes files while kinstr compiles";

fn check_op(operation: OperationRef<'_, '_>) -> Result<(), LowerError> {
    let name = name(operation);
    let place = || place_of(operation.location());
    if let Some((_, why)) = OPS.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return Err(refused(format!("op `{name}`"), why, place()));
    }
    let symbol = symbol(operation);
    if is_taken(&symbol) {
        return Err(refused(format!("symbol `{symbol}`"), TAKEN, place()));
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
