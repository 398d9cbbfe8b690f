// Square matmul, three scalar loops in ijk order: the sum over k is in strict order, so nothing vectorises. Needs: a CPU.
// planted: unvectorised
func.func @matmul(%a: memref<?x?xf32>, %b: memref<?x?xf32>, %c: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %n = memref.dim %a, %c0 : memref<?x?xf32>

  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %n step %c1 {
      %dot = scf.for %k = %c0 to %n step %c1 iter_args(%sum = %zero) -> (f32) {
        %aik = memref.load %a[%i, %k] : memref<?x?xf32>
        %bkj = memref.load %b[%k, %j] : memref<?x?xf32>
        %product = arith.mulf %aik, %bkj : f32
        %next = arith.addf %sum, %product : f32
        scf.yield %next : f32
      }
      memref.store %dot, %c[%i, %j] : memref<?x?xf32>
    }
  }
  return
}
