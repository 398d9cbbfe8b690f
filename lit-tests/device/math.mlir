// Math that a device has no instruction for is a function of its vendor's library: libdevice (__nv_*) is linked in for NVIDIA
// and inlined, OCML (__ocml_*) is left to whoever loads the code for AMD.
// REQUIRES: libdevice
// RUN: %kinstr opt --emit ptx %s | FileCheck %s --check-prefix=PTX
// RUN: %kinstr opt --emit amdgcn %s | FileCheck %s --check-prefix=GCN

// PTX-NOT: __nv_
// PTX: .visible .entry activate(
// PTX: ex2.approx
// PTX: bar{{(rier)?}}.sync
// PTX-NOT: __nv_
// PTX-NOT: .func

// exp has an instruction there, tanh has not.
// GCN: activate:
// GCN-NOT: __ocml_exp_f32
// GCN-DAG: v_exp_f32
// GCN-DAG: __ocml_tanh_f32@
// GCN: s_barrier
gpu.module @kernels {
  gpu.func @activate(%x: memref<?xf32>, %y: memref<?xf32>) kernel {
    %thread = gpu.thread_id x
    %v = memref.load %x[%thread] : memref<?xf32>
    %e = math.exp %v : f32
    %t = math.tanh %e : f32
    memref.store %t, %y[%thread] : memref<?xf32>
    gpu.barrier
    gpu.return
  }
}
