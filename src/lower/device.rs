//! Device code: each `gpu.module` of a candidate, down to LLVM IR, and probes in its optimised form.

use super::{LowerError, Mlir, buffers, import, pipelines, run, to_llvm_ir};
use crate::codegen::{self, CodegenError, cuda::Tools, machine::Machine};
use inkwell::module::Linkage;
use kinstr_passes::{
    conversion::nvptx::{self, is_kernel},
    facts::{Passed, forget_passed, say_passed},
    ir,
    markers::drop_markers,
    probe::{self, Probe, ProbeError, Request},
    transforms::{
        carry_regions::{calls_to_regions, regions_to_calls},
        lower_intent::{Keep, lower_intent},
        map_linalg::{describe_kernels, map_linalg},
        name_kernels::name_kernels,
        strip_probes::strip_probes,
    },
};
use kinstr_trace::sites::{Choice, Place, SiteTable};
use melior::ir::{BlockLike, Location, Module, OperationRef, operation::OperationLike};
use std::collections::BTreeMap;

/// The code of one `gpu.module`.
pub struct Device<'l> {
    /// Its symbol.
    pub name: String,
    /// Its kernels, each with the place of its first line.
    pub kernels: Vec<(String, Option<Place>)>,
    /// What is passed to them, by name.
    pub passed: BTreeMap<String, Vec<Passed>>,
    /// The code.
    pub code: inkwell::module::Module<'l>,
}

/// What the default mapping may count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Parallel loops: a thread a point.
    Loops,
    /// Tiled kernels for NVIDIA's devices, on their tensor cores if `has_mma`; loops for what fits none of them.
    Tiled {
        /// The device has `mma.sync` on 16x8x16 halves: from compute capability 8.0 on.
        has_mma: bool,
    },
}

impl Mapping {
    /// The mapping for an NVIDIA chip, e.g. `sm_90`.
    pub fn for_nvidia(chip: &str) -> Self {
        let number = chip.trim_start_matches("sm_").trim_end_matches(char::is_alphabetic);
        Self::Tiled { has_mma: number.parse::<u32>().is_ok_and(|number| number >= 80) }
    }
}

/// Makes kernels of a module that is on memrefs: bodies of `gpu.launch` are outlined. What has no GPU op gets them by the
/// default mapping first.
///
/// # Errors
/// [`LowerError`]; `NoKernel` if nothing in the module would run on a GPU.
pub fn outline<'c>(mlir: &'c Mlir, module: &mut Module<'c>, mapping: Mapping) -> Result<(), LowerError> {
    let is_ours = !holds(module, "gpu.");
    if is_ours {
        map(mlir, module, mapping)?;
    }
    run(mlir, module, pipelines::GPU_OUTLINE)?;
    if !holds(module, "gpu.module") {
        return Err(LowerError::NoKernel);
    }
    if is_ours {
        describe_kernels(&mlir.context, module)?;
    }
    Ok(name_kernels(&mlir.context, module)?)
}

fn map<'c>(mlir: &'c Mlir, module: &mut Module<'c>, mapping: Mapping) -> Result<(), LowerError> {
    if let Mapping::Tiled { has_mma } = mapping {
        run(mlir, module, pipelines::GPU_GENERAL)?;
        if map_linalg(&mlir.context, module, has_mma)? {
            run(mlir, module, pipelines::GPU_TIDY)?;
        }
    }
    run(mlir, module, pipelines::GPU_LOOPS)?;
    Ok(run(mlir, module, &pipelines::gpu_mapping(deepest_parallel(module)))?)
}

fn holds(module: &Module<'_>, prefix: &str) -> bool {
    ir::nested(module.as_operation()).into_iter().any(|operation| ir::name(operation).starts_with(prefix))
}

/// Most dimensions of a parallel loop.
fn deepest_parallel(module: &Module<'_>) -> usize {
    let loops =
        ir::nested(module.as_operation()).into_iter().filter(|operation| ir::is(*operation, "scf.parallel"));
    // One region argument a dimension.
    let dimensions = |operation| ir::body(operation).and_then(|region| ir::blocks(region).next());
    loops.filter_map(dimensions).map(|block| block.argument_count()).max().unwrap_or(0)
}

