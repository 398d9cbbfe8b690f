//! The default pipelines. `kinstr opt --emit structured` and `--emit llvm-dialect` show what the two CPU halves leave.

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

/// NVIDIA device code: every `gpu.module` to NVVM.
pub const NVVM_LOWERING: &str = "gpu-kernel-outlining,lower-affine,convert-scf-to-cf,expand-strided-metadata,\
lower-affine,gpu.module(convert-gpu-to-nvvm,convert-math-to-llvm,convert-to-llvm,reconcile-unrealized-casts,canonicalize,cse)";

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
