// Device code of a gpu.module becomes PTX and AMDGCN, with no toolkit of either vendor installed.
// RUN: %kinstr opt --emit ptx %s | FileCheck %s --check-prefixes=PTX,SM90
// RUN: %kinstr opt --emit ptx --chip sm_80 %s | FileCheck %s --check-prefixes=PTX,SM80
// RUN: %kinstr opt --emit amdgcn %s | FileCheck %s --check-prefixes=GCN,GFX942
// RUN: %kinstr opt --emit amdgcn --chip gfx90a %s | FileCheck %s --check-prefixes=GCN,GFX90A

// SM90: .target sm_90
// SM80: .target sm_80
// PTX: .visible .entry saxpy(
// PTX: mov.u32 {{.*}}, %tid.x;
// PTX: mov.u32 {{.*}}, %ctaid.x;
// PTX: ld.global.b32 %[[X:.*]], [
// PTX: ld.global.b32 %[[Y:.*]], [
// PTX: mul.rn.f32 %[[P:r[0-9]+]], {{.*}}%[[X]];
// PTX: add.rn.f32 %[[S:.*]], %[[P]], %[[Y]];
// PTX: st.global.b32 [{{.*}}], %[[S]];

// GFX942: .amdgcn_target "amdgcn-amd-amdhsa--gfx942"
// GFX90A: .amdgcn_target "amdgcn-amd-amdhsa--gfx90a"
// GCN: saxpy:
// GCN: global_load_dword
// GCN: global_load_dword
// GCN: v_mul_f32
// GCN: v_add_f32
// GCN: global_store_dword
// GCN: s_endpgm
// GCN: .amdhsa_kernel saxpy
gpu.module @kernels {
  gpu.func @saxpy(%x: memref<?xf32>, %y: memref<?xf32>, %a: f32) kernel {
    %thread = gpu.thread_id x
    %block = gpu.block_id x
    %width = gpu.block_dim x
    %start = arith.muli %block, %width : index
    %i = arith.addi %start, %thread : index
    %xi = memref.load %x[%i] : memref<?xf32>
    %yi = memref.load %y[%i] : memref<?xf32>
    %product = arith.mulf %xi, %a : f32
    %sum = arith.addf %product, %yi : f32
    memref.store %sum, %y[%i] : memref<?xf32>
    gpu.return
  }
}
