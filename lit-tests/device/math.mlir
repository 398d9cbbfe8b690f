// Math that a device has no instruction for becomes calls of its vendor's library, to be linked by whoever loads the
// code: libdevice (__nv_*) for NVIDIA, OCML (__ocml_*) for AMD.
// RUN: %kinstr opt --emit ptx %s | FileCheck %s --check-prefix=PTX
// RUN: %kinstr opt --emit amdgcn %s | FileCheck %s --check-prefix=GCN

// PTX-DAG: .extern .func {{.*}} __nv_expf
// PTX-DAG: .extern .func {{.*}} __nv_tanhf
// PTX: .visible .entry activate(
// PTX: call.uni (retval0), __nv_expf,
// PTX: call.uni (retval0), __nv_tanhf,
// PTX: bar{{(rier)?}}.sync

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