/// Lowers every `gpu.module` of `module` by `pipeline`, which leaves NVVM or ROCDL, and translates it. Region markers in it
/// become calls.
///
/// # Errors
/// [`LowerError`]; `Left` names the ops that no pass lowered.
pub fn lower<'c, 'l>(
    mlir: &'c Mlir,
    module: &mut Module<'c>,
    pipeline: &str,
    llvm: &'l inkwell::context::Context,
) -> Result<Vec<Device<'l>>, LowerError> {
    let passed = buffers::passed(module);
    run(mlir, module, pipeline)?;
    let devices: Vec<_> = gpu_modules(module);
    devices.into_iter().map(|device| lower_one(mlir, device, &passed, llvm)).collect()
}

/// Lowers NVIDIA's device code.
///
/// # Errors
/// As [`lower`].
pub fn lower_nvidia<'c, 'l>(
    mlir: &'c Mlir,
    module: &mut Module<'c>,
    llvm: &'l inkwell::context::Context,
) -> Result<Vec<Device<'l>>, LowerError> {
    let pipeline = pipelines::nvvm_lowering(holds(module, "nvgpu."));
    lower(mlir, module, &pipeline, llvm)
}

fn gpu_modules<'c, 'a>(module: &'a Module<'c>) -> Vec<OperationRef<'c, 'a>> {
    ir::operations(module.body()).filter(|operation| ir::is(*operation, "gpu.module")).collect()
}

fn lower_one<'c, 'l>(
    mlir: &'c Mlir,
    device: OperationRef<'c, '_>,
    passed: &BTreeMap<String, Vec<Passed>>,
    llvm: &'l inkwell::context::Context,
) -> Result<Device<'l>, LowerError> {
    let mut alone = Module::new(Location::unknown(&mlir.context));
    let body = ir::body(device).and_then(|region| ir::blocks(region).next());
    for operation in body.into_iter().flat_map(ir::operations) {
        alone.body().append_operation((*operation).clone());
    }
    check_lowered(&alone)?;
    // Text from standard input has no file, and so no lines to keep.
    if ir::nested(alone.as_operation()).iter().any(|op| ir::place_of(op.location()).is_some()) {
        run(mlir, &mut alone, pipelines::KERNEL_SCOPE)?;
    }
    regions_to_calls(&mlir.context, &alone)?;
    let kernels = ir::functions(&alone, "llvm")
        .into_iter()
        .filter(|function| is_kernel(*function) || function.has_attribute("rocdl.kernel"));
    let named = |kernel: OperationRef<'_, '_>| (ir::symbol(kernel), ir::place_of(kernel.location()));
    let kernels: Vec<_> = kernels.map(named).collect();
    let code = to_llvm_ir(mlir, &alone, llvm)?;
    // Only kernels are called from outside: what is inlined into them everywhere is dropped.
    let defined = code.get_functions().filter(|function| function.count_basic_blocks() > 0);
    let helpers = defined.filter(|f| !kernels.iter().any(|(kernel, _)| f.get_name().to_str() == Ok(kernel)));
    helpers.for_each(|function| function.set_linkage(Linkage::Internal));
    Ok(Device { name: ir::symbol(device), kernels, passed: passed.clone(), code })
}

fn check_lowered(module: &Module<'_>) -> Result<(), LowerError> {
    let lowered = ["llvm.", "nvvm.", "rocdl.", "kprobe."];
    super::check_left(module, |name| lowered.iter().any(|dialect| name.starts_with(dialect)))
}

/// Links libdevice where it is called, and optimises at O3.
///
/// # Errors
/// [`CodegenError`].
pub fn optimize(devices: &[Device<'_>], machine: &Machine, tools: &Tools) -> Result<(), CodegenError> {
    for Device { code, .. } in devices {
        codegen::cuda::link_libdevice(code, machine, tools)?;
        codegen::optimize(code, machine)?;
    }
    Ok(())
}

/// Takes over device code that another compiler has optimised, under the name of its kernels.
///
/// # Errors
/// [`LowerError::Import`], or what code generation says.
pub fn adopt<'l, E: From<LowerError> + From<CodegenError>>(
    mlir: &Mlir,
    code: inkwell::module::Module<'l>,
    machine: &Machine,
) -> Result<Device<'l>, E> {
    codegen::adopt_device(&code, machine)?;
    let module = import(mlir, &code)?;
    let kernels = ir::functions(&module, "llvm").into_iter().filter(|function| is_kernel(*function));
    let kernels: Vec<_> =
        kernels.map(|kernel| (ir::symbol(kernel), ir::place_of(kernel.location()))).collect();
    let name = kernels.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("+");
    Ok(Device { name, kernels, passed: BTreeMap::new(), code })
}

