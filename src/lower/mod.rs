//! From a candidate's MLIR to LLVM IR: clean, with timing probes, or with counting probes.

mod buffers;
mod complain;
pub mod device;
pub mod host;
pub mod pipelines;
pub mod refuse;
pub mod replay;
mod schedule;
mod timing;

pub use timing::{carry_regions, insert_timing};

use kinstr_passes::{
    context::Messages,
    conversion::{ConversionError, x86_64},
    ffi, ir,
    pipeline::{self, PipelineError},
    probe::{self, Probe, ProbeError},
    transforms::{
        TransformError,
        adapt_entry::{Signature, adapt_entry, find_entry},
        expand_copies::expand_strided_copies,
        lower_intent::{Keep, lower_intent},
        wrap_entry::{SYMBOL, wrap_entry},
    },
};
use kinstr_trace::{
    layout::Mode,
    sites::{Choice, SiteTable},
};
use melior::{
    Context,
    ir::{Module, OperationRef, operation::OperationLike},
};

use crate::frontend::directives::Directives;

/// Why a candidate could not be lowered. All but `Conversion` and `Translate` of kinstr's own code are the
/// candidate's fault.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each wraps the error of a module that documents it")]
pub enum LowerError {
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Transform(#[from] TransformError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Conversion(#[from] ConversionError),
    /// No timing probe found anything to watch.
    #[error("{}", reasons.join("; "))]
    NothingToTime { reasons: Vec<String> },
    /// It holds what no candidate may hold.
    #[error("{what} is not for candidates: {why}")]
    Refused { what: String, why: &'static str, place: Option<kinstr_trace::sites::Place> },
    /// Ops are left that the pipeline does not lower.
    #[error("not lowered to the LLVM dialect: {}", names.join(", "))]
    Left { names: Vec<String>, place: Option<kinstr_trace::sites::Place> },
    /// Nothing in it would run on a GPU.
    #[error(
        "nothing in this candidate runs on a GPU: no gpu.launch, no gpu.module, and no linalg op or parallel loop over more than one point"
    )]
    NoKernel,
    /// Host code of a candidate for a GPU that touches memory of the device.
    #[error(
        "`{name}` in host code: tensors and temporaries of a candidate for a GPU are in device memory, which the host cannot touch"
    )]
    OnHost { name: String, place: Option<kinstr_trace::sites::Place> },
    /// MLIR could not translate the LLVM dialect.
    #[error("the LLVM dialect could not be translated to LLVM IR")]
    Translate { messages: Vec<kinstr_passes::context::Message> },
    /// MLIR could not import LLVM IR.
    #[error("the optimised LLVM IR could not be imported into the LLVM dialect")]
    Import { messages: Vec<kinstr_passes::context::Message> },
}

/// An MLIR context and what it says.
pub struct Mlir {
    /// The context.
    pub context: Context,
    /// Its messages.
    pub messages: Messages,
}

impl Mlir {
    /// A fresh context with every dialect.
    ///
    /// # Errors
    /// If the embedded kprobe dialect does not load.
    pub fn new() -> Result<Self, kinstr_dialects::LoadError> {
        let (context, messages) = kinstr_passes::context::create()?;
        Ok(Self { context, messages })
    }
}

/// A candidate on memrefs with its structure intact, the point where region markers go in.
pub struct Structured<'c> {
    /// The module.
    pub module: Module<'c>,
    /// The entry: inputs, then outputs as memrefs.
    pub signature: Signature,
}

/// Runs the candidate's schedule and pipeline, or the default, up to the structured point.
///
/// With a pipeline of its own, a candidate is at that point after the last element that leaves the entry
/// structured and free of tensors; what comes later runs in [`to_llvm_dialect`] through `Structured::rest`.
///
/// # Errors
/// [`LowerError`], the candidate's fault.
pub fn structure<'c>(
    mlir: &'c Mlir,
    module: Module<'c>,
    directives: &Directives,
) -> Result<(Structured<'c>, Vec<String>), LowerError> {
    let (structured, rest) = structure_by(mlir, module, directives, pipelines::CPU_STRUCTURED)?;
    expand_strided_copies(&mlir.context, &structured.module)?;
    Ok((structured, rest))
}

