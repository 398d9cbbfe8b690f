// A scalar loop over tanh is vectorised and calls libmvec, in the widest form this CPU has.
// RUN: %kinstr opt --emit llvm-ir %s | FileCheck %s

// CHECK: call <{{[0-9]+}} x float> @_ZGV{{[bde]}}N{{[0-9]+}}v_tanhf(
func.func @tanh(%x: memref<?xf32>, %y: memref<?xf32>) {
  linalg.tanh ins(%x : memref<?xf32>) outs(%y : memref<?xf32>)
  return
}
