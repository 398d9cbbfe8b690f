// Histogram with eight tables taken in turns, added up at the end: increments rarely wait for each other. Needs: a CPU; N a multiple of 8.
func.func @histogram(%label: memref<?xi32>, %count: memref<4xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %bins = arith.constant 4 : index
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %n = memref.dim %label, %c0 : memref<?xi32>
  %rest = arith.remui %n, %c8 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "N must be a multiple of 8"

  %tables = memref.alloca() : memref<8x4xi32>
  scf.for %t = %c0 to %c8 step %c1 {
    scf.for %b = %c0 to %bins step %c1 {
      memref.store %zero, %tables[%t, %b] : memref<8x4xi32>
    }
  }
  scf.for %i = %c0 to %n step %c8 {
    scf.for %t = %c0 to %c8 step %c1 {
      %at = arith.addi %i, %t : index
      %l = memref.load %label[%at] : memref<?xi32>
      %b = arith.index_cast %l : i32 to index
      %old = memref.load %tables[%t, %b] : memref<8x4xi32>
      %new = arith.addi %old, %one : i32
      memref.store %new, %tables[%t, %b] : memref<8x4xi32>
    }
  }
  scf.for %b = %c0 to %bins step %c1 {
    %sum = scf.for %t = %c0 to %c8 step %c1 iter_args(%s = %zero) -> (i32) {
      %part = memref.load %tables[%t, %b] : memref<8x4xi32>
      %next = arith.addi %s, %part : i32
      scf.yield %next : i32
    }
    memref.store %sum, %count[%b] : memref<4xi32>
  }
  return
}
