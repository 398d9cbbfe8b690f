// Ops that look like the pipeline's own and are not, and what they are mapped by instead.
// RUN: %kinstr opt %s --target cuda:sm_90 --emit structured | FileCheck %s

// Extents that the tiles divide: what is in a tile goes to threads, not to blocks of one.
// CHECK-LABEL: gpu.func @f_kernel(
// CHECK-SAME: known_block_size = array<i32: 8, 32, 1>
// A combiner of two results keeps the one that was asked for.
// CHECK-LABEL: gpu.func @f_kernel_1(
// CHECK: arith.mului_extended
// CHECK-NOT: gpu.shuffle
// CHECK: gpu.return
// Nothing is yielded: the body stores by itself.
// CHECK-LABEL: gpu.func @f_kernel_2(
// CHECK: memref.store
// CHECK: gpu.return
// Indices are no numbers of so many bits, and are mapped all the same.
// CHECK-LABEL: gpu.func @f_kernel_3(
// CHECK: arith.index_cast
// CHECK: gpu.return
// A body that writes runs once a point, and for no point beside the tensor.
// CHECK-LABEL: gpu.func @f_kernel_4(
// CHECK-NOT: gpu.barrier
// CHECK: memref.atomic_rmw
// CHECK: gpu.return
// A promise that no partial sum overflows holds in the loop's order alone.
// CHECK-LABEL: gpu.func @f_kernel_5(
// CHECK-NOT: gpu.shuffle
// CHECK: gpu.return
#id = affine_map<(i) -> (i)>
#rows = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
func.func @f(%a: memref<1024x1024xf32>, %b: memref<1024x1024xf32>, %x: memref<64x64xi32>, %y: memref<64xi32>, %u: memref<?xf32>,
             %v: memref<?xf32>, %p: memref<?xi64>, %q: memref<?xindex>, %h: memref<16xi32>, %z: memref<64xi32>) {
  linalg.transpose ins(%a : memref<1024x1024xf32>) outs(%b : memref<1024x1024xf32>) permutation = [1, 0]
  linalg.generic {indexing_maps = [#rows, #row], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x64xi32>) outs(%y : memref<64xi32>) {
  ^bb0(%in: i32, %out: i32):
    %low, %high = arith.mului_extended %out, %in : i32
    linalg.yield %high : i32
  }
  linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]} ins(%u : memref<?xf32>) {
  ^bb0(%in: f32):
    %i = linalg.index 0 : index
    memref.store %in, %v[%i] : memref<?xf32>
    linalg.yield
  }
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%p : memref<?xi64>) outs(%q : memref<?xindex>) {
  ^bb0(%in: i64, %out: index):
    %0 = arith.index_cast %in : i64 to index
    linalg.yield %0 : index
  }
  linalg.generic {indexing_maps = [#rows, #row], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x64xi32>) outs(%y : memref<64xi32>) {
  ^bb0(%in: i32, %out: i32):
    %c15 = arith.constant 15 : i32
    %c1 = arith.constant 1 : i32
    %bin = arith.andi %in, %c15 : i32
    %at = arith.index_cast %bin : i32 to index
    %old = memref.atomic_rmw addi %c1, %h[%at] : (i32, memref<16xi32>) -> i32
    %0 = arith.addi %out, %in : i32
    linalg.yield %0 : i32
  }
  linalg.generic {indexing_maps = [#rows, #row], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x64xi32>) outs(%z : memref<64xi32>) {
  ^bb0(%in: i32, %out: i32):
    %0 = arith.addi %out, %in overflow<nsw> : i32
    linalg.yield %0 : i32
  }
  return
}

// A sum of everything: a thread begins it, and a block folds all rows as one.
// CHECK-LABEL: gpu.func @all_kernel(
// CHECK: memref.store
// CHECK-LABEL: gpu.func @all_kernel_1(
// CHECK: gpu.shuffle
#all = affine_map<(i, j) -> ()>
func.func private @all(%x: memref<64x64xf32>, %sum: memref<f32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%sum : memref<f32>)
  linalg.generic {indexing_maps = [#rows, #all], iterator_types = ["reduction", "reduction"]} ins(%x : memref<64x64xf32>) outs(%sum : memref<f32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %out, %in fastmath<reassoc> : f32
    linalg.yield %0 : f32
  }
  return
}
