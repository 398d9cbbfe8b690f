// Histogram with one table: an increment waits until the last one of its bin is in memory. Needs: a CPU.
// planted: dependency-bound
func.func @histogram(%label: memref<?xi32>, %count: memref<4xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %bins = arith.constant 4 : index
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %n = memref.dim %label, %c0 : memref<?xi32>

  scf.for %b = %c0 to %bins step %c1 {
    memref.store %zero, %count[%b] : memref<4xi32>
  }
  scf.for %i = %c0 to %n step %c1 {
    %l = memref.load %label[%i] : memref<?xi32>
    %b = arith.index_cast %l : i32 to index
    %old = memref.load %count[%b] : memref<4xi32>
    %new = arith.addi %old, %one : i32
    memref.store %new, %count[%b] : memref<4xi32>
  }
  return
}
