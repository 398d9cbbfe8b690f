// What is not possible in device code says so; nothing is emitted in its place.
// RUN: not %kinstr opt --emit ptx --probes region-time %s 2>&1 | FileCheck %s --check-prefix=PROBES
// RUN: not %kinstr opt --emit amdgcn --probes block-count %s 2>&1 | FileCheck %s --check-prefix=PROBES
// RUN: not %kinstr opt --emit ptx %S/../Inputs/three-blocks.mlir 2>&1 | FileCheck %s --check-prefix=NOTHING
// RUN: not %kinstr opt --emit ptx --chip gfx942 %s 2>&1 | FileCheck %s --check-prefix=NVIDIA
// RUN: not %kinstr opt --emit amdgcn --chip sm_90 %s 2>&1 | FileCheck %s --check-prefix=AMD

// PROBES: kinstr::opt::probes
// PROBES: probes in device code are not implemented in this version
// PROBES-NOT: .entry
// NOTHING: kinstr::opt::device
// NOTHING: there is no gpu.module and no gpu.launch in this file
// NVIDIA: LLVM cannot emit code for `gfx942`: its chips are named like `sm_90`
// NVIDIA-NOT: .target
// AMD: LLVM cannot emit code for `sm_90`: its chips are named like `gfx942`
gpu.module @kernels {
  gpu.func @nothing() kernel {
    gpu.return
  }
}
