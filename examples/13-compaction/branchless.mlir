// Stream compaction that writes every element and moves on only past those it keeps. Needs: a CPU.
func.func @compaction(%x: memref<?xf32>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %none = arith.constant -1.0 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>

  %kept = scf.for %i = %c0 to %n step %c1 iter_args(%k = %c0) -> (index) {
    %v = memref.load %x[%i] : memref<?xf32>
    memref.store %v, %y[%k] : memref<?xf32>
    %positive = arith.cmpf ogt, %v, %zero : f32
    %one = arith.index_castui %positive : i1 to index
    %next = arith.addi %k, %one : index
    scf.yield %next : index
  }
  scf.for %i = %kept to %n step %c1 {
    memref.store %none, %y[%i] : memref<?xf32>
  }
  return
}
