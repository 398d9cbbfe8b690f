// What the pipeline has no kernel for is mapped by loops, and linalg within a candidate's own parallel loop stays part of it.
// RUN: %kinstr opt %s --target cuda:sm_90 --emit structured | FileCheck %s

// A fold of the outer loop: a thread a column, which neighbours read together.
// CHECK-LABEL: gpu.func @f_kernel(
// CHECK-NOT: gpu.shuffle
// CHECK: scf.for
// CHECK-NOT: vector.load
// CHECK: gpu.return
// The candidate's loop has one kernel, in which the op is a loop.
// CHECK-LABEL: gpu.func @f_kernel_1(
// CHECK-NOT: vector.load
// CHECK: memref.store
// CHECK: gpu.return
#columns = affine_map<(j, i) -> (i, j)>
#column = affine_map<(j, i) -> (j)>
func.func @f(%x: memref<64x?xf32>, %y: memref<?xf32>, %z: memref<8x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %one = arith.constant 1.0 : f32
  linalg.generic {indexing_maps = [#columns, #column], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x?xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%v: f32, %m: f32):
    %0 = arith.maximumf %v, %m : f32
    linalg.yield %0 : f32
  }
  scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
    %row = memref.subview %z[%i, 0] [1, 4] [1, 1] : memref<8x4xf32> to memref<4xf32, strided<[1], offset: ?>>
    linalg.fill ins(%one : f32) outs(%row : memref<4xf32, strided<[1], offset: ?>>)
    scf.reduce
  }
  return
}
