// Sums by group on two threads, whose partial sums lie side by side on one cache line. Needs: a CPU with two cores, OpenMP.
// planted: false-sharing
// kinstr: pipeline=convert-scf-to-openmp{num-threads=2},canonicalize
// kinstr: threads=2
func.func @grouped_sum(%x: memref<?xf32>, %group: memref<?xi32>, %y: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %groups = arith.constant 4 : index
  %threads = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>

  %partial = memref.alloca() {alignment = 256} : memref<2x4xf32>
  scf.for %t = %c0 to %threads step %c1 {
    scf.for %g = %c0 to %groups step %c1 {
      memref.store %zero, %partial[%t, %g] : memref<2x4xf32>
    }
  }
  scf.parallel (%t) = (%c0) to (%threads) step (%c1) {
    %next = arith.addi %t, %c1 : index
    %from = arith.muli %n, %t : index
    %to = arith.muli %n, %next : index
    %first = arith.divui %from, %threads : index
    %end = arith.divui %to, %threads : index
    scf.for %i = %first to %end step %c1 {
      %v = memref.load %x[%i] : memref<?xf32>
      %which = memref.load %group[%i] : memref<?xi32>
      %g = arith.index_cast %which : i32 to index
      %old = memref.load %partial[%t, %g] : memref<2x4xf32>
      %new = arith.addf %old, %v : f32
      memref.store %new, %partial[%t, %g] : memref<2x4xf32>
    }
  }
  scf.for %g = %c0 to %groups step %c1 {
    %sum = scf.for %t = %c0 to %threads step %c1 iter_args(%s = %zero) -> (f32) {
      %part = memref.load %partial[%t, %g] : memref<2x4xf32>
      %next = arith.addf %s, %part : f32
      scf.yield %next : f32
    }
    memref.store %sum, %y[%g] : memref<4xf32>
  }
  return
}
