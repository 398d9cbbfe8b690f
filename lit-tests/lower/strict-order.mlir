// A sum stays in the order it was written in: no vector add, unless the candidate allows it.
// RUN: %kinstr opt --emit llvm-ir %s | FileCheck %s
// RUN: sed 's/arith.addf %%s, %%v/arith.addf %%s, %%v fastmath<reassoc>/' %s | %kinstr opt --emit llvm-ir - | FileCheck %s --check-prefix=FAST

// CHECK-NOT: fadd{{.*}} <
// FAST: fadd reassoc <
func.func @sum(%x: memref<1024xf32>, %y: memref<1xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %sum = affine.for %i = 0 to 1024 iter_args(%s = %zero) -> (f32) {
    %v = affine.load %x[%i] : memref<1024xf32>
    %next = arith.addf %s, %v : f32
    affine.yield %next : f32
  }
  memref.store %sum, %y[%c0] : memref<1xf32>
  return
}
