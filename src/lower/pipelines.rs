//! The default pipelines. `kinstr opt --emit structured` and `--emit llvm-dialect` show what the two CPU halves leave.
//!
//! For a GPU of NVIDIA's, linalg goes through these steps; `kinstr opt --target cuda:sm_90 --emit structured` shows the kernels.
//!
//! 1. [`GPU_STRUCTURED`]: on tensors, elementwise ops are fused and results computed in place.
//! 2. [`GPU_GENERAL`]: every op in its general form.
//! 3. `map-linalg` (`passes/src/transforms/map_linalg/`) makes a kernel of 256 threads a block of each op that is of one of these kinds; sizes
//!    may be any, and are asked for when a kernel is launched:
//!    - *product on tensor cores*: f16 or bf16 summed in f32, any input turned, also in batches. A block has 128x128 results,
//!      tiles of 32 elements along the sum come by `cp.async` into shared memory, two of each; `ldmatrix`, `mma.sync` 16x8x16. From sm_80 on.
//!    - *product of any other types, or with any other body*: 128x128 results a block, 8x8 a thread, tiles of 8 along the sum
//!      in shared memory, two of each; 64x64 and 4x4 with 8-byte types. Each sum in order. Products of known size under 32 rows or columns are
//!      left to step 4.
//!    - *fold of the innermost loop*: a warp a row up to 1024 elements, else a block, if order does not matter (integers, `min`, `max`,
//!      `fastmath<reassoc>`; 32 bits); else a thread a row and its elements through shared memory, in order.
//!    - *elementwise*: 16 bytes of the smallest type a thread.
//!
//!    Wide accesses need tensors and rows that begin at multiples of 16 bytes. The host looks; where one does not, the same
//!    kernel takes single elements, neighbours together.
//!    - *single values*: one thread. Where no loop is parallel and tensors are dense, all loops are one, as in a sum of everything.
//! 4. [`GPU_LOOPS`] and [`gpu_mapping`]: loops for what is left, such as transposes, folds of an outer loop, stencils.
//! 5. [`GPU_OUTLINE`].
//!
//! A candidate with any op of the gpu dialect, or whose own schedule or pipeline makes one, sees only the first (if it is left with
//! tensors) and the last. AMD's device code has steps 4 and 5 alone after the first.

/// CPU, first half: linalg on tensors to linalg and loops on memrefs. Elementwise ops are fused, results are
/// computed in the output buffers, temporaries are allocated and freed once. Run where a module holds tensors.
///
/// Masks are lowered first, because deallocation breaks masked transfers. Named ops are generalised so that they fuse, and get their names back at the end: they name the regions.
pub const CPU_STRUCTURED: &str = "inline,func.func(lower-vector-mask),convert-elementwise-to-linalg,convert-tensor-to-linalg,\
linalg-generalize-named-ops,canonicalize,cse,linalg-fuse-elementwise-ops,canonicalize,cse,\
eliminate-empty-tensors,empty-tensor-to-alloc-tensor,\
one-shot-bufferize{bufferize-function-boundaries=true function-boundary-type-conversion=identity-layout-map},\
canonicalize,cse,buffer-deallocation-pipeline,canonicalize,cse,linalg-specialize-generic-ops";

/// CPU, second half: structured ops to the LLVM dialect. Always run; leaves alone what is lowered already.
///
/// Vector transfers are unrolled before strides are expanded, and affine is lowered after both, because each
/// makes affine ops. The last pass gives functions debug scopes, so that source lines reach the machine code.
pub const CPU_LOWERING: &str = "convert-linalg-to-loops,\
func.func(lower-vector-mask,lower-vector-multi-reduction,scf-forall-to-for),\
convert-vector-to-scf{full-unroll=true},expand-realloc,expand-strided-metadata,lower-affine,\
func.func(arith-expand),convert-scf-to-cf,\
convert-vector-to-llvm{vector-contract-lowering=outerproduct vector-transpose-lowering=shuffle1d},\
convert-math-to-llvm,convert-math-to-libm,convert-to-llvm,reconcile-unrealized-casts,canonicalize,cse,\
ensure-debug-info-scope-on-llvm-func";

/// The entry's wrapper, into which the entry is inlined, gets a debug scope as well: without one its lines are lost.
pub const WRAPPER_SCOPE: &str = "ensure-debug-info-scope-on-llvm-func";

