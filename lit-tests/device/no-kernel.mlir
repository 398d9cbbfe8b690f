// A candidate without anything to run on a GPU is refused.
// RUN: not %kinstr opt --emit ptx %s 2>&1 | FileCheck %s

// CHECK: nothing in this candidate runs on a GPU
func.func @first(%x: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  memref.store %zero, %x[%c0] : memref<4xf32>
  return
}
