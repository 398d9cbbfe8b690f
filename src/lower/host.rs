//! The host half of a candidate for a GPU: code for this CPU that loads kernels and launches them through MLIR's GPU runtime
//! functions (`mgpu*`), on tensors in device memory.

use super::{LowerError, Mlir, Structured, check_left, device::Mapping, pipelines, run, structure_by};
use crate::frontend::directives::Directives;
use kinstr_passes::{
    ffi::parse_module,
    ir,
    transforms::{TransformError, expand_copies::expand_strided_copies, wrap_entry::wrap_entry},
};
use melior::{
    IrRewriter,
    ir::{
        Attribute, BlockLike, Identifier, Module, OperationRef, Value, ValueLike,
        attribute::DenseI32ArrayAttribute,
        operation::{OperationBuilder, OperationLike, OperationResult},
    },
};
use std::fmt::Write;

/// A candidate for a GPU on memrefs, its kernels outlined: where region markers go into kernels.
///
/// # Errors
/// [`LowerError`], the candidate's fault.
pub fn structure<'c>(
    mlir: &'c Mlir,
    module: Module<'c>,
    directives: &Directives,
    mapping: Mapping,
) -> Result<Structured<'c>, LowerError> {
    let (mut structured, rest) = structure_by(mlir, module, directives, pipelines::GPU_STRUCTURED)?;
    expand_strided_copies(&mlir.context, &structured.module)?;
    for element in &rest {
        run(mlir, &mut structured.module, element)?;
    }
    super::device::outline(mlir, &mut structured.module, mapping)?;
    Ok(structured)
}

/// The code of one `gpu.module`, as it is embedded in the host's.
pub struct Binary {
    /// Symbol of the module.
    pub name: String,
    /// Chip.
    pub chip: String,
    /// The code.
    pub object: Object,
}

/// Machine code, or text that the driver compiles when it is loaded.
pub enum Object {
    /// A cubin.
    Cubin(Vec<u8>),
    /// PTX.
    Ptx(String),
}

/// Lowers host code to the LLVM dialect, with `binaries` in the place of its `gpu.module`s, and adds the entry wrapper.
///
/// # Errors
/// [`LowerError`]; `OnHost` for code that would touch device memory.
pub fn lower<'c>(
    mlir: &'c Mlir,
    structured: &mut Structured<'c>,
    binaries: &[Binary],
) -> Result<(), LowerError> {
    let module = &mut structured.module;
    embed(mlir, module, binaries)?;
    check_host(module)?;
    allocate_on_device(mlir, module)?;
    if !is_asynchronous(module) {
        run(mlir, module, pipelines::GPU_ASYNC)?;
    }
    run(mlir, module, pipelines::GPU_HOST)?;
    run(mlir, module, pipelines::CPU_LOWERING)?;
    // Launches and binaries end in the translation to LLVM IR.
    let lowered = ["llvm.", "gpu.binary", "gpu.launch_func"];
    check_left(module, |name| lowered.iter().any(|known| name.starts_with(known)))?;
    wrap_entry(&mlir.context, module, &structured.signature)?;
    run(mlir, module, pipelines::WRAPPER_SCOPE)?;
    Ok(())
}

fn embed<'c>(mlir: &'c Mlir, module: &Module<'c>, binaries: &[Binary]) -> Result<(), LowerError> {
    let rewriter = IrRewriter::new(&mlir.context);
    let devices: Vec<_> =
        ir::operations(module.body()).filter(|operation| ir::is(*operation, "gpu.module")).collect();
    devices.into_iter().for_each(|device| rewriter.as_rewriter_base().erase_op(device));
    for binary in binaries {
        let text = binary.text();
        let refused = || TransformError::Refused { what: "gpu.binary", detail: binary.name.clone() };
        let parsed = parse_module(&mlir.context, &text, "kinstr-gpu-binary").ok_or_else(refused)?;
        for operation in ir::operations(parsed.body()) {
            module.body().append_operation((*operation).clone());
        }
    }
    Ok(())
}

impl Binary {
    /// It as an op of MLIR's.
    pub(super) fn text(&self) -> String {
        let (format, bytes) = match &self.object {
            Object::Cubin(bytes) => ("bin", bytes.as_slice()),
            Object::Ptx(text) => ("assembly", text.as_bytes()),
        };
        let mut escaped = String::with_capacity(3 * bytes.len());
        for byte in bytes {
            // Writing to a string does not fail.
            let _ = match byte {
                b' '..=b'~' if !matches!(byte, b'"' | b'\\') => write!(escaped, "{}", char::from(*byte)),
                _ => write!(escaped, "\\{byte:02X}"),
            };
        }
        let Self { name, chip, .. } = self;
        format!(
            "gpu.binary @\"{name}\" [#gpu.object<#nvvm.target<chip = \"{chip}\">, {format} = \"{escaped}\">]"
        )
    }
}

