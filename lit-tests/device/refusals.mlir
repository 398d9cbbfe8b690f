// What is not possible in device code says so; nothing is emitted in its place.
// RUN: not %kinstr opt --emit amdgcn --probes block-count %s 2>&1 | FileCheck %s --check-prefix=AMDPROBES
// RUN: not %kinstr opt --emit ptx --probes loop-time %s 2>&1 | FileCheck %s --check-prefix=LOOPS
// RUN: not %kinstr opt --emit ptx --probes thread-timeline %s 2>&1 | FileCheck %s --check-prefix=THREADS
// RUN: not %kinstr opt --emit ptx --probes branch-outcome %s 2>&1 | FileCheck %s --check-prefix=BRANCHES
// RUN: not %kinstr opt --emit ptx --chip gfx942 %s 2>&1 | FileCheck %s --check-prefix=NVIDIA
// RUN: not %kinstr opt --emit amdgcn --chip sm_90 %s 2>&1 | FileCheck %s --check-prefix=AMD
// RUN: not %kinstr opt --target gpu %s 2>&1 | FileCheck %s --check-prefix=TARGET
// RUN: not %kinstr opt --emit asm --probes barrier-wait %S/../Inputs/three-blocks.mlir 2>&1 | FileCheck %s --check-prefix=CPU

// AMDPROBES: probes are not converted for target `amdgcn`
// AMDPROBES-NOT: .amdgcn_target
// LOOPS: `loop-time` found nothing to watch
// THREADS: `thread-timeline` found nothing to watch
// BRANCHES: on a GPU, `divergence`
// NVIDIA: LLVM cannot emit code for `gfx942`: its chips are named like `sm_90`
// NVIDIA-NOT: .target
// AMD: LLVM cannot emit code for `sm_90`: its chips are named like `gfx942`
// TARGET: `gpu` is no target: `cpu`, or `cuda:CHIP` as in `cuda:sm_90`
// CPU: this is no code of a GPU
gpu.module @kernels {
  gpu.func @nothing() kernel {
    gpu.return
  }
}