/// Which probes go into optimised device code.
pub struct Probes<'p> {
    /// Them, in order.
    pub probes: &'p [&'p dyn Probe],
    /// What was inserted early, which also says how sites record.
    pub before: SiteTable,
    /// The timing sites to insert; all if there is no choice.
    pub choice: Option<&'p Choice>,
}

/// Inserts probes into optimised device code, which may carry the regions of early ones. All modules share one table. That a
/// probe finds nothing to watch is no error where another finds something.
///
/// # Errors
/// [`LowerError::Import`], `Probe`, `Transform`.
pub fn insert<'c>(
    mlir: &'c Mlir,
    devices: &[Device<'_>],
    probes: Probes<'_>,
) -> Result<(Vec<Module<'c>>, SiteTable), LowerError> {
    let Probes { probes, before: mut sites, choice } = probes;
    let modules: Vec<_> =
        devices.iter().map(|device| import(mlir, &device.code)).collect::<Result<_, _>>()?;
    for (module, device) in modules.iter().zip(devices) {
        say_passed(&mlir.context, module, &device.passed);
        calls_to_regions(&mlir.context, module)?;
    }
    let mut nothing = None;
    for probe in probes {
        for module in &modules {
            let request = Request { probes: &[*probe], entry: None, before: sites.clone(), choice };
            match probe::insert_more(&mlir.context, module, request) {
                Ok(more) => sites = more,
                Err(found_nothing @ ProbeError::NothingToWatch { .. }) => nothing = Some(found_nothing),
                Err(error) => return Err(error.into()),
            }
        }
    }
    match nothing {
        Some(nothing) if sites.sites.is_empty() && choice.is_none() => return Err(nothing.into()),
        _ => {}
    }
    for module in &modules {
        forget_passed(module);
        drop_markers(&mlir.context, module);
    }
    nest(mlir, &modules, &mut sites)?;
    Ok((modules, sites))
}

/// Says of each site what is around it, in whichever module it is.
fn nest(mlir: &Mlir, modules: &[Module<'_>], sites: &mut SiteTable) -> Result<(), LowerError> {
    let mut parents = BTreeMap::new();
    for module in modules {
        let request = Request { before: sites.clone(), ..Request::default() };
        let nested = probe::insert_more(&mlir.context, module, request)?;
        parents.extend(nested.sites.iter().filter_map(|site| Some((site.id, site.parent?))));
    }
    sites.sites.iter_mut().for_each(|site| site.parent = parents.get(&site.id).copied());
    Ok(())
}

/// Turns the probes in `module` into calls of the record library.
///
/// # Errors
/// [`LowerError::Transform`], `Conversion`.
pub fn convert<'c>(mlir: &'c Mlir, module: &Module<'c>, sites: &SiteTable) -> Result<(), LowerError> {
    lower_intent(&mlir.context, module, sites.mode, Keep::Registers)?;
    Ok(nvptx::convert(&mlir.context, module, sites)?)
}

/// Takes every probe out of `modules` again.
pub fn strip<'c>(mlir: &'c Mlir, modules: &[Module<'c>]) {
    modules.iter().for_each(|module| strip_probes(&mlir.context, module));
}

/// Instrumented modules, converted, back to code.
///
/// # Errors
/// [`LowerError::Translate`], or what code generation says.
pub fn instrumented<'l, E: From<LowerError> + From<CodegenError>>(
    mlir: &Mlir,
    devices: &[Device<'_>],
    modules: &[Module<'_>],
    machine: &Machine,
    llvm: &'l inkwell::context::Context,
) -> Result<Vec<Device<'l>>, E> {
    let code = |(device, module): (&Device<'_>, &Module<'_>)| {
        let code = to_llvm_ir(mlir, module, llvm)?;
        codegen::inline_device_probes(&code, &device.code, machine)?;
        Ok(Device {
            name: device.name.clone(),
            kernels: device.kernels.clone(),
            passed: device.passed.clone(),
            code,
        })
    };
    devices.iter().zip(modules).map(code).collect()
}