/// The same, with a pipeline of the target's for tensors.
fn structure_by<'c>(
    mlir: &'c Mlir,
    mut module: Module<'c>,
    directives: &Directives,
    tensors: &str,
) -> Result<(Structured<'c>, Vec<String>), LowerError> {
    let entry = ir::symbol(find_entry(&module, directives.entry.as_deref())?);
    let signature = adapt_entry(&mlir.context, &module, &entry)?;
    if schedule::is_present(&module) {
        run(mlir, &mut module, "transform-interpreter")?;
        schedule::remove(&mlir.context, &mut module);
    }
    let rest = match &directives.pipeline {
        Some(own) => run_own_pipeline(mlir, &mut module, own, &entry)?,
        None => Vec::new(),
    };
    if rest.is_empty() && holds_tensors(&module) {
        run(mlir, &mut module, tensors)?;
    }
    Ok((Structured { module, signature }, rest))
}

/// Runs the elements up to the last structured point and returns the others.
fn run_own_pipeline<'c>(
    mlir: &'c Mlir,
    module: &mut Module<'c>,
    pipeline: &str,
    entry: &str,
) -> Result<Vec<String>, LowerError> {
    let elements = pipeline::elements(pipeline);
    let mut trial = ffi::clone_module(module);
    let mut last = 0;
    for (index, element) in elements.iter().enumerate() {
        run(mlir, &mut trial, element)?;
        if is_structured(&trial, entry) {
            last = index + 1;
        }
    }
    for element in &elements[..last] {
        run(mlir, module, element)?;
    }
    Ok(elements[last..].to_vec())
}

/// True if the entry is a `func.func` of one block without tensors.
fn is_structured(module: &Module<'_>, entry: &str) -> bool {
    find_entry(module, Some(entry)).is_ok_and(|function| {
        ir::body(function).is_some_and(|body| ir::blocks(body).count() == 1) && !holds_tensors(module)
    })
}