/// Everything in functions of the host, kernels left out.
fn host_operations<'c, 'a>(module: &'a Module<'c>) -> Vec<OperationRef<'c, 'a>> {
    ir::functions(module, "func").into_iter().flat_map(ir::nested).collect()
}

/// Loads, stores and structured ops on memory that is not the host's own stack.
fn check_host(module: &Module<'_>) -> Result<(), LowerError> {
    const TOUCHING: [&str; 8] = [
        "linalg.",
        "memref.load",
        "memref.store",
        "affine.load",
        "affine.store",
        "vector.transfer_",
        "vector.load",
        "vector.store",
    ];
    let touching = host_operations(module).into_iter().find(|operation| {
        let name = ir::name(*operation);
        TOUCHING.iter().any(|prefix| name.starts_with(prefix)) && !operation.operands().any(is_stack)
    });
    match touching.or_else(|| host_operations(module).into_iter().find(|op| passes_host_memory(*op))) {
        None => Ok(()),
        Some(operation) => {
            Err(LowerError::OnHost { name: ir::name(operation), place: ir::place_of(operation.location()) })
        }
    }
}

/// True for a launch that is given memory of the host: its stack, or a constant.
fn passes_host_memory(operation: OperationRef<'_, '_>) -> bool {
    let is_host_memory = |value: Value<'_, '_>| {
        value.is_operation_result()
            && OperationResult::try_from(value).is_ok_and(|result| {
                ["memref.get_global", "memref.alloca"].iter().any(|name| ir::is(result.owner(), name))
            })
    };
    ir::is(operation, "gpu.launch_func") && operation.operands().any(is_host_memory)
}

/// True for what `memref.alloca` answers.
fn is_stack(value: Value<'_, '_>) -> bool {
    value.is_operation_result()
        && OperationResult::try_from(value).is_ok_and(|result| ir::is(result.owner(), "memref.alloca"))
}

fn is_asynchronous(module: &Module<'_>) -> bool {
    let gives_token = |operation: &OperationRef<'_, '_>| {
        operation.results().any(|result| result.r#type().to_string() == "!gpu.async.token")
    };
    host_operations(module).iter().any(gives_token)
}

/// What host code allocates is for kernels: device memory, and copies between it are the device's.
fn allocate_on_device<'c>(mlir: &'c Mlir, module: &Module<'c>) -> Result<(), TransformError> {
    let rewriter = IrRewriter::new(&mlir.context);
    for operation in host_operations(module) {
        let operands: Vec<_> = operation.operands().collect();
        let new = match ir::name(operation).as_str() {
            "memref.alloc" => gpu_op(mlir, operation, "gpu.alloc", &operands, true)?,
            "memref.dealloc" => gpu_op(mlir, operation, "gpu.dealloc", &operands, false)?,
            // Source, destination; of the device's copy the other way round.
            "memref.copy" if !operands.iter().any(|operand| is_stack(*operand)) => {
                gpu_op(mlir, operation, "gpu.memcpy", &[operands[1], operands[0]], false)?
            }
            _ => continue,
        };
        if let (1, Ok(old), Ok(new)) = (operation.result_count(), operation.result(0), new.result(0)) {
            rewriter.as_rewriter_base().replace_all_uses_with(old.into(), new.into());
        }
        rewriter.as_rewriter_base().erase_op(operation);
    }
    Ok(())
}

fn gpu_op<'c, 'a>(
    mlir: &'c Mlir,
    at: OperationRef<'c, 'a>,
    name: &'static str,
    operands: &[Value<'c, 'a>],
    allocates: bool,
) -> Result<OperationRef<'c, 'a>, TransformError> {
    let context = &mlir.context;
    let refused = |detail: String| TransformError::Refused { what: name, detail };
    let sizes = [0, i32::try_from(operands.len()).unwrap_or(i32::MAX), 0];
    let segments: Attribute<'c> = DenseI32ArrayAttribute::new(context, &sizes).into();
    let mut op = OperationBuilder::new(name, at.location()).add_operands(operands);
    if allocates {
        let results: Vec<_> = at.results().map(|result| result.r#type()).collect();
        op = op
            .add_results(&results)
            .add_attributes(&[(Identifier::new(context, "operandSegmentSizes"), segments)]);
    }
    let op = op.build().map_err(|error| refused(error.to_string()))?;
    let block = at.block().ok_or_else(|| refused("it stands outside any block".into()))?;
    Ok(block.insert_operation_before(at, op))
}
