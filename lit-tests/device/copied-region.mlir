// A region that the optimiser copies, because the loop around it has two trips, has both its passes recorded.
// RUN: %kinstr opt %s --target cuda:sm_90 --probes block-timeline,region-time --emit ptx | FileCheck %s
// CHECK-COUNT-5: %clock;
// CHECK: min.u32
// CHECK: max.u32
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @twice(%a: memref<?xf32>, %n: index) kernel {
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %2 = arith.constant 2 : index
      %t = gpu.thread_id x
      %z = arith.constant 0.0 : f32
      %q = scf.for %o = %0 to %2 step %1 iter_args(%s = %z) -> (f32) {
        %end = scf.for %i = %0 to %n step %1 iter_args(%x = %s) -> (f32) {
          %v = memref.load %a[%i] : memref<?xf32>
          %y = math.fma %x, %v, %v : f32
          scf.yield %y : f32
        } {kinstr.region = "tile"}
        memref.store %end, %a[%t] : memref<?xf32>
        scf.yield %end : f32
      }
      memref.store %q, %a[%t] : memref<?xf32>
      gpu.return
    }
  }
  func.func @main(%a: memref<?xf32>, %n: index) {
    %1 = arith.constant 1 : index
    %32 = arith.constant 32 : index
    gpu.launch_func @kernels::@twice blocks in (%1,%1,%1) threads in (%32,%1,%1) args(%a: memref<?xf32>, %n: index)
    return
  }
}
