//! LLVM IR → optimised IR, assembly, objects and shared libraries.

pub mod assembly;
mod attributes;
mod blocks;
pub mod cuda;
pub mod link;
pub mod machine;
pub mod ptxas;
mod vector_math;

pub use blocks::name_blocks;

use inkwell::{module::Module, passes::PassBuilderOptions, targets::FileType};
use kinstr_passes::ffi;
use link::Libraries;
use machine::Machine;
use std::path::Path;

/// Why code generation failed.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    /// LLVM has no such target, CPU or feature.
    #[error("LLVM cannot emit code for `{target}`: {reason}")]
    #[allow(missing_docs)]
    Target { target: String, reason: String },
    /// An LLVM pass pipeline failed.
    #[error("LLVM pass pipeline `{pipeline}` failed: {reason}")]
    #[allow(missing_docs)]
    Passes { pipeline: String, reason: String },
    /// The module is not valid LLVM IR.
    #[error("invalid LLVM IR: {reason}")]
    #[allow(missing_docs)]
    Invalid { reason: String },
    /// The emitter failed.
    #[error("LLVM could not emit code: {reason}")]
    #[allow(missing_docs)]
    Emit { reason: String },
    /// No linker was found.
    #[error("no linker: looked for {}", looked_for.join(", "))]
    #[allow(missing_docs)]
    NoLinker { looked_for: Vec<String> },
    /// The linker refused the object; undefined symbols are the candidate's fault.
    #[error("the candidate does not link: {reason}")]
    #[allow(missing_docs)]
    Link { reason: String },
    /// Math that the GPU has no instruction for, and no library of it.
    #[error("`{function}` is a function of NVIDIA's libdevice, which is not here: looked for {}", looked_for.join(", "))]
    #[allow(missing_docs)]
    NoLibdevice { function: String, looked_for: Vec<String> },
    /// `ptxas` refused the PTX.
    #[error("ptxas: {reason}")]
    #[allow(missing_docs)]
    Ptxas { reason: String },
    /// A file could not be written.
    #[error("cannot write {path}: {error}")]
    #[allow(missing_docs)]
    Write { path: String, error: std::io::Error },
}

/// A context whose errors are errors: LLVM's own way is to end the process.
pub fn context() -> inkwell::context::Context {
    ffi::create_llvm_context()
}

/// Optimises at O3 for `machine`'s CPU, and maps vector math to glibc's vector library.
///
/// # Errors
/// [`CodegenError::Invalid`] or `Passes`.
pub fn optimize(module: &Module<'_>, machine: &Machine) -> Result<(), CodegenError> {
    machine.prepare(module);
    module.verify().map_err(|reason| CodegenError::Invalid { reason: reason.to_string() })?;
    vector_math::announce_erf(module, machine);
    run_passes(module, machine, "default<O3>")?;
    vector_math::use_library(module, machine);
    simplify_loops(module, machine)
}

/// Takes over code that another compiler has optimised for this CPU: of the debug information lines are kept, and
/// vector math that it left goes to glibc's vector library.
///
/// # Errors
/// [`CodegenError::Invalid`] or `Passes`.
pub fn adopt(module: &Module<'_>, machine: &Machine) -> Result<(), CodegenError> {
    machine.prepare(module);
    module.verify().map_err(|reason| CodegenError::Invalid { reason: reason.to_string() })?;
    run_passes(module, machine, "strip-nonlinetable-debuginfo")?;
    vector_math::use_library(module, machine);
    simplify_loops(module, machine)
}

/// Takes over device code that another compiler has optimised: nothing changes but that loops have borders, and that what
/// libdevice asks of the back end (`__nvvm_reflect`) is answered, as the back end would. It keeps its own data layout.
///
/// # Errors
/// [`CodegenError::Invalid`] or `Passes`.
pub fn adopt_device(module: &Module<'_>, machine: &Machine) -> Result<(), CodegenError> {
    module.set_triple(&machine.raw().get_triple());
    module.verify().map_err(|reason| CodegenError::Invalid { reason: reason.to_string() })?;
    run_passes(module, machine, "nvvm-reflect")?;
    simplify_loops(module, machine)
}