/// GPU, linalg on tensors to linalg on memrefs: as on the CPU. Temporaries become device memory later.
pub const GPU_STRUCTURED: &str = CPU_STRUCTURED;

/// GPU, before the default mapping to tiled kernels: every linalg op in its general form, which tells them apart by what they do.
pub const GPU_GENERAL: &str =
    "func.func(lower-vector-mask),convert-elementwise-to-linalg,linalg-generalize-named-ops,canonicalize,cse";

/// GPU, after it: what kernels ask of the host twice is asked once.
pub const GPU_TIDY: &str = "canonicalize,cse";

/// GPU, first part of the default mapping, run where a candidate has no op of the gpu dialect: linalg ops become
/// parallel loops, with reductions as plain loops in them.
pub const GPU_LOOPS: &str = "func.func(lower-vector-mask),convert-linalg-to-parallel-loops,canonicalize,cse";

/// GPU, second part of the default mapping, for parallel loops of up to `dimensions` dimensions: tiled, tiles to blocks
/// and what is in one to threads, the innermost dimension to `x`, so that neighbours in memory are neighbours in a warp.
///
/// It is simple: nothing is promoted to shared memory, no load is widened, and a reduction is one thread's work.
pub fn gpu_mapping(dimensions: usize) -> String {
    // 256 threads a block where there are two dimensions. Sizes go to the outer dimensions first.
    let sizes = match dimensions {
        0..=2 => "32,8",
        3 => "4,8,8",
        _ => "1,4,8,8",
    };
    // A loop over tiles must not be joined with the one in a tile: both together would go to blocks, of a thread each.
    let separate = "canonicalize{disable-patterns=\"(anonymous namespace)::MergeNestedParallelLoops\"}";
    format!(
        "func.func(scf-parallel-loop-tiling{{parallel-loop-tile-sizes={sizes}}}),{separate},\
         func.func(gpu-map-parallel-loops{{mapping-policy=innermost-first}},convert-parallel-loops-to-gpu),lower-affine,canonicalize,cse"
    )
}

/// GPU: bodies of `gpu.launch` become kernels, constants in them.
pub const GPU_OUTLINE: &str = "func.func(gpu-launch-sink-index-computations),gpu-kernel-outlining";

/// Kernels get debug scopes of lines alone: with any more, PTX is marked `debug` and `ptxas` spills.
pub const KERNEL_SCOPE: &str = "ensure-debug-info-scope-on-llvm-func{emission-kind=DebugDirectivesOnly}";

/// NVIDIA device code: every `gpu.module` to NVVM. `nvgpu`, where there is any, goes before memrefs are taken apart: the pass does
/// not know the types of `gpu.subgroup_mma` in loops. NVVM ops without an intrinsic become inline PTX.
pub fn nvvm_lowering(has_nvgpu: bool) -> String {
    let nvgpu = if has_nvgpu { "convert-nvgpu-to-nvvm," } else { "" };
    format!(
        "gpu.module(convert-linalg-to-loops,lower-affine,convert-vector-to-scf{{full-unroll=true}},{nvgpu}\
         expand-strided-metadata,lower-affine,arith-expand,convert-scf-to-cf,convert-gpu-to-nvvm{{has-redux=true}},\
         convert-vector-to-llvm,convert-nvvm-to-llvm,convert-math-to-llvm,convert-to-llvm,\
         reconcile-unrealized-casts,canonicalize,cse)"
    )
}

/// GPU, host code that does not order its launches itself: they follow each other in one stream, which the host waits for at
/// the end.
pub const GPU_ASYNC: &str = "func.func(gpu-async-region)";

/// GPU, host code: device memory and streams become calls of the runtime.
pub const GPU_HOST: &str = "expand-strided-metadata,lower-affine,convert-scf-to-cf,gpu-to-llvm";

/// AMD device code for `chip`, e.g. `gfx942`: every `gpu.module` to ROCDL. Math that the chip has no instruction for
/// becomes calls of AMD's device library, and does so first: later passes would make LLVM intrinsics of it that the
/// AMDGPU back end cannot emit.
pub fn rocdl_lowering(chip: &str) -> String {
    format!(
        "gpu-kernel-outlining,convert-math-to-rocdl{{chipset={chip}}},lower-affine,convert-scf-to-cf,\
         expand-strided-metadata,lower-affine,gpu.module(convert-gpu-to-rocdl{{chipset={chip}}},\
         convert-math-to-llvm,convert-to-llvm,reconcile-unrealized-casts,canonicalize,cse)"
    )
}
