// Prefix sum, one running sum: every add waits for the one before. Needs: a CPU.
// planted: dependency-bound
func.func @prefix_sum(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>

  scf.for %i = %c0 to %n step %c1 iter_args(%sum = %zero) -> (f32) {
    %v = memref.load %x[%i] : memref<?xf32>
    %next = arith.addf %sum, %v : f32
    memref.store %next, %y[%i] : memref<?xf32>
    scf.yield %next : f32
  }
  return
}