/// True if any value in the module is a tensor.
fn holds_tensors(module: &Module<'_>) -> bool {
    let is_tensor = |text: String| text.starts_with("tensor<");
    ir::nested(module.as_operation()).iter().any(|operation| {
        use melior::ir::ValueLike;
        operation.results().any(|result| is_tensor(result.r#type().to_string()))
            || operation.operands().any(|operand| is_tensor(operand.r#type().to_string()))
    })
}

fn run<'c>(mlir: &'c Mlir, module: &mut Module<'c>, text: &str) -> Result<(), PipelineError> {
    pipeline::run(&mlir.context, &mlir.messages, module, text)
}

/// Inserts timing probes at the structured point; of their sites, those of `choice`.
///
/// # Errors
/// [`LowerError::Probe`].
pub fn insert_early<'c>(
    mlir: &'c Mlir,
    structured: &Structured<'c>,
    probes: &[&dyn Probe],
    mode: Mode,
    choice: Option<&Choice>,
) -> Result<SiteTable, LowerError> {
    let entry = Some(structured.signature.name.as_str());
    let before = SiteTable { mode, ..SiteTable::default() };
    let request = probe::Request { probes, entry, before, choice };
    Ok(probe::insert_more(&mlir.context, &structured.module, request)?)
}

/// Lowers to the LLVM dialect, adds the entry wrapper, and converts the probes in `sites`.
///
/// # Errors
/// [`LowerError`]; `Left` names the ops that no pass lowered.
pub fn to_llvm_dialect<'c>(
    mlir: &'c Mlir,
    structured: &mut Structured<'c>,
    rest: &[String],
    sites: Option<&SiteTable>,
) -> Result<(), LowerError> {
    for element in rest {
        run(mlir, &mut structured.module, element)?;
    }
    run(mlir, &mut structured.module, pipelines::CPU_LOWERING)?;
    check_lowered(&structured.module)?;
    wrap_entry(&mlir.context, &structured.module, &structured.signature)?;
    // Text from standard input has no file, and so no lines to keep.
    let wrapper = ir::functions(&structured.module, "llvm").into_iter().find(|f| ir::symbol(*f) == SYMBOL);
    if wrapper.is_some_and(|wrapper| ir::place_of(wrapper.location()).is_some()) {
        run(mlir, &mut structured.module, pipelines::WRAPPER_SCOPE)?;
    }
    if let Some(sites) = sites {
        convert_probes(mlir, &structured.module, sites)?;
    }
    Ok(())
}

fn check_lowered(module: &Module<'_>) -> Result<(), LowerError> {
    // OpenMP's own ops end in the translation to LLVM IR, which makes functions of parallel regions.
    let lowered = ["llvm.", "kprobe.", "omp."];
    check_left(module, |name| lowered.iter().any(|dialect| name.starts_with(dialect)))
}

/// Refuses ops that are not `lowered`.
fn check_left(module: &Module<'_>, lowered: impl Fn(&str) -> bool) -> Result<(), LowerError> {
    let mut left: Vec<_> = ir::nested(module.as_operation())
        .into_iter()
        .filter(|operation| !lowered(&ir::name(*operation)))
        .collect();
    // Casts are what lowering puts around an op it does not know: the op is what to name.
    let is_cast = |operation: &OperationRef<'_, '_>| ir::is(*operation, "builtin.unrealized_conversion_cast");
    if !left.iter().all(is_cast) {
        left.retain(|operation| !is_cast(operation));
    }
    let Some(first) = left.first() else { return Ok(()) };
    let mut names: Vec<String> = left.iter().map(|operation| ir::name(*operation)).collect();
    names.sort();
    names.dedup();
    Err(LowerError::Left { names, place: ir::place_of(first.location()) })
}

fn convert_probes<'c>(mlir: &'c Mlir, module: &Module<'c>, sites: &SiteTable) -> Result<(), LowerError> {
    lower_intent(&mlir.context, module, sites.mode, Keep::Memory)?;
    x86_64::convert(&mlir.context, module, sites)?;
    Ok(())
}

/// LLVM dialect → LLVM IR.
///
/// # Errors
/// [`LowerError::Translate`].
pub fn to_llvm_ir<'l>(
    mlir: &Mlir,
    module: &Module<'_>,
    llvm: &'l inkwell::context::Context,
) -> Result<inkwell::module::Module<'l>, LowerError> {
    mlir.messages.take();
    ffi::translate_to_llvm_ir(module.as_operation(), llvm)
        .ok_or_else(|| LowerError::Translate { messages: mlir.messages.take() })
}

/// Inserts probes late: optimised LLVM IR comes in, the same code plus probes in the LLVM dialect goes out.
///
/// # Errors
/// [`LowerError::Import`], `Probe`, `Conversion`.
pub fn insert_late<'c>(
    mlir: &'c Mlir,
    optimized: &inkwell::module::Module<'_>,
    probes: &[&dyn Probe],
    mode: Mode,
) -> Result<(Module<'c>, SiteTable), LowerError> {
    let module = import(mlir, optimized)?;
    let sites = probe::insert(&mlir.context, &module, probes, None, mode)?;
    convert_probes(mlir, &module, &sites)?;
    Ok((module, sites))
}

/// LLVM IR → LLVM dialect.
///
/// # Errors
/// [`LowerError::Import`].
pub fn import<'c>(mlir: &'c Mlir, module: &inkwell::module::Module<'_>) -> Result<Module<'c>, LowerError> {
    mlir.messages.take();
    ffi::import_llvm_ir(&mlir.context, module)
        .ok_or_else(|| LowerError::Import { messages: mlir.messages.take() })
}
