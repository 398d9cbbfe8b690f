// Sum of every pair, stored past the caches. Needs: a CPU; N a multiple of 16.
func.func @outer_sum(%a: memref<?xf32>, %b: memref<?xf32>, %y: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %rows = memref.dim %a, %c0 : memref<?xf32>
  %columns = memref.dim %b, %c0 : memref<?xf32>
  %rest = arith.remui %columns, %c16 : index
  %fits = arith.cmpi eq, %rest, %c0 : index
  cf.assert %fits, "N must be a multiple of 16"

  // The buffers of kinstr begin on a cache line, and so does every sixteenth element.
  scf.for %i = %c0 to %rows step %c1 {
    %ai = memref.load %a[%i] : memref<?xf32>
    %ai16 = vector.broadcast %ai : f32 to vector<16xf32>
    scf.for %j = %c0 to %columns step %c16 {
      %bj = vector.load %b[%j] : memref<?xf32>, vector<16xf32>
      %sum = arith.addf %ai16, %bj : vector<16xf32>
      vector.store %sum, %y[%i, %j] {alignment = 64, nontemporal = true} : memref<?x?xf32>, vector<16xf32>
    }
  }
  return
}