/// Gives every loop an entering block and exit blocks of its own, where late probes find room. Code generation does the
/// same to every build, and no instruction in a loop changes.
fn simplify_loops(module: &Module<'_>, machine: &Machine) -> Result<(), CodegenError> {
    run_passes(module, machine, "function(loop-simplify)")
}

/// Inlines the probes' record functions, puts what they keep on the stack into registers, and does nothing else: the
/// code around them is optimised already, so that no other variable is left on the stack that could be in a register.
/// `original` is the code that the probes were put into.
///
/// # Errors
/// [`CodegenError`].
pub fn inline_probes(
    module: &Module<'_>,
    original: &Module<'_>,
    machine: &Machine,
) -> Result<(), CodegenError> {
    machine.prepare(module);
    run_passes(module, machine, "always-inline,function(mem2reg),globaldce")?;
    attributes::restore(original, module);
    Ok(())
}

/// The same of device code. What the probes keep is constant on many paths, and takes no register there.
///
/// # Errors
/// [`CodegenError`].
pub fn inline_device_probes(
    module: &Module<'_>,
    original: &Module<'_>,
    machine: &Machine,
) -> Result<(), CodegenError> {
    // MLIR does not know every part of a data layout, and Triton's code has another one than LLVM's own for the chip.
    module.set_triple(&original.get_triple());
    module.set_data_layout(&original.get_data_layout());
    run_passes(module, machine, "always-inline,function(mem2reg,instsimplify),globaldce")
}

fn run_passes(module: &Module<'_>, machine: &Machine, pipeline: &str) -> Result<(), CodegenError> {
    module
        .run_passes(pipeline, machine.raw(), PassBuilderOptions::create())
        .map_err(|reason| CodegenError::Passes { pipeline: pipeline.into(), reason: reason.to_string() })?;
    check_errors()
}

/// What the back end said while it went on as if nothing had been.
fn check_errors() -> Result<(), CodegenError> {
    let errors = ffi::take_llvm_errors();
    if errors.is_empty() { Ok(()) } else { Err(CodegenError::Emit { reason: errors.join("; ") }) }
}

/// Assembly text, with LLVM's comments on spills.
///
/// # Errors
/// [`CodegenError::Emit`].
pub fn emit_assembly(module: &Module<'_>, machine: &Machine) -> Result<String, CodegenError> {
    machine.raw().set_asm_verbosity(true);
    // Code generation splits and moves blocks of the module that it is given: another one is, so that assembly and the
    // code that late probes go into are of the same blocks.
    let module = module.clone();
    machine.prepare(&module);
    let buffer = machine
        .raw()
        .write_to_memory_buffer(&module, FileType::Assembly)
        .map_err(|reason| CodegenError::Emit { reason: reason.to_string() })?;
    check_errors()?;
    // inkwell's slice of an assembly buffer ends with LLVM's NUL.
    let bytes = buffer.as_slice();
    Ok(String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes)).into_owned())
}

/// Object code of `assembly`: what is read of it is what runs, and the back end runs once.
///
/// # Errors
/// [`CodegenError::Emit`].
pub fn assemble(assembly: &str, machine: &Machine) -> Result<Vec<u8>, CodegenError> {
    let failed = |said: String| CodegenError::Emit { reason: said.lines().collect::<Vec<_>>().join("; ") };
    ffi::assemble(machine.raw(), assembly).map_err(failed)
}

/// Object → shared library at `library`, linked against `libraries`.
///
/// # Errors
/// [`CodegenError::Link`], `NoLinker`, `Write`.
pub fn write_library(object: &[u8], library: &Path, libraries: Libraries) -> Result<(), CodegenError> {
    let object_path = library.with_extension("o");
    std::fs::write(&object_path, object)
        .map_err(|error| CodegenError::Write { path: object_path.display().to_string(), error })?;
    link::shared_library(&object_path, library, libraries)
}

/// Version of the LLVM that is linked, e.g. `22.1.8`.
pub fn llvm_version() -> String {
    let (major, minor, patch) = inkwell::support::get_llvm_version();
    format!("{major}.{minor}.{patch}")
}
